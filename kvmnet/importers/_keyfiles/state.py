"""Makes an nmstate state of connection profiles: what NetworkManager would configure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.importers._draft import Origin
from kvmnet.importers._keyfiles.addresses import FAMILIES, Network, read_family
from kvmnet.importers._keyfiles.files import Profile
from kvmnet.importers._keyfiles.settings import read_bond, read_bridge_options, read_mac, report_keys
from kvmnet.importers._numbers import is_number
from kvmnet.importers._report import Report

#: The types of NetworkManager that nmstate calls otherwise.
_TYPES = {NM_ETHERNET: "ethernet", "bridge": "linux-bridge", "macvlan": "mac-vlan"}
_SECTIONS = {"bridge": "bridge", "bond": "link-aggregation"}


def make_state(profiles: Mapping[str, Profile], report: Report) -> tuple[dict[str, Any], dict[str, Origin]]:
    """Return the nmstate state of profiles by their interfaces, and the places of its parts by name."""
    network = Network()
    interfaces: dict[str, dict[str, Any]] = {}
    for name, profile in profiles.items():
        interfaces[name] = _describe(profile, profiles, network, report)
    for name, profile in profiles.items():
        _attach(name, profile, profiles, interfaces, report)
    dns = {"server": list(dict.fromkeys(network.servers)), "search": list(dict.fromkeys(network.search))}
    state = {
        "interfaces": list(interfaces.values()),
        "routes": {"config": network.routes},
        "route-rules": {"config": network.rules},
        "dns-resolver": {"config": {key: values for key, values in dns.items() if values}},
    }
    return state, {**network.origins, **{name: profile.origin() for name, profile in profiles.items()}}


def _describe(profile: Profile, profiles: Mapping[str, Profile], network: Network, report: Report) -> dict[str, Any]:
    """Return an interface as nmstate has it."""
    stored, name = profile.stored, profile.interface
    interface: dict[str, Any] = {"name": name, "type": _TYPES.get(stored.type, stored.type), "state": "up"}
    if stored.type == NM_ETHERNET and stored.mac:
        interface["permanent-mac-address"] = stored.mac
        if not stored.interface_name:
            message = f"the profile is bound to the MAC address {stored.mac}: rename {name} to the NIC's name"
            report.note(message, profile.origin("ethernet", "mac-address"))
    elif stored.type == "bridge":
        interface["bridge"] = {"options": read_bridge_options(profile), "port": []}
    elif stored.type == "bond":
        interface["link-aggregation"] = read_bond(profile)
    elif stored.type == "vlan":
        interface["vlan"] = _read_vlan(profile, profiles)
    elif stored.type == "infiniband":
        interface["infiniband"] = {"mode": stored.value("infiniband", "transport-mode")}
    if stored.type in _TYPES or stored.type in ("bond", "vlan", "dummy", "infiniband"):
        interface.update(read_mac(profile, report))
        report_keys(profile, report)
        for family in FAMILIES:
            values = read_family(profile, family, network, report)
            if values is not None:
                interface[family] = values
    mtu = stored.value("ethernet", "mtu")
    return {**interface, **({"mtu": int(mtu)} if re.fullmatch("[1-9][0-9]{0,5}", mtu) else {})}


def _read_vlan(profile: Profile, profiles: Mapping[str, Profile]) -> dict[str, Any]:
    """Return the base interface and the VLAN ID, as far as the profile has them. Without a base interface the name has
    it."""
    tag = profile.stored.value("vlan", "id")
    match = re.match(r"(.+)\.([0-9]{1,4})\Z", profile.interface)
    base = _find_interface(profile.stored.parent, profiles) or (match[1] if match else "")
    return {"base-iface": base, **({"id": int(tag)} if is_number(tag) else {})}


def _find_interface(text: str, profiles: Mapping[str, Profile]) -> str:
    """Return the name of the interface that a profile refers to: by name, by MAC address, or by its profile's UUID."""
    for name, profile in profiles.items():
        if text.lower() in (profile.stored.uuid, profile.stored.mac or None):
            return name
    return text


def _attach(
    name: str,
    profile: Profile,
    profiles: Mapping[str, Profile],
    interfaces: Mapping[str, dict[str, Any]],
    report: Report,
) -> None:
    """Make an interface a port of its controller."""
    if not profile.stored.controller:
        return
    controller = _find_interface(profile.stored.controller, profiles)
    kind = profiles[controller].stored.type if controller in profiles else ""
    section = _SECTIONS.get(kind)
    if section is None:
        message = f"{name} is a port of {controller}, of which there is no profile of a bridge or bond"
        report.lose(message, profile.origin("connection", "controller", "master"))
        return
    port: Any = {"name": name} if section == "bridge" else name
    interfaces[controller][section]["port"].append(port)
