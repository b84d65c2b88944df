"""Plans contain only what differs."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Optional

import pytest

from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.expected_readback import make_expectations
from kvmnet.core.planning.ownership import find_owned_after, profile_uuid
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.guest_settings import SETTINGS_FILE, guest_settings
from kvmnet.core.rendering.hook_record import format_hook_record
from kvmnet.core.rendering.macvtap_rule import RULES_FILE
from kvmnet.core.reporting.change_text import detail_texts
from kvmnet.core.reporting.report import format_plan
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import Step
from tests.unit.core.samples import (
    HEAD,
    INACTIVE,
    KEYFILES,
    MAC,
    PLAIN,
    ROCKS,
    after,
    applied,
    bare,
    before,
    bundle_of,
    with_inactive,
    with_leaving,
)


def test_the_first_plan_of_a_host_renames_its_nic_and_adds_the_bridge(bundle: Bundle) -> None:
    plan = make_plan(bundle, before())
    assert [(r.mac, r.old, r.new, r.altnames) for r in plan.renames] == [(MAC, "eth0", "peth0", ("enp1s0",))]
    assert set(plan.link_files) == {"00-kvmnet-peth0.link"}
    assert [i["name"] for i in plan.state["interfaces"]] == ["peth0", "eth0"]
    assert [r["next-hop-interface"] for r in plan.state["routes"]["config"]] == ["eth0"]
    assert format_plan(plan) == (
        "vm-container-0-0: 7 changes to make\n"
        "  > rename eth0: to peth0, the NIC with MAC 00:14:4f:80:de:00\n"
        "  + file /etc/systemd/network/00-kvmnet-peth0.link: names the NIC at boot\n"
        "  ~ change peth0\n"
        "      accept-all-mac-addresses: false -> true\n"
        "      ipv4.enabled: true -> false\n"
        "  + add eth0: absent -> linux-bridge\n"
        "  + add route: 0.0.0.0/0 via 10.1.1.1 dev eth0 metric 100\n"
        "  + file /etc/NetworkManager/conf.d/90-kvmnet-guests.conf: NetworkManager does not manage guests' devices\n"
        "  + file /etc/udev/rules.d/86-kvmnet-macvtaps.rules: guests on macvtaps receive multicast (IPv6 neighbour "
        "discovery, VRRP, mDNS)\n"
    )


def test_a_host_that_matches_the_definition_has_an_empty_plan(bundle: Bundle) -> None:
    plan = make_plan(bundle, after(bundle))
    assert plan.empty
    assert plan.state == {}
    assert format_plan(plan) == "vm-container-0-0: nothing to do: the host matches the definition\n"


def test_guests_ports_and_link_local_addresses_are_ignored(bundle: Bundle) -> None:
    live = after(bundle)
    bridge = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    bridge["bridge"]["port"].append({"name": "vnet0"})
    bridge["ipv6"]["address"] = [{"ip": "fe80::1", "prefix-length": 64}]
    assert make_plan(bundle, live).empty


def test_an_address_and_a_route_that_the_definition_lacks_are_removed(bundle: Bundle) -> None:
    live = after(bundle)
    bridge = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    bridge["ipv4"]["address"].append({"ip": "10.1.9.9", "prefix-length": 16})
    old = {"destination": "10.9.0.0/16", "next-hop-address": "10.1.1.2", "next-hop-interface": "eth0", "table-id": 254}
    live.state["routes"]["config"].append(old)
    plan = make_plan(bundle, live)
    assert [i["name"] for i in plan.state["interfaces"]] == ["eth0"]
    assert plan.state["routes"]["config"] == [{"state": "absent", **old}]
    assert "- remove route: 10.9.0.0/16 via 10.1.1.2 dev eth0" in format_plan(plan)


def test_a_route_of_an_interface_outside_the_definition_stays(bundle: Bundle) -> None:
    live = after(bundle)
    live.state["routes"]["config"].append({"destination": "10.9.0.0/16", "next-hop-interface": "tun0"})
    assert make_plan(bundle, live).empty


def test_a_profile_that_is_only_in_memory_is_saved(bundle: Bundle) -> None:
    live = after(bundle)
    profile = ConnectionProfile(
        "u", "eth0", "bridge", "eth0", "/run/NetworkManager/system-connections/eth0.nmconnection"
    )
    plan = make_plan(bundle, Live(**{**live.__dict__, "profiles": {**live.profiles, "eth0": profile}}))
    assert plan.unsaved == ("eth0",)
    assert not plan.empty


def test_a_missing_link_file_is_a_change(bundle: Bundle) -> None:
    plan = make_plan(bundle, Live(**{**after(bundle).__dict__, "link_files": {}}))
    assert [c.kind for c in plan.changes] == ["file"]


def test_the_settings_for_guests_devices_are_written_only_where_guests_can_run(bundle: Bundle) -> None:
    settings = guest_settings(bundle)
    for path in (SETTINGS_FILE, RULES_FILE):
        changed = make_plan(bundle, replace(after(bundle), settings={**settings, path: "another version's"}))
        assert [(c.kind, c.name) for c in changed.changes] == [("file", path)]
        assert changed.settings == {path: settings[path]}
    plan = make_plan(bundle, replace(after(bundle), settings={}))
    assert [(c.kind, c.name) for c in plan.changes] == [("file", SETTINGS_FILE), ("file", RULES_FILE)]
    assert "interface-name:vnet*,interface-name:macvtap*\nmanaged=0\n" in str(plan.settings[SETTINGS_FILE])
    state = {"interfaces": [i for i in bundle.state["interfaces"] if i["type"] == "ethernet"]}
    without = replace(bundle, state=state, guests=None)
    assert guest_settings(without) == {}
    gone = make_plan(without, after(bundle))
    assert gone.settings == {SETTINGS_FILE: None, RULES_FILE: None}
    assert ("remove", SETTINGS_FILE) in [(c.kind, c.name) for c in gone.changes]


def test_a_bundle_that_was_never_recorded_is_recorded(bundle: Bundle) -> None:
    plan = make_plan(bundle, Live(**{**after(bundle).__dict__, "applied": None}))
    assert [c.kind for c in plan.changes] == ["record"]


@pytest.mark.parametrize("text", [None, "", '{"format": 1, "hos'])
def test_a_missing_or_corrupt_hook_file_is_rewritten(bundle: Bundle, text: Optional[str]) -> None:
    whole = replace(after(bundle), hook=format_hook_record(bundle))
    assert make_plan(bundle, whole).empty
    plan = make_plan(bundle, replace(whole, hook=text))
    assert (plan.record, plan.changes_host, [c.kind for c in plan.changes]) == (True, False, ["record"])


def test_a_route_that_nmstate_removes_with_the_nics_address_is_listed(bundle: Bundle) -> None:
    live = before()
    live.state["routes"]["config"].append(
        {"destination": "10.9.0.0/16", "next-hop-address": "10.1.1.2", "next-hop-interface": "eth0", "table-id": 254}
    )
    plan = make_plan(bundle, live)
    assert "- remove route: 10.9.0.0/16 via 10.1.1.2 dev peth0" in format_plan(plan)
    assert [r["destination"] for r in plan.state["routes"]["config"]] == ["0.0.0.0/0"], (
        "nmstate removes the other one itself"
    )


def test_of_several_default_routes_only_the_one_in_the_same_table_moves(bundle: Bundle) -> None:
    """A default route in a table of its own (source routing) does not move to the bridge."""
    live = before()
    default = live.state["routes"]["config"][0]
    live.state["routes"]["config"] += [
        {**default, "next-hop-address": "10.1.1.2", "table-id": 100},
        {**default, "next-hop-address": "10.1.1.3", "table-id": 0},  # the main table
    ]
    told = [detail_texts(c) for c in make_plan(bundle, live).changes if (c.kind, c.name) == ("remove", "route")]
    assert told == [["0.0.0.0/0 via 10.1.1.2 dev peth0 metric 100 table 100"]]


def test_the_profile_of_a_nic_that_is_only_renamed_is_saved(bundle: Bundle) -> None:
    live = before()
    nics = tuple(replace(nic, name="lan", bridge=None) for nic in bundle.nics)
    plan = make_plan(replace(bundle, nics=nics, state={}), live)
    assert plan.unsaved == ("lan",)


@pytest.mark.guarantee("G50")
def test_interfaces_removed_from_the_definition_are_deleted_only_if_kvmnet_created_them(bundle: Bundle) -> None:
    plan = make_plan(bundle, with_leaving(bundle))
    assert plan.state == {
        "interfaces": [
            {"name": "peth0.5", "type": "vlan", "state": "absent"},
            {"name": "br5", "type": "linux-bridge", "state": "absent"},
        ]
    }
    assert plan.leaving == ("peth0.5", "br5")
    assert "  - remove br5: the linux-bridge is no longer in the definition\n" in format_plan(plan)
    assert make_expectations(plan.state) == [{"name": "peth0.5", "absent": True}, {"name": "br5", "absent": True}]
    assert set(find_owned_after(bundle, with_leaving(bundle))) == {"peth0", "eth0"}


def test_only_the_profile_of_an_inactive_removed_interface_is_deleted(bundle: Bundle) -> None:
    """A bridge that was deactivated, with the VLAN that was its port; another tool created one of its name since."""
    live = with_inactive(with_leaving(bundle))
    plan = make_plan(bundle, live)
    assert (plan.down, plan.leaving, plan.state) == ({n: profile_uuid(bundle.host, n) for n in INACTIVE}, (), {})
    words = "the connection profile of br5, which is inactive and no longer in the definition"
    assert f"  - remove {KEYFILES}/br5.nmconnection: {words}\n" in format_plan(plan)
    theirs = ConnectionProfile("u-theirs", "br5", "bridge", "br5", f"{KEYFILES}/theirs.nmconnection", "br5")
    links = {**live.links, "br5": Link("br5", None, "bridge")}
    recreated = replace(live, links=links, profiles={**live.profiles, "br5": theirs})
    assert (make_plan(bundle, recreated).down, make_plan(bundle, recreated).state) == (plan.down, {})
    unknown = replace(live, idle=tuple(replace(p, uuid="u-theirs") for p in live.idle))
    assert make_plan(bundle, unknown).down == {}
    named = {**live.owned, "eth0": replace(live.owned["eth0"], uuid="u-eth0")}
    wanted = ConnectionProfile("u-eth0", "eth0", "bridge", "", f"{KEYFILES}/eth0.nmconnection", "eth0")
    assert make_plan(bundle, replace(live, owned=named, idle=(wanted,))).down == {}, "the definition contains it"


def test_a_nic_removed_from_the_definition_with_its_bridge_is_released_and_keeps_its_name(bundle: Bundle) -> None:
    live = with_leaving(bundle)
    nic = Link("peth1", "00:00:00:00:00:09", None, (), "br5")
    text = "# Written by kvmnet: interface eth1 is the NIC x.\n[Match]\nPermanentMACAddress=00:00:00:00:00:09\n"
    live = replace(
        live,
        links={**live.links, "peth1": nic},
        owned={**live.owned, "peth1": Owned("ethernet", False, "")},
        link_files={**live.link_files, "00-kvmnet-peth1.link": text},
    )
    plan = make_plan(bundle, live)
    off = {"enabled": False}
    released = {"name": "peth1", "type": "ethernet", "state": "up", "accept-all-mac-addresses": False}
    assert plan.state["interfaces"][0] == {**released, "ipv4": off, "ipv6": off}
    assert plan.stale_files == ()
    strange = replace(live, owned={k: v for k, v in live.owned.items() if k != "peth1"})
    assert [i["name"] for i in make_plan(bundle, strange).state["interfaces"]] == ["peth0.5", "br5"]


def steps_of(plan: Plan, live: Live) -> list[Step]:
    return compile_steps(plan, live, {}, Terms(120))


@pytest.mark.parametrize("text", [ROCKS, PLAIN])
def test_a_host_with_the_bundle_applied_has_an_empty_plan(tmp_path: Path, text: str) -> None:
    bundle = bundle_of(tmp_path, text)
    assert make_plan(bundle, applied(bundle, bare())).empty


def test_a_new_port_of_a_bond_is_sent_and_saved_even_without_a_difference(tmp_path: Path) -> None:
    text = (
        HEAD.format(profile="plain")
        + "      eth0: {}\n      eth1: {}\n      bond0: {ports: [eth0, eth1], bridge: false}\n"
    )
    bundle = bundle_of(tmp_path, text)
    nics = [i for i in bundle.state["interfaces"] if i["type"] == "ethernet"]
    live = replace(bare(), state={"interfaces": copy.deepcopy(nics)})
    plan = make_plan(bundle, live)
    assert {c.name: detail_texts(c)[0] for c in plan.changes if c.name.startswith("eth")} == {
        "eth0": "becomes a port of bond0",
        "eth1": "becomes a port of bond0",
    }
    saved = next(s for s in steps_of(plan, live) if s["op"] == "save")["interfaces"]
    assert ["eth0", "eth1"] in saved
    assert make_plan(bundle, applied(bundle, live)).empty
