"""Reads what the kernel has for each port of a bridge, and sets it: attributes, VLANs, static entries of the FDB.

A port is saved with everything that `bridge -d -j link` and `bridge -j vlan` show, and with its static entries in the
forwarding database (FDB): libvirt makes these when the bridge does not learn (`macTableManager='libvirt'`). A port that
leaves its bridge loses all of it, and the kernel gives it VLAN 1 when it comes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Optional

from kvmnet.system import programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json


class Attribute(NamedTuple):
    """An attribute of a port. `program`: which program sets it: `ip` (… type bridge_slave NAME VALUE) or `bridge` (link
    set … NAME VALUE). `unset`: the arguments that remove it; such an attribute is shown only where it is set."""

    program: str = "ip"
    unset: tuple[str, ...] = ()


#: The attributes that kvmnet can set, by their names in JSON, which are also the names of the arguments. Those of
#: iproute2 6.1 and later (ip-link(8), bridge(8)); an older program shows and sets fewer.
ATTRIBUTES = {
    **dict.fromkeys(("priority", "cost", "hairpin", "guard", "root_block", "fastleave", "learning"), Attribute()),
    **dict.fromkeys(("flood", "mcast_flood", "bcast_flood", "mcast_to_unicast", "mcast_router"), Attribute()),
    **dict.fromkeys(("proxy_arp", "proxy_arp_wifi", "group_fwd_mask", "vlan_tunnel", "isolated"), Attribute()),
    **dict.fromkeys(("neigh_suppress", "neigh_vlan_suppress", "neigh_forward_grat", "locked", "mab"), Attribute()),
    "learning_sync": Attribute("bridge"),
    "mcast_max_groups": Attribute("bridge"),
    "backup_port": Attribute(unset=("nobackup_port",)),
    "backup_nhid": Attribute(unset=("backup_nhid", "0")),
    "state": Attribute(),
}

#: The numbers of the states of a port (include/uapi/linux/if_bridge.h).
STATES = {"disabled": 0, "listening": 1, "learning": 2, "forwarding": 3, "blocking": 4}

#: What `ip` and `bridge` show of a port and that nobody sets: counters, timers, what spanning tree has found out, and
#: what belongs to the link. `state` is among the attributes only where it does not change by itself (see `_state`).
_NO_ATTRIBUTES = frozenset(
    (
        *("id", "no", "designated_port", "designated_cost", "bridge_id", "root_id", "hold_timer", "message_age_timer"),
        *("forward_delay_timer", "topology_change_ack", "config_pending", "group_fwd_mask_str", "mcast_n_groups"),
        *("ifindex", "ifname", "link", "link_index", "flags", "mtu", "master", "hwmode", "state", "state_index"),
        *("multicast_router", "link_netnsid"),
    )
)

#: The value of `mcast_router` that becomes 1 by itself after some minutes (MDB_RTR_TYPE_TEMP).
_TEMPORARY_ROUTER = 3

#: Names that a batch file of iproute2 can have without quotes.
_PLAIN_WORD = re.compile(r"[\w.:,@+-]+")

Vlans = list[list[Any]]
"""The VLANs of a port or bridge: first VLAN ID, last VLAN ID, and the flags (`PVID`, `Egress Untagged`)."""


def read_ports(rows: list[Json], names: Optional[Iterable[str]] = None) -> dict[str, Json]:
    """Return the ports of bridges by name, each with `of` (the bridge), `settings`, `vlans` and `fdb`; bridges that
    have VLANs themselves have only `vlans`. `rows` are those of links.read_ip_links; with `names` only these are
    returned.

    Runs three programs, one if there is no such port. Raises HostError.
    """
    by_name = {row["ifname"]: row for row in rows}
    wanted = set(by_name if names is None else names)
    ports: dict[str, Json] = {}
    for shown in programs.run_json("bridge", "-d", "-j", "link", "show"):
        name, row = shown["ifname"], by_name.get(shown["ifname"], {})
        # a NIC with a switch of its own has a second row, without the state of a port
        if name in wanted and "state" in shown and row.get("master"):
            settings = read_settings(row, shown, by_name.get(row["master"], {}))
            ports[name] = {"of": row["master"], "settings": settings, "vlans": [], "fdb": []}
    bridges = {n for n in wanted & set(by_name) if by_name[n].get("linkinfo", {}).get("info_kind") == "bridge"}
    if not (ports or bridges):
        return {}
    for name, vlans in read_vlans().items():
        if name in ports or name in bridges:
            ports.setdefault(name, {})["vlans"] = vlans
    for name, entries in read_static_entries().items():
        if name in ports:
            ports[name]["fdb"] = entries
    return ports


def read_settings(row: Json, shown: Json, bridge: Json) -> Json:
    """Return the attributes of a port, known or not, from its rows of `ip -d -j link` (`row`) and `bridge -d -j link`
    (`shown`), and the row of its bridge. Each program shows some that the other does not."""
    details = row.get("linkinfo", {}).get("info_slave_data", {})
    settings = {k: v for k, v in {**details, **shown}.items() if k not in _NO_ATTRIBUTES}
    router = shown.get("mcast_router", details.get("multicast_router"))
    if router is not None:
        settings["mcast_router"] = 1 if router == _TEMPORARY_ROUTER else router
    return {**settings, **_state(row, shown, bridge)}


def _state(row: Json, shown: Json, bridge: Json) -> Json:
    """Return the port's state where only a command changes it: the link is up, and the bridge is up without spanning
    tree."""
    options = bridge.get("linkinfo", {}).get("info_data", {})
    is_up = "LOWER_UP" in row.get("flags", []) and "UP" in bridge.get("flags", [])
    return {"state": shown["state"]} if is_up and options.get("stp_state") == 0 else {}


def read_vlans() -> dict[str, Vlans]:
    """Return the VLANs of each port and bridge that has any. Raises HostError."""
    return {
        row["ifname"]: [
            [vlan["vlan"], vlan.get("vlanEnd", vlan["vlan"]), sorted(vlan.get("flags", []))]
            for vlan in row.get("vlans", [])
        ]
        for row in programs.run_json("bridge", "-c", "-j", "vlan", "show")
        if row.get("vlans")
    }


def read_static_entries() -> dict[str, list[list[Any]]]:
    """Return the static FDB entries of each port: MAC address, VLAN ID (0: none), whether it is sticky. Raises
    HostError."""
    entries: dict[str, list[list[Any]]] = {}
    for row in programs.run_json("bridge", "-j", "fdb", "show", "state", "static"):
        flags = row.get("flags", [])
        if row.get("state") == "static" and row.get("master") and not {"self", "extern_learn"} & set(flags):
            entries.setdefault(row["ifname"], []).append([row["mac"], row.get("vlan", 0), "sticky" in flags])
    return {name: sorted(found) for name, found in entries.items()}


class PortDifference(NamedTuple):
    """An attribute of a port that is not as saved. `is_known`: kvmnet can set it."""

    name: str
    was: Any
    now: Any
    is_known: bool


def compare_settings(was: Json, now: Json) -> list[PortDifference]:
    """Return how the attributes `now` differ from the saved ones.

    One that only one of both has is not compared: it was read by another version of iproute2, or does not count in one
    of both readings (`state`). An attribute that is shown only where it is set is always compared.
    """
    keys = [key for key in {**was, **now} if (key in was and key in now) or ATTRIBUTES.get(key, Attribute()).unset]
    return [
        PortDifference(key, was.get(key), now.get(key), key in ATTRIBUTES)
        for key in keys
        if was.get(key) != now.get(key)
    ]


def expand_vlans(vlans: Vlans) -> dict[int, tuple[str, ...]]:
    """Return the flags of each VLAN ID."""
    return {vid: tuple(flags) for first, last, flags in vlans for vid in range(first, last + 1)}


def compare_vlans(was: Vlans, now: Vlans) -> tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]]:
    """Return the saved VLANs that are missing or have other flags now, and those that are new, with their flags."""
    saved, current = expand_vlans(was), expand_vlans(now)
    missing = {vid: flags for vid, flags in saved.items() if current.get(vid) != flags}
    return missing, {vid: flags for vid, flags in current.items() if vid not in saved}


def vlan_commands(name: str, was: Vlans, now: Vlans, is_bridge: bool = False) -> list[list[str]]:
    """Return the commands of `bridge` that give a port, or a bridge itself, its saved VLANs again.

    Those that it did not have are removed first: until the others are added the guest has no network, instead of
    another one.
    """
    missing, extra = compare_vlans(was, now)
    target = ["dev", name, *(["self"] if is_bridge else [])]
    commands = [["vlan", "del", "vid", vids, *target] for vids, _ in vlan_ranges(dict.fromkeys(extra, ()))]
    for vids, flags in vlan_ranges(missing):
        words = [word for flag, word in (("PVID", "pvid"), ("Egress Untagged", "untagged")) if flag in flags]
        commands.append(["vlan", "add", "vid", vids, *words, *target])
    return commands


def vlan_ranges(vlans: dict[int, tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield `vlans`, the flags of each VLAN ID, as ranges with the same flags. A PVID is never in a range
    (bridge(8))."""
    start: Optional[int] = None
    for vid in sorted(vlans):
        flags = vlans[vid]
        start = vid if start is None else start
        if "PVID" in flags or vlans.get(vid + 1) != flags:
            yield (str(vid) if start == vid else f"{start}-{vid}"), flags
            start = None


