"""A profile: how interfaces are named and bridged, as data. Its form is schemas/profile.schema.json."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.definition.document import Leaf, Map, Node


@dataclass(frozen=True)
class Profile:
    """Name patterns and switches; see the schema for what each means."""

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
        """Whether bridged NICs get another kernel name."""
        return self.nic_rename is not None

    def nic_name(self, interface: str) -> str:
        """Kernel name of a bridged NIC."""
        return (self.nic_rename or "{interface}").replace("{interface}", interface)

    def bridge_name(self, interface: str, device: str) -> str:
        """Name of the bridge over the device of a NIC, bond or VLAN of this key. A bond keeps its key as name,
        so its bridge takes another."""
        name = self.bridge_pattern.replace("{interface}", interface)
        return name if name != device else self.bridge_beside.replace("{interface}", interface)

    def vlan_name(self, nic: str, tag: int) -> str:
        """Name of the VLAN device with a tag over the NIC of this kernel name."""
        return self.vlan_pattern.replace("{nic}", nic).replace("{tag}", str(tag))

    def macvtap_name(self, mac: str) -> str:
        """Name of the macvtap of a guest's NIC with this MAC."""
        return self.macvtap_pattern.replace("{mac6}", mac.lower().replace(":", "")[-6:])


#: Where a profile's file has what.
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


def read_profile(tree: Map) -> Profile:
    """A profile from a tree that its schema has taken. Raises TypeError when a key is missing."""
    name = tree.get("name")
    values: dict[str, Any] = {"description": "", "nic_rename": None, **_values(tree)}
    return Profile(name=str(name.value) if isinstance(name, Leaf) else "", **values)


def extend(base: Profile, name: str, tree: Map) -> Profile:
    """A profile that is another one but for what its tree says."""
    return dataclasses.replace(base, name=name, **_values(tree))


def _values(tree: Map) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute, path in _PATHS.items():
        node: Optional[Node] = tree
        for step in path:
            node = node.get(step) if isinstance(node, Map) else None
        if isinstance(node, Leaf):
            found[attribute] = node.value
    return found
