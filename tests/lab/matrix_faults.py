"""The faults of the matrix: what happens to a change, each with a look that it did happen."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

from tests.lab import faults, picture, ways
from tests.lab.machine import Job
from tests.lab.matrix_hosts import Bench
from tests.lab.seed import PEER_ADDRESS
from tests.lab.ssh import anew, way_in

MANAGER = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"
#: NM_CHECKPOINT_CREATE_FLAG_ALLOW_OVERLAPPING
OVERLAPPING = 8
#: Seconds, after the deadline that `status` shows, in which the machine must be there again.
PATIENCE = 60
HAPPENED = "/run/lab-happened"
#: Of all the hosts of the matrix.
GATEWAYS = (PEER_ADDRESS, ways.VLAN_PEER, ways.PEER6)

#: How the date changes under a worker that goes on.
CLOCKS = {"clock an hour on, the worker lives": "+1 hour", "clock an hour back, the worker lives": "-1 hour"}

#: What ends a worker, by itself or with all that is left of it.
DEADLY = ("worker killed", "everything killed", "power cut")

Fault = Callable[[Bench, Job], None]
"""Happens to a worker that has stopped at a place; it lets the worker go on, or ends it."""
Story = Callable[[Bench], None]
"""A whole change that goes wrong in its own way."""


def _kill(bench: Bench, job: Job) -> None:
    faults.kill_unit(bench.host, rescue_too=False)


def _kill_all(bench: Bench, job: Job) -> None:
    """The worker, what systemd starts after it, and the command that follows: the watchdog alone is left."""
    job.stop(signal.SIGKILL)
    faults.kill_unit(bench.host, rescue_too=True)


def _power(bench: Bench, job: Job) -> None:
    bench.host.power_cut()
    bench.host.boot()
    bench.host.run("nm-online -s -q -t 60", timeout=90)


def _nm(verb: str) -> Fault:
    def fault(bench: Bench, job: Job) -> None:
        was = bench.host.out("systemctl show -p MainPID --value NetworkManager")
        bench.host.run(verb, timeout=90)
        assert bench.host.out("systemctl show -p MainPID --value NetworkManager") != was, "it is the same process"
        faults.go_on(bench.host)

    return fault


def _frozen_nm(bench: Bench, job: Job) -> None:
    bench.host.run("systemctl kill --signal=STOP NetworkManager")
    state = bench.host.out("cut -d' ' -f3 /proc/$(systemctl show -p MainPID --value NetworkManager)/stat")
    assert state == "T", f"it is not stopped: {state}"
    faults.go_on(bench.host)


def _gone(bench: Bench, job: Job) -> None:
    """kvmnet and its venv are deleted, then the worker dies."""
    bench.host.run("mv /opt/kvmnet /opt/gone")
    try:
        faults.kill_unit(bench.host, rescue_too=False)
        until_closed(bench)
    finally:
        bench.host.run("mv /opt/gone /opt/kvmnet; sync")  # a later power cut must not take it


def _gone_alone(bench: Bench, job: Job) -> None:
    """kvmnet and its venv are deleted, and the worker lives on."""
    bench.host.run("mv /opt/kvmnet /opt/gone")
    try:
        faults.go_on(bench.host)
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
    """The worker lives, and goes on: its deadline is no matter of the date."""

    def fault(bench: Bench, job: Job) -> None:
        left = float(faults.status(bench.host)["left"])
        bench.host.run(f"date -s '{jump}'")
        try:
            assert abs(int(bench.host.out("date +%s")) - time.time()) > 3000, "the clock did not jump"
            told = faults.status(bench.host)
            assert told["works"] and 0 < float(told["left"]) <= left, f"the deadline has moved: {left}, {told}"
            faults.go_on(bench.host)
            until_closed(bench)
            job.wait(60)
        finally:
            bench.host.run(f"date -s @{time.time():.0f}")

    return fault


def _silence(bench: Bench, job: Job) -> None:
    """The gateway is silent from here on; it answers again when all is over."""
    bench.peer.run(bench.silence)
    try:
        for gateway in GATEWAYS:
            answered = bench.host.run(f"ping -c 1 -W 1 {gateway}", check=False)
            assert answered.code != 0, f"the gateway is not silent: {answered.stdout}"
        faults.go_on(bench.host)
        until_closed(bench)
    finally:
        bench.peer.run(bench.wake)


def _full_disk(bench: Bench, job: Job) -> None:
    fill = "dd if=/dev/zero of=/var/filler bs=1M; dd if=/dev/zero of=/var/filler2 bs=1k count=9999; sync"
    bench.host.run(fill, check=False, timeout=240)  # a minute was not enough on a slow machine
    assert int(bench.host.out("df --output=avail -k /var | tail -n 1")) < 8, "the disk is not full"
    try:
        faults.go_on(bench.host)
        until_closed(bench)
    finally:
        bench.host.run("rm -f /var/filler /var/filler2")


def _second_apply(bench: Bench, job: Job) -> None:
    second = bench.host.run("kvmnet apply --yes /root/cluster.yaml", check=False)
    assert second.code == 5, second
    faults.go_on(bench.host)


def _terminal(bench: Bench, job: Job) -> None:
    job.stop(signal.SIGHUP)
    faults.go_on(bench.host)


def _foreign_checkpoint(bench: Bench, job: Job) -> None:
    """Of one that insists: in the trial NetworkManager refuses a second checkpoint over a device otherwise."""
    path = bench.host.out(f"busctl call {MANAGER} CheckpointCreate aouu 0 600 {OVERLAPPING}").split()[-1].strip('"')
    try:
        faults.go_on(bench.host)
        until_closed(bench)
        assert path in picture.checkpoints(bench.host), "another's checkpoint is gone"
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
        with faults.nmstatectl(bench.host, on_apply):
            _undone(bench, bench.apply())

    return story


def _no_show(bench: Bench) -> None:
    """Nothing can be read: nothing is begun."""
    with faults.nmstatectl(bench.host, 'exec $REAL "$@"', show=f"touch {HAPPENED}; echo broken >&2; exit 1"):
        result = bench.host.run(bench.apply(), check=False, timeout=120)
    assert result.code == 5, result
    _happened(bench)
    assert bench.host.run("ls /var/lib/kvmnet/open", check=False).code != 0


def _rename_refused(when: str) -> Story:
    """The kernel's word about a rename (EBUSY), by a program that stands in for `ip`."""

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


