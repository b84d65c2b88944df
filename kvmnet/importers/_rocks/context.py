"""What the conversion of an inventory shares: the inventory, the report, the draft, and what is known of networks."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Optional

from kvmnet.importers._draft import Draft, Origin
from kvmnet.importers._numbers import is_number
from kvmnet.importers._report import Report
from kvmnet.importers._rocks.inventory import Inventory, Item

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
ALIAS = re.compile(r"([^:]+):[0-9]+\Z")
TAGGED = re.compile(r"(.+)\.([0-9]{1,4})\Z")
LOGICAL = re.compile(r"vlan([0-9]*)\Z")


@dataclass
class Context:
    """The conversion as far as it is done.

    subnets: the subnets of networks by name; tags: the VLAN IDs of networks on VLAN devices.
    logical: the names of logical VLANs by the network that they are over, and their VLAN ID.
    """

    inventory: Inventory
    report: Report
    draft: Draft
    subnets: dict[str, ipaddress.IPv4Network] = field(default_factory=dict)
    logical: dict[tuple[str, int], str] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    strays: set[tuple[str, str]] = field(default_factory=set)
    """VLAN devices (host, device) whose VLAN ID is not their network's."""

    def hosts_of_appliance(self, appliance: str) -> list[str]:
        """Return the hosts of an appliance: `vm-container` is the membership `VM Container`."""
        wanted = as_name(appliance)
        return [n for n, i in self.inventory.hosts.items() if as_name(i.get("membership") or "") == wanted]

    owners: dict[str, str] = field(default_factory=dict)
    """Who has each MAC address and each IP address, in words."""

    def is_first_owner(self, value: str, owner: str, origin: Origin) -> bool:
        """Whether nobody else has this MAC address or IP address; otherwise that is reported."""
        other = self.owners.setdefault(value, owner)
        if other != owner:
            self.report.lose(f"{owner} has {value}, which {other} has already: it is left out", origin)
        return other == owner

    def read_subnet(
        self, address: Optional[str], mask: Optional[str], what: str, origin: Origin
    ) -> Optional[ipaddress.IPv4Network]:
        """Return a subnet; None, and an item of the report, if it is not one."""
        if address is None:
            return None
        if mask is None:
            self.report.lose(f"{what} has the subnet {address} but no netmask", origin)
            return None
        try:
            return ipaddress.IPv4Network((address, mask), strict=False)
        except ValueError:
            self.report.lose(f"{address} {mask} is not a subnet ({what})", origin)
            return None


def as_name(text: str) -> str:
    """Return a membership such as `VM Container` as the name of an appliance or a group."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def find_tag(device: str, item: Item) -> Optional[int]:
    """Return the VLAN ID of a device: of its VLAN column, or of its name. VLAN 0 is none, 4095 is reserved."""
    match = TAGGED.match(device) or LOGICAL.match(device)
    text = item.get("vlan") or (match[match.re.groups] if match else "")
    return int(text) if is_number(text) and 0 < int(text) < 4095 else None
