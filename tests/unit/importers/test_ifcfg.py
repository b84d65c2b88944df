"""Tests of kvmnet/importers/ifcfg.py: whole folders. Each folder of tests/golden/import/ifcfg has the files of one
host, the definition and the report."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.importers import ImportResult
from kvmnet.importers.ifcfg import IMPORTER

CASES = sorted(Path("tests/golden/import/ifcfg").iterdir())
EXPECTED = ("cluster.yaml", "report.txt")


def read_case(case: Path) -> list[Source]:
    return [Source(p.name, p.read_bytes().decode()) for p in sorted(case.iterdir()) if p.name not in EXPECTED]


def read(**files: str) -> ImportResult:
    return IMPORTER.read([Source(name.replace("__", "-"), text) for name, text in files.items()])


def format_report(result: ImportResult) -> str:
    return "".join(f"{i.file}:{i.line}: {i.severity}: {i.message}\n" for i in result.report)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_become_the_expected_definition_and_report(case: Path) -> None:
    result = IMPORTER.read(read_case(case))
    assert result.definition == (case / "cluster.yaml").read_text(encoding="utf-8")
    assert format_report(result) == (case / "report.txt").read_text(encoding="utf-8")
    if result.definition:
        problems = pipeline.check([Source("cluster.yaml", result.definition)]).problems
        assert [p for p in problems if p.is_error] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_that_were_cut_off_or_lost_a_line_end_in_no_traceback(case: Path) -> None:
    generator = random.Random(case.name)
    sources = read_case(case)
    for number, source in enumerate(sources):
        lines = source.text.split("\n")
        texts = [source.text[: generator.randrange(len(source.text))] for _ in range(8)]
        texts += ["\n".join(lines[:i] + lines[i + 1 :]) for i in range(len(lines))]
        for text in texts:
            changed = [*sources[:number], Source(source.name, text), *sources[number + 1 :]]
            result = IMPORTER.read(changed)
            assert result.definition or result.report


def test_the_host_is_named_by_its_hostname_or_by_the_folder() -> None:
    text = "DEVICE=eth0\nBOOTPROTO=dhcp\n"
    named = IMPORTER.read([Source("backup/kvm7/etc/sysconfig/network-scripts/ifcfg-eth0", text)])
    assert "\n  kvm7:\n" in named.definition
    network = Source("backup/kvm7/etc/sysconfig/network", "HOSTNAME=web.example.org\n")
    assert "\n  web:\n" in IMPORTER.read([Source("backup/kvm7/ifcfg-eth0", text), network]).definition


@pytest.mark.parametrize("mode, expected", [("mode=1", None), ("mode=802.3ad", '"802.3ad"'), ("", "balance-rr")])
def test_a_bond_has_the_mode_of_its_options_or_the_kernels_default(mode: str, expected: str) -> None:
    result = read(
        ifcfg__bond0=f"DEVICE=bond0\nTYPE=Bond\nBONDING_OPTS='{mode} miimon=100'\nIPADDR=10.1.0.1\nPREFIX=16\n",
        ifcfg__eth0="DEVICE=eth0\nMASTER=bond0\nSLAVE=yes\n",
    )
    assert "ports: [eth0]" in result.definition
    assert (f"mode: {expected}" in result.definition) if expected else ("mode:" not in result.definition)


def test_ipv6_comes_from_routers_unless_autoconf_is_off() -> None:
    text = "DEVICE=eth0\nBOOTPROTO=none\nIPV6INIT=yes\n"
    assert "ipv6: auto" in read(ifcfg__eth0=text).definition
    assert "ipv6: link-local" in read(ifcfg__eth0=text + "IPV6_AUTOCONF=no\n").definition
    dhcp = read(ifcfg__eth0=text + "IPV6_AUTOCONF=no\nDHCPV6C=yes\n").definition
    assert "ipv6: dhcp" in dhcp


def test_a_gateway_without_a_default_route_is_no_gateway() -> None:
    text = "DEVICE=eth0\nIPADDR=10.1.0.1\nPREFIX=16\nGATEWAY=10.1.0.254\n"
    assert "gateways: [10.1.0.254]" in read(ifcfg__eth0=text).definition
    assert "gateways" not in read(ifcfg__eth0=text + "DEFROUTE=no\n").definition


def test_options_of_a_bond_may_be_numbers() -> None:
    options = "mode=4 lacp_rate=1 xmit_hash_policy=2 use_carrier=0 ad_select=1 miimon=50"
    result = read(
        ifcfg__bond0=f"DEVICE=bond0\nTYPE=Bond\nBONDING_OPTS='{options}'\nIPADDR=10.1.0.1\nPREFIX=16\n",
        ifcfg__eth0="DEVICE=eth0\nMASTER=bond0\nSLAVE=yes\n",
    )
    assert 'mode: "802.3ad"' in result.definition
    expected = 'lacp_rate: fast, xmit_hash_policy: "layer2+3", use_carrier: false, ad_select: bandwidth, miimon: 50'
    assert f"options: {{{expected}}}" in result.definition
