"""Compares the connection profiles on disk with the desired state: a host can be as defined now and not after a boot.

Compared is what decides whether the interface is the same after the next boot: autoconnect, the binding to the
interface, the controller, the base interface and VLAN ID, the methods and static addresses of both IP families, static
routes, the MAC address of bridges and bonds, the mode and options of bonds, the options of bridges, and the MTU. Other
settings, name servers, and notes that NetworkManager writes itself (time stamps, the order of keys) are not compared.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

from kvmnet.core.base.bridge_vlans import Membership, format_tags, read_membership
from kvmnet.core.base.nmstate import (
    ETHERNET,
    FAMILIES,
    MAIN_TABLE,
    NM_ETHERNET,
    NM_TYPES,
    State,
    interfaces_of,
    port_names,
    routes_of,
)
from kvmnet.core.boot.boot_files import IFCFG_FOLDER, BootFiles
from kvmnet.core.boot.keyfile import parse_number
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.matching import profile_fits
from kvmnet.core.boot.stored_profile import StoredProfile, normalize_mac
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.defaults import ETHERNET_MTU
from kvmnet.core.planning.difference import Difference
from kvmnet.core.planning.stored_options import find_bond_differences, find_bridge_differences, states_every_option

Interface = Mapping[str, Any]
#: The place of a difference in static routes.
ROUTES = "routes"
#: The place of a difference in the MAC address of a bridge or bond.
MAC = "mac-address"
#: Types whose profiles on disk must state the MAC address that the definition gives them.
_TYPES_WITH_MAC = ("linux-bridge", "bond")


@dataclass(frozen=True)
class StoredDifference(Difference):
    """A setting of a connection profile on disk with another value than the desired one; the live value is right."""

    @property
    def text(self) -> str:
        """The notation of plans, with the place of the value."""
        return f"connection profile on disk: {super().text}"


def find_stored_differences(
    desired: State, live: Live, new_names: Mapping[str, str]
) -> dict[str, list[StoredDifference]]:
    """Return how the profiles on disk differ from the desired state, by interface; nothing when the disk is not known.

    A NIC that is renamed (`new_names`) and a profile that is only in memory are written anyway."""
    if live.boot is None:
        return {}
    controllers = {port: i["name"] for i in interfaces_of(desired) for port in port_names(i)}
    effective = live.boot.effective
    differences: dict[str, list[StoredDifference]] = {}
    for interface in interfaces_of(desired):
        name, kind = interface["name"], NM_TYPES.get(interface["type"])
        profile = live.profiles.get(name)
        if interface["state"] != "up" or profile is None or profile.type != kind or not profile.saved:
            continue
        if name in new_names.values():
            continue
        stored = effective.get(profile.uuid)
        if stored is None:
            differences[name] = [StoredDifference("keyfile", _find_reason(profile.file, live.boot), profile.file)]
            continue
        comparison = _Comparison(interface, stored, effective, controllers.get(name, ""), desired)
        if found := list(comparison.differences(_device_of(interface, live), live.boot.options)):
            differences[name] = found
    return differences


def states_bond(bond: Interface, live: Live) -> bool:
    """Whether the profile on disk of a bond states its mode and every option of nmstate's entry `bond`."""
    profile = live.profiles.get(bond["name"])
    stored = live.boot.effective.get(profile.uuid) if live.boot is not None and profile is not None else None
    return stored is not None and states_every_option(bond["link-aggregation"], stored)


def _find_reason(file: str, boot: BootFiles) -> str:
    """Return why NetworkManager would not load a keyfile at boot."""
    return next((line.removeprefix(f"{file} ") for line in boot.problems if line.startswith(f"{file} ")), "missing")


def _device_of(interface: Interface, live: Live) -> BootDevice:
    name = interface["name"]
    known = {nic.name: nic for nic in live.boot.nics} if live.boot is not None else {}
    link = live.links.get(name)
    if interface["type"] == ETHERNET:
        return known.get(name, BootDevice(name, NM_ETHERNET, (link.mac or "") if link is not None else ""))
    return BootDevice(name, NM_TYPES[interface["type"]])


