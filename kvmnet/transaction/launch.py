"""Open a transaction on disk, hand it to systemd, follow it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Optional, TextIO

from kvmnet import __version__
from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.effects.impact import DISCONNECTED
from kvmnet.core.reporting.change_text import changes_to_json
from kvmnet.rescue import snapshot
from kvmnet.system import clock, files, lock, programs, state_folder, units
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.transaction import safeguards
from kvmnet.transaction.history import adopted
from kvmnet.transaction.prepare import Prepared, told_or_refused
from kvmnet.transaction.step import STEP_LIMIT, touched_files, touched_profiles

#: Seconds between two looks whether anybody works.
LOOK = 5.0
#: An id's date and time; sorted as text it is sorted by time.
STAMP = "%Y%m%d-%H%M%S"
#: journal events that end a transaction, and the exit code of each
KEPT, UNDONE, NOT_VERIFIED = 0, 3, 4


@contextlib.contextmanager
def state_directory(path: Path) -> Iterator[Path]:
    """The state directory, ours alone (0700), locked for this command; raises Refused when another kvmnet
    has it, a transaction is open, or it cannot be made."""
    with contextlib.ExitStack() as held:
        try:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
            held.enter_context(lock.hold_lock(path, wait_for=False))
        except BlockingIOError as error:
            raise Refused("another kvmnet is at work on this machine", "wait until it has ended", "KVN501") from error
        except OSError as error:
            raise safeguards.not_written(path, error) from error
        if (path / "open").exists():
            raise Refused(
                "a transaction is open that nobody works on: it was cut off, or its undo could not be verified",
                "kvmnet status; kvmnet rollback (or, without kvmnet: "
                f"{shlex.join(state_folder.rescue_command(path))}; it may be run again)",
                "KVN502",
            )
        yield path


def open_transaction(state_dir: Path, prepared: Prepared, rescue_program: bytes) -> str:
    """Write the transaction, its snapshot and its way back to disk; returns its id. Nothing is touched yet: raises
    Refused when the host cannot be read or the disk does not take it, and leaves nothing of it then."""
    safeguards.install(state_dir, rescue_program)
    with _all_or_nothing(state_dir):
        return _write(state_dir, prepared)


@contextlib.contextmanager
def _all_or_nothing(state_dir: Path) -> Iterator[None]:
    """What fails while a transaction is written leaves none behind: nobody would work on it, and it would be in the
    way of the next. The caller holds the lock, and no watchdog is armed yet."""
    try:
        yield
    except BaseException as error:
        for name in ("open.new", "open"):
            shutil.rmtree(state_dir / name, ignore_errors=True)
        if isinstance(error, OSError):
            raise safeguards.not_written(state_dir, error) from error
        raise


def _write(state_dir: Path, prepared: Prepared) -> str:
    plan, live, steps = prepared.plan, prepared.live, prepared.steps
    identity = next_id(state_dir)
    names = {i["name"] for i in interfaces_of(plan.bundle.state)} | plan.touched
    macs = [r.mac for r in plan.renames]
    taken = {link.mac or "" for nic in plan.bundle.nics if (link := live.find(nic))}
    lost = [impact.device for impact in prepared.impacts if impact.how == DISCONNECTED]
    with told_or_refused():
        before = snapshot.take_snapshot(sorted(names), macs, touched_profiles(steps), touched_files(steps), tuple(lost))
    new = state_dir / "open.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    for name, data in (
        ("snapshot.json", before),
        (
            "transaction.json",
            {
                "id": identity,
                "version": __version__,
                "host": plan.bundle.host,
                "digest": plan.bundle.digest,
                "backend": prepared.backend,
                "watch": prepared.probes.watch,
                "unit": unit_name(identity),
                "boot": clock.boot_id(),
                "removes": prepared.original is not None,
                "adopts": sorted(taken - {""} - adopted(state_dir)),
                "changes": changes_to_json(plan.changes),
                "lost": lost,
                "proving": prepared.proving,
                "steps": steps,
            },
        ),
    ):
        files.write_file(str(new / name), json.dumps(data, indent=1).encode(), 0o600)
    titles = [step["title"] for step in steps]
    until = clock.uptime() + STEP_LIMIT
    files.write_file(str(new / state_folder.BALLAST_FILE), b"\0" * state_folder.BALLAST_SIZE, 0o600)
    if prepared.original is not None:
        text = json.dumps(prepared.original.snapshot, indent=1)
        files.write_file(str(new / "original" / "snapshot.json"), text.encode(), 0o600)
    Journal(new).append("begin", id=identity, host=plan.bundle.host, steps=titles, until=until)
    new.rename(state_dir / "open")
    files.sync_folder(state_dir)
    return identity


def next_id(state_dir: Path) -> str:
    """An id for a transaction that begins now: date, time and process. By their names those of the history are in the
    order in which they were, so it is later than all of them, whatever the clock says: it may have been set back, and
    the number of a process tells of no order within a second."""
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    before = [stamp for folder in (state_dir / "history").glob("*") if (stamp := _begun(folder.name))]
    now = max([now, *(stamp + timedelta(seconds=1) for stamp in before)])
    return f"{now.strftime(STAMP)}-{os.getpid()}"


def _begun(identity: str) -> Optional[datetime]:
    """The date and time of an id; None where a folder's name is none."""
    try:
        return datetime.strptime(identity.rpartition("-")[0], STAMP)
    except ValueError:
        return None


