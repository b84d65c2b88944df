"""The plan of a removal: what it changes, and what it refuses."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.assessment import assess_removal
from kvmnet.core.base.errors import Refused
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.changes import Change, FileRestored
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.refusals import REMOVAL_CODES
from kvmnet.core.reporting.report import format_plan
from kvmnet.transaction.history import read_history
from kvmnet.transaction.original_host import find_original
from kvmnet.transaction.removal_plan import find_restored_interfaces, plan_removal
from tests.unit.core.samples import judge, notes_of
from tests.unit.transaction.samples import BUNDLE, KEYFILE, LINK, MAC, active_profile, file, live, write_history


def test_the_plan_lists_what_is_removed_renamed_and_restored(state: Path) -> None:
    plan = plan_removal(BUNDLE, find_original(state), live())
    assert format_plan(plan).splitlines() == [
        "vm-container-0-0: 4 changes to make",
        "  - remove eth0: created by kvmnet",
        f"  > rename peth0: to eth0, the NIC with MAC {MAC}",
        "  ~ change eth0: its connection profile from before kvmnet is restored",
        f"  - remove {LINK}",
    ]


def test_the_plan_lists_what_the_administrator_has_changed_since(state: Path) -> None:
    """A deleted second profile of the NIC, a changed one, the hostname, and a file that added with kvmnet."""
    folder = "/etc/NetworkManager/system-connections"
    gone, other, same = (f"{folder}/{name}.nmconnection" for name in ("gone", "other", "same"))
    added, name = "/etc/NetworkManager/conf.d/90-kvmnet-guests.conf", "/etc/hostname"
    before = [file(path, path) for path in (gone, other, same)] + [file(added, None), file(name, "old\n")]
    profiles = [{"uuid": f"u-{path}", "device": None, "file": path, "id": ""} for path in (gone, other, same)]
    write_history(state, "3", snapshot={"files": before, "profiles": profiles})
    original = find_original(state)
    day = time.strftime("%Y-%m-%d", time.localtime(read_history(state)[-1].at))
    current = {record["path"]: record for record in original.snapshot["files"]}
    current |= {gone: file(gone, None), other: {**current[other], "mode": 420}, added: file(added, "x")}
    current |= {KEYFILE: file(KEYFILE, "ours"), LINK: file(LINK, "ours"), name: file(name, "new\n")}
    host = replace(live(), state={"hostname": {"config": "new"}})
    plan = plan_removal(BUNDLE, original, host, current)
    assert format_plan(plan).splitlines()[5:] == [
        "  ~ change hostname: new -> old",
        f"  + add {gone}: restored to its content of {day}",
        f"  ~ change {other}: restored to its content of {day}",
        f"  - remove {added}: did not exist on {day}",
    ]
    host = replace(live(), state={"hostname": {"config": "old"}})
    current = {name: {**current[name], "mode": 420, "data": ""}}
    expected = Change("change", name, (FileRestored(day),))
    assert plan_removal(BUNDLE, original, host, current).changes[-1] == expected


def test_a_replaced_bridge_takes_its_guests_back(state: Path) -> None:
    original = replace(find_original(state), replaced={"br0": "eth0", "br5": "gone"})
    host = live()
    host = replace(host, links={**host.links, "vnet0": Link("vnet0", None, "tun", (), "eth0")})
    plan = plan_removal(BUNDLE, original, host)
    assert plan.replaced == {"eth0": "br0"}
    assert "  + add br0: restored; it takes back the guests' ports of eth0" in format_plan(plan).splitlines()
    [impact] = [i for i in assess_removal(plan, host).impacts if i.device == "vnet0"]
    assert impact.how != "disconnected", impact


def test_a_second_profile_for_the_nic_is_not_reported(state: Path) -> None:
    """The original profile is active again; the other one matched the NIC before kvmnet too."""
    host = replace(live(), idle=(ConnectionProfile("u-9", "office", "802-3-ethernet", "", KEYFILE),))
    assert notes_of(plan_removal(BUNDLE, find_original(state), host), host) == []
    assert notes_of(make_plan(BUNDLE, host), host) != []


def test_applied_and_restored_interfaces_are_touched(state: Path) -> None:
    original = replace(find_original(state), active={"bond0": "u-3"})
    assert find_restored_interfaces(BUNDLE, original) == {
        "bond0",
        *(i["name"] for i in BUNDLE.state["interfaces"]),
        "eth0",
    }


def test_only_another_tools_checkpoint_refuses_a_removal_of_this_host(state: Path) -> None:
    host = live()
    assert judge(plan_removal(BUNDLE, find_original(state), host), host, among=REMOVAL_CODES) == []
    plan, changed = plan_removal(BUNDLE, find_original(state), host), replace(host, checkpoints=("/1",))
    with pytest.raises(Refused, match="open checkpoint of another tool"):
        judge(plan, changed, among=REMOVAL_CODES)


def test_a_missing_nic_is_refused(state: Path) -> None:
    host = live()
    without = Live(hostname="h", state={}, links={"eth0": host.links["eth0"]}, profiles=host.profiles)
    with pytest.raises(Refused, match=rf"the NIC {MAC} \(eth0 before kvmnet\) is missing"):
        plan_removal(BUNDLE, find_original(state), without)


def test_a_nic_that_was_bridged_by_another_tool_is_refused(state: Path) -> None:
    host = live()
    changed = replace(host.links["peth0"], master="br-hand")
    host = replace(host, links={**host.links, "peth0": changed, "br-hand": Link("br-hand", None, "bridge")})
    with pytest.raises(Refused, match="peth0 is now a port of br-hand, which was created by another tool") as refused:
        plan_removal(BUNDLE, find_original(state), host)
    assert refused.value.code == "KVN562"


def test_another_tools_vlan_on_a_nic_to_be_renamed_is_refused(state: Path) -> None:
    """Its profile refers to the NIC's current name, so it would be missing after a boot. The hook's have no profile."""
    host = live()
    plan = plan_removal(BUNDLE, find_original(state), host)
    with_hook = replace(host, links={**host.links, "peth0.2": Link("peth0.2", None, "vlan", base="peth0")})
    assert judge(plan, with_hook, among=REMOVAL_CODES) == []
    foreign = replace(with_hook, profiles={**host.profiles, "peth0.2": active_profile("peth0.2")})
    with pytest.raises(Refused, match=r"vlan peth0\.2 is on peth0, which would be renamed to eth0") as refused:
        judge(plan, foreign, among=REMOVAL_CODES)
    assert refused.value.hint == "nmcli connection modify u-peth0.2 vlan.parent eth0, and --allow KVN528"
    assert [r.code for r in judge(plan, foreign, ("KVN528",), REMOVAL_CODES)] == ["KVN528"]


@pytest.mark.guarantee("G52")
def test_interfaces_of_another_tool_are_neither_removed_nor_disconnected(state: Path) -> None:
    """A bridge of kvmnet was replaced by one of the same name, and another bridge of kvmnet is the base of a VLAN."""
    host = live()
    host = replace(
        host,
        links={**host.links, "br5": Link("br5", None, "bridge"), "br6": Link("br6", None, "bridge")},
        profiles={
            **host.profiles,
            "br5": replace(active_profile("br5"), uuid="u-foreign"),
            "br6": active_profile("br6"),
        },
        owned={**host.owned, **{name: Owned("linux-bridge", True, f"u-{name}") for name in ("br5", "br6")}},
    )
    original = find_original(state)
    plan = plan_removal(BUNDLE, original, host)
    assert {change.name for change in plan.changes if change.kind == "remove"} == {"eth0", "br6", LINK}
    assert judge(plan, host, among=REMOVAL_CODES) == []
    with_vlan = {**host.links, "br6.7": Link("br6.7", None, "vlan", base="br6")}
    with pytest.raises(Refused, match=r"br6 would be removed but is in use by br6\.7"):
        judge(plan, replace(host, links=with_vlan), among=REMOVAL_CODES)
    over = {**host.links, "br6": replace(host.links["br6"], master="br5")}
    with pytest.raises(Refused, match="br6 would be removed but is in use by br5"):
        judge(plan, replace(host, links=over), among=REMOVAL_CODES)