@dataclass(frozen=True)
class _Comparison:
    """One interface and its stored profile; `profiles` are all stored profiles by UUID, `controller` is the name of the
    interface's controller in the desired state, or empty."""

    interface: Interface
    stored: StoredProfile
    profiles: Mapping[str, StoredProfile]
    controller: str
    desired: State

    def differences(self, device: BootDevice, options: Sequence[str]) -> Iterator[StoredDifference]:
        """Yield the differences of one profile. `options` are those of the kernel command line at boot."""
        stored = self.stored
        if not stored.autoconnect:
            yield StoredDifference("autoconnect", False, True)
        if profile_fits(stored, device, options) is False:
            yield StoredDifference("bound to", _binding_of(stored, device), device.name)
        yield from self._compare("controller", self._name_of(stored.controller), self.controller)
        yield from self._compare_base()
        yield from self._compare_port_vlans()
        if not self.controller and not stored.controller:
            for family in FAMILIES:
                yield from self._compare_family(family)
            yield from self._compare_routes()
        yield from self._compare_mac()
        yield from self._compare_mtu()
        yield from self._compare_options()

    def _name_of(self, reference: str) -> str:
        """Return the interface that a profile refers to by its name or by its profile's UUID."""
        return self.profiles[reference].interface_name if reference in self.profiles else reference

    def _compare(self, path: str, stored: Any, wanted: Any) -> Iterator[StoredDifference]:
        if stored != wanted:
            yield StoredDifference(path, stored or None, wanted or None)

    def _compare_base(self) -> Iterator[StoredDifference]:
        base = self.interface.get(self.interface["type"], {})
        if "base-iface" in base:
            yield from self._compare("parent", self._name_of(self.stored.parent), base["base-iface"])
        if "id" in base:
            kind = self.interface["type"]
            yield from self._compare(f"{kind}.id", self.stored.value(kind, "id"), str(base["id"]))
        if "route-table-id" in base:
            yield from self._compare("vrf.table", self.stored.value("vrf", "table"), str(base["route-table-id"]))

    def _compare_port_vlans(self) -> Iterator[StoredDifference]:
        """The VLANs of a port that the definition states: `vlans=20,100-199,40 pvid untagged` in a keyfile."""
        name = self.interface["name"]
        ports = [p for i in interfaces_of(self.desired) for p in i.get("bridge", {}).get("port", [])]
        vlan = next((p.get("vlan") for p in ports if p["name"] == name), None)
        if not vlan:
            return
        wanted = read_membership(vlan, 0)
        stored = _read_stored_vlans(self.stored.value("bridge-port", "vlans"))
        if stored != wanted:
            yield StoredDifference("bridge-port.vlans", _vlans_text(stored), _vlans_text(wanted))

    def _compare_family(self, family: str) -> Iterator[StoredDifference]:
        settings = self.interface.get(family)
        wanted = _wanted_method(family, settings) if settings is not None else None
        if settings is None or wanted is None:
            return
        method = self.stored.method(family)
        if method != wanted and not (wanted == "disabled" and method in ("ignore", "disabled")):
            yield StoredDifference(f"{family}.method", method, wanted)
        stored = sorted(_normalized_address(a) for a in self.stored.addresses(family))
        addresses = sorted(f"{a['ip']}/{a['prefix-length']}" for a in settings.get("address", []))
        if wanted != "disabled":
            yield from self._compare(f"{family}.address", stored, sorted(map(_normalized_address, addresses)))

    def _compare_routes(self) -> Iterator[StoredDifference]:
        name = self.interface["name"]
        wanted = sorted(
            {
                _route(r["destination"], r.get("next-hop-address", ""), r.get("table-id") or MAIN_TABLE)
                for r in routes_of(self.desired)
                if r.get("next-hop-interface") == name
            }
        )
        if not any(self.stored.method(family) in ("manual", "auto", "dhcp") for family in FAMILIES):
            return
        yield from self._compare(ROUTES, sorted(stored_routes(self.stored)), wanted)

    def _compare_mac(self) -> Iterator[StoredDifference]:
        wanted = self.interface.get("mac-address")
        if wanted is None or self.interface["type"] not in _TYPES_WITH_MAC:
            return
        mac = self.stored.value("ethernet", "cloned-mac-address") or self.stored.value("bridge", "mac-address")
        yield from self._compare(MAC, normalize_mac(mac), wanted.lower())

    def _compare_mtu(self) -> Iterator[StoredDifference]:
        """A profile without an MTU leaves it to the kernel: only for a NIC or bond is it known then."""
        wanted, stored = self.interface.get("mtu"), self.stored.value("ethernet", "mtu")
        if wanted is None or (stored in ("", "0") and self.interface["type"] not in (ETHERNET, "bond")):
            return
        yield from self._compare("mtu", str(ETHERNET_MTU) if stored in ("", "0") else stored, str(wanted))

    def _compare_options(self) -> Iterator[StoredDifference]:
        """The options of a bond or bridge. Of ifcfg files they are not read."""
        if self.stored.file.startswith(IFCFG_FOLDER):
            return
        if bond := self.interface.get("link-aggregation"):
            yield from (StoredDifference(*difference) for difference in find_bond_differences(bond, self.stored))
        if options := self.interface.get("bridge", {}).get("options"):
            yield from (StoredDifference(*difference) for difference in find_bridge_differences(options, self.stored))


