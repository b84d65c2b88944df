"""An independent check of a rendered bundle against the host view.

It is written without kvmnet.core.rendering: it looks for the view's facts in the state, and then for anything
unexpected in the state. The real nmstate accepts dangling ports, duplicates and VLAN ID 5000; this module does not.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.views.host_view import HostView, IpView


def differences(view: HostView, bundle: Bundle) -> list[str]:
    """Return how the bundle differs from the view; empty if it does not."""
    return [*_Reading(view, bundle).run()]


def _ports(entry: dict[str, Any]) -> list[str]:
    """A bridge lists its ports as objects with a name, a bond as names."""
    of_bridge = [p["name"] for p in entry.get("bridge", {}).get("port", [])]
    return [*of_bridge, *entry.get("link-aggregation", {}).get("port", [])]


def _vlans(vlan: dict[str, Any]) -> Any:
    """Return the VLANs of a port as nmstate reads them: those with tags, and that of untagged frames; anything that it
    would refuse as it is."""
    tags: list[int] = []
    for row in vlan.get("trunk-tags", []):
        given = row["id-range"] if "id-range" in row else {"min": row.get("id", 0), "max": row.get("id", 0)}
        if set(given) != {"min", "max"} or len(row) != 1:
            return vlan
        tags += range(given["min"], given["max"] + 1)
    tag = vlan.get("tag")
    if vlan["mode"] == "access":
        return vlan if set(vlan) != {"mode", "tag"} else ([], tag)
    keys = {"mode", "enable-native", "trunk-tags", *(["tag"] if tag is not None else [])}
    is_right = vlan["mode"] == "trunk" and set(vlan) == keys and vlan["enable-native"] is (tag is not None)
    return (sorted(tags), tag) if is_right and len(set(tags)) == len(tags) else vlan


def _leaves(settings: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return the places of the values in nested mappings, with the values; a list is one value."""
    if not isinstance(settings, dict):
        return [(path, settings)]
    return [leaf for key, value in settings.items() for leaf in _leaves(value, (*path, key))]


