"""The steps of a removal: their order and their undo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kvmnet.core.base.probe import Probe
from kvmnet.core.live.live_host import ConnectionProfile, Link, Owned
from kvmnet.core.rendering.macvtap_rule import macvtap_bases
from kvmnet.core.reporting.report import format_plan
from kvmnet.transaction.original_host import find_original
from kvmnet.transaction.removal_plan import plan_removal
from kvmnet.transaction.removal_steps import compile_removal
from kvmnet.transaction.step import touched_files, touched_profiles
from tests.unit.transaction.samples import (
    BUNDLE,
    LINK,
    MAC,
    active_profile,
    adopt_later,
    assert_steps_match_the_table,
    live,
)


def test_the_bridge_is_removed_before_its_name_is_given_to_the_nic(state: Path) -> None:
    """The probes come before the record is deleted."""
    original = find_original(state)
    plan = plan_removal(BUNDLE, original, live())
    steps = compile_removal(
        plan, original, live(), (Probe("gateway", "10.1.1.1"),), [str(state / "applied" / "bundle.json")], 60
    )
    last = ["activate", "as before", "probe", "confirm", "as before", "write files"]
    assert [s["op"] for s in steps] == [*["give back"] * 5, *last], "compared again: much may happen meanwhile"
    assert_steps_match_the_table(steps)
    titles = [s["title"] for s in steps]
    assert titles.index("remove eth0") < titles.index("rename peth0 to eth0")
    assert steps[titles.index("rename peth0 to eth0")]["undo"][-1] == {
        "op": "rename",
        "mac": MAC,
        "to": "peth0",
        "altnames": [],
    }
    assert {"u-1", "u-2"} <= set(touched_profiles(steps))
    assert touched_files(steps) == sorted([LINK, str(state / "applied" / "bundle.json")])


def test_profiles_of_interfaces_that_stay_active_are_reapplied(state: Path) -> None:
    """Not a bridge that is removed and only has the name, here eth0, nor a port of one until it is removed."""
    adopt_later(state)
    original = find_original(state)
    vlan = Link("bond0.7", None, "vlan", base="bond0")
    for here, again in ((vlan, ["bond0.7"]), (replace(vlan, master="eth0"), [])):
        host = replace(live(), links={**live().links, "bond0.7": here})
        steps = compile_removal(plan_removal(BUNDLE, original, host), original, host, (), [], 0)
        step = next(s for s in steps if s["op"] == "activate")
        assert (step["profiles"], step["again"]) == (original.active, again)


def test_profiles_of_interfaces_that_are_down_are_deleted(state: Path) -> None:
    """Only the profile is deleted: an existing link of its name was created by another tool."""
    host = live()
    host = replace(
        host,
        links={**host.links, "br6": Link("br6", None, "bridge")},
        profiles={**host.profiles, "br6": replace(active_profile("br6"), uuid="u-theirs")},
        idle=(
            *(replace(active_profile(name), device="") for name in ("br5", "br6")),
            ConnectionProfile("u-x", "br7", "bridge", "", "/x"),
        ),
        owned={**host.owned, **{n: Owned("linux-bridge", True, f"u-{n}") for n in ("br5", "br6", "br7")}},
    )
    original = find_original(state)
    plan = plan_removal(BUNDLE, original, host)
    assert (
        "  - remove /etc/br5: the connection profile of br5, which is inactive and was created by kvmnet\n"
        in format_plan(plan)
    )
    steps = compile_removal(plan, original, host, (), [], 0)
    first, before_all = steps[1], steps[0]
    assert before_all["specs"] == [{"op": "files", "paths": [LINK]}]
    assert first["specs"] == [{"op": "profiles", "profiles": {"u-br5": "", "u-br6": ""}}]
    assert first["undo"] == [{"op": "files", "uuids": ["u-br5", "u-br6"]}, {"op": "links", "names": ["br5"]}]
    compared = next(s for s in steps if s["op"] == "as before")
    assert {"u-br5", "u-br6", "u-2"} <= set(compared["gone"])
    assert not {"u-1", "u-x"} & set(compared["gone"])


def test_interfaces_with_the_hosts_addresses_are_removed_last(state: Path) -> None:
    """All others are removed at once before: the management address is away for one removal, not for sixty."""
    host = live()
    vlans = {f"peth0.{tag}": Link(f"peth0.{tag}", None, "vlan", master=f"br{tag}", base="peth0") for tag in (2, 3)}
    bridges = {f"br{tag}": Link(f"br{tag}", None, "bridge") for tag in (2, 3)}
    shown = [
        {"name": "eth0", "ipv6": {"address": [{"ip": "fe80::1", "prefix-length": 64}]}},
        {"name": "br2", "ipv6": {"address": [{"ip": "fe80::2", "prefix-length": 64}]}},
        {"name": "br3", "ipv4": {"address": [{"ip": "10.1.0.3", "prefix-length": 16}]}},
    ]
    host = replace(
        host,
        state={"interfaces": shown},
        links={**host.links, **vlans, **bridges},
        profiles={**host.profiles, **{n: active_profile(n) for n in (*vlans, *bridges)}},
        owned={
            **host.owned,
            **{name: Owned("vlan", True, f"u-{name}") for name in vlans},
            **{name: Owned("linux-bridge", True, f"u-{name}") for name in bridges},
        },
    )
    original = find_original(state)
    steps = compile_removal(plan_removal(BUNDLE, original, host), original, host, (), [], 0)
    gone = [s for s in steps if s["title"].startswith("remove ")]
    assert [s["title"] for s in gone] == ["remove eth0, br2, peth0.2", "remove br3, peth0.3"]
    assert gone[0]["specs"][0]["profiles"] == {"u-peth0.2": "peth0.2", "u-br2": "br2", "u-2": "eth0"}
    assert set(gone[0]["undo"][0]["uuids"]) == {"u-peth0.2", "u-br2", "u-2"}
    assert gone[0]["limit"] > gone[1]["limit"]


def test_macvtaps_from_before_kvmnet_receive_the_multicast_frames_of_then(state: Path) -> None:
    original = find_original(state)
    plan = plan_removal(BUNDLE, original, live())
    titles = [s["title"] for s in compile_removal(plan, original, live(), (), [], 0)]
    assert not any("multicast" in title for title in titles)
    snapshot = {**original.snapshot, "macvtaps": {"macvtap0": {"index": 7, "allmulticast": False}}}
    steps = compile_removal(plan, replace(original, snapshot=snapshot), live(), (), [], 0)
    (step,) = (s for s in steps if "multicast" in s["title"])
    spec = {"op": "multicast", "bases": macvtap_bases(BUNDLE), "exempt": []}
    assert (step["specs"], step["undo"]) == ([spec], [spec])
    assert_steps_match_the_table(steps)


def test_addresses_that_the_loopback_interface_got_are_removed(state: Path) -> None:
    original = find_original(state)
    addresses = [{"ip": "127.0.0.1", "prefix-length": 8}, {"ip": "10.9.9.1", "prefix-length": 32}]
    interface = {"name": "lo", "type": "loopback", "state": "up", "ipv4": {"enabled": True, "address": addresses}}
    bundle = replace(BUNDLE, state={**BUNDLE.state, "interfaces": [*BUNDLE.state["interfaces"], interface]})
    snapshot = {**original.snapshot, "addresses": {**original.snapshot["addresses"], "lo": ["127.0.0.1/8"]}}
    original = replace(original, snapshot=snapshot)
    steps = compile_removal(plan_removal(bundle, original, live()), original, live(), (), [], 0)
    (step,) = (s for s in steps if "loopback" in s["title"])
    spec = {"op": "loopback", "addresses": ["10.9.9.1/32"]}
    assert (step["specs"], step["undo"]) == ([spec], [spec])
    (comparison,) = (s for s in steps if s["op"] == "as before")
    assert comparison["released"] == ["10.9.9.1/32"]
    assert_steps_match_the_table(steps)
