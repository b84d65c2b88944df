"""Hosts that are described as definitions."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvmnet.core.base.nmstate import KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.adoption_samples import bridged_host, load_site
from tests.unit.core.samples import KEYFILES

GUESTS = Running(
    guests=(RunningGuest("web1", (GuestNic("bridge", "vnet0", "br0", mac="52:54:00:00:00:01"),)),),
    stopped=(
        RunningGuest("db1", (GuestNic("network", network="lan", mac="52:54:00:00:00:02"),)),
        RunningGuest("nat1", (GuestNic("network", network="default", mac="52:54:00:00:00:03"),)),
    ),
    bridges={"lan": "br0"},
)


def br0_host(tmp_path: Path) -> Live:
    """A host with br0 over eth0 and the taps of guests."""
    return bridged_host(load_site(tmp_path))


def host_of(*interfaces: dict[str, Any], links: dict[str, Link], unsaved: tuple[str, ...] = (), **state: Any) -> Live:
    """A host with these interfaces of nmstate. Each that is up has a saved connection profile, but those `unsaved`."""
    profiles = {
        i["name"]: ConnectionProfile(
            f"u-{i['name']}", str(i["name"]), str(i["type"]), str(i["name"]), _file(i["name"], unsaved), str(i["name"])
        )
        for i in interfaces
        if i["state"] == "up"
    }
    sections = {key.replace("_", "-"): value for key, value in state.items()}
    return Live("kvm7.example.org", {"interfaces": list(interfaces), **sections}, links, profiles, nmstate="2.2.62")


def _file(name: str, unsaved: tuple[str, ...]) -> str:
    return f"{'/run/NetworkManager/system-connections' if name in unsaved else KEYFILES}/{name}.nmconnection"


def nic(name: str, *addresses: str, **values: Any) -> dict[str, Any]:
    """A NIC as nmstate shows it, with static IPv4 addresses."""
    rows = [{"ip": a.split("/")[0], "prefix-length": int(a.split("/")[1])} for a in addresses]
    ipv4 = {"enabled": True, "dhcp": False, "address": rows} if rows else {"enabled": False}
    return {
        "name": name,
        "type": "ethernet",
        "state": "up",
        "mtu": 1500,
        "ipv4": ipv4,
        "ipv6": {"enabled": False},
        **values,
    }


def live_of(bundle: Bundle) -> Live:
    """A host that is as a bundle defines it, made by another tool: no NIC is promiscuous, and every interface has a
    saved connection profile."""
    macs = {n.name: n.mac for n in bundle.nics}
    rows = [copy.deepcopy(dict(i)) for i in interfaces_of(bundle.state)]
    controllers = {port: row["name"] for row in rows for port in port_names(row)}
    links = {}
    for number, row in enumerate(rows):
        name, kind = row["name"], KERNEL_KINDS.get(row["type"])
        filters = bundle.profile_settings.get(name, {}).get("bridge.vlan-filtering")
        options = {"vlan_filtering": 1} if filters else {}
        base = row.get("vlan", {}).get("base-iface")
        links[name] = Link(name, None if kind else macs.get(name), kind, (), controllers.get(name), base, options)
        if kind is None:
            row.update({"accept-all-mac-addresses": False, "permanent-mac-address": macs.get(name)})
        row.setdefault("mac-address", macs.get(name) or f"02:00:00:00:00:{number:02x}")
    state = {key: value for key, value in copy.deepcopy(bundle.state).items() if key != "interfaces"}
    return replace(host_of(*rows, links=links), state={**state, "interfaces": rows}, networkmanager="1.52.1")