def entry_commands(name: str, was: list[list[Any]], now: list[list[Any]]) -> list[list[str]]:
    """Return the commands of `bridge` that add the static FDB entries which a port has lost."""
    return [
        [
            *("fdb", "replace", mac, "dev", name, "master", "static"),
            *(["sticky"] if is_sticky else []),
            *(["vlan", str(vlan)] if vlan else []),
        ]
        for mac, vlan, is_sticky in was
        if [mac, vlan, is_sticky] not in now
    ]


def attach_port(name: str, bridge: str, was: Json) -> None:
    """Make a link a port of this bridge, as `read_ports` has saved it. Raises HostError when it cannot be a port.

    The kernel makes a new port a member of the bridge's default VLAN, with default attributes. So the next message to
    the kernel disables the port: it forwards nothing before it has its VLANs and attributes. A bridge with spanning
    tree does not let a port be disabled, but it forwards nothing in the first seconds either.
    """
    commands = [["link", "set", "dev", name, "master", bridge]]
    if "state" in was.get("settings", {}):
        commands.append(["link", "set", "dev", name, "type", "bridge_slave", "state", "0"])
    error = _try_batch("ip", commands)
    rows: list[Json] = programs.run_json("ip", "-d", "-j", "link", "show")
    now = read_ports(rows, [name]).get(name, {})
    if now.get("of") != bridge:
        raise error or HostError(f"{name} is not a port of {bridge}")
    restore_port(name, was, now)


