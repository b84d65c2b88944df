"""Tests of kvmnet/from_host/guests.py: which NICs of guests a definition gets."""

from __future__ import annotations

from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.from_host.guests import add_guests
from kvmnet.importers._draft import Draft, HostPart, Part
from kvmnet.importers._report import Report


def add(*guests: RunningGuest) -> tuple[Draft, list[str]]:
    interfaces = {
        "eth0": Part({"network": "lan", "bridge": {"name": "br0", "stp": True}}),
        "br9": Part({"type": "bridge", "network": "back"}),
        "eth1": Part({"network": "other", "bridge": False}),
    }
    draft, report = Draft("", "c", "plain", hosts={"kvm1": HostPart({}, interfaces)}), Report()
    add_guests(draft, "kvm1", Running(stopped=guests), report)
    return draft, [item.message for item in report.items]


def test_nics_on_bridges_of_the_host_are_taken() -> None:
    nics = (
        GuestNic("bridge", source="br0", mac="52:54:00:AA:00:01"),
        GuestNic("bridge", source="br9", mac="52:54:00:aa:00:02"),
    )
    draft, messages = add(RunningGuest("web", nics))
    expected = [{"network": "lan", "mac": "52:54:00:aa:00:01"}, {"network": "back", "mac": "52:54:00:aa:00:02"}]
    assert draft.guests["web"].values == {"host": "kvm1", "nics": expected} and messages == []
    assert draft.hosts["kvm1"].settings == {"kvm": True}


def test_other_nics_are_left_out_and_named() -> None:
    nics = (
        GuestNic("direct", source="eth1", mac="52:54:00:aa:00:01"),
        GuestNic("hostdev", pci="0000:01:00.0", mac="52:54:00:aa:00:02"),
        GuestNic("user", mac="52:54:00:aa:00:03"),
    )
    draft, messages = add(RunningGuest("web", nics), RunningGuest("a name", ()))
    assert draft.guests == {}
    assert messages == [
        "guest a name: the definition does not allow this name",
        "guest web: its NIC 52:54:00:aa:00:01 on eth1 is left out",
        "guest web: its NIC 52:54:00:aa:00:02 on 0000:01:00.0 is left out",
        "guest web: its NIC 52:54:00:aa:00:03 on user is left out",
    ]
