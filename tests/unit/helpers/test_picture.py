"""The lab's picture of a machine: remainders of a rollback are found, values that change by themselves are ignored."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.machines import picture

#: Read by the lab from a host with a bond under a bridge and a VLAN.
READING: dict[str, Any] = json.loads((Path(__file__).parents[2] / "recorded/picture-trixie.json").read_text())


def link(reading: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in reading["links"] if row["ifname"] == name)


def seen(change: Callable[[dict[str, Any]], None]) -> list[str]:
    """Return the differences that the comparison finds after this change."""
    before = picture.made_of(READING)
    reading = copy.deepcopy(READING)
    change(reading)
    return picture.differences(picture.made_of(reading), before, before)


def set_data(name: str, key: str, value: Any, part: str = "info_data") -> Callable[[dict[str, Any]], None]:
    def change(reading: dict[str, Any]) -> None:
        held = link(reading, name)["linkinfo"][part]
        assert key in held and held[key] != value, held
        held[key] = value

    return change


def set_link(name: str, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(reading: dict[str, Any]) -> None:
        row = link(reading, name)
        assert row[key] != value
        row[key] = value

    return change


def other_kind(reading: dict[str, Any]) -> None:
    link(reading, "eth0.5")["linkinfo"]["info_kind"] = "macvlan"


def further_server(reading: dict[str, Any]) -> None:
    reading["dns"][0]["nameservers"]["data"].append("10.1.1.2")


def no_servers(reading: dict[str, Any]) -> None:
    reading["dns"] = None


def resolv_conf(reading: dict[str, Any]) -> None:
    reading["resolv.conf"].append("nameserver 10.1.1.2")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_data("bond0", "mode", "balance-rr"), "links bond0"),
        (set_data("bond0", "miimon", 50), "links bond0"),
        (set_data("br-bond0", "stp_state", 1), "links br-bond0"),
        (set_data("br-bond0", "vlan_filtering", 1), "links br-bond0"),
        (set_data("br-bond0", "ageing_time", 1), "links br-bond0"),
        (set_data("bond0", "hairpin", True, "info_slave_data"), "links bond0"),
        (set_data("eth0.5", "id", 6), "links eth0.5"),
        (set_link("eth0.5", "link", "eth1"), "links eth0.5"),
        (set_link("bond0", "promiscuity", 7), "links bond0"),
        (set_link("eth0", "mtu", 1400), "links eth0"),
        (other_kind, "links eth0.5"),
        (resolv_conf, "resolv.conf"),
    ],
)
def test_a_remainder_of_a_rollback_is_a_difference(change: Callable[[dict[str, Any]], None], told: str) -> None:
    found = seen(change)
    assert len(found) == 1 and found[0].startswith(f"{told}: is "), found


@pytest.mark.parametrize("change", [further_server, no_servers])
def test_name_servers_are_compared_by_interface_and_all_together(change: Callable[[dict[str, Any]], None]) -> None:
    assert [line.partition(":")[0] for line in seen(change)] == ["dns", "servers"]


@pytest.mark.parametrize(
    "change",
    [
        set_link("br-bond0", "ifindex", 99),
        set_data("br-bond0", "gc_timer", 1.5),
        set_data("br-bond0", "bridge_id", "8000.0:0:0:0:0:1"),
        set_data("br-bond0", "root_id", "8000.0:0:0:0:0:1"),
        set_data("bond0", "active_slave", "eth1"),
        set_data("bond0", "hold_timer", 0.3, "info_slave_data"),
        set_data("bond0", "no", "0x9", "info_slave_data"),
        set_data("eth0", "link_failure_count", 3, "info_slave_data"),
        set_link("eth1", "promiscuity", 1),  # with which of a bond's ports is the active one
    ],
)
def test_values_that_change_by_themselves_are_no_difference(change: Callable[[dict[str, Any]], None]) -> None:
    assert not seen(change)
