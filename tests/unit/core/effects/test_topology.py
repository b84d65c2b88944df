"""How devices are connected before and after a plan, and what the plan does to each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import pytest

from kvmnet.core.effects.topology import Topologies, Topology, compare_topologies
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.live.running_guests import Running
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.changes import Change, Reason
from kvmnet.core.planning.difference import rename_interfaces
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rename_order import Rename
from kvmnet.core.rendering.bundle import Bundle

Interface = dict[str, Any]
BUNDLE = Bundle("c", "h", "plain", (), {})


def stack() -> Topology:
    """A bond of two NICs, a VLAN with ID 5 on it, and a bridge of the VLAN with a guest's tap and a macvtap."""
    return Topology(
        kinds={
            "@eth0": None, "@eth1": None, "bond0": "bond", "bond0.5": "vlan", "br5": "bridge", "vnet0": "tun",
            "tap1": "macvtap",
        },
        controller={"@eth0": "bond0", "@eth1": "bond0", "bond0.5": "br5", "vnet0": "br5", "tap1": "br5"},
        base={"bond0.5": "bond0", "tap1": "bond0"},
        tag={"bond0.5": 5},
    )  # fmt: skip


# ---- one topology


def test_frames_of_a_bridge_go_down_through_its_uplink_and_not_to_guests() -> None:
    topology = stack()
    assert topology.below("br5") == ["bond0.5"]
    assert topology.below("bond0.5") == ["bond0"] and topology.below("tap1") == ["bond0"]
    assert topology.below("@eth0") == [] and topology.below("nonesuch") == []
    assert topology.devices("br5") == ["br5", "bond0.5", "bond0", "@eth0", "@eth1"]


def test_a_path_has_the_nic_and_the_vlan_ids_from_the_top() -> None:
    topology = stack()
    assert topology.paths("br5") == {("@eth0", (5,)), ("@eth1", (5,))}
    assert topology.paths("bond0") == {("@eth0", ()), ("@eth1", ())}
    topology.kinds["q"], topology.base["q"], topology.tag["q"] = "vlan", "bond0.5", 7
    assert topology.paths("q") == {("@eth0", (7, 5)), ("@eth1", (7, 5))}


@pytest.mark.parametrize("reason", ["down", "missing", "loop", "no uplink"])
def test_no_frame_leaves_through_a_device_that_is_cut_off(reason: str) -> None:
    topology = stack()
    if reason == "down":
        topology.down.add("bond0")
    elif reason == "missing":
        del topology.kinds["bond0"]
    elif reason == "loop":
        topology.controller["br5"] = "bond0"
        topology.controller["@eth0"] = topology.controller["@eth1"] = None
    else:
        topology.controller["bond0.5"] = None
    assert topology.paths("br5") == set()


def test_removing_a_device_removes_what_is_above_it_and_frees_its_ports() -> None:
    topology = stack()
    before = topology.copy()
    topology.remove("bond0")
    assert set(topology.kinds) == {"@eth0", "@eth1", "br5", "vnet0"}
    assert topology.controller == {"@eth0": None, "@eth1": None, "vnet0": "br5"}
    assert topology.base == {}
    assert before == stack(), "a copy is independent"


# ---- two topologies


def nic(name: str, **keys: Any) -> Interface:
    return {"name": name, "type": "ethernet", "state": "up", **keys}


def bridge(name: str, *ports: str, **keys: Any) -> Interface:
    section = {"port": [{"name": port} for port in ports]}
    return {"name": name, "type": "linux-bridge", "state": "up", "bridge": section, **keys}


def vlan(name: str, base: str, tag: int, **keys: Any) -> Interface:
    return {"name": name, "type": "vlan", "state": "up", "vlan": {"base-iface": base, "id": tag}, **keys}


def bond(name: str, *ports: str, mode: str = "active-backup") -> Interface:
    section = {"mode": mode, "port": list(ports)}
    return {"name": name, "type": "bond", "state": "up", "link-aggregation": section}


KINDS: dict[str, Optional[str]] = {
    "ethernet": None, "linux-bridge": "bridge", "vlan": "vlan", "bond": "bond", "mac-vtap": "macvtap", "veth": "veth",
}  # fmt: skip


def live_of(*interfaces: Interface, guests: tuple[Link, ...] = (), running: Running = Running()) -> Live:  # noqa: B008
    """Return a host with these interfaces."""
    masters: dict[str, str] = {}
    for i in interfaces:
        ports = [p["name"] for p in i.get("bridge", {}).get("port", [])] + i.get("link-aggregation", {}).get("port", [])
        masters.update(dict.fromkeys(ports, i["name"]))
    links = [
        Link(
            i["name"],
            None,
            KINDS[i["type"]],
            master=masters.get(i["name"]),
            base=i.get(i["type"], {}).get("base-iface"),
        )
        for i in interfaces
    ]
    return Live(
        hostname="h",
        state={"interfaces": list(interfaces)},
        links={link.name: link for link in (*links, *guests)},
        profiles={},
        surroundings=Surroundings(running=running),
    )


