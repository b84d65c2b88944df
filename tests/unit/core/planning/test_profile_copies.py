"""Which NICs get a copy of their connection profile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.effects.boot_rivals import find_rivals
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.planning.profile_copies import find_next_nic
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from tests.unit.core.samples import KEYFILES, MAC, MACS, before, bundle_with, notes_of

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
#: As an image has it: one profile for every NIC.
DEFAULT = ConnectionProfile(
    "u-default", "default", "802-3-ethernet", "eth0", f"{KEYFILES}/default.nmconnection", multi_connect=3
)
#: As netplan's NetworkManager renderer writes it.
PATTERN = ConnectionProfile("u-net", "netplan-uplink", "802-3-ethernet", "eth0", f"{KEYFILES}/n", match="eth*,!eth1")


def host_with(profile: ConnectionProfile, *devices: str, nics: int = 2) -> Live:
    """Return a host with NICs of which the first, or `devices`, have the profile."""
    live = before()
    links = {f"eth{n}": Link(f"eth{n}", f"00:14:4f:80:de:0{n}", None) for n in range(nics)}
    profiles = {device: replace(profile, device=device) for device in devices or ("eth0",)}
    return replace(live, links={**live.links, **links}, profiles=profiles)


def plan_of(live: Live, bundle: Bundle = BUNDLE) -> Plan:
    return make_plan(bundle, live)


@pytest.mark.guarantee("G66")
def test_a_profile_that_serves_several_nics_is_copied_for_the_one_of_the_definition() -> None:
    live = host_with(DEFAULT, "eth0", "eth1")
    plan = plan_of(live)
    copy = plan.copies["peth0"]
    assert list(plan.copies) == ["peth0"]
    assert (copy.nic, copy.mac, copy.source.uuid, copy.priority) == ("eth0", MAC, "u-default", 1)
    assert copy.uuid == profile_uuid("vm-container-0-0", "peth0")
    assert notes_of(plan, live) == [
        "the connection profile default of eth0 also serves eth1: eth0 gets a copy of it, and default is not changed"
    ]


def test_a_profile_with_a_pattern_is_copied() -> None:
    live = host_with(PATTERN)
    assert plan_of(live).copies["peth0"].source.uuid == "u-net"
    assert notes_of(plan_of(live), live) == [
        (
            "the connection profile netplan-uplink of eth0 is not bound to this NIC: eth0 gets a copy of it, and "
            "netplan-uplink is not changed"
        )
    ]


@pytest.mark.parametrize(
    "facts",
    [
        {"interface_name": "eth0", "match": "", "multi_connect": 0},
        {"mac": MAC, "match": "", "multi_connect": 0},
        {"interface_name": "eth0", "match": ""},
    ],
)
def test_a_profile_that_is_bound_to_its_nic_is_not_copied(facts: dict[str, Any]) -> None:
    assert plan_of(host_with(replace(PATTERN, **facts))).copies == {}


@pytest.mark.parametrize(
    "facts",
    [
        {"interface_name": "eth0", "multi_connect": 3},
        {"mac": MAC, "match": "eth*"},
        {
            "interface_name": "eth0",
            "match": "",
            "file": "/run/NetworkManager/system-connections/netplan-eth0.nmconnection",
        },
    ],
)
def test_a_profile_that_would_not_fit_the_renamed_nic_at_the_next_boot_is_copied(facts: dict[str, Any]) -> None:
    assert "peth0" in plan_of(host_with(replace(PATTERN, **facts))).copies


@pytest.mark.parametrize(
    ("profile", "devices", "expected"),
    [
        (replace(PATTERN, match="eth*"), ("eth0",), "eth1"),
        (replace(PATTERN, match=""), ("eth0",), "eth1"),
        (PATTERN, ("eth0",), None),  # the pattern excludes eth1
        (replace(PATTERN, match="", mac=MAC), ("eth0",), None),
        (replace(PATTERN, match="", autoconnect=False), ("eth0",), None),
        (DEFAULT, ("eth0",), None),  # it may be active on eth1 besides
        (replace(DEFAULT, multi_connect=2), ("eth0",), "eth1"),
        (replace(DEFAULT, multi_connect=2), ("eth0", "eth1"), None),
    ],
)
def test_a_free_profile_would_be_activated_on_another_nic(
    profile: ConnectionProfile, devices: tuple[str, ...], expected: str | None
) -> None:
    """Then it is bound to its NIC instead of being copied."""
    live = host_with(profile, *devices)
    assert find_next_nic(profile, live) == expected
    if expected is not None:
        assert plan_of(live).copies == {}


def test_a_nic_that_keeps_its_name_gets_a_copy_only_if_its_profile_changes(tmp_path: Path) -> None:
    nic = f"      eth0: {{network: private, mac: '{MACS[0]}', addresses: [10.1.255.254], bridge: false}}\n"
    vlan = "      eth0.5: {network: storage, addresses: [10.5.0.7]}\n"
    live = host_with(DEFAULT, "eth0", "eth1")
    live = replace(live, state={**live.state, "routes": {}})
    assert plan_of(live, bundle_with(tmp_path, nic.replace("254", "253"))).copies["eth0"].nic == "eth0"
    plan = plan_of(live, bundle_with(tmp_path, nic + vlan))
    assert ([i["name"] for i in plan.state["interfaces"]], plan.copies) == (["eth0.5"], {})
    bridged = plan_of(live, bundle_with(tmp_path, nic.replace(", bridge: false", "")))
    assert bridged.copies["eth0"].uuid == profile_uuid("host", "eth0")
    assert bridged.unsaved == (), "what nmstate is given is saved anyhow"


def test_a_copy_that_only_gets_routes_is_saved(tmp_path: Path) -> None:
    """nmstate chooses the profile that gets the name servers."""
    nic = f"      eth0: {{network: private, mac: '{MACS[0]}', addresses: [10.1.255.254], bridge: false}}\n"
    bundle = bundle_with(tmp_path, nic)
    bundle = replace(bundle, state={**bundle.state, "dns-resolver": {"config": {"server": ["10.1.1.1"]}}})
    plan = plan_of(host_with(DEFAULT, "eth0", "eth1"), bundle)
    assert "interfaces" not in plan.state
    assert list(plan.copies) == ["eth0"]
    assert plan.unsaved == ("eth0",)


def test_the_copy_wins_at_the_next_boot() -> None:
    """By its priority. At the highest priority, that of the last activation counts, and the plan has a note."""
    live = host_with(DEFAULT, "eth0", "eth1")
    assert find_rivals(plan_of(live), live) == []
    live = host_with(replace(DEFAULT, priority=999), "eth0", "eth1")
    assert plan_of(live).copies["peth0"].priority == 999
    assert [(r.profile.uuid, r.wins) for r in find_rivals(plan_of(live), live)] == [("u-default", False)]


def test_the_copy_keeps_the_identity_for_dhcp() -> None:
    live = host_with(replace(DEFAULT, client_id="ff:00:01", duid="00:04:ab", iaid="00:00:00:07"), "eth0", "eth1")
    nic = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    nic["mac-address"] = MAC.upper()
    nic["ipv4"] = {"enabled": True, "dhcp": True, "address": []}
    nic["ipv6"] = {"enabled": True, "dhcp": True, "autoconf": True, "address": []}
    identity = plan_of(live).copies["peth0"].identity
    assert (identity.client_id, identity.duid, identity.iaid) == ("ff:00:01", "00:04:ab", "7")
