"""The routing rules of a host."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.views.host_view import HostView
from tests.unit.core.views.samples import view_of

#: An interface with addresses of both families.
NIC = "eth0: {addresses: [192.0.2.7/24, '2001:db8::7/64']}"


def rules_of(view: HostView) -> list[tuple[Any, ...]]:
    return [(r.family, r.source, r.destination, r.incoming, r.table, r.action, r.priority) for r in view.rules]


def test_rules_get_priorities_in_their_order_and_equal_ones_are_one() -> None:
    twice = "{to: '2001:db8::/32', table: 8, priority: 5}"
    host = f"rules: [{{from: 192.0.2.7, table: 7}}, {twice}, {{family: ipv6, table: 9}}, {twice}]"
    assert rules_of(view_of(NIC, host=host)) == [
        ("ipv4", "192.0.2.7/32", None, None, 7, None, 30000),
        ("ipv6", None, "2001:db8::/32", None, 8, None, 5),
        ("ipv6", None, None, None, 9, None, 30001),
    ]


def test_a_selector_of_everything_is_none_and_an_interface_is_its_bridge() -> None:
    host = "rules: [{from: 0.0.0.0/0, incoming: eth0, action: prohibit}, {family: ipv4, incoming: lo, table: 7}]"
    view = view_of("eth0: {bridge: br0, addresses: [192.0.2.7/24]}", host=host)
    assert rules_of(view) == [
        ("ipv4", None, None, "br0", None, "prohibit", 30000),
        ("ipv4", None, None, "lo", 7, None, 30001),
    ]


def test_invalid_rules_are_left_out() -> None:
    host = "rules: [{table: 7}, {from: 192.0.2.7}, {from: 192.0.2.7, to: '2001:db8::/32', table: 7}]"
    assert rules_of(view_of(NIC, host=host)) == []


@pytest.mark.parametrize(
    ("nic", "families"),
    [
        ("eth0: {}", []),
        ("eth0: {addresses: [192.0.2.7/24]}", ["ipv4"]),
        ("eth0: {ipv4: dhcp, ipv6: link-local}", ["ipv4", "ipv6"]),
        ("lo: {}", ["ipv4", "ipv6"]),
    ],
)
def test_a_host_gets_the_rules_of_the_families_that_it_has(nic: str, families: list[str]) -> None:
    """No profile could contain others."""
    view = view_of(nic, host="rules: [{family: ipv4, table: 7}, {family: ipv6, table: 7}]")
    assert [rule.family for rule in view.rules] == families
