"""Turns an nmstate state into a host of a definition.

The naming policy is plain: every interface keeps its name. A bridge with one port is the port's `bridge: NAME`, so the
port has the network and the addresses; a bridge with several ports or none is an interface with `type: bridge`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.definition.interface_kinds import is_like_dummy
from kvmnet.importers._draft import Draft, HostPart, Origin, Part
from kvmnet.importers._report import Report
from kvmnet.importers._state.addresses import IpSettings, read_ip
from kvmnet.importers._state.bonds import read_bond
from kvmnet.importers._state.networks import Carrier, add_networks, read_routing
from kvmnet.importers._state.values import section_of

_NIC_TYPES = ("ethernet", "veth", "infiniband")
_KINDS = {"bond": "bond", "vlan": "vlan", "linux-bridge": "bridge", "dummy": "dummy"}
#: Devices that libvirt and containers make for guests, and loopback.
_PASSING_TYPES = ("tun", "mac-vtap", "tap", "macvtap", "loopback")
_GUEST_PREFIXES = ("vnet", "tap", "macvtap", "veth", "virbr", "docker", "cni", "lxc")
#: Keys of an interface that are read, and those that only describe it or that every `nmstatectl show` has.
_READ = {
    "name",
    "type",
    "state",
    "ipv4",
    "ipv6",
    "mtu",
    "mac-address",
    "bridge",
    "vlan",
    "link-aggregation",
    "infiniband",
}
_DESCRIPTIVE = {
    *("permanent-mac-address", "min-mtu", "max-mtu", "driver", "identifier", "profile-name", "wait-ip", "controller"),
    *("copy-mac-from", "alt-names", "mptcp", "ethtool", "lldp", "ethernet", "accept-all-mac-addresses", "description"),
    *("pci-address", "overbook", "altnames", "parent", "profile-uuid", "dispatch"),
}
_BRIDGE_OPTIONS = {
    "mac-ageing-time": ("ageing", 300),
    "group-forward-mask": ("group_forward_mask", 0),
    "multicast-snooping": ("multicast_snooping", True),
    "vlan-filtering": ("vlan_filtering", False),  # no key of nmstate: keyfiles and live hosts have it
}


@dataclass
class Device:
    """An interface of the state: its kind (nic, bond, vlan, bridge, dummy), its values, its ports and where it is."""

    name: str
    kind: str
    values: Mapping[str, Any]
    origin: Origin
    ports: list[str] = field(default_factory=list)


def add_host(draft: Draft, name: str, state: Mapping[str, Any], origins: Mapping[str, Origin], report: Report) -> None:
    """Add the host that a state describes, and its networks. `origins` are the places of interfaces, by name, and of
    `routes`, `route-rules` and `dns-resolver`."""
    _Host(draft, name, state, origins, report).add()


class _Host:
    def __init__(
        self, draft: Draft, name: str, state: Mapping[str, Any], origins: Mapping[str, Origin], report: Report
    ) -> None:
        self.draft, self.name, self.state, self.origins, self.report = draft, name, state, origins, report
        self.devices: dict[str, Device] = {}
        self.controllers: dict[str, Device] = {}

    def add(self) -> None:
        self._read_devices()
        host = HostPart({"kvm": True} if any(d.kind == "bridge" for d in self.devices.values()) else {})
        carriers: dict[str, Carrier] = {}
        for device in self.devices.values():
            if device.name not in self.controllers and device.kind != "dummy":
                carrier = self._read_carrier(device)
                if carrier is not None:
                    carriers[device.name] = carrier
        routes = add_networks(self.draft, list(carriers.values()), read_routing(self.state, self.origins), self.report)
        if routes:
            host.settings["routes"] = routes
        for device in self.devices.values():
            if device.kind != "bridge" or len(device.ports) != 1:
                host.interfaces[self._find_key(device.name)] = self._describe(
                    device, carriers, bool(host.settings.get("kvm"))
                )
        self.draft.hosts[self.name] = host

    def _read_devices(self) -> None:
        rows = self.state.get("interfaces")
        for row in rows if isinstance(rows, list) else []:
            if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
                self.report.lose("an interface has no name", self.origins.get("interfaces", Origin("", 0)))
                continue
            device = self._read_device(row)
            if device is not None:
                self.devices[device.name] = device
        for device in self.devices.values():
            if device.kind == "bridge":
                self._drop_guest_ports(device)
        for device in list(self.devices.values()):
            for port in device.ports:
                if port not in self.devices:
                    self.devices[port] = Device(port, "nic", {"name": port}, device.origin)
                self.controllers[port] = device

    def _read_device(self, row: Mapping[str, Any]) -> Optional[Device]:
        """Return an interface of the state, or None for what a definition has no place for."""
        name, kind, state = str(row["name"]), str(row.get("type") or "ethernet"), row.get("state") or "up"
        origin = self.origins.get(name, Origin("", 0))
        if kind in _PASSING_TYPES or (kind != "ethernet" and name.startswith(_GUEST_PREFIXES) and state == "ignore"):
            self.report.skip(f"{name} ({kind}) is a device of guests, containers or the kernel", origin)
        elif state == "absent":
            self.report.note(f"{name} must not exist: a definition contains only what exists", origin)
        elif kind not in (*_NIC_TYPES, *_KINDS):
            self.report.lose(f"{name} is of type {kind}, for which the definition has no key", origin)
        elif state == "ignore":
            self.report.note(f"{name} is not managed by NetworkManager, and is left out", origin)
        elif kind == "vlan" and not _is_complete_vlan(row.get("vlan")):
            self.report.lose(f"{name} is a VLAN without a base interface or a VLAN ID", origin)
        else:
            device = Device(name, _KINDS.get(kind, "nic"), row, origin)
            if device.kind == "bond":
                device.ports = [str(port) for port in read_bond(row, origin, Report())["ports"]]
            if device.kind == "bridge":
                ports = section_of(row, "bridge").get("port")
                rows = ports if isinstance(ports, list) else []
                device.ports = [str(p["name"]) for p in rows if isinstance(p, Mapping) and "name" in p]
            self._report_keys(device)
            return device
        return None

    def _drop_guest_ports(self, bridge: Device) -> None:
        guests = [p for p in bridge.ports if p not in self.devices and p.startswith(_GUEST_PREFIXES)]
        bridge.ports = [port for port in bridge.ports if port not in guests]
        for port in guests:
            self.report.skip(f"port {port} of {bridge.name} belongs to a guest", bridge.origin)

    def _report_keys(self, device: Device) -> None:
        for key in sorted(set(device.values) - _READ - _DESCRIPTIVE):
            self.report.lose(f"{device.name} has {key}, for which the definition has no key", device.origin)
        lldp = device.values.get("lldp")
        if isinstance(lldp, Mapping) and lldp.get("enabled") is True:
            self.report.lose(f"{device.name} has lldp, for which the definition has no key", device.origin)
        virtual = section_of(device.values, "ethernet").get("sr-iov")
        if isinstance(virtual, Mapping) and virtual.get("total-vfs"):
            self.report.lose(f"{device.name} has sr-iov, for which the definition has no key", device.origin)
        if device.values.get("accept-all-mac-addresses") is True:
            self.report.lose(
                f"{device.name} is promiscuous: a naming policy states that (nic.promiscuous)", device.origin
            )
        if "ethtool" in device.values:
            self.report.skip(f"the ethtool settings of {device.name} are not in the definition", device.origin)

    def _read_carrier(self, device: Device) -> Optional[Carrier]:
        """Return what makes an interface a part of a network: addresses, a VLAN ID, or a bridge for guests."""
        ip = read_ip(device.values, device.origin, self.report)
        tag = self._find_tag(device)
        options = section_of(device.values, "bridge").get("options") if device.kind == "bridge" else None
        has_untagged = not isinstance(options, Mapping) or options.get("vlan-default-pvid") != 0
        if ip.is_empty and tag is None and (device.kind != "bridge" or not has_untagged):
            return None
        mtu = device.values.get("mtu")
        key, mtu = self._find_key(device.name), mtu if isinstance(mtu, int) else None
        return Carrier(device.name, key, ip, tag, mtu, device.origin)

    def _find_key(self, name: str) -> str:
        """Return the key of an interface in the definition: its kernel name, that of the only port of a bridge, and
        eth0.5 for a VLAN of another name that has no network, which would state its VLAN ID."""
        device, controller = self.devices.get(name), self.controllers.get(name)
        if device is not None and device.kind == "bridge" and len(device.ports) == 1:
            return self._find_key(device.ports[0])
        if device is not None and device.kind == "vlan" and controller is not None and len(controller.ports) > 1:
            return "{base-iface}.{id}".format_map(section_of(device.values, "vlan"))
        return name

    def _find_tag(self, device: Device) -> Optional[int]:
        """Return the VLAN ID of a VLAN, or of the one that is the only port of a bridge."""
        if device.kind == "vlan":
            tag = section_of(device.values, "vlan").get("id")
            return int(tag) if isinstance(tag, int) else None
        ports = [self.devices[port] for port in device.ports if port in self.devices]
        return self._find_tag(ports[0]) if device.kind == "bridge" and len(ports) == 1 else None

    def _describe(self, device: Device, carriers: Mapping[str, Carrier], kvm: bool) -> Part:
        """Return an interface of the definition. The only port of a bridge has the network and the addresses."""
        controller = self.controllers.get(device.name)
        bridge = controller if controller is not None and controller.kind == "bridge" else None
        bridge = bridge if bridge is not None and len(bridge.ports) == 1 else None
        carrier = carriers.get(bridge.name if bridge is not None else device.name)
        values = self._describe_kind(device)
        if carrier is not None:
            values = {"network": carrier.network, **values, **_describe_ip(carrier.ip)}
        elif device.kind == "dummy":  # single addresses, of any network
            ip = read_ip(device.values, device.origin, self.report)
            values = {**values, **_describe_ip(ip, with_prefix=True)}
        if bridge is not None:
            mac = str(bridge.values.get("mac-address") or "").lower()
            given = {} if mac in ("", self._find_mac(device)) else {"mac": mac}
            values["bridge"] = _describe_bridge(bridge, {"name": bridge.name, **given})
            own = read_ip(device.values, device.origin, Report())
            if own.addresses:
                self.report.lose(f"{device.name} has addresses, but is a port of {bridge.name}", device.origin)
        elif carrier is not None and kvm and device.kind in ("nic", "bond"):
            values["bridge"] = False
        if controller is not None and device.kind in ("nic", "bond"):
            values.update(_describe_port_vlans(controller, device.name))
        mtu = device.values.get("mtu")
        if isinstance(mtu, int) and mtu != 1500 and (carrier is None or carrier.mtu != mtu):
            values["mtu"] = mtu
        if device.values.get("state") == "down" and controller is None:
            values["state"] = "down"
        elif device.values.get("state") == "down":
            message = f"{device.name} is down, but is a port of another interface: it is up in the definition"
            self.report.lose(message, device.origin)
        return Part(values, device.origin)

    def _find_mac(self, device: Device) -> str:
        """Return the MAC address that a bridge over this interface gets by default: that of the NIC below."""
        if device.kind == "nic":
            return str(device.values.get("permanent-mac-address") or device.values.get("mac-address") or "").lower()
        below = [*device.ports, str(section_of(device.values, "vlan").get("base-iface"))]
        return next((self._find_mac(self.devices[name]) for name in below if name in self.devices), "")

    def _describe_kind(self, device: Device) -> dict[str, Any]:
        if device.kind == "bond":
            bond_mac = str(device.values.get("mac-address") or "").lower()
            if bond_mac not in ("", self._find_mac(device)):
                message = f"{device.name} has the MAC address {bond_mac}, which is not known as its first port's"
                self.report.lose(message, device.origin)
            return read_bond(device.values, device.origin, self.report)
        if device.kind == "vlan":
            vlan = section_of(device.values, "vlan")
            base, tag = vlan.get("base-iface"), vlan.get("id")
            if device.name == f"{base}.{tag}":
                return {}
            is_named_by_key = self._find_key(device.name) != device.name
            return {**({} if is_named_by_key else {"over": str(base)}), "name": device.name}
        if device.kind == "bridge":
            options = _describe_bridge(device, {})
            mac = device.values.get("mac-address")
            values: dict[str, Any] = {"type": "bridge", "ports": [self._find_key(port) for port in device.ports]}
            return {**values, **({"mac": str(mac).lower()} if mac else {}), **({"bridge": options} if options else {})}
        if device.kind == "dummy":
            return {} if is_like_dummy(device.name) else {"type": "dummy"}
        infiniband = device.values.get("infiniband")
        if isinstance(infiniband, Mapping):
            return {"transport_mode": "connected"} if infiniband.get("mode") == "connected" else {}
        permanent = device.values.get("permanent-mac-address")
        is_port = device.name in self.controllers
        mac = permanent or (None if is_port else device.values.get("mac-address"))
        return {"mac": str(mac).lower()} if mac else {}


def _is_complete_vlan(vlan: Any) -> bool:
    """Whether the settings of a VLAN contain a base interface and a VLAN ID."""
    return isinstance(vlan, Mapping) and bool(vlan.get("base-iface")) and isinstance(vlan.get("id"), int)


def _describe_ip(ip: IpSettings, with_prefix: bool = False) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if ip.addresses:
        values["addresses"] = [str(address if with_prefix else address.ip) for address in ip.addresses]
    return {**values, **ip.sources}


def _describe_bridge(bridge: Device, settings: dict[str, Any]) -> Any:
    """Return the value of `bridge`: the settings with the bridge's options; the name alone if there are no others."""
    given = section_of(bridge.values, "bridge").get("options")
    options: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    stp = options.get("stp")
    if isinstance(stp, Mapping) and stp.get("enabled") is True:
        settings["stp"] = True
        if stp.get("priority") not in (None, 32768):
            settings["priority"] = stp["priority"]
    for key, (name, default) in _BRIDGE_OPTIONS.items():
        if options.get(key) not in (None, default):
            settings[name] = options[key]
    return settings["name"] if list(settings) == ["name"] else settings