def compare(live: Live, *sent: Interface, **plan: Any) -> Topologies:
    """Return the topologies for a plan that sends these interfaces."""
    made = Plan(BUNDLE, state={"interfaces": list(sent)}, **plan)
    return compare_topologies(made, live, rename_interfaces(live.state, made.new_names))


def test_an_empty_plan_changes_nothing() -> None:
    live = live_of(nic("eth0"), vlan("eth0.5", "eth0", 5), bridge("br5", "eth0.5"))
    compared = compare(live)
    assert compared.before == compared.after
    assert compared.before.paths("br5") == {("@eth0", (5,))}
    assert (compared.changed, compared.recreated, compared.sent, compared.lent) == ({}, {}, set(), set())
    assert compared.now("eth0") == "@eth0" and compared.then("eth0") == "@eth0" and compared.now("eth9") is None


def test_a_nic_is_not_mixed_up_with_the_bridge_that_gets_its_name() -> None:
    live = live_of(nic("eth0"))
    compared = compare(live, nic("peth0"), bridge("eth0", "peth0"), renames=(Rename("02::1", "eth0", "peth0"),))
    assert compared.now("eth0") == "@peth0" and compared.then("eth0") == "eth0" and compared.then("peth0") == "@peth0"
    assert compared.after.paths("eth0") == {("@peth0", ())}
    assert compared.sent == {"@peth0", "eth0"}
    assert compared.changed == {
        "@peth0": "eth0 is renamed to peth0",
        "eth0": "eth0: absent -> linux-bridge",
    }
    assert compared.recreated == {}


def test_a_nic_that_joins_or_leaves_a_bridge_is_changed() -> None:
    live = live_of(nic("eth0"), nic("eth1"), bridge("br0", "eth0"))
    compared = compare(live, bridge("br0", "eth1"))
    assert compared.changed == {
        "@eth0": "eth0 is no longer a port of br0",
        "@eth1": "eth1 becomes a port of br0",
        "br0": "br0: bridge.port: eth0 -> eth1",
    }
    assert compared.after.controller["@eth0"] is None and compared.after.controller["@eth1"] == "br0"


def test_an_interface_that_is_sent_without_its_ports_keeps_them() -> None:
    live = live_of(nic("eth0"), bridge("br0", "eth0"))
    compared = compare(live, {"name": "br0", "type": "linux-bridge", "state": "up", "mtu": 9000})
    assert compared.after.controller["@eth0"] == "br0"
    assert compared.changed == {"br0": "br0: mtu: none -> 9000"}


def test_several_differences_are_counted_and_addresses_are_none_of_them() -> None:
    """No frame of a guest passes through an address."""
    live = live_of(nic("eth0", mtu=1500, ipv4={"enabled": False}))
    two = nic("eth0", **{"mtu": 9000, "accept-all-mac-addresses": True, "ipv4": {"enabled": True}})
    assert compare(live, two).changed == {"@eth0": "eth0: mtu: 1500 -> 9000 and 1 more"}
    assert compare(live, nic("eth0", ipv4={"enabled": True})).changed == {}


@pytest.mark.parametrize(
    ("new", "event"),
    [
        (vlan("eth0.5", "eth0", 6), "eth0.5 is recreated with VLAN ID 6"),
        (vlan("eth0.5", "eth1", 5), "eth0.5 is recreated on eth1"),
    ],
)
def test_a_vlan_with_another_id_or_base_interface_is_recreated(new: Interface, event: str) -> None:
    live = live_of(nic("eth0"), nic("eth1"), vlan("eth0.5", "eth0", 5))
    compared = compare(live, new)
    assert compared.recreated == {"eth0.5": event} and compared.changed["eth0.5"] == event
    section = new["vlan"]
    assert compared.after.paths("eth0.5") == {("@" + section["base-iface"], (section["id"],))}


def test_a_new_vlan_is_created_and_one_with_the_same_id_is_not_recreated() -> None:
    live = live_of(nic("eth0"), vlan("eth0.5", "eth0", 5))
    compared = compare(live, vlan("eth0.5", "eth0", 5, mtu=1400), vlan("eth0.6", "eth0", 6))
    assert compared.recreated == {}
    assert compared.after.paths("eth0.6") == {("@eth0", (6,))}


def test_a_bond_with_another_mode_is_recreated_and_with_another_port_not() -> None:
    live = live_of(nic("eth0"), nic("eth1"), bond("bond0", "eth0"))
    other_mode = compare(live, bond("bond0", "eth0", mode="balance-xor"))
    assert other_mode.recreated == {"bond0": "bond0 is recreated (link-aggregation.mode: active-backup -> balance-xor)"}
    other_port = compare(live, bond("bond0", "eth1"))
    assert other_port.recreated == {}
    assert other_port.after.paths("bond0") == {("@eth1", ())}


def test_a_new_bond_is_not_recreated() -> None:
    assert compare(live_of(nic("eth0")), bond("bond0", "eth0")).recreated == {}


