"""The rescue program's command line.

    /usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz            roll the open transaction back
    /usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz --status   print its journal, change nothing
    /usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz --accept   close a transaction whose rollback could not be verified

Exit codes: 0 no transaction was open, or it was already kept; 3 rolled back and verified; 4 rolled back, but
verification failed: manual action required; 1 the options or the user's permissions do not allow it.

It is run by the worker when a step fails, by systemd when the worker was killed (ExecStopPost=), by a timer while a
transaction is open (--watchdog), by a unit before NetworkManager at boot (--boot) and by one after it (--booted), and
by an administrator. All modules are imported at the start: the file may be replaced while the watchdog runs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path

from kvmnet.rescue import BYTE_CODE, SOURCES, closing, comparison, repair_commands, rollback, watchdog
from kvmnet.system import clock, files, journal, lock, state_folder, units
from kvmnet.system.journal import Journal
from kvmnet.system.terminal_text import escape_line
from kvmnet.system.types import Json

#: Signals that must not end or stop a rollback. It may be run in an SSH session over the NIC that it sets down. Ctrl-Z,
#: or access to the terminal from the background, would stop it with the lock held.
_IGNORED_SIGNALS = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)


def main() -> int:
    """Run the rescue program; return its exit code."""
    os.umask(0o022)
    options = _parse_arguments()
    state_dir = Path(options.state)
    _accept_any_bytes()
    if options.self_test:
        print(BYTE_CODE if __file__.endswith(".pyc") else SOURCES)
        return 0
    if options.extract:
        return _extract(Path(options.extract))
    if options.watchdog and not (state_dir / "open").is_dir():
        units.stop_watchdog(options.watchdog)  # closed before, when its timer could not be stopped
    if not (state_dir / "open").is_dir():
        print("kvmnet: no transaction is open")
        return 0
    if options.status:
        for event in Journal(state_dir / "open").events():
            print(json.dumps(event))
        return 0
    if os.geteuid() != 0:
        print("kvmnet: only root can roll back a transaction: run this as root", file=sys.stderr)
        return 1
    if options.watchdog:
        _ignore_signals()
        return watchdog.watch_over(state_dir, options.watchdog)
    transaction = files.read_json(state_dir / "open" / "transaction.json")
    if options.booted and transaction.get("boot") == clock.boot_id():
        return 0  # it began after this boot: its worker and its watchdog are responsible
    return _act_under_lock(state_dir, transaction, options)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Roll the open kvmnet transaction back: restore the network as it was before the change.",
        epilog="Exit codes: 0 no transaction is open; 3 rolled back and verified; 4 rolled back, verification failed.",
    )
    parser.add_argument(
        "--state", default=state_folder.STATE_FOLDER, help="the state folder of kvmnet (default: %(default)s)"
    )
    parser.add_argument("--status", action="store_true", help="print the journal of the open transaction and exit")
    parser.add_argument(
        "--accept", action="store_true", help="close a transaction whose rollback could not be verified; change nothing"
    )
    parser.add_argument(
        "--extract", metavar="DIR", help="write the sources of this program to a folder, to read or run them, and exit"
    )
    parser.add_argument(
        "--self-test", action="store_true", help="print whether the program runs from byte code or sources, and exit"
    )
    parser.add_argument("--after-worker", action="store_true", help="used by the worker's unit: roll back only once")
    parser.add_argument("--watchdog", metavar="ID", help="used by the timer: watch a transaction until it is closed")
    parser.add_argument(
        "--boot", action="store_true", help="used at boot before NetworkManager: restore files and names only"
    )
    parser.add_argument(
        "--booted",
        action="store_true",
        help="used at boot after NetworkManager: ignore a transaction that was started after this boot",
    )
    parser.add_argument("--why", default="run by hand", help="the reason, for the journal (default: %(default)s)")
    return parser.parse_args()


def _extract(folder: Path) -> int:
    from kvmnet.rescue import archive  # here: zipfile takes a third of the start-up time, and no rollback needs it

    program = Path(sys.argv[0])
    if not program.is_file():
        print(f"kvmnet: {program} is not an archive: run rescue.pyz with --extract", file=sys.stderr)
        return 1
    try:
        names = archive.extract_sources(str(program), folder)
    except OSError as error:
        print(f"kvmnet: {folder} cannot be written: {error}", file=sys.stderr)
        return 1
    print(f"kvmnet: wrote {len(names)} files; run them with: /usr/bin/python3 -I {folder}")
    return 0


def _act_under_lock(state_dir: Path, transaction: Json, options: argparse.Namespace) -> int:
    """Wait for the lock, then roll this transaction back or accept it; return the exit code."""
    if lock.is_locked(state_dir):
        with contextlib.suppress(OSError):  # the terminal may be gone
            _print_wait_notice(state_dir, transaction)
    with lock.hold_lock(state_dir):
        if files.read_json(state_dir / "open" / "transaction.json").get("id") != transaction.get("id"):
            print("kvmnet: the transaction has already ended")
            return 0
        _ignore_signals()
        was_tried = any(e["event"] == "not-verified" for e in Journal(state_dir / "open").events())
        if options.accept:
            return closing.accept_host_state(state_dir, was_tried)
        if options.after_worker:
            if was_tried:
                return 4
            options.why = "the worker was killed"
        code = rollback.roll_back(state_dir, options.why, booting=options.boot)
    if options.boot:
        return 0  # the run after NetworkManager verifies and reports
    with contextlib.suppress(OSError):  # the terminal may be gone
        _print_result(state_dir, code)
    return code


def _ignore_signals() -> None:
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _print_wait_notice(state_dir: Path, transaction: Json) -> None:
    """Print what the program waits for, and how to end the wait."""
    unit = transaction.get("unit")
    seconds = max(journal.deadline(Journal(state_dir / "open").events()) - clock.uptime(), 0)
    print(f"kvmnet: waiting for {unit}, which works on the transaction; its current step may take {seconds:.0f} s more")
    print(f"kvmnet: to roll back now: kvmnet rollback, or systemctl kill --kill-who=main --signal=INT {unit}")
    sys.stdout.flush()


def _accept_any_bytes() -> None:
    """Print characters that the terminal's encoding does not have in escaped form, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _print_result(state_dir: Path, code: int) -> None:
    if code == 4:
        print("kvmnet: rolled back, but verification failed: manual action required", file=sys.stderr)
        before = files.read_json(state_dir / "open" / "snapshot.json")
        if not before:
            return  # closed: after a boot nothing more can be restored
        print("Differences from the state before the change:", file=sys.stderr)
        print("\n".join("  " + escape_line(line) for line in comparison.find_differences(before)), file=sys.stderr)
        if commands := repair_commands.find_repair_commands(before, state_dir):
            print("\n".join(["Repair commands:", *("  " + escape_line(line) for line in commands)]), file=sys.stderr)
        print(
            "Fix the differences, then run this command again. To keep the host as it is, add --accept.",
            file=sys.stderr,
        )
    else:
        print(
            "kvmnet: "
            + ("rolled back and verified: the host is as before the change" if code == 3 else "nothing to roll back")
        )


if __name__ == "__main__":
    sys.exit(main())
