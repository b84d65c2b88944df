"""The live host that a bundle describes: as it reads after the bundle was applied and kept.

A host may have more than its bundle states. Here it has only that, with the defaults of the kernel where a plan shows
them, and everything virtual was created by kvmnet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

from kvmnet.core.base.nmstate import (
    ETHERNET,
    INFINIBAND,
    KERNEL_KINDS,
    LOOPBACK,
    MAIN_TABLE,
    NM_ETHERNET,
    NM_TYPES,
    State,
    interfaces_of,
    port_names,
    rules_of,
)
from kvmnet.core.base.profile_settings import CLONED_MAC, PROFILE_SETTINGS, VLAN_FILTERING, ZONE
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.complete_bundle import choose_macs, complete_bundle, generate_mac
from kvmnet.core.planning.defaults import ETHERNET_MTU
from kvmnet.core.planning.ownership import make_ownership_record, profile_uuid
from kvmnet.core.planning.rule_changes import find_holder
from kvmnet.core.rendering.bundle import Bundle, Nic
from kvmnet.core.rendering.guest_settings import guest_settings
from kvmnet.core.rendering.hook_record import format_hook_record

_KEYFILES = "/etc/NetworkManager/system-connections"
_IPOIB = "ipoib"
#: Who gives a default route: the key of the family, the destination, and what stands for the gateway.
_LEARNED = (("ipv4", "dhcp", "0.0.0.0/0", "DHCP"), ("ipv6", "autoconf", "::/0", "router advertisements"))


def make_applied_host(bundle: Bundle, later: Sequence[Nic] = ()) -> Live:
    """Return the host on which a bundle is applied. `later` are the NICs of the bundle that comes next: those that the
    applied one does not have are on the host too, without a connection profile, and each MAC address that only one of
    the bundles states is known."""
    nics = _find_links(bundle, later)
    bare = Live(bundle.host, {"interfaces": []}, {LOOPBACK: Link(LOOPBACK, None, None), **nics}, {})
    completed = complete_bundle(bundle, choose_macs(bundle, bare))
    record = make_ownership_record(completed, bare)
    interfaces = [_as_shown(i, completed, nics) for i in interfaces_of(completed.state)]
    shown = {i["name"] for i in interfaces}
    interfaces += [_idle_nic(link) for link in nics.values() if link.name not in shown]
    if LOOPBACK not in shown:
        interfaces.append({"name": LOOPBACK, "type": "loopback", "state": "up"})
    uuids = {name: owned.uuid for name, owned in record.owned.items()}
    return dataclasses.replace(
        bare,
        state=_with_learned_routes({**completed.state, "interfaces": interfaces}),
        links={**bare.links, **_make_links(completed, nics)},
        profiles=_make_profiles(completed, nics, uuids),
        link_files=dict(bundle.links),
        zones={name: str(s[ZONE.name]) for name, s in bundle.profile_settings.items() if ZONE.name in s},
        applied=bundle.digest,
        hook=format_hook_record(bundle),
        settings=guest_settings(bundle),
        owned=record.owned,
        applied_state=record.state,
        first_names=_find_first_names(bundle, nics, later),
        applied_settings=record.settings,
    )


def find_assumed_names(bundle: Bundle, later: Sequence[Nic]) -> dict[str, str]:
    """Return the kernel names that `make_applied_host` gives to NICs of which none is known, by MAC address."""
    links = {link.mac: name for name, link in _find_links(bundle, later).items()}
    known = {nic.mac for nic in bundle.nics}
    return {
        nic.mac: links[nic.mac]
        for nic in later
        if nic.mac and nic.mac not in known and links.get(nic.mac) not in (None, nic.kernel_name, nic.name)
    }


def find_invented_macs(bundle: Bundle, later: Sequence[Nic]) -> set[str]:
    """Return the MAC addresses that `make_applied_host` gives to NICs of which none is known."""
    stated = {nic.mac for nic in (*bundle.nics, *later)}
    return {str(link.mac) for link in _find_links(bundle, later).values() if link.mac not in stated}


def _find_links(bundle: Bundle, later: Sequence[Nic]) -> dict[str, Link]:
    """Return the NICs by their names while the bundle is applied. A NIC of which no MAC address is known gets one, as
    every NIC has one."""
    by_key = {nic.interface: nic for nic in later}
    links: dict[str, Link] = {}
    for nic in bundle.nics:
        mac = nic.mac or _find_mac_of(nic, by_key) or generate_mac(bundle.cluster, bundle.host, "NIC", nic.name)
        links[nic.name] = Link(nic.name, mac, None)
    present = {link.mac for link in links.values()}
    taken = {*links, *(i["name"] for i in interfaces_of(bundle.state))}
    for nic in later:
        if nic.mac in present or (nic.mac is None and nic.name in links):
            continue
        name = _find_kernel_name(nic, taken)
        links[name] = Link(name, nic.mac or generate_mac(bundle.cluster, bundle.host, "NIC", nic.name), None)
        taken.add(name)
    return links


def _find_first_names(bundle: Bundle, nics: Mapping[str, Link], later: Sequence[Nic]) -> dict[str, str]:
    """Return the kernel names that NICs had before kvmnet, by MAC address: the ones that the definition states or
    needs. Otherwise the next one does, if its naming policy renames nothing; else it is taken for the NIC's key."""
    needed = {nic.mac: nic.name for nic in later if nic.mac and nic.link_file is None}
    macs = {nic.name: str(nics[nic.name].mac) for nic in bundle.nics}
    names = {macs[nic.name]: nic.kernel_name or nic.name for nic in bundle.nics if nic.kernel_name or not nic.link_file}
    for nic in bundle.nics:
        mac, taken = macs[nic.name], set(names.values())
        candidates = [needed.get(mac), nic.interface]
        names.setdefault(mac, next((n for n in candidates if n and n not in taken), f"nic{mac.replace(':', '')[-6:]}"))
    return names


