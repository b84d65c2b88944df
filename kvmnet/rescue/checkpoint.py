"""NetworkManager's checkpoint of the trial: found, told from other tools' checkpoints, rolled back."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from kvmnet.system import clock, errors, files, networkmanager, operations, programs, state_folder
from kvmnet.system.errors import EXPECTED_ERRORS, HostError
from kvmnet.system.journal import Journal
from kvmnet.system.networkmanager import BUS_NAME, OBJECT_PATH
from kvmnet.system.types import Json


def checkpoints_in_log(log: Path) -> list[str]:
    """The checkpoints that nmstate says it made, in its log (INFO, on stderr, nmstate 2.2)."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    mark = "Created checkpoint "
    return [line.rpartition(mark)[2].strip() for line in text.splitlines() if mark in line]


def checkpoint_note_file(log: Path) -> Path:
    """Where an apply that has ended notes which checkpoint it left (`path`) and when that was made (`created`)."""
    return log.with_name(log.name + ".checkpoint")


def undo_checkpoint(folder: Path, spec: Json) -> str:
    """Roll back the checkpoint that our apply made, if NetworkManager still has it.

    Its path is in the log of the program that made it, written at once. The library writes none while it works, and
    a full disk takes none: then it is what came since our apply began. Left alone it would be rolled back by
    NetworkManager after everything was given back. A NetworkManager that was started anew has lost it and begins its
    numbers anew: one of the same path that was made at another time is another tool's.
    """
    told = "no checkpoint of ours is left"
    there = (
        [] if state_folder.has_rebooted(folder) else networkmanager.list_checkpoints()
    )  # none outlives a NetworkManager
    ours = checkpoints_in_log(folder / spec["log"]) or [path for path in there if _is_ours_by_time(path, folder)]
    note = files.read_json(checkpoint_note_file(folder / spec["log"]))
    for path in ours:
        if path in there and not (note and _is_of_another_tool(path, note)):
            with contextlib.suppress(*EXPECTED_ERRORS):  # a full disk: the machine comes first
                _record_other_keyfiles(folder)
            words = (
                "busctl",
                "--timeout=60",
                "call",
                BUS_NAME,
                OBJECT_PATH,
                BUS_NAME,
            )  # 25 s by its default
            programs.run(*words, "CheckpointRollback", "o", path, timeout=65)
            told = f"rolled back {path}"
            break
    given = restore_other_keyfiles(folder)
    return "; ".join([told, *(f"{path}, which is another's, given back" for path in given)])


def _record_other_keyfiles(folder: Path) -> None:
    """Write down the keyfiles on disk that are not the transaction's: NetworkManager's rollback deletes every profile
    that came since the checkpoint (nmstate asks for that: DELETE_NEW_CONNECTIONS), whoever made it meanwhile."""
    if (folder / state_folder.OTHER_KEYFILES_FILE).exists():  # an undo before this one was cut in between
        return
    steps = files.read_json(folder / "transaction.json").get("steps", [])
    before = files.read_json(folder / "snapshot.json")
    ours = [uuid for step in steps for spec in step.get("undo", []) for uuid in spec.get("profiles", [])]
    known = {record["path"] for record in before.get("files", [])}
    known.update(networkmanager.find_keyfiles([*before.get("uuids", []), *ours]))
    records = []
    for path in networkmanager.list_keyfiles(networkmanager.PROFILE_FOLDERS[0]):
        with contextlib.suppress(OSError):  # one that cannot be read keeps no other from being kept
            if path not in known:
                records.append(files.record_file(path))
    if records:
        files.write_file(str(folder / state_folder.OTHER_KEYFILES_FILE), json.dumps(records).encode(), 0o600)


def restore_other_keyfiles(folder: Path) -> list[str]:
    """Give back what of them the rollback took, or altered; raises Failed with all that cannot be."""
    failed: list[str] = []
    given: list[str] = []
    place = folder / state_folder.OTHER_KEYFILES_FILE
    if not place.exists():
        return []
    for record in json.loads(place.read_bytes()):
        with errors.collect_failure(failed, record["path"]):
            if files.restore_file(record):
                given.append(record["path"])
    if given and networkmanager.is_running():
        with errors.collect_failure(failed, "keyfiles"):
            programs.run("nmcli", "connection", "reload")
    if failed:
        raise HostError("; ".join(failed))
    files.remove_file(str(place))
    return given


def _is_of_another_tool(checkpoint: str, note: Json) -> bool:
    """Whether it is not the one that was noted. Where NetworkManager does not say when it was made it is taken for it:
    left alone it would undo what was given back."""
    if checkpoint != note["path"]:
        return True
    with contextlib.suppress(HostError, ValueError, IndexError):
        said = programs.run(
            "busctl",
            "get-property",
            BUS_NAME,
            checkpoint,
            f"{BUS_NAME}.Checkpoint",
            "Created",
        )
        return int(said.split()[1]) != int(note["created"])
    return False


def _is_ours_by_time(checkpoint: str, folder: Path) -> bool:
    """Whether it was made after the first of our applies was announced (both times are of the same clock), and lasts
    for as long as that asks for or, since nmstate renews it, longer: another tool's has its own time."""
    steps = files.read_json(folder / "transaction.json").get("steps", [])
    begun = [e for e in Journal(folder).events() if e["event"] == "do"]
    announced = [e for e in begun if operations.find_operation(e.get("op")).opens_checkpoint]
    lasting = [steps[e["step"]]["timeout"] for e in announced if e["step"] < len(steps)]
    with contextlib.suppress(HostError, ValueError, IndexError):  # it has just ended
        words = (
            "busctl",
            "get-property",
            BUS_NAME,
            checkpoint,
            f"{BUS_NAME}.Checkpoint",
            "Created",
            "RollbackTimeout",
        )
        made, lasts = (int(line.split()[1]) for line in programs.run(*words).splitlines())
        return bool(lasting) and made / 1000 >= announced[0]["up"] - clock.UPTIME_RESOLUTION and lasts >= min(lasting)
    return False
