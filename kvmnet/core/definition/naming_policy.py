"""Naming policies: how interfaces are named and bridged, as data. Their format is schemas/profile.schema.json."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.definition.document import Leaf, Map, Node


@dataclass(frozen=True)
class NamingPolicy:
    """A naming policy: name patterns and settings. The schema describes each of them."""

    name: str
    description: str
    nic_rename: Optional[str]
    promiscuous: bool
    bridge_pattern: str
    bridge_beside: str
    stp: bool
    vlan_pattern: str
    macvtap_pattern: str
    macvtap_mode: str
    attach: str
    metric: int
    table: int

    @property
    def renames(self) -> bool:
        """Whether bridged NICs are renamed."""
        return self.nic_rename is not None

    def nic_name(self, interface: str) -> str:
        """Return the kernel name of a bridged NIC. `interface` is its key in the definition."""
        return (self.nic_rename or "{interface}").replace("{interface}", interface)

    def bridge_name(self, interface: str, device: str) -> str:
        """Return the name of the bridge that gets `device` as its port. `interface` is the key of the device.

        If the first pattern gives the name of the device itself, the second one is used: a bond keeps its key as its
        name, so its bridge needs another.
        """
        name = self.bridge_pattern.replace("{interface}", interface)
        return name if name != device else self.bridge_beside.replace("{interface}", interface)

    def vlan_name(self, nic: str, tag: int, interface: str) -> str:
        """Return the name of the VLAN device with this VLAN ID on the NIC or bond with this kernel name. `interface` is
        its key in the definition, or the name of its network."""
        name = self.vlan_pattern.replace("{nic}", nic).replace("{tag}", str(tag))
        return name.replace("{interface}", interface)

    def macvtap_name(self, mac: str) -> str:
        """Return the name of the macvtap of the guest NIC with this MAC address."""
        digits = mac.lower().replace(":", "")
        return self.macvtap_pattern.replace("{mac6}", digits[-6:]).replace("{mac}", digits)


#: The path of each attribute in the file of a naming policy.
_PATHS = {
    "description": ("description",),
    "nic_rename": ("nic", "rename"),
    "promiscuous": ("nic", "promiscuous"),
    "bridge_pattern": ("bridge", "name"),
    "bridge_beside": ("bridge", "beside"),
    "stp": ("bridge", "stp"),
    "vlan_pattern": ("vlan", "name"),
    "macvtap_pattern": ("macvtap", "name"),
    "macvtap_mode": ("macvtap", "mode"),
    "attach": ("attach",),
    "metric": ("default_route", "metric"),
    "table": ("default_route", "table"),
}


def read_naming_policy(tree: Map) -> NamingPolicy:
    """Return the naming policy of a tree that is valid against its schema. Raises TypeError if a key is missing."""
    name = tree.get("name")
    values: dict[str, Any] = {"description": "", "nic_rename": None, **_values(tree)}
    return NamingPolicy(name=str(name.value) if isinstance(name, Leaf) else "", **values)


def extend_naming_policy(base: NamingPolicy, name: str, tree: Map) -> NamingPolicy:
    """Return a copy of a naming policy with another name and with the values of a tree."""
    return dataclasses.replace(base, name=name, **_values(tree))


def _values(tree: Map) -> dict[str, Any]:
    """Return the attributes that a tree sets."""
    values: dict[str, Any] = {}
    for attribute, path in _PATHS.items():
        node: Optional[Node] = tree
        for step in path:
            node = node.get(step) if isinstance(node, Map) else None
        if isinstance(node, Leaf):
            values[attribute] = node.value
    return values
