"""Turns an inventory of Rocks into a draft of a definition: networks, hosts with their interfaces, guests, routes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Optional

from kvmnet.importers._draft import Draft, HostPart, Origin, Part
from kvmnet.importers._rocks.inventory import MAC, Inventory, Item
from kvmnet.importers._rocks.records import Record, Report

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
_DEVICE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}\Z")
_ALIAS = re.compile(r"(.+):[0-9]+\Z")
_TAGGED = re.compile(r"(.+)\.([0-9]{1,4})\Z")
_LOGICAL = re.compile(r"vlan([0-9]*)\Z")
_BOND = re.compile(r"bond[0-9]+\Z")
_INFINIBAND = re.compile(r"ib[0-9]")
#: Options of an interface that Rocks itself reads, without case. noreport counts with any prefix.
_KNOWN_OPTIONS = ("dhcp", "nobridge", "novtap")
#: Memberships of hosts that run guests.
_CONTAINERS = ("vm container", "vm-container")
#: Destinations of routes that Rocks gives every host and that no host needs: broadcasts and multicast.
_NEEDLESS = (ipaddress.ip_network("255.255.255.255/32"), ipaddress.ip_network("224.0.0.0/24"))
_TRUE = ("true", "yes", "1", "on")

TITLE = """Imported from Rocks Clusters. The comments name the file and line of each part.
Check it: kvmnet validate. See what it changes on a host: kvmnet plan."""


def convert(inventory: Inventory, report: Report) -> Draft:
    """Return the draft of a definition."""
    return _Conversion(inventory, report).run()


class _Conversion:
    def __init__(self, inventory: Inventory, report: Report) -> None:
        self.inventory, self.report = inventory, report
        self.draft = Draft(TITLE, "rocks", "rocks")
        self.subnets: dict[str, ipaddress.IPv4Network] = {}
        self.logical: dict[tuple[str, int], str] = {}
        """The names of logical VLANs by the network that they are over, and their VLAN ID."""
        self.tags: dict[str, int] = {}

    def run(self) -> Draft:
        for name, item in self.inventory.networks.items():
            self._add_network(name, item)
        guests = self._find_guests()
        hosts = [*self.inventory.interfaces, *(h for h in self.inventory.hosts if h not in self.inventory.interfaces)]
        physical = [name for name in hosts if name not in guests]
        self._add_missing_networks(physical)
        containers = {host for item in self.inventory.guests.values() if (host := item.get("host")) is not None}
        for name in sorted(containers - set(physical) - set(guests)):
            if _NAME.match(name):
                physical.append(name)
                self.report.note(f"host {name} is only known as the host of guests", self._first_guest_on(name))
        for name in physical:
            self._add_host(name, name in containers)
        self._add_name_servers()
        for name in guests:
            self._add_guest(name)
        for record in self.inventory.routes:
            self._add_route(record, guests)
        self._report_attributes()
        return self.draft

    def _first_guest_on(self, host: str) -> Origin:
        return next(item.place for item in self.inventory.guests.values() if item.get("host") == host)

    # networks

    def _add_network(self, name: str, item: Item) -> None:
        if not _NAME.match(name):
            self.report.lose(f"{name!r} is not a name of a network", item.place)
            return
        values: dict[str, Any] = {}
        subnet = self._subnet(item.get("subnet"), item.get("netmask"), f"network {name}", item.place)
        if subnet is not None:
            self.subnets[name] = subnet
            values["subnets"] = [str(subnet)]
        mtu = item.get("mtu")
        if mtu is not None and mtu != "1500":  # the default, in Rocks and in the kernel
            if mtu.isdigit() and 68 <= int(mtu) <= 65520:
                values["mtu"] = int(mtu)
            else:
                self.report.lose(f"the MTU {mtu} of network {name} is not an MTU", item.place)
        for key, noun in (("dnszone", "DNS zone"), ("servedns", "servedns")):
            if item.get(key) is not None:
                self.report.skip(f"the {noun} of network {name} is for the DNS server of the frontend", item.place)
        self.draft.networks[name] = Part(values, item.origin)

    def _subnet(
        self, address: Optional[str], mask: Optional[str], what: str, origin: Origin
    ) -> Optional[ipaddress.IPv4Network]:
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

    def _add_missing_networks(self, hosts: Iterable[str]) -> None:
        """Add the networks that only interfaces name, with the subnet of their addresses; and the VLAN IDs."""
        for host in hosts:
            for device, item in self.inventory.interfaces.get(host, {}).items():
                name = item.get("network")
                if name is None or not _NAME.match(name):
                    continue
                if name not in self.draft.networks:
                    self.draft.networks[name] = Part({}, item.origin)
                    self.report.note(
                        f"network {name} is not in a list of networks: it is made from its interfaces", item.place
                    )
                part = self.draft.networks[name]
                if name not in self.subnets and item.get("ip") and item.get("netmask"):
                    subnet = self._subnet(item.get("ip"), item.get("netmask"), f"network {name}", item.place)
                    if subnet is not None:
                        self.subnets[name] = subnet
                        part.values["subnets"] = [str(subnet)]
                tag = self._tag(device, item)
                if tag is not None and not _LOGICAL.match(device):
                    if self.tags.setdefault(name, tag) != tag:
                        self.report.lose(
                            f"network {name} has VLAN ID {self.tags[name]}, and {tag} on {device} of {host}", item.place
                        )
                    else:
                        part.values["vlan"] = tag

    def _tag(self, device: str, item: Item) -> Optional[int]:
        """Return the VLAN ID of a device: of its VLAN column, or of its name. VLAN 0 is none."""
        match = _TAGGED.match(device) or _LOGICAL.match(device)
        text = item.get("vlan") or (match[match.re.groups] if match else "")
        return int(text) if text.isdigit() and 0 < int(text) < 4095 else None

    # hosts

    def _add_host(self, name: str, runs_guests: bool) -> None:
        item = self.inventory.hosts.get(name, Item())
        membership = item.get("membership") or ""
        key = name if _NAME.match(name) else ""
        if not key:
            self.report.lose(f"{name!r} is not a name of a host", item.place)
            return
        attribute = (self.inventory.attribute("kvm", name) or "").lower()
        devices = self.inventory.interfaces.get(name, {})
        has_logical_vlan = any(_LOGICAL.match(device) for device in devices)  # these are for guests alone
        is_container = membership.lower() in _CONTAINERS or runs_guests or has_logical_vlan or attribute in _TRUE
        host = HostPart({"kvm": True} if is_container else {}, kind=_as_name(membership), origin=item.origin)
        for device, interface in devices.items():
            if not _ALIAS.match(device):
                self._add_interface(name, host, device, interface, devices)
        for device, interface in devices.items():
            if (alias := _ALIAS.match(device)) is not None:
                self._add_alias(name, host, alias[1], device, interface)
        if not devices:
            self.report.note(f"no interface of host {name} is listed", item.place)
        self.draft.hosts[key] = host

    def _add_interface(self, name: str, host: HostPart, device: str, item: Item, devices: dict[str, Item]) -> None:
        logical = _LOGICAL.match(device)
        if logical is not None:
            self._add_logical_vlan(name, device, item)
            return
        values: dict[str, Any] = {}
        part = Part(values, item.origin)
        network = item.get("network")
        if network in self.draft.networks:
            values["network"] = network
        elif network is not None:
            self.report.lose(f"{device} of {name} is on {network!r}, which is not a name of a network", item.place)
        mac = item.get("mac")
        if mac is not None:
            if MAC.match(mac):
                values["mac"] = ":".join(byte.zfill(2) for byte in mac.lower().split(":"))
            else:
                self.report.lose(f"{mac!r} is not a MAC address ({device} of {name})", item.place)
        address = self._address(name, device, item)
        if address is not None:
            values["addresses"] = [address]
        self._read_options(name, device, item, values)
        key = device
        if MAC.match(device):
            key = "nic-" + device.lower().replace(":", "")[-6:]
            values["manage"] = False
            part.comment = "name unknown: rename the key, and delete manage"
            self.report.lose(
                f"an interface of {name} is known only by its MAC address {device}: it is in the definition as {key} "
                "and not managed, until you give it the name of the NIC",
                item.place,
            )
        elif not _DEVICE.match(device):
            self.report.lose(f"{device!r} is not a name of an interface ({name})", item.place)
            return
        if _BOND.match(device):
            self._read_bond(name, device, item, devices, values)
        elif (tagged := _TAGGED.match(device)) is not None:
            values.pop("mac", None)  # that of its NIC
            if tagged[1] not in devices:
                self.report.lose(f"{device} of {name} is on {tagged[1]}, of which nothing is known", item.place)
                self.draft.remarks.append(Part({}, item.origin, f"host {name} has {device}: {values}"))
                return
        elif device == "ipmi" or _INFINIBAND.match(device):
            pass
        elif (tag := self._tag(device, item)) is not None:
            values["manage"] = False
            self.report.lose(
                f"{device} of {name} has VLAN ID {tag} but is no VLAN device: if {name} is a guest, import "
                "`rocks list host vm` too",
                item.place,
            )
        elif mac is None and network is not None and host.settings.get("kvm"):
            values["manage"] = False
            self.report.lose(
                f"{device} of {name} has no MAC address, which the naming policy rocks needs to rename it: it is not "
                "managed until you add `mac` and delete `manage`",
                item.place,
            )
        host.interfaces[key] = part

    def _address(self, name: str, device: str, item: Item) -> Optional[str]:
        """Return the address of an interface: with its prefix length if that is not its network's."""
        text = item.get("ip")
        if text is None:
            return None
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            self.report.lose(f"{text!r} is not an IP address ({device} of {name})", item.place)
            return None
        subnet = self.subnets.get(item.get("network") or "")
        mask = item.get("netmask")
        if mask is None:
            if subnet is None or address not in subnet:
                self.report.lose(f"{text} has no netmask ({device} of {name})", item.place)
                return None
            return text
        try:
            own = ipaddress.IPv4Network((text, mask), strict=False)
        except ValueError:
            self.report.lose(f"{mask!r} is not a netmask ({device} of {name})", item.place)
            return None
        return text if own == subnet else f"{text}/{own.prefixlen}"

    def _read_options(self, name: str, device: str, item: Item, values: dict[str, Any]) -> None:
        text = item.get("options")
        if text is None or _BOND.match(device):
            return
        for word in re.split(r"[\s,]+", text.strip().strip("\"'")):
            lower = word.lower()
            if lower == "dhcp":
                values.pop("addresses", None)
                values["ipv4"] = "dhcp"
            elif "nobridge" in lower:
                values["bridge"] = False
            elif "novtap" in lower:
                self.report.note(
                    f"novtap of {device} of {name}: the naming policy decides where guests' macvtaps are", item.place
                )
            elif lower.startswith("noreport"):
                values["manage"] = False
                self.report.note(f"{device} of {name} has noreport: kvmnet does not manage it", item.place)
            elif word:
                self.report.lose(f"the option {word} of {device} of {name} is not known", item.place)

    def _read_bond(self, name: str, device: str, item: Item, devices: dict[str, Item], values: dict[str, Any]) -> None:
        values.pop("mac", None)  # that of its first port
        ports = [port for port, i in devices.items() if i.get("channel") == device and not MAC.match(port)]
        if not ports:
            self.report.lose(f"no interface of {name} has {device} as its channel: the bond has no port", item.place)
            values["manage"] = False
            return
        values["ports"] = ports
        options: dict[str, Any] = {}
        for word in (item.get("options") or "").strip("\"'").split():
            key, equals, value = word.partition("=")
            if not equals:
                self.report.lose(f"the option {word} of {device} of {name} is not known", item.place)
            elif key == "mode":
                values["mode"] = _MODES.get(value, value)
            else:
                options[key] = int(value) if value.isdigit() else value
        if options:
            values["options"] = options

    def _add_alias(self, name: str, host: HostPart, base: str, device: str, item: Item) -> None:
        """Add the address of an alias such as eth0:1 to the interface that it belongs to."""
        part = host.interfaces.get(base)
        address = self._address(name, device, item)
        if part is None:
            self.report.lose(f"{name} has {device} but no {base}", item.place)
        elif address is not None:
            if "/" not in address and item.get("network") != part.values.get("network"):
                subnet = self.subnets[item.get("network") or ""]
                address = f"{address}/{subnet.prefixlen}"
            part.values.setdefault("addresses", []).append(address)
            self.report.note(f"{device} of {name} is one more address of {base}", item.place)

    def _add_logical_vlan(self, name: str, device: str, item: Item) -> None:
        """Add the network of a logical VLAN: it rides on the NIC of the same host that is on the network that it
        names."""
        tag, over = self._tag(device, item), item.get("network")
        if tag is None or over not in self.draft.networks:
            what = "VLAN ID" if tag is None else "network to ride on"
            self.report.lose(f"{device} of {name} has no {what}", item.place)
            return
        assert over is not None
        if (over, tag) in self.logical:
            return
        network = f"vlan{tag}"
        if network in self.draft.networks:
            network = f"vlan{tag}-{over}"
        self.logical[over, tag] = network
        self.draft.networks[network] = Part({"vlan": tag, "over": over}, item.origin)

    # guests

    def _find_guests(self) -> list[str]:
        names = [n for n, item in self.inventory.guests.items() if item.get("host") or n not in self.inventory.hosts]
        return [n for n in names if n in self.inventory.interfaces or n in self.inventory.guest_macs]

    def _add_guest(self, name: str) -> None:
        item = self.inventory.guests[name]
        host, nics = item.get("host"), []
        rows = self.inventory.interfaces.get(name, {})
        for device, row in rows.items():
            mac = row.get("mac")
            if mac is None or not MAC.match(mac):
                self.report.lose(f"{device} of guest {name} has no MAC address", row.place)
                continue
            network = self._network_of_guest(row, host)
            if network is None:
                wanted = f"VLAN ID {row.get('vlan')}" if row.get("vlan") else f"network {row.get('network')}"
                self.report.lose(f"{device} of guest {name} ({mac}): no host has its {wanted}", row.place)
                self.draft.remarks.append(Part({}, row.origin, f"guest {name} has a NIC {mac} on {wanted}"))
                continue
            nics.append({"network": network, "mac": mac.lower()})
        if not rows:
            for mac, origin in self.inventory.guest_macs.get(name, []):
                self.report.lose(
                    f"the network of guest {name}'s NIC {mac} is unknown: import `rocks list host interface {name}` too",
                    origin,
                )
                self.draft.remarks.append(Part({}, origin, f"guest {name} has a NIC {mac} on an unknown network"))
        if host is None or host not in self.draft.hosts:
            self.report.lose(f"the host of guest {name} is unknown: import `rocks list host vm` too", item.place)
            return
        if nics:
            self.draft.guests[name] = Part({"host": host, "nics": nics}, item.origin)

    def _network_of_guest(self, row: Item, host: Optional[str]) -> Optional[str]:
        """Return the network of a guest's NIC: the logical VLAN of its VLAN ID on its host, or the network it names."""
        tag = row.get("vlan")
        if tag is None or tag == "0":
            return row.get("network") if row.get("network") in self.draft.networks else None
        if not tag.isdigit():
            return None
        own = self.inventory.interfaces.get(host or "", {})
        bases = [i.get("network") for d, i in own.items() if _LOGICAL.match(d) and self._tag(d, i) == int(tag)]
        names = [n for (over, t), n in self.logical.items() if t == int(tag) and (not bases or over in bases)]
        names += [n for n, t in self.tags.items() if t == int(tag)]
        return names[0] if len(set(names)) == 1 else None

    # routes and attributes

    def _add_route(self, record: Record, guests: list[str]) -> None:
        subnet = self._subnet(
            record.get("subnet"), record.get("netmask") or "255.255.255.255", "a route", record.origin
        )
        gateway, host, kind = record.get("gateway"), record.get("host"), record.get("appliance")
        if subnet is None:
            return
        if subnet in _NEEDLESS:
            self.report.skip(f"the route to {subnet} is not needed: every interface has it", record.origin)
            return
        source = (record.get("source") or "").upper()
        try:
            via = str(ipaddress.IPv4Address(gateway or ""))
        except ValueError:
            self.report.lose(f"the route to {subnet} leads to {gateway!r}, which is not an address", record.origin)
            return
        part = Part({"to": str(subnet), "via": via}, record.origin)
        if host is not None and host in guests:
            self.report.skip(f"the route to {subnet} is guest {host}'s own", record.origin)
        elif record.get("os") is not None or (host is None and kind is None) or source in ("G", "O"):
            self._add_once(self.draft.routes, part)
        elif kind is not None:
            for name, item in self.inventory.hosts.items():
                if (item.get("membership") or "").lower() == kind.lower() and name in self.draft.hosts:
                    self._add_once(self.draft.hosts[name].settings.setdefault("routes", []), part)
        elif host in self.draft.hosts:
            self._add_once(self.draft.hosts[host].settings.setdefault("routes", []), part)
        else:
            self.report.lose(f"the route to {subnet} is for {host}, of which nothing is known", record.origin)

    @staticmethod
    def _add_once(routes: list[Part], part: Part) -> None:
        if all(route.values != part.values for route in routes):
            routes.append(part)

    def _add_name_servers(self) -> None:
        for network, name in (("private", "Kickstart_PrivateDNSServers"), ("public", "Kickstart_PublicDNSServers")):
            servers = [s for s in re.split(r"[\s,]+", self.inventory.attribute(name) or "") if s]
            valid = [s for s in servers if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", s)]
            if valid and network in self.draft.networks:
                self.draft.networks[network].values["dns"] = {"servers": valid}

    def _report_attributes(self) -> None:
        used = ("kvm", "Kickstart_PrivateDNSServers", "Kickstart_PublicDNSServers")
        for record in self.inventory.attributes:
            if record.get("attribute") not in used:
                self.report.skip(f"the attribute {record.get('attribute')} is not about the network", record.origin)


#: Modes of a bond by number, as the kernel's documentation lists them (bonding.rst).
_MODES = {
    str(number): mode
    for number, mode in enumerate(
        ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
    )
}


def _as_name(text: str) -> str:
    """Return a membership such as `VM Container` as the name of a group."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
