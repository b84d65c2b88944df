"""The rescue program's command line.

    /usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz            roll the open transaction back
    /usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz --status   print its journal, change nothing
    /usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz --accept   rolled back, not verified: close it, the host is right

Exit codes: 0 no transaction was open; 3 rolled back and verified; 4 rolled back, verification failed: manual action
required.

It is called by the worker when a step fails; by systemd when the worker was killed (ExecStopPost=); by a timer while a
transaction is open (--watchdog); by a unit before NetworkManager at boot (--boot) and by one after it (--booted); by an
administrator. All modules are imported when it starts: the file may be replaced while the watchdog runs.
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
from kvmnet.system.types import Json

#: An undo may be run over the very NIC that it takes down; and Ctrl-Z, or a question or a word of a program in the
#: background to the terminal, would stop it for ever, with the lock held.
_IGNORED_SIGNALS = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Undo an open kvmnet transaction.")
    parser.add_argument(
        "--state", default=state_folder.STATE_FOLDER, help="where kvmnet keeps its state (default: %(default)s)"
    )
    parser.add_argument("--status", action="store_true", help="say what is open, change nothing")
    parser.add_argument("--accept", action="store_true", help="close what was undone but not verified")
    parser.add_argument("--extract", metavar="DIR", help="write this program's sources to a folder, to be read or run")
    parser.add_argument("--self-test", action="store_true", help="print what the program runs from, change nothing")
    parser.add_argument("--after-worker", action="store_true", help="for the unit: leave alone what was tried")
    parser.add_argument("--watchdog", metavar="ID", help="for the timer: undo it once nobody works on it")
    parser.add_argument("--boot", action="store_true", help="for the unit before NetworkManager: files and names")
    parser.add_argument("--booted", action="store_true", help="for the unit after it: not one of this boot")
    parser.add_argument("--why", default="run by hand", help="the reason that the journal shall give")
    options = parser.parse_args()
    state_dir = Path(options.state)
    _accept_any_bytes()
    if options.self_test:
        print(BYTE_CODE if __file__.endswith(".pyc") else SOURCES)
        return 0
    if options.extract:
        return _extract(Path(options.extract))
    if options.watchdog and not (state_dir / "open").is_dir():
        units.stop_watchdog(options.watchdog)  # it was closed, and the timer could not be stopped then
    if not (state_dir / "open").is_dir():
        print("kvmnet: no transaction is open")
        return 0
    if options.status:
        for event in Journal(state_dir / "open").events():
            print(json.dumps(event))
        return 0
    if os.geteuid() != 0:
        print("kvmnet: only root can undo a transaction", file=sys.stderr)
        return 1
    if options.watchdog:
        _ignore_signals()
        return watchdog.watch_over(state_dir, options.watchdog)
    begun = files.read_json(state_dir / "open" / "transaction.json")
    if options.booted and begun.get("boot") == clock.boot_id():
        return 0  # begun since the machine is up: in other hands
    return _act_under_lock(state_dir, begun, options)


def _extract(folder: Path) -> int:
    from kvmnet.rescue import archive  # here: zipfile costs a third of the start, and no rollback needs it

    program = Path(sys.argv[0])
    if not program.is_file():
        print(f"kvmnet: {program} is not an archive; run this with the rescue program itself", file=sys.stderr)
        return 1
    try:
        names = archive.extract_sources(str(program), folder)
    except OSError as error:
        print(f"kvmnet: {folder} cannot be written: {error}", file=sys.stderr)
        return 1
    print(f"kvmnet: {len(names)} files written; run them by: /usr/bin/python3 -I {folder}")
    return 0


def _act_under_lock(state_dir: Path, begun: Json, options: argparse.Namespace) -> int:
    """Undo, or accept, the transaction that `begun` is the beginning of, when nobody else works on it any more."""
    if lock.is_locked(state_dir):
        with contextlib.suppress(OSError):  # the terminal may be gone
            _print_wait_notice(state_dir, begun)
    with lock.hold_lock(state_dir):
        if files.read_json(state_dir / "open" / "transaction.json").get("id") != begun.get("id"):
            print("kvmnet: that transaction has ended meanwhile")
            return 0
        _ignore_signals()
        tried = any(e["event"] == "not-verified" for e in Journal(state_dir / "open").events())
        if options.accept:
            return closing.accept_host_state(state_dir, tried)
        if options.after_worker:
            if tried:
                return 4
            options.why = "the process that did the work was killed"
        code = rollback.roll_back(state_dir, options.why, booting=options.boot)
    if options.boot:
        return 0  # what is left is told by the one that verifies
    with contextlib.suppress(OSError):  # the terminal may be gone
        _print_result(state_dir, code)
    return code


def _ignore_signals() -> None:
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _print_wait_notice(state_dir: Path, transaction: Json) -> None:
    """To a person who waits for the lock now, and may be in a hurry."""
    unit, left = transaction.get("unit"), journal.deadline(Journal(state_dir / "open").events()) - clock.uptime()
    print(f"kvmnet: {unit} works on it, and is waited for; its step may take {max(left, 0):.0f} s more.")
    print(f"kvmnet: to have it undone now: kvmnet rollback, or systemctl kill --kill-who=main --signal=INT {unit}")
    sys.stdout.flush()


def _accept_any_bytes() -> None:
    """What a name or a profile's id has in it must not end us when it is told."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _print_result(state_dir: Path, code: int) -> None:
    if code == 4:
        print("kvmnet: undone, but the machine is not as it was:", file=sys.stderr)
        before = files.read_json(state_dir / "open" / "snapshot.json")
        if not before:
            return  # closed: after a boot nothing more can be given back
        print("\n".join("  " + line for line in comparison.find_differences(before)), file=sys.stderr)
        if commands := repair_commands.repair_commands(before, state_dir):
            print("\n".join(["What would mend it:", *("  " + line for line in commands)]), file=sys.stderr)
        print("Mend that, then run this again; or, if it is right as it is, run it with --accept.", file=sys.stderr)
    else:
        print("kvmnet: " + ("undone; the machine is as it was before" if code == 3 else "nothing to undo"))


if __name__ == "__main__":
    sys.exit(main())
