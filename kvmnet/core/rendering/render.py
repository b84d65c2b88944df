"""Renders a host's view as its bundle. A small function builds each kind of interface.

The order is fixed: NICs, bonds, dummies, VLANs, bridges, interfaces that only nmstate has a type for, macvtaps, each in
the order of the definition. VLANs over a bridge come after the bridges, then the bridges over these VLANs, and so on.
The state contains everything for which nmstate would otherwise choose a value: the type, both IP families, STP, the MAC
address of a bridge, the metric of a route, the priority of a rule. What the definition passes through is added last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional

from kvmnet.core.base.nmstate import INFINIBAND, MAIN_TABLE, State
from kvmnet.core.base.profile_settings import VLAN_FILTERING, ZONE
from kvmnet.core.definition.port_vlans import PortVlans
from kvmnet.core.rendering.bundle import Bundle, Nic
from kvmnet.core.rendering.link_files import link_file_name, link_file_texts
from kvmnet.core.views.host_view import (
    NO_IP,
    BondView,
    BridgeView,
    DummyView,
    HostView,
    InfinibandView,
    IpView,
    MacvtapView,
    NicView,
    OtherView,
    RouteView,
    RuleView,
    VlanView,
)


def render(view: HostView) -> Bundle:
    """Return the bundle of one host. Equal views give equal bundles."""
    from_boot, on_demand = (
        [
            *(_vlan(v) for v in view.guest_vlans if v.always is always),
            *(_macvtap(m) for m in view.macvtaps if m.always is always),
        ]
        for always in (True, False)
    )
    state: State = {}
    if view.hostname is not None:
        state["hostname"] = {"config": view.hostname}
    if view.dns_servers or view.dns_search:
        config: dict[str, Any] = {}
        if view.dns_servers:
            config["server"] = list(view.dns_servers)
        if view.dns_search:
            config["search"] = list(view.dns_search)
        state["dns-resolver"] = {"config": config}
    if view.routes:
        state["routes"] = {"config": [_route(route) for route in view.routes]}
    if view.rules:
        state["route-rules"] = {"config": [_rule(rule) for rule in view.rules]}
    state["interfaces"] = [
        *(_nic(nic) for nic in view.nics if nic.managed),
        *(_bond(bond) for bond in view.bonds),
        *(_dummy(dummy) for dummy in view.dummies),
        *(_vlan(layer) if isinstance(layer, VlanView) else _bridge(layer) for layer in view.layers()),
        *(_other(other) for other in view.others),
        *from_boot,
    ]
    _pass_through(state["interfaces"], dict(view.pass_through))
    nics = list_nics(view)
    bundle = Bundle(
        cluster=view.cluster,
        host=view.host,
        profile=view.policy.name,
        nics=nics,
        state=state,
        guests={"interfaces": on_demand} if on_demand else None,
        links=link_file_texts(nics),
        probes=view.probes,
        profile_settings=_profile_settings(view),
        stated_macs=tuple(bridge.name for bridge in view.bridges if bridge.is_mac_stated),
        stated_stp=tuple(bridge.name for bridge in view.bridges if bridge.is_stp_stated),
        trusting=tuple(m.mac for m in view.macvtaps if m.trusts_guest),
        descriptions=dict(view.descriptions),
        tagged_guests=tuple(dict.fromkeys(port.guest for port in view.guest_ports if port.needs_vlans)),
    )
    return dataclasses.replace(bundle, digest=compute_digest(bundle))


def list_nics(view: HostView) -> tuple[Nic, ...]:
    """Return the NICs of a host's bundle."""
    return tuple(_nic_of_bundle(nic) for nic in view.nics if not nic.infiniband or nic.infiniband.pkey is None)


def _profile_settings(view: HostView) -> dict[str, dict[str, Any]]:
    """Return what the connection profiles have that nmstate has no key for, by interface."""
    settings: dict[str, dict[str, Any]] = {}
    for bridge in view.bridges:
        if bridge.vlan_filtering is not None:
            settings.setdefault(bridge.name, {})[VLAN_FILTERING.name] = bridge.vlan_filtering
    for device, zone in view.zones:
        settings.setdefault(device, {})[ZONE.name] = zone
    return settings


