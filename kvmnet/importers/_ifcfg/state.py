"""Makes an nmstate state of ifcfg files: what the initscripts or NetworkManager would configure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Optional

from kvmnet.importers._draft import Origin
from kvmnet.importers._ifcfg.files import Folder, Settings, TextLine
from kvmnet.importers._numbers import is_number
from kvmnet.importers._report import Report
from kvmnet.importers._state.bonds import parse_mode, parse_option

_ALIAS = re.compile(r"(.+):[0-9]+\Z")
_VLAN_NAME = re.compile(r"(.+)\.([0-9]{1,4})\Z")
_NUMBERED = r"([0-9]*)"
#: Destinations of routes that Rocks gives every host and that no host needs: broadcasts and multicast.
_NEEDLESS = ("255.255.255.255", "224.0.0.0")
#: Keys that are read here, or that do not change what an interface is.
_READ = {
    *(
        "DEVICE",
        "NAME",
        "UUID",
        "TYPE",
        "HWADDR",
        "MACADDR",
        "BRIDGE",
        "BRIDGE_UUID",
        "BOOTPROTO",
        "ONBOOT",
        "MTU",
        "STP",
    ),
    *("DELAY", "MASTER", "MASTER_UUID", "SLAVE", "BONDING_OPTS", "BONDING_MASTER", "VLAN", "VLAN_ID", "PHYSDEV"),
    *("VLAN_PLUS_VID", "REORDER_HDR", "GVRP", "MVRP", "NM_CONTROLLED", "USERCTL", "HOTPLUG", "DEFROUTE", "PEERDNS"),
    *("PEERROUTES", "IPV6INIT", "IPV6ADDR", "IPV6ADDR_SECONDARIES", "IPV6_DEFAULTGW", "IPV6_AUTOCONF", "DHCPV6C"),
    *(
        "IPV6_DEFROUTE",
        "IPV6_FAILURE_FATAL",
        "IPV6_PRIVACY",
        "IPV6_ADDR_GEN_MODE",
        "IPV4_FAILURE_FATAL",
        "PROXY_METHOD",
    ),
    *("BROWSER_ONLY", "DOMAIN", "NETWORK", "BROADCAST", "GATEWAYDEV", "DHCP_CLIENT_ID", "DHCP_HOSTNAME", "ONPARENT"),
    *(
        "AUTOCONNECT_PRIORITY",
        "AUTOCONNECT_SLAVES",
        "LINKDELAY",
        "NOZEROCONF",
        "IPV6_PEERDNS",
        "SUBCHANNELS",
        "NETTYPE",
    ),
    *("ESSID_BROADCAST", "HWADDR_BLACKLIST", "LLDP", "METRIC", "IPV4_ROUTE_METRIC", "MULTI_CONNECT", "PHYSDEV"),
}
#: Keys for which a definition has no place, with what they set.
_LOST = {
    "ETHTOOL_OPTS": "settings of ethtool",
    "ETHTOOL_COALESCE": "settings of ethtool",
    "ZONE": "its firewalld zone",
    "BRIDGING_OPTS": "options of the bridge",
    "SRCADDR": "the source address of its route",
    "ARPUPDATE": "gratuitous ARP",
}


def make_state(folder: Folder, report: Report) -> tuple[dict[str, Any], dict[str, Origin]]:
    """Return the nmstate state of a folder, and the places of its interfaces by name."""
    return _State(folder, report).make()


class _State:
    def __init__(self, folder: Folder, report: Report) -> None:
        self.folder, self.report = folder, report
        self.interfaces: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, Origin] = {}
        self.routes: list[dict[str, Any]] = []
        self.servers: list[str] = []
        self.search: list[str] = []

    def make(self) -> tuple[dict[str, Any], dict[str, Origin]]:
        rows = {name: settings for name, settings in self.folder.interfaces.items() if name != "lo"}
        for key, settings in rows.items():
            if not _ALIAS.match(settings.get("DEVICE") or key):
                self._add_interface(key, settings)
        for key, settings in rows.items():
            alias = _ALIAS.match(settings.get("DEVICE") or key)
            if alias is not None:
                self._add_alias(alias[1], settings)
        for settings in rows.values():
            self._attach(settings.get("DEVICE"), settings)
        self._read_routes()
        if (gateway := self.folder.network.get("GATEWAY")) and not any(
            r["destination"] == "0.0.0.0/0" for r in self.routes
        ):
            device = self.folder.network.get("GATEWAYDEV") or self._find_device(gateway)
            self._add_route("0.0.0.0/0", gateway, device, self.folder.network.origin("GATEWAY"))
        state: dict[str, Any] = {"interfaces": list(self.interfaces.values()), "routes": {"config": self.routes}}
        dns = {"server": list(dict.fromkeys(self.servers)), "search": list(dict.fromkeys(self.search))}
        state["dns-resolver"] = {"config": {key: values for key, values in dns.items() if values}}
        hostname = self.folder.network.get("HOSTNAME")
        return {**state, **({"hostname": {"config": hostname}} if hostname else {})}, self.origins

    def _add_interface(self, key: str, settings: Settings) -> None:
        name, kind = settings.get("DEVICE") or key, settings.get("TYPE").lower()
        origin = settings.origin("DEVICE", "TYPE")
        settings.values.setdefault("DEVICE", name)
        self.origins[name] = origin
        if (
            kind in ("team", "teamport")
            or settings.get("DEVICETYPE").lower().startswith("team")
            or settings.get("TEAM_MASTER")
        ):
            self.report.lose(
                f"{name} belongs to a team, which kvmnet does not have (EL 10 has none either): use a bond", origin
            )
            return
        if kind in ("infiniband", "wireless", "ovsbridge", "ovsport", "gre", "ipip", "sit", "tunnel", "macvlan"):
            self.report.lose(f"{name} is of type {kind}, for which the definition has no key", origin)
            return
        interface: dict[str, Any] = {"name": name, "type": "ethernet", "state": "up"}
        interface.update(self._describe_kind(name, kind, settings))
        if is_number(settings.get("MTU")):
            interface["mtu"] = int(settings.get("MTU"))
        self._add_ip(interface, settings)
        if settings.is_no("ONBOOT") and not settings.get("BRIDGE", "MASTER"):
            self.report.note(f"{name} is not activated at boot (ONBOOT=no)", settings.origin("ONBOOT"))
        self._report_keys(name, settings)
        self.interfaces[name] = interface

    def _describe_kind(self, name: str, kind: str, settings: Settings) -> dict[str, Any]:
        """Return the keys of nmstate for the kind of an interface."""
        vlan = _VLAN_NAME.match(name)
        if kind == "bridge":
            bridge = {"options": {"stp": {"enabled": settings.is_yes("STP")}}, "port": []}
            mac = settings.get("MACADDR")
            return {"type": "linux-bridge", "bridge": bridge, **({"mac-address": mac} if mac else {})}
        if kind == "dummy":
            return {"type": "dummy"}
        if kind == "bond" or settings.is_yes("BONDING_MASTER") or settings.get("BONDING_OPTS"):
            return {"type": "bond", "link-aggregation": self._read_bonding(name, settings)}
        if kind == "vlan" or settings.is_yes("VLAN"):
            base = settings.get("PHYSDEV") or (vlan[1] if vlan else "")
            tag = settings.get("VLAN_ID") or (vlan[2] if vlan else "") or re.sub(r"\D", "", name)
            if base and is_number(tag) and 0 < int(tag) < 4095:
                return {"type": "vlan", "vlan": {"base-iface": base, "id": int(tag)}}
            self.report.lose(f"{name} is a VLAN without a base interface or a VLAN ID", settings.origin("VLAN", "TYPE"))
            return {}
        mac = settings.get("HWADDR")
        return {"permanent-mac-address": mac} if re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", mac) else {}

    def _read_bonding(self, name: str, settings: Settings) -> dict[str, Any]:
        options: dict[str, Any] = {}
        mode = "balance-rr"  # the default of the kernel's module
        for word in settings.get("BONDING_OPTS").split():
            key, equals, value = word.partition("=")
            if not equals:
                self.report.lose(f"the option {word} of {name} is not known", settings.origin("BONDING_OPTS"))
            elif key == "mode":
                mode = parse_mode(value)
            else:
                options[key] = parse_option(key, value.strip("+"))
        return {"mode": mode, "options": options, "port": []}

    def _report_keys(self, name: str, settings: Settings) -> None:
        for key in settings.values:
            if key in _LOST:
                self.report.lose(
                    f"{name} has {key} ({_LOST[key]}), for which the definition has no key", settings.origin(key)
                )
            elif key not in _READ and not re.match(rf"(IPADDR|PREFIX|NETMASK|GATEWAY|DNS){_NUMBERED}\Z", key):
                self.report.skip(f"{key} of {name} is not about the network's layout", settings.origin(key))

    # addresses

    def _add_ip(self, interface: dict[str, Any], settings: Settings) -> None:
        name = interface["name"]
        protocol = settings.get("BOOTPROTO").lower()
        addresses = self._read_addresses(name, settings)
        if protocol in ("dhcp", "bootp") or addresses:
            ipv4: dict[str, Any] = {"enabled": True, "dhcp": protocol in ("dhcp", "bootp"), "address": addresses}
            if settings.is_no("DEFROUTE"):
                ipv4["auto-gateway"] = False
            interface["ipv4"] = ipv4
        six = [text for key in ("IPV6ADDR", "IPV6ADDR_SECONDARIES") for text in settings.get(key).split()]
        static = [
            row
            for text in six
            if (row := self._parse_address(name, text, "64", settings.origin("IPV6ADDR"))) is not None
        ]
        is_auto = settings.is_yes("IPV6INIT") and not settings.is_no("IPV6_AUTOCONF") and not static
        if static or is_auto or settings.is_yes("DHCPV6C") or settings.is_yes("IPV6INIT"):  # or only link-local
            interface["ipv6"] = {
                "enabled": True,
                "dhcp": settings.is_yes("DHCPV6C") or is_auto,
                "autoconf": is_auto,
                "address": static,
            }
        for key in ("GATEWAY", "GATEWAY0", "IPV6_DEFAULTGW"):
            gateway = settings.get(key).partition("%")[0]
            if gateway and not settings.is_no("DEFROUTE"):
                self._add_route("::/0" if ":" in gateway else "0.0.0.0/0", gateway, name, settings.origin(key))
        self.servers += [v for k, v in settings.values.items() if re.match(rf"DNS{_NUMBERED}\Z", k) and v]
        self.search += settings.get("DOMAIN").split()

    def _read_addresses(self, name: str, settings: Settings) -> list[dict[str, Any]]:
        rows = []
        for key, text in settings.values.items():
            number = re.match(rf"IPADDR{_NUMBERED}\Z", key)
            if number is None or not text:
                continue
            length = settings.get(f"PREFIX{number[1]}", f"NETMASK{number[1]}")
            row = self._parse_address(name, text, length, settings.origin(key))
            if row is not None:
                rows.append(row)
        return rows

    def _parse_address(self, name: str, text: str, length: str, origin: Origin) -> Optional[dict[str, Any]]:
        try:
            address = ipaddress.ip_interface(text if "/" in text else f"{text}/{length}")
        except ValueError:
            self.report.lose(f"{text} with the prefix {length or 'missing'} is not an address ({name})", origin)
            return None
        return {"ip": str(address.ip), "prefix-length": address.network.prefixlen}

    def _add_alias(self, base: str, settings: Settings) -> None:
        """Add the addresses of an alias such as ifcfg-eth0:1 to its interface."""
        interface = self.interfaces.get(base)
        addresses = self._read_addresses(base, settings)
        if interface is None:
            self.report.lose(f"an alias belongs to {base}, which has no file", settings.origin("DEVICE"))
        elif addresses:
            ipv4 = interface.setdefault("ipv4", {"enabled": True, "dhcp": False, "address": []})
            ipv4["address"] += addresses
            self.report.note(f"an alias is one more address of {base}", settings.origin("DEVICE"))

    def _attach(self, name: str, settings: Settings) -> None:
        """Make an interface a port of the bridge or bond that its file names."""
        for key, section in (("BRIDGE", "bridge"), ("MASTER", "link-aggregation")):
            controller = settings.get(key)
            if not controller or name not in self.interfaces:
                continue
            if section not in self.interfaces.get(controller, {}):
                kind = "bridge" if key == "BRIDGE" else "bond"
                self.report.lose(
                    f"{name} is a port of {controller}, of which there is no file of a {kind}", settings.origin(key)
                )
                continue
            port: Any = {"name": name} if section == "bridge" else name
            self.interfaces[controller][section]["port"].append(port)

    # routes

    def _read_routes(self) -> None:
        for name, lines in self.folder.routes.items():
            for line in lines:
                self._read_route(name, line)
        for lines in self.folder.rules.values():
            for line in lines:
                self.report.lose(f"the routing rule {line.text} is not in the definition", line.origin)
        for line in self.folder.static_routes:
            words = line.text.split()
            values = dict(zip(words[1::2], words[2::2]))
            target = values.get("net") or values.get("host")
            if target is None or not (values.get("gw") or target in _NEEDLESS):
                self.report.lose(f"the route is not known: {line.text}", line.origin)
                continue
            mask = values.get("netmask", "255.255.255.255")
            if target in _NEEDLESS:
                self.report.skip(f"the route to {target} is not needed: every interface has it", line.origin)
                continue
            device = values.get("dev") or self._find_device(values["gw"])
            self._add_route(f"{target}/{mask}", values["gw"], device, line.origin)

    def _read_route(self, name: str, line: TextLine) -> None:
        """Read a route that is written as arguments of `ip route add`."""
        words = line.text.split()
        values: Mapping[str, str] = dict(zip(words[1::2], words[2::2]))
        default = "::/0" if ":" in values.get("via", "") else "0.0.0.0/0"
        target = default if words[0] == "default" else words[0]
        self._add_route(target, values.get("via", ""), values.get("dev", name), line.origin, values)

    def _add_route(
        self, target: str, via: str, device: str, origin: Origin, values: Optional[Mapping[str, str]] = None
    ) -> None:
        try:
            destination = str(ipaddress.ip_network(target, strict=False))
        except ValueError:
            self.report.lose(f"{target} is not the destination of a route", origin)
            return
        route: dict[str, Any] = {"destination": destination, "next-hop-interface": device}
        if via:
            route["next-hop-address"] = via
        for key, name in (("metric", "metric"), ("table", "table-id")):
            text = (values or {}).get(key, "")
            if is_number(text):
                route[name] = int(text)
            elif text and text != "main":
                self.report.lose(f"the {key} {text} of the route to {destination} is not a number", origin)
        self.origins[f"routes/{len(self.routes)}"] = origin
        self.routes.append(route)

    def _find_device(self, gateway: str) -> str:
        """Return the interface whose subnet contains a gateway, or an empty string."""
        for name, interface in self.interfaces.items():
            for row in interface.get("ipv4", {}).get("address", []):
                try:
                    if (
                        ipaddress.ip_address(gateway)
                        in ipaddress.ip_interface(f"{row['ip']}/{row['prefix-length']}").network
                    ):
                        return name
                except ValueError:
                    return ""
        return ""
