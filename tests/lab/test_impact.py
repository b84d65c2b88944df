"""Guests during a change: traffic that continues, refusals, and taps that are added to their bridge again.

Each test continues with the host of the previous one. A namespace behind a tap is used in place of a guest
(test_guests.py has real domains).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults import injection
from tests.machines import outage, picture, tap_guest
from tests.machines.machine import Machine, Result
from tests.machines.seed import HOST_MAC

pytestmark = pytest.mark.make_test("trixie")

DEFINITION = f"""\
kvmnet: 1
cluster: impact
profile: plain
networks:
  private: {{subnets: [10.1.0.0/16], gateway: 10.1.1.1, mtu: 1496}}
  storage: {{subnets: [10.5.0.0/24], vlan: 5, mtu: 1496}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [10.1.255.254]}}
"""
WITH_VLAN = DEFINITION + "      eth0.5: {network: storage, bridge: true, addresses: [10.5.0.7]}\n"
INSIDE = "10.1.0.77"


def apply(host: Machine, definition: str, *options: str) -> Result:
    host.put("/root/cluster.yaml", definition)
    return host.run(["kvmnet", "apply", "--yes", *options, "/root/cluster.yaml"], check=False, timeout=180)


def plan(host: Machine, definition: str, *options: str) -> dict[str, Any]:
    host.put("/root/cluster.yaml", definition)
    found: dict[str, Any] = json.loads(host.out(["kvmnet", "plan", "--json", *options, "/root/cluster.yaml"]))
    return found


def read_back(result: Result) -> str:
    """Return the result of the step that reads the kernel state back."""
    events = [json.loads(line) for line in result.stdout.splitlines()]
    steps = next(e["steps"] for e in events if e["event"] == "begin")
    return str(
        next(e["result"] for e in events if e["event"] == "done" and steps[e["step"]] == "read the kernel state back")
    )


@pytest.fixture(scope="module")
def guest(host: Machine) -> Iterator[Machine]:
    """The host with a bridge and a guest's tap on it: vnet0."""
    assert apply(host, DEFINITION).code == 0
    with tap_guest.guest(host, "vnet0", "br-eth0", f"{INSIDE}/16"):
        yield host


@pytest.fixture(scope="module")
def on_vlan(guest: Machine) -> Machine:
    """The tap of another guest, vnet5, is an isolated port of the VLAN's bridge."""
    guest.run("ip tuntap add dev vnet5 mode tap && ip link set vnet5 master br-eth0.5 up")
    guest.run("ip link set vnet5 type bridge_slave isolated on")
    return guest


@pytest.mark.guarantee("G70")
def test_no_frame_is_lost_by_an_unrelated_apply(guest: Machine, peer: Machine) -> None:
    """A VLAN and its bridge are added on the NIC that transmits the guest's frames."""
    assert [(g["device"], g["how"]) for g in plan(guest, WITH_VLAN)["guests"]] == [("vnet0", "untouched")]
    lost, result = outage.lost_during(peer, lambda: apply(guest, WITH_VLAN, "--json"), INSIDE)
    assert result.code == 0, result
    assert lost == 0, result
    assert read_back(result) == "4 interfaces as defined, 1 guests' ports as before"


@pytest.mark.guarantee("G70")
def test_a_change_that_disconnects_a_guest_is_refused(on_vlan: Machine, peer: Machine) -> None:
    before, history = picture.whole(on_vlan), on_vlan.out("ls /var/lib/kvmnet/history")
    result = apply(on_vlan, DEFINITION)
    assert (result.code, result.stdout) == (5, ""), result
    assert "kvmnet: KVN527: vnet5 (not a device of a libvirt domain) would be disconnected permanently" in result.stderr
    assert "vnet5 on br-eth0.5: br-eth0.5 is removed" in result.stderr
    assert "--allow-guest-loss vnet5" in result.stderr and "--allow-guest-loss vnet0" not in result.stderr
    assert "untouched guests: vnet0\n" in result.stderr
    assert apply(on_vlan, DEFINITION, "--allow-guest-loss", "vnet0").code == 5
    assert picture.whole(on_vlan) == before
    assert on_vlan.out("ls /var/lib/kvmnet/history") == history


