"""Links, addresses, routes and bridge ports, read from the kernel by iproute2; renaming NICs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Optional

from kvmnet.system import programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json

#: The kernel's settings of each link.
SYSCTL = "/proc/sys/net"


def read_ip_links() -> list[Json]:
    """Every link in iproute2's own words."""
    shown: list[Json] = programs.run_json("ip", "-d", "-j", "link", "show")
    return shown


def read_links(shown: Optional[list[Json]] = None) -> dict[str, Json]:
    """Every link by name, as the kernel has it (now, or as it was `shown`), with its permanent MAC as `mac`: iproute2
    prints `permaddr` only where it differs from the address in use."""
    found = {}
    for link in read_ip_links() if shown is None else shown:
        kind = link.get("linkinfo", {}).get("info_kind")
        found[link["ifname"]] = {
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
            "options": _options(link.get("linkinfo", {})),
        }
    return found


#: What is set of a link of this kind, of all that `ip -d -j link` shows; of a bond all but what it does.
COMPARED_OPTIONS = {
    "vlan": ("protocol", "id"),
    "bridge": ("stp_state", "priority", "vlan_filtering"),
    "macvtap": ("mode",),
}

BOND_STATE_KEYS = ("active_slave", "ad_info")


def _options(about: Json) -> Json:
    kind, held = about.get("info_kind"), about.get("info_data", {})
    if kind == "bond":
        # NetworkManager's rollback (1.42 and 1.52) leaves a target, which means nothing without an interval
        idle = () if held.get("arp_interval") else ("arp_ip_target",)
        return {key: value for key, value in held.items() if key not in (*BOND_STATE_KEYS, *idle)}
    return {key: held[key] for key in COMPARED_OPTIONS.get(str(kind), ()) if key in held}


def read_addresses() -> dict[str, list[str]]:
    """The addresses of every link, `address/prefix`, sorted; without temporary ones (RFC 8981)."""
    found: dict[str, list[str]] = {}
    for link in programs.run_json("ip", "-j", "address", "show"):
        if "ifname" in link:
            found[link["ifname"]] = sorted(
                f"{a['local']}/{a['prefixlen']}"
                for a in link.get("addr_info", [])
                if "local" in a and not a.get("temporary")
            )
    return found


