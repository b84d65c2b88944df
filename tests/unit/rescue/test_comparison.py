"""The host is compared with the snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import comparison, restore, snapshot
from kvmnet.system import links, programs
from tests.unit.rescue.samples import (
    GLOBAL,
    make_snapshot,
)
from tests.unit.system.samples import GuestPorts


def test_changes_that_libvirt_makes_to_guests_are_no_difference(ports: GuestPorts) -> None:
    """A guest that stopped, another guest that got the name, one that libvirt attached to another bridge."""
    before = {"guests": links.read_guest_ports()}
    gone = ports.rows.pop("vnet0")
    del ports.rows["macvtap0"]
    assert (comparison.find_guest_differences(before), restore.restore_guest_ports(before)) == ([], [])
    ports.rows["vnet0"] = {"ifname": "vnet0", "ifindex": 30, "linkinfo": {"info_kind": "tun"}}
    assert (comparison.find_guest_differences(before), restore.restore_guest_ports(before)) == ([], [])
    ports.rows["vnet0"] = {**gone, "master": "br1"}
    assert (comparison.find_guest_differences(before), restore.restore_guest_ports(before)) == ([], [])
    assert ports.commands == []


def test_a_macvtap_removed_with_its_base_interface_is_a_difference(ports: GuestPorts) -> None:
    before = {"guests": links.read_guest_ports()}
    del ports.rows["macvtap0"]
    ports.rows["bond0.2"]["ifindex"] = 40
    assert comparison.find_guest_differences(before) == [
        "macvtap0 was removed when bond0.2 was recreated: restart its guest"
    ]
    assert set(snapshot.select_given_up_macvtaps(before, ["macvtap0", "vnet0"])) == {"macvtap0"}
    ports.add("macvtap0", 41, "macvtap", link="bond0.2")
    assert comparison.find_guest_differences(before) == [], "its guest was restarted"


def test_a_snapshot_without_guests_runs_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "run_json", lambda *_: pytest.fail("ip was run"))
    without: list[dict[str, Any]] = [{}, {"guests": {}}]
    for before in without:
        assert (comparison.find_guest_differences(before), restore.restore_guest_ports(before)) == ([], [])


@pytest.mark.guarantee("G10")
def test_settings_of_links_and_name_servers_are_compared(host_state: dict[str, Any]) -> None:
    before = make_snapshot(host_state)
    assert comparison.find_differences(before) == []
    host_state["links"]["bond0"]["options"]["miimon"] = 0
    host_state["links"]["br0"]["options"]["stp_state"] = 1
    host_state["links"]["eth0.5"]["over"] = "eth1"
    host_state["dns"] = {}
    host_state["global dns"] = GLOBAL
    assert comparison.find_differences(before) == [
        "the option miimon of bond0 is 0, not 100",
        "the option stp_state of br0 is 1, not 0",
        "eth0.5 is based on eth1, not on eth0",
        "the name servers of eth0 are none, not 10.0.0.53",
        "the global name servers of NetworkManager are 10.1.1.1, 10.1.1.2, not none",
    ]


def test_a_host_that_cannot_be_read_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(*_: Any) -> Any:
        raise IndexError

    monkeypatch.setattr(snapshot, "read_host_state", observe)
    before: dict[str, Any] = {"names": [], "macs": [], "uuids": [], "files": [{"path": str(tmp_path), "absent": True}]}
    file, host = comparison.find_differences(before)
    assert file.startswith(f"file {tmp_path}: cannot be read: ")
    assert host.startswith("the host cannot be read: ")
