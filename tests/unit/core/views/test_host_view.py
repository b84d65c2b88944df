"""The parts of a host's view that are more than data."""

from __future__ import annotations

from dataclasses import replace

from kvmnet.core.base.problem import Mark
from kvmnet.core.views.host_view import NO_IP
from tests.unit.core.views.samples import view_of


def test_the_ports_of_one_guest_are_in_the_order_of_the_definition() -> None:
    nics = "{network: storage, mac: 36:77:6e:c0:00:09}, {network: servers, mac: 36:77:6e:c0:00:01}"
    guests = (
        f"guests:\n  a: {{host: h, nics: [{nics}]}}\n"
        "  b: {host: h, nics: [{network: servers, mac: 36:77:6e:c0:00:02}]}\n"
    )
    view = view_of("eth0: {network: servers}", "eth0.5: {network: storage}", guests=guests)
    assert [port.mac[-2:] for port in view.ports_of("a")] == ["09", "01"]
    assert [port.mac[-2:] for port in view.ports_of("b")] == ["02"]
    assert view.ports_of("c") == ()


def test_views_that_differ_only_in_their_places_in_the_files_are_equal() -> None:
    view = view_of("eth0: {network: servers}")
    (nic,) = view.nics
    moved = replace(view, nics=(replace(nic, mark=Mark("other.yaml", 99, 1)),))
    assert moved == view
    assert replace(view, nics=(replace(nic, mtu=9000),)) != view


def test_an_interface_without_addresses_takes_nothing_from_dhcp() -> None:
    assert (NO_IP.ipv4, NO_IP.ipv6, NO_IP.addresses) == ("none", "none", ())


def test_vlans_and_bridges_are_in_layers_from_below() -> None:
    view = view_of(
        "br7.8: {}",
        "br1.7: {bridge: br7}",
        "eth0.5: {}",
        "br1: {type: bridge, ports: [eth0.5]}",
        "br0: {type: bridge}",
        "eth0: {}",
    )
    assert [layer.name for layer in view.layers()] == ["eth0.5", "br1", "br0", "br1.7", "br7", "br7.8"]
    assert len(list(view.layers())) == len(view.vlans) + len(view.bridges)


def test_layers_end_if_two_interfaces_have_the_same_name() -> None:
    view = view_of("eth0: {}", "eth0.6: {bridge: eth0}")
    assert [layer.name for layer in view.layers()] == ["eth0.6", "eth0"]
