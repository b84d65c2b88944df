"""What an interface is, by its key."""

from __future__ import annotations

import pytest

from kvmnet.core.definition.interface_kinds import is_like_bridge, split_vlan_key


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("br0", "br", "br-lan", "br_lan", "br0.5", "bridge", "bridge0", "bridge-x")),
        *((name, True) for name in ("vmbr0", "virbr1", "lxcbr0", "xenbr12", "mgmt-br", "mgmt_br0")),
        *((name, False) for name in ("bond0", "eth0", "broadcom0", "bridged", "brand", "lan", "brlan", "vbr", "team0")),
    ],
)
def test_names_of_bridges_are_recognised(name: str, expected: bool) -> None:
    assert is_like_bridge(name) is expected


def test_the_key_of_a_vlan_has_its_base_interface_and_its_id() -> None:
    assert split_vlan_key("eth0.5") == ("eth0", 5)
    assert split_vlan_key("br-eth0.353") == ("br-eth0", 353)
    assert (split_vlan_key("eth0"), split_vlan_key("eth0.x")) == (None, None)
