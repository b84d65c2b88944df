"""Tests of kvmnet/importers/nmstate.py: whole files. Each folder of tests/golden/import/nmstate has the files of one
import, the definition and the report."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.importers import ImportResult
from kvmnet.importers.nmstate import IMPORTER

CASES = sorted(Path("tests/golden/import/nmstate").iterdir())
EXPECTED = ("cluster.yaml", "report.txt")
#: Rendered states without what no definition states: macvtaps of guests, and NICs that are promiscuous by their policy.
#: Golden pairs that pass settings through to nmstate, which importers do not write into a definition.
PASSED = ("06-two-nics-one-subnet", "19-sriov", "20-qinq", "22-ethtool-mcast", "pass-through")
RENDERED = [
    path
    for path in sorted(Path("tests/golden/good").glob("*/expected/*/nmstate.yml"))
    if "mac-vtap" not in (text := path.read_text(encoding="utf-8"))
    and "accept-all-mac-addresses: true" not in text
    and path.parts[3] not in PASSED
]


def read_case(case: Path) -> list[Source]:
    return [Source(p.name, p.read_bytes().decode()) for p in sorted(case.iterdir()) if p.name not in EXPECTED]


def format_report(result: ImportResult) -> str:
    return "".join(f"{i.file}:{i.line}: {i.severity}: {i.message}\n" for i in result.report)


def check(result: ImportResult) -> pipeline.Definition:
    definition = pipeline.check([Source("cluster.yaml", result.definition)])
    assert [p for p in definition.problems if p.is_error] == [], result.definition
    return definition


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_become_the_expected_definition_and_report(case: Path) -> None:
    result = IMPORTER.read(read_case(case))
    assert result.definition == (case / "cluster.yaml").read_text(encoding="utf-8")
    assert format_report(result) == (case / "report.txt").read_text(encoding="utf-8")
    if result.definition:
        check(result)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_that_was_cut_off_or_lost_a_line_ends_in_no_traceback(case: Path) -> None:
    generator = random.Random(case.name)
    for source in read_case(case):
        lines = source.text.split("\n")
        texts = [
            source.text[:end] for end in generator.sample(range(len(source.text)), 60 if len(source.text) > 60 else 1)
        ]
        texts += ["\n".join(lines[:number] + lines[number + 1 :]) for number in range(len(lines))]
        for text in texts:
            result = IMPORTER.read([Source(source.name, text)])
            assert result.definition or result.report


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: "/".join(path.parts[3::2][:2]))
def test_a_rendered_state_is_rendered_again_from_its_import(path: Path) -> None:
    """Every interface that the import takes over is as before; what is missing is reported or has no settings."""
    text = path.read_text(encoding="utf-8")
    result = IMPORTER.read([Source("state.yml", text)])
    (bundle,) = check(result).bundles()
    before = {i["name"]: i for i in yaml.safe_load(text)["interfaces"]}
    after = {i["name"]: i for i in bundle.state["interfaces"]}
    report = format_report(result)
    for name, interface in before.items():
        if name not in after:
            assert interface["type"] == "ethernet" and not interface["ipv4"]["enabled"], name
        elif f"{name} has the MAC address" in report:
            assert {**after[name], "mac-address": interface["mac-address"]} == interface
        else:
            assert without_defaults(after[name]) == without_defaults(interface)


def without_defaults(interface: dict[str, Any]) -> dict[str, Any]:
    """Return an interface without an MTU of 1500 and without bond options that have the kernel's defaults."""
    result = {key: value for key, value in interface.items() if (key, value) != ("mtu", 1500)}
    bond = result.get("link-aggregation")
    if bond:
        kept = ("miimon", "arp_interval", "arp_ip_target", "primary", "lacp_rate", "fail_over_mac")
        options = {key: value for key, value in bond["options"].items() if key in kept and value != "none"}
        result["link-aggregation"] = {**bond, "options": options}
    return result


def test_json_and_yaml_give_the_same_definition() -> None:
    text = (Path("tests/golden/import/nmstate") / "bond-and-vlan-bridges" / "kvm2.json").read_text()
    as_yaml = yaml.safe_dump(yaml.safe_load(text), sort_keys=False)
    results = [IMPORTER.read([Source("kvm2", t)]).definition for t in (text, as_yaml)]
    first, second = ([line.partition("  #")[0] for line in result.splitlines()] for result in results)
    assert first == second


def test_two_files_are_two_hosts_with_networks_of_their_own() -> None:
    state = "interfaces:\n- {name: eth0, type: ethernet, state: up, ipv4: {enabled: true, dhcp: true}}\n"
    result = IMPORTER.read([Source("a/one.yml", state), Source("two.yml", state), Source("one.yml", state)])
    definition = check(result)
    assert definition.hosts == ["one", "two", "one-2"]
    assert "net-eth0-2: {}" in result.definition


def test_a_vlan_without_a_base_interface_is_reported_and_not_guessed() -> None:
    state = (
        "interfaces:\n- {name: eth0, type: ethernet, state: up}\n- {name: v7, type: vlan, state: up, vlan: {id: 7}}\n"
    )
    result = IMPORTER.read([Source("one.yml", state)])
    check(result)
    assert "one.yml:3: error: v7 is a VLAN without a base interface or a VLAN ID" in format_report(result)


def test_the_state_of_a_real_host_is_imported_without_a_loss() -> None:
    """`nmstatectl show` of nmstate 2.2.62 on Debian 13: it shows settings that nobody has set."""
    state = json.loads(Path("tests/recorded/seed-trixie.json").read_text())["state"]
    result = IMPORTER.read([Source("host.json", json.dumps(state))])
    check(result)
    assert result.is_complete, format_report(result)


@pytest.mark.parametrize("key", ["bridge", "vlan", "link-aggregation", "ethernet", "ipv4", "ipv6", "lldp"])
@pytest.mark.parametrize("kind", ["ethernet", "linux-bridge", "vlan", "bond"])
def test_a_section_that_is_no_mapping_ends_in_no_traceback(kind: str, key: str) -> None:
    for value in ("text", "[a, 1]", "7", "true", "null"):
        state = f"interfaces:\n- {{name: x0, type: {kind}, state: up, {key}: {value}}}\n"
        assert IMPORTER.read([Source("one.yml", state)]).definition
