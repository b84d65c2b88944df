"""Writes a transaction to disk, starts its worker and watchdog, and follows its journal."""

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
from kvmnet.core.planning.expected_readback import list_own_rules
from kvmnet.core.reporting.change_text import changes_to_json
from kvmnet.host.nmstate import find_nmstatectl
from kvmnet.rescue import handover, snapshot
from kvmnet.system import clock, files, lock, programs, state_folder, units
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.transaction import safeguards
from kvmnet.transaction.failure_reasons import find_silent_nics, make_hints
from kvmnet.transaction.history import find_adopted_macs
from kvmnet.transaction.prepare import Prepared, refuse_unreadable_host
from kvmnet.transaction.step import STEP_LIMIT, touched_files, touched_profiles

#: Seconds between two checks whether the worker is running.
WORKER_CHECK_SECONDS = 5.0
#: The format of an id's date and time: ids sorted as text are sorted by time.
ID_TIME_FORMAT = "%Y%m%d-%H%M%S"
#: The exit codes of a transaction: kept; rolled back and verified; rolled back, but not verified.
KEPT, ROLLED_BACK, NOT_VERIFIED = 0, 3, 4


@contextlib.contextmanager
def lock_state_folder(path: Path) -> Iterator[Path]:
    """The state folder, created if missing (mode 0700) and locked for this command. Raises Refused when another kvmnet
    holds the lock, a transaction is open, or the folder cannot be created."""
    with contextlib.ExitStack() as stack:
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            stack.enter_context(lock.hold_lock(path, wait_for=False))
        except BlockingIOError as error:
            raise Refused(
                "another kvmnet process is running on this host", "wait until it has ended", "KVN501"
            ) from error
        except OSError as error:
            raise safeguards.not_written(path, error) from error
        if (path / "open").exists():
            raise Refused(
                "a transaction is open, but no process is working on it: it was interrupted, or its rollback could not "
                "be verified",
                "see `kvmnet status`, then run `kvmnet rollback` (without kvmnet: "
                f"`{shlex.join(state_folder.rescue_command(path))}`); both can be repeated",
                "KVN502",
            )
        yield path


def open_transaction(state_dir: Path, prepared: Prepared, rescue_program: bytes) -> str:
    """Write the transaction, its snapshot and what rolls it back to disk; returns its id. The host is not changed yet.
    Raises Refused when the host cannot be read or the files cannot be written, and leaves no transaction then."""
    safeguards.install(state_dir, rescue_program)
    with _remove_on_failure(state_dir):
        return _write_transaction(state_dir, prepared)


@contextlib.contextmanager
def _remove_on_failure(state_dir: Path) -> Iterator[None]:
    """Remove the transaction when it cannot be written completely: no process would work on it, and it would block the
    next one. The caller holds the lock, and no watchdog is running yet."""
    try:
        yield
    except BaseException as error:
        for name in ("open.new", "open"):
            shutil.rmtree(state_dir / name, ignore_errors=True)
        if isinstance(error, OSError):
            raise safeguards.not_written(state_dir, error) from error
        raise


def _write_transaction(state_dir: Path, prepared: Prepared) -> str:
    plan, live, steps = prepared.plan, prepared.live, prepared.steps
    identity = next_id(state_dir)
    names = {i["name"] for i in interfaces_of(plan.bundle.state)} | plan.touched
    macs = [r.mac for r in plan.renames]
    lost = [impact.device for impact in prepared.impacts if impact.how == DISCONNECTED]
    with refuse_unreadable_host():
        before = snapshot.take_snapshot(
            sorted(names), macs, touched_profiles(steps), touched_files(steps), tuple(lost), live.virtual_ips
        )
    before["rules"] = list_own_rules(plan.bundle.state, plan.state, live.applied_state)
    before["guests"] = handover.note_successors(before.get("guests", {}), dict(plan.replaced))
    new = state_dir / "open.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _write_json(new / "snapshot.json", before)
    _write_json(new / "transaction.json", _transaction_data(state_dir, prepared, identity, lost))
    until = clock.uptime() + STEP_LIMIT
    files.write_file(str(new / state_folder.BALLAST_FILE), b"\0" * state_folder.BALLAST_SIZE, 0o600)
    if prepared.original is not None:
        _write_json(new / "original" / "snapshot.json", prepared.original.snapshot)
    titles = [step["title"] for step in steps]
    Journal(new).append("begin", id=identity, host=plan.bundle.host, steps=titles, until=until)
    new.rename(state_dir / "open")
    files.sync_folder(state_dir)
    return identity


def _write_json(path: Path, data: Any) -> None:
    files.write_file(str(path), json.dumps(data, indent=1).encode(), 0o600)


