"""The lab itself: the machines have the properties that tests rely on, and checks of them can fail."""

from __future__ import annotations

import time

import pytest

from tests.machines.machine import CommandFailed, CommandHangs, Machine
from tests.machines.outage import connections, lost_during, pings, reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, PROFILE

pytestmark = pytest.mark.make_test()


def test_the_nic_is_as_hardware(host: Machine) -> None:
    assert HOST_MAC in host.out("ethtool -P eth0")
    assert "driver: uml-netdev" in host.out("ethtool -i eth0")
    assert "eth0" in host.out("udevadm info -q property -p /sys/class/net/eth0 --property=ID_NET_NAME_FROM_DATABASE")


def test_the_generation(host: Machine, generation: str) -> None:
    kernel, manager = {"trixie": ("6.12.", "1.52"), "bookworm": ("6.1.", "1.42")}[generation]
    assert host.out("uname -r").startswith(kernel)
    assert manager in host.out("NetworkManager --version")


def test_the_profile_is_active(host: Machine, peer: Machine) -> None:
    assert host.out("nmcli -g GENERAL.CONNECTION,GENERAL.STATE device show eth0") == "eth0\n100 (connected)"
    assert f"{HOST_ADDRESS}/16" in host.out("ip -br address show eth0")
    assert f"default via {PEER_ADDRESS}" in host.out("ip route")
    assert peer.run(f"ping -c 2 -i 0.2 -W 2 {HOST_ADDRESS}")


def test_a_default_zone_of_drop_is_seen(host: Machine, peer: Machine) -> None:
    assert reachable(peer)
    host.run("firewall-cmd --zone=trusted --remove-interface=eth0")
    try:
        assert not reachable(peer)
    finally:
        host.run("firewall-cmd --zone=trusted --change-interface=eth0")
    assert reachable(peer)


def test_lost_pings_are_counted(host: Machine, peer: Machine) -> None:
    lost, _ = lost_during(peer, lambda: time.sleep(2))
    assert lost <= 1
    with connections(peer) as tried, pings(peer) as seen:
        host.run("ip link set eth0 down; sleep 2; ip link set eth0 up; nmcli --wait 20 connection up eth0")
        host.until(["ping", "-c", "1", "-W", "1", PEER_ADDRESS])
        time.sleep(1)
    assert 15 <= seen.lost < seen.sent
    assert tried.failed and tried.attempts[0]["ok"] and tried.attempts[-1]["ok"]


def test_nmstate_sees_it(host: Machine) -> None:
    assert HOST_MAC.upper() in host.out("nmstatectl show eth0").upper()


def test_kvmnet_is_installed_and_a_test_can_change_it(host: Machine) -> None:
    assert host.out("kvmnet --version")
    host.run("systemd-run --wait --quiet kvmnet --version")
    host.run("mv /opt/kvmnet /opt/broken")
    assert not host.run("kvmnet --version", check=False)
    host.run("mv /opt/broken /opt/kvmnet")
    assert host.out("kvmnet --version")


def test_commands_run_side_by_side(host: Machine) -> None:
    began = time.monotonic()
    first, second = host.start("sleep 1.5; echo first"), host.start("sleep 1.5; echo second")
    assert (first.wait().stdout, second.wait().stdout) == ("first\n", "second\n")
    assert time.monotonic() - began < 2.8


def test_a_command_can_fail_hang_and_be_watched(host: Machine) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)exit 3.*ended with 3.*because"):
        host.run("echo because >&2; exit 3")
    with pytest.raises(CommandHangs, match=r"(?s)sleep 60.*so far:\nbegun"):
        host.run("echo begun; sleep 60", timeout=2)
    job = host.start("echo one; sleep 60")
    time.sleep(1)
    assert (job.running, job.output().stdout) == (True, "one\n")
    assert job.stop().code != 0
    assert "sleep 60" not in host.out("ps -eo args")


def test_large_and_binary_data_is_transferred(host: Machine) -> None:
    blob = bytes(range(256)) * 4000
    host.put("/root/blob", blob, mode=0o600)
    assert host.get("/root/blob") == blob
    assert host.out("stat -c %a /root/blob") == "600"
    assert len(host.run("head -c 3000000 /dev/zero | tr '\\0' x").stdout) == 3_000_000
    assert host.run("cat", stdin="said").stdout == "said"


def test_commands_need_no_network(host: Machine) -> None:
    host.run("systemctl stop NetworkManager; ip link set eth0 down")
    began = time.monotonic()
    assert host.out("cat /sys/class/net/eth0/flags") == "0x1002"
    assert time.monotonic() - began < 0.6
    host.run("systemctl start NetworkManager && nm-online -s -q -t 30")


def test_a_reboot_keeps_the_disk(host: Machine, peer: Machine) -> None:
    before = host.get(PROFILE)
    host.put("/root/kept", "by a reboot")
    host.reboot()
    assert (host.get("/root/kept"), host.get(PROFILE)) == (b"by a reboot", before)
    host.run("nm-online -s -q -t 60")
    assert reachable(peer)


def test_a_power_cut_keeps_what_was_synced(host: Machine, peer: Machine) -> None:
    host.put("/root/synced", "x")
    host.run("sync; (while :; do date +%N >> /root/never-synced; done) & sleep 0.3", timeout=10)
    job = host.start("sleep 100")
    host.power_cut()
    assert not host.running
    with pytest.raises(Exception, match=r"stopped|off"):
        job.wait(5)
    host.boot()
    assert host.get("/root/synced") == b"x"
    host.run("nm-online -s -q -t 60")
    assert reachable(peer)
