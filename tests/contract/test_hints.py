"""Hints are applied as they are written, and the real nmstate accepts what comes out, without a lab machine."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.base.problem import WARNING, Problem
from kvmnet.core.definition.document import Source
from tests.machines import nmstate_builds

pytestmark = pytest.mark.make_test("trixie")

DEFINITION = """kvmnet: 1
cluster: c
profile: plain
networks:
  lan: {subnets: [192.0.2.0/24, "2001:db8::/64"]}
  five: {vlan: 5}
routes: []
rules: []
hosts:
  h:
    kvm: true
    interfaces:
      eth0: {network: lan, addresses: [192.0.2.7]}
      eth1: {}
      eth2: {}
"""
#: A part of DEFINITION and a mistake in its place: each has hints that a program can apply.
MISTAKES = [
    ("routes: []", "routes: [{to: 0.0.0.0, via: 192.0.2.1}]"),
    ("routes: []", 'routes: [{to: "::", via: "2001:db8::1"}]'),
    ("routes: []", "routes: [{to: default, via: 192.0.2.1}]"),
    ("routes: []", "routes: [{to: 198.51.100.0, via: 192.0.2.1}]"),
    ("routes: []", "routes: [{to: 198.51.100.0/255.255.255.0, via: 192.0.2.1}]"),
    ("routes: []", "routes: [{to: 198.51.100.0/24, gateway: 192.0.2.1}]"),
    ("routes: []", "routes: [{to: 198.51.100.0/24, dev: eth0}]"),
    ("rules: []", "rules: [{ip-from: 192.0.2.0/24, iif: eth0, table-id: 254}]"),
    ("rules: []", "rules: [{from: 192.0.2.0/24, mark: 0x10, table: 254}]"),
    ("192.0.2.7]", "192.0.2.7/255.255.255.0]"),
    ("192.0.2.7]}", "192.0.2.7], bridge: {mcast_snooping: true, ageing-time: 30}}"),
    ("eth1: {}", "bond0: {ports: [eth1, eth2], mode: 4}\n      eth1: {}"),
    ("eth1: {}", "bond0: {ports: [eth1, eth2], mode: Balance-RR}\n      eth1: {}"),
    ("eth1: {}", "eth1: {mac: 0014.4f80.de01}"),
    ("eth1: {}", "eth1: {ipv4: DHCP, network: lan}"),
    ("five: {vlan: 5}", "five: {vlan: 0010}"),
    ("kvm: true", "kvm: yes"),
    ("eth1: {}", "eth1: {nmstate: {ethtool: {features: {rx-gro: false}}}}"),
    ("eth1: {}", "eth1: {nmstate: {lldp: {enabled: yes}}}"),
    ("    kvm: true", "    kvm: true\n    nmstate: {mv0: {type: macvlan, mac-vlan: {base-iface: eth1, mode: bridge}}}"),
    ("    kvm: true", "    kvm: true\n    nmstate: {vx0: {type: vxlan, vxlan: {id: 5, base-iface: eth11}}}"),
]
_HINT = re.compile(r"(?:write|did you mean) (\S+?)(?:\?|,? ?\(.*|,? (?:for|without|or) .*)?\Z")
_EXAMPLE = re.compile(r"add the prefix length, as in (\S+)\Z")


def apply_hint(text: str, problem: Problem) -> str:
    """Return the definition with the word at the place of a problem replaced by the one in its hint."""
    found = _HINT.match(problem.hint or "") or _EXAMPLE.match(problem.hint or "")
    assert found is not None, (problem.message, problem.hint)
    lines = text.splitlines()
    line, column = lines[problem.mark.line - 1], problem.mark.column - 1
    word = re.match(r'"[^"]*"|[^\s,{}\[\]]*[^\s,{}\[\]:]', line[column:])
    assert word is not None, line
    value = f'"{found[1]}"' if "::" in found[1] else found[1]
    lines[problem.mark.line - 1] = line[:column] + value + line[column + len(word[0]) :]
    return "\n".join(lines) + "\n"


def test_the_definition_without_a_mistake_is_accepted(lab: None, version: str, tmp_path: Path) -> None:
    assert refused_by_nmstate(DEFINITION, version, tmp_path) == ""


@pytest.mark.parametrize(("part", "mistake"), MISTAKES, ids=[mistake.strip()[:50] for _, mistake in MISTAKES])
def test_an_applied_hint_leads_to_a_state_that_nmstate_accepts(
    lab: None, part: str, mistake: str, version: str, tmp_path: Path
) -> None:
    text = corrected(part, mistake)
    assert refused_by_nmstate(text, version, tmp_path) == ""


def corrected(part: str, mistake: str) -> str:
    """Return the definition with a mistake after its hints were applied, one after the other."""
    assert part in DEFINITION
    text = DEFINITION.replace(part, mistake, 1)
    assert errors(text), "it is no mistake"
    for _ in range(5):
        remaining = errors(text)
        if not remaining:
            break
        text = apply_hint(text, remaining[-1])
    assert [(problem.code, problem.message) for problem in errors(text)] == []
    return text


def errors(text: str) -> list[Problem]:
    return [problem for problem in pipeline.check([Source("f", text)]).problems if problem.severity != WARNING]


def refused_by_nmstate(text: str, version: str, folder: Path) -> str:
    """Return what nmstate reports about the states of a definition; empty if it accepts them."""
    reports = []
    for bundle in pipeline.check([Source("f", text)]).bundles():
        file = folder / f"{bundle.host}.json"
        file.write_text(json.dumps(bundle.state), encoding="utf-8")
        program = nmstate_builds.offline(version)
        done = subprocess.run([program, "-q", "gc", file], capture_output=True, text=True, check=False)
        reports += [done.stdout + done.stderr] if done.returncode else []
    return "\n".join(reports)