def compute_digest(bundle: Bundle) -> str:
    """Return "sha256:<hex>" of everything in a bundle except its digest, as JSON with sorted keys."""
    content = {**vars(bundle), "nics": [vars(nic) for nic in bundle.nics]}
    del content["digest"]
    content["probes"] = [probe.to_json() for probe in bundle.probes]
    # Omitted if empty, so that the digests of older bundles stay the same.
    later_keys = (
        "probes",
        "profile_settings",
        "stated_macs",
        "stated_stp",
        "trusting",
        "descriptions",
        "tagged_guests",
    )
    for key in later_keys:
        if not content[key]:
            del content[key]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def _nic_of_bundle(nic: NicView) -> Nic:
    return Nic(
        interface=nic.interface,
        name=nic.name,
        kernel_name=nic.kernel_name,
        mac=nic.mac,
        bridge=nic.controller,
        link_file=link_file_name(nic.name) if nic.has_link_file else None,
    )


def _family(ip: IpView, version: int) -> dict[str, Any]:
    """Return the settings of one IP family, also if it is disabled: nmstate does not change a missing family."""
    source = ip.ipv4 if version == 4 else ip.ipv6
    addresses = [{"ip": a.ip, "prefix-length": a.prefix} for a in ip.addresses if a.version == version]
    if source == "none" or (source == "static" and not addresses):
        return {"enabled": False}
    family: dict[str, Any] = {"enabled": True, "dhcp": source in ("dhcp", "auto")}
    if version == 6:
        family["autoconf"] = source == "auto"
    elif source == "dhcp":
        family["dhcp-client-id"] = "ll"  # by MAC: the bridge gets the same lease as its NIC
    if family["dhcp"]:
        family["auto-dns"] = ip.auto_dns
        family["auto-gateway"] = ip.auto_gateway
        family["auto-routes"] = True
        if source == "auto" or version == 4:  # DHCPv6 gives no routes, and nmstate drops the metric
            family["auto-route-metric"] = ip.metric
    return {**family, "address": addresses} if addresses else family


def _base(name: str, kind: str, mtu: Optional[int], mac: Optional[str] = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "type": kind, "state": "up"}
    if mac is not None:
        entry["mac-address"] = mac.upper()  # as nmstate prints it
    if mtu is not None:
        entry["mtu"] = mtu
    return entry


def _with_ip(entry: dict[str, Any], ip: IpView) -> dict[str, Any]:
    return {**entry, "ipv4": _family(ip, 4), "ipv6": _family(ip, 6)}


def _nic(nic: NicView) -> dict[str, Any]:
    if nic.infiniband is not None:
        entry = _infiniband(nic, nic.infiniband)
        # NetworkManager refuses a profile without the mode, also one that is not activated
        down = {"name": nic.name, "type": INFINIBAND, "state": "down", "infiniband": entry["infiniband"]}
        return _with_ip(entry, nic.ip) if nic.up else down
    if not nic.up:
        return {"name": nic.name, "type": "ethernet", "state": "down"}
    entry = _base(nic.name, "ethernet", nic.mtu)
    if nic.controller is not None:
        entry["accept-all-mac-addresses"] = nic.promiscuous
    return _with_ip(entry, nic.ip)


def _infiniband(nic: NicView, settings: InfinibandView) -> dict[str, Any]:
    """Return an IPoIB interface; a key of 0xffff stands for one that is no partition."""
    entry = _base(nic.name, INFINIBAND, nic.mtu)
    pkey = f"0x{0xFFFF if settings.pkey is None else settings.pkey:04x}"
    base = {"base-iface": settings.base} if settings.base is not None else {}
    return {**entry, "infiniband": {"mode": settings.mode, "pkey": pkey, **base}}


def _bond(bond: BondView) -> dict[str, Any]:
    entry = _base(bond.name, "bond", bond.mtu, bond.mac)
    entry["link-aggregation"] = {"mode": bond.mode, "options": dict(bond.options), "port": list(bond.ports)}
    return _with_ip(entry, bond.ip)


