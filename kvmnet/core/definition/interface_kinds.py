"""What an interface of a definition is, by its key and its settings."""

from __future__ import annotations

import re
from typing import Optional

from kvmnet.core.base.nmstate import LOOPBACK
from kvmnet.core.definition.document import Map
from kvmnet.core.definition.tree_values import text_at

_VLAN_KEY = re.compile(r"(.+)\.([0-9]{1,5})\Z")
_DUMMY_KEY = re.compile(r"dummy[0-9]+\Z")
#: A BMC, which has no kernel interface.
_LEFT_ALONE = re.compile(r"ipmi[0-9]*\Z")
#: Names of IPoIB interfaces: the kernel's (ib0), udev's by path, slot, firmware index or MAC address (ibp5s0d1, ibs6f1,
#: ibo1, ibx001122…; systemd.net-naming-scheme(7)), and those by the RDMA device (mlx5_ib1).
_INFINIBAND = re.compile(r"(ib([0-9]|[bosp][0-9]|P[0-9]+p|x[0-9a-f]{4}).*|[a-z0-9]+_ib[0-9]+)\Z")
_PARTITION = re.compile(r"(.+)\.([0-9a-f]{4})\Z")
#: Characters of a MAC address of 6 bytes; InfiniBand's have 20.
_ETHERNET_MAC = 17
#: Names that people give to bridges: br0, br-lan, vmbr0, virbr1, mgmt-br, bridge0.
_BRIDGE_NAME = re.compile(r"((br|bridge)([0-9_-].*)?|[A-Za-z]+br[0-9]+|.*[_-]br[0-9]*)\Z")


def is_like_bridge(name: str) -> bool:
    """Whether an interface's name looks like that of a bridge."""
    return _BRIDGE_NAME.match(name) is not None


def is_like_dummy(name: str) -> bool:
    """Whether an interface's name makes it a dummy."""
    return _DUMMY_KEY.match(name) is not None


def is_left_alone(name: str, kind: str) -> bool:
    """Whether kvmnet never manages an interface."""
    return _LEFT_ALONE.match(name) is not None and kind not in ("bond", "bridge", "dummy", "loopback")


def is_infiniband(name: str, kind: str, mac: Optional[str] = None) -> bool:
    """Whether an interface is an IPoIB interface: by its name, or by its MAC address of 20 bytes."""
    return kind == "nic" and (_INFINIBAND.match(name) is not None or len(mac or "") > _ETHERNET_MAC)


def split_partition_key(name: str) -> Optional[tuple[str, int]]:
    """Return the base interface and the partition key of a key such as ib0.8001, or None."""
    match = _PARTITION.match(name)
    return (match[1], int(match[2], 16)) if match and _INFINIBAND.match(match[1]) else None


def split_vlan_key(name: str) -> Optional[tuple[str, int]]:
    """Return the base interface and the VLAN ID of a key such as eth0.5, or None. A partition of InfiniBand is none."""
    if split_partition_key(name) is not None:
        return None
    match = _VLAN_KEY.match(name)
    return (match[1], int(match[2])) if match else None


def find_kind(name: str, tree: Map) -> str:
    """Return whether an interface is a nic, bond, vlan, bridge, dummy or loopback.

    `ports` without `type` makes a bond. If the name looks like that of a bridge, it is read as a bridge; the checks
    then ask for the type.
    """
    kind = text_at(tree, "type")
    if name == LOOPBACK:
        return "loopback"
    if kind is not None:
        return kind
    if is_like_dummy(name) and not any(tree.has(key) for key in ("mac", "match", "ports", "over")):
        return "dummy"
    if tree.get("ports") is not None:
        return "bridge" if is_like_bridge(name) and not tree.has("mode") and not tree.has("options") else "bond"
    return "vlan" if tree.get("over") is not None or split_vlan_key(name) is not None else "nic"
