"""Settings of connection profiles that nmstate has no key for, in a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.base.profile_settings import ZONE
from kvmnet.core.effects.topology import compare_topologies
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.difference import rename_interfaces
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.reporting.change_text import detail_texts
from tests.unit.core.boot.samples import boot_files, stored
from tests.unit.core.profile_samples import FILTERING, PIN, filtering, host, host_in_zone, zoned
from tests.unit.core.samples import bare


def changes_of(plan: Plan) -> dict[str, list[str]]:
    return {change.name: detail_texts(change) for change in plan.changes}


def sent(plan: Plan) -> list[str]:
    return [i["name"] for i in plan.state.get("interfaces", [])]


def test_a_host_with_the_settings_has_an_empty_plan(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    assert make_plan(bundle, host(bundle, kernel=1, stored="yes")).empty


def test_a_live_difference_sends_the_interface_so_that_nmstate_activates_its_profile(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    live = host(bundle)
    plan = make_plan(bundle, live)
    assert changes_of(plan) == {"br-eth0": ["bridge.vlan-filtering: false -> true"]}
    assert sent(plan) == ["br-eth0"]
    assert plan.profile_settings == {"br-eth0": {FILTERING: True}}
    topologies = compare_topologies(plan, live, rename_interfaces(live.state, plan.new_names))
    assert topologies.changed == {"br-eth0": "br-eth0: bridge.vlan-filtering changes"}


def test_drift_of_the_kernel_alone_is_seen(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    plan = make_plan(bundle, host(bundle, kernel=0, stored="yes"))
    assert changes_of(plan) == {"br-eth0": ["bridge.vlan-filtering: false -> true"]}


def test_drift_of_the_profile_alone_is_seen_and_touches_no_device(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    plan = make_plan(bundle, host(bundle, kernel=1, stored="no"))
    assert changes_of(plan) == {"br-eth0": ["in its connection profile, bridge.vlan-filtering: false -> true"]}
    assert sent(plan) == []
    assert plan.unsaved == ("br-eth0",)
    assert plan.profile_settings == {"br-eth0": {FILTERING: True}}


def test_a_setting_that_left_the_definition_returns_to_its_default(tmp_path: Path) -> None:
    bundle = filtering(tmp_path, None)
    live = replace(host(bundle, kernel=1, stored="yes"), applied_settings={"br-eth0": {FILTERING: True}})
    plan = make_plan(bundle, live)
    assert changes_of(plan) == {"br-eth0": ["bridge.vlan-filtering: true -> false"]}
    assert plan.profile_settings == {"br-eth0": {FILTERING: False}}


@pytest.mark.parametrize("settings", [{}, {"br-eth0": {"bridge.of-a-later-kvmnet": 1}}])
def test_what_the_definition_does_not_say_stays(tmp_path: Path, settings: dict[str, Any]) -> None:
    bundle = filtering(tmp_path, None)
    assert make_plan(bundle, replace(host(bundle, kernel=1, stored="yes"), applied_settings=settings)).empty


def test_a_new_bridge_gets_its_settings(tmp_path: Path) -> None:
    plan = make_plan(filtering(tmp_path), bare())
    assert plan.profile_settings == {"br-eth0": {FILTERING: True}}
    assert "br-eth0" in sent(plan)


@pytest.mark.parametrize("stored", ["", "02:00:00:00:00:99"])
def test_a_profile_without_the_mac_that_its_bridge_has_is_completed(tmp_path: Path, stored: str) -> None:
    """The bridge may have it by chance: the next activation would choose another one."""
    bundle = filtering(tmp_path, None)
    live = host(bundle, mac=stored)
    plan = make_plan(bundle, live)
    mac = plan.macs["br-eth0"].mac
    assert changes_of(plan) == {"br-eth0": [f"in its connection profile, {PIN}: {stored or 'none'} -> {mac}"]}
    assert sent(plan) == []
    assert plan.profile_settings == {"br-eth0": {PIN: mac}}


def test_profiles_whose_settings_were_not_read_are_not_compared(tmp_path: Path) -> None:
    bundle = filtering(tmp_path, None)
    live = host(bundle, mac="")
    profiles = {name: replace(profile, settings={}) for name, profile in live.profiles.items()}
    assert make_plan(bundle, replace(live, profiles=profiles)).empty


@pytest.mark.parametrize("made", [True, False])
def test_the_mac_of_an_adopted_bridge_that_is_sent_is_set_apart(tmp_path: Path, made: bool) -> None:
    bundle = filtering(tmp_path, None)
    live = host(bundle, made=made)
    shown = next(i for i in live.state["interfaces"] if i["name"] == "br-eth0")
    shown["mtu"] = 1400
    wanted = [{**i, "mtu": 1500} if i["name"] == "br-eth0" else i for i in bundle.state["interfaces"]]
    plan = make_plan(replace(bundle, state={**bundle.state, "interfaces": wanted}), live)
    assert sent(plan) == ["br-eth0"]
    mac = plan.macs["br-eth0"].mac
    assert plan.profile_settings == ({} if made else {"br-eth0": {PIN: mac}})


@pytest.mark.parametrize("stored", ["no", "yes"])
def test_what_an_adopted_bridge_runs_with_is_written_into_its_profile(tmp_path: Path, stored: str) -> None:
    """VLAN filtering that was turned on by hand would be gone after the next boot."""
    bundle = filtering(tmp_path, None)
    live = replace(host(bundle, kernel=1, stored=stored, made=False), owned={})
    profile = replace(live.profiles["br-eth0"], uuid="u-of-another-tool")
    plan = make_plan(bundle, replace(live, profiles={**live.profiles, "br-eth0": profile}))
    adopted, *details = changes_of(plan)["br-eth0"]
    assert adopted.startswith("adopted: ")
    assert details == (["in its connection profile, bridge.vlan-filtering: false -> true"] if stored == "no" else [])
    assert plan.profile_settings["br-eth0"] == {FILTERING: True, PIN: plan.macs["br-eth0"].mac}


def on_disk(live: Live, filters: str = "", mac: str = "") -> Live:
    """The host with a keyfile of br-eth0 that has this line about VLAN filtering, and this MAC address."""
    uuid = live.profiles["br-eth0"].uuid
    lines = ("interface-name=br-eth0", "[bridge]", "stp=false", filters, "[ethernet]", f"cloned-mac-address={mac}")
    address = "[ipv4]\nmethod=manual\naddress1=10.1.255.254/16,10.1.1.1\n[ipv6]\nmethod=disabled\n"
    profile = stored("br-eth0", uuid, *lines, type="bridge", groups=address)
    return replace(live, profiles={"br-eth0": live.profiles["br-eth0"]}, boot=boot_files(profile))


@pytest.mark.parametrize(
    ("filters", "details"),
    [
        ("vlan-filtering=true", []),
        ("vlan-filtering=false", ["connection profile on disk: bridge.vlan-filtering: false -> true"]),
        ("", ["connection profile on disk: bridge.vlan-filtering: false -> true"]),
    ],
)
def test_a_keyfile_that_was_edited_is_seen_and_written_again(tmp_path: Path, filters: str, details: list[str]) -> None:
    bundle = filtering(tmp_path)
    live = host(bundle, kernel=1, stored="yes")
    mac = make_plan(bundle, live).macs["br-eth0"].mac
    plan = make_plan(bundle, on_disk(live, filters, mac))
    assert changes_of(plan).get("br-eth0", []) == details
    assert sent(plan) == (["br-eth0"] if details else [])  # nmstate writes the profile even if it is right in memory


@pytest.mark.parametrize("stored_mac", ["", None])
def test_a_mac_that_the_keyfile_and_the_profile_lack_is_written_without_nmstate(
    tmp_path: Path, stored_mac: Optional[str]
) -> None:
    bundle = filtering(tmp_path, None)
    plan = make_plan(bundle, on_disk(host(bundle, mac=stored_mac)))
    mac = plan.macs["br-eth0"].mac
    if stored_mac is None:  # only the keyfile lacks it
        assert changes_of(plan) == {"br-eth0": [f"connection profile on disk: mac-address: none -> {mac}"]}
        assert sent(plan) == ["br-eth0"]
    else:
        assert changes_of(plan) == {"br-eth0": [f"in its connection profile, {PIN}: none -> {mac}"]}
        assert sent(plan) == []


@pytest.mark.parametrize("firewall", ["internal", None])
def test_an_interface_in_its_zone_is_as_defined(tmp_path: Path, firewall: Optional[str]) -> None:
    bundle = zoned(tmp_path)
    assert make_plan(bundle, host_in_zone(bundle, firewall, "internal")).empty


@pytest.mark.parametrize(
    ("firewall", "stored", "text"),
    [
        ("", "", "firewalld zone: the default zone -> internal"),
        ("public", "public", "firewalld zone: public -> internal"),
        ("public", "internal", "firewalld zone: public -> internal"),
    ],
)
def test_another_zone_is_a_live_difference(tmp_path: Path, firewall: str, stored: str, text: str) -> None:
    """The interface is sent, so that the change counts as one of the interface: confirmations and probes."""
    bundle = zoned(tmp_path)
    plan = make_plan(bundle, host_in_zone(bundle, firewall, stored))
    assert changes_of(plan) == {"br-eth0": [text]}
    assert sent(plan) == ["br-eth0"]
    assert plan.profile_settings == {"br-eth0": {ZONE.name: "internal"}}


@pytest.mark.parametrize("firewall", ["internal", None])
def test_a_zone_that_only_the_profile_lacks_touches_no_device(tmp_path: Path, firewall: Optional[str]) -> None:
    bundle = zoned(tmp_path)
    plan = make_plan(bundle, host_in_zone(bundle, firewall, ""))
    text = "in its connection profile, firewalld zone: the default zone -> internal"
    assert changes_of(plan) == {"br-eth0": [text]}
    assert sent(plan) == []


def test_without_a_zone_in_the_definition_an_interface_keeps_its_zone(tmp_path: Path) -> None:
    """Also if the definition stated it before: the default zone may let nobody in."""
    bundle = zoned(tmp_path, None)
    live = host_in_zone(bundle, "internal", "internal")
    assert make_plan(bundle, live).empty
    assert make_plan(bundle, replace(live, applied_settings={"br-eth0": {ZONE.name: "internal"}})).empty
