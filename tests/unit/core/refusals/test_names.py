"""Refusals about missing NICs, names in use, and interfaces that kvmnet did not create."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.plan import make_plan
from tests.unit.core.refusals.samples import (
    BUNDLE,
    OTHER_NIC,
    assert_refused,
    find_codes,
    find_messages,
    links_with,
)
from tests.unit.core.samples import KEYFILES, MAC, after, before, bundle_with, judge, live_of, refusals_of

CASES: list[tuple[str, Live, str]] = [
    ("KVN522", replace(before(), links=links_with(Link("peth0", None, "dummy"))), "peth0 is already used by a dummy"),
    ("KVN522", replace(before(), links=links_with(Link("v", None, "veth", ("peth0",)))), "alternative name of v"),
    (
        "KVN522",
        replace(before(), links=links_with(replace(OTHER_NIC, name="eth0"), nic=Link("ens1", MAC, None))),
        "the name eth0 is already used by a NIC",
    ),
    (
        "KVN523",
        replace(
            before(),
            profiles={
                **before().profiles,
                "eth1": ConnectionProfile("u", "peth0", "802-3-ethernet", "eth1", f"{KEYFILES}/x"),
            },
        ),
        "profile of eth1 has the ID peth0",
    ),
]


@pytest.mark.guarantee("G61")
@pytest.mark.parametrize(("code", "live", "message"), CASES, ids=[f"{c[0]} {c[2][:30]}" for c in CASES])
def test_a_name_in_use_is_refused(code: str, live: Live, message: str) -> None:
    assert_refused(code, live, message)


ACCEPTED: dict[str, Live] = {
    "an alternative name of the NIC itself": replace(
        before(), links=links_with(nic=Link("eth0", MAC, None, ("peth0",)))
    ),
    "a VLAN on another NIC": replace(before(), links=links_with(OTHER_NIC, Link("eth1.9", None, "vlan", base="eth1"))),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_host_is_not_refused_for(name: str) -> None:
    assert find_codes(ACCEPTED[name]) == []


def test_a_missing_nic_is_refused() -> None:
    live = replace(before(), links={"eth0": Link("eth0", "00:00:00:00:00:01", None)})
    [refusal, *_] = refusals_of(make_plan(BUNDLE, live), live)
    assert ("KVN520", "NIC eth0 is missing: no NIC has the permanent MAC 00:14:4f:80:de:00") in find_messages(live)
    assert "eth0 00:00:00:00:00:01" in refusal.hint
    by_name = replace(BUNDLE, nics=tuple(replace(nic, mac=None, name="ens9", link_file=None) for nic in BUNDLE.nics))
    assert ("KVN520", "NIC eth0 is missing: no interface is named ens9") in find_messages(before(), by_name)


def test_another_name_is_refused_if_the_policy_does_not_rename() -> None:
    nics = tuple(replace(nic, link_file=None) for nic in BUNDLE.nics)
    messages = dict(find_messages(before(), replace(BUNDLE, nics=nics, links={})))
    assert messages["KVN521"] == f"NIC eth0 ({MAC}) is named eth0, and the naming policy does not rename NICs"


def test_an_interface_to_be_removed_that_is_in_use_is_refused() -> None:
    live = replace(
        after(BUNDLE),
        links={
            **after(BUNDLE).links,
            "old": Link("old", None, "bridge"),
            "vnet0": Link("vnet0", None, "tun", (), "old"),
            "veth0": Link("veth0", None, "veth", (), "old"),
        },
        owned={**after(BUNDLE).owned, "old": Owned("linux-bridge", True, "u-old")},
        profiles={
            **after(BUNDLE).profiles,
            "old": ConnectionProfile("u-old", "old", "bridge", "old", f"{KEYFILES}/old"),
        },
    )
    lost = "vnet0 (not a device of a libvirt domain) would be disconnected permanently (vnet0 on old: old is removed)"
    assert find_messages(live) == [
        ("KVN525", "old would be removed but is in use by veth0"),
        ("KVN527", lost),
    ]
    plan = make_plan(BUNDLE, live)
    assert [r.code for r in judge(plan, live, {"KVN525"}, lose={"vnet0"})] == ["KVN525", "KVN527"]
    with pytest.raises(Refused, match=r"vnet0 \(not a device"):
        judge(plan, live, {"KVN525"}, lose={"vnet1"})


def test_a_port_that_nmstate_would_remove_from_a_changed_bridge_is_refused() -> None:
    live = after(BUNDLE)
    off = {"ipv4": {"enabled": False}}
    live.state["interfaces"] = [{**i, **off} if i["name"] == "eth0" else i for i in live.state["interfaces"]]
    others = {
        n: Link(n, None, kind, (), "eth0") for n, kind in (("vxlan0", "vxlan"), ("veth0", "veth"), ("vnet0", "tun"))
    }
    profile = ConnectionProfile("u-x", "vxlan0", "vxlan", "vxlan0", f"{KEYFILES}/x", controller="eth0")
    tap = ConnectionProfile(
        "u-t", "vnet0", "tun", "vnet0", "/run/NetworkManager/system-connections/vnet0", controller="eth0"
    )
    live = replace(live, links={**live.links, **others}, profiles={**live.profiles, "vxlan0": profile, "vnet0": tap})
    assert ("KVN525", "eth0 would be changed, but its port vxlan0 is not in the definition") in find_messages(live)
    alone = replace(live, profiles={n: p for n, p in live.profiles.items() if n != "vxlan0"})
    assert "KVN525" not in [code for code, _ in find_messages(alone)], (
        "nmstate does not remove a port without a connection profile"
    )


def test_a_vlan_on_a_bond_that_is_recreated_is_refused(tmp_path: Path) -> None:
    """A bond that gets another mode is recreated (link-aggregation.mode)."""
    nic, bond = f"      eth0: {{mac: '{MAC}'}}\n", "      bond0: {network: private, ports: [eth0], mode: MODE}\n"
    old, new = (bundle_with(tmp_path, nic + bond.replace("MODE", mode)) for mode in ("active-backup", "802.3ad"))
    live = live_of(old, Link("bond0.7", None, "vlan", base="bond0"))
    messages = [r.message for r in refusals_of(make_plan(new, live), live) if r.code == "KVN525"]
    assert len(messages) == 1
    assert messages[0].startswith("bond0 is recreated (") and messages[0].endswith("), but is in use by bond0.7")
    assert "KVN525" not in [r.code for r in refusals_of(make_plan(new, live_of(old)), live_of(old))]
