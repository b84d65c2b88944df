"""Tests of kvmnet/core/doctor/required.py."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.live.surroundings import Room, Surroundings
from tests.unit.core.doctor.samples import codes_with, examine_with

ERROR, WARNING, NOTE = "error", "warning", "note"


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({"is_root": False}, (NOTE, "KVN500")),
        ({"problems": ("ip: not found",)}, (WARNING, "KVN512")),
        ({"nmstate": ""}, (ERROR, "KVN505")),
        ({"nmstate": "2.2.8"}, (ERROR, "KVN506")),
        ({"networkmanager": ""}, (ERROR, "KVN504")),
        ({"networkmanager": "1.38.0"}, (ERROR, "KVN506")),
        ({"nmstate": "2.2.12"}, (NOTE, "KVN600")),
        ({"binding_problem": "No module named 'libnmstate'"}, (NOTE, "KVN601")),
        ({"open_transaction": True}, (ERROR, "KVN502")),
        ({"checkpoints": ("/Checkpoint/3",)}, (WARNING, "KVN507")),
        ({"surroundings": Surroundings(room=(Room("/run", 1 << 20, 999),))}, (ERROR, "KVN510")),
        ({"surroundings": Surroundings(room=(Room("/run", 1 << 30, 5),))}, (ERROR, "KVN510")),
        ({"surroundings": Surroundings(read_only=("/etc",))}, (ERROR, "KVN513")),
    ],
)
def test_each_requirement(facts: dict[str, Any], expected: tuple[str, str]) -> None:
    assert codes_with(**facts) == [expected]


def test_versions_that_lack_features_are_named() -> None:
    messages = [finding.message for finding in examine_with(networkmanager="1.42.8")]
    assert messages == ["NetworkManager 1.42.8 does not have the bond option arp_missed_max (since 1.44)"]


def test_the_fix_is_a_command_of_the_distribution() -> None:
    (on_el,) = examine_with(nmstate="")
    assert on_el.fix == "dnf install nmstate python3-libnmstate"
    (elsewhere,) = examine_with(nmstate="", package_manager="apt-get")
    assert elsewhere.fix == "cargo install nmstatectl"
