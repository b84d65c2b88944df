"""The udev rule for the macvtaps of guests. That udev and the kernel do as it says is tested in
tests/lab/test_multicast.py."""

from __future__ import annotations

import re

import pytest

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.macvtap_rule import macvtap_bases, macvtap_rule
from kvmnet.pipeline import load

BUNDLE = load("tests/golden/good/attach/cluster.yaml").bundle("a")


def test_a_macvtap_can_be_over_every_interface_that_is_no_port() -> None:
    """Those of the host and those that exist only while a guest runs; no macvtap is over a macvtap."""
    assert macvtap_bases(BUNDLE) == ["eth0", "peth0.3", "peth0.4", "peth0.2"]


def test_the_rule_names_exactly_these_interfaces() -> None:
    comment, more, find, act = macvtap_rule(BUNDLE).splitlines()
    assert comment.startswith("# Written by kvmnet") and more.startswith("#")
    assert find.startswith('SUBSYSTEM=="macvtap", SUBSYSTEMS=="net", ACTION!="remove", PROGRAM=="/bin/sh -c ')
    assert 'ENV{.KVMNET_BASE}=="eth0|peth0.3|peth0.4|peth0.2", RUN+="/bin/sh -c ' in act
    assert act.count("ip link set dev %b allmulticast on") == 2
    for line in (find, act):
        assert len(re.findall('"', line)) % 2 == 0 and line.count("'") == 2


@pytest.mark.parametrize("number", [1, 3000])
def test_a_line_is_not_too_long_for_udev(number: int) -> None:
    names = [f"a-long-name.{n}" for n in range(1, number + 1)]
    bundle = Bundle("c", "h", "plain", (), {"interfaces": [{"name": name, "type": "vlan"} for name in names]})
    lines = macvtap_rule(bundle).splitlines()[3:]
    assert all(len(line) < 8000 for line in lines)
    assert [name for line in lines for name in line.split('"')[5].split("|")] == names