def restore_port(name: str, was: Json, now: Json) -> None:
    """Give a port, or a bridge itself, what was saved of it and differs `now`: VLANs, FDB entries, attributes.

    What the kernel or iproute2 refuses does not stop the rest. A snapshot of an earlier kvmnet has only attributes.
    """
    is_bridge = "of" not in now
    commands = vlan_commands(name, was["vlans"], now.get("vlans", []), is_bridge) if "vlans" in was else []
    _try_batch("bridge", [*commands, *entry_commands(name, was.get("fdb", []), now.get("fdb", []))])
    if not is_bridge:
        _set_attributes(name, compare_settings(was.get("settings", {}), now.get("settings", {})))


def attribute_commands(name: str, differences: list[PortDifference]) -> list[list[str]]:
    """Return the commands that set attributes of a port to their saved values: one of `ip` for all that it can set, and
    one of `bridge` for each other. One that kvmnet does not know may be set by its name too."""
    by_ip = [d for d in differences if d.is_known and ATTRIBUTES[d.name].program == "ip"]
    start = ["link", "set", "dev", name]
    words = [word for difference in by_ip for word in _arguments(difference)]
    commands = [["ip", *start, "type", "bridge_slave", *words]] if by_ip else []
    return [*commands, *(["bridge", *start, *_arguments(d)] for d in differences if d not in by_ip)]


def _set_attributes(name: str, differences: list[PortDifference]) -> None:
    """Set attributes to their saved values; one by one when the kernel does not take all together. In both orders: MAB
    needs a locked port, so it is set after `locked` and removed before."""
    for command in attribute_commands(name, differences):
        try:
            programs.run(*command)
        except HostError:
            if command[0] == "ip" and len(differences) > 1:
                for difference in [*differences, *reversed(differences)]:
                    if difference.is_known:
                        _set_attributes(name, [difference])


def _arguments(difference: PortDifference) -> list[str]:
    name, value = difference.name, difference.was
    if value is None:
        return list(ATTRIBUTES[name].unset)
    if isinstance(value, bool):
        return [name, "on" if value else "off"]
    return [name, str(STATES.get(value, value) if name == "state" else value)]


def _try_batch(program: str, commands: list[list[str]]) -> Optional[HostError]:
    """Run commands of `ip` or `bridge` as one process, all of them also when one fails; return the error, if any.

    A batch file cannot quote every name, so commands with an unusual one are run one by one.
    """
    error = None
    runs = [(command, "") for command in commands]
    if runs and all(_PLAIN_WORD.fullmatch(word) for command in commands for word in command):
        runs = [(["-force", "-batch", "-"], "".join(" ".join(command) + "\n" for command in commands))]
    for argv, text in runs:
        try:
            programs.run(program, *argv, text=text)
        except HostError as failure:
            error = failure
    return error
