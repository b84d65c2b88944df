"""Guests' ports go from one bridge to another."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.rescue import handover
from kvmnet.system import bridge_ports, links
from kvmnet.system.errors import HostError


def row(name: str, index: int, master: str = "", kind: str = "tun") -> dict[str, Any]:
    return {
        "ifname": name,
        "ifindex": index,
        **({"master": master} if master else {}),
        **({"linkinfo": {"info_kind": kind}} if kind else {}),
    }


def saved(index: int, of: str, kind: str = "tap") -> dict[str, Any]:
    return {"kind": kind, "index": index, "of": of, "settings": {"isolated": True}}


class Kernel:
    """Links of a kernel; ports that are attached or detached."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.attached: list[tuple[str, str, Any]] = []
        self.gone: set[str] = set()
        monkeypatch.setattr(links, "read_ip_links", lambda: self.rows)
        monkeypatch.setattr(
            links, "read_guest_ports", lambda: {r["ifname"]: {"of": r.get("master")} for r in self.rows}
        )
        monkeypatch.setattr(bridge_ports, "attach_port", self.attach)

    def attach(self, name: str, bridge: str, port: Any) -> None:
        if name in self.gone:
            raise HostError(f"{name} does not exist")
        self.attached.append((name, bridge, port))


PORTS = {
    "vnet0": saved(10, "br0"),
    "vnet1": saved(11, "br0"),
    "vnet2": saved(12, "br9"),
    "eth0": saved(2, "br0", "port"),
}


def test_saved_and_new_ports_are_moved_with_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(
        monkeypatch,
        row("eth0", 2, "br0", kind=""),
        row("br0", 3, kind="bridge"),
        row("new", 4, kind="bridge"),
        row("vnet0", 10, "br0"),
        row("vnet1", 11),  # its bridge is gone already
        row("vnet2", 12, "br9"),
        row("vnet3", 13, "br0"),  # its guest has just started
        row("veth0", 14, "br0", kind="veth"),
        row("vnet4", 15),  # never was a port
    )
    assert handover.move_guest_ports({"br0": "new"}, PORTS) == ["vnet0", "vnet1", "vnet3", "veth0"]
    assert kernel.attached[0] == ("vnet0", "new", PORTS["vnet0"])
    assert kernel.attached[2] == ("vnet3", "new", {"of": "br0"})


def test_ports_stay_while_the_other_bridge_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, row("br0", 3, kind="bridge"), row("vnet0", 10, "br0"))
    assert handover.move_guest_ports({"br0": "new"}, PORTS) == []
    assert kernel.attached == []


def test_a_recreated_port_of_another_guest_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, row("new", 4, kind="bridge"), row("vnet0", 99))
    assert handover.move_guest_ports({"br0": "new"}, PORTS) == []


def test_a_guest_that_stops_does_not_keep_the_others_from_moving(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(
        monkeypatch, row("new", 4, kind="bridge"), row("vnet0", 10, "br0"), row("vnet1", 11, "br0"), row("br0", 3)
    )
    kernel.gone = {"vnet0"}
    assert handover.move_guest_ports({"br0": "new"}, PORTS) == ["vnet1"]


def test_what_is_left_on_the_old_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, row("vnet0", 10, "br0"), row("vnet1", 11, "new"), row("eth0", 2, "br0", kind=""))
    assert handover.find_left_ports({"br0": "new"}) == ["vnet0"]


def test_saved_ports_before_and_after_the_hand_over() -> None:
    noted = handover.note_successors(PORTS, {"br0": "new"})
    assert (noted["vnet0"]["of"], noted["vnet0"]["from"]) == ("br0", "new"), "a rollback finds it there"
    after = handover.after_hand_over(noted, {"br0": "new"})
    assert (after["vnet0"]["of"], after["vnet0"]["from"]) == ("new", "br0"), "it must not be left there"
    assert after["vnet0"]["settings"] == {"isolated": True}
    tap = {"macvtap0": saved(13, "br0", "macvtap")}
    assert noted["vnet2"] == after["vnet2"] == PORTS["vnet2"] and handover.after_hand_over(tap, {"br0": "new"}) == tap