def _find_mac_of(nic: Nic, by_key: Mapping[str, Nic]) -> Optional[str]:
    """Return the MAC address that the next definition states for a NIC which the applied one knows only by name."""
    same = by_key.get(nic.interface)
    is_same = same is not None and {same.kernel_name or same.interface, same.name} & {nic.name, nic.kernel_name}
    return same.mac if same is not None and is_same else None


def _find_kernel_name(nic: Nic, taken: Collection[str]) -> str:
    """Return the name that a NIC has which is not yet in the applied definition; of one whose kernel name is not known,
    `nic` and the last six digits of its MAC address."""
    candidates = [nic.kernel_name, nic.name if nic.link_file is None else None]
    name = next((candidate for candidate in candidates if candidate and candidate not in taken), None)
    return name or f"nic{(nic.mac or nic.name).replace(':', '')[-6:]}"


def _as_shown(interface: Mapping[str, Any], bundle: Bundle, nics: Mapping[str, Link]) -> dict[str, Any]:
    """Return an interface as nmstate shows it: with its MAC address and MTU."""
    row = dict(interface)
    if row.get("state") != "up":
        return row
    if row["name"] in nics:
        row["mac-address"] = str(nics[row["name"]].mac).upper()
        if row["type"] == ETHERNET:
            row.setdefault("accept-all-mac-addresses", False)
    if row["type"] not in (INFINIBAND, "loopback"):
        sizes = {i["name"]: i.get("mtu") for i in interfaces_of(bundle.state)}
        row.setdefault("mtu", sizes.get(_base_of(row) or "") or ETHERNET_MTU)
    return row


def _with_learned_routes(state: State) -> State:
    """Return the state with the default routes that servers and routers give to interfaces; their gateways are not
    known."""
    learned = [
        {"destination": destination, "next-hop-interface": i["name"], "next-hop-address": gateway}
        for i in interfaces_of(state)
        for family, key, destination, gateway in _LEARNED
        if i.get(family, {}).get(key) and i[family].get("auto-gateway", True)
    ]
    return {**state, "routes": {**state.get("routes", {}), "running": learned}} if learned else state


