"""What holds when the worker, the session, the power or kvmnet itself is gone; and the way back to the beginning."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import faults, picture
from tests.lab.machine import Machine, Result
from tests.lab.outage import pings, reachable
from tests.lab.seed import PROFILE
from tests.lab.ssh import anew, way_in
from tests.lab.test_undo import TRIAL, apply, same

#: A service that only takes its time, and notes when it was done.
LATE = """[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'sleep 20; cut -d" " -f1 /proc/uptime > /run/lab-late'
"""
WORD = "wait for a word"
#: What of a picture a boot leaves as it was, where kvmnet's profiles are.
SEEN = ("links", "addresses", "routes", "zones", "profiles", "servers", "settings", "hostname", "checkpoints")
GUARDED_UNITS = "systemctl list-units --all --no-legend 'kvmnet-watchdog-*' 'kvmnet-apply-*'"


@pytest.fixture
def before(host: Machine, definition: str) -> dict[str, Any]:
    """The machine as it is before each test, and must be again."""
    host.put("/root/cluster.yaml", definition)
    return picture.whole(host)


@pytest.fixture(scope="module")
def ssh(host: Machine, peer: Machine) -> str:
    return way_in(host, peer)


def online(host: Machine) -> None:
    """A boot is over before NetworkManager is."""
    host.run("nm-online -s -q -t 60", timeout=90)


def history(host: Machine) -> str:
    return host.out("kvmnet history").splitlines()[-1]


def last(host: Machine) -> dict[str, Any]:
    """The same for machines."""
    found: dict[str, Any] = json.loads(host.out("kvmnet history --json"))[-1]
    return found


@pytest.mark.guarantee("G20")
def test_without_worker_and_unit_the_watchdog_undoes(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """SIGKILL to the worker, to what systemd runs after it and to the command that follows; and to the watchdog itself,
    which systemd starts again."""
    faults.pause(host, 5)
    job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
    faults.wait_paused(host, job)
    assert picture.link(host, "peth0")
    status = host.out("kvmnet status")
    assert "is open" in status
    assert "the watchdog rolls back in" in status
    watchdog = "pgrep -f 'rescue.pyz.*--watchdog'"
    host.until(watchdog, timeout=30)
    old = host.out(watchdog)
    host.run(f"kill -KILL {old}")
    host.until(f"{watchdog} && test $({watchdog}) != {old}", timeout=30)
    job.stop(signal.SIGKILL)
    with pings(peer) as seen:
        faults.kill_unit(host, rescue_too=True)
        host.run("mv /opt/kvmnet /opt/gone")
        try:
            host.until("! test -e /var/lib/kvmnet/open", timeout=90)
        finally:
            host.run("mv /opt/gone /opt/kvmnet; sync")
    same(host, peer, before)
    assert "nobody worked on it any more" in history(host)
    told = last(host)
    assert (told["away"], told["rebooted"]) == (None, False)
    assert seen.received and seen.longest < told["away_at_most"] < 120, (seen.longest, told)
    host.until(f"! {GUARDED_UNITS} | grep -q .", timeout=30)


@pytest.fixture
def impatient(host: Machine) -> Iterator[None]:
    """A watchdog that takes an undo for stopped after 10 s of silence instead of 300, and half a minute per profile."""
    module = host.out("echo /opt/kvmnet/lib/python3*/site-packages/kvmnet/rescue/watchdog.py")
    host.run(f"cp -p {module} /root/watchdog.py; sed -i 's/^STALL_SECONDS = 300$/STALL_SECONDS = 10/' {module}")
    assert host.run(f"cmp {module} /root/watchdog.py", check=False).code == 1
    yield
    host.run(f"cp -p /root/watchdog.py {module}")


@pytest.mark.guarantee("G21")
def test_an_undo_that_is_stopped_is_taken_over(
    host: Machine, peer: Machine, before: dict[str, Any], impatient: None
) -> None:
    """It holds the lock, lives and does nothing: frozen with its unit, or stopped by a debugger."""
    with faults.nmstatectl(host, "exit 1"):
        job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
        stop_undo(host, "true")
        silent = faults.events(host)
        host.until("! test -e /var/lib/kvmnet/open", timeout=180)
        job.wait(timeout=60)
    same(host, peer, before)
    told = faults.last_events(host)
    assert told[: len(silent)] == silent, "it did not stand still"
    assert told[len(silent)]["up"] - silent[-1]["up"] > 10
    assert sum(event["event"] == "undo" for event in told) == 2
    host.until(f"! {GUARDED_UNITS} | grep -q .", timeout=30)


def stop_undo(host: Machine, when: str) -> None:
    """Stop the undo of a worker that failed, as soon as it has begun and these lines of shell say so."""
    begun = 'grep -qs \'"event": "undo"\' /var/lib/kvmnet/open/journal.jsonl'
    stop = "systemctl kill --kill-who=all --signal=STOP 'kvmnet-apply-*'"
    host.run(f"until {begun} && {when}; do sleep 0.02; done; {stop}", timeout=60)
    states = host.out("ps -o state= -p $(cat /sys/fs/cgroup/system.slice/kvmnet-apply-*.service/cgroup.procs)")
    assert set(states.split()) == {"T"}, states
    assert "verified" not in [event["event"] for event in faults.events(host)]


@pytest.mark.guarantee("G22")
def test_the_power_goes_in_the_trial(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """And kvmnet is not there any more when it comes back: the boot needs the rescue program alone."""
    with faults.nmstatectl(host, '$REAL "$@"; code=$?; touch /run/applied; sleep 600; exit $code'):
        faults.in_background(host, "exec kvmnet apply --yes /root/cluster.yaml", TRIAL)
        host.until("test -e /run/applied", timeout=60)
        host.run("mv /opt/kvmnet /opt/gone; sync")
        host.power_cut()
        host.boot()
        online(host)
        host.run("mv /opt/gone /opt/kvmnet; sync")
    same(host, peer, before)
    assert "the machine was cut off" in history(host)
    assert "s, with a reboot" in history(host)
    assert 5 < last(host)["away_at_most"] < 300


@pytest.mark.guarantee("G22")
@pytest.mark.parametrize(("step", "event"), [(14, "do")])
def test_the_power_goes_while_it_is_kept(
    host: Machine, peer: Machine, before: dict[str, Any], step: int, event: str
) -> None:
    """The names on disk are the new ones already: the boot takes them back before NetworkManager starts."""
    faults.pause(host, step, event=event)
    job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
    faults.wait_paused(host, job)
    assert host.run("ls /etc/systemd/network").stdout == "00-kvmnet-peth0.link\n"
    host.power_cut()
    host.boot()
    online(host)
    same(host, peer, before)
    assert "the machine was cut off" in history(host)


@pytest.fixture
def late_mount(host: Machine) -> Iterator[None]:
    """/var/lib/kvmnet is another file system, which comes late at each boot and which nothing else waits for."""
    host.put("/etc/systemd/system/lab-late.service", LATE)
    options = "bind,nofail,x-systemd.requires=lab-late.service"
    host.run(
        f"mkdir -p /srv/kvmnet /var/lib/kvmnet; echo '/srv/kvmnet /var/lib/kvmnet none {options} 0 0' > /etc/fstab; "
        "cp -a /var/lib/kvmnet/. /srv/kvmnet; mv /var/lib/kvmnet /var/lib/kvmnet.own; mkdir /var/lib/kvmnet; "
        "systemctl daemon-reload; systemctl start var-lib-kvmnet.mount; sync",
        timeout=90,
    )
    yield
    host.run(
        "umount /var/lib/kvmnet; rmdir /var/lib/kvmnet; mv /srv/kvmnet /var/lib/kvmnet; rm -r /var/lib/kvmnet.own; "
        ": > /etc/fstab; rm /etc/systemd/system/lab-late.service; systemctl daemon-reload; sync"
    )


@pytest.mark.guarantee("G23")
def test_what_is_open_lies_on_a_file_system_that_comes_late(
    host: Machine, peer: Machine, before: dict[str, Any], late_mount: None
) -> None:
    """The boot's unit waits for it, and NetworkManager for the boot's unit."""
    cut_while_kept(host)
    host.boot()
    online(host)
    same(host, peer, before)
    assert "the machine was cut off" in history(host)
    assert undone_at_boot(host) > float(host.out("cat /run/lab-late")), "else it did not come late"


@pytest.mark.guarantee("G23")
def test_the_nic_comes_late(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """As by a slow driver, which udev's settling does not wait for. The .link file, still there, gives it the new name;
    the boot's unit waits for it and gives the old one back, before NetworkManager sees any."""
    cut_while_kept(host)
    host.boot(late=True, settle=False)
    host.until("systemctl is-active kvmnet-boot-undo | grep activating")
    time.sleep(8)
    assert host.out("systemctl is-active NetworkManager || true") == "inactive"
    assert host.out("ls /sys/class/net") == "bonding_masters\nlo"
    host.run("cut -d' ' -f1 /proc/uptime > /run/lab-late")
    host.plug_in()
    host.run("systemctl is-system-running --wait", timeout=120, check=False)
    online(host)
    same(host, peer, before)
    assert "the machine was cut off" in history(host)
    assert undone_at_boot(host) > float(host.out("cat /run/lab-late"))


def cut_while_kept(host: Machine) -> None:
    """The power goes when the names on disk are the new ones already, and kvmnet with it."""
    cut_in(host, "exec kvmnet apply --yes /root/cluster.yaml", 13)


def cut_in(host: Machine, command: str, step: int) -> None:
    """The power goes behind this step of a command's transaction, and what is written by then is on disk."""
    faults.pause(host, step, event="done")
    job = host.start(command)
    faults.wait_paused(host, job)
    host.run("sync")
    host.power_cut()


@pytest.mark.guarantee("G23")
@pytest.mark.long
def test_the_power_goes_under_a_profile_in_memory(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """As NetworkManager's own for a wired NIC: a boot takes it, and the undo has it."""
    memory = f"/run/NetworkManager/system-connections/{PROFILE.rpartition('/')[2]}"
    host.run(f"cp -p {PROFILE} /root/kept; mv {PROFILE} {memory}; nmcli connection reload; nmcli connection up eth0")
    here = picture.whole(host)
    parts = ("links", "addresses", "routes", "zones")
    assert {p: here[p] for p in parts} == {p: before[p] for p in parts}
    cut_in(host, "exec kvmnet apply --yes /root/cluster.yaml", 6)
    host.boot()
    online(host)
    host.until("! test -e /var/lib/kvmnet/open", timeout=90)
    now = picture.whole(host)
    assert {p: now[p] for p in parts} == {p: before[p] for p in parts}
    assert last(host)["verified"] is not False and reachable(peer)
    host.run(f"rm -f {memory}; cp -p /root/kept {PROFILE}; nmcli connection reload; nmcli connection up eth0")
    assert picture.whole(host) == before


def undone_at_boot(host: Machine) -> float:
    """When, in seconds after the boot, the unit before NetworkManager was done, and had restored everything."""
    told = [event["event"] for event in faults.last_events(host)]
    assert told.count("undo") == 2 and "undo-failed" not in told, told
    assert "restored" in told[: len(told) - 1 - told[::-1].index("undo")], told
    words = "systemctl show --value --property=ExecMainExitTimestampMonotonic kvmnet-boot-undo.service"
    return int(host.out(words)) / 1e6


@pytest.mark.guarantee("G37")
def test_a_new_connection_confirms(host: Machine, peer: Machine, before: dict[str, Any], ssh: str) -> None:
    """Asked for by default, since the operator comes in by the NIC that changes; the old connection proves nothing."""
    peer.run(f"{ssh} -M -N -f")
    job = peer.start(f"{ssh} kvmnet apply --yes /root/cluster.yaml")
    host.until(f"kvmnet status | grep -q 'now: {WORD}'", timeout=90)
    old = peer.run(f"{ssh} kvmnet confirm", check=False)
    assert (old.code, "cannot confirm" in old.stderr) == (5, True), old
    here = host.run("kvmnet confirm", check=False)
    assert (here.code, "not an SSH connection" in here.stderr) == (5, True), here
    itself = host.run(
        "test -e /root/.ssh/id || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id; cat /root/.ssh/id.pub >> "
        f"/root/.ssh/authorized_keys; {anew(ssh)} -i /root/.ssh/id kvmnet confirm",
        check=False,
    )
    assert (itself.code, "from this host itself" in itself.stderr) == (5, True), itself
    new = peer.run(f"{anew(ssh)} kvmnet confirm", check=False)
    assert new.code == 0, new
    done = job.wait(60)
    assert done.code == 0, done
    assert "open a new connection" in done.stdout
    peer.run(f"{ssh} -O exit", check=False)
    assert picture.link(host, "peth0")["master"] == "eth0"
    gone = host.run("kvmnet confirm", check=False)
    assert (gone.code, "no change is waiting" in gone.stderr) == (5, True), gone
    removed(host, peer, before)


def test_who_knows_does_without_a_word(host: Machine, peer: Machine, before: dict[str, Any], ssh: str) -> None:
    """`remove` asks as well who comes in by SSH, whatever it touches; and nobody else."""
    done = peer.run(f"{anew(ssh)} kvmnet apply --yes --no-confirm /root/cluster.yaml", check=False, timeout=120)
    assert (done.code, "open a new connection" in done.stdout) == (0, False), done
    dry = "kvmnet remove --dry-run"
    asked = [WORD in words for words in (peer.out(f"{anew(ssh)} {dry}"), host.out(dry))]
    assert asked == [True, False]
    assert WORD not in peer.out(f"{anew(ssh)} {dry} --no-confirm")
    gone = peer.run(f"{anew(ssh)} kvmnet remove --yes --no-confirm", check=False, timeout=120)
    assert gone.code == 0, gone
    nothing_left(host, peer, before)


@pytest.mark.guarantee("G37")
def test_who_called_is_asked_after_the_change(host: Machine, peer: Machine, before: dict[str, Any], ssh: str) -> None:
    """One who is no gateway, and out of reach after the change."""
    own = "10.1.7.7"
    peer.run(f"ip address add {own}/16 dev eth0")
    call = anew(ssh).replace("ssh ", f"ssh -b {own} ", 1)
    try:
        told = peer.out(f"{call} kvmnet plan /root/cluster.yaml")
        assert f"targets that must reply after the change: 10.1.1.1, {own}" in told.splitlines(), told
        faults.pause(host, 7, event="done")
        job = peer.start(f"{call} kvmnet apply --yes --no-confirm /root/cluster.yaml")
        faults.wait_paused(host, job)
    finally:
        peer.run(f"ip address del {own}/16 dev eth0")
    faults.go_on(host)
    host.until(f"! {GUARDED_UNITS} | grep -q .", timeout=120)
    job.stop(signal.SIGKILL)
    failed = [e["error"] for e in faults.last_events(host) if e["event"] == "failed"]
    assert failed == [f"no reply from {own} after the change"]
    same(host, peer, before)


def removed(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    result = host.run("kvmnet remove --yes", check=False, timeout=120)
    assert result.code == 0, result
    assert "given back" in result.stdout
    nothing_left(host, peer, before)


def removed_alone(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """The same, with a session that drops in the middle: what the command would do at its end nobody does."""
    faults.pause(host, 3, event="done")
    job = host.start("exec script -qec 'kvmnet remove --yes' /dev/null")
    faults.wait_paused(host, job)
    job.stop(signal.SIGKILL)
    host.until("! pgrep -f '[k]vmnet remove'", timeout=30)
    faults.go_on(host)
    host.until(f"! {GUARDED_UNITS} | grep -q .", timeout=120)
    nothing_left(host, peer, before)


def nothing_left(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    same(host, peer, before)
    assert host.out("find /etc/systemd -name '*kvmnet*'") == "", "units, and links that enable them"
    assert host.out("kvmnet status").startswith("nothing is applied on this host")


@pytest.mark.guarantee("G37")
def test_without_a_word_it_is_undone(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    result = apply(host, "--confirm-within", "10")
    assert result.code == 3, result
    assert "no confirmation within 10 s" in result.stdout
    same(host, peer, before)


def test_rollback_undoes_what_is_open(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    job = host.start("exec kvmnet apply --yes --confirm-within 300 /root/cluster.yaml")
    host.until(f"kvmnet status | grep -q 'now: {WORD}'", timeout=90)
    result = host.run("kvmnet rollback", check=False, timeout=90)
    assert result.code == 0, result
    assert job.wait(30).code == 3
    same(host, peer, before)


@pytest.mark.guarantee("G51")
def test_rollback_goes_back_by_one_and_remove_to_the_beginning(
    host: Machine, peer: Machine, before: dict[str, Any], definition: str
) -> None:
    for name, mtu in (("cluster", 1500), ("second", 1400)):
        host.put(f"/root/{name}.yaml", definition.replace("  private:\n", f"  private:\n    mtu: {mtu}\n"))
    with pings(peer) as seen:
        assert apply(host).code == 0
    assert seen.received and abs(seen.longest - last(host)["away"]) < 2, (seen.longest, last(host))
    first = picture.whole(host)
    assert host.run("kvmnet apply --yes /root/second.yaml", timeout=90).code == 0
    assert picture.link(host, "eth0")["mtu"] == 1400
    host.run("ip link set eth0 mtu 1300")
    drift = host.run("kvmnet status --exit-code", check=False)
    assert (drift.code, "mtu: 1300 -> 1400" in drift.stdout) == (6, True), drift
    told = json.loads(host.out("kvmnet status --json"))
    assert (told["open"], told["applied"]["host"], told["last"]["outcome"]) == (None, "vm-container-0-0", "kept")
    assert "mtu: 1300 -> 1400" in str(told["drift"])
    assert host.run("kvmnet rollback --yes", timeout=90).code == 0
    as_applied(host, peer, first)
    what_changed(host)
    removed(host, peer, before)
    assert host.run("kvmnet rollback --yes", timeout=90).code == 0, "a removal can be taken back too"
    as_applied(host, peer, first)
    removed(host, peer, before)
    host.reboot()
    online(host)
    same(host, peer, before)


def what_changed(host: Machine) -> None:
    """Of the last three, as `history` tells it."""
    past = json.loads(host.out("kvmnet history --json"))[-3:]
    assert [one["outcome"] for one in past] == ["kept"] * 3
    for one, words in zip(past, ("rename eth0: to peth0", "mtu: 1500 -> 1400", "mtu: 1300 -> 1500")):
        text = host.out(f"kvmnet history {one['id']}")
        assert words in text, text
        whole = json.loads(host.out(f"kvmnet history {one['id']} --json"))
        assert whole["events"][-1]["event"] == "end" and whole["changes"] == one["changes"]
        assert all(change["name"] in text for change in one["changes"])


def as_applied(host: Machine, peer: Machine, applied: dict[str, Any]) -> None:
    """Once nothing is open, and what a boot goes on to do is done. The boot names a NIC by kvmnet's .link file,
    which gives no altnames; those from before kvmnet it had until then."""

    def plain(seen: dict[str, Any]) -> dict[str, Any]:
        return {**seen, "links": {name: {**link, "altnames": []} for name, link in seen["links"].items()}}

    host.until("! test -e /var/lib/kvmnet/open", timeout=90)
    limit = time.monotonic() + 20
    while found := picture.differences(plain(picture.whole(host)), plain(applied), SEEN):
        assert time.monotonic() < limit, "\n".join(found)
        time.sleep(0.5)
    assert reachable(peer), "a new connection from the wire is not answered"


@pytest.mark.guarantee("G24")
@pytest.mark.parametrize("step", [0, 1, 2, 3, 6, 9])
def test_the_power_goes_while_the_machine_is_given_back(
    host: Machine, peer: Machine, before: dict[str, Any], step: int
) -> None:
    assert apply(host).code == 0
    applied = picture.whole(host)
    cut_in(host, "exec kvmnet remove --yes", step)
    host.boot()
    online(host)
    as_applied(host, peer, applied)
    assert "the machine was cut off" in history(host)
    removed(host, peer, before)


@pytest.mark.guarantee("G24")
def test_the_power_goes_in_a_rollback(host: Machine, peer: Machine, before: dict[str, Any], definition: str) -> None:
    host.put("/root/second.yaml", definition.replace("  private:\n", "  private:\n    mtu: 1400\n"))
    assert apply(host).code == 0
    assert host.run("kvmnet apply --yes /root/second.yaml", timeout=90).code == 0
    applied = picture.whole(host)
    with faults.nmstatectl(host, '$REAL "$@"; code=$?; touch /run/applied; sleep 600; exit $code'):
        faults.in_background(host, "exec kvmnet rollback --yes", TRIAL)
        host.until("test -e /run/applied", timeout=60)
        host.run("sync")
        host.power_cut()
        host.boot()
        online(host)
    as_applied(host, peer, applied)
    removed(host, peer, before)


@pytest.mark.guarantee("G24")
def test_the_power_goes_in_an_undo(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """When the NIC has its name back."""
    with faults.nmstatectl(host, "exit 1"):
        host.start("exec kvmnet apply --yes /root/cluster.yaml")
        stop_undo(host, "! test -e /sys/class/net/peth0")
        host.run("sync")
        host.power_cut()
        host.boot()
        online(host)
    same(host, peer, before)
    assert sum(event["event"] == "undo" for event in faults.last_events(host)) > 1


@pytest.mark.guarantee("G51")
def test_a_removal_that_is_cut_off_is_undone_and_one_that_nobody_follows_is_whole(
    host: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    assert apply(host).code == 0
    applied = picture.whole(host)
    faults.pause(host, 3, event="done")
    job = host.start("exec kvmnet remove --yes")
    faults.wait_paused(host, job)
    assert "peth0" not in picture.whole(host)["links"]
    faults.kill_unit(host, rescue_too=False)
    result: Result = job.wait(90)
    assert result.code == 3, result
    assert picture.whole(host) == applied
    assert reachable(peer)
    removed_alone(host, peer, before)
