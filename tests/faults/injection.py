"""Faults that a test causes on a machine: a nmstatectl that fails or hangs, a worker that is paused or killed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Optional

from tests.machines.machine import Job, Machine

PROGRAM = "/usr/local/bin/nmstatectl"
REAL = "/usr/local/bin/nmstatectl.real"
#: For `nmstatectl`: it applies another state than the given one.
APPLIES_ANOTHER_STATE = """sed 's/"stp": {"enabled": false}/"stp": {"enabled": true}/' | $REAL "$@\""""


@contextmanager
def nmstatectl(machine: Machine, on_apply: str, show: str = "true") -> Iterator[None]:
    """Make `nmstatectl apply` run these shell lines instead; $REAL is the real program, "$@" its arguments.

    The lines of `show` run before `nmstatectl show`.
    """
    machine.run(f"cp -n {PROGRAM} {REAL}")
    lines = ["#!/bin/bash", f"REAL={REAL}", f'if [ "$1" = show ]; then {show}; fi']
    lines += ['if [ "$1" != apply ]; then exec $REAL "$@"; fi', on_apply, ""]
    machine.put(PROGRAM + ".new", "\n".join(lines), mode=0o755)
    machine.run(f"mv {PROGRAM}.new {PROGRAM}")
    try:
        yield
    finally:
        machine.run(f"mv {REAL} {PROGRAM}; sync")  # a later power cut must not remove the program


def wait_for_step(machine: Machine, title: str, *, timeout: float = 60) -> None:
    """Wait until the open transaction has begun the step with this title."""
    machine.until(f"grep -q '\"do\".*{title}' /var/lib/kvmnet/open/journal.jsonl", timeout=timeout, every=0.1)


PAUSE = "/run/lab-pause.json"
REACHED = "/run/lab-pause.reached"
GO = "/run/lab-pause.go"
_PAUSE = """
import json, os, sys, time
def pause():
    words = getattr(sys, "orig_argv", sys.argv)
    if "kvmnet.transaction.worker" not in words or not os.path.exists("/run/lab-pause.json"):
        return
    with open("/run/lab-pause.json") as file:
        wanted = json.load(file)
    from kvmnet.system.journal import Journal
    append = Journal.append
    def paused(self, event, **fields):
        append(self, event, **fields)
        if event == wanted["event"] and fields.get("step") == wanted["step"]:
            os.unlink("/run/lab-pause.json")
            open("/run/lab-pause.reached", "w").close()
            end = time.monotonic() + wanted["seconds"]
            while time.monotonic() < end and not os.path.exists("/run/lab-pause.go"):
                time.sleep(0.05)
    Journal.append = paused
pause()
"""


def pause(machine: Machine, step: Optional[int], *, event: str = "do", seconds: float = 600) -> None:
    """Pause the next worker right after this event of its journal is on disk, before its next action.

    A .pth file adds this to the Python of kvmnet on the machine: kvmnet itself has no such feature.
    """
    packages = machine.out("echo /opt/kvmnet/lib/python3*/site-packages")
    machine.put(f"{packages}/lab_pause.py", _PAUSE)
    machine.put(f"{packages}/lab_pause.pth", "import lab_pause\n")
    machine.run(f"rm -f {REACHED} {GO}")
    machine.put(PAUSE, json.dumps({"event": event, "step": step, "seconds": seconds}))


def wait_paused(machine: Machine, job: Job, *, timeout: float = 120) -> None:
    """Wait until the worker has paused as `pause` requested. The command must not end before."""
    limit = time.monotonic() + timeout
    while machine.run(f"test -e {REACHED}", check=False).code:
        assert job.running, f"the command ended before: {job.wait()}"
        assert time.monotonic() < limit, f"the worker does not pause: {job.output()}"
        time.sleep(0.1)


def go_on(machine: Machine) -> None:
    """Let the paused worker continue."""
    machine.run(f"touch {GO}")


def status(machine: Machine) -> dict[str, Any]:
    """Return what `kvmnet status` reports of the open transaction; empty when there is none, or no kvmnet."""
    text = machine.run("kvmnet status --json", check=False).stdout
    with suppress(ValueError, AttributeError):
        return dict(json.loads(text)["open"] or {})
    return {}


def events(machine: Machine) -> list[dict[str, Any]]:
    """Return the journal of the open transaction."""
    text = machine.run("cat /var/lib/kvmnet/open/journal.jsonl", check=False).stdout
    return [json.loads(line) for line in text.splitlines()] or [{"event": "none"}]


def last_events(machine: Machine) -> list[dict[str, Any]]:
    """Return the journal of the transaction that ended last, also when the clock has jumped."""
    script = """
import glob, json, time
ended = [open(path).read().splitlines() for path in glob.glob("/var/lib/kvmnet/history/*/journal.jsonl")]
print("\\n".join(min(ended, key=lambda lines: abs(json.loads(lines[-1])["at"] - time.time()))))
"""
    return [json.loads(line) for line in machine.out(["/usr/bin/python3", "-c", script]).splitlines()]


def kill_unit(machine: Machine, *, rescue_too: bool) -> None:
    """Send SIGKILL to the processes of the worker's unit; with `rescue_too` also to what systemd starts after it."""
    script = """
import glob, os, signal, sys, time
end = time.time() + (6 if sys.argv[1] == "all" else 0)
killed = 0
while True:
    for path in glob.glob("/sys/fs/cgroup/system.slice/kvmnet-apply-*.service/cgroup.procs"):
        try:
            pids = [int(line) for line in open(path)]
        except OSError:
            continue
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            except OSError:
                pass
    if time.time() > end:
        break
    time.sleep(0.002)
print(killed)
"""
    killed = machine.out(["/usr/bin/python3", "-c", script, "all" if rescue_too else "once"])
    assert int(killed) > 0, "there was no process of the unit to kill"


def in_background(machine: Machine, command: str, title: str) -> Job:
    """Start a command and wait until its transaction has begun a step."""
    job = machine.start(command)
    try:
        wait_for_step(machine, title)
    except Exception:
        time.sleep(0.1)
        raise AssertionError(f"the step '{title}' did not begin: {job.stop()}") from None
    return job


def reopen_last(machine: Machine) -> None:
    """Open the last transaction again, as if it had been interrupted before the event that the change is kept."""
    units = "'kvmnet-apply-*' 'kvmnet-watchdog-*'"  # a watchdog that still runs would roll it back
    machine.until(f"! systemctl list-units --all --no-legend {units} | grep -q .")
    machine.run(
        "cd /var/lib/kvmnet && mv history/$(ls history | tail -n 1) open && "
        """sed -i '/"event": "kept"/d; /"event": "end"/d' open/journal.jsonl"""
    )
