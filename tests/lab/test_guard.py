"""Rollback when the worker, the session, the power or kvmnet itself is lost; `kvmnet rollback` and `kvmnet remove`."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults import injection
from tests.lab.transactions import TRIAL, apply, cut_in, history, last, online, same
from tests.machines import picture
from tests.machines.machine import Machine, Result
from tests.machines.outage import pings, reachable
from tests.machines.seed import PROFILE
from tests.machines.ssh import anew, way_in

pytestmark = pytest.mark.make_test("bookworm")

#: A service that takes 20 s and writes down when it has ended.
LATE = """[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'sleep 20; cut -d" " -f1 /proc/uptime > /run/lab-late'
"""
WORD = "wait for `kvmnet confirm`"
#: The parts of a picture that a boot does not change on a host with kvmnet's profiles.
SEEN = ("links", "addresses", "routes", "zones", "profiles", "servers", "settings", "hostname", "checkpoints")
GUARDED_UNITS = "systemctl list-units --all --no-legend 'kvmnet-watchdog-*' 'kvmnet-apply-*'"


@pytest.fixture
def before(host: Machine, definition: str) -> dict[str, Any]:
    """The host as it is before each test, and must be again."""
    host.put("/root/cluster.yaml", definition)
    return picture.whole(host)


@pytest.fixture(scope="module")
def ssh(host: Machine, peer: Machine) -> str:
    return way_in(host, peer)


@pytest.mark.make_test()
@pytest.mark.guarantee("G20")
def test_the_watchdog_rolls_back_without_worker_and_unit(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """The worker, what systemd runs after it and the command that follows it get SIGKILL; also the watchdog, which
    systemd starts again."""
    injection.pause(host, 5)
    job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
    injection.wait_paused(host, job)
    assert picture.link(host, "peth0")
    status = host.out("kvmnet status")
    assert "is open" in status
    assert "the watchdog starts the rollback in" in status
    watchdog = "pgrep -f 'rescue.pyz.*--watchdog'"
    host.until(watchdog, timeout=30)
    old = host.out(watchdog)
    host.run(f"kill -KILL {old}")
    host.until(f"{watchdog} && test $({watchdog}) != {old}", timeout=30)
    job.stop(signal.SIGKILL)
    with pings(peer) as seen:
        injection.kill_unit(host, rescue_too=True)
        host.run("mv /opt/kvmnet /opt/gone")
        try:
            host.until("! test -e /var/lib/kvmnet/open", timeout=90)
        finally:
            host.run("mv /opt/gone /opt/kvmnet; sync")
    same(host, peer, before)
    assert "no process was working on the transaction" in history(host)
    transaction = last(host)
    assert (transaction["away"], transaction["rebooted"]) == (None, False)
    assert seen.received and seen.longest < transaction["away_at_most"] < 120, (seen.longest, transaction)
    host.until(f"! {GUARDED_UNITS} | grep -q .", timeout=30)


@pytest.fixture
def impatient(host: Machine) -> Iterator[None]:
    """A watchdog for which a rollback is stalled after 10 s instead of 300, and half a minute per profile."""
    module = host.out("echo /opt/kvmnet/lib/python3*/site-packages/kvmnet/rescue/watchdog.py")
    host.run(f"cp -p {module} /root/watchdog.py; sed -i 's/^STALL_SECONDS = 300$/STALL_SECONDS = 10/' {module}")
    assert host.run(f"cmp {module} /root/watchdog.py", check=False).code == 1
    yield
    host.run(f"cp -p /root/watchdog.py {module}")


@pytest.mark.make_test()
@pytest.mark.guarantee("G21")
def test_a_stalled_rollback_is_taken_over(
    host: Machine, peer: Machine, before: dict[str, Any], impatient: None
) -> None:
    """It holds the lock and does nothing: its unit is frozen, or a debugger has stopped it."""
    with injection.nmstatectl(host, "exit 1"):
        job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
        stop_undo(host, "true")
        silent = injection.events(host)
        host.until("! test -e /var/lib/kvmnet/open", timeout=180)
        job.wait(timeout=60)
    same(host, peer, before)
    events = injection.last_events(host)
    assert events[: len(silent)] == silent, "it was not stopped"
    assert events[len(silent)]["up"] - silent[-1]["up"] > 10
    assert sum(event["event"] == "undo" for event in events) == 2
    host.until(f"! {GUARDED_UNITS} | grep -q .", timeout=30)


def stop_undo(host: Machine, when: str) -> None:
    """Stop the rollback of a failed worker as soon as it has begun and this shell condition is true."""
    begun = 'grep -qs \'"event": "undo"\' /var/lib/kvmnet/open/journal.jsonl'
    stop = "systemctl kill --kill-who=all --signal=STOP 'kvmnet-apply-*'"
    host.run(f"until {begun} && {when}; do sleep 0.02; done; {stop}", timeout=60)
    states = host.out("ps -o state= -p $(cat /sys/fs/cgroup/system.slice/kvmnet-apply-*.service/cgroup.procs)")
    assert set(states.split()) == {"T"}, states
    assert "verified" not in [event["event"] for event in injection.events(host)]


@pytest.mark.make_test()
@pytest.mark.guarantee("G22")
def test_power_loss_in_the_trial(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """kvmnet no longer exists after the boot: only the rescue program is needed."""
    with injection.nmstatectl(host, '$REAL "$@"; code=$?; touch /run/applied; sleep 600; exit $code'):
        injection.in_background(host, "exec kvmnet apply --yes /root/cluster.yaml", TRIAL)
        host.until("test -e /run/applied", timeout=60)
        host.run("mv /opt/kvmnet /opt/gone; sync")
        host.power_cut()
        host.boot()
        online(host)
        host.run("mv /opt/gone /opt/kvmnet; sync")
    same(host, peer, before)
    assert "the host restarted during the change" in history(host)
    assert "s, with a reboot" in history(host)
    assert 5 < last(host)["away_at_most"] < 300


@pytest.mark.guarantee("G22")
@pytest.mark.parametrize(("step", "event"), [(14, "do")])
def test_power_loss_while_the_change_is_kept(
    host: Machine, peer: Machine, before: dict[str, Any], step: int, event: str
) -> None:
    """The names on disk are already the new ones: the boot unit restores them before NetworkManager starts."""
    injection.pause(host, step, event=event)
    job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
    injection.wait_paused(host, job)
    assert host.run("ls /etc/systemd/network").stdout == "00-kvmnet-peth0.link\n"
    host.power_cut()
    host.boot()
    online(host)
    same(host, peer, before)
    assert "the host restarted during the change" in history(host)


@pytest.fixture
def late_mount(host: Machine) -> Iterator[None]:
    """/var/lib/kvmnet is another file system, which is mounted late at each boot and which nothing else waits for."""
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


@pytest.mark.make_test()
@pytest.mark.guarantee("G23")
def test_the_state_folder_is_mounted_late(
    host: Machine, peer: Machine, before: dict[str, Any], late_mount: None
) -> None:
    """The boot unit waits for it, and NetworkManager waits for the boot unit."""
    cut_while_kept(host)
    host.boot()
    online(host)
    same(host, peer, before)
    assert "the host restarted during the change" in history(host)
    assert undone_at_boot(host) > float(host.out("cat /run/lab-late")), "otherwise it was not mounted late"


@pytest.mark.make_test()
@pytest.mark.guarantee("G23")
def test_the_nic_appears_late(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """As with a slow driver, which `udevadm settle` does not wait for. The .link file gives the NIC the new name. The
    boot unit waits for it and restores the old name before NetworkManager sees one."""
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
    assert "the host restarted during the change" in history(host)
    assert undone_at_boot(host) > float(host.out("cat /run/lab-late"))


def cut_while_kept(host: Machine) -> None:
    """Cut the power when the names on disk are already the new ones."""
    cut_in(host, "exec kvmnet apply --yes /root/cluster.yaml", 13)


@pytest.mark.guarantee("G23")
@pytest.mark.long
def test_power_loss_with_a_profile_in_memory(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """As NetworkManager creates one for a wired NIC: it does not survive a boot, and the rollback restores it."""
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
    """Return when, in seconds after the boot, the unit before NetworkManager ended. It has restored everything."""
    names = [event["event"] for event in injection.last_events(host)]
    assert names.count("undo") == 2 and "undo-failed" not in names, names
    assert "restored" in names[: len(names) - 1 - names[::-1].index("undo")], names
    words = "systemctl show --value --property=ExecMainExitTimestampMonotonic kvmnet-boot-undo.service"
    return int(host.out(words)) / 1e6


@pytest.mark.guarantee("G37")
def test_a_new_connection_confirms(host: Machine, peer: Machine, before: dict[str, Any], ssh: str) -> None:
    """Required by default when the operator's connection uses a NIC that changes. The old connection cannot confirm."""
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
    assert "run `kvmnet confirm` from a new SSH connection" in done.stdout
    peer.run(f"{ssh} -O exit", check=False)
    assert picture.link(host, "peth0")["master"] == "eth0"
    gone = host.run("kvmnet confirm", check=False)
    assert (gone.code, "no change is waiting" in gone.stderr) == (5, True), gone
    removed(host, peer, before)


def test_no_confirm_skips_the_confirmation(host: Machine, peer: Machine, before: dict[str, Any], ssh: str) -> None:
    """`remove` requires it over SSH, whatever it changes, and not otherwise."""
    done = peer.run(f"{anew(ssh)} kvmnet apply --yes --no-confirm /root/cluster.yaml", check=False, timeout=120)
    assert (done.code, "run `kvmnet confirm` from a new SSH connection" in done.stdout) == (0, False), done
    dry = "kvmnet remove --dry-run"
    asked = [WORD in words for words in (peer.out(f"{anew(ssh)} {dry}"), host.out(dry))]
    assert asked == [True, False]
    assert WORD not in peer.out(f"{anew(ssh)} {dry} --no-confirm")
    gone = peer.run(f"{anew(ssh)} kvmnet remove --yes --no-confirm", check=False, timeout=120)
    assert gone.code == 0, gone
    nothing_left(host, peer, before)


@pytest.mark.make_test()
@pytest.mark.guarantee("G37")
def test_the_operators_address_is_probed_after_the_change(
    host: Machine, peer: Machine, before: dict[str, Any], ssh: str
) -> None:
    """It is not a gateway, and cannot be reached after the change."""
    own = "10.1.7.7"
    peer.run(f"ip address add {own}/16 dev eth0")
    call = anew(ssh).replace("ssh ", f"ssh -b {own} ", 1)
    try:
        told = peer.out(f"{call} kvmnet plan /root/cluster.yaml")
        assert f"targets that must reply after the change: 10.1.1.1, {own}" in told.splitlines(), told
        injection.pause(host, 7, event="done")
        job = peer.start(f"{call} kvmnet apply --yes --no-confirm /root/cluster.yaml")
        injection.wait_paused(host, job)
    finally:
        peer.run(f"ip address del {own}/16 dev eth0")
    injection.go_on(host)
    host.until(f"! {GUARDED_UNITS} | grep -q .", timeout=120)
    job.stop(signal.SIGKILL)
    failed = [e["error"] for e in injection.last_events(host) if e["event"] == "failed"]
    assert failed == [f"no reply from {own} after the change"]
    same(host, peer, before)


def removed(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    result = host.run("kvmnet remove --yes", check=False, timeout=120)
    assert result.code == 0, result
    assert "removed and verified: the host is as before kvmnet" in result.stdout
    nothing_left(host, peer, before)


def removed_alone(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """Run `kvmnet remove` in a session that ends in the middle, so that the command cannot complete anything itself."""
    injection.pause(host, 3, event="done")
    job = host.start("exec script -qec 'kvmnet remove --yes' /dev/null")
    injection.wait_paused(host, job)
    job.stop(signal.SIGKILL)
    host.until("! pgrep -f '[k]vmnet remove'", timeout=30)
    injection.go_on(host)
    host.until(f"! {GUARDED_UNITS} | grep -q .", timeout=120)
    nothing_left(host, peer, before)


def nothing_left(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    same(host, peer, before)
    assert host.out("find /etc/systemd -name '*kvmnet*'") == "", "units, and the links that enable them"
    assert host.out("kvmnet status").startswith("nothing is applied on this host")


@pytest.mark.guarantee("G37")
def test_without_confirmation_the_change_is_rolled_back(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    result = apply(host, "--confirm-within", "10")
    assert result.code == 3, result
    assert "no confirmation within 10 s" in result.stdout
    same(host, peer, before)


def test_rollback_ends_an_open_transaction(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    job = host.start("exec kvmnet apply --yes --confirm-within 300 /root/cluster.yaml")
    host.until(f"kvmnet status | grep -q 'now: {WORD}'", timeout=90)
    result = host.run("kvmnet rollback", check=False, timeout=90)
    assert result.code == 0, result
    assert job.wait(30).code == 3
    same(host, peer, before)


@pytest.mark.guarantee("G51")
def test_rollback_reverts_one_change_and_remove_reverts_all(
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
    """Check the last three transactions in `kvmnet history`."""
    past = json.loads(host.out("kvmnet history --json"))[-3:]
    assert [one["outcome"] for one in past] == ["kept"] * 3
    for one, words in zip(past, ("rename eth0: to peth0", "mtu: 1500 -> 1400", "mtu: 1300 -> 1500")):
        text = host.out(f"kvmnet history {one['id']}")
        assert words in text, text
        whole = json.loads(host.out(f"kvmnet history {one['id']} --json"))
        assert whole["events"][-1]["event"] == "end" and whole["changes"] == one["changes"]
        assert all(change["name"] in text for change in one["changes"])


def as_applied(host: Machine, peer: Machine, applied: dict[str, Any]) -> None:
    """Assert that the host is as applied, once no transaction is open and the boot is complete.

    A boot names a NIC by kvmnet's .link file, which sets no altnames. Until then it has those from before kvmnet.
    """

    def plain(seen: dict[str, Any]) -> dict[str, Any]:
        return {**seen, "links": {name: {**link, "altnames": []} for name, link in seen["links"].items()}}

    host.until("! test -e /var/lib/kvmnet/open", timeout=90)
    limit = time.monotonic() + 20
    while differences := picture.differences(plain(picture.whole(host)), plain(applied), SEEN):
        assert time.monotonic() < limit, "\n".join(differences)
        time.sleep(0.5)
    assert reachable(peer), "a new connection from the wire is not answered"


@pytest.mark.make_test()
@pytest.mark.guarantee("G24")
@pytest.mark.parametrize("step", [0, 1, 2, 3, 6, 9])
def test_power_loss_in_a_removal(host: Machine, peer: Machine, before: dict[str, Any], step: int) -> None:
    assert apply(host).code == 0
    applied = picture.whole(host)
    cut_in(host, "exec kvmnet remove --yes", step)
    host.boot()
    online(host)
    as_applied(host, peer, applied)
    assert "the host restarted during the change" in history(host)
    removed(host, peer, before)


@pytest.mark.make_test()
@pytest.mark.guarantee("G24")
def test_power_loss_in_a_rollback_command(
    host: Machine, peer: Machine, before: dict[str, Any], definition: str
) -> None:
    host.put("/root/second.yaml", definition.replace("  private:\n", "  private:\n    mtu: 1400\n"))
    assert apply(host).code == 0
    assert host.run("kvmnet apply --yes /root/second.yaml", timeout=90).code == 0
    applied = picture.whole(host)
    with injection.nmstatectl(host, '$REAL "$@"; code=$?; touch /run/applied; sleep 600; exit $code'):
        injection.in_background(host, "exec kvmnet rollback --yes", TRIAL)
        host.until("test -e /run/applied", timeout=60)
        host.run("sync")
        host.power_cut()
        host.boot()
        online(host)
    as_applied(host, peer, applied)
    removed(host, peer, before)


@pytest.mark.make_test()
@pytest.mark.guarantee("G24")
def test_power_loss_while_a_change_is_rolled_back(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """Just after the NIC was renamed back."""
    with injection.nmstatectl(host, "exit 1"):
        host.start("exec kvmnet apply --yes /root/cluster.yaml")
        stop_undo(host, "! test -e /sys/class/net/peth0")
        host.run("sync")
        host.power_cut()
        host.boot()
        online(host)
    same(host, peer, before)
    assert sum(event["event"] == "undo" for event in injection.last_events(host)) > 1


@pytest.mark.guarantee("G51")
def test_a_killed_removal_is_rolled_back_and_one_without_session_completes(
    host: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    assert apply(host).code == 0
    applied = picture.whole(host)
    injection.pause(host, 3, event="done")
    job = host.start("exec kvmnet remove --yes")
    injection.wait_paused(host, job)
    assert "peth0" not in picture.whole(host)["links"]
    injection.kill_unit(host, rescue_too=False)
    result: Result = job.wait(90)
    assert result.code == 3, result
    assert picture.whole(host) == applied
    assert reachable(peer)
    removed_alone(host, peer, before)
