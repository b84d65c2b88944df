"""Options of bonds and bridges: the notations of keyfiles, and what NetworkManager does without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.boot.stored_profile import StoredProfile, read_stored_profile
from kvmnet.core.planning.stored_options import find_bond_differences, find_bridge_differences, states_every_option
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import bundle_of

#: Files that NetworkManager 1.52 has written for nmstate 2.2.
BOND = """[connection]
id=bond0
uuid=5f3c0b3e-4b0a-5e0e-9d7c-0d3a3c6d6f10
type=bond
autoconnect-ports=1
interface-name=bond0

[ethernet]
cloned-mac-address=00:14:4F:80:DE:00

[bond]
{options}

[ipv4]
method=disabled

[ipv6]
addr-gen-mode=eui64
method=disabled
"""
BRIDGE = """[connection]
id=br0
uuid=0e9d7c0d-4b0a-5e0e-9d7c-0d3a3c6d6f10
type=bridge
autoconnect-ports=1
interface-name=br0

[ethernet]
cloned-mac-address=00:14:4F:80:DE:00

[bridge]
{options}

[ipv4]
address1=10.1.255.254/16
method=manual

[ipv6]
addr-gen-mode=eui64
method=disabled
"""

SITE = """kvmnet: 1
cluster: site
profile: plain
networks:
  lan: {{subnets: [10.1.0.0/16]}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{mac: "00:14:4f:80:de:00"}}
      eth1: {{mac: "00:14:4f:80:de:01"}}
      bond0: {{ports: [eth0, eth1], network: lan, addresses: [10.1.255.254], bridge: {bridge}, {bond}}}