def unit_name(identity: str) -> str:
    """The transient unit of a transaction."""
    return f"kvmnet-apply-{identity}.service"


def start(state_dir: Path, identity: str) -> None:
    """Start the worker as a transient unit. Through /usr/bin/env: SELinux lets systemd start no program
    from a venv or a home directory. Raises Refused when systemd does not start it: nothing was begun."""
    try:
        safeguards.arm(state_dir, identity)
    except Refused:
        shutil.rmtree(state_dir / "open")
        raise
    undo = shlex.join(state_folder.rescue_command(state_dir, "--after-worker"))
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={unit_name(identity)}",
        f"--description=kvmnet: apply transaction {identity}",
        "--property=Type=exec",
        "--property=OOMScoreAdjust=-900",
        "--property=TimeoutStopSec=300",
        "--property=After=dbus.service NetworkManager.service firewalld.service",
        f"--property=ExecStopPost={undo}",
        f"--setenv=PATH={_path()}",
        "/usr/bin/env",
        sys.executable,
        "-I",
        "-m",
        "kvmnet.transaction.worker",
        str(state_dir),
    ]
    try:
        programs.run(*command)
    except (HostError, OSError) as error:
        if not Journal(state_dir / "open").begun():
            shutil.rmtree(state_dir / "open")
            with contextlib.suppress(OSError):  # without an open transaction the watchdog ends itself
                units.stop_watchdog(identity)
        raise Refused(
            f"systemd does not start the worker: {error}", "systemctl status; journalctl -xe", "KVN509"
        ) from error


def _path() -> str:
    """The worker's PATH: the system's, and where this command found nmstatectl (cargo puts it into a home)."""
    found = shutil.which("nmstatectl")
    return f"{programs.PROGRAM_PATH}:{Path(found).parent}" if found else programs.PROGRAM_PATH


def cancel(identity: str) -> None:
    """Ask the worker to undo: what Ctrl-C means."""
    with contextlib.suppress(HostError):
        programs.run("systemctl", "kill", "--signal=INT", "--kill-who=main", unit_name(identity))


def follow(journal: TextIO, state_dir: Path, identity: str, tell: Callable[[dict[str, Any]], None]) -> Optional[int]:
    """Tell each event of the open journal until the transaction has ended; the exit code, or None when the
    unit is gone and nothing ended it. The file stays ours to read when it moves into the history; after an
    exception it may be followed on from where it was."""
    looked = time.monotonic()
    while True:
        place = journal.tell()
        line = journal.readline()
        if line.endswith("\n"):
            try:
                event = json.loads(line)
            except ValueError:  # torn by a full disk
                continue
            tell(event)
            if event["event"] == "end":
                return KEPT if event["outcome"] == "kept" else UNDONE
            if event["event"] == "not-verified":
                return NOT_VERIFIED
            continue
        journal.seek(place)  # nothing, or half a line
        if time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            alive = lock.is_locked(state_dir) or units.is_unit_alive(unit_name(identity))
            if not alive and not journal.read(1):
                return None
            journal.seek(place)
        time.sleep(0.1)


def wait_closed(state_dir: Path, identity: str, code: int) -> None:
    """The word of the end comes a moment before the transaction is moved into the history, and the worker of a
    removal takes the boot's units away after that: whoever is told of the end may start the next one."""
    if code == NOT_VERIFIED:
        return
    clock.wait_until(lambda: not (state_dir / "open").exists(), 10)
    if code == KEPT and files.read_json(state_dir / "history" / identity / "transaction.json").get("removes"):
        clock.wait_until(lambda: not units.is_unit_alive(unit_name(identity)), 30)


def rescue_now(state_dir: Path) -> None:
    """Undo from this process's side: when the unit is gone and its ExecStopPost= did not do it."""
    command = state_folder.rescue_command(state_dir)
    subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, start_new_session=True)
