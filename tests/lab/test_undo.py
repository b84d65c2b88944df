"""Whatever fails, the machine is as it was: names, addresses, routes, zones, profiles byte for byte."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.lab import faults, picture
from tests.lab.machine import Machine, Result
from tests.lab.outage import reachable
from tests.lab.seed import PROFILE

RESCUE = "/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz"
TRIAL = "as a trial"
MANAGER = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"
LINK_FILE = "/etc/systemd/network/00-kvmnet-peth0.link"
LABEL = "system_u:object_r:lab_t:s0"
HANG_AFTER = '$REAL "$@"; code=$?; sleep 600; exit $code'


@pytest.fixture
def before(host: Machine, definition: str) -> dict[str, Any]:
    """The machine as it is before each test: what the one before has left must be this already."""
    host.put("/root/cluster.yaml", definition)
    return picture.whole(host)


def apply(host: Machine, *options: str) -> Result:
    return host.run(["kvmnet", "apply", "--yes", *options, "/root/cluster.yaml"], check=False, timeout=180)


def same(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    assert picture.whole(host) == before
    assert before["open"] is False
    assert "peth0" not in before["links"]
    assert reachable(peer), "a new connection from the wire is not answered"


@pytest.mark.guarantee("G01", "G33")
def test_a_bad_change_undoes_itself(host: Machine, peer: Machine, before: dict[str, Any], definition: str) -> None:
    """A mistyped network: everything applies, but its gateway is not there."""
    host.put("/root/bad.yaml", definition.replace("10.1.", "10.2."))
    result = host.run("kvmnet apply --json /root/bad.yaml", check=False, timeout=180)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.code == 3, result
    told = [event for event in events if event["event"] == "failed"]
    assert [e["error"] for e in told] == ["no reply from 10.2.1.1 after the change"]
    assert [e["event"] for e in events[-3:]] == ["verified", "end", "result"]
    same(host, peer, before)


@pytest.mark.guarantee("G01")
@pytest.mark.parametrize(
    "fault",
    [
        "echo 'NmstateError: InvalidArgument: not today' >&2; exit 1",
        '$REAL "$@"; echo "NmstateError: Bug: after all was done" >&2; exit 1',
    ],
    ids=["before", "after it did its work"],
)
def test_nmstate_fails(host: Machine, peer: Machine, before: dict[str, Any], fault: str) -> None:
    with faults.nmstatectl(host, fault):
        result = apply(host)
    assert result.code == 3, result
    assert "FAIL NmstateError" in result.stdout
    same(host, peer, before)


@pytest.mark.guarantee("G01")
def test_nmstate_does_not_do_what_it_says(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """Its verification is not asked for: the kernel is read back."""
    with faults.nmstatectl(host, faults.DOES_OTHERWISE):
        result = apply(host)
    assert result.code == 3, result
    assert "the host is not as applied: eth0: stp is 1, not 0" in result.stdout
    same(host, peer, before)


@pytest.mark.guarantee("G01")
def test_control_c(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    with faults.nmstatectl(host, HANG_AFTER):
        job = faults.in_background(host, "exec kvmnet apply /root/cluster.yaml", TRIAL)
        host.until("test -e /sys/class/net/peth0/master", timeout=30)
        result = job.stop(signal.SIGINT, timeout=90)
    assert result.code == 3, result
    assert "cancelled" in result.stdout
    same(host, peer, before)


@pytest.mark.guarantee("G01")
def test_the_worker_is_killed(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """systemd then runs the rescue program by itself, and whoever follows is told the truth."""
    with faults.nmstatectl(host, HANG_AFTER):
        job = faults.in_background(host, "exec kvmnet apply /root/cluster.yaml", TRIAL)
        host.until("test -e /sys/class/net/peth0/master", timeout=30)
        starts = host.out("systemctl show --property=ExecStart 'kvmnet-apply-*'")
        assert "path=/usr/bin/env ;" in starts, "SELinux lets systemd start no program from a venv"
        faults.kill_unit(host, rescue_too=False)
        result = job.wait(90)
    assert result.code == 3, result
    same(host, peer, before)


@pytest.mark.guarantee("G07")
def test_what_cannot_be_undone_is_told_until_it_can(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """A keyfile that somebody changed meanwhile cannot be given back: another file is mounted over it."""
    keyfile = host.out("ls /etc/NetworkManager/system-connections/*.nmconnection").splitlines()[0]
    job = host.start("exec kvmnet apply --yes --confirm-within 300 /root/cluster.yaml")
    host.until("kvmnet status | grep -q 'now: wait for a word'", timeout=90)
    host.run(f"cp -p {keyfile} /root/mine; echo '# mine' >> /root/mine; mount --bind /root/mine {keyfile}")
    result = host.run("kvmnet rollback", check=False, timeout=180)
    assert (result.code, f"file {keyfile}" in result.stdout + result.stderr) == (4, True), result
    assert job.wait(60).code == 4
    assert reachable(peer), "all else is given back"
    host.until("kvmnet status | grep -q 'to accept the host as it is: /usr/bin/python3 -I .* --accept'", timeout=60)
    said = host.out("kvmnet status").splitlines()
    assert "  differences from before the change:" in said and "  commands that may repair it:" in said, said
    assert any(keyfile in line for line in said), said
    now = json.loads(host.out("kvmnet status --json"))["open"]
    assert [keyfile in line for line in now["differences"]] == [True] and now["mends"], now
    # between two tries of the watchdog's: else it would be KVN501
    host.until("kvmnet apply --yes /root/cluster.yaml 2>&1 | grep -q KVN502", timeout=180)
    host.run(f"umount {keyfile}")
    result = host.run("kvmnet rollback", check=False, timeout=180)
    assert result.code in (0, 5), result  # 5: the watchdog has undone it meanwhile, and nothing is to be given back
    host.until("! test -e /var/lib/kvmnet/open", timeout=60)
    same(host, peer, before)


@pytest.mark.guarantee("G08")
@pytest.mark.parametrize("title", ["rename", TRIAL])
def test_rescue_by_hand(host: Machine, peer: Machine, before: dict[str, Any], title: str) -> None:
    """Everything of kvmnet's is dead and gone; one file and the system's Python bring the machine back."""
    with faults.nmstatectl(host, HANG_AFTER):
        job = faults.in_background(host, "exec kvmnet apply /root/cluster.yaml", title)
        if title == TRIAL:
            host.until("test -e /sys/class/net/peth0/master", timeout=30)
        job.stop(signal.SIGKILL)
        host.run("systemctl stop 'kvmnet-watchdog-*'")  # else it would do what a person does here
        faults.kill_unit(host, rescue_too=True)
    left = picture.whole(host)
    assert left["open"], "the transaction must still be open for this test to show anything"
    assert left != before
    if title == TRIAL:
        assert left["links"]["peth0"]["master"] == "eth0"
    refused = apply(host)
    assert (refused.code, "rescue.pyz" in refused.stderr) == (5, True), refused
    host.run("mv /opt/kvmnet /opt/gone")
    try:
        result = host.run(RESCUE, timeout=120, check=False)
    finally:
        host.run("mv /opt/gone /opt/kvmnet; sync")
    assert result.code == 3, result
    same(host, peer, before)
    assert host.run(RESCUE).stdout == "kvmnet: no transaction is open\n"


@pytest.mark.guarantee("G14")
def test_what_others_do_meanwhile_stays(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """NetworkManager's rollback deletes every profile that came since its checkpoint, and takes its device away."""
    add = "nmcli connection add type dummy ifname {0} con-name {0} ipv4.method manual ipv4.addresses 192.0.2.{1}/32"
    folder = "/etc/NetworkManager/system-connections"
    host.run(add.format("early", 1) + " ipv6.method disabled")
    try:
        with faults.nmstatectl(host, HANG_AFTER):
            job = faults.in_background(host, "exec kvmnet apply /root/cluster.yaml", TRIAL)
            host.until("test -e /sys/class/net/peth0/master", timeout=30)
            host.run(add.format("late", 2) + " ipv6.method disabled")
            host.run("nmcli connection modify early connection.zone trusted")
            keyfiles = host.out(f"cat {folder}/early.nmconnection {folder}/late.nmconnection")
            result = job.stop(signal.SIGINT, timeout=90)
        assert result.code == 3, result
        assert "zone=trusted" in keyfiles
        assert host.out(f"cat {folder}/early.nmconnection {folder}/late.nmconnection") == keyfiles
        host.until("ip -4 address show dev late | grep -q 192.0.2.2", timeout=20)
        host.until("ip -4 address show dev early | grep -q 192.0.2.1", timeout=20)
    finally:
        for name in ("early", "late"):
            host.run(f"nmcli connection delete id {name}", check=False)
            host.until(f"test ! -e /sys/class/net/{name}", timeout=20)
    same(host, peer, before)


