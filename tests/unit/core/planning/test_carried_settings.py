"""What happens to the settings of connection profiles when their interfaces are taken over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.carried_settings import (
    Fate,
    carried_settings,
    fate_of,
    find_profile_fates,
    profiles_to_read,
)
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.adoption_samples import bridged_host, load_site, with_profile_settings
from tests.unit.core.samples import KEYFILES, MAC

#: A profile with much in it, as D-Bus has it.
RICH: dict[str, dict[str, list[Any]]] = {
    "connection": {
        "id": ["s", "uplink"],
        "uuid": ["s", "u-1"],
        "type": ["s", "802-3-ethernet"],
        "interface-name": ["s", "eth0"],
        "autoconnect-priority": ["i", 10],
        "lldp": ["i", 1],
        "llmnr": ["i", 0],
        "mdns": ["i", 0],
        "metered": ["i", 1],
        "stable-id": ["s", "site-${DEVICE}"],
        "wait-device-timeout": ["i", 30000],
        "zone": ["s", "trusted"],
    },
    "802-3-ethernet": {
        "auto-negotiate": ["b", False],
        "mtu": ["u", 1400],
        "s390-options": ["a{ss}", {}],
        "wake-on-lan": ["u", 64],
    },
    "ethtool": {"feature-gro": ["b", False]},
    "tc": {"qdiscs": ["aa{sv}", [{"kind": "fq", "parent": 4294967295}]]},
    "ipv4": {
        "method": ["s", "manual"],
        "address-data": [
            "aa{sv}",
            [{"address": "10.1.255.254", "prefix": 16}, {"address": "192.168.77.1", "prefix": 24}],
        ],
        "dns-options": ["as", ["timeout:1", "rotate"]],
        "may-fail": ["b", False],
        "route-metric": ["x", 50],
        "route-table": ["u", 77],
        "routing-rules": ["aa{sv}", [{"priority": 100}]],
    },
    "ipv6": {"method": ["s", "auto"], "addr-gen-mode": ["i", 1], "ip6-privacy": ["i", 2]},
    "user": {"data": ["a{ss}", {"org.example.owner": "netops"}]},
    "proxy": {},
}


def host_of_one_nic(bundle: Bundle) -> Live:
    """The host with its address on eth0."""
    live = bridged_host(bundle)
    nic, bridge = live.state["interfaces"]
    nic.update(ipv4=bridge["ipv4"], ipv6=bridge["ipv6"])
    routes = [{**route, "next-hop-interface": "eth0"} for route in live.state["routes"]["config"]]
    profile = ConnectionProfile("u-1", "uplink", "802-3-ethernet", "eth0", f"{KEYFILES}/eth0.nmconnection", "eth0")
    return replace(
        live,
        state={"interfaces": [nic], "routes": {"config": routes}},
        links={"eth0": Link("eth0", MAC, None)},
        profiles={"eth0": profile},
    )


def test_the_address_and_what_belongs_to_it_move_to_a_new_bridge(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = host_of_one_nic(bundle)
    plan = make_plan(bundle, live)
    assert plan.moves == {"br0": "eth0"}
    assert profiles_to_read(plan, live) == {"eth0": "u-1"}
    [fate] = find_profile_fates(plan, with_profile_settings(live, eth0=RICH))
    assert (fate.interface, fate.profile, fate.successor) == ("eth0", "uplink", "br0")
    assert fate.moves == {
        "connection.autoconnect-priority": 10,
        "connection.llmnr": 0,
        "connection.mdns": 0,
        "connection.metered": 1,
        "connection.stable-id": "site-${DEVICE}",
        "ipv4.dns-options": ["timeout:1", "rotate"],
        "ipv4.may-fail": False,
        "ipv4.route-metric": 50,
    }, "not those of IPv6, which the definition disables"
    assert list(fate.stays) == [
        "802-3-ethernet.mtu",
        "802-3-ethernet.wake-on-lan",
        "connection.lldp",
        "connection.wait-device-timeout",
        "ethtool.feature-gro",
        "tc.qdiscs",
        "user.data",
    ]
    assert fate.lost == {"ipv4.route-table": 77}
    assert fate.addresses == ("192.168.77.1/24",)


def test_the_copied_settings_have_their_types(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = with_profile_settings(host_of_one_nic(bundle), eth0=RICH)
    carried = carried_settings("br0", make_plan(bundle, live), live)
    assert carried["ipv4"] == {
        "dns-options": ["as", ["timeout:1", "rotate"]],
        "may-fail": ["b", False],
        "route-metric": ["x", 50],
    }
    assert carried["connection"]["llmnr"] == ["i", 0]
    assert carried_settings("eth0", make_plan(bundle, live), live) == {}


def test_ipv6_settings_move_when_the_bridge_has_ipv6(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    automatic = {"enabled": True, "dhcp": True, "autoconf": True, "auto-route-metric": 425}
    interfaces = [{**i, "ipv6": automatic} if i["name"] == "br0" else i for i in bundle.state["interfaces"]]
    bundle = replace(bundle, state={**bundle.state, "interfaces": interfaces})
    live = with_profile_settings(host_of_one_nic(bundle), eth0={"ipv6": {**RICH["ipv6"], "route-metric": ["x", 9]}})
    plan = make_plan(bundle, live)
    assert carried_settings("br0", plan, live)["ipv6"] == {"addr-gen-mode": ["i", 1], "ip6-privacy": ["i", 2]}
    identity = replace(plan.identities["br0"], token="::5")
    kept = replace(plan, identities={"br0": identity})
    assert carried_settings("br0", kept, live)["ipv6"] == {"ip6-privacy": ["i", 2]}, "the token needs its own mode"


def test_an_adopted_bridge_keeps_its_whole_profile(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = with_profile_settings(bridged_host(bundle), br0=RICH)
    plan = make_plan(bundle, live)
    assert profiles_to_read(plan, live) == {"br0": "u-br0"}
    [fate] = find_profile_fates(plan, live)
    assert (fate.interface, fate.successor, fate.moves, fate.lost) == ("br0", "br0", {}, {})
    assert {"connection.llmnr", "ethtool.feature-gro", "ipv4.dns-options"} <= set(fate.stays)
    assert not {"connection.id", "connection.zone", "ipv4.method", "bridge.stp"} & set(fate.stays)
    ethernet = {name for name in fate.stays if name.startswith("802-3-ethernet.")}
    assert ethernet == {"802-3-ethernet.mtu", "802-3-ethernet.wake-on-lan"}, "no defaults"
    desired = [{**i, "mtu": 1400} for i in interfaces_of(plan.desired)]
    [fate] = find_profile_fates(replace(plan, desired={"interfaces": desired}), live)
    assert "802-3-ethernet.mtu" not in fate.stays, "the definition states it"


def test_what_belongs_to_a_bridge_that_is_replaced_is_lost(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = with_profile_settings(bridged_host(bundle), br0=RICH)
    [fate] = find_profile_fates(make_plan(bundle, live), live)
    assert (fate.interface, fate.successor, fate.stays) == ("br0", "br-eth0", {})
    assert {"ethtool.feature-gro", "user.data", "ipv4.route-table"} <= set(fate.lost)
    assert fate.moves["connection.llmnr"] == 0


@pytest.mark.parametrize(
    ("setting", "key", "fate"),
    [
        ("connection", "uuid", Fate.DEFINED),
        ("connection", "llmnr", Fate.MOVES),
        ("connection", "something-new", Fate.STAYS),
        ("ipv4", "something-new", Fate.LOST),
        ("ipv6", "ip6-privacy", Fate.MOVES),
        ("ethtool", "feature-gro", Fate.STAYS),
        ("bridge", "stp", Fate.DEFINED),
        ("a-new-setting", "key", Fate.STAYS),
    ],
)
def test_the_table_of_settings(setting: str, key: str, fate: Fate) -> None:
    assert fate_of(setting, key) is fate