def _transaction_data(state_dir: Path, prepared: Prepared, identity: str, lost: list[str]) -> dict[str, Any]:
    """The content of transaction.json. `lost` are the guests' devices that may be disconnected."""
    plan, live = prepared.plan, prepared.live
    macs = {link.mac or "" for nic in plan.bundle.nics if (link := live.find(nic))}
    return {
        "id": identity,
        "version": __version__,
        "host": plan.bundle.host,
        "digest": plan.bundle.digest,
        "backend": prepared.backend,
        "watch": prepared.probes.watch,
        "unit": unit_name(identity),
        "boot": clock.boot_id(),
        "operation": prepared.operation,
        "removes": prepared.original is not None,
        "adopts": sorted(macs - {""} - find_adopted_macs(state_dir)),
        "changes": changes_to_json(plan.changes),
        "lost": lost,
        **({"adopted": list(plan.adopted)} if plan.adopted else {}),
        **({"replaced": dict(plan.replaced)} if plan.replaced else {}),
        "proving": prepared.proving,
        "operator": list(prepared.operator),
        "hints": make_hints(prepared),
        "without_carrier": find_silent_nics(prepared),
        "steps": prepared.steps,
    }


def next_id(state_dir: Path) -> str:
    """An id for a transaction that begins now: date, time and process id. It sorts after all ids in the history, even
    when the clock was set back, because the history is ordered by these names. Two ids differ in their time, because
    process ids have no order."""
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    times = [begun for folder in (state_dir / "history").glob("*") if (begun := _time_of_id(folder.name))]
    now = max([now, *(begun + timedelta(seconds=1) for begun in times)])
    return f"{now.strftime(ID_TIME_FORMAT)}-{os.getpid()}"


def _time_of_id(identity: str) -> Optional[datetime]:
    """The date and time of an id; None when a folder's name is not an id."""
    try:
        return datetime.strptime(identity.rpartition("-")[0], ID_TIME_FORMAT)
    except ValueError:
        return None


def unit_name(identity: str) -> str:
    """The name of a transaction's transient unit."""
    return f"kvmnet-apply-{identity}.service"


def start(state_dir: Path, identity: str) -> None:
    """Start the watchdog and the worker, each as a transient unit. Raises Refused when systemd does not start them, and
    removes the transaction then: nothing was changed."""
    try:
        safeguards.arm(state_dir, identity)
    except Refused:
        shutil.rmtree(state_dir / "open")
        raise
    rollback = shlex.join(state_folder.rescue_command(state_dir, "--after-worker"))
    # /usr/bin/env, because SELinux does not let systemd start a program from a venv or a home directory
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
        f"--property=ExecStopPost={rollback}",
        f"--setenv=PATH={_worker_path()}",
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
            with contextlib.suppress(OSError):  # without an open transaction the watchdog ends by itself
                units.stop_watchdog(identity)
        raise Refused(f"systemd cannot start the worker: {error}", "see `journalctl -xe`", "KVN509") from error


def _worker_path() -> str:
    """The worker's PATH: the system's, and the folder in which this command finds nmstatectl (cargo installs it into a
    home)."""
    nmstatectl = find_nmstatectl()
    return f"{programs.PROGRAM_PATH}:{Path(nmstatectl).parent}" if nmstatectl else programs.PROGRAM_PATH


def cancel(identity: str) -> None:
    """Request a rollback from the worker, as Ctrl-C does."""
    with contextlib.suppress(HostError):
        programs.run("systemctl", "kill", "--signal=INT", "--kill-who=main", unit_name(identity))


def follow(
    journal: TextIO, state_dir: Path, identity: str, show_event: Callable[[dict[str, Any]], None]
) -> Optional[int]:
    """Show each event of the open journal until the transaction has ended. Returns the exit code, or None when the
    worker's unit is gone and the transaction has not ended. The journal can be read further when it is moved to the
    history, and following can go on after an exception."""
    checked = time.monotonic()
    while True:
        position = journal.tell()
        line = journal.readline()
        if line.endswith("\n"):
            try:
                event = json.loads(line)
            except ValueError:  # torn by a full disk
                continue
            show_event(event)
            if event["event"] == "end":
                return KEPT if event["outcome"] == "kept" else ROLLED_BACK
            if event["event"] == "not-verified":
                return NOT_VERIFIED
            continue
        journal.seek(position)  # nothing, or half a line
        if time.monotonic() - checked > WORKER_CHECK_SECONDS:
            checked = time.monotonic()
            is_running = lock.is_locked(state_dir) or units.is_unit_alive(unit_name(identity))
            if not is_running and not journal.read(1):
                return None
            journal.seek(position)
        time.sleep(0.1)


def wait_until_closed(state_dir: Path, identity: str, code: int) -> None:
    """Wait until the next transaction can start. The end is journalled a moment before the transaction is moved to the
    history, and the worker of a removal removes the boot units after that."""
    if code == NOT_VERIFIED:
        return
    clock.wait_until(lambda: not (state_dir / "open").exists(), 10)
    if code == KEPT and files.read_json(state_dir / "history" / identity / "transaction.json").get("removes"):
        clock.wait_until(lambda: not units.is_unit_alive(unit_name(identity)), 30)


def run_rescue_program(state_dir: Path) -> None:
    """Roll back from this process: for when the worker's unit is gone and its ExecStopPost= has not rolled back."""
    command = state_folder.rescue_command(state_dir)
    subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, start_new_session=True)
