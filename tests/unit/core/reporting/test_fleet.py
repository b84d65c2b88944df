"""Tests of the table of a fleet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.reporting import fleet

APPLIED = {"host": "h", "digest": "sha256:" + "a" * 64}
WANTED = APPLIED["digest"]


def row(host: str = "hv1", **fields: Any) -> dict[str, Any]:
    status: dict[str, Any] = {
        "open": None,
        "applied": APPLIED,
        "drift": [],
        "last": {"at": 1_772_000_000.0, "outcome": "kept"},
    }
    given = {"host": host, "reachable": True, "error": "", "wanted": WANTED, "changes": [], "status": status, **fields}
    return {**given, "status": {**status, **given["status"]}}


def test_a_host_that_is_as_defined() -> None:
    (host,) = fleet.make_fleet([row()])
    assert host.state == "ok" and not host.differs
    assert host.last == "2026-02-25 06:13 kept"


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"reachable": False, "error": "no\nroute", "status": {}}, "unreachable: no route"),
        ({"error": "KVN500: only root"}, "error: KVN500: only root"),
        ({"status": {"open": {"id": "T", "step": "probe"}}}, "open: probe"),
        ({"status": {"drift": [{}, {}]}}, "drift: 2 changes"),
        ({"wanted": "sha256:b"}, "behind"),
        ({"status": {"applied": None}}, "nothing applied"),
        ({"changes": [{"what": "change", "name": "eth0"}]}, "behind: 1 change"),
    ],
)
def test_what_differs(fields: dict[str, Any], state: str) -> None:
    (host,) = fleet.make_fleet([row(**fields)])
    assert host.state == state and host.differs


def test_the_last_row_of_a_host_counts_and_hosts_are_sorted() -> None:
    hosts = fleet.make_fleet([row("hv2"), row("hv1", wanted="sha256:b"), row("hv1")])
    assert [(host.host, host.state) for host in hosts] == [("hv1", "ok"), ("hv2", "ok")]
    assert fleet.summarize(hosts) == "2 hosts: all in the desired state"


def test_the_tables() -> None:
    hosts = fleet.make_fleet(
        [row("hv1"), row("hv-2", changes=[{"what": "change", "name": "eth0|x"}], wanted="sha256:b")]
    )
    text = fleet.format_text(fleet.status_table(hosts), fleet.summarize(hosts))
    assert text.splitlines() == [
        "host  applied       last change (UTC)      state",
        "hv-2  aaaaaaaaaaaa  2026-02-25 06:13 kept  behind",
        "hv1   aaaaaaaaaaaa  2026-02-25 06:13 kept  ok",
        "2 hosts: 1 differs",
    ]
    markdown = fleet.format_markdown(fleet.plan_table(hosts), "2 hosts")
    assert "| hv-2 | b | change eth0\\|x |" in markdown and "| hv1 | aaaaaaaaaaaa | nothing |" in markdown
    assert fleet.fleet_to_json(hosts)["differing"] == 1


def test_rows_that_are_none() -> None:
    assert [r["host"] for r in fleet.read_rows("f", json.dumps(row()) + "\n\n")] == ["hv1"]
    for text in ("{", "[]", "{}", '{"host": "x"}', '{"host": 1, "status": {}}'):
        with pytest.raises(KvmnetError, match=r"^f:2: "):
            fleet.read_rows("f", "\n" + text)