def read_routes() -> list[Json]:
    """The routes of both families and every table but the kernel's own (local, broadcast, multicast)."""
    found = []
    for family in ("-4", "-6"):
        for route in programs.run_json("ip", family, "-j", "route", "show", "table", "all"):
            table = str(route.get("table", "main"))
            if table == "local" or route.get("type", "unicast") in ("local", "broadcast", "anycast", "multicast"):
                continue
            found.append(
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
    return sorted(found, key=lambda r: json.dumps(r, sort_keys=True))


def rank_routes(found: list[Json]) -> list[Json]:
    """Routes with their rank among those to the same destination in place of their metric.

    Where a profile states no metric NetworkManager gives each device one of its own, counted up in the order
    in which they come up: after an undo the numbers may be others, what is preferred must be the same.
    """
    places: dict[tuple[Any, ...], list[Json]] = {}
    for route in found:
        places.setdefault((route["family"], route["table"], route["to"]), []).append(route)
    for place in places.values():
        place.sort(key=lambda route: (route["metric"] or 0, str(route["dev"])))
    rows = [
        {**{k: v for k, v in route.items() if k != "metric"}, "rank": rank}
        for place in places.values()
        for rank, route in enumerate(place)
    ]
    return sorted(rows, key=lambda r: json.dumps(r, sort_keys=True))


#: What a bridge keeps for each port, in the words of `ip -d -j link` and `ip link set … type bridge_slave`.
PORT_SETTINGS = (
    *("priority", "cost", "hairpin", "guard", "root_block", "fastleave", "learning", "flood", "proxy_arp"),
    *("mcast_flood", "bcast_flood", "mcast_to_unicast", "neigh_suppress", "isolated"),
)


def read_guest_ports() -> dict[str, Json]:
    """The taps that are a port (of containers: one end of a veth pair), with their bridge's settings for them, and the
    macvtaps, with what they lie over: each with its index, since a moment later the name may be another guest's."""
    rows = {row["ifname"]: row for row in read_ip_links()}
    found: dict[str, Json] = {}
    for name, row in rows.items():
        kind = row.get("linkinfo", {}).get("info_kind")
        if kind in ("tun", "veth") and row.get("master"):
            found[name] = {"kind": "tap", "index": row["ifindex"], "of": row["master"], "settings": port_settings(row)}
        elif kind == "macvtap" and row.get("link") in rows:
            of = row["link"]
            found[name] = {"kind": "macvtap", "index": row["ifindex"], "of": of, "of_index": rows[of]["ifindex"]}
    return found


def port_settings(row: Json) -> Json:
    about = row.get("linkinfo", {})
    told = about.get("info_slave_data", {}) if about.get("info_slave_kind") == "bridge" else {}
    return {key: told[key] for key in PORT_SETTINGS if key in told}


def find_nic(mac: str) -> Optional[str]:
    """The name that the NIC of this permanent MAC has now; None when it is not there."""
    for name, link in read_links().items():
        if link["mac"] == mac.lower() and link["type"] == "ether":
            return name
    return None


def rename_nic(mac: str, to: str, free: tuple[str, ...] = ()) -> str:
    """Give the NIC of this permanent MAC the name `to`; says how: "already", "up" or "down-up".

    The kernel renames a NIC that is up since 6.2 (before: EBUSY, so down, rename, up). An altname of the NIC
    equal to the new name (udev 252 sets the old name as one after a rename) would make it fail, and one equal
    to a name in `free` would be in the way of what comes: they are removed. Raises Failed when there is no
    such NIC or the name is another link's.
    """
    now = read_links()
    name = find_nic(mac)
    if name is None:
        raise HostError(f"no NIC has the permanent MAC {mac}")
    if name == to:
        return "already"
    if to in now:
        raise HostError(f"the name {to} is taken by a {now[to]['kind'] or 'NIC'}")
    for altname in now[name]["altnames"]:
        if altname == to or altname in free:
            programs.run("ip", "link", "property", "del", "dev", name, "altname", altname)
    if _try_rename(name, to):
        return "up"
    try:
        for last in (False, False, False, False, True):
            programs.run("ip", "link", "set", "dev", name, "down")
            if _try_rename(name, to, strict=last):
                break
            time.sleep(0.1)  # somebody has it up again: NetworkManager, which hears of the way down
    finally:
        programs.run("ip", "link", "set", "dev", find_nic(mac) or name, "up")
    return "down-up"


def _try_rename(name: str, to: str, strict: bool = False) -> bool:
    """Rename a link; False when the kernel says that it is busy, which is raised too where `strict`."""
    try:
        programs.run("ip", "link", "set", "dev", name, "name", to)
    except HostError as error:
        if strict or "busy" not in str(error).lower():
            raise
        return False
    return True


def set_bond_option(name: str, option: str, value: str) -> str:
    """Write an option of a bond that runs; the kernel takes an empty line for none."""
    Path(f"/sys/class/net/{name}/bonding/{option}").write_text(value + "\n", encoding="ascii")
    return value or "none"


def read_upper_devices(names: list[str]) -> Json:
    """What stands on these links, others' VLANs and guests' macvtaps among it, with its MTU: the kernel lowers that
    with the MTU of what is below (vlan_device_event, macvlan_device_event), and never raises it again."""
    rows = read_ip_links()
    found: Json = {}
    while new := {
        row["ifname"]: {"index": row["ifindex"], "mtu": row["mtu"]}
        for row in rows
        if row.get("link") in {*names, *found} and row["ifname"] not in {*names, *found}
    }:
        found.update(new)
    return found