def _idle_nic(link: Link) -> dict[str, Any]:
    """Return a NIC without a connection profile, as nmstate shows it."""
    return {
        "name": link.name,
        "type": ETHERNET,
        "state": "up",
        "mac-address": str(link.mac).upper(),
        "mtu": ETHERNET_MTU,
        "accept-all-mac-addresses": False,
        "ipv4": {"enabled": False},
        "ipv6": {"enabled": False},
    }


def _make_links(bundle: Bundle, nics: Mapping[str, Link]) -> dict[str, Link]:
    """Return the links of the bundle's interfaces."""
    interfaces = interfaces_of(bundle.state)
    controllers = {port: str(i["name"]) for i in interfaces for port in port_names(i)}
    links = {}
    for interface in interfaces:
        name, kind = str(interface["name"]), KERNEL_KINDS.get(interface["type"])
        if name == LOOPBACK:
            continue
        if name in nics:
            links[name] = dataclasses.replace(nics[name], master=controllers.get(name))
            continue
        kind = kind or _IPOIB
        filters = bundle.profile_settings.get(name, {}).get(VLAN_FILTERING.name, False)
        options = {str(VLAN_FILTERING.kernel): VLAN_FILTERING.to_kernel(filters)} if kind == "bridge" else {}
        is_macvtap, base = kind == "macvtap", _base_of(interface)
        address = str(interface.get("mac-address", "")).lower()
        links[name] = Link(name, None, kind, (), controllers.get(name), base, options, address, is_macvtap)
    return links


def _base_of(interface: Mapping[str, Any]) -> Optional[str]:
    sections = (interface.get(key, {}) for key in ("vlan", "mac-vtap", "infiniband"))
    return next((str(section["base-iface"]) for section in sections if section.get("base-iface")), None)


def _make_profiles(bundle: Bundle, nics: Mapping[str, Link], uuids: Mapping[str, str]) -> dict[str, ConnectionProfile]:
    """Return the active connection profiles."""
    rules: dict[tuple[str, str], list[str]] = {}
    for rule in rules_of(bundle.state):
        holder = find_holder(rule, bundle.state)
        rules.setdefault((holder or LOOPBACK, str(rule["family"])), []).append(_rule_in_profile(rule))
    profiles = {}
    for interface in interfaces_of(bundle.state):
        name, kind = str(interface["name"]), interface["type"]
        if interface.get("state") != "up":
            continue
        stated = bundle.profile_settings.get(name, {})
        if kind in ("linux-bridge", "bond") and "mac-address" in interface:
            stated = {**stated, CLONED_MAC.name: interface["mac-address"]}
        nm_type = NM_TYPES.get(kind, NM_ETHERNET)
        profiles[name] = ConnectionProfile(
            uuid=uuids.get(name) or profile_uuid(bundle.host, name),
            id=name,
            type=nm_type,
            device=name,
            file=f"{_KEYFILES}/{name}.nmconnection",
            interface_name=name,
            zone=str(stated.get(ZONE.name, "")),
            mac=str(nics[name].mac) if name in nics else "",
            rules4=", ".join(rules.get((name, "ipv4"), ())),
            rules6=", ".join(rules.get((name, "ipv6"), ())),
            settings={key: _as_nmcli_prints(stated.get(key, row.default)) for key, row in PROFILE_SETTINGS.items()},
        )
    return profiles


def _as_nmcli_prints(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _rule_in_profile(rule: Mapping[str, Any]) -> str:
    """Return a routing rule as nmcli prints it (nm-settings-nmcli(5))."""
    words = [f"priority {rule['priority']}"]
    words += [f"from {rule['ip-from']}"] if rule.get("ip-from") else []
    words += [f"to {rule['ip-to']}"] if rule.get("ip-to") else []
    words += [f"iif {rule['iif']}"] if rule.get("iif") else []
    words += [f"fwmark {rule['fwmark']}"] if rule.get("fwmark") else []
    words.append(str(rule["action"]) if rule.get("action") else f"table {rule.get('route-table') or MAIN_TABLE}")
    return " ".join(words)
