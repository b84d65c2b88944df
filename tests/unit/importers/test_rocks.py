"""Tests of kvmnet/importers/rocks.py: whole files. Each folder of tests/golden/import/rocks has the files of one
import, the definition and the report."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.importers import ImportResult
from kvmnet.importers.rocks import IMPORTER

CASES = sorted(Path("tests/golden/import/rocks").iterdir())
EXPECTED = ("cluster.yaml", "report.txt")


def read_case(case: Path) -> list[Source]:
    return [Source(p.name, p.read_bytes().decode()) for p in sorted(case.iterdir()) if p.name not in EXPECTED]


def format_report(result: ImportResult) -> str:
    return "".join(f"{i.file}:{i.line}: {i.severity}: {i.message}\n" for i in result.report)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_become_the_expected_definition_and_report(case: Path) -> None:
    result = IMPORTER.read(read_case(case))
    assert result.definition == (case / "cluster.yaml").read_text(encoding="utf-8")
    assert format_report(result) == (case / "report.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_definition_is_valid(case: Path) -> None:
    result = IMPORTER.read(read_case(case))
    if result.definition:
        problems = pipeline.check([Source("cluster.yaml", result.definition)]).problems
        assert [p for p in problems if p.is_error] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_that_was_cut_off_or_lost_a_line_is_still_read(case: Path) -> None:
    """Neither ends in a traceback, and whatever comes out is valid."""
    generator = random.Random(case.name)
    for source in read_case(case):
        lines = source.text.split("\n")
        texts = [source.text[:end] for end in generator.sample(range(len(source.text)), min(40, len(source.text)))]
        texts += ["\n".join(lines[:number] + lines[number + 1 :]) for number in range(len(lines))]
        for text in texts:
            result = IMPORTER.read([Source(source.name, text)])
            if result.definition:
                problems = pipeline.check([Source("cluster.yaml", result.definition)]).problems
                assert [p for p in problems if p.is_error] == [], text


def read_text(text: str) -> ImportResult:
    return IMPORTER.read([Source("t", text)])


TABLE = """# rocks list host interface node-0-0
SUBNET  IFACE MAC               IP       NETMASK     MODULE NAME     VLAN OPTIONS CHANNEL
private eth0  52:54:00:00:70:00 10.1.0.4 255.255.0.0 ------ node-0-0 ---- ------- -------
"""


@pytest.mark.parametrize("prefix", ["# ", "\t", "    ", "> ", "\x1b[0;32m"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "  \n"])
def test_a_prefix_before_each_line_and_the_end_of_lines_make_no_difference(prefix: str, end: str) -> None:
    text = "".join(prefix + line + end for line in TABLE.splitlines())
    assert read_text(text).definition == read_text(TABLE).definition


def test_interfaces_of_several_files_meet() -> None:
    networks = "# rocks list network\nNETWORK  SUBNET   NETMASK     MTU\nprivate: 10.1.0.0 255.255.0.0 9000\n"
    result = IMPORTER.read([Source("a", TABLE), Source("b", networks)])
    assert "private: {subnets: [10.1.0.0/16], mtu: 9000}  # b:3" in result.definition
    assert "eth0: {network: private" in result.definition and not result.report


def test_a_later_table_knows_better_and_the_difference_is_reported() -> None:
    result = read_text(TABLE + TABLE.replace("10.1.0.4", "10.1.0.5"))
    assert "addresses: [10.1.0.5]" in result.definition
    assert "t:6: note: ip was 10.1.0.4 at t:3 and is 10.1.0.5 here: the later value is used\n" in format_report(result)


def test_a_command_between_two_tables_explains_their_difference() -> None:
    command = "# rocks set host interface ip node-0-0 eth0 10.1.0.5\n"
    result = read_text(TABLE + command + TABLE.replace("10.1.0.4", "10.1.0.5"))
    assert "addresses: [10.1.0.5]" in result.definition and "was" not in format_report(result)


def test_options_with_an_equals_sign_are_a_value() -> None:
    result = read_text(
        TABLE
        + "rocks add host interface node-0-0 bond0 subnet=private ip=10.1.0.9\n"
        + 'rocks set host interface options node-0-0 bond0 options="mode=4 miimon=100"\n'
        + "rocks set host interface channel node-0-0 eth0 bond0\n"
    )
    assert 'ports: [eth0], mode: "802.3ad", options: {miimon: 100}' in result.definition


def test_hosts_that_differ_only_in_addresses_share_a_group() -> None:
    hosts = "".join(
        f"rocks 'add host' node-0-{n} membership=Compute\n"
        f"rocks add host interface node-0-{n} eth0 subnet=private mac=52:54:00:00:71:0{n} ip=10.1.0.{n} "
        "netmask=255.255.0.0\n"
        for n in range(1, 4)
    )
    result = read_text(hosts)
    assert "  compute:\n    interfaces:\n      eth0: {network: private}\n" in result.definition
    assert '      eth0: {mac: "52:54:00:00:71:02", addresses: [10.1.0.2]}  # t:4\n' in result.definition


def test_comments_and_messages_show_no_control_characters() -> None:
    result = IMPORTER.read([Source("na\x1bme", TABLE.replace("eth0 ", "et\u202eh"))])
    assert "\x1b" not in result.definition and "\u202e" not in result.definition


def test_a_route_of_one_host_is_given_to_that_host_alone() -> None:
    routes = "# rocks list host route node-0-0\nNETWORK   NETMASK     GATEWAY  SOURCE\n"
    result = read_text(TABLE + routes + "10.9.0.0  255.255.0.0 10.1.0.1 H\n10.8.0.0  255.255.0.0 10.1.0.1 G\n")
    assert "routes:\n  - {to: 10.8.0.0/16, via: 10.1.0.1}  # t:7\n" in result.definition
    assert "    routes:\n      - {to: 10.9.0.0/16, via: 10.1.0.1}  # t:6\n" in result.definition
