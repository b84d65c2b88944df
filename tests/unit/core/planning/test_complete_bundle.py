"""The MAC addresses of bridges and bonds on a host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.complete_bundle import (
    ChosenMac,
    MacSource,
    choose_macs,
    complete_bundle,
    generate_mac,
    has_changing_mac,
    keep_spanning_tree,
)
from kvmnet.core.planning.ownership import make_ownership_record
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle, Nic
from kvmnet.core.reporting.change_text import detail_texts
from tests.unit.core.samples import MACS, PLAIN, applied, bare, bundle_of, notes_of

LIVE_MAC, STATED_MAC, OLD_MAC = "52:54:00:00:00:0a", "02:00:00:00:00:0b", "52:54:00:00:00:0c"


def bridge(name: str, *ports: str, mac: Optional[str] = None, kind: str = "linux-bridge") -> dict[str, Any]:
    """A bridge or bond of a bundle, with its rendered MAC address, if it has one."""
    section: dict[str, Any] = {"link-aggregation": {"mode": "active-backup", "options": {}, "port": list(ports)}}
    if kind == "linux-bridge":
        section = {"bridge": {"options": {"stp": {"enabled": False}}, "port": [{"name": port} for port in ports]}}
    entry = {"name": name, "type": kind, "state": "up", **section}
    return {**entry, "mac-address": mac.upper()} if mac else entry


def vlan(name: str, base: str) -> dict[str, Any]:
    return {"name": name, "type": "vlan", "state": "up", "vlan": {"base-iface": base, "id": 5}}


def nic(name: str) -> dict[str, Any]:
    return {"name": name, "type": "ethernet", "state": "up"}


def bundle_with(*interfaces: dict[str, Any], **values: Any) -> Bundle:
    """A bundle of two NICs that are known by name."""
    nics = tuple(Nic(name, name) for name in ("eth0", "eth1"))
    state = {"interfaces": [nic("eth0"), nic("eth1"), *interfaces]}
    return Bundle("order", "host", "plain", nics, state, digest="sha256:0", **values)


def existing(name: str, mac: str, kind: str = "bridge") -> Live:
    """The host with a bridge or bond that has this MAC address."""
    types = {"bridge": "linux-bridge", "bond": "bond"}
    shown = {"name": name, "type": types[kind], "state": "up", "mac-address": mac.upper()}
    live = bare()
    return replace(
        live,
        state={"interfaces": [*live.state["interfaces"], shown]},
        links={**live.links, name: Link(name, None, kind)},
    )


def recorded(live: Live, name: str, mac: str, kind: str = "linux-bridge") -> Live:
    """The host on which the last apply recorded this MAC address."""
    return replace(live, applied_state={"interfaces": [{"name": name, "type": kind, "mac-address": mac.upper()}]})


def test_a_stated_mac_comes_first() -> None:
    bundle = bundle_with(bridge("br0", "eth0", mac=STATED_MAC), stated_macs=("br0",))
    live = recorded(existing("br0", LIVE_MAC), "br0", OLD_MAC)
    assert choose_macs(bundle, live) == {"br0": ChosenMac(STATED_MAC, MacSource.STATED)}


def test_then_the_recorded_one_so_that_a_change_by_hand_is_drift() -> None:
    bundle = bundle_with(bridge("br0", "eth0", mac=MACS[0]))
    live = recorded(existing("br0", LIVE_MAC), "br0", OLD_MAC)
    assert choose_macs(bundle, live) == {"br0": ChosenMac(OLD_MAC, MacSource.RECORDED)}
    (change,) = (c for c in make_plan(bundle, live).changes if c.name == "br0")
    assert f"mac-address: {LIVE_MAC.upper()} -> {OLD_MAC.upper()}" in detail_texts(change)


def test_a_rollback_returns_to_the_mac_that_was_recorded_then() -> None:
    bundle = bundle_with(bridge("br0", "eth0", mac=MACS[0]))
    live = recorded(existing("br0", LIVE_MAC), "br0", LIVE_MAC)
    then = live.with_recorded_macs({"br0": OLD_MAC.upper(), "br1": LIVE_MAC})
    assert choose_macs(bundle, then) == {"br0": ChosenMac(OLD_MAC, MacSource.RECORDED)}
    assert live.with_recorded_macs({}) is live


def test_the_record_of_another_type_of_interface_does_not_count() -> None:
    bundle = bundle_with(bridge("br0", "eth0"))
    live = recorded(existing("br0", LIVE_MAC), "br0", OLD_MAC, "bond")
    assert choose_macs(bundle, live)["br0"] == ChosenMac(LIVE_MAC, MacSource.LIVE)


@pytest.mark.parametrize("kind", ["linux-bridge", "bond"])
def test_an_existing_interface_keeps_its_mac(kind: str) -> None:
    bundle = bundle_with(bridge("br0", "eth0", mac=MACS[0], kind=kind))
    live = existing("br0", LIVE_MAC, "bond" if kind == "bond" else "bridge")
    assert choose_macs(bundle, live) == {"br0": ChosenMac(LIVE_MAC, MacSource.LIVE)}
    plan = make_plan(bundle, live)
    assert not [d for c in plan.changes if c.name == "br0" for d in detail_texts(c) if "mac-address" in d]


def test_a_nic_of_the_bridges_name_is_not_the_bridge() -> None:
    bundle = bundle_with(bridge("br0", "eth0"))
    live = bare()
    shown = {"name": "br0", "type": "ethernet", "state": "up", "mac-address": LIVE_MAC}
    live = replace(
        live,
        links={**live.links, "br0": Link("br0", LIVE_MAC, None)},
        state={"interfaces": [*live.state["interfaces"], shown]},
    )
    assert choose_macs(bundle, live)["br0"].source is MacSource.PORT


@pytest.mark.parametrize(
    ("interfaces", "mac"),
    [
        ([bridge("br0", "eth1")], MACS[1]),
        ([bridge("br0", "eth1", "eth0")], MACS[1]),
        ([bridge("bond0", "eth1", "eth0", kind="bond"), bridge("br0", "bond0")], MACS[1]),
        ([vlan("eth1.5", "eth1"), bridge("br0", "eth1.5")], MACS[1]),
        ([bridge("br1", "eth1"), vlan("br1.5", "br1"), bridge("br0", "br1.5")], MACS[1]),
        ([bridge("br0", "missing", mac=OLD_MAC)], OLD_MAC),  # the refusals report the missing NIC
    ],
)
def test_a_new_bridge_has_the_permanent_mac_of_its_first_port(interfaces: list[dict[str, Any]], mac: str) -> None:
    assert choose_macs(bundle_with(*interfaces), bare())["br0"] == ChosenMac(mac, MacSource.PORT)


def test_a_new_bridge_has_the_permanent_mac_also_while_the_nic_has_another_one() -> None:
    live = bare()
    live.state["interfaces"][0]["mac-address"] = OLD_MAC
    assert choose_macs(bundle_with(bridge("br0", "eth0")), live)["br0"].mac == MACS[0]


def test_the_new_name_of_a_nic_finds_its_mac() -> None:
    bundle = bundle_with(bridge("eth0", "peth0"))
    nics = (Nic("eth0", "peth0", mac=MACS[0], link_file="00-kvmnet-peth0.link"),)
    bundle = replace(bundle, nics=nics, state={"interfaces": [nic("peth0"), bridge("eth0", "peth0")]})
    assert choose_macs(bundle, bare()) == {"eth0": ChosenMac(MACS[0], MacSource.PORT)}


def test_a_bond_whose_mac_changes_has_none_and_its_bridge_that_of_the_first_nic() -> None:
    bond = bridge("bond0", "eth1", "eth0", kind="bond")
    bond["link-aggregation"]["options"]["fail_over_mac"] = "active"
    assert has_changing_mac(bond)
    live = recorded(existing("bond0", LIVE_MAC, "bond"), "bond0", OLD_MAC, "bond")
    assert choose_macs(bundle_with(bond, bridge("br0", "bond0")), live) == {"br0": ChosenMac(MACS[1], MacSource.PORT)}


def test_a_bridge_without_ports_has_a_generated_mac_that_stays() -> None:
    chosen = choose_macs(bundle_with(bridge("br9")), bare())["br9"]
    assert chosen == ChosenMac(generate_mac("order", "host", "br9"), MacSource.GENERATED)
    assert int(chosen.mac[:2], 16) & 0b11 == 0b10  # locally administered, unicast
    names = [(cluster, host, name) for cluster in "ab" for host in "cd" for name in "ef"]
    assert len({generate_mac(*n) for n in names}) == len(names)
    assert generate_mac("order", "host", "br9") == "22:56:e7:e4:36:80"  # of every version


def with_tree(live: Live, enabled: bool, **parts: Any) -> Live:
    """The host whose bridge br0 has spanning tree, or not."""
    shown = [{**i, "bridge": {"options": {"stp": {"enabled": enabled}}}} for i in interfaces_of(live.state)]
    return replace(live, state={**live.state, "interfaces": shown}, **parts)


@pytest.mark.parametrize("recorded_tree", [None, False])
@pytest.mark.parametrize(("stated", "made", "kept"), [((), False, True), (("br0",), False, False), ((), True, False)])
def test_a_bridge_of_another_tool_keeps_its_spanning_tree(
    stated: tuple[str, ...], made: bool, kept: bool, recorded_tree: Optional[bool]
) -> None:
    wanted = bridge("br0", "eth0")
    bundle = bundle_with(
        {**wanted, "bridge": {**wanted["bridge"], "options": {"stp": {"enabled": False}}}}, stated_stp=stated
    )
    live = with_tree(existing("br0", LIVE_MAC), True)
    live = replace(live, profiles={"br0": ConnectionProfile("u", "br0", "bridge", "br0", "", "br0")})
    live = replace(live, owned={"br0": Owned("linux-bridge", made, "u")})
    if recorded_tree is not None:
        options = {"options": {"stp": {"enabled": recorded_tree}}}
        live = replace(live, applied_state={"interfaces": [{"name": "br0", "type": "linux-bridge", "bridge": options}]})
        kept = False  # as recorded: what the bridge has is a change by hand
    [interface] = [i for i in interfaces_of(keep_spanning_tree(bundle, live).state) if i["name"] == "br0"]
    assert interface["bridge"]["options"]["stp"] == {"enabled": kept}
    assert interface["bridge"]["port"] == wanted["bridge"]["port"]


def test_loops_end() -> None:
    bundle = bundle_with(bridge("br0", "br1"), bridge("br1", "br0"), vlan("v", "v"), bridge("br2", "v"))
    assert choose_macs(bundle, bare()) == {}


def test_the_completed_bundle_has_the_macs_and_the_digest_of_the_rendered_one() -> None:
    bundle = bundle_with(bridge("br0", "eth0"), vlan("br0.5", "br0"))
    completed = complete_bundle(bundle, choose_macs(bundle, bare()))
    entries = {i["name"]: i for i in completed.state["interfaces"]}
    assert entries["br0"]["mac-address"] == MACS[0].upper()
    assert not any("mac-address" in entries[name] for name in ("eth0", "eth1", "br0.5"))
    assert completed.digest == bundle.digest
    assert complete_bundle(completed, choose_macs(completed, bare())) == completed
    assert "mac-address" not in bundle.state["interfaces"][2]


def test_a_plan_compares_the_completed_bundle_and_saves_the_rendered_one() -> None:
    bundle = bundle_with(bridge("br0", "eth0"))
    plan = make_plan(bundle, bare())
    (sent,) = (i for i in plan.state["interfaces"] if i["name"] == "br0")
    assert sent["mac-address"] == MACS[0].upper()
    assert plan.rendered is bundle
    record = make_ownership_record(plan.bundle, bare())
    assert record.state["interfaces"][2]["mac-address"] == MACS[0].upper()


def test_a_plan_says_which_mac_is_generated_or_kept() -> None:
    plan = make_plan(bundle_with(bridge("br9")), bare())
    mac = generate_mac("order", "host", "br9")
    note = f"br9 has no port: its MAC address {mac} is generated from the host's and the bridge's name"
    assert notes_of(plan, bare()) == [note]
    live = existing("br0", LIVE_MAC)
    plan = make_plan(bundle_with(bridge("br0", "eth0", mac=MACS[0])), live)
    assert notes_of(plan, live) == [f"br0 keeps its MAC address {LIVE_MAC}: a new one would get {MACS[0]}"]


def test_a_bridge_whose_only_port_is_a_new_vxlan_gets_a_generated_mac_that_stays(tmp_path: Path) -> None:
    text = PLAIN.replace("    interfaces:\n", "    nmstate: {vx0: {type: vxlan, vxlan: {id: 7}}}\n    interfaces:\n", 1)
    text += "      br-vx: {type: bridge, ports: [vx0]}\n"
    bundle = bundle_of(tmp_path, text)
    before = choose_macs(bundle, bare())["br-vx"]
    assert before.source is MacSource.GENERATED
    after = choose_macs(bundle, applied(bundle, bare()))["br-vx"]
    assert after.mac == before.mac
    assert make_plan(bundle, applied(bundle, bare())).empty