def test_a_macvtap_moves_to_another_base_interface() -> None:
    tap = {"name": "mvt", "type": "mac-vtap", "state": "up", "mac-vtap": {"base-iface": "eth0", "mode": "bridge"}}
    moved = {**tap, "mac-vtap": {"base-iface": "eth1", "mode": "bridge"}}
    live = live_of(nic("eth0"), nic("eth1"), tap)
    compared = compare(live, moved)
    assert compared.recreated == {"mvt": "mvt is recreated on eth1"}
    assert compared.after.paths("mvt") == {("@eth1", ())} and compared.after.tag == {}
    other_mode = {**tap, "mac-vtap": {"base-iface": "eth0", "mode": "vepa"}}
    assert compare(live, other_mode).recreated == {"mvt": "mvt is recreated (mac-vtap.mode: bridge -> vepa)"}


@pytest.mark.parametrize("state", ["absent", "down"])
def test_a_bridge_that_is_removed_or_set_down_carries_no_frames(state: str) -> None:
    live = live_of(nic("eth0"), bridge("br0", "eth0"))
    compared = compare(live, {"name": "br0", "type": "linux-bridge", "state": state})
    assert compared.after.paths("br0") == set()
    assert ("br0" in compared.after.kinds) is (state == "down")
    assert compared.after.controller["@eth0"] == (None if state == "absent" else "br0")
    assert ("@eth0" in compared.changed) is (state == "absent")


@pytest.mark.parametrize("state", ["absent", "down"])
def test_a_nic_cannot_be_removed_it_goes_down(state: str) -> None:
    compared = compare(live_of(nic("eth0")), nic("eth0", state=state))
    assert compared.after.down == {"@eth0"} and "@eth0" in compared.after.kinds


def test_a_bridge_that_is_removed_first_and_whose_name_another_interface_gets_is_recreated() -> None:
    live = live_of(nic("peth0"), bridge("eth0", "peth0"), bridge("br9"))
    first = {"interfaces": [bridge("eth0", state="absent"), bridge("br9", state="absent"), nic("peth0")]}
    renames = (Rename("02::1", "peth0", "eth0"),)
    compared = compare(live, nic("eth0"), first=first, renames=renames)
    assert "eth0" not in compared.after.kinds and "br9" not in compared.after.kinds
    assert compared.then("eth0") == "@eth0" and compared.now("eth0") == "eth0"
    assert compared.recreated == {}
    again = compare(live, vlan("eth0", "peth0", 5), first=first)
    assert again.recreated == {"eth0": "eth0 is removed, and another interface gets its name"}


def test_a_virtual_function_is_on_its_physical_nic() -> None:
    live = live_of(nic("eth0"), nic("eth0v1"), running=Running(parents={"eth0v1": "eth0"}))
    assert compare(live).before.devices("@eth0v1") == ["@eth0v1", "@eth0"]


def test_a_vlan_that_nmstate_does_not_report_has_its_name_in_place_of_its_id() -> None:
    live = live_of(nic("eth0"))
    live = replace(live, links={**live.links, "q": Link("q", None, "vlan", base="eth0")})
    assert compare(live).before.paths("q") == {("@eth0", ("q",))}


def test_a_veth_is_no_nic_and_is_compared_with_the_veth_of_its_name() -> None:
    veth = {"name": "veth0", "type": "veth", "state": "up", "mtu": 1500}
    live = live_of(nic("eth0"), veth, bridge("br0", "eth0", "veth0"))
    compared = compare(live, {**veth, "mtu": 9000})
    assert compared.before.kinds["veth0"] == "veth"
    assert compared.changed == {"veth0": "veth0: mtu: 1500 -> 9000"}


@pytest.mark.parametrize(
    ("state", "exists", "lent"), [("ignore", True, {"eth0.5"}), ("up", True, set()), ("ignore", False, set())]
)
def test_a_vlan_of_libvirts_hook_that_becomes_the_hosts_is_lent(state: str, exists: bool, lent: set[str]) -> None:
    live = live_of(nic("eth0"), vlan("eth0.5", "eth0", 5, state=state))
    if not exists:
        live = replace(live, links={"eth0": live.links["eth0"]})
    compared = compare(live, vlan("eth0.5", "eth0", 5), bridge("br5", "eth0.5"))
    assert compared.lent == lent


def test_a_bridge_that_nmstate_ignores_is_not_lent() -> None:
    live = live_of(nic("eth0"), bridge("br0", "eth0", state="ignore"))
    assert compare(live, bridge("br0", "eth0")).lent == set()


def test_a_removal_changes_the_nic_whose_profile_is_restored() -> None:
    live = live_of(nic("eth0"), nic("eth1"))
    changes = tuple(Change("change", name, (Reason.PROFILE_RESTORED,)) for name in ("eth0", "eth1", "br9"))
    other = Change("change", "eth1", (Reason.NIC_RELEASED,))
    assert compare(live, changes=changes[:1]).changed == {"@eth0": "the connection profile of eth0 is restored"}
    assert compare(live, changes=(changes[2], other)).changed == {}
    assert compare(live, nic("eth1"), changes=changes).changed == {
        "@eth0": "the connection profile of eth0 is restored"
    }
