"""Reads links, addresses, routes and bridge ports from the kernel by iproute2; renames NICs; sets bond options."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple, Optional

from kvmnet.system import bridge_ports, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json

#: The folder of the kernel's settings for each link.
SYSCTL = "/proc/sys/net"

LOOPBACK = "lo"


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


def receives_all_multicast(row: Json) -> bool:
    """Whether a link receives all multicast frames, from its row of `read_ip_links`."""
    return "ALLMULTI" in row.get("flags", [])


def read_macvtaps(rows: Optional[list[Json]] = None) -> dict[str, Json]:
    """Return the macvtaps by name, in kvmnet's form. `rows` are those of `read_ip_links`; without them they are read.
    Raises HostError.

    Each has its interface index, because another guest may get the same name a moment later.
    """
    return {
        row["ifname"]: {
            "index": row["ifindex"],
            "over": row.get("link"),
            "address": str(row.get("address", "")).lower(),
            "allmulticast": receives_all_multicast(row),
        }
        for row in (read_ip_links() if rows is None else rows)
        if row.get("linkinfo", {}).get("info_kind") == "macvtap"
    }


def select_filtered_macvtaps(macvtaps: dict[str, Json], bases: list[str], exempt: list[str]) -> list[str]:
    """Return the names of those macvtaps over the base interfaces that do not receive all multicast frames.

    `exempt` are the MAC addresses of macvtaps that libvirt filters as their guests want.
    """
    return [
        name
        for name, macvtap in macvtaps.items()
        if macvtap["over"] in bases and macvtap["address"] not in exempt and not macvtap["allmulticast"]
    ]


def set_all_multicast(name: str, is_on: bool) -> None:
    """Let a link receive all multicast frames, or only those of groups that it has joined. Raises HostError."""
    programs.run("ip", "link", "set", "dev", name, "allmulticast", "on" if is_on else "off")


#: The options of a link that are settings and not state, by its kind, among all that `ip -d -j link` shows. Of a bond
#: all count but BOND_STATE_KEYS.
COMPARED_OPTIONS = {
    "vlan": ("protocol", "id"),
    "bridge": (
        *("stp_state", "priority", "forward_delay", "hello_time", "max_age", "ageing_time", "group_fwd_mask"),
        *("vlan_filtering", "vlan_protocol", "vlan_default_pvid", "mcast_snooping", "mcast_querier"),
    ),
    "macvtap": ("mode",),
    "macvlan": ("mode",),
    "vxlan": ("id", "group", "group6", "remote", "remote6", "local", "local6", "link", "port", "learning"),
    "vrf": ("table",),
}

BOND_STATE_KEYS = ("active_slave", "ad_info")

#: The options that every version of iproute2 shows, but only where they are set.
SHOWN_IF_SET = ("primary", "arp_ip_target")

#: The options of a bridge that change by themselves with spanning tree: the kernel uses and shows the root bridge's
#: timers, and after a topology change it shortens the ageing time (net/bridge/br_stp.c).
SPANNING_TREE_TIMERS = ("forward_delay", "hello_time", "max_age", "ageing_time")


def _select_options(link_info: Json) -> Json:
    kind, options = link_info.get("info_kind"), link_info.get("info_data", {})
    if kind == "bond":
        # NetworkManager's rollback (1.42 and 1.52) leaves a target, which has no effect without an interval
        unused = () if options.get("arp_interval") else ("arp_ip_target",)
        return {key: value for key, value in options.items() if key not in (*BOND_STATE_KEYS, *unused)}
    return {key: options[key] for key in COMPARED_OPTIONS.get(str(kind), ()) if key in options}


def align_options(was: Json, now: Json) -> tuple[Json, Json]:
    """Return the options of a link in a snapshot (`was`) and those of the link now, as far as they can be compared.

    What the snapshot does not have is left out: an earlier kvmnet or iproute2 showed fewer options. So are the timers
    of a bridge with spanning tree.
    """
    saved: Json = was.get("options") or {}
    current: Json = now.get("options") or {}
    has_spanning_tree = bool(saved.get("stp_state") or current.get("stp_state"))
    skipped = SPANNING_TREE_TIMERS if has_spanning_tree else ()
    keys = [key for key in {**saved, **current} if key not in skipped and (key in saved or key in SHOWN_IF_SET)]
    return {key: saved[key] for key in keys if key in saved}, {key: current.get(key) for key in keys}


def read_ip_addresses() -> list[Json]:
    """Return every link with its addresses as iproute2 prints it. Raises HostError."""
    rows: list[Json] = programs.run_json("ip", "-j", "address", "show")
    return rows


def read_addresses(rows: Optional[list[Json]] = None, *, with_dynamic: bool = True) -> dict[str, list[str]]:
    """Return the addresses of every link as `address/prefix`, sorted, without temporary ones (RFC 8981).

    `rows` are those of `read_ip_addresses`; without them they are read. `with_dynamic`: also those from DHCP and
    routers. Raises HostError.
    """
    addresses: dict[str, list[str]] = {}
    for link in read_ip_addresses() if rows is None else rows:
        if "ifname" in link:
            addresses[link["ifname"]] = sorted(
                f"{a['local']}/{a['prefixlen']}"
                for a in link.get("addr_info", [])
                if "local" in a and not a.get("temporary") and (with_dynamic or not a.get("dynamic"))
            )
    return addresses


def read_families() -> tuple[str, ...]:
    """Return the address families (`4`, `6`) of the running kernel. One that was booted with `ipv6.disable=1` refuses
    requests for IPv6, or answers them with what it has of IPv4."""
    return ("4", "6") if Path(SYSCTL, "ipv6").exists() else ("4",)


def read_rules() -> dict[str, list[str]]:
    """Return the routing rules of both families (`4`, `6`) as `ip rule` prints them: `PRIORITY: SELECTOR lookup TABLE`.
    A family that the kernel does not have has none. Raises HostError."""
    rules: dict[str, list[str]] = {"4": [], "6": []}
    for family in read_families():
        lines = programs.run("ip", f"-{family}", "rule", "show").splitlines()
        rules[family] = [" ".join(line.removesuffix("[detached]").split()) for line in lines]
    return rules


def read_rule_rows(family: str) -> list[Json]:
    """Return the routing rules of a family (`4` or `6`) as `ip -j rule` shows them, with the numbers of tables. A
    family that the kernel does not have has none. Raises HostError."""
    if family not in read_families():
        return []
    rows: list[Json] = programs.run_json("ip", f"-{family}", "-N", "-j", "rule", "show")
    return rows


def read_routes() -> list[Json]:
    """Return the routes of both families in every table. Raises HostError.

    Those that the kernel creates itself (local, broadcast, anycast, multicast) are left out.
    """
    routes = []
    for family in read_families():
        for route in programs.run_json("ip", f"-{family}", "-j", "route", "show", "table", "all"):
            table = str(route.get("table", "main"))
            if table == "local" or route.get("type", "unicast") in ("local", "broadcast", "anycast", "multicast"):
                continue
            routes.append(
                {
                    "family": family,
                    "to": route.get("dst"),
                    "via": route.get("gateway"),
                    "dev": route.get("dev"),
                    "metric": route.get("metric"),
                    "table": table,
                    "source": route.get("prefsrc"),
                }
            )
    return sorted(routes, key=lambda r: json.dumps(r, sort_keys=True))


def has_local_route(network: str) -> bool:
    """Return whether the table local has a route to this IPv4 network. Raises HostError."""
    rows = programs.run_json("ip", "-4", "-j", "route", "show", "table", "local")
    return any(row.get("type") == "local" and row.get("dst") == network for row in rows)


class Kernel(NamedTuple):
    """One reading of the kernel: the rows of `read_ip_links` and `read_ip_addresses`, and the ranked routes."""

    links: list[Json]
    addresses: list[Json]
    routes: list[Json]


def read_kernel(virtual: Collection[str] = ()) -> Kernel:
    """Read links, addresses and routes, without these virtual addresses: they come and go by themselves, and must never
    be restored. Runs four programs. Raises HostError."""
    kernel = Kernel(read_ip_links(), read_ip_addresses(), read_routes())
    kernel = leave_out_virtual(kernel, virtual) if virtual else kernel
    return kernel._replace(routes=rank_routes(kernel.routes))


def leave_out_virtual(kernel: Kernel, virtual: Collection[str]) -> Kernel:
    """Return the reading without virtual addresses (without prefix), and without the routes that the kernel creates for
    them or their service sets with them as source."""
    import ipaddress  # here: it takes a tenth of the rescue program's start-up time, and few hosts need it

    own: set[tuple[str, str]] = set()
    gone: set[tuple[str, str]] = set()
    for row in kernel.addresses:
        for address in row.get("addr_info", []):
            if "local" in address:
                network = ipaddress.ip_network(f"{address['local']}/{address['prefixlen']}", strict=False)
                places = {(row.get("ifname", ""), str(network)), (row.get("ifname", ""), str(address["local"]))}
                (gone if address["local"] in virtual else own).update(places)
    rows = [
        {**row, "addr_info": [a for a in row.get("addr_info", []) if a.get("local") not in virtual]}
        for row in kernel.addresses
    ]
    gone -= own
    routes = [r for r in kernel.routes if r["source"] not in virtual and (r["dev"], r["to"]) not in gone]
    return Kernel(kernel.links, rows, routes)


def leave_out_shared_networks(routes: list[Json], addresses: Json, virtual: Collection[str]) -> list[Json]:
    """Return ranked routes without those to the IPv6 networks of these addresses (links by name) that contain a virtual
    address: the kernel creates one more route to the network with the virtual address, and it goes with it."""
    if not virtual:
        return routes
    import ipaddress  # as in leave_out_virtual

    hosts = [ipaddress.ip_address(address) for address in virtual]
    networks = [(name, ipaddress.ip_network(a, strict=False)) for name, found in addresses.items() for a in found]
    shared = {(name, str(n)) for name, n in networks if n.version == 6 and any(host in n for host in hosts)}
    kept = [route for route in routes if route["via"] or (route["dev"], route["to"]) not in shared]
    targets = {target for _, target in shared}
    ranked = rank_routes([{**route, "metric": route["rank"]} for route in kept if route["to"] in targets])
    rest = [route for route in kept if route["to"] not in targets]
    return sorted([*rest, *ranked], key=lambda r: json.dumps(r, sort_keys=True))


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


def read_guest_ports(rows: Optional[list[Json]] = None) -> dict[str, Json]:
    """Return the network devices of guests by name. Raises HostError.

    These are taps that are ports (for containers, one end of a veth pair), all other ports of bridges (kind `port`),
    and macvtaps with their base interface. A port has what bridge_ports.read_ports returns. Each device has its
    interface index, because another guest may get the same name a moment later. `rows` are those of `read_ip_links`.
    """
    rows = read_ip_links() if rows is None else rows
    by_name = {row["ifname"]: row for row in rows}
    bridged = bridge_ports.read_ports(rows)
    ports: dict[str, Json] = {}
    for name, row in by_name.items():
        kind = row.get("linkinfo", {}).get("info_kind")
        if row.get("master") and (kind in ("tun", "veth") or "of" in bridged.get(name, {})):
            port = {"of": row["master"], "settings": {}, **bridged.get(name, {})}
            ports[name] = {"kind": "tap" if kind in ("tun", "veth") else "port", "index": row["ifindex"], **port}
        elif kind == "macvtap" and row.get("link") in by_name:
            base = row["link"]
            ports[name] = {"kind": "macvtap", "index": row["ifindex"], "of": base, "of_index": by_name[base]["ifindex"]}
    return ports


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


def read_upper_devices(names: list[str], rows: Optional[list[Json]] = None) -> Json:
    """Return the links whose base interface is one of these, also indirectly, with interface index and MTU.

    Among them are VLANs of other tools and macvtaps of guests. When the MTU of a base interface is reduced, the kernel
    reduces theirs too (vlan_device_event, macvlan_device_event), and never raises it again. `rows` are those
    of `read_ip_links`. Raises HostError.
    """
    rows = read_ip_links() if rows is None else rows
    upper: Json = {}
    while new := {
        row["ifname"]: {"index": row["ifindex"], "mtu": row["mtu"]}
        for row in rows
        if row.get("link") in {*names, *upper} and row["ifname"] not in {*names, *upper}
    }:
        upper.update(new)
    return upper
