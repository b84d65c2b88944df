"""Tests of kvmnet/importers/keyfiles.py: whole folders. Each folder of tests/golden/import/keyfiles has the connection
profiles of one host, the definition and the report."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.importers import ImportResult
from kvmnet.importers.keyfiles import IMPORTER

CASES = sorted(Path("tests/golden/import/keyfiles").iterdir())
EXPECTED = ("cluster.yaml", "report.txt")
NIC = "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n"


def read_case(case: Path) -> list[Source]:
    return [Source(p.name, p.read_bytes().decode()) for p in sorted(case.iterdir()) if p.name not in EXPECTED]


def read(*texts: str) -> ImportResult:
    return IMPORTER.read([Source(f"{number}.nmconnection", text) for number, text in enumerate(texts)])


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
            result = IMPORTER.read([*sources[:number], Source(source.name, text), *sources[number + 1 :]])
            assert result.definition or result.report


def test_the_host_is_named_by_its_folder() -> None:
    name = "backup/kvm7/etc/NetworkManager/system-connections/eth0.nmconnection"
    assert "\n  kvm7:\n" in IMPORTER.read([Source(name, NIC)]).definition


def test_no_value_of_a_secret_is_in_the_report() -> None:
    result = read(NIC + "[802-1x]\npassword=hunter2\n[ipv4]\nmethod=auto\ndhcp-vendor-class-identifier=hunter2\n")
    assert "has the group [802-1x] (authentication by 802.1X)" in format_report(result)
    assert "hunter2" not in result.definition + format_report(result)


def test_of_two_profiles_the_one_of_higher_priority_is_imported() -> None:
    other = NIC.replace("id=eth0", "id=rescue") + "autoconnect-priority=-1\n[ipv4]\nmethod=disabled\n"
    result = read(other, NIC)
    assert "eth0: {network: net-eth0, ipv4: dhcp, ipv6: auto}" in result.definition
    assert "note: the profile rescue is not used at boot: eth0 has eth0" in format_report(result)


def test_a_profile_that_is_not_activated_at_boot_loses_against_one_that_is() -> None:
    other = NIC.replace("id=eth0", "id=rescue") + "autoconnect=false\nautoconnect-priority=9\n[ipv4]\nmethod=disabled\n"
    assert "ipv4: dhcp" in read(other, NIC).definition


@pytest.mark.parametrize(
    "text, expected",
    [
        ("[ipv4]\nmethod=auto\nnever-default=true\n", "default_route: false"),
        ("[ipv4]\nmethod=auto\nroute-metric=50\n", "metric: 50"),
        ("[ipv6]\nmethod=link-local\n", "ipv6: link-local"),
        ("[ipv6]\nmethod=dhcp\n", "ipv6: dhcp"),
        ("[ipv4]\naddress=10.1.0.7/16\ngateway=10.1.0.1\n", "gateways: [10.1.0.1]"),
        ("[ipv4]\naddresses1=10.1.0.7;16;10.1.0.1;\n", "error"),
    ],
)
def test_addressing(text: str, expected: str) -> None:
    result = read(NIC + text)
    assert expected in result.definition + format_report(result)


def test_a_gateway_without_a_default_route_is_no_gateway() -> None:
    result = read(NIC + "[ipv4]\nmethod=manual\naddress1=10.1.0.7/16,10.1.0.1\nnever-default=true\n")
    assert "addresses: [10.1.0.7]" in result.definition and "gateways" not in result.definition