def _no_word(bench: Bench) -> None:
    result = bench.host.run(bench.apply("--confirm-within 10"), check=False, timeout=120)
    assert (result.code, "no confirmation" in result.stdout) == (3, True), result
    _in_time(bench)


def _late_word(bench: Bench) -> None:
    ssh = anew(way_in(bench.host, bench.peer, bench.address))
    _no_word(bench)
    word = bench.peer.run(f"{ssh} kvmnet confirm", check=False)
    assert (word.code, "no change is waiting" in word.stderr) == (5, True), word


def _old_word(bench: Bench) -> None:
    ssh = way_in(bench.host, bench.peer, bench.address)
    bench.peer.run(f"{ssh} -M -N -f")
    try:
        job = bench.host.start(bench.apply("--confirm-within 20"))
        bench.host.until("kvmnet status | grep -q 'now: wait for a word'", timeout=90)
        word = bench.peer.run(f"{ssh} kvmnet confirm", check=False)
        assert (word.code, "cannot confirm" in word.stderr) == (5, True), word
        result = job.wait(120)
        assert (result.code, "no confirmation" in result.stdout) == (3, True), result
    finally:
        bench.peer.run(f"{ssh} -O exit", check=False)


def _while_waiting(fault: str) -> Story:
    """The longest step of a change over SSH: until somebody says that it is right."""

    def story(bench: Bench) -> None:
        job = bench.host.start(bench.apply("--confirm-within 30"))
        bench.host.until("kvmnet status | grep -q 'now: wait for a word'", timeout=90)
        FAULTS[fault](bench, job)

    return story


def _behind_the_word(fault: str) -> Story:
    """It has come, and nothing came of it yet."""

    def story(bench: Bench) -> None:
        ssh = anew(way_in(bench.host, bench.peer, bench.address))
        faults.pause(bench.host, bench.places["the commit"], event="done")  # what waits comes in before it
        job = bench.host.start(bench.apply("--confirm-within 60"))
        bench.host.until("kvmnet status | grep -q 'now: wait for a word'", timeout=90)
        word = bench.peer.start(f"{ssh} kvmnet confirm")
        faults.wait_paused(bench.host, job)
        told = [e for e in faults.events(bench.host) if e["event"] in ("do", "done")][-2:]
        assert [e["event"] for e in told] == ["do", "done"] and told[0].get("op") == "confirm", told
        word.stop(signal.SIGKILL)
        FAULTS[fault](bench, job)

    return story


STORIES: dict[str, Story] = {
    "nmstate fails before its work": _nmstate(f"touch {HAPPENED}; echo broken >&2; exit 1"),
    "nmstate fails after its work": _nmstate(f'$REAL "$@"; touch {HAPPENED}; echo broken >&2; exit 1'),
    "nmstate hangs before its work": _nmstate(f"touch {HAPPENED}; exec sleep 600"),
    "nmstate hangs after its work": _nmstate(f'$REAL "$@"; touch {HAPPENED}; exec sleep 600'),
    "nmstate does not do what it says": _nmstate(f"touch {HAPPENED}; {faults.DOES_OTHERWISE}"),
    "nmstate shows nothing": _no_show,
    "rename refused while up": _rename_refused("up"),
    "rename refused up and down": _rename_refused("always"),
    "nobody confirms": _no_word,
    "confirmed too late": _late_word,
    "confirmed from the old connection": _old_word,
    **{f"{fault} while a word is waited for": _while_waiting(fault) for fault in (*DEADLY, *CLOCKS)},
    **{f"{fault} behind the word": _behind_the_word(fault) for fault in DEADLY},
}
#: What the story of a change ends with: as before in all but this one.
KEPT = ("rename refused while up",)


def _undone(bench: Bench, command: str) -> None:
    bench.host.run(f"rm -f {HAPPENED}")
    result = bench.host.run(command, check=False, timeout=240)
    assert result.code == 3, result
    _in_time(bench)
    _happened(bench)


def _in_time(bench: Bench) -> None:
    """The change that has just ended was over at most PATIENCE after the deadline of its last step."""
    told = faults.last_events(bench.host)
    last = [event for event in told if event["event"] == "do"][-1]
    late = told[-1]["at"] - last["at"] - (last["until"] - last["up"])
    assert late < PATIENCE, f"it was over {late:.0f} s after its deadline: {told[-4:]}"


def _happened(bench: Bench) -> None:
    assert bench.host.run(f"test -e {HAPPENED}", check=False).code == 0, "the fault did not happen"


def until_closed(bench: Bench) -> None:
    """The limit is the open step's deadline and PATIENCE after it; without a deadline the undo is at work."""
    host = bench.host
    limit = time.monotonic() + PATIENCE
    told = faults.status(host)
    if told.get("left"):
        limit += max(0.0, float(told["left"]))
    while host.run("test -e /var/lib/kvmnet/open", check=False).code == 0:
        assert time.monotonic() < limit, f"the transaction is still open: {faults.events(host)[-4:]}"
        time.sleep(0.3)
