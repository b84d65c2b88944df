"""Hosts with guests are taken over as they are, and given back.

Each kind of host (tests/machines/existing_hosts.py) is refused without permission, adopted with a power cut while its
profiles are written, adopted with running guests, rebooted, and restored by `kvmnet remove`. Then the whole host is as
before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.transactions import cut_in, online
from tests.machines import existing_hosts, host_kinds, neighbour, outage, picture, tap_guest
from tests.machines.existing_hosts import HOSTS, ExistingHost, look
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable

pytestmark = pytest.mark.make_test("trixie")

#: Seconds that a guest on a bridge which keeps its name may be without network for a change.
GUEST_OUTAGE = {"trixie": 0.5, "bookworm": 1.0}
#: The same when its bridge is replaced.
HAND_OVER_OUTAGE = {"trixie": 5.0, "bookworm": 8.0}
#: What a reboot changes of a host, whether kvmnet is there or not.
ON_DISK = ("addresses", "routes", "settings", "resolv.conf", "hostname", "open", "rules")


def kinds(*short: str) -> list[Any]:
    """Return the kinds of hosts as parameters: those that are not in `short` are not in `make test`."""
    return [pytest.param(name, marks=() if name in short else pytest.mark.long) for name in HOSTS]


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    with host_kinds.host_and_peer(generation) as (host, peer):
        networks = {
            f"eth0.{existing_hosts.MANAGEMENT_VLAN}": [f"{existing_hosts.MANAGEMENT_PEER}/16"],
            f"eth0.{existing_hosts.GUEST_VLAN}": [f"{existing_hosts.GUEST_PEER}/16"],
        }
        neighbour.speak(peer, networks)
        yield host, peer


def apply(host: Machine, *options: str) -> Result:
    return host.run(["kvmnet", "apply", "--yes", *options, "/root/cluster.yaml"], check=False, timeout=240)


def permission(kind: ExistingHost) -> list[str]:
    return ["--adopt"] if kind.adopts else []


def plan(host: Machine, kind: ExistingHost) -> dict[str, Any]:
    command = " ".join(["kvmnet plan --json", *permission(kind), "/root/cluster.yaml"])
    found: dict[str, Any] = json.loads(host.out(command))
    return found


def assert_same(now: dict[str, Any], before: dict[str, Any], parts: Sequence[str] = ()) -> None:
    assert not (differing := picture.differences(now, before, parts or list(before))), "\n".join(differing)


@contextmanager
def guests(host: Machine, kind: ExistingHost, *, in_vlan: bool = False) -> Iterator[None]:
    """Run the guests of this kind of host; with `in_vlan` the last one is in VLAN 100, isolated."""
    with ExitStack() as stack:
        for tap, bridge, address in kind.guests:
            stack.enter_context(tap_guest.guest(host, tap, bridge, address))
        if in_vlan:
            existing_hosts.set_port_attributes(host, kind.guests[-1][0])
        yield


def reboot(host: Machine) -> None:
    host.power_cut()
    host.boot()
    online(host)


def adopt_with_guests(host: Machine, peer: Machine, kind: ExistingHost, allowed: float) -> dict[str, Any]:
    """Adopt the host while its first guest is pinged, and return the picture of it. `allowed` are the seconds that the
    guest may be without network."""
    if not kind.guests:
        assert apply(host, *permission(kind)).code == 0
        return look(host)
    address = kind.guests[0][2].partition("/")[0]
    peer.until(f"ping -n -c 1 -W 1 {address}")
    with outage.pings(peer, address) as idle:  # what a busy lab loses while nothing changes
        plan(host, kind)
    with outage.pings(peer, address) as seen:
        result = apply(host, *permission(kind))
    assert result.code == 0, result
    assert seen.longest <= allowed + idle.longest, f"guest without network for {seen.longest} s"
    return look(host)


@pytest.mark.guarantee("G54", "G55")
@pytest.mark.parametrize("name", kinds("br0"))
def test_a_host_is_adopted_and_given_back(machines: tuple[Machine, Machine], generation: str, name: str) -> None:
    host, peer = machines
    kind = HOSTS[name]
    in_vlan = name == "options"
    address = existing_hosts.lay_out(host, kind)
    peer.until(f"ping -n -c 1 -W 1 {address}")

    with guests(host, kind, in_vlan=in_vlan):
        before = look(host)
        if kind.adopts:
            refused = apply(host)
            assert (refused.code, "KVN536" in refused.stderr, "--adopt" in refused.stderr) == (5, True, True), refused
            assert_same(look(host), before)
        steps = plan(host, kind)["steps"]

    saving = next(number for number, title in enumerate(steps) if title.startswith("save the connection profiles"))
    bare = look(host)
    cut_in(host, " ".join(["exec kvmnet apply --yes", *permission(kind), "/root/cluster.yaml"]), saving)
    host.boot()
    online(host)
    host.until("test ! -e /var/lib/kvmnet/open", timeout=120)
    assert_same(look(host), bare, ON_DISK)
    assert reachable(peer, address)

    with guests(host, kind, in_vlan=in_vlan):
        before = look(host)
        limit = HAND_OVER_OUTAGE if name.startswith("replaced") else GUEST_OUTAGE
        adopted = adopt_with_guests(host, peer, kind, limit[generation])
        assert picture.addresses(host, kind.bridge)[0].partition("/")[0] == address, "the host keeps its address"
        assert reachable(peer, address), "a new connection is not answered: in which zone is it?"
        assert_guests_as_before(adopted, before, kind)
        assert "nothing to do: the host matches the definition" in host.out("kvmnet apply --yes /root/cluster.yaml")
        removed = host.run("kvmnet remove --yes", check=False, timeout=240)
        assert removed.code == 0, removed
        assert_same(look(host), before)
        for _, _, guest in kind.guests[:1]:
            peer.until(f"ping -n -c 1 -W 1 {guest.partition('/')[0]}")

    assert apply(host, *permission(kind)).code == 0
    running = look(host)
    reboot(host)
    host.until(f"ip -o address show dev {kind.bridge} | grep -q ' {address}/'", timeout=60)
    assert_same(look(host), running, ON_DISK)
    assert host.run("kvmnet status --exit-code", check=False).code == 0
    assert reachable(peer, address)
    removed = host.run("kvmnet remove --yes", check=False, timeout=240)
    assert removed.code == 0, removed
    assert_same(look(host), bare, ON_DISK)


def assert_guests_as_before(now: dict[str, Any], before: dict[str, Any], kind: ExistingHost) -> None:
    """The guests' taps are ports of the same bridges, or of the new one, with all their attributes and VLANs."""
    for tap, bridge, _ in kind.guests:
        master = bridge if bridge in now["links"] else kind.bridge
        assert now["links"][tap]["master"] == master
        assert {**now["ports"][tap], "master": ""} == {**before["ports"][tap], "master": ""}
        assert now["vlans"].get(tap) == before["vlans"].get(tap)