def _read_stored_vlans(text: str) -> Membership:
    """Return the VLANs of a keyfile (nm-settings-keyfile(5)); what is not valid is left out."""
    tagged: set[int] = set()
    untagged = None
    for entry in text.split(","):
        numbers, *flags = entry.split() or [""]
        first, _, last = numbers.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            continue
        if "pvid" in flags:
            untagged = int(first)
        else:
            tagged.update(range(int(first), int(last or first) + 1))
    return Membership(frozenset(tagged), untagged)


def _vlans_text(vlans: Membership) -> Optional[str]:
    parts = [format_tags(vlans.tagged)] if vlans.tagged else []
    parts += [f"{vlans.untagged} untagged"] if vlans.untagged is not None else []
    return ", ".join(parts) or None


def _binding_of(stored: StoredProfile, device: BootDevice) -> str:
    """Return what a profile is bound to that is not this device."""
    if stored.interface_name not in ("", device.name):
        return stored.interface_name
    if stored.mac not in ("", device.mac):
        return stored.mac
    return ", ".join(stored.match.get("interface-name", ())) or "other NICs"


def _wanted_method(family: str, settings: Mapping[str, Any]) -> Optional[str]:
    """Return NetworkManager's method for the settings of a family; None when nmstate chooses it."""
    if not settings.get("enabled"):
        return "disabled"
    if family == "ipv6" and settings.get("autoconf"):
        return "auto"
    if settings.get("dhcp"):
        return "auto" if family == "ipv4" else "dhcp"
    return "manual" if settings.get("address") else None


def stored_routes(stored: StoredProfile) -> list[str]:
    """Return the static routes of a profile, in the notation of differences. nmstate stores a route without a next hop
    a second time, with 0.0.0.0, when it merges a state into the profile: it counts once."""
    routes = []
    for family in FAMILIES:
        everywhere = "0.0.0.0/0" if family == "ipv4" else "::/0"
        default_table = parse_number(stored.value(family, "route-table"), MAIN_TABLE)
        if gateway := stored.gateway(family):
            routes.append(_route(everywhere, gateway, default_table))
        for key, value in stored.numbered(family, ("route", "routes")):
            destination, next_hop = [*value.replace(";", ",").split(","), "", ""][:2]
            pairs = stored.value(family, f"{key}_options").split(",")
            options = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            table = parse_number(options.get("table", ""), default_table)
            routes.append(_route(destination, next_hop, table))
    return list(dict.fromkeys(routes))


def _route(destination: str, next_hop: str, table: int) -> str:
    via = "" if next_hop in ("", "0.0.0.0", "::") else f" via {_normalized(next_hop, ipaddress.ip_address)}"
    in_table = f" table {table}" if table != MAIN_TABLE else ""
    return f"{_normalized(destination, lambda text: ipaddress.ip_network(text, strict=False))}{via}{in_table}"


def _normalized_address(text: str) -> str:
    return _normalized(text, ipaddress.ip_interface)


def _normalized(text: str, parse: Callable[[str], Any]) -> str:
    """Return an address in its short form; text that is none, from a keyfile that was edited by hand, as it is."""
    try:
        return str(parse(text))
    except ValueError:
        return text
