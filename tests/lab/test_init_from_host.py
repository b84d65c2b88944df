"""`kvmnet init --from-host`: each kind of host is described as it is, adopted without an interruption, and given back.

`--naming rocks` then leads the host with br0 to eth0 as a bridge over peth0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.lab.test_adopt import GUEST_OUTAGE, HAND_OVER_OUTAGE, assert_same
from tests.machines import existing_hosts, host_kinds, neighbour, outage, picture, tap_guest
from tests.machines.existing_hosts import HOSTS, ExistingHost, look
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable
from tests.machines.seed import HOST_MAC

pytestmark = pytest.mark.make_test()

FOLDER = "/root/site"
#: What kvmnet plan may show on a host as it is: profiles that are adopted and completed, and kvmnet's own files.
RECORDED = ("adopted: ", "its connection profile", "connection profile on disk: ", "in its connection profile, ")
RECORDED_KINDS = ("file", "save", "record")
#: Parts of the definition of each kind of host.
EXPECTED = {
    "br0": ("eth0: {network: lan, mac: ", "bridge: br0}"),
    "bond": ("ports: [eth0, eth1]", "bond0.100:", "bridge: br0", "bridge: br200"),
    "dhcp": ("ipv4: dhcp", "bridge: {name: br0, mac: "),
    "rich": (
        "addresses: [10.1.255.254, 192.168.77.1]",
        "{to: 0.0.0.0/0, via: 10.1.1.9, ",
        "{to: 10.98.0.0/16, via: 10.1.1.3, metric: 30}",
        "ipv6: auto",
        "mtu: 1400",
    ),
}


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    with host_kinds.host_and_peer(generation) as (host, peer):
        networks = {
            f"eth0.{existing_hosts.MANAGEMENT_VLAN}": [f"{existing_hosts.MANAGEMENT_PEER}/16"],
            f"eth0.{existing_hosts.GUEST_VLAN}": [f"{existing_hosts.GUEST_PEER}/16"],
        }
        neighbour.speak(peer, networks)
        yield host, peer


@contextmanager
def guests(host: Machine, kind: ExistingHost) -> Iterator[None]:
    with ExitStack() as stack:
        for tap, bridge, address in kind.guests:
            stack.enter_context(tap_guest.guest(host, tap, bridge, address))
        yield


def init(host: Machine, *options: str) -> Result:
    host.run(f"rm -rf {FOLDER}")
    return host.run(["kvmnet", "init", "--from-host", *options, FOLDER], check=False, timeout=120)


def kvmnet(host: Machine, *words: str) -> Result:
    result = host.run(["kvmnet", *words], check=False, timeout=240)
    assert result.code == 0, result
    return result


def live_changes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the changes of a plan besides those that an adoption records."""
    return [
        change
        for change in plan["changes"]
        if change["what"] not in RECORDED_KINDS
        and not all(str(detail).startswith(RECORDED) for detail in change["details"])
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_host_as_it_is(machines: tuple[Machine, Machine], generation: str, name: str) -> None:
    host, peer = machines
    kind = HOSTS[name]
    address = existing_hosts.lay_out(host, kind)
    peer.until(f"ping -n -c 1 -W 1 {address}")
    with guests(host, kind):
        before = look(host)
        described = init(host)
        assert described.code == 0 and "kvmnet plan would change" not in described.stderr, described
        text = host.out(f"cat {FOLDER}/cluster.yaml")
        for part in EXPECTED[name]:
            assert part in text, f"{part}\n{text}"
        assert_same(look(host), before)

        definition = f"{FOLDER}/cluster.yaml"
        kvmnet(host, "validate", definition)
        plan = json.loads(kvmnet(host, "plan", "--adopt", "--json", definition).stdout)
        assert live_changes(plan) == []

        guest = kind.guests[0][2].partition("/")[0] if kind.guests else address
        with outage.pings(peer, address) as of_host, outage.pings(peer, guest) as of_guest:
            kvmnet(host, "apply", "--yes", "--adopt", definition)
        assert of_host.longest <= GUEST_OUTAGE[generation], f"host away for {of_host.longest} s"
        assert of_guest.longest <= GUEST_OUTAGE[generation], f"guest without network for {of_guest.longest} s"
        assert reachable(peer, address), "a new connection is not answered: in which zone is it?"
        assert "nothing to do: the host matches the definition" in kvmnet(host, "apply", "--yes", definition).stdout
        kvmnet(host, "remove", "--yes")
        assert_same(look(host), before)


def test_the_naming_of_rocks_hands_the_guest_over(machines: tuple[Machine, Machine], generation: str) -> None:
    host, peer = machines
    kind = HOSTS["br0"]
    address = existing_hosts.lay_out(host, kind)
    tap, _, guest = kind.guests[0]
    with guests(host, kind):
        before = look(host)
        described = init(host, "--naming", "rocks")
        assert described.code == 0 and "rename eth0: to peth0" in described.stderr, described
        definition = f"{FOLDER}/cluster.yaml"
        with outage.pings(peer, guest.partition("/")[0]) as seen:
            kvmnet(host, "apply", "--yes", "--adopt", definition)
        assert seen.longest <= HAND_OVER_OUTAGE[generation], f"guest without network for {seen.longest} s"
        links = look(host)["links"]
        assert (links["peth0"]["master"], links[tap]["master"]) == ("eth0", "eth0") and "br0" not in links
        assert picture.addresses(host, "eth0")[0].partition("/")[0] == address and reachable(peer, address)
        assert "nothing to do" in kvmnet(host, "apply", "--yes", definition).stdout
        kvmnet(host, "remove", "--yes")
        assert_same(look(host), before)


def test_a_second_host_is_added_to_a_definition(machines: tuple[Machine, Machine]) -> None:
    host, _ = machines
    existing_hosts.lay_out(host, HOSTS["br0"])
    text = HOSTS["br0"].definition.replace("kvm1", "other").replace(HOST_MAC, "00:14:4f:00:00:99")
    host.put("/root/all.yaml", "# our site\n" + text.replace("10.1.255.254", "10.1.255.253"))
    kvmnet(host, "init", "--from-host", "--append", "/root/all.yaml")
    assert host.out("head -1 /root/all.yaml") == "# our site\n"
    kvmnet(host, "validate", "/root/all.yaml")
    assert live_changes(json.loads(kvmnet(host, "plan", "--adopt", "--json", "/root/all.yaml").stdout)) == []
