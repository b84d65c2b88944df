"""Whole documents and their tables."""

from __future__ import annotations

import pytest

from kvmnet.core.graph.html_page import format_html
from kvmnet.core.graph.mermaid import format_mermaid
from kvmnet.core.graph.svg import format_svg
from tests.graph_samples import changed_bonded, large_cluster
from tests.unit.core.graph.samples import EXAMPLES, document_of, example


def test_the_tables_have_every_host_guest_and_network() -> None:
    hosts, guests, networks = document_of(large_cluster()).tables
    assert len(hosts.rows) == 200 and len(guests.rows) == 450 and len(networks.rows) == 11
    row = next(row for row in hosts.rows if row.cells[0] == ("compute-002",))
    assert row.cells[1] == ("compute",) and row.link == "shape-2"
    assert "eno1: NIC, 00:00:5e:00:00:02, network management, 10.3.0.4/16" in row.cells[2]
    guest = next(row for row in guests.rows if row.cells[0] == ("vm-002-1",))
    assert guest.cells[1] == ("compute-002",) and guest.cells[2][0].endswith("servers")


def test_a_change_is_in_the_tables() -> None:
    hosts, guests, networks = document_of(changed_bonded(example("bonded")), example("bonded")).tables
    assert [row.event for row in hosts.rows] == ["changed", "changed"]
    assert {row.cells[0][0]: row.event for row in guests.rows} == {"www": "changed", "db": "added"}
    assert {row.cells[0][0]: row.event for row in networks.rows}["backup"] == "added"
    assert any("bond0.5 (changed)" in text and "removed: 10.5.0.11/24" in text for text in hosts.rows[0].cells[2])


def test_one_host() -> None:
    document = document_of(example("bonded"), host="hv2")
    assert document.title == "hv2 of cluster bonded" and len(document.tables[0].rows) == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_definition_gives_the_same_bytes(name: str) -> None:
    for write in (format_svg, format_html, format_mermaid):
        assert write(document_of(example(name))) == write(document_of(example(name)))
    document = document_of(changed_bonded(example("bonded")), example("bonded"))
    assert format_svg(document) == format_svg(document)
