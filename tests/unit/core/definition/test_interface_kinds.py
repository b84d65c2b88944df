"""What an interface is, by its key."""

from __future__ import annotations

import pytest

from kvmnet.core.definition.document import Map, Source, parse
from kvmnet.core.definition.interface_kinds import (
    find_kind,
    is_infiniband,
    is_left_alone,
    is_like_bridge,
    split_partition_key,
    split_vlan_key,
)


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("ib0", "ib12", "ib0.8001", "ibp5s0d1", "ibs6f1", "ibo1", "ibP1p5s0", "ibb2")),
        *((name, True) for name in ("ibx506b4b0300c2ba40", "mlx5_ib1", "mlx4_ib0")),
        *((name, False) for name in ("ibm0", "ib", "eth0", "ibex0", "ipmi0", "enp5s0", "mlx5_0", "my-ib0", "ibxyz")),
    ],
)
def test_names_of_infiniband_interfaces_are_recognised(name: str, expected: bool) -> None:
    assert is_infiniband(name, "nic") is expected
    assert not is_infiniband(name, "bond")


def test_a_mac_address_of_20_bytes_is_that_of_infiniband() -> None:
    assert is_infiniband("fast0", "nic", ":".join(["80"] * 20))
    assert not is_infiniband("fast0", "nic", ":".join(["00"] * 6))


def test_the_key_of_a_partition_is_no_vlan() -> None:
    assert split_partition_key("ib0.8001") == ("ib0", 0x8001)
    assert split_vlan_key("ib0.8001") is None
    assert split_partition_key("eth0.8001") is None
    assert split_vlan_key("ib0.5") == ("ib0", 5)


@pytest.mark.parametrize(
    ("name", "settings", "kind"),
    [
        *(("lo", settings, "loopback") for settings in ("{}", "{type: dummy}")),
        *((name, "{}", "dummy") for name in ("dummy0", "dummy12")),
        *(("dummy0", settings, "nic") for settings in ("{mac: x}", "{match: {name: x}}")),
        *(("dummy0", settings, kind) for settings, kind in (("{ports: [a]}", "bond"), ("{over: eth0}", "vlan"))),
        *((name, "{}", "nic") for name in ("dummy", "dummyx", "eth0", "ib0", "ib0.8001")),
        *((name, settings, "vlan") for name, settings in (("eth0.5", "{}"), ("dummy0.5", "{}"), ("x", "{over: y}"))),
        *(("ipmi0", f"{{type: {kind}}}", kind) for kind in ("bond", "bridge", "dummy")),
    ],
)
def test_the_kind_of_an_interface_is_its_type_or_what_its_key_says(name: str, settings: str, kind: str) -> None:
    tree, _ = parse(Source("f.yaml", settings))
    assert isinstance(tree, Map)
    assert find_kind(name, tree) == kind
    assert not is_left_alone(name, kind)


def test_only_a_bmc_is_left_alone() -> None:
    assert [name for name in ("ipmi", "ipmi1", "ib0", "eth0") if is_left_alone(name, "nic")] == ["ipmi", "ipmi1"]
