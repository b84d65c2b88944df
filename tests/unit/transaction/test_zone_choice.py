"""An interface that replaces another one gets its firewalld zone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.core.live.live_host import Link
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