def _describe_port_vlans(bridge: Device, port: str) -> dict[str, Any]:
    """Return the VLANs of a bridge's port as keys of an interface."""
    rows = section_of(bridge.values, "bridge").get("port") if bridge.kind == "bridge" else None
    rows = rows if isinstance(rows, list) else []
    vlan = next((r.get("vlan") for r in rows if isinstance(r, Mapping) and r.get("name") == port), None)
    if not isinstance(vlan, Mapping) or not vlan:
        return {}
    tag, tags = vlan.get("tag"), [t for t in vlan.get("trunk-tags") or [] if isinstance(t, Mapping)]
    if not tags:
        return {"access": tag} if isinstance(tag, int) else {}
    ids = [f"{t['id-range']['min']}-{t['id-range']['max']}" if "id-range" in t else t.get("id") for t in tags]
    return {"trunk": ids, **({"native": tag} if isinstance(tag, int) and tag else {})}


def name_host(state: Mapping[str, Any], fallback: str) -> str:
    """Return the name of the host that a state is of: its hostname without the domain, or else `fallback`."""
    hostname = state.get("hostname")
    names: Sequence[Any] = [hostname.get("config"), hostname.get("running")] if isinstance(hostname, Mapping) else []
    return next((str(name).partition(".")[0] for name in names if name), fallback)
