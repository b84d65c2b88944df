"""Tests of kvmnet/core/doctor/naming.py."""

from __future__ import annotations

from dataclasses import replace

from kvmnet.core.doctor import examine
from kvmnet.core.live.surroundings import LinkFile, NamingRule, Surroundings
from tests.unit.core.doctor.samples import HEALTHY, MAC, codes_with, examine_with


def find_names(**facts: object) -> str:
    findings = examine(replace(HEALTHY, **facts))  # type: ignore[arg-type]
    return next(finding.message for finding in findings if finding.code == "KVN610")


def test_who_names_the_nics() -> None:
    assert find_names() == "NICs are named by udev's predictable names"
    assert find_names(options=("net.ifnames=0",)) == "NICs are named by the kernel (net.ifnames=0)"
    surroundings = Surroundings(
        naming_rules=(NamingRule("/etc/udev/rules.d/70-persistent-net.rules", 'NAME="eth0"'),),
        link_files=(LinkFile("/etc/systemd/network/10-a.link", {}), LinkFile("/usr/lib/99-default.link", {})),
    )
    assert find_names(surroundings=surroundings) == (
        "NICs are named by the udev rule in /etc/udev/rules.d/70-persistent-net.rules, then "
        "/etc/systemd/network/10-a.link, then udev's predictable names"
    )


def test_a_nic_that_is_not_in_the_definition() -> None:
    assert codes_with(known_nics=None) == codes_with(known_nics=frozenset({MAC})) == []
    assert codes_with(known_nics=frozenset({"eth0"})) == [], "it is in the definition by its name"
    (finding,) = examine_with(known_nics=frozenset())
    assert finding.severity == "note" and finding.fix == f'add to the definition: eth0: {{mac: "{MAC}", manage: false}}'
    assert codes_with(known_nics=frozenset(), options=("net.ifnames=0",)) == [("warning", "KVN611")]