"""


def bond_of(options: str) -> StoredProfile:
    return read_stored_profile("/etc/x/bond0.nmconnection", BOND.format(options=options))


def bridge_of(options: str) -> StoredProfile:
    return read_stored_profile("/etc/x/br0.nmconnection", BRIDGE.format(options=options))


def section(bundle: Bundle, kind: str, key: str) -> Any:
    return next(i[key] for i in bundle.state["interfaces"] if i["type"] == kind)


@pytest.mark.parametrize(
    ("definition", "keyfile"),
    [
        ("mode: 802.3ad, options: {lacp_rate: fast}", "lacp_rate=fast\nmiimon=100\nmode=802.3ad"),
        ("mode: 802.3ad, options: {lacp_rate: fast}", "mode=4\nlacp_rate=1"),
        ("mode: 802.3ad, options: {lacp_rate: slow, min_links: 0, ad_select: stable}", "mode=802.3ad"),
        ("mode: 802.3ad, options: {ad_actor_system: '02:00:5E:00:00:01'}", "mode=4\nad_actor_system=02:00:5e:00:00:01"),
        ("mode: 802.3ad, options: {xmit_hash_policy: layer3+4}", "mode=802.3ad\nxmit_hash_policy=layer3+4"),
        ("mode: active-backup, options: {miimon: 100}", "mode=active-backup"),
        ("mode: active-backup, options: {primary: eth1}", "mode=1\nprimary=eth1"),
        ("mode: active-backup, options: {all_slaves_active: delivered}", "all_slaves_active=1\nmode=1"),
        (
            "mode: active-backup, options: {arp_interval: 500, arp_ip_target: [10.1.1.2, 10.1.1.1]}",
            "arp_interval=500\narp_ip_target=10.1.1.1,10.1.1.2\nmode=active-backup",
        ),
        ("mode: active-backup, options: {num_grat_arp: 3}", "mode=active-backup\nnum_unsol_na=3"),
        ("mode: balance-alb, options: {tlb_dynamic_lb: false, use_carrier: true}", "mode=6\ntlb_dynamic_lb=0"),
        ("mode: balance-rr, options: {packets_per_slave: 1, resend_igmp: 1}", ""),
        (
            "mode: balance-xor, options: {xmit_hash_policy: vlan+srcmac, balance_slb: true}",
            "balance-slb=1\nmiimon=100\nmode=balance-xor\nxmit_hash_policy=5",
        ),
        ("mode: active-backup, options: {arp_missed_max: 3}", "mode=active-backup"),
        ("mode: active-backup, options: {miimon: 200}", "mode=unknown\nmiimon=0x64"),
    ],
)
def test_another_notation_of_a_bonds_option_is_no_difference(tmp_path: Path, definition: str, keyfile: str) -> None:
    bundle = bundle_of(tmp_path, SITE.format(bridge="false", bond=definition))
    assert list(find_bond_differences(section(bundle, "bond", "link-aggregation"), bond_of(keyfile))) == []


@pytest.mark.parametrize(
    ("definition", "keyfile", "differences"),
    [
        ("mode: 802.3ad", "mode=active-backup", [("bond.mode", "active-backup", "802.3ad")]),
        ("mode: 802.3ad", "", [("bond.mode", None, "802.3ad")]),
        ("mode: 802.3ad, options: {lacp_rate: fast}", "mode=802.3ad", [("bond.lacp_rate", None, "fast")]),
        ("mode: 802.3ad, options: {lacp_rate: slow}", "mode=4\nlacp_rate=1", [("bond.lacp_rate", "1", "slow")]),
        ("mode: active-backup, options: {miimon: 200}", "mode=1\nmiimon=100", [("bond.miimon", "100", 200)]),
        ("mode: active-backup, options: {miimon: 200}", "mode=1", [("bond.miimon", None, 200)]),
        ("mode: active-backup, options: {primary: eth1}", "mode=1\nprimary=eth0", [("bond.primary", "eth0", "eth1")]),
        ("mode: active-backup, options: {primary: eth1}", "mode=1", [("bond.primary", None, "eth1")]),
        ("mode: balance-alb, options: {tlb_dynamic_lb: false}", "mode=6", [("bond.tlb_dynamic_lb", None, False)]),
        (
            "mode: active-backup, options: {arp_missed_max: 3}",
            "mode=1\narp_missed_max=2",
            [("bond.arp_missed_max", "2", 3)],
        ),
    ],
)
def test_another_value_of_a_bonds_option_is_a_difference(
    tmp_path: Path, definition: str, keyfile: str, differences: list[tuple[str, Any, Any]]
) -> None:
    bundle = bundle_of(tmp_path, SITE.format(bridge="false", bond=definition))
    found = find_bond_differences(section(bundle, "bond", "link-aggregation"), bond_of(keyfile))
    assert [tuple(difference) for difference in found] == differences


@pytest.mark.parametrize(
    ("keyfile", "is_complete"),
    [
        ("mode=active-backup\nmiimon=100\nall_slaves_active=1", True),
        ("mode=1\nmiimon=100\nall_slaves_active=delivered", True),
        ("mode=active-backup\nmiimon=100", False),
        ("miimon=100\nall_slaves_active=1", False),
        ("mode=active-backup\nmiimon=?\nall_slaves_active=1", False),
    ],
)
def test_a_bond_states_everything_in_any_notation(keyfile: str, is_complete: bool) -> None:
    wanted = {"mode": "active-backup", "options": {"miimon": 100, "all_slaves_active": "delivered"}}
    assert states_every_option(wanted, bond_of(keyfile)) is is_complete


ALL = "{stp: true, priority: 4096, ageing: 120, group_forward_mask: 16384, multicast_snooping: false}"


@pytest.mark.parametrize(
    ("definition", "keyfile", "differences"),
    [
        ("true", "stp=false", []),
        ("true", "stp=no", []),
        ("true", "", [("bridge.stp", True, False)]),
        ("{stp: true}", "", []),
        (
            ALL,
            "ageing-time=120\ngroup-forward-mask=16384\nmulticast-snooping=false\npriority=4096",
            [],
        ),
        (
            ALL,
            "group-forward-mask=0x4000\nstp=false",
            [
                ("bridge.stp", False, True),
                ("bridge.priority", 32768, 4096),
                ("bridge.ageing-time", 300, 120),
                ("bridge.multicast-snooping", True, False),
            ],
        ),
        ("{stp: true, priority: 32768, ageing: 300, group_forward_mask: 0, multicast_snooping: true}", "stp=true", []),
        ("{ageing: 0}", "ageing-time=300\nstp=false\nvlan-filtering=true", [("bridge.ageing-time", 300, 0)]),
    ],
)
def test_the_options_of_a_bridge(
    tmp_path: Path, definition: str, keyfile: str, differences: list[tuple[str, Any, Any]]
) -> None:
    bundle = bundle_of(tmp_path, SITE.format(bridge=definition, bond="mode: 802.3ad"))
    options = section(bundle, "linux-bridge", "bridge")["options"]
    assert [tuple(d) for d in find_bridge_differences(options, bridge_of(keyfile))] == differences
