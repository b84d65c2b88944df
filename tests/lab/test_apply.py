"""The example host, from the first apply to a power cut. Each test continues with the host of the previous one."""

from __future__ import annotations

import json
import signal

import pytest

from tests.faults import injection
from tests.machines import picture
from tests.machines.dbus_monitor import MONITOR, seen_writes
from tests.machines.machine import Machine
from tests.machines.outage import connections, reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS


def check_picture(host: Machine, peer: Machine) -> None:
    """Check interfaces, addresses, zones and the reachability of the host."""
    nic, bridge = picture.link(host, "peth0"), picture.link(host, "eth0")
    assert nic["master"] == "eth0"
    assert "PROMISC" in nic["flags"]
    assert nic["promiscuity"] == 2, "every port has 1"
    assert bridge["linkinfo"]["info_kind"] == "bridge"
    assert bridge["linkinfo"]["info_data"]["stp_state"] == 0
    assert bridge["address"] == HOST_MAC
    assert picture.addresses(host, "eth0") == [f"{HOST_ADDRESS}/16"]
    assert picture.addresses(host, "peth0") == []
    assert picture.default_routes(host) == [(PEER_ADDRESS, "eth0", 100)]
    udev = host.run("udevadm test-builtin net_setup_link /sys/class/net/peth0 2>&1").stdout
    assert "ID_NET_LINK_FILE=/etc/systemd/network/00-kvmnet-peth0.link" in udev
    zones = host.out("firewall-cmd --get-zone-of-interface=eth0; firewall-cmd --get-zone-of-interface=peth0")
    assert zones == "trusted\ntrusted"
    assert reachable(peer)


@pytest.mark.guarantee("G31")
def test_first_apply(host: Machine, peer: Machine, definition: str) -> None:
    """New connections from the peer are answered before, during and after the change. The default zone is drop."""
    host.put("/root/cluster.yaml", definition)
    host.run("sync")
    monitor = host.start(MONITOR)
    # without verification, nmstate does not wait until the bridge is up
    there = (
        "for _ in {1..100}; do ip -br -4 address show dev eth0 | grep -q ' UP .*10.1.255.254' && break; sleep 0.1; done"
    )
    trial = "date +%s.%N > /root/trial; sleep 3; date +%s.%N >> /root/trial"
    slow = f'$REAL "$@"; code=$?; {there}; sleep 1; {trial}; exit $code'
    assert host.run("kvmnet plan --exit-code /root/cluster.yaml", check=False).code == 6
    with injection.nmstatectl(host, slow), connections(peer) as tried:
        result = host.run("kvmnet apply /root/cluster.yaml", check=False, timeout=120)
    assert result.code == 0, result
    assert "kept: the host matches the definition" in result.stdout
    begin, end = (float(line) for line in host.out("cat /root/trial").splitlines())
    during = [attempt for attempt in tried.attempts if begin < float(str(attempt["at"])) < end - 1]
    assert len(during) >= 5
    assert [a for a in [tried.attempts[0], *during, tried.attempts[-1]] if not a["ok"]] == []
    assert {"Update2", "AddConnection2", "CheckpointCreate", "CheckpointDestroy", "Save"} <= seen_writes(
        monitor.stop().stdout
    )


@pytest.mark.guarantee("G41")
def test_a_power_cut_right_after_the_change_is_kept(host: Machine, peer: Machine) -> None:
    """Within a second, before the kernel writes to the disk by itself: everything that the change saved is on the
    disk."""
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60")
    check_picture(host, peer)
    assert host.run("kvmnet plan --exit-code /root/cluster.yaml", check=False).code == 0


@pytest.mark.guarantee("G42")
def test_a_second_apply_writes_nothing(host: Machine, peer: Machine) -> None:
    files = "stat -c '%n %i %Y %Z' /etc/NetworkManager/system-connections/* /etc/systemd/network/*"
    before = host.out(files)
    monitor = host.start(MONITOR)
    result = host.run("kvmnet apply /root/cluster.yaml", check=False)
    said = monitor.stop().stdout
    assert (result.code, result.stdout) == (0, "vm-container-0-0: nothing to do: the host matches the definition\n")
    assert "member=" in said, "the monitor must see at least the calls that read"
    assert seen_writes(said) == set()
    assert host.out(files) == before


#: The commands of the page of KVN563.
FIX = """
import glob, json
last = sorted(glob.glob("/var/lib/kvmnet/history/*/transaction.json"))[-1]
for step in json.load(open(last))["steps"]:
    for path, text in step.get("files", {}).items():
        if path.endswith("/interfaces.json"):
            open(path, "w").write(text)
"""


