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
