"""An interface that replaces another one gets its firewalld zone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.live.live_host import Link
from kvmnet.core.planning.plan import make_plan
from kvmnet.transaction.zone_choice import choose_zone
from tests.unit.core.adoption_samples import bridged_host, load_site
from tests.unit.transaction.samples import bond_seeds, zones_of


@pytest.mark.parametrize("port", ["eth0", "eth1"])
def test_a_bond_and_its_bridge_get_the_zone_of_the_port_with_the_address(tmp_path: Path, port: str) -> None:
    other = {"eth0": "eth1", "eth1": "eth0"}[port]
    chosen = zones_of(bond_seeds(tmp_path, {port: "public", other: "dmz"}, addressed=port))
    assert chosen == {other: "dmz", "bond0": "public", "br-bond0": "public"}
    chosen = zones_of(bond_seeds(tmp_path, {other: "dmz"}, addressed=port))
    assert chosen == {other: "dmz"}, "the address was in the default zone"


def test_a_bond_of_ports_without_addresses_gets_their_first_zone(tmp_path: Path) -> None:
    chosen = zones_of(bond_seeds(tmp_path, {"eth1": "public"}))
    assert chosen == {"eth1": "public", "bond0": "public", "br-bond0": "public"}


def test_an_existing_interface_keeps_its_zone(tmp_path: Path) -> None:
    existing = Link("bond0", None, "bond"), Link("bond0.5", None, "vlan")
    zones = {"eth0": "dmz", "bond0": "public", "bond0.5": "trusted"}
    chosen = zones_of(bond_seeds(tmp_path, zones, links=existing, known={("bond0", "bond"): ["u-b"]}))
    assert chosen == {"eth0": "dmz", "br-bond0": "public", "bond0.5": "trusted", "br-bond0.5": "trusted"}


def test_a_new_vlan_is_in_the_default_zone(tmp_path: Path) -> None:
    seeds = bond_seeds(tmp_path, {"eth0": "public"}, addressed="eth0")
    assert (seeds["bond0.5"]["zone"], seeds["br-bond0.5"]["zone"]) == ("", "")


def test_a_bridge_gets_the_zone_of_the_one_that_it_replaces(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = replace(bridged_host(bundle), zones={"br0": "work", "eth0": "public"})
    assert choose_zone("br-eth0", make_plan(bundle, live), live) == "work"
    unzoned = replace(live, zones=None)
    assert choose_zone("br-eth0", make_plan(bundle, unzoned), unzoned) == "work", "its profile's"


def test_the_zone_of_the_definition_comes_first(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    bundle = replace(bundle, profile_settings={"br-eth0": {"connection.zone": "internal"}})
    live = replace(bridged_host(bundle), zones={"br0": "work", "eth0": "public"})
    assert choose_zone("br-eth0", make_plan(bundle, live), live) == "internal"