def _dummy(dummy: DummyView) -> dict[str, Any]:
    """Return a dummy, or the loopback interface: nmstate refuses it without IPv4 or IPv6, and NetworkManager keeps its
    own addresses."""
    if not dummy.is_loopback:
        return _with_ip(_base(dummy.name, "dummy", dummy.mtu), dummy.ip)
    entry = _base(dummy.name, "loopback", dummy.mtu)
    for version, own in ((4, {"ip": "127.0.0.1", "prefix-length": 8}), (6, {"ip": "::1", "prefix-length": 128})):
        others = [{"ip": a.ip, "prefix-length": a.prefix} for a in dummy.ip.addresses if a.version == version]
        entry[f"ipv{version}"] = {"enabled": True, "address": [own, *others]}
    return entry


def _other(other: OtherView) -> dict[str, Any]:
    """Return an interface that only nmstate has a type for, without what is passed through."""
    return _with_ip(_base(other.name, other.type, other.mtu, other.mac), other.ip)


def _pass_through(interfaces: list[dict[str, Any]], settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Add to each interface what the definition passes through to nmstate."""
    for entry in interfaces:
        entry.update(_merge(entry, settings.get(entry["name"], {})))


def _merge(entry: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with these settings added, also inside of mappings that both have."""
    merged = dict(entry)
    for key, value in settings.items():
        is_in_both = isinstance(value, Mapping) and isinstance(entry.get(key), Mapping)
        merged[key] = _merge(entry[key], value) if is_in_both else value
    return merged


def _route(route: RouteView) -> dict[str, Any]:
    entry = {
        "destination": route.destination,
        "next-hop-address": route.via or None,
        "next-hop-interface": route.device,
        "metric": route.metric,
        "table-id": route.table,
    }
    return _without_none(entry)


def _rule(rule: RuleView) -> dict[str, Any]:
    """Return a rule. The main table is 0, which nmstate reads as 254: with 254, nmstate (2.2.9 to 2.2.62) takes the
    first interface by name for the rule, also a port, whose connection profile cannot contain it."""
    table = 0 if rule.table in (None, MAIN_TABLE) else rule.table
    entry = {
        "family": rule.family,
        "ip-from": rule.source,
        "ip-to": rule.destination,
        "iif": rule.incoming,
        "fwmark": rule.fwmark,
        "route-table": table,
        "action": rule.action,
        "priority": rule.priority,
    }
    return _without_none(entry)


def _vlan(vlan: VlanView) -> dict[str, Any]:
    entry = _base(vlan.name, "vlan", vlan.mtu)
    entry["vlan"] = {"base-iface": vlan.base, "id": vlan.tag}
    return _with_ip(entry, vlan.ip)


def _bridge(bridge: BridgeView) -> dict[str, Any]:
    entry = _base(bridge.name, "linux-bridge", bridge.mtu, bridge.mac)
    stp = {"enabled": bridge.stp, "priority": bridge.priority}
    options = {
        "stp": _without_none(stp),
        "mac-ageing-time": bridge.ageing,
        "group-forward-mask": bridge.group_forward_mask,
        "multicast-snooping": bridge.multicast_snooping,
        "vlan-default-pvid": None if bridge.has_untagged else 0,
    }
    vlans = {port: _port_vlans(of_port) for port, of_port in bridge.port_vlans}
    ports = [{"name": port, **({"vlan": vlans[port]} if port in vlans else {})} for port in bridge.ports]
    entry["bridge"] = {"options": _without_none(options), "port": ports}
    return _with_ip(entry, bridge.ip)


def _port_vlans(vlans: PortVlans) -> dict[str, Any]:
    """Return the VLANs of a bridge's port. nmstate turns VLAN filtering on for a bridge that has such a port."""
    if not vlans.tagged and vlans.untagged is not None:
        return {"mode": "access", "tag": vlans.untagged}
    native = {"enable-native": vlans.untagged is not None}
    tag = {"tag": vlans.untagged} if vlans.untagged is not None else {}
    tags = [
        {"id": first} if first == last else {"id-range": {"min": first, "max": last}} for first, last in vlans.tagged
    ]
    return {"mode": "trunk", **native, **tag, "trunk-tags": tags}


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the definition states; nmstate leaves the others alone."""
    return {key: value for key, value in settings.items() if value is not None}


def _macvtap(macvtap: MacvtapView) -> dict[str, Any]:
    entry = _base(macvtap.name, "mac-vtap", None, macvtap.mac)
    entry["mac-vtap"] = {"base-iface": macvtap.base, "mode": macvtap.mode}
    return _with_ip(entry, NO_IP)