@pytest.mark.guarantee("G53")
def test_a_corrupt_applied_record_is_refused_and_rewritten(host: Machine) -> None:
    """The files in applied/ were edited: every command that needs them reports it, and the next apply writes them
    again."""
    host.run("sed -i s/10.1.255.254/10.1.255.250/ /var/lib/kvmnet/applied/nmstate.yml")
    network = host.out("ip -br link; ip -br address; nmcli -t -f UUID,DEVICE connection show")
    for verb in ("status", "remove --yes"):
        result = host.run(f"kvmnet {verb}", check=False)
        assert (result.code, "KVN563" in result.stderr) == (5, True), (verb, result)
    result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False)
    assert result.code == 0, result
    assert host.out("kvmnet status").splitlines()[0] == "vm-container-0-0: no drift from what was applied"
    host.run("echo > /var/lib/kvmnet/applied/interfaces.json")
    for verb in ("status", "remove --yes", "plan /root/cluster.yaml", "apply --yes /root/cluster.yaml"):
        result = host.run(f"kvmnet {verb}", check=False)
        assert (result.code, "KVN563" in result.stderr) == (5, True), (verb, result)
    host.put("/root/fix.py", FIX)
    host.run("python3 /root/fix.py")
    assert host.out("kvmnet status").splitlines()[0] == "vm-container-0-0: no drift from what was applied"
    assert host.out("ip -br link; ip -br address; nmcli -t -f UUID,DEVICE connection show") == network


def test_a_bundle_folder_is_applied_like_its_definition(host: Machine) -> None:
    """The definition is not needed. An edited bundle is refused."""
    host.run("kvmnet render /root/cluster.yaml -o /root/states")
    result = host.run("kvmnet apply --bundle /root/states/vm-container-0-0", check=False)
    assert (result.code, result.stdout) == (0, "vm-container-0-0: nothing to do: the host matches the definition\n"), (
        result
    )
    host.run("sed -i s/10.1.255.254/10.1.255.250/ /root/states/vm-container-0-0/nmstate.yml")
    result = host.run("kvmnet apply --bundle /root/states/vm-container-0-0", check=False)
    assert (result.code, "digest" in result.stderr) == (1, True), result


def test_each_nic_has_one_connection_profile(host: Machine) -> None:
    saved = host.out("nmcli -t -f DEVICE,TYPE,AUTOCONNECT,FILENAME connection show").splitlines()
    ours = sorted(line for line in saved if not line.startswith("lo:"))
    assert [line.split(":")[:3] for line in ours] == [["eth0", "bridge", "yes"], ["peth0", "802-3-ethernet", "yes"]]
    assert all(line.split(":")[3].startswith("/etc/") for line in ours)


@pytest.mark.guarantee("G30")
def test_a_dropped_session_does_not_stop_the_change(host: Machine, peer: Machine, definition: str) -> None:
    """The terminal is closed in the middle of the trial; the transaction continues to its end."""
    more = definition.replace("addresses: [10.1.255.254]", "addresses: [10.1.255.254, 10.1.255.253]")
    more = more.replace("gateway: 10.1.1.1", "gateway: 10.1.1.1\n    dns: {servers: [10.1.1.1], search: [local]}")
    host.put("/root/more.yaml", more)
    with injection.nmstatectl(host, 'sleep 1; $REAL "$@"; code=$?; sleep 2; exit $code'):
        job = injection.in_background(
            host, "exec script -qec 'kvmnet apply --yes /root/more.yaml' /dev/null", "as a trial"
        )
        job.stop(signal.SIGKILL)
        assert picture.whole(host)["open"]
        host.until("test ! -e /var/lib/kvmnet/open", timeout=60)
    last = host.out("cat $(ls -d /var/lib/kvmnet/history/* | tail -n 1)/journal.jsonl").splitlines()[-1]
    assert json.loads(last)["outcome"] == "kept"
    assert picture.addresses(host, "eth0") == [f"{HOST_ADDRESS}/16", "10.1.255.253/16"]
    assert host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=120).code == 0
    check_picture(host, peer)


@pytest.mark.guarantee("G25")
def test_a_second_change_interrupted_before_its_last_event_is_rolled_back(
    host: Machine, peer: Machine, definition: str
) -> None:
    """It renames and creates nothing. Without a checkpoint, the connection profiles alone restore the addresses."""
    before = picture.whole(host)
    host.put("/root/more.yaml", definition.replace("addresses: [10.1.255.254]", "addresses: [10.1.255.252]"))
    assert host.run("kvmnet apply --yes /root/more.yaml", check=False, timeout=120).code == 0
    assert picture.addresses(host, "eth0") == ["10.1.255.252/16"]
    injection.reopen_last(host)
    result = host.run("/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz", timeout=120, check=False)
    assert result.code == 3, result
    assert picture.whole(host) == before
    check_picture(host, peer)


@pytest.mark.guarantee("G01")
def test_a_bad_change_of_a_managed_host_is_rolled_back(host: Machine, peer: Machine, definition: str) -> None:
    before = picture.whole(host)
    host.put("/root/bad.yaml", definition.replace("10.1.", "10.2."))
    on_a_terminal = "TERM=xterm script -qec 'kvmnet apply --yes /root/bad.yaml' /dev/null"
    result = host.run(on_a_terminal, check=False, timeout=120)
    assert result.code == 3, result
    assert "\x1b[" in result.stdout, "a terminal shows the current step"
    assert "rolled back and verified: the host is as before the change" in result.stdout
    assert picture.whole(host) == before
    check_picture(host, peer)


@pytest.mark.guarantee("G41")
def test_a_reboot(host: Machine, peer: Machine) -> None:
    host.reboot()
    host.run("nm-online -s -q -t 60")
    check_picture(host, peer)
