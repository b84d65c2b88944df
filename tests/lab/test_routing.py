"""Policy routing with two uplinks, an on-link gateway, and addresses on a dummy and the loopback interface: applied,
rebooted, rolled back, removed.

Each test continues with the host of the previous one. The host has two NICs on two wires, and the peer an address on
each: the question comes in by the second uplink, and the answer must leave there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.transactions import apply, online
from tests.machines import picture
from tests.machines.machine import Machine, Nic
from tests.machines.seed import HOST_MAC, PEER_MAC, seed_host, two_machines
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

SECOND_MAC, PEER_SECOND_MAC = "00:14:4f:80:de:01", "00:14:4f:80:df:01"
DEFINITION = f"""kvmnet: 1
cluster: two
profile: plain
networks:
  int: {{subnets: [10.1.0.0/16], gateway: 10.1.1.1}}
  ext: {{subnets: [198.51.100.0/24], gateway: 198.51.100.1, default_route: false}}
hosts:
  host:
    ROUTING
    interfaces:
      eth0: {{network: int, mac: "{HOST_MAC}", addresses: [10.1.255.254]}}
      eth1: {{network: ext, mac: "{SECOND_MAC}", addresses: [198.51.100.108]}}
"""
ROUTING = """routes:
      - {to: 0.0.0.0/0, via: 198.51.100.1, table: 100}
      - {to: 198.51.100.0/24, table: 100}
    rules: [{from: 198.51.100.108, table: 100, priority: 1000}]"""
PLAIN, RULED = (DEFINITION.replace("ROUTING", text) for text in ("kvm: false", ROUTING))
SERVICES = RULED + "      dummy0: {addresses: [203.0.113.7/32]}\n      lo: {addresses: [203.0.113.8/32]}\n"
ON_LINK = RULED.replace("    rules:", "      - {to: 203.0.113.64/28, via: 203.0.113.1, interface: eth1}\n    rules:")
NOTHING = "host: nothing to do: the host matches the definition\n"
#: An address of the peer that the host reaches by its default route, through the first uplink.
FAR = "192.0.2.77"


@pytest.fixture(scope="module")
def pair(lab: None, generation: str, wire: Wire) -> Iterator[tuple[Machine, Machine]]:
    """The host and the peer, connected by two wires."""
    with Wire() as other:
        nics = [Nic(HOST_MAC, wire), Nic(SECOND_MAC, other)]
        with two_machines(generation, nics, [Nic(PEER_MAC, wire), Nic(PEER_SECOND_MAC, other)]) as (host, peer):
            peer.run("ip address add 198.51.100.1/24 dev eth1 && ip link set eth1 up")
            peer.run(f"ip address add {FAR}/32 dev lo; ip address add 203.0.113.1/32 dev lo")
            peer.run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0")
            seed_host(host)
            yield host, peer


def change(host: Machine, definition: str, code: int = 0) -> str:
    host.put("/root/cluster.yaml", definition)
    result = apply(host)
    assert result.code == code, result
    return result.stdout + result.stderr


def rules(host: Machine) -> list[str]:
    return [line for line in host.out("ip -4 rule").splitlines() if "198.51.100.108" in line]


def leaves_by(host: Machine, source: str) -> str:
    """Return the interface by which the host sends packets from an address to the far one."""
    return host.out(f"ip route get {FAR} from {source}").split(" dev ")[1].split()[0]


@pytest.fixture(scope="module")
def before(pair: tuple[Machine, Machine]) -> dict[str, Any]:
    return picture.without_metrics(picture.whole(pair[0]))


def test_answers_leave_where_the_question_came_in(pair: tuple[Machine, Machine], before: dict[str, Any]) -> None:
    host, peer = pair
    change(host, PLAIN)
    assert leaves_by(host, "198.51.100.108") == "eth0"
    change(host, RULED)
    assert (leaves_by(host, "198.51.100.108"), leaves_by(host, "10.1.255.254")) == ("eth1", "eth0")
    assert len(rules(host)) == 1
    assert peer.run(f"ping -c 3 -i 0.2 -I {FAR} 198.51.100.108", check=False)
    assert apply(host).stdout == NOTHING


def test_a_change_of_something_else_keeps_rules_and_tables(pair: tuple[Machine, Machine]) -> None:
    host, _ = pair
    change(host, RULED.replace("addresses: [198.51.100.108]", "addresses: [198.51.100.108, 198.51.100.109]"))
    assert len(rules(host)) == 1 and leaves_by(host, "198.51.100.108") == "eth1"
    change(host, RULED)
    assert apply(host).stdout == NOTHING


def test_drift_of_a_rule_is_found_and_repaired(pair: tuple[Machine, Machine]) -> None:
    host, _ = pair
    host.run("ip rule del priority 1000")
    plan = host.run("kvmnet plan /root/cluster.yaml", check=False).stdout
    assert "+ add rule: from 198.51.100.108 lookup 100 priority 1000" in plan
    change(host, RULED)
    assert len(rules(host)) == 1


def test_a_rollback_and_a_reboot_keep_the_rule(pair: tuple[Machine, Machine]) -> None:
    host, _ = pair
    seen = picture.without_metrics(picture.whole(host))
    change(host, RULED.replace("10.1.", "10.2.").replace("table: 100", "table: 101"), code=3)
    assert picture.without_metrics(picture.whole(host)) == seen
    host.reboot()
    online(host)
    assert len(rules(host)) == 1 and leaves_by(host, "198.51.100.108") == "eth1"
    host.put("/root/cluster.yaml", RULED)
    assert apply(host).stdout == NOTHING


def test_an_on_link_next_hop_is_reached(pair: tuple[Machine, Machine]) -> None:
    host, _ = pair
    change(host, ON_LINK)
    assert "203.0.113.64/28 via 203.0.113.1 dev eth1" in host.out("ip route")
    assert "203.0.113.1 dev eth1" in host.out("ip route"), "NetworkManager adds the route to the next hop"
    assert apply(host).stdout == NOTHING
    change(host, RULED)
    assert "203.0.113" not in host.out("ip route")


def test_services_have_addresses_on_a_dummy_and_the_loopback_interface(pair: tuple[Machine, Machine]) -> None:
    host, peer = pair
    change(host, SERVICES)
    assert "203.0.113.7/32" in host.out("ip -br address show dev dummy0")
    shown = host.out("ip -br address show dev lo")
    assert "127.0.0.1/8" in shown and "203.0.113.8/32" in shown and "::1/128" in shown
    assert apply(host).stdout == NOTHING
    peer.run("ip route replace 203.0.113.0/28 via 10.1.255.254")
    for address in ("203.0.113.7", "203.0.113.8"):
        assert peer.run(f"ping -c 3 -i 0.2 {address}", check=False), address
    host.reboot()
    online(host)
    assert "203.0.113.8/32" in host.out("ip -br address show dev lo")
    assert apply(host).stdout == NOTHING
    change(host, RULED)
    assert host.run("ip link show dummy0", check=False).code != 0
    shown = host.out("ip -br address show dev lo")
    assert "203.0.113.8" not in shown and "127.0.0.1/8" in shown
    assert apply(host).stdout == NOTHING


def test_a_rollback_removes_the_addresses_of_services(pair: tuple[Machine, Machine]) -> None:
    host, _ = pair
    change(host, RULED)
    seen = picture.without_metrics(picture.whole(host))
    change(host, SERVICES.replace("10.1.1.1}", "10.1.1.99}"), code=3)
    now = picture.without_metrics(picture.whole(host))
    assert not (found := picture.differences(now, seen, seen)), "\n".join(found)


def test_what_leaves_the_definition_is_removed(pair: tuple[Machine, Machine]) -> None:
    host, _ = pair
    change(host, PLAIN)
    assert rules(host) == [] and host.out("ip route show table 100 2>/dev/null || true") == ""
    assert apply(host).stdout == NOTHING


@pytest.mark.parametrize("definition", [RULED, SERVICES], ids=["rules", "services"])
def test_a_removal_leaves_nothing(pair: tuple[Machine, Machine], before: dict[str, Any], definition: str) -> None:
    host, _ = pair
    change(host, definition)
    result = host.run("kvmnet remove --yes", check=False, timeout=180)
    assert result.code == 0, result
    now = picture.without_metrics(picture.whole(host))
    for seen in (now, before):  # it has no link-local address, and NetworkManager sets how it would get one
        seen["links"]["lo"].pop("inet6_addr_gen_mode", None)
    assert not (found := picture.differences(now, before, before)), "\n".join(found)
    assert host.run("ping -c 1 -W 1 127.0.0.2", check=False)
