"""Hints for values and keys that the schema rejects."""

from __future__ import annotations

from typing import Optional

import pytest

from kvmnet import pipeline
from kvmnet.core.definition import suggestions
from kvmnet.core.definition.document import Source

HEAD = "kvmnet: 1\ncluster: c\nprofile: rocks\n"


def hint_of(text: str) -> Optional[str]:
    """Return the hint of the problem at the place of ^ in the text."""
    before = HEAD + text.partition("^")[0]
    place = before.count("\n") + 1, len(before) - before.rfind("\n")
    definition = pipeline.check([Source("f", HEAD + text.replace("^", "", 1))])
    problems = [p for p in definition.problems if (p.mark.line, p.mark.column) == place]
    assert problems, definition.problems
    return problems[0].hint


HOST = "hosts: {a: {interfaces: {eth0: {%s}}}}\n"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('networks: {n: {mtu: ^"9000"}}\n', "remove the quotes"),
        ('hosts: {a: {kvm: ^"true"}}\n', "remove the quotes"),
        ("networks: {n: {subnets: ^10.1.0.0/16}}\n", "write [10.1.0.0/16]"),
        ("networks: {n: {subnets: [^10.1.0.0]}}\n", "add the prefix length, as in 10.1.0.0/24"),
        ("routes: [{to: ^default, via: 10.1.0.1}]\n", "write 0.0.0.0/0 or ::/0 for the default route"),
        ("routes: [{to: ^0.0.0.0, via: 10.1.0.1}]\n", "write 0.0.0.0/0 for the default route"),
        (
            "routes: [{to: ^10.0.0.5, via: 10.1.0.1}]\n",
            "write 10.0.0.5/32 for this address alone, or the subnet with its prefix length",
        ),
        ("routes: [{to: ^'2001:db8::', via: 10.1.0.1}]\n", "add the prefix length, as in 2001:db8::/64"),
        (
            "networks: {n: {subnets: [^10.1.0.0/255.255.0.0]}}\n",
            "write 10.1.0.0/16 (a prefix length instead of the netmask)",
        ),
        ("networks: {n: {subnets: [^10.1.0.0/255.0.255.0]}}\n", None),
        ("networks: {n: {vlan: ^0010}}\n", "write 10"),
        (HOST % "mode: ^4", "write 802.3ad"),
        (HOST % "mode: ^7", None),
        (HOST % "mac: ^\u201c00:14:4f:00:00:01\u201d", "write straight quotes (\" or '), or none"),
        (HOST % "^gateway4: 10.1.0.1", "the gateway is a key of the network: gateway: ADDRESS"),
        (HOST % "^nameservers: {}", "write dns: {servers: […]} on the network"),
        (HOST % "^routes: []", "routes are a key of the host, of its group, or of the cluster"),
        (HOST % "ipv4: ^DHCP", "did you mean dhcp?"),
        (HOST % "ipv4: ^sttic", "did you mean static?"),
        (HOST % "ipv4: ^from-somewhere-else", None),
        (HOST % "mac: ^00-14-4F-80-DE-00", "write 00:14:4f:80:de:00"),
        (HOST % "mac: ^0014.4f80.de00", "write 00:14:4f:80:de:00"),
        (HOST % "mac: ^00:14:4f", None),
        (HOST % "^mac:00:14:4f:80:de:00", "add a space after mac:"),
        (HOST % "bridge: ^yes", "write true"),
        (HOST % "bridge: ^Off", "write false"),
        (HOST % 'bridge: ^"true"', "remove the quotes"),
        (HOST % "bridge: ^'br 0'", None),
        (HOST % "bridge: {group_forward_mask: ^0x4000}", "write 16384"),
        (HOST % "bridge: {^group_fwd_mask: 8}", "did you mean group_forward_mask?"),
        (HOST % "bridge: {^ageing_time: 8}", "did you mean ageing?"),
        (HOST % "bridge: {^ports: [eth1]}", "ports are a key of an interface with type: bridge"),
        (HOST % "type: ^linux-bridge", "did you mean bridge?"),
        (HOST % "type: ^Bridge", "did you mean bridge?"),
        (HOST % "type: ^vlan", "remove type: only bridges, bonds and dummies have one"),
        (HOST % "^interfaces: [eth1]", "write ports: […] with type: bridge or type: bond"),
        (HOST % "^bridge_ports: [eth1]", "write ports: […] with type: bridge"),
        ("hosts: {a: {^bridges: {}}}\n", "write each bridge under interfaces, with type: bridge"),
        (HOST % "^adresses: [10.1.0.1]", "did you mean addresses?"),  # codespell:ignore adresses
    ],
)
def test_a_rejected_value_or_key_gets_a_hint(text: str, hint: Optional[str]) -> None:
    assert hint_of(text) == hint


@pytest.mark.parametrize("value", ["a, b", "a b", "#", "", "x" * 61, "'", "[1]", "\x1b[2J"])
def test_a_value_that_is_not_one_plain_list_item_gets_no_hint(value: str) -> None:
    assert suggestions.for_value({"type": "array"}, value) is None


def test_an_unclosed_mapping_is_reported_with_its_start() -> None:
    definition = pipeline.check([Source("f", "kvmnet: 1\nhosts: {a: {}\n")])
    [problem] = definition.problems
    assert [(r.mark.line, r.mark.column, r.message) for r in problem.related] == [
        (2, 8, "while parsing a flow mapping")
    ]
