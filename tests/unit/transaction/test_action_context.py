"""What the actions of steps work with: guests' ports, and whether a NIC has lost its link."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.transaction import action_context
from kvmnet.transaction.action_context import Context, read_guest_ports

UNUSED: Any = None


@pytest.mark.parametrize(
    ("before", "now", "taken_down", "lost"),
    [
        ({"2": 1, "3": 5}, {"2": 1, "3": 5}, set(), False),
        ({"2": 1, "3": 5}, {"2": 1, "3": 6}, set(), True),
        ({"2": 1}, {"2": 1, "9": 4}, set(), False),
        ({"2": 1, "3": 5}, {"2": 1}, set(), False),
        ({"2": 1}, {"2": 1}, {"02:00:00:00:00:01"}, True),
    ],
)
def test_a_link_is_lost_when_a_carrier_changed_or_kvmnet_took_a_nic_down(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, int],
    now: dict[str, int],
    taken_down: set[str],
    lost: bool,
) -> None:
    """A NIC that came or went since the beginning does not count."""
    monkeypatch.setattr(action_context, "read_carrier_changes", lambda: now)
    assert Context(tmp_path, UNUSED, UNUSED, before, taken_down).has_lost_link() is lost


def test_carrier_changes_are_those_of_nics_by_their_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual device has no folder `device`, and a file may be missing while a NIC is removed."""
    rows = {"eth0": ("2\n", "7\n", True), "br0": ("3\n", "1\n", False), "eth1": ("4\n", "", True)}
    for name, (index, count, is_nic) in rows.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "ifindex").write_text(index)
        (tmp_path / name / "carrier_changes").write_text(count)
        if is_nic:
            (tmp_path / name / "device").mkdir()
    (tmp_path / "eth2" / "device").mkdir(parents=True)
    monkeypatch.setattr(action_context, "Path", lambda _: tmp_path)
    assert action_context.read_carrier_changes() == {"2": 7}


def test_guests_whose_loss_was_allowed_are_left_out(tmp_path: Path) -> None:
    ports = {"vnet0": {"master": "br0"}, "vnet1": {"master": "br0"}}
    (tmp_path / "snapshot.json").write_text(json.dumps({"guests": ports, "files": []}))
    assert read_guest_ports(tmp_path) == {"guests": ports}
    (tmp_path / "transaction.json").write_text(json.dumps({"lost": ["vnet1"]}))
    assert read_guest_ports(tmp_path) == {"guests": {"vnet0": {"master": "br0"}}}


def test_a_snapshot_without_guests_has_no_ports(tmp_path: Path) -> None:
    (tmp_path / "snapshot.json").write_text("{}")
    assert read_guest_ports(tmp_path) == {"guests": {}}