@pytest.mark.guarantee("G25")
def test_cut_off_at_its_very_end(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """Everything is on disk, the checkpoint is gone, only the word that it is kept is missing: undone all the same."""
    assert apply(host).code == 0
    faults.reopen_last(host)
    result = host.run(RESCUE, timeout=120, check=False)
    assert result.code == 3, result
    same(host, peer, before)


@pytest.mark.guarantee("G02")
def test_files_come_back_with_owner_mode_and_label(host: Machine, peer: Machine, definition: str) -> None:
    """By an undo and by a removal. NetworkManager reads no keyfile of another user's, nor one that others may read."""
    host.put("/root/cluster.yaml", definition)
    host.put(
        LINK_FILE,
        "# Written by kvmnet, and by a person since\n[Match]\nMACAddress=00:14:4f:80:de:77\n[Link]\nName=other0\n",
    )
    host.run(f"chown 1234:2345 {LINK_FILE}; chmod 640 {LINK_FILE}; chgrp 7 {PROFILE}; chmod 400 {PROFILE}")
    label(host, f"os.setxattr(path, 'security.selinux', b'{LABEL}')")
    try:
        before = picture.whole(host)
        rights = {path: before["files"][path][:4] for path in (LINK_FILE, PROFILE)}
        assert rights == {LINK_FILE: ["0o640", 1234, 2345, LABEL], PROFILE: ["0o400", 0, 7, LABEL]}
        assert apply(host).code == 0
        kept = picture.whole(host)["files"]
        assert all(kept[path] != before["files"][path] for path in rights), "else nothing has to be given back"
        faults.reopen_last(host)
        result = host.run(RESCUE, timeout=120, check=False)
        assert result.code == 3, result
        same(host, peer, before)
        assert apply(host).code == 0
        assert host.run("kvmnet remove --yes", check=False, timeout=120).code == 0
        same(host, peer, before)
    finally:
        label(host, "os.removexattr(path, 'security.selinux')")
        host.run(f"rm -f {LINK_FILE}; chmod 600 {PROFILE}; chgrp 0 {PROFILE}")


@pytest.mark.guarantee("G04")
@pytest.mark.parametrize("title", [TRIAL, pytest.param("save the connection profiles to disk", marks=pytest.mark.long)])
def test_the_disk_becomes_read_only(host: Machine, peer: Machine, before: dict[str, Any], title: str) -> None:
    """As a disk with errors does. What was not written yet is undone without it; a keyfile that cannot be given back
    NetworkManager gets in memory. It is closed when it can be."""
    steps = json.loads(host.out("kvmnet plan --json /root/cluster.yaml"))["steps"]
    faults.pause(host, next(n for n, step in enumerate(steps) if title in step), event="done")
    job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
    faults.wait_paused(host, job)
    places = "/etc /var/lib"
    host.run(f"for place in {places}; do mount -o bind,ro $place $place && mount -o remount,ro,bind $place; done")
    try:
        assert host.run("touch /etc/x /var/lib/kvmnet/open/x", check=False).code
        faults.go_on(host)
        result = job.wait(300)
        assert result.code == 4, result
        now = picture.whole(host)
        assert {part: now[part] for part in ("addresses", "zones")} == {
            part: before[part] for part in ("addresses", "zones")
        }
        assert reachable(peer)
        assert "peth0" not in now["links"]
    finally:
        host.run(f"for place in {places}; do umount -l $place; done")
    result = host.run(RESCUE, timeout=120, check=False)
    assert result.code == 3, result
    # There was no other place for what was set aside; and NetworkManager's mark of a profile that it could not delete.
    host.run("cd /run/NetworkManager/system-connections && rm -f .*.kvmnet-aside *.nmmeta")
    same(host, peer, before)


@pytest.mark.guarantee("G05")
@pytest.mark.long
def test_the_hostname_comes_back(host: Machine, peer: Machine, before: dict[str, Any], definition: str) -> None:
    """By an undo, by the boot after a power cut, by a removal: in the kernel and in /etc/hostname."""
    named = definition.replace("    group: vm-container\n", "    group: vm-container\n    hostname: other.local\n", 1)
    host.put("/root/cluster.yaml", named)

    def changed() -> None:
        result = apply(host)
        assert (result.code, host.out("hostname; cat /etc/hostname")) == (0, "other.local\nother.local"), result

    changed()
    faults.reopen_last(host)
    result = host.run(RESCUE, timeout=120, check=False)
    assert result.code == 3, result
    same(host, peer, before)
    changed()
    assert host.run("kvmnet remove --yes", check=False, timeout=120).code == 0
    same(host, peer, before)
    changed()
    faults.reopen_last(host)
    host.run("sync")
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    host.until("! test -e /var/lib/kvmnet/open", timeout=90)
    assert picture.whole(host)["hostname"] == before["hostname"]
    assert reachable(peer)


@pytest.mark.guarantee("G06")
@pytest.mark.long
def test_source_routing_goes_as_told_and_comes_back(host: Machine, peer: Machine, definition: str) -> None:
    """Routing rules and a table of the NIC's profile: that of a port has none."""
    host.put("/root/cluster.yaml", definition)
    host.run(f"cp -p {PROFILE} /root/before.nmconnection")
    host.run(
        "nmcli connection modify eth0 ipv4.routing-rules 'priority 5 from 10.1.255.254 table 77'"
        " +ipv4.routes '10.9.0.0/16 10.1.1.1 table=77' && nmcli --wait 30 connection up eth0",
        timeout=60,
    )

    def seen() -> str:
        return host.out("ip rule show; ip route show table 77")

    try:
        before, routing = picture.whole(host), seen()
        assert "from 10.1.255.254 lookup 77" in routing and "10.9.0.0/16 via 10.1.1.1" in routing
        result = apply(host)
        assert (result.code, "77" in seen()) == (0, False), result
        assert "so the routing rules of its connection profile go (priority 5 from 10.1.255.254" in result.stdout
        assert "10.9.0.0/16" in result.stdout and "table 77" in result.stdout
        faults.reopen_last(host)
        result = host.run(RESCUE, timeout=120, check=False)
        assert (result.code, seen()) == (3, routing), result
        same(host, peer, before)
        assert apply(host).code == 0
        assert host.run("kvmnet remove --yes", check=False, timeout=120).code == 0
        assert seen() == routing
        same(host, peer, before)
    finally:
        host.run(f"cp -p /root/before.nmconnection {PROFILE}; nmcli connection reload")
        host.run("nmcli --wait 30 connection up eth0", timeout=60)


def label(host: Machine, what: str) -> None:
    """What is done to both files; the kernel takes labels without SELinux as well."""
    host.run(["/usr/bin/python3", "-c", f"import os\nfor path in ('{LINK_FILE}', '{PROFILE}'): {what}"], check=False)


@pytest.mark.guarantee("G15")
def test_a_bridge_that_an_old_profile_of_its_name_brought_goes_too(
    host: Machine, peer: Machine, definition: str
) -> None:
    """A person's earlier attempt, not active: nmstate takes that profile, and it is to be as it was again. One without
    the NIC's zone would leave the bridge in the default zone, drop: undone, and the cure named."""
    host.put("/root/cluster.yaml", definition)
    host.run("nmcli connection add type bridge ifname eth0 con-name earlier autoconnect no")
    try:
        before = picture.whole(host)
        result = apply(host)
        assert (result.code, "eth0 is in zone drop, not trusted: a connection profile" in result.stdout) == (3, True), (
            result
        )
        same(host, peer, before)
        host.run("nmcli connection modify earlier connection.zone trusted")
        before = picture.whole(host)
        assert apply(host).code == 0
        faults.reopen_last(host)
        result = host.run(RESCUE, timeout=120, check=False)
        assert result.code == 3, result
        same(host, peer, before)
    finally:
        host.run("nmcli connection delete earlier")


@pytest.mark.guarantee("G60")
def test_another_machines_definition_is_refused(host: Machine, before: dict[str, Any], definition: str) -> None:
    host.put("/root/other.yaml", definition.replace("00:14:4f:80:de:00", "00:14:4f:80:de:77"))
    result = host.run("kvmnet apply /root/other.yaml", check=False)
    assert (result.code, "00:14:4f:80:de:00" in result.stderr) == (5, True), result
    result = host.run("kvmnet apply --host vm-container-0-0 /root/other.yaml", check=False)
    assert (result.code, "00:14:4f:80:de:77" in result.stderr) == (5, True), result
    assert picture.whole(host) == before


@pytest.mark.guarantee("G60")
def test_only_root_applies(host: Machine, before: dict[str, Any]) -> None:
    host.run("install -m 644 /root/cluster.yaml /tmp/cluster.yaml")
    nobody = "setpriv --reuid=nobody --clear-groups kvmnet"
    assert host.run(f"{nobody} apply /tmp/cluster.yaml", check=False).code == 5
    assert "rename eth0: to peth0" in host.run(f"{nobody} plan /tmp/cluster.yaml").stdout
    assert picture.whole(host) == before


@pytest.mark.guarantee("G60")
def test_another_tools_checkpoint_is_refused(host: Machine, before: dict[str, Any]) -> None:
    path = host.out(f"busctl call {MANAGER} CheckpointCreate aouu 0 60 0").split()[-1].strip('"')
    try:
        result = apply(host)
        assert (result.code, path in result.stderr) == (5, True), result
        assert path in picture.checkpoints(host)
    finally:
        host.run(f"busctl call {MANAGER} CheckpointDestroy o {path}")
    assert picture.whole(host) == before


@pytest.mark.guarantee("G16")
def test_another_tools_checkpoint_of_the_trials_path_is_left_alone(
    host: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    """NetworkManager is started anew while the word from outside is waited for, and gives its numbers once more."""
    job = host.start("exec kvmnet apply --yes --confirm-within 300 /root/cluster.yaml")
    host.until("kvmnet status | grep -q 'now: wait for a word'", timeout=90)
    ours = host.out("sed -n 's/.*Created checkpoint //p' /var/lib/kvmnet/open/nmstate.log").splitlines()[-1]
    host.run("systemctl restart NetworkManager; nm-online -s -q -t 60", timeout=90)
    path = ""
    while path != ours:
        assert not path or int(path.rpartition("/")[2]) < int(ours.rpartition("/")[2])
        if path:
            host.run(f"busctl call {MANAGER} CheckpointDestroy o {path}")
        path = host.out(f"busctl call {MANAGER} CheckpointCreate aouu 0 300 0").split()[-1].strip('"')
    try:
        result = host.run("kvmnet rollback", check=False, timeout=150)
        assert result.code == 0, result
        assert path in picture.checkpoints(host)
    finally:
        host.run(f"busctl call {MANAGER} CheckpointDestroy o {path}")
    assert job.wait(30).code == 3
    same(host, peer, before)


@pytest.mark.guarantee("G62")
def test_a_dry_run_touches_nothing(host: Machine, before: dict[str, Any]) -> None:
    result = apply(host, "--dry-run")
    assert "  rename eth0 to peth0\n" in result.stdout, result
    assert (result.code, "rename eth0: to peth0" in result.stdout) == (0, True), result
    assert picture.whole(host) == before
