"""Renders a host's view as its bundle. A small function builds each kind of interface.

The order is fixed: NICs, bonds, VLANs, bridges, macvtaps, each in the order of the definition. VLANs over a bridge
come after the bridges, then the bridges over these VLANs, and so on. The state contains everything for which nmstate
would otherwise choose a value: the type, both IP families, STP, the MAC address of a bridge, the metric of a route.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Optional

from kvmnet.core.base.nmstate import State
from kvmnet.core.rendering.bundle import Bundle, Nic
from kvmnet.core.views.host_view import NO_IP, BondView, BridgeView, HostView, IpView, MacvtapView, NicView, VlanView


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
        state["routes"] = {
            "config": [
                {
                    "destination": route.destination,
                    "next-hop-address": route.via,
                    "next-hop-interface": route.device,
                    "metric": route.metric,
                    "table-id": route.table,
                }
                for route in view.routes
            ]
        }
    state["interfaces"] = [
        *(_nic(nic) for nic in view.nics if nic.managed),
        *(_bond(bond) for bond in view.bonds),
        *(_vlan(layer) if isinstance(layer, VlanView) else _bridge(layer) for layer in view.layers()),
        *from_boot,
    ]
    bundle = Bundle(
        cluster=view.cluster,
        host=view.host,
        profile=view.policy.name,
        nics=tuple(_nic_of_bundle(nic) for nic in view.nics),
        state=state,
        guests={"interfaces": on_demand} if on_demand else None,
        links={_link_name(nic): _link_text(nic) for nic in view.nics if nic.has_link_file},
        probes=view.probes,
        profile_settings={
            bridge.name: {"bridge.vlan-filtering": bridge.vlan_filtering}
            for bridge in view.bridges
            if bridge.vlan_filtering is not None
        },
        stated_macs=tuple(bridge.name for bridge in view.bridges if bridge.is_mac_stated),
        stated_stp=tuple(bridge.name for bridge in view.bridges if bridge.is_stp_stated),
        trusting=tuple(m.mac for m in view.macvtaps if m.trusts_guest),
    )
    return dataclasses.replace(bundle, digest=compute_digest(bundle))


def compute_digest(bundle: Bundle) -> str:
    """Return "sha256:<hex>" of everything in a bundle except its digest, as JSON with sorted keys."""
    content = {**vars(bundle), "nics": [vars(nic) for nic in bundle.nics]}
    del content["digest"]
    content["probes"] = [probe.to_json() for probe in bundle.probes]
    # Omitted if empty, so that the digests of older bundles stay the same.
    for key in ("probes", "profile_settings", "stated_macs", "stated_stp", "trusting"):
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
        link_file=_link_name(nic) if nic.has_link_file else None,
    )


def _link_name(nic: NicView) -> str:
    """Return the name of a NIC's .link file.

    It begins with 00 because udev uses the first matching file in lexical order, and the files of installers begin with
    10 (systemd.link(5)).
    """
    return f"00-kvmnet-{nic.name}.link"


def _link_text(nic: NicView) -> str:
    """Return the text of a NIC's .link file.

    It has no NamePolicy= and no AlternativeNamesPolicy=, so that udev does not set the old name as an alternative name.
    """
    return (
        f"# Written by kvmnet: interface {nic.interface} is the NIC {nic.mac}.\n"
        f"[Match]\nPermanentMACAddress={nic.mac}\n\n[Link]\nName={nic.name}\n"
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
    if not nic.up:
        return {"name": nic.name, "type": "ethernet", "state": "down"}
    entry = _base(nic.name, "ethernet", nic.mtu)
    if nic.controller is not None:
        entry["accept-all-mac-addresses"] = nic.promiscuous
    return _with_ip(entry, nic.ip)


def _bond(bond: BondView) -> dict[str, Any]:
    entry = _base(bond.name, "bond", bond.mtu, bond.mac)
    entry["link-aggregation"] = {"mode": bond.mode, "options": dict(bond.options), "port": list(bond.ports)}
    return _with_ip(entry, bond.ip)


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
    }
    entry["bridge"] = {"options": _without_none(options), "port": [{"name": port} for port in bridge.ports]}
    return _with_ip(entry, bridge.ip)


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the definition states; nmstate leaves the others alone."""
    return {key: value for key, value in settings.items() if value is not None}


def _macvtap(macvtap: MacvtapView) -> dict[str, Any]:
    entry = _base(macvtap.name, "mac-vtap", None, macvtap.mac)
    entry["mac-vtap"] = {"base-iface": macvtap.base, "mode": macvtap.mode}
    return _with_ip(entry, NO_IP)
