"""The faults and the stories of the fault matrix. Each checks that it has happened."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

from tests.faults import injection
from tests.faults.hosts import Bench
from tests.machines import host_kinds, picture
from tests.machines.machine import Job
from tests.machines.seed import PEER_ADDRESS
from tests.machines.ssh import anew, way_in

MANAGER = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"
#: NM_CHECKPOINT_CREATE_FLAG_ALLOW_OVERLAPPING
OVERLAPPING = 8
#: Seconds after the deadline that `kvmnet status` shows, within which the transaction must be closed.
PATIENCE = 60
HAPPENED = "/run/lab-happened"
#: The gateways of all hosts of the matrix.
GATEWAYS = (PEER_ADDRESS, host_kinds.VLAN_PEER, host_kinds.PEER6)

#: Changes of the date while the worker continues.
CLOCKS = {"clock an hour on, the worker lives": "+1 hour", "clock an hour back, the worker lives": "-1 hour"}

#: Faults that kill the worker, alone or with other processes.
DEADLY = ("worker killed", "everything killed", "power cut")

Fault = Callable[[Bench, Job], None]
"""Happens while the worker is paused; it lets the worker continue, or ends it."""
Story = Callable[[Bench], None]
"""A whole change that fails in its own way."""


def _kill(bench: Bench, job: Job) -> None:
    injection.kill_unit(bench.host, rescue_too=False)


def _kill_all(bench: Bench, job: Job) -> None:
    """Kill the worker, what systemd starts after it, and the command that follows it, but not the watchdog."""
    job.stop(signal.SIGKILL)
    injection.kill_unit(bench.host, rescue_too=True)


def _power(bench: Bench, job: Job) -> None:
    bench.host.power_cut()
    bench.host.boot()
    bench.host.run("nm-online -s -q -t 60", timeout=90)


def _nm(verb: str) -> Fault:
    def fault(bench: Bench, job: Job) -> None:
        was = bench.host.out("systemctl show -p MainPID --value NetworkManager")
        bench.host.run(verb, timeout=90)
        assert bench.host.out("systemctl show -p MainPID --value NetworkManager") != was, "it is the same process"
        injection.go_on(bench.host)

    return fault


def _frozen_nm(bench: Bench, job: Job) -> None:
    bench.host.run("systemctl kill --signal=STOP NetworkManager")
    state = bench.host.out("cut -d' ' -f3 /proc/$(systemctl show -p MainPID --value NetworkManager)/stat")
    assert state == "T", f"it is not stopped: {state}"
    injection.go_on(bench.host)


def _gone(bench: Bench, job: Job) -> None:
    """Delete kvmnet and its venv, then kill the worker."""
    bench.host.run("mv /opt/kvmnet /opt/gone")
    try:
        injection.kill_unit(bench.host, rescue_too=False)
        until_closed(bench)
    finally:
        bench.host.run("mv /opt/gone /opt/kvmnet; sync")  # a later power cut must not remove it


def _gone_alone(bench: Bench, job: Job) -> None:
    """Delete kvmnet and its venv, and let the worker continue."""
    bench.host.run("mv /opt/kvmnet /opt/gone")
    try:
        injection.go_on(bench.host)
        until_closed(bench)
    finally:
        bench.host.run("mv /opt/gone /opt/kvmnet; sync")


def _clock(jump: str) -> Fault:
    def fault(bench: Bench, job: Job) -> None:
        bench.host.run(f"date -s '{jump}'")
        assert abs(int(bench.host.out("date +%s")) - time.time()) > 80000, "the clock did not jump"
        _kill_all(bench, job)
        until_closed(bench)
        bench.host.run(f"date -s @{time.time():.0f}")

    return fault


def _clock_alone(jump: str) -> Fault:
    """Change the date and let the worker continue: its deadline must not depend on the date."""

    def fault(bench: Bench, job: Job) -> None:
        left = float(injection.status(bench.host)["left"])
        bench.host.run(f"date -s '{jump}'")
        try:
            assert abs(int(bench.host.out("date +%s")) - time.time()) > 3000, "the clock did not jump"
            status = injection.status(bench.host)
            assert status["works"] and 0 < float(status["left"]) <= left, f"the deadline has moved: {left}, {status}"
            injection.go_on(bench.host)
            until_closed(bench)
            job.wait(60)
        finally:
            bench.host.run(f"date -s @{time.time():.0f}")

    return fault


def _silence(bench: Bench, job: Job) -> None:
    """The gateway does not reply until the transaction is closed."""
    bench.peer.run(bench.silence)
    try:
        for gateway in GATEWAYS:
            answered = bench.host.run(f"ping -c 1 -W 1 {gateway}", check=False)
            assert answered.code != 0, f"the gateway is not silent: {answered.stdout}"
        injection.go_on(bench.host)
        until_closed(bench)
    finally:
        bench.peer.run(bench.wake)


def _full_disk(bench: Bench, job: Job) -> None:
    fill = "dd if=/dev/zero of=/var/filler bs=1M; dd if=/dev/zero of=/var/filler2 bs=1k count=9999; sync"
    bench.host.run(fill, check=False, timeout=240)  # a minute was not enough on a slow machine
    assert int(bench.host.out("df --output=avail -k /var | tail -n 1")) < 8, "the disk is not full"
    try:
        injection.go_on(bench.host)
        until_closed(bench)
    finally:
        bench.host.run("rm -f /var/filler /var/filler2")


def _second_apply(bench: Bench, job: Job) -> None:
    second = bench.host.run("kvmnet apply --yes /root/cluster.yaml", check=False)
    assert second.code == 5, second
    injection.go_on(bench.host)


def _terminal(bench: Bench, job: Job) -> None:
    job.stop(signal.SIGHUP)
    injection.go_on(bench.host)


def _foreign_checkpoint(bench: Bench, job: Job) -> None:
    """Create an overlapping checkpoint: without this flag NetworkManager rejects a second one during the trial."""
    path = bench.host.out(f"busctl call {MANAGER} CheckpointCreate aouu 0 600 {OVERLAPPING}").split()[-1].strip('"')
    try:
        injection.go_on(bench.host)
        until_closed(bench)
        assert path in picture.checkpoints(bench.host), "the checkpoint of the other tool is gone"
    finally:
        bench.host.run(f"busctl call {MANAGER} CheckpointDestroy o {path}", check=False)


def _rollback(bench: Bench, job: Job) -> None:
    result = bench.host.run("kvmnet rollback", check=False, timeout=120)
    assert result.code == 0, result


FAULTS: dict[str, Fault] = {
    "worker killed": _kill,
    "everything killed": _kill_all,
    "power cut": _power,
    "NetworkManager stopped": _nm("systemctl stop NetworkManager"),
    "NetworkManager killed": _nm("systemctl kill --signal=KILL NetworkManager; sleep 1"),
    "NetworkManager restarted": _nm("systemctl restart NetworkManager"),
    "NetworkManager frozen": _frozen_nm,
    "kvmnet deleted": _gone,
    "kvmnet deleted, the worker lives": _gone_alone,
    "clock a day on": _clock("+1 day"),
    "clock a year back": _clock("-1 year"),
    **{fault: _clock_alone(jump) for fault, jump in CLOCKS.items()},
    "gateway silent": _silence,
    "disk full": _full_disk,
    "a second apply": _second_apply,
    "terminal gone": _terminal,
    "foreign checkpoint": _foreign_checkpoint,
    "rollback asked for": _rollback,
}


def _nmstate(on_apply: str) -> Story:
    def story(bench: Bench) -> None:
        with injection.nmstatectl(bench.host, on_apply):
            _undone(bench, bench.apply())

    return story


def _no_show(bench: Bench) -> None:
    """The state cannot be read, so no transaction begins."""
    with injection.nmstatectl(bench.host, 'exec $REAL "$@"', show=f"touch {HAPPENED}; echo broken >&2; exit 1"):
        result = bench.host.run(bench.apply(), check=False, timeout=120)
    assert result.code == 5, result
    _happened(bench)
    assert bench.host.run("ls /var/lib/kvmnet/open", check=False).code != 0


def _rename_refused(when: str) -> Story:
    """A replacement of `ip` answers EBUSY to a rename, as the kernel would."""

    def story(bench: Bench) -> None:
        with _ip(bench, when):
            result = bench.host.run(bench.apply(), check=False, timeout=240)
            assert result.code == (0 if when == "up" else 3), result
        _in_time(bench)
        _happened(bench)

    return story


@contextlib.contextmanager
def _ip(bench: Bench, when: str) -> Iterator[None]:
    up = "[ $(( $(cat /sys/class/net/$4/flags) & 1 )) = 1 ]" if when == "up" else "true"
    lines = [
        "#!/bin/bash",
        f'if [ "$1 $2 $3 $5" = "link set dev name" ] && {up}; then',
        f"  touch {HAPPENED}; echo 'RTNETLINK answers: Device or resource busy' >&2; exit 2",
        "fi",
        'exec "$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v ip)" "$@"',
        "",
    ]
    bench.host.run(f"rm -f {HAPPENED}")
    bench.host.put("/usr/local/sbin/ip", "\n".join(lines), mode=0o755)
    try:
        yield
    finally:
        bench.host.run("rm -f /usr/local/sbin/ip")


def _not_confirmed(bench: Bench) -> None:
    result = bench.host.run(bench.apply("--confirm-within 10"), check=False, timeout=120)
    assert (result.code, "no confirmation" in result.stdout) == (3, True), result
    _in_time(bench)


def _confirmed_late(bench: Bench) -> None:
    ssh = anew(way_in(bench.host, bench.peer, bench.address))
    _not_confirmed(bench)
    word = bench.peer.run(f"{ssh} kvmnet confirm", check=False)
    assert (word.code, "no change is waiting" in word.stderr) == (5, True), word


def _confirmed_from_old_connection(bench: Bench) -> None:
    ssh = way_in(bench.host, bench.peer, bench.address)
    bench.peer.run(f"{ssh} -M -N -f")
    try:
        job = bench.host.start(bench.apply("--confirm-within 20"))
        bench.host.until("kvmnet status | grep -q 'now: wait for `kvmnet confirm`'", timeout=90)
        word = bench.peer.run(f"{ssh} kvmnet confirm", check=False)
        assert (word.code, "cannot confirm" in word.stderr) == (5, True), word
        result = job.wait(120)
        assert (result.code, "no confirmation" in result.stdout) == (3, True), result
    finally:
        bench.peer.run(f"{ssh} -O exit", check=False)


def _while_waiting(fault: str) -> Story:
    """The fault happens while the change waits for confirmation, its longest step over SSH."""

    def story(bench: Bench) -> None:
        job = bench.host.start(bench.apply("--confirm-within 30"))
        bench.host.until("kvmnet status | grep -q 'now: wait for `kvmnet confirm`'", timeout=90)
        FAULTS[fault](bench, job)

    return story


def _after_confirmation(fault: str) -> Story:
    """The fault happens after the confirmation, before the next step."""

    def story(bench: Bench) -> None:
        ssh = anew(way_in(bench.host, bench.peer, bench.address))
        injection.pause(bench.host, bench.places["the commit"], event="done")  # what waits comes in before it
        job = bench.host.start(bench.apply("--confirm-within 60"))
        bench.host.until("kvmnet status | grep -q 'now: wait for `kvmnet confirm`'", timeout=90)
        word = bench.peer.start(f"{ssh} kvmnet confirm")
        injection.wait_paused(bench.host, job)
        events = [e for e in injection.events(bench.host) if e["event"] in ("do", "done")][-2:]
        assert [e["event"] for e in events] == ["do", "done"] and events[0].get("op") == "confirm", events
        word.stop(signal.SIGKILL)
        FAULTS[fault](bench, job)

    return story


STORIES: dict[str, Story] = {
    "nmstate fails before its work": _nmstate(f"touch {HAPPENED}; echo broken >&2; exit 1"),
    "nmstate fails after its work": _nmstate(f'$REAL "$@"; touch {HAPPENED}; echo broken >&2; exit 1'),
    "nmstate hangs before its work": _nmstate(f"touch {HAPPENED}; exec sleep 600"),
    "nmstate hangs after its work": _nmstate(f'$REAL "$@"; touch {HAPPENED}; exec sleep 600'),
    "nmstate applies another state": _nmstate(f"touch {HAPPENED}; {injection.APPLIES_ANOTHER_STATE}"),
    "nmstate shows nothing": _no_show,
    "rename refused while up": _rename_refused("up"),
    "rename refused up and down": _rename_refused("always"),
    "nobody confirms": _not_confirmed,
    "confirmed too late": _confirmed_late,
    "confirmed from the old connection": _confirmed_from_old_connection,
    **{f"{fault} while waiting for confirmation": _while_waiting(fault) for fault in (*DEADLY, *CLOCKS)},
    **{f"{fault} after the confirmation": _after_confirmation(fault) for fault in DEADLY},
}
#: Stories that end with the change kept; all others are rolled back.
KEPT = ("rename refused while up",)


def _undone(bench: Bench, command: str) -> None:
    bench.host.run(f"rm -f {HAPPENED}")
    result = bench.host.run(command, check=False, timeout=240)
    assert result.code == 3, result
    _in_time(bench)
    _happened(bench)


def _in_time(bench: Bench) -> None:
    """Assert that the last transaction ended at most PATIENCE after the deadline of its last step."""
    events = injection.last_events(bench.host)
    last = [event for event in events if event["event"] == "do"][-1]
    late = events[-1]["at"] - last["at"] - (last["until"] - last["up"])
    assert late < PATIENCE, f"it ended {late:.0f} s after its deadline: {events[-4:]}"


def _happened(bench: Bench) -> None:
    assert bench.host.run(f"test -e {HAPPENED}", check=False).code == 0, "the fault did not happen"


def until_closed(bench: Bench) -> None:
    """Wait until no transaction is open, at most PATIENCE after the deadline of the current step, if there is one."""
    host = bench.host
    limit = time.monotonic() + PATIENCE
    status = injection.status(host)
    if status.get("left"):
        limit += max(0.0, float(status["left"]))
    while host.run("test -e /var/lib/kvmnet/open", check=False).code == 0:
        assert time.monotonic() < limit, f"the transaction is still open: {injection.events(host)[-4:]}"
        time.sleep(0.3)
