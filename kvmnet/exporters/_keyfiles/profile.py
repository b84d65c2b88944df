"""The connection profile of one interface, as the sections of its keyfile (nm-settings-keyfile(5))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from kvmnet.core.base.nmstate import ETHERNET, FAMILIES, INFINIBAND, NM_TYPES
from kvmnet.core.base.profile_settings import PROFILE_SETTINGS, VLAN_FILTERING
from kvmnet.exporters._keyfiles.addresses import Placed, Section, make_family

Sections = dict[str, Section]

#: The name of a setting's section in a keyfile, where it is not its name on D-Bus.
_SECTION_NAMES = {"802-3-ethernet": "ethernet"}
#: NetworkManager's numbers (NMSettingMacvlanMode) of nmstate's macvtap modes.
_MACVLAN_MODES = {"vepa": "1", "bridge": "2", "private": "3"}
#: Options of bonds: NetworkManager's spelling, and the kernel's numbers of nmstate's values.
_SPELLED = {"balance_slb": "balance-slb"}
_NUMBERED = {"dropped": "0", "delivered": "1"}


class Port(NamedTuple):
    """The controller of a port: its name, `bridge` or `bond`, and the port's VLANs in a state."""

    controller: str
    kind: str
    vlan: Optional[Mapping[str, Any]] = None


class Identity(NamedTuple):
    """How a profile finds its device: by the interface's name, or by the permanent MAC address of a NIC that gets its
    name from a .link file."""

    uuid: str
    mac: Optional[str] = None


def find_ports(interfaces: list[Any]) -> dict[str, Port]:
    """Return the controllers of ports, by the port's name."""
    ports = {}
    for interface in interfaces:
        for row in interface.get("bridge", {}).get("port", []):
            ports[str(row["name"])] = Port(interface["name"], "bridge", row.get("vlan"))
        for name in interface.get("link-aggregation", {}).get("port", []):
            ports[str(name)] = Port(interface["name"], "bond")
    return ports


def make_profile(
    interface: Mapping[str, Any], identity: Identity, port: Optional[Port], settings: Mapping[str, Any], placed: Placed
) -> Sections:
    """Return the sections of an interface's keyfile. `settings` are those that nmstate has no key for, `placed` routes,
    rules and name servers."""
    name, kind = str(interface["name"]), str(interface["type"])
    sections: Sections = {"connection": _make_connection(interface, identity, port)}
    sections.update(_make_device(interface))
    if (section := _make_ethernet(interface, identity)) and kind != INFINIBAND:
        sections["ethernet"] = section
    if port is not None and port.kind == "bridge":
        vlans = ",".join(format_port_vlans(port.vlan)) if port.vlan is not None else ""
        sections["bridge-port"] = {"vlans": vlans} if vlans else {}
    if port is None:
        for family in FAMILIES:
            sections[family] = {**make_family(interface.get(family, {}), family), **placed.get((name, family), {})}
    for key, value in settings.items():
        row = PROFILE_SETTINGS[key]
        text = _format_value(value)
        sections.setdefault(_SECTION_NAMES.get(row.setting, row.setting), {})[row.key] = text
    return sections


def _make_connection(interface: Mapping[str, Any], identity: Identity, port: Optional[Port]) -> Section:
    name = str(interface["name"])
    section = {"id": name, "uuid": identity.uuid, "type": _type_of(interface)}
    if identity.mac is None:
        section["interface-name"] = name
    if interface["state"] != "up":
        section["autoconnect"] = "false"
    if port is not None:
        section.update({"master": port.controller, "slave-type": port.kind})
    if interface["type"] in ("linux-bridge", "bond"):
        section["autoconnect-slaves"] = "1"
    return section


def _type_of(interface: Mapping[str, Any]) -> str:
    return "ethernet" if interface["type"] == ETHERNET else NM_TYPES[str(interface["type"])]


def _make_ethernet(interface: Mapping[str, Any], identity: Identity) -> Section:
    section: Section = {}
    if identity.mac is not None:
        section["mac-address"] = identity.mac.upper()
    if "mac-address" in interface:
        section["cloned-mac-address"] = str(interface["mac-address"])
    if "mtu" in interface:
        section["mtu"] = str(interface["mtu"])
    if "accept-all-mac-addresses" in interface:
        section["accept-all-mac-addresses"] = "1" if interface["accept-all-mac-addresses"] else "0"
    return section


def _make_device(interface: Mapping[str, Any]) -> Sections:
    """Return the sections of the interface's type."""
    kind = interface["type"]
    if kind == "linux-bridge":
        return {"bridge": _make_bridge(interface["bridge"])}
    if kind == "bond":
        bond = interface["link-aggregation"]
        options = {_SPELLED.get(key, key): _format_bond_option(key, value) for key, value in bond["options"].items()}
        return {"bond": {"mode": bond["mode"], **options}}
    if kind == "vlan":
        vlan = interface["vlan"]
        return {"vlan": {"parent": vlan["base-iface"], "id": str(vlan["id"]), "flags": "1"}}
    if kind == "mac-vtap":
        macvtap = interface["mac-vtap"]
        return {"macvlan": {"parent": macvtap["base-iface"], "mode": _MACVLAN_MODES[macvtap["mode"]], "tap": "true"}}
    if kind == INFINIBAND:
        return {INFINIBAND: _make_infiniband(interface)}
    return {"dummy": {}} if kind == "dummy" else {}


def _make_bridge(bridge: Mapping[str, Any]) -> Section:
    options, stp = bridge["options"], bridge["options"]["stp"]
    has_vlans = any("vlan" in port for port in bridge["port"])  # nmstate turns VLAN filtering on then
    section = {"stp": _format_value(stp["enabled"]), VLAN_FILTERING.key: _format_value(has_vlans)}
    values = {
        "priority": stp.get("priority"),
        "ageing-time": options.get("mac-ageing-time"),
        "group-forward-mask": options.get("group-forward-mask"),
        "multicast-snooping": options.get("multicast-snooping"),
        "vlan-default-pvid": options.get("vlan-default-pvid"),
    }
    section.update({key: _format_value(value) for key, value in values.items() if value is not None})
    return section


def _make_infiniband(interface: Mapping[str, Any]) -> Section:
    """Return the section of an IPoIB interface; only a partition has a base interface and a key."""
    settings = interface["infiniband"]
    section = {"transport-mode": str(settings["mode"])}
    if "base-iface" in settings:
        section.update({"parent": str(settings["base-iface"]), "p-key": str(int(settings["pkey"], 16))})
    if "mtu" in interface:
        section["mtu"] = str(interface["mtu"])
    return section


def format_port_vlans(vlan: Mapping[str, Any]) -> list[str]:
    """Return the VLANs of a bridge's port: `20`, `100-199`, `30 pvid untagged`."""
    texts = []
    for tag in vlan.get("trunk-tags", []):
        texts.append(f"{tag['id-range']['min']}-{tag['id-range']['max']}" if "id-range" in tag else str(tag["id"]))
    return [*texts, f"{vlan['tag']} pvid untagged"] if "tag" in vlan else texts


def _format_bond_option(key: str, value: Any) -> str:
    """Return a value of an option as NetworkManager writes it: 1 and 0 for yes and no, a MAC address in upper case."""
    if isinstance(value, bool):
        return str(int(value))
    return str(value).upper() if key == "ad_actor_system" else _NUMBERED.get(str(value), str(value))


def _format_value(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