@pytest.mark.guarantee("G70")
def test_a_rollback_adds_the_tap_to_its_recreated_bridge(on_vlan: Machine, peer: Machine) -> None:
    before = picture.whole(on_vlan)
    gone = "for _ in {1..100}; do ls -d /sys/class/net/br-eth0.5 || break; sleep 0.1; done"  # nmstate waits for nothing
    seen = f"{gone}; ip -d -o link show dev vnet5 > /root/seen; ls -d /sys/class/net/br-eth0.5 >> /root/seen 2>&1"
    with injection.nmstatectl(on_vlan, f'$REAL "$@"; {seen}; echo "NmstateError: Bug: not today" >&2; exit 1'):
        lost, result = outage.lost_during(
            peer, lambda: apply(on_vlan, DEFINITION, "--allow-guest-loss", "vnet5"), INSIDE
        )
    assert result.code == 3, result
    told = on_vlan.out("cat /root/seen")
    assert "master" not in told and "No such file" in told, "the bridge was removed, so its tap had no controller"
    assert picture.whole(on_vlan) == before
    assert picture.link(on_vlan, "vnet5")["master"] == "br-eth0.5"
    isolated = picture.link(on_vlan, "vnet5")["linkinfo"]["info_slave_data"]["isolated"]
    assert isolated is True, "set by kvmnet: NetworkManager does not have the bridge's settings of this port"
    assert lost == 0, "the other guest is not affected"


def test_a_change_with_allowed_guest_loss_is_applied(on_vlan: Machine, peer: Machine) -> None:
    """Also from a saved plan, which contains what was allowed."""
    on_vlan.put("/root/cluster.yaml", DEFINITION)
    saved = on_vlan.out("kvmnet plan --allow-guest-loss vnet5 -o /root/plan.json /root/cluster.yaml")
    assert "vnet5 (not a device of a libvirt domain) on br-eth0.5: disconnected: br-eth0.5 is removed\n" in saved
    assert "untouched guests: vnet0\n" in saved
    result = on_vlan.run("kvmnet apply --yes --plan /root/plan.json", check=False, timeout=180)
    assert result.code == 0, result
    assert "br-eth0.5" not in picture.all_addresses(on_vlan)
    assert "master" not in picture.link(on_vlan, "vnet5")
    assert picture.link(on_vlan, "vnet0")["master"] == "br-eth0"


@pytest.mark.guarantee("G70")
def test_a_tap_that_a_change_detaches_is_attached_again(on_vlan: Machine, peer: Machine) -> None:
    """The guest's tap is removed from its bridge during the change. The transaction adds it again."""
    with injection.nmstatectl(on_vlan, '$REAL "$@" || exit; ip link set vnet0 nomaster'):
        result = apply(on_vlan, WITH_VLAN, "--json")
    assert result.code == 0, result
    assert read_back(result).endswith("1 guests' ports as before")
    assert picture.link(on_vlan, "vnet0")["master"] == "br-eth0"
    with outage.pings(peer, INSIDE) as seen:
        pass
    assert seen.received and not seen.lost


def test_a_change_of_the_bridge_interrupts_its_guest_briefly(guest: Machine, peer: Machine) -> None:
    """Its bridge and NIC get another MTU. The tap stays a port, and traffic continues."""
    other = DEFINITION.replace("gateway: 10.1.1.1, mtu: 1496", "gateway: 10.1.1.1, mtu: 1400")
    told = plan(guest, other)["guests"]
    assert ("vnet0", "interrupted briefly") in [(g["device"], g["how"]) for g in told]
    lost, result = outage.lost_during(peer, lambda: apply(guest, other, "--allow-guest-loss", "vnet5"), INSIDE)
    assert result.code == 0, result
    assert picture.link(guest, "br-eth0")["mtu"] == 1400
    assert picture.link(guest, "vnet0")["master"] == "br-eth0"
    assert lost <= 20, "of ten a second"
