"""libvirt's XML of each kind of NIC."""

from __future__ import annotations

import dataclasses

import pytest

from kvmnet.core.guests.guest_xml import format_interface, format_interfaces
from kvmnet.core.views.host_view import GuestPortView
from tests.unit.core.guests.samples import BRIDGE, FROM_BOOT, M1, M2, M3, ON_DEMAND, TAGGED_BRIDGE, nics


def test_a_port_on_a_bridge_has_type_bridge_with_or_without_a_vlan() -> None:
    for port in (BRIDGE, TAGGED_BRIDGE):
        assert format_interface(port) == (
            "<interface type='bridge'>\n"
            f"  <mac address='{M1}'/>\n"
            f"  <source bridge='{port.device}'/>\n"
            "  <model type='virtio'/>\n"
            "</interface>\n"
        )


def test_a_macvtap_on_demand_is_created_by_libvirt() -> None:
    assert format_interface(ON_DEMAND) == (
        "<interface type='direct'>\n"
        f"  <mac address='{M2}'/>\n"
        "  <source dev='peth0.2' mode='bridge'/>\n"
        "  <model type='virtio'/>\n"
        "</interface>\n"
    )
    assert "created and named by libvirt" in format_interface(ON_DEMAND, note=True)


def test_a_macvtap_from_boot_is_not_managed_by_libvirt() -> None:
    assert format_interface(FROM_BOOT) == (
        "<interface type='ethernet'>\n"
        f"  <mac address='{M3}'/>\n"
        "  <target dev='mvt-c00003' managed='no'/>\n"
        "  <model type='virtio'/>\n"
        "</interface>\n"
    )


def test_two_nics_on_one_vlan_are_both_printed_in_order() -> None:
    second = GuestPortView("g", "36:77:6e:c0:00:09", "tenant", "peth0.2", 2, "mvt-c00009", "bridge", False)
    text = format_interfaces([FROM_BOOT, second, BRIDGE, ON_DEMAND])
    found = nics(f"<domain><devices>{text}</devices></domain>".encode())
    assert [nic["mac address"] for nic in found] == [M3, second.mac, M1, M2]
    assert [nic.get("source dev") for nic in found] == [None, "peth0.2", None, "peth0.2"]


@pytest.mark.parametrize("network", ["a--b<&'", "a---b", "a----", "-"])
def test_names_are_escaped_in_attributes_and_comments(network: str) -> None:
    port = GuestPortView("g", M1, network, "x'<&>", None)
    text = format_interface(port, note=True)
    assert nics(f"<domain><devices>{text}</devices></domain>".encode())[0]["source bridge"] == "x'<&>"


def test_only_a_macvtap_that_libvirt_creates_can_trust_its_guest() -> None:
    """libvirt applies the filters of a guest to no other device."""
    trusting = [dataclasses.replace(port, trusts_guest=True) for port in (ON_DEMAND, FROM_BOOT, BRIDGE)]
    assert [" trustGuestRxFilters='yes'>" in format_interface(port) for port in trusting] == [True, False, False]
    assert "trust" not in format_interface(dataclasses.replace(ON_DEMAND, trusts_guest=False))


AWARE = GuestPortView("g", M1, "v20", "br0", 20, untagged=20, is_on_aware_bridge=True)
TRUNK = GuestPortView("g", M1, "lan", "br0", None, untagged=1, trunk=(20, 21), is_on_aware_bridge=True)


@pytest.mark.parametrize(
    ("port", "vlan", "comment"),
    [
        (AWARE, "<vlan><tag id='20'/></vlan>", "network v20 (VLAN 20): VLAN-aware bridge br0"),
        (
            TRUNK,
            "<vlan trunk='yes'><tag id='1' nativeMode='untagged'/><tag id='20'/><tag id='21'/></vlan>",
            "VLANs 20, 21 with tags, untagged lan: VLAN-aware bridge br0",
        ),
        (
            dataclasses.replace(TRUNK, untagged=None, trunk=(20,)),
            "<vlan trunk='yes'><tag id='20'/></vlan>",
            "VLANs 20 with tags: VLAN-aware bridge br0",
        ),
        (dataclasses.replace(AWARE, untagged=None), "", "network v20 (VLAN 20): bridge br0"),
    ],
)
def test_a_guest_on_a_vlan_aware_bridge_has_its_vlans(port: GuestPortView, vlan: str, comment: str) -> None:
    lines = [line.strip() for line in format_interface(port, note=True).splitlines()]
    assert lines[0] == f"<!-- {comment} -->"
    assert [line for line in lines if line.startswith("<vlan")] == ([vlan] if vlan else [])
    assert "<source bridge='br0'/>" in lines and lines[1] == "<interface type='bridge'>"
