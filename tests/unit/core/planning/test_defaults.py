"""Keys that left the definition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.planning.defaults import complete_with_defaults, find_dropped_options, find_left_ethtool
from kvmnet.core.planning.expected_readback import make_expectations
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.reporting.change_text import detail_texts
from tests.unit.core.samples import PLAIN, applied, bare, bundle_of


@pytest.mark.guarantee("G45")
def test_a_key_removed_from_a_definition_returns_to_its_default() -> None:
    def state(**more: Any) -> dict[str, Any]:
        nic = {"name": "eth0", "type": "ethernet", "state": "up", "ipv4": {"enabled": True, "dhcp": True}}
        return {
            "interfaces": [
                {**nic, **more},
                {"name": "eth0.5", "type": "vlan", "state": "up", "vlan": {"base-iface": "eth0", "id": 5}},
            ]
        }

    said = state(**{"mtu": 9000, "accept-all-mac-addresses": True})
    said["interfaces"][0]["ipv4"] = {
        "enabled": True,
        "dhcp": True,
        "address": [{"ip": "10.1.0.1", "prefix-length": 16}],
    }
    said["interfaces"][1]["mtu"] = 1400
    said["dns-resolver"] = {"config": {"server": ["10.1.1.1"], "search": ["local"]}}
    found = complete_with_defaults(state(), said)
    nic, vlan = found["interfaces"]
    assert (nic["mtu"], nic["accept-all-mac-addresses"], nic["ipv4"]["address"]) == (1500, False, [])
    assert vlan["mtu"] == 1500
    assert complete_with_defaults(state(mtu=9000), said)["interfaces"][1]["mtu"] == 9000, (
        "a VLAN's default is the MTU of its base interface"
    )
    assert found["dns-resolver"] == {"config": {"server": [], "search": []}}
    assert complete_with_defaults(state(), state()) == state()
    assert complete_with_defaults(said, state()) == said
    down = {"interfaces": [{"name": "eth0", "type": "ethernet", "state": "down"}]}
    assert complete_with_defaults(down, said)["interfaces"] == down["interfaces"]
    off = state()
    off["interfaces"][0]["ipv4"] = {"enabled": False}
    assert complete_with_defaults(off, said)["interfaces"][0]["ipv4"] == {"enabled": False}


def test_options_removed_from_a_bond_are_found() -> None:
    def state(mode: str, **options: Any) -> dict[str, Any]:
        bond = {"mode": mode, "options": options, "port": ["eth0"]}
        return {"interfaces": [{"name": "bond0", "type": "bond", "state": "up", "link-aggregation": bond}]}

    said = state("active-backup", primary="eth0", arp_interval=500, arp_ip_target="10.1.1.1")
    new = state("active-backup", miimon=100)
    assert find_dropped_options(new, said) == {"bond0": ("arp_interval", "arp_ip_target", "primary")}
    assert complete_with_defaults(new, said)["interfaces"][0]["link-aggregation"]["options"] == {
        "miimon": 100,
        "arp_interval": 0,
    }
    assert find_dropped_options(state("802.3ad", miimon=100), said) == {}
    assert find_dropped_options(said, said) == {}


def test_a_removed_mtu_is_in_the_plan_and_in_the_readback(tmp_path: Path) -> None:
    small = PLAIN.replace("gateway: 10.1.1.1}", "gateway: 10.1.1.1, mtu: 1400}").replace(
        "vlan: 5}", "vlan: 5, mtu: 1400}"
    )
    live = applied(bundle_of(tmp_path, small), bare())
    assert live.state["interfaces"][0]["mtu"] == 1400
    plan = make_plan(bundle_of(tmp_path, PLAIN), live)
    told = {c.name: detail_texts(c) for c in plan.changes}
    assert told == {"eth0": ["mtu: 1400 -> 1500"], "eth0.5": ["mtu: 1400 -> 1500"]}
    assert {e["name"]: e["mtu"] for e in make_expectations(plan.desired)} == {"eth0": 1500, "eth0.5": 1500}
    assert make_plan(bundle_of(tmp_path, PLAIN), replace(live, applied_state={})).changes_host is False


def test_the_options_of_a_bridge_that_left_the_definition_return_to_their_defaults() -> None:
    def state(stp: dict[str, Any], **options: Any) -> dict[str, Any]:
        named = {key.replace("_", "-"): value for key, value in options.items()}
        bridge = {"options": {"stp": stp, **named}, "port": []}
        return {"interfaces": [{"name": "br0", "type": "linux-bridge", "state": "up", "bridge": bridge}]}

    def completed(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        options = complete_with_defaults(new, old)["interfaces"][0]["bridge"]["options"]
        assert isinstance(options, dict)
        return options

    options = {"mac_ageing_time": 0, "group_forward_mask": 8, "multicast_snooping": False}
    old = state({"enabled": True, "priority": 1}, **options)
    assert completed(state({"enabled": True}), old) == {
        "stp": {"enabled": True, "priority": 32768},
        "mac-ageing-time": 300,
        "group-forward-mask": 0,
        "multicast-snooping": True,
    }
    assert completed(state({"enabled": False}), state({"enabled": True, "priority": 1})) == {"stp": {"enabled": False}}
    assert completed(old, state({"enabled": False})) == old["interfaces"][0]["bridge"]["options"]
    assert complete_with_defaults(state({"enabled": True}), {}) == state({"enabled": True})


def test_vlans_that_left_a_bridge_port_are_removed() -> None:
    """With an empty mapping, nmstate would turn VLAN filtering of the bridge off."""

    def state(vlan: dict[str, Any], **options: Any) -> dict[str, Any]:
        ports = [{"name": "eth0", **vlan}, {"name": "eth1"}]
        bridge = {"options": {"stp": {"enabled": False}, **options}, "port": ports}
        return {"interfaces": [{"name": "br0", "type": "linux-bridge", "state": "up", "bridge": bridge}]}

    said = state({"vlan": {"mode": "access", "tag": 40}}, **{"vlan-default-pvid": 0})
    (found,) = complete_with_defaults(state({}), said)["interfaces"]
    assert found["bridge"]["port"] == [
        {"name": "eth0", "vlan": {"mode": "trunk", "trunk-tags": []}},
        {"name": "eth1"},
    ]
    assert found["bridge"]["options"]["vlan-default-pvid"] == 1
    assert complete_with_defaults(said, said) == said
    assert complete_with_defaults(state({}), state({})) == state({})


#: An interface of each type, what was passed through before, and what must be sent when it left the definition.
LEFT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("ethernet", {"lldp": {"enabled": True}}, {"lldp": {"enabled": False}}),
    ("ethernet", {"mptcp": {"address-flags": ["signal"]}}, {"mptcp": {"address-flags": []}}),
    ("ethernet", {"ethernet": {"sr-iov": {"total-vfs": 4}}}, {"ethernet": {"sr-iov": {"total-vfs": 0}}}),
    ("ethernet", {"ethtool": {"ring": {"rx": 512}}}, {"ethtool": {"ring": {}}}),
    ("dummy", {}, {}),
]


@pytest.mark.parametrize(("kind", "passed", "expected"), LEFT)
def test_what_was_passed_through_returns_to_its_default(
    kind: str, passed: dict[str, Any], expected: dict[str, Any]
) -> None:
    entry = {"name": "eth0", "type": kind, "state": "up"}
    completed = complete_with_defaults({"interfaces": [entry]}, {"interfaces": [{**entry, **passed}]})
    assert completed["interfaces"] == [{**entry, **expected}]
    assert complete_with_defaults({"interfaces": [{**entry, **passed}]}, {"interfaces": [entry]})["interfaces"] == [
        {**entry, **passed}
    ]


def test_flags_of_a_vlan_and_timers_of_a_bridge_return_to_their_defaults() -> None:
    vlan = {"name": "v", "type": "vlan", "state": "up", "vlan": {"base-iface": "eth0", "id": 5}}
    flagged = {**vlan, "vlan": {**vlan["vlan"], "protocol": "802.1ad", "loose-binding": True}}  # type: ignore[dict-item]
    (completed,) = complete_with_defaults({"interfaces": [vlan]}, {"interfaces": [flagged]})["interfaces"]
    assert completed["vlan"] == {"base-iface": "eth0", "id": 5, "protocol": "802.1q", "loose-binding": False}
    options = {"stp": {"enabled": False}}
    bridge = {"name": "b", "type": "linux-bridge", "state": "up", "bridge": {"options": options, "port": []}}
    timed = {"stp": {"enabled": False, "forward-delay": 4}, "multicast-querier": True}
    before = {**bridge, "bridge": {"options": timed, "port": []}}
    (completed,) = complete_with_defaults({"interfaces": [bridge]}, {"interfaces": [before]})["interfaces"]
    assert completed["bridge"]["options"] == {
        "stp": {"enabled": False, "forward-delay": 15},
        "multicast-querier": False,
    }


@pytest.mark.parametrize(
    ("now", "names"),
    [
        ({}, ["ring.rx", "feature.rx-gro"]),
        ({"ring": {"rx": 1}}, ["feature.rx-gro"]),
        ({"ring": {"rx": 1}, "feature": {"rx-gro": True}}, []),
    ],
)
def test_settings_of_ethtool_that_left_are_named(now: dict[str, Any], names: list[str]) -> None:
    before = {"ethtool": {"ring": {"rx": 512}, "feature": {"rx-gro": False}}}
    assert find_left_ethtool({"ethtool": now}, before) == names
    assert find_left_ethtool({"ethtool": now}, None) == []


def test_an_interface_whose_ethtool_settings_left_is_sent_although_the_kernel_shows_no_difference(
    tmp_path: Path,
) -> None:
    tuned = PLAIN.replace("bridge: false", "bridge: false, nmstate: {ethtool: {feature: {rx-gro: false}}}")
    before, after = bundle_of(tmp_path, tuned), bundle_of(tmp_path, PLAIN)
    plan = make_plan(after, applied(before, bare()))
    sent = {i["name"]: i for i in plan.state["interfaces"]}
    assert sent["eth0"]["ethtool"] == {"feature": {}}
    (change,) = [change for change in plan.changes if change.name == "eth0"]
    assert "left the definition" in " ".join(detail_texts(change))
    assert make_plan(after, applied(after, bare())).state == {}
