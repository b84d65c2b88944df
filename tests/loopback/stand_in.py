"""A stand-in for kvmnet on a host: it keeps a state folder and prints kvmnet's events, and changes no network.

The confirmation is as strict as kvmnet's about the connection: its age is that of the real sshd process. Files in the
state folder say what goes wrong, one behaviour each:

    cut        the connection that started the change is lost at the trial
    cut-early  it is lost before the transaction's ID has arrived
    broken     the change fails and is rolled back
    silent     the host cannot be reached after the change: nothing listens, so the confirmation does not come
    refused    the change is refused
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kvmnet.host.operator_connection import find_ssh_connection
from kvmnet.system import clock

STATE = Path(os.environ["STAND_IN"])
OPEN, HISTORY, APPLIED = STATE / "open.json", STATE / "history.json", STATE / "applied.json"
STEPS = ["apply the state as a trial", "wait for the confirmation", "save"]


def say(event: str, **fields: Any) -> None:
    """Print an event; nobody may read it."""
    try:
        print(json.dumps({"event": event, **fields}), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def read(path: Path, default: Any) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text()) if path.exists() else default


def write(path: Path, value: Any) -> None:
    """Write a JSON file in one step."""
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(value))
    new.replace(path)


def option(name: str, default: str = "") -> str:
    """Return the value of an option of the command line."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def fail(code: str, reason: str, exit_code: int = 5) -> int:
    """Print a failure and return its exit code."""
    say("failed", code=code, reason=reason, hint=None, exit=exit_code)
    print(f"kvmnet: {code}: {reason}", file=sys.stderr)
    return exit_code


def digest() -> str:
    """Return the digest of the given bundle."""
    index: dict[str, str] = json.loads((Path(option("--bundle")) / "bundle.json").read_text())
    return index["digest"]


def plan() -> int:
    """Compare the bundle with what is applied."""
    wanted = digest()
    changes = [] if read(APPLIED, {}).get("digest") == wanted else [{"what": "change", "name": "eth0"}]
    if "--json" in sys.argv:
        print(json.dumps({"host": "h", "changes": changes}, indent=2))
    else:
        print("change eth0" if changes else "no change")
    return 6 if changes and "--exit-code" in sys.argv else 0


def start(wanted: str, operation: str) -> int:
    """Begin a change, and follow it as `kvmnet apply` does."""
    if (STATE / "refused").exists():
        return fail("KVN550", "a refusal of the test")
    identity = f"T{len(read(HISTORY, [])) + 1}-{os.getpid()}"
    seconds = int(option("--confirm-within", "20"))
    write(OPEN, {"id": identity, "step": 0, "since": None, "digest": wanted, "operation": operation})
    subprocess.Popen(
        [sys.executable, __file__, "work", identity, str(seconds)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    say("plan", changes=[{}])
    return follow(identity)


def follow(identity: str) -> int:
    """Print the events of a transaction until it has ended."""
    if (STATE / "cut-early").exists():
        time.sleep(0.3)
        cut_connection()
    say("begin", at=1.0, up=1.0, id=identity, host="h", steps=STEPS)
    shown = -1
    while True:
        opened = read(OPEN, {})
        if opened.get("id") == identity and opened["step"] > shown:
            shown = opened["step"]
            say("do", at=2.0 + shown, up=2.0, step=shown, op=["apply", "confirm", "save"][shown], title=STEPS[shown],
                seconds=20)  # fmt: skip
            if shown == 0 and (STATE / "cut").exists():
                (STATE / "cut").unlink()
                time.sleep(0.3)
                cut_connection()
        ended = [row for row in read(HISTORY, []) if row["id"] == identity]
        if ended:
            code = 0 if ended[0]["outcome"] == "kept" else 3
            say("result", exit=code, away=0.0, away_at_most=0.0)
            return code
        time.sleep(0.05)


def cut_connection() -> None:
    """Kill the sshd of this connection, as a lost network ends it."""
    pid = os.getpid()
    while pid > 1:
        stat = Path(f"/proc/{pid}/stat").read_text()
        name, parent = stat[stat.index("(") + 1 : stat.rindex(")")], int(stat[stat.rindex(")") :].split()[2])
        if name.startswith("sshd"):
            os.kill(pid, signal.SIGKILL)
            return
        pid = parent


def work(identity: str, seconds: int) -> int:
    """The worker: the trial, the wait for the confirmation, the end."""
    opened = read(OPEN, {})
    time.sleep(0.5)
    outcome = "rolled back"
    if not (STATE / "broken").exists():
        write(OPEN, {**opened, "step": 1, "since": clock.uptime()})
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (STATE / "confirmed.json").exists():
            time.sleep(0.05)
            if (STATE / "cancelled").exists():
                break
        if (STATE / "confirmed.json").exists():
            outcome = "kept"
            write(APPLIED, {"host": "h", "digest": opened["digest"], "by": read(STATE / "confirmed.json", {})})
            (STATE / "confirmed.json").unlink()
    row = {"id": identity, "at": time.time(), "outcome": outcome, "verified": outcome != "kept" or None}
    write(HISTORY, [*read(HISTORY, []), {**row, "host": "h", "operation": opened["operation"]}])
    OPEN.unlink()
    (STATE / "cancelled").unlink(missing_ok=True)
    return 0


def confirm() -> int:
    """Confirm the open change, over a connection that is younger than it."""
    opened = read(OPEN, {})
    if not opened or opened["since"] is None or opened["id"] != option("--transaction"):
        return fail("KVN560", "no change is waiting")
    connection = find_ssh_connection()
    if connection is None or connection.opened < opened["since"]:
        return fail("KVN561", "this connection was opened before the change")
    if (STATE / "silent").exists():
        cut_connection()
        time.sleep(60)
    write(STATE / "confirmed.json", {"address": connection.address, "opened": connection.opened})
    return follow(opened["id"])


def rollback() -> int:
    """Roll back the open change, or start a new one that goes back."""
    opened = read(OPEN, {})
    if not opened:
        return start("before", "rollback")
    (STATE / "cancelled").touch()
    return 0 if follow(opened["id"]) == 3 else 4


def status() -> int:
    """Print what is open and applied."""
    opened, applied, history = read(OPEN, None), read(APPLIED, None), read(HISTORY, [])
    report = {"open": opened and {**opened, "works": True}, "applied": applied, "drift": []}
    print(json.dumps({**report, "last": history[-1] if history else None}, indent=2))
    return 0


def main() -> int:
    """Run one command."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "calls").open("a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\n")
    command = sys.argv[1]
    if command == "work":
        return work(sys.argv[2], int(sys.argv[3]))
    if command == "history":
        print(json.dumps(read(HISTORY, []), indent=2))
        return 0
    if command == "remove":
        return start("", "remove")
    if command == "--version":
        print("kvmnet stand-in")
        return 0
    apply = lambda: start(digest(), "apply") if plan_differs() else nothing()  # noqa: E731
    commands = {"plan": plan, "apply": apply, "confirm": confirm, "rollback": rollback, "status": status}
    return commands[command]()


def plan_differs() -> bool:
    """Whether the bundle differs from what is applied."""
    return bool(read(APPLIED, {}).get("digest") != digest())


def nothing() -> int:
    """End an apply that changes nothing."""
    say("result", exit=0, outcome="nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