class _Reading:
    def __init__(self, view: HostView, bundle: Bundle) -> None:
        self.view, self.bundle = view, bundle
        self.wrong: list[str] = []
        self.rest = copy.deepcopy(list(bundle.state.get("interfaces", [])))
        self.extra = copy.deepcopy(list((bundle.guests or {}).get("interfaces", [])))
        self.by_name: dict[str, dict[str, Any]] = {}
        for entry in self.rest + self.extra:
            if entry["name"] in self.by_name:
                self.wrong.append(f"{entry['name']} is there twice")
            self.by_name[entry["name"]] = entry

    def expect(self, what: str, is_there: Any, wanted: Any) -> None:
        if is_there != wanted:
            self.wrong.append(f"{what}: {is_there!r}, not {wanted!r}")

    def entry(self, name: str, kind: str, state: str = "up") -> dict[str, Any]:
        entry = self.by_name.get(name)
        if entry is None:
            self.wrong.append(f"{name} is missing")
            return {}
        self.expect(f"{name} type", entry.get("type"), kind)
        self.expect(f"{name} state", entry.get("state"), state)
        return entry

    def addresses(self, entry: dict[str, Any], name: str, ip: IpView) -> None:
        for version, key in ((4, "ipv4"), (6, "ipv6")):
            family, source = entry.get(key, {}), getattr(ip, key)
            mine = [(a.ip, a.prefix) for a in ip.addresses if a.version == version]
            on = bool(mine) if source == "static" else source != "none"
            self.expect(f"{name} {key} enabled", family.get("enabled"), on)
            there = [(a["ip"], a["prefix-length"]) for a in family.get("address", [])]
            self.expect(f"{name} {key} addresses", there, mine)
            asks = source in ("dhcp", "auto")
            self.expect(f"{name} {key} dhcp", family.get("dhcp", False), asks)
            self.expect(f"{name} {key} autoconf", family.get("autoconf", False), source == "auto")
            metric = None if (version, source) == (6, "dhcp") else ip.metric
            wanted = (ip.auto_dns, ip.auto_gateway, True, metric) if asks else (None,) * 4
            auto = [family.get(f"auto-{word}") for word in ("dns", "gateway", "routes", "route-metric")]
            self.expect(f"{name} {key} auto", tuple(auto), wanted)
            client = "ll" if asks and version == 4 else None
            self.expect(f"{name} {key} client", family.get("dhcp-client-id"), client)

    def run(self) -> list[str]:
        view = self.view
        wanted = {n.name for n in view.nics if n.managed}
        for group in (view.bonds, view.vlans, view.bridges, view.guest_vlans, view.macvtaps):
            wanted |= {item.name for item in group}
        wanted |= {dummy.name for dummy in view.dummies} | {other.name for other in view.others}
        self._check_passed()
        self.expect("interfaces", set(self.by_name), wanted)
        self._nics()
        self._bonds()
        self._dummies()
        self._others()
        self._bridges()
        self._vlans()
        self._macvtaps()
        self._whole()
        self._links()
        return self.wrong

    def _check_passed(self) -> None:
        """Check what is passed through to nmstate, and take it out of the entries: what is left is expected later."""
        for name, settings in self.view.pass_through:
            entry = self.by_name.get(name, {})
            for path, value in _leaves(settings):
                holder: Any = entry
                for key in path[:-1]:
                    holder = holder.get(key, {})
                self.expect(f"{name} {'.'.join(path)}", holder.pop(path[-1], None), value)
            for key in settings:
                if not _leaves(entry.get(key, {})):
                    entry.pop(key, None)
        passed = ("ethtool", "lldp", "mptcp", "ethernet", "vxlan", "vrf", "mac-vlan")
        for entry in self.by_name.values():
            self.wrong += [f"{entry['name']} has {key}, which nothing passes through" for key in passed if key in entry]

    def _others(self) -> None:
        for other in self.view.others:
            entry = self.entry(other.name, other.type)
            self.expect(f"{other.name} mtu", entry.get("mtu"), other.mtu)
            self.expect(f"{other.name} mac", entry.get("mac-address"), other.mac.upper() if other.mac else None)
            self.addresses(entry, other.name, other.ip)
            keys = {"name", "type", "state", "ipv4", "ipv6", "mtu", "mac-address"}
            self.expect(f"{other.name} other keys", set(entry) - keys, set())
            for name in (*other.bases, *other.ports):
                if name not in self.by_name:
                    self.wrong.append(f"{other.name} needs {name}, which is not there")

    def _nics(self) -> None:
        for nic in self.view.nics:
            if not nic.managed:
                continue
            kind = "infiniband" if nic.infiniband is not None else "ethernet"
            entry = self.entry(nic.name, kind, "up" if nic.up else "down")
            if nic.infiniband is not None:
                ib = nic.infiniband
                wanted = {"mode": ib.mode, "pkey": f"0x{ib.pkey:04x}" if ib.pkey else "0xffff"}
                wanted.update({"base-iface": ib.base} if ib.base else {})
                self.expect(f"{nic.name} infiniband", entry.get("infiniband"), wanted)
            if not nic.up:
                keys = {"name", "type", "state", *(["infiniband"] if kind == "infiniband" else [])}
                self.expect(f"{nic.name}, which is down", set(entry), keys)
                continue
            self.expect(f"{nic.name} mtu", entry.get("mtu"), nic.mtu)
            self.expect(f"{nic.name} promiscuous", entry.get("accept-all-mac-addresses", False), nic.promiscuous)
            self.addresses(entry, nic.name, nic.ip)
            self.expect(f"{nic.name} controller", self.controller(nic.name), nic.controller or nic.bond)

    def controller(self, port: str) -> Any:
        """Return the bridge or bond that has a port, from the state alone."""
        holders = [name for name, entry in self.by_name.items() if port in _ports(entry)]
        return None if not holders else holders[0] if len(holders) == 1 else holders

    def _bonds(self) -> None:
        for bond in self.view.bonds:
            entry = self.entry(bond.name, "bond")
            self.expect(f"{bond.name} mtu", entry.get("mtu"), bond.mtu)
            self.expect(f"{bond.name} mac", entry.get("mac-address"), bond.mac.upper() if bond.mac else None)
            there = entry.get("link-aggregation", {})
            self.expect(f"{bond.name} mode", there.get("mode"), bond.mode)
            self.expect(f"{bond.name} options", there.get("options"), dict(bond.options))
            self.expect(f"{bond.name} ports", there.get("port"), list(bond.ports))
            self.addresses(entry, bond.name, bond.ip)
            self.expect(f"{bond.name} controller", self.controller(bond.name), bond.controller)

    def _dummies(self) -> None:
        for dummy in self.view.dummies:
            entry = self.entry(dummy.name, "loopback" if dummy.is_loopback else "dummy")
            self.expect(f"{dummy.name} mtu", entry.get("mtu"), dummy.mtu)
            self.expect(f"{dummy.name} controller", self.controller(dummy.name), dummy.controller)
            if not dummy.is_loopback:
                self.addresses(entry, dummy.name, dummy.ip)
                continue
            for version, own in ((4, ("127.0.0.1", 8)), (6, ("::1", 128))):
                family = entry.get(f"ipv{version}", {})
                there = [(a["ip"], a["prefix-length"]) for a in family.get("address", [])]
                mine = [(a.ip, a.prefix) for a in dummy.ip.addresses if a.version == version]
                self.expect(f"lo ipv{version}", (family.get("enabled"), there), (True, [own, *mine]))

    def _bridges(self) -> None:
        for bridge in self.view.bridges:
            entry = self.entry(bridge.name, "linux-bridge")
            self.expect(f"{bridge.name} mtu", entry.get("mtu"), bridge.mtu)
            mac = entry.get("mac-address")
            self.expect(f"{bridge.name} mac", mac, bridge.mac.upper() if bridge.mac else None)
            options = entry.get("bridge", {}).get("options", {})
            self.expect(f"{bridge.name} stp", options.get("stp", {}).get("enabled"), bridge.stp)
            rows = entry.get("bridge", {}).get("port", [])
            self.expect(f"{bridge.name} ports", [p["name"] for p in rows], list(bridge.ports))
            self.expect(
                f"{bridge.name} keys of ports", {key for p in rows for key in p} - {"vlan"}, {"name"} if rows else set()
            )
            vlans = {p["name"]: _vlans(p["vlan"]) for p in rows if "vlan" in p}
            wanted_vlans = {
                name: (sorted(t for first, last in v.tagged for t in range(first, last + 1)), v.untagged)
                for name, v in bridge.port_vlans
            }
            self.expect(f"{bridge.name} VLANs of ports", vlans, wanted_vlans)
            wanted = {
                "mac-ageing-time": bridge.ageing,
                "group-forward-mask": bridge.group_forward_mask,
                "multicast-snooping": bridge.multicast_snooping,
                "vlan-default-pvid": None if bridge.has_untagged else 0,
            }
            self.expect(f"{bridge.name} priority", options.get("stp", {}).get("priority"), bridge.priority)
            self.expect(f"{bridge.name} options", {key: options.get(key) for key in wanted}, wanted)
            self.expect(f"{bridge.name} other options", options.keys() - wanted.keys(), {"stp"})
            settings = self.bundle.profile_settings.get(bridge.name, {})
            self.expect(f"{bridge.name} filtering", settings.get("bridge.vlan-filtering"), bridge.vlan_filtering)
            self.expect(f"{bridge.name} stated", bridge.name in self.bundle.stated_macs, bridge.is_mac_stated)
            self.expect(f"{bridge.name} controller", self.controller(bridge.name), None)
            self.addresses(entry, bridge.name, bridge.ip)

    def _vlans(self) -> None:
        for vlan in (*self.view.vlans, *self.view.guest_vlans):
            entry = self.entry(vlan.name, "vlan")
            self.expect(f"{vlan.name} mtu", entry.get("mtu"), vlan.mtu)
            there = entry.get("vlan", {})
            self.expect(f"{vlan.name} over", (there.get("base-iface"), there.get("id")), (vlan.base, vlan.tag))
            self.addresses(entry, vlan.name, vlan.ip)
            self.expect(f"{vlan.name} controller", self.controller(vlan.name), vlan.controller)

    def _macvtaps(self) -> None:
        for macvtap in self.view.macvtaps:
            entry = self.entry(macvtap.name, "mac-vtap")
            there = entry.get("mac-vtap", {})
            self.expect(f"{macvtap.name} over", there.get("base-iface"), macvtap.base)
            self.expect(f"{macvtap.name} mode", there.get("mode"), macvtap.mode)
            self.expect(f"{macvtap.name} mac", entry.get("mac-address"), macvtap.mac.upper())
            self.addresses(entry, macvtap.name, IpView())
        self.expect("zones", self._zones(), dict(self.view.zones))
        self.expect("descriptions", dict(self.bundle.descriptions), dict(self.view.descriptions))
        tagged = [p.guest for p in self.view.guest_ports if p.trunk or p.untagged is not None]
        self.expect("guests on VLANs of a bridge", list(self.bundle.tagged_guests), list(dict.fromkeys(tagged)))
        trusting = [m.mac for m in self.view.macvtaps if m.trusts_guest and not m.always]
        stated_stp = [b.name for b in self.view.bridges if b.is_stp_stated]
        self.expect("bridges whose spanning tree is stated", list(self.bundle.stated_stp), stated_stp)
        self.expect("macvtaps that trust their guests", list(self.bundle.trusting), trusting)

    def _zones(self) -> dict[str, Any]:
        """Return the zones of interfaces that exist, from the bundle alone."""
        zones = {n: s["connection.zone"] for n, s in self.bundle.profile_settings.items() if "connection.zone" in s}
        self.wrong += [f"{name} has a zone and is not there" for name in zones if name not in self.by_name]
        return zones

    def _whole(self) -> None:
        """Check routes and name service, and that every reference leads to an interface."""
        view, state = self.view, self.bundle.state
        at_rest = {entry["name"] for entry in self.rest}
        routes = [
            (r["destination"], r.get("next-hop-address", ""), r["next-hop-interface"], r["metric"], r["table-id"])
            for r in state.get("routes", {}).get("config", [])
        ]
        self.expect("routes", routes, [(r.destination, r.via, r.device, r.metric, r.table) for r in view.routes])
        keys = ("family", "ip-from", "ip-to", "iif", "fwmark", "route-table", "action", "priority")
        rules = [tuple(r.get(key) for key in keys) for r in state.get("route-rules", {}).get("config", [])]
        mine = [
            (
                r.family,
                r.source,
                r.destination,
                r.incoming,
                r.fwmark,
                0 if r.table in (None, 254) else r.table,
                r.action,
                r.priority,
            )
            for r in view.rules
        ]
        self.expect("rules", rules, mine)
        for _, source, destination, incoming, *_ in rules:
            if incoming not in (None, "lo", *at_rest):
                self.wrong.append(f"a rule for {incoming}, which is not there")
            self.wrong += [f"a rule for {net}" for net in (source, destination) if net in ("0.0.0.0/0", "::/0")]
        self.expect("probes", self.bundle.probes, view.probes)
        config = state.get("dns-resolver", {}).get("config", {})
        self.expect("name servers", config.get("server", []), list(view.dns_servers))
        self.expect("search domains", config.get("search", []), list(view.dns_search))
        on_demand = [v.name for v in view.guest_vlans if not v.always]
        on_demand += [m.name for m in view.macvtaps if not m.always]
        self.expect("brought by guests", [entry["name"] for entry in self.extra], on_demand)
        self.expect("whether there is a guests.yml", self.bundle.guests is not None, bool(on_demand))
        self.expect("hostname", state.get("hostname"), {"config": view.hostname} if view.hostname else None)
        for entry in self.rest + self.extra:
            around = at_rest if entry in self.rest else set(self.by_name)
            ports = _ports(entry)
            bases = [entry.get(kind, {}).get("base-iface") for kind in ("vlan", "mac-vtap", "infiniband")]
            for name in [*ports, *(base for base in bases if base)]:
                if name not in around:
                    self.wrong.append(f"{entry['name']} needs {name}, which is not there")
            if len(entry["name"]) > 15:
                self.wrong.append(f"{entry['name']} is too long a name")
            if "vlan" in entry and not 1 <= entry["vlan"]["id"] <= 4094:
                self.wrong.append(f"{entry['name']} has tag {entry['vlan']['id']}")
            base = self.by_name.get(entry.get("vlan", {}).get("base-iface", ""), {})
            if entry.get("mtu", 1500) > base.get("mtu", 1500) and "vlan" in entry:
                self.wrong.append(f"{entry['name']} has a larger MTU than {base.get('name')}")
        for route in state.get("routes", {}).get("config", []):
            if route["next-hop-interface"] not in at_rest:
                self.wrong.append(f"a route through {route['next-hop-interface']}, which is not there")

    def _links(self) -> None:
        """Check the .link files, read as udev reads them."""
        wanted = {nic.mac: nic.name for nic in self.view.nics if nic.has_link_file}
        there = {}
        for file, text in self.bundle.links.items():
            mac = re.findall(r"^PermanentMACAddress=(.*)$", text, re.MULTILINE)
            name = re.findall(r"^Name=(.*)$", text, re.MULTILINE)
            if len(mac) != 1 or len(name) != 1 or "Policy" in text or not file < "10-":
                self.wrong.append(f"{file} is not a .link file of ours")
            else:
                there[mac[0]] = name[0]
        self.expect(".link files", there, wanted)
        for nic in self.bundle.nics:
            if nic.link_file is not None and nic.link_file not in self.bundle.links:
                self.wrong.append(f"{nic.link_file} is missing")
