"""Whatever fails, the host is restored: names, addresses, routes and zones, and profiles byte for byte."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.faults import injection
from tests.lab.transactions import RESCUE, TRIAL, apply, same
from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import PROFILE

pytestmark = pytest.mark.make_test("trixie")

MANAGER = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"
LINK_FILE = "/etc/systemd/network/00-kvmnet-peth0.link"
LABEL = "system_u:object_r:lab_t:s0"
HANG_AFTER = '$REAL "$@"; code=$?; sleep 600; exit $code'


@pytest.fixture
def before(host: Machine, definition: str) -> dict[str, Any]:
    """The host as it is before each test; the previous test must have restored it."""
    host.put("/root/cluster.yaml", definition)
    return picture.whole(host)


@pytest.mark.guarantee("G01", "G33")
def test_a_wrong_definition_is_rolled_back(
    host: Machine, peer: Machine, before: dict[str, Any], definition: str
) -> None:
    """A wrong network address: everything is applied, but the gateway does not reply."""
    host.put("/root/bad.yaml", definition.replace("10.1.", "10.2."))
    result = host.run("kvmnet apply --json /root/bad.yaml", check=False, timeout=180)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.code == 3, result
    failed = [event for event in events if event["event"] == "failed"]
    assert [e["error"] for e in failed] == ["no reply from 10.2.1.1 after the change"]
    assert [e["event"] for e in events[-3:]] == ["verified", "end", "result"]
    same(host, peer, before)


@pytest.mark.make_test()
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
    with injection.nmstatectl(host, fault):
        result = apply(host)
    assert result.code == 3, result
    assert "FAIL NmstateError" in result.stdout
    same(host, peer, before)


@pytest.mark.make_test()
@pytest.mark.guarantee("G01")
def test_nmstate_applies_another_state(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """nmstate's verification is off: kvmnet reads the kernel's state back."""
    with injection.nmstatectl(host, injection.APPLIES_ANOTHER_STATE):
        result = apply(host)
    assert result.code == 3, result
    assert "the host is not in the desired state: eth0: stp is 1, not 0" in result.stdout
    same(host, peer, before)


@pytest.mark.guarantee("G01")
def test_control_c_rolls_back(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    with injection.nmstatectl(host, HANG_AFTER):
        job = injection.in_background(host, "exec kvmnet apply /root/cluster.yaml", TRIAL)
        host.until("test -e /sys/class/net/peth0/master", timeout=30)
        result = job.stop(signal.SIGINT, timeout=90)
    assert result.code == 3, result
    assert "cancelled" in result.stdout
    same(host, peer, before)


@pytest.mark.guarantee("G01")
def test_the_worker_is_killed(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """systemd then runs the rescue program, and the command that follows reports the rollback."""
    with injection.nmstatectl(host, HANG_AFTER):
        job = injection.in_background(host, "exec kvmnet apply /root/cluster.yaml", TRIAL)
        host.until("test -e /sys/class/net/peth0/master", timeout=30)
        starts = host.out("systemctl show --property=ExecStart 'kvmnet-apply-*'")
        assert "path=/usr/bin/env ;" in starts, "SELinux does not let systemd start a program from a venv"
        injection.kill_unit(host, rescue_too=False)
        result = job.wait(90)
    assert result.code == 3, result
    same(host, peer, before)


@pytest.mark.make_test()
@pytest.mark.guarantee("G07")
def test_a_rollback_that_cannot_be_verified_stays_open_until_it_can(
    host: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    """A keyfile cannot be restored, because another file is mounted over it."""
    keyfile = host.out("ls /etc/NetworkManager/system-connections/*.nmconnection").splitlines()[0]
    job = host.start("exec kvmnet apply --yes --confirm-within 300 /root/cluster.yaml")
    host.until("kvmnet status | grep -q 'now: wait for `kvmnet confirm`'", timeout=90)
    host.run(f"cp -p {keyfile} /root/mine; echo '# mine' >> /root/mine; mount --bind /root/mine {keyfile}")
    result = host.run("kvmnet rollback", check=False, timeout=180)
    assert (result.code, f"file {keyfile}" in result.stdout + result.stderr) == (4, True), result
    assert job.wait(60).code == 4
    assert reachable(peer), "everything else is restored"
    host.until("kvmnet status | grep -q 'to accept the host as it is: /usr/bin/python3 -I .* --accept'", timeout=60)
    said = host.out("kvmnet status").splitlines()
    assert "  differences from the state before the change:" in said and "  commands that may fix them:" in said, said
    assert any(keyfile in line for line in said), said
    now = json.loads(host.out("kvmnet status --json"))["open"]
    assert [keyfile in line for line in now["differences"]] == [True] and now["mends"], now
    # between two tries of the watchdog: during one it would be KVN501
    host.until("kvmnet apply --yes /root/cluster.yaml 2>&1 | grep -q KVN502", timeout=180)
    host.run(f"umount {keyfile}")
    result = host.run("kvmnet rollback", check=False, timeout=180)
    assert result.code in (0, 5), result  # 5: the watchdog has rolled back in the meantime
    host.until("! test -e /var/lib/kvmnet/open", timeout=60)
    same(host, peer, before)


@pytest.mark.guarantee("G08")
@pytest.mark.parametrize("title", ["rename", TRIAL])
def test_the_rescue_program_run_by_hand(host: Machine, peer: Machine, before: dict[str, Any], title: str) -> None:
    """All processes of kvmnet are killed and kvmnet is deleted; one file and the system's Python restore the host."""
    with injection.nmstatectl(host, HANG_AFTER):
        job = injection.in_background(host, "exec kvmnet apply /root/cluster.yaml", title)
        if title == TRIAL:
            host.until("test -e /sys/class/net/peth0/master", timeout=30)
        job.stop(signal.SIGKILL)
        host.run("systemctl stop 'kvmnet-watchdog-*'")  # otherwise it would do this
        injection.kill_unit(host, rescue_too=True)
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
def test_changes_of_other_tools_during_a_trial_are_kept(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """NetworkManager's rollback deletes every profile that is newer than its checkpoint, and the profile's device."""
    add = "nmcli connection add type dummy ifname {0} con-name {0} ipv4.method manual ipv4.addresses 192.0.2.{1}/32"
    folder = "/etc/NetworkManager/system-connections"
    host.run(add.format("early", 1) + " ipv6.method disabled")
    try:
        with injection.nmstatectl(host, HANG_AFTER):
            job = injection.in_background(host, "exec kvmnet apply /root/cluster.yaml", TRIAL)
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
def test_a_transaction_interrupted_before_its_last_event_is_rolled_back(
    host: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    """Everything is on disk and the checkpoint is gone; only the event that the change is kept is missing."""
    assert apply(host).code == 0
    injection.reopen_last(host)
    result = host.run(RESCUE, timeout=120, check=False)
    assert result.code == 3, result
    same(host, peer, before)


@pytest.mark.guarantee("G02")
def test_files_are_restored_with_owner_mode_and_label(host: Machine, peer: Machine, definition: str) -> None:
    """By a rollback and by a removal. NetworkManager ignores a keyfile that other users own or can read."""
    host.put("/root/cluster.yaml", definition)
    host.put(
        LINK_FILE,
        "# Written by kvmnet, edited by an administrator\n[Match]\nMACAddress=00:14:4f:80:de:77\n[Link]\nName=other0\n",
    )
    host.run(f"chown 1234:2345 {LINK_FILE}; chmod 640 {LINK_FILE}; chgrp 7 {PROFILE}; chmod 400 {PROFILE}")
    label(host, f"os.setxattr(path, 'security.selinux', b'{LABEL}')")
    try:
        before = picture.whole(host)
        rights = {path: before["files"][path][:4] for path in (LINK_FILE, PROFILE)}
        assert rights == {LINK_FILE: ["0o640", 1234, 2345, LABEL], PROFILE: ["0o400", 0, 7, LABEL]}
        assert apply(host).code == 0
        kept = picture.whole(host)["files"]
        assert all(kept[path] != before["files"][path] for path in rights), "otherwise nothing has to be restored"
        injection.reopen_last(host)
        result = host.run(RESCUE, timeout=120, check=False)
        assert result.code == 3, result
        same(host, peer, before)
        assert apply(host).code == 0
        assert host.run("kvmnet remove --yes", check=False, timeout=120).code == 0
        same(host, peer, before)
    finally:
        label(host, "os.removexattr(path, 'security.selinux')")
        host.run(f"rm -f {LINK_FILE}; chmod 600 {PROFILE}; chgrp 0 {PROFILE}")


@pytest.mark.make_test()
@pytest.mark.guarantee("G04")
@pytest.mark.parametrize("title", [TRIAL, pytest.param("save the connection profiles to disk", marks=pytest.mark.long)])
def test_the_disk_becomes_read_only(host: Machine, peer: Machine, before: dict[str, Any], title: str) -> None:
    """As a disk with errors does. What was not yet written is undone without it. A keyfile that cannot be restored is
    loaded into NetworkManager's memory. The transaction is closed when the disk is writable again."""
    steps = json.loads(host.out("kvmnet plan --json /root/cluster.yaml"))["steps"]
    injection.pause(host, next(n for n, step in enumerate(steps) if title in step), event="done")
    job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
    injection.wait_paused(host, job)
    places = "/etc /var/lib"
    host.run(f"for place in {places}; do mount -o bind,ro $place $place && mount -o remount,ro,bind $place; done")
    try:
        assert host.run("touch /etc/x /var/lib/kvmnet/open/x", check=False).code
        injection.go_on(host)
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
    # Files moved aside had no other place. NetworkManager leaves a mark for a profile that it could not delete.
    host.run("cd /run/NetworkManager/system-connections && rm -f .*.kvmnet-aside *.nmmeta")
    same(host, peer, before)


@pytest.mark.guarantee("G05")
@pytest.mark.long
def test_the_hostname_is_restored(host: Machine, peer: Machine, before: dict[str, Any], definition: str) -> None:
    """By a rollback, by the boot after a power loss, and by a removal: in the kernel and in /etc/hostname."""
    named = definition.replace("    group: vm-container\n", "    group: vm-container\n    hostname: other.local\n", 1)
    host.put("/root/cluster.yaml", named)

    def changed() -> None:
        result = apply(host)
        assert (result.code, host.out("hostname; cat /etc/hostname")) == (0, "other.local\nother.local"), result

    changed()
    injection.reopen_last(host)
    result = host.run(RESCUE, timeout=120, check=False)
    assert result.code == 3, result
    same(host, peer, before)
    changed()
    assert host.run("kvmnet remove --yes", check=False, timeout=120).code == 0
    same(host, peer, before)
    changed()
    injection.reopen_last(host)
    host.run("sync")
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    host.until("! test -e /var/lib/kvmnet/open", timeout=90)
    assert picture.whole(host)["hostname"] == before["hostname"]
    assert reachable(peer)


@pytest.mark.guarantee("G06")
@pytest.mark.long
def test_source_routing_is_removed_as_planned_and_restored(host: Machine, peer: Machine, definition: str) -> None:
    """Routing rules and a routing table of the NIC's profile. A port's profile has none."""
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
        assert (
            "so the routing rules of its connection profile are removed (priority 5 from 10.1.255.254" in result.stdout
        )
        assert "10.9.0.0/16" in result.stdout and "table 77" in result.stdout
        injection.reopen_last(host)
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
    """Run this statement for both files. The kernel stores labels also without SELinux."""
    host.run(["/usr/bin/python3", "-c", f"import os\nfor path in ('{LINK_FILE}', '{PROFILE}'): {what}"], check=False)


@pytest.mark.guarantee("G15")
def test_a_bridge_created_by_an_old_profile_is_removed(host: Machine, peer: Machine, definition: str) -> None:
    """An administrator's earlier attempt, not active: nmstate uses that profile, and it must be restored.

    Without the NIC's zone the bridge would be in the default zone, drop: the change is rolled back, and the message
    names the fix.
    """
    host.put("/root/cluster.yaml", definition)
    host.run("nmcli connection add type bridge ifname eth0 con-name earlier autoconnect no")
    try:
        before = picture.whole(host)
        result = apply(host)
        assert (result.code, "eth0 is in zone drop, not trusted: an older connection profile" in result.stdout) == (
            3,
            True,
        ), result
        same(host, peer, before)
        host.run("nmcli connection modify earlier connection.zone trusted")
        before = picture.whole(host)
        assert apply(host).code == 0
        injection.reopen_last(host)
        result = host.run(RESCUE, timeout=120, check=False)
        assert result.code == 3, result
        same(host, peer, before)
    finally:
        host.run("nmcli connection delete earlier")


@pytest.mark.guarantee("G60")
def test_the_definition_of_another_host_is_refused(host: Machine, before: dict[str, Any], definition: str) -> None:
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
def test_a_checkpoint_of_another_tool_is_refused(host: Machine, before: dict[str, Any]) -> None:
    path = host.out(f"busctl call {MANAGER} CheckpointCreate aouu 0 60 0").split()[-1].strip('"')
    try:
        result = apply(host)
        assert (result.code, path in result.stderr) == (5, True), result
        assert path in picture.checkpoints(host)
    finally:
        host.run(f"busctl call {MANAGER} CheckpointDestroy o {path}")
    assert picture.whole(host) == before


@pytest.mark.make_test()
@pytest.mark.guarantee("G16")
def test_a_checkpoint_of_another_tool_with_the_trials_path_is_left_alone(
    host: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    """NetworkManager is restarted while the change waits for confirmation, and uses its numbers again."""
    job = host.start("exec kvmnet apply --yes --confirm-within 300 /root/cluster.yaml")
    host.until("kvmnet status | grep -q 'now: wait for `kvmnet confirm`'", timeout=90)
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
def test_a_dry_run_changes_nothing(host: Machine, before: dict[str, Any]) -> None:
    result = apply(host, "--dry-run")
    assert "  rename eth0 to peth0\n" in result.stdout, result
    assert (result.code, "rename eth0: to peth0" in result.stdout) == (0, True), result
    assert picture.whole(host) == before