@pytest.mark.parametrize("name", [name for name in kinds("dhcp") if name.values[0] in ("br0", "bond", "dhcp")])
def test_the_commands_of_the_page(machines: tuple[Machine, Machine], name: str) -> None:
    """docs/howto/adopt.md: each definition, and the commands for it in their order."""
    host, peer = machines
    kind = HOSTS[name]
    address = existing_hosts.lay_out(host, kind)
    page = Path("docs/howto/adopt.md").read_text(encoding="utf-8")
    [definition] = [text for info, text in blocks(page) if info == f"yaml {name}"]
    host.put("/root/cluster.yaml", definition)
    printed = []
    with guests(host, kind):
        before = look(host)
        for info, text in blocks(page):
            if info.split()[:1] == ["sh"] and name in info.split():
                for line in text.splitlines():
                    result = host.run(f"cd /root && {line}", check=False, timeout=240)
                    assert result.code == 0, (line, result)
                    printed.append(result.stdout)
        assert_same(look(host), before)
    assert any("adopted" in text for text in printed)
    assert any("nothing to do" in text for text in printed)
    assert reachable(peer, address)


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Return the fenced blocks of a page: info string and text."""
    for block in re.finditer(r"^```(.*?)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        yield block[1], block[2]


@pytest.mark.long
@pytest.mark.guarantee("G54")
def test_the_options_of_an_adopted_bridge_stay(machines: tuple[Machine, Machine]) -> None:
    """Also those that nmstate has no key for, and those that are not in the profile: it states them afterwards."""
    host, _ = machines
    kind = HOSTS["options"]
    existing_hosts.lay_out(host, kind)
    host.run("ip link set dev br0 type bridge mcast_querier 1")
    before = picture.link(host, "br0")
    assert apply(host, "--adopt").code == 0
    host.put("/root/cluster.yaml", kind.definition.replace("gateway: 10.1.1.1", "gateway: 10.1.1.1, mtu: 1400"))
    assert apply(host).code == 0, "a later change needs no permission"
    reboot(host)
    after = picture.link(host, "br0")
    compared = ("stp_state", "priority", "vlan_filtering", "ageing_time", "mcast_snooping", "mcast_querier")
    for option in (*compared, "group_fwd_mask"):
        found, was = after["linkinfo"]["info_data"][option], before["linkinfo"]["info_data"][option]
        assert found == was, option
    assert (after["address"], after["mtu"]) == (before["address"], 1400)
    assert "100" in host.out("bridge vlan show dev eth0")
    assert host.run("kvmnet remove --yes", check=False, timeout=240).code == 0


@pytest.mark.make_test()
def test_the_plan_names_what_a_profile_has(machines: tuple[Machine, Machine]) -> None:
    host, _ = machines
    existing_hosts.lay_out(host, HOSTS["rich"])
    text = host.out("kvmnet plan /root/cluster.yaml")
    for part in (
        "br-eth0 takes over from the connection profile uplink of eth0",
        "connection.autoconnect-priority 10",
        "connection.llmnr no",
        "connection.mdns no",
        "connection.metered yes",
        "connection.stable-id site-${DEVICE}",
        "ipv4.dns-options timeout:1,attempts:2,rotate",
        "ipv4.may-fail no",
        "ipv4.route-metric 50",
        "ipv6.ip6-privacy prefer-temp-addr",
        "eth0 keeps from the connection profile uplink",
        "802-3-ethernet.mtu 1400",
        "802-3-ethernet.wake-on-lan 64",
        "ethtool.feature-gro no",
        "connection.lldp enable-rx",
        "user.data org.example.owner=netops",
        "the address 192.168.77.1/24",
        "10.99.0.0/16 via 10.1.1.2",
        "10.98.0.0/16 via 10.1.1.3",
        "0.0.0.0/0 via 10.1.1.9",
        "from 192.168.77.0/24",
    ):
        assert part in text, f"{part}\n{text}"
    assert "10.1.1.9" not in text.partition("targets that must reply after the change")[2]
    assert apply(host).code == 0
    bridge = host.out("nmcli -t connection show br-eth0")
    for part in (
        "connection.autoconnect-priority:10",
        "connection.llmnr:0",
        "connection.mdns:0",
        "connection.metered:yes",
        "connection.stable-id:site-${DEVICE}",
        "ipv4.may-fail:no",
        "ipv4.route-metric:50",
        "ipv6.ip6-privacy:2",
    ):
        assert part in bridge, f"{part}\n{bridge}"
    assert host.run("kvmnet remove --yes", check=False, timeout=240).code == 0
