"""Finds the trial's NetworkManager checkpoint among those of other tools, and rolls it back."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from kvmnet.system import clock, errors, files, networkmanager, operations, programs, state_folder
from kvmnet.system.errors import EXPECTED_ERRORS, HostError
from kvmnet.system.journal import Journal
from kvmnet.system.networkmanager import BUS_NAME, OBJECT_PATH
from kvmnet.system.types import Json


def read_checkpoints_from_log(log: Path) -> list[str]:
    """Return the checkpoints that nmstate 2.2 created, from its log (level INFO, on stderr)."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    prefix = "Created checkpoint "
    return [line.rpartition(prefix)[2].strip() for line in text.splitlines() if prefix in line]


def checkpoint_note_file(log: Path) -> Path:
    """Return the file in which a completed apply writes the `path` and the `created` time of its checkpoint."""
    return log.with_name(log.name + ".checkpoint")


def undo_checkpoint(folder: Path, spec: Json) -> str:
    """Roll back the checkpoint that kvmnet's apply created, if NetworkManager still has it; return what was done.

    nmstatectl writes the path into its log at once. nmstate's library writes no log while it works, and on a full disk
    there is no log: then the checkpoint is one that was created after the apply began. A checkpoint that is left alone
    would be rolled back by NetworkManager at its timeout, after the host was restored. A NetworkManager that was
    restarted has no checkpoints and starts their numbers again: a checkpoint with the same path and another creation
    time belongs to another tool.
    """
    result = "no checkpoint of kvmnet exists"
    # no checkpoint exists after a boot
    existing = [] if state_folder.has_rebooted(folder) else networkmanager.list_checkpoints()
    candidates = read_checkpoints_from_log(folder / spec["log"]) or [
        path for path in existing if _is_of_apply(path, folder)
    ]
    note = files.read_json(checkpoint_note_file(folder / spec["log"]))
    for path in candidates:
        if path in existing and not (note and _is_of_another_tool(path, note)):
            with contextlib.suppress(*EXPECTED_ERRORS):  # a full disk must not stop the rollback
                _record_other_keyfiles(folder)
            command = ("busctl", "--timeout=60", "call", BUS_NAME, OBJECT_PATH, BUS_NAME)  # the default is 25 s
            programs.run(*command, "CheckpointRollback", "o", path, timeout=65)
            result = f"rolled back {path}"
            break
    restored = restore_other_keyfiles(folder)
    return "; ".join([result, *(f"restored {path} of another tool" for path in restored)])


def _record_other_keyfiles(folder: Path) -> None:
    """Record the keyfiles on disk that do not belong to the transaction.

    NetworkManager's rollback deletes every profile that was created after the checkpoint (nmstate requests this:
    DELETE_NEW_CONNECTIONS), also those of other tools.
    """
    if (folder / state_folder.OTHER_KEYFILES_FILE).exists():  # an earlier rollback was interrupted after this
        return
    steps = files.read_json(folder / "transaction.json").get("steps", [])
    before = files.read_json(folder / "snapshot.json")
    own_uuids = [uuid for step in steps for spec in step.get("undo", []) for uuid in spec.get("profiles", [])]
    known = {record["path"] for record in before.get("files", [])}
    known.update(networkmanager.find_keyfiles([*before.get("uuids", []), *own_uuids]))
    records = []
    for path in networkmanager.list_keyfiles(networkmanager.PROFILE_FOLDERS[0]):
        with contextlib.suppress(OSError):  # a file that cannot be read must not stop the others from being recorded
            if path not in known:
                records.append(files.record_file(path))
    if records:
        files.write_file(str(folder / state_folder.OTHER_KEYFILES_FILE), json.dumps(records).encode(), 0o600)


def restore_other_keyfiles(folder: Path) -> list[str]:
    """Restore the keyfiles of other tools that NetworkManager's rollback deleted or changed; return their paths.

    Raises HostError with all those that cannot be restored.
    """
    failures: list[str] = []
    restored: list[str] = []
    records_file = folder / state_folder.OTHER_KEYFILES_FILE
    if not records_file.exists():
        return []
    for record in json.loads(records_file.read_bytes()):
        with errors.collect_failure(failures, record["path"]):
            if files.restore_file(record):
                restored.append(record["path"])
    if restored and networkmanager.is_running():
        with errors.collect_failure(failures, "keyfiles"):
            programs.run("nmcli", "connection", "reload")
    if failures:
        raise HostError("; ".join(failures))
    files.remove_file(str(records_file))
    return restored


def _is_of_another_tool(checkpoint: str, note: Json) -> bool:
    """Return whether a checkpoint is not the one in the note of kvmnet's apply.

    When NetworkManager does not report the creation time, it counts as kvmnet's: left alone, it would change the
    restored host again.
    """
    if checkpoint != note["path"]:
        return True
    with contextlib.suppress(HostError, ValueError, IndexError):
        answer = programs.run(
            "busctl",
            "get-property",
            BUS_NAME,
            checkpoint,
            f"{BUS_NAME}.Checkpoint",
            "Created",
        )
        return int(answer.split()[1]) != int(note["created"])
    return False


def _is_of_apply(checkpoint: str, folder: Path) -> bool:
    """Return whether a checkpoint was created after the first apply began (both times are from the same clock) and its
    timeout is at least that of an apply: nmstate extends it. A checkpoint of another tool has a timeout of its own."""
    steps = files.read_json(folder / "transaction.json").get("steps", [])
    begun = [e for e in Journal(folder).events() if e["event"] == "do"]
    announced = [e for e in begun if operations.find_operation(e.get("op")).opens_checkpoint]
    timeouts = [steps[e["step"]]["timeout"] for e in announced if e["step"] < len(steps)]
    with contextlib.suppress(HostError, ValueError, IndexError):  # the checkpoint has just ended
        command = (
            "busctl",
            "get-property",
            BUS_NAME,
            checkpoint,
            f"{BUS_NAME}.Checkpoint",
            "Created",
            "RollbackTimeout",
        )
        created, timeout = (int(line.split()[1]) for line in programs.run(*command).splitlines())
        if not timeouts:
            return False
        started = float(announced[0]["up"]) - clock.UPTIME_RESOLUTION
        return bool(created / 1000 >= started and timeout >= min(timeouts))
    return False
