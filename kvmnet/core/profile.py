"""A profile: how interfaces are named and bridged, as data. Its form is schemas/profile.schema.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from kvmnet.core.document import Leaf, Map, Value


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


def read_profile(tree: Map) -> Profile:
    """A profile from a tree that its schema has taken. Raises KeyError when a key is missing."""

    def at(*path: str) -> Value:
        node = tree
        for step in path[:-1]:
            inner = node.get(step)
            if not isinstance(inner, Map):
                raise KeyError(".".join(path))
            node = inner
        leaf = node.get(path[-1])
        if not isinstance(leaf, Leaf):
            raise KeyError(".".join(path))
        return leaf.value

    nic = tree.get("nic")
    rename = at("nic", "rename") if isinstance(nic, Map) and "rename" in nic.entries else None
    return Profile(
        name=str(at("name")),
        description=str(at("description")) if "description" in tree.entries else "",
        nic_rename=None if rename is None else str(rename),
        promiscuous=at("nic", "promiscuous") is True,
        bridge_pattern=str(at("bridge", "name")),
        bridge_beside=str(at("bridge", "beside")),
        stp=at("bridge", "stp") is True,
        vlan_pattern=str(at("vlan", "name")),
        macvtap_pattern=str(at("macvtap", "name")),
        macvtap_mode=str(at("macvtap", "mode")),
        attach=str(at("attach")),
        metric=int(at("default_route", "metric") or 0),
        table=int(at("default_route", "table") or 0),
    )
