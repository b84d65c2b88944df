"""Reads links, addresses, routes and bridge ports from the kernel by iproute2; renames NICs; sets bond options."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Optional

from kvmnet.system import programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json

#: The folder of the kernel's settings for each link.
SYSCTL = "/proc/sys/net"


def read_ip_links() -> list[Json]:
    """Return every link as iproute2 prints it. Raises HostError."""
    rows: list[Json] = programs.run_json("ip", "-d", "-j", "link", "show")
    return rows


def read_links(rows: Optional[list[Json]] = None) -> dict[str, Json]:
    """Return every link by name, in kvmnet's form. `rows` are those of `read_ip_links`; without them they are read.

    `mac` is the permanent MAC address of a NIC: iproute2 prints `permaddr` only where it differs from the address in
    use. `over` is the base interface. Raises HostError.
    """
    links = {}
    for link in read_ip_links() if rows is None else rows:
        kind = link.get("linkinfo", {}).get("info_kind")
        links[link["ifname"]] = {
            "name": link["ifname"],
            "mac": None if kind else str(link.get("permaddr") or link.get("address", "")).lower(),
            "address": str(link.get("address", "")).lower(),
            "kind": kind,
            "type": link.get("link_type"),
            "master": link.get("master"),
            "mtu": link.get("mtu"),
            "up": "UP" in link.get("flags", []),
            "promiscuous": "PROMISC" in link.get("flags", []),
            "altnames": sorted(link.get("altnames", [])),
            "over": link.get("link"),
            "options": _select_options(link.get("linkinfo", {})),
        }
    return links


#: The options of a link that are settings and not state, by its kind, among all that `ip -d -j link` shows. Of a bond
#: all count but BOND_STATE_KEYS.
COMPARED_OPTIONS = {
    "vlan": ("protocol", "id"),
    "bridge": ("stp_state", "priority", "vlan_filtering"),
    "macvtap": ("mode",),
}

BOND_STATE_KEYS = ("active_slave", "ad_info")


def _select_options(link_info: Json) -> Json:
    kind, options = link_info.get("info_kind"), link_info.get("info_data", {})
    if kind == "bond":
        # NetworkManager's rollback (1.42 and 1.52) leaves a target, which has no effect without an interval
        unused = () if options.get("arp_interval") else ("arp_ip_target",)
        return {key: value for key, value in options.items() if key not in (*BOND_STATE_KEYS, *unused)}
    return {key: options[key] for key in COMPARED_OPTIONS.get(str(kind), ()) if key in options}


def read_ip_addresses() -> list[Json]:
    """Return the addresses of every link as iproute2 prints them. Raises HostError."""
    rows: list[Json] = programs.run_json("ip", "-j", "address", "show")
    return rows


def read_addresses() -> dict[str, list[str]]:
    """Return the addresses of every link as `address/prefix`, sorted, without temporary ones (RFC 8981). Raises
    HostError."""
    addresses: dict[str, list[str]] = {}
    for link in read_ip_addresses():
        if "ifname" in link:
            addresses[link["ifname"]] = sorted(
                f"{a['local']}/{a['prefixlen']}"
                for a in link.get("addr_info", [])
                if "local" in a and not a.get("temporary")
            )
    return addresses


def read_routes() -> list[Json]:
    """Return the routes of both families in every table. Raises HostError.

    Those that the kernel creates itself (local, broadcast, anycast, multicast) are left out.
    """
    routes = []
    for family in ("-4", "-6"):
        for route in programs.run_json("ip", family, "-j", "route", "show", "table", "all"):
            table = str(route.get("table", "main"))
            if table == "local" or route.get("type", "unicast") in ("local", "broadcast", "anycast", "multicast"):
                continue
            routes.append(
                {
                    "family": family[1:],
                    "to": route.get("dst"),
                    "via": route.get("gateway"),
                    "dev": route.get("dev"),
                    "metric": route.get("metric"),
                    "table": table,
                    "source": route.get("prefsrc"),
                }
            )
    return sorted(routes, key=lambda r: json.dumps(r, sort_keys=True))


def rank_routes(routes: list[Json]) -> list[Json]:
    """Return the routes with their rank among the routes to the same destination instead of their metric.

    Where a connection profile has no metric, NetworkManager assigns one to each device in the order of activation.
    After a rollback the metrics may differ, but the preferred route must be the same.
    """
    groups: dict[tuple[Any, ...], list[Json]] = {}
    for route in routes:
        groups.setdefault((route["family"], route["table"], route["to"]), []).append(route)
    for group in groups.values():
        group.sort(key=lambda route: (route["metric"] or 0, str(route["dev"])))
    ranked = [
        {**{k: v for k, v in route.items() if k != "metric"}, "rank": rank}
        for group in groups.values()
        for rank, route in enumerate(group)
    ]
    return sorted(ranked, key=lambda r: json.dumps(r, sort_keys=True))


#: The settings that a bridge has for each port. `ip -d -j link` and `ip link set … type bridge_slave` use these names.
PORT_SETTINGS = (
    *("priority", "cost", "hairpin", "guard", "root_block", "fastleave", "learning", "flood", "proxy_arp"),
    *("mcast_flood", "bcast_flood", "mcast_to_unicast", "neigh_suppress", "isolated"),
)


def read_guest_ports() -> dict[str, Json]:
    """Return the network devices of guests by name. Raises HostError.

    These are taps that are ports (for containers, one end of a veth pair) with the bridge's settings for them, and
    macvtaps with their base interface. Each has its interface index, because another guest may get the same name a
    moment later.
    """
    rows = {row["ifname"]: row for row in read_ip_links()}
    ports: dict[str, Json] = {}
    for name, row in rows.items():
        kind = row.get("linkinfo", {}).get("info_kind")
        if kind in ("tun", "veth") and row.get("master"):
            settings = select_port_settings(row)
            ports[name] = {"kind": "tap", "index": row["ifindex"], "of": row["master"], "settings": settings}
        elif kind == "macvtap" and row.get("link") in rows:
            base = row["link"]
            ports[name] = {"kind": "macvtap", "index": row["ifindex"], "of": base, "of_index": rows[base]["ifindex"]}
    return ports


def select_port_settings(row: Json) -> Json:
    """Return the settings that a bridge has for a port, from its row of `read_ip_links`; none without a bridge."""
    link_info = row.get("linkinfo", {})
    settings = link_info.get("info_slave_data", {}) if link_info.get("info_slave_kind") == "bridge" else {}
    return {key: settings[key] for key in PORT_SETTINGS if key in settings}


def find_nic(mac: str) -> Optional[str]:
    """Return the current name of the NIC with this permanent MAC address; None when there is none. Raises HostError."""
    for name, link in read_links().items():
        if link["mac"] == mac.lower() and link["type"] == "ether":
            return name
    return None


def rename_nic(mac: str, to: str, free: tuple[str, ...] = ()) -> str:
    """Rename the NIC with this permanent MAC address; return how: "already", "up" or "down-up".

    The kernel renames a NIC that is up since 6.2. Older kernels answer EBUSY: then the NIC is set down, renamed and set
    up. An altname that equals the new name would make the rename fail (udev 252 adds the old name as an altname). One
    that equals a name in `free` would block a later step. Both are removed. Raises HostError when no NIC has this MAC
    address or another link has the name.
    """
    links = read_links()
    name = find_nic(mac)
    if name is None:
        raise HostError(f"no NIC has the permanent MAC address {mac}")
    if name == to:
        return "already"
    if to in links:
        raise HostError(f"the name {to} is in use by another {links[to]['kind'] or 'NIC'}")
    for altname in links[name]["altnames"]:
        if altname == to or altname in free:
            programs.run("ip", "link", "property", "del", "dev", name, "altname", altname)
    if _try_rename(name, to):
        return "up"
    try:
        for is_last_try in (False, False, False, False, True):
            programs.run("ip", "link", "set", "dev", name, "down")
            if _try_rename(name, to, strict=is_last_try):
                break
            time.sleep(0.1)  # another program set it up again: NetworkManager reacts when a link goes down
    finally:
        programs.run("ip", "link", "set", "dev", find_nic(mac) or name, "up")
    return "down-up"


def _try_rename(name: str, to: str, strict: bool = False) -> bool:
    """Rename a link; return False when the kernel answers that it is busy, or raise HostError when `strict`."""
    try:
        programs.run("ip", "link", "set", "dev", name, "name", to)
    except HostError as error:
        if strict or "busy" not in str(error).lower():
            raise
        return False
    return True


def set_bond_option(name: str, option: str, value: str) -> str:
    """Set an option of an existing bond; return the value, or "none" for an empty one. Raises OSError."""
    Path(f"/sys/class/net/{name}/bonding/{option}").write_text(value + "\n", encoding="ascii")
    return value or "none"


def read_upper_devices(names: list[str]) -> Json:
    """Return the links whose base interface is one of these, also indirectly, with interface index and MTU.

    Among them are VLANs of other tools and macvtaps of guests. When the MTU of a base interface is reduced, the kernel
    reduces theirs too (vlan_device_event, macvlan_device_event), and never raises it again. Raises HostError.
    """
    rows = read_ip_links()
    upper: Json = {}
    while new := {
        row["ifname"]: {"index": row["ifindex"], "mtu": row["mtu"]}
        for row in rows
        if row.get("link") in {*names, *upper} and row["ifname"] not in {*names, *upper}
    }:
        upper.update(new)
    return upper
