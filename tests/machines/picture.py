"""The state of a machine (its picture), read from its kernel and its files without kvmnet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Optional

from tests.machines.machine import Machine

_WHOLE = r"""
import glob, hashlib, json, os, re, stat, subprocess
def stdout_of(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout
def label(path):
    try:
        return os.getxattr(path, "security.selinux", follow_symlinks=False).decode()
    except OSError:
        return None
files, settings = {}, {}
for folder in ("/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections",
               "/etc/systemd/network", "/run/systemd/network", "/etc/NetworkManager/conf.d"):
    for path in sorted(glob.glob(folder + "/*") + glob.glob(folder + "/.*")):
        if not re.fullmatch("lo(-[0-9a-f-]+)?[.]nmconnection", os.path.basename(path)):
            about = os.stat(path)
            content = open(path, "rb").read()
            plain = b"".join(line for line in content.splitlines() if not line.startswith(b"timestamp="))
            rights = [oct(stat.S_IMODE(about.st_mode)), about.st_uid, about.st_gid, label(path)]
            files[path] = [*rights, hashlib.sha256(content).hexdigest()]
            settings[path] = [*rights, hashlib.sha256(plain).hexdigest()]
firewall = ["busctl", "--json=short", "call", "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1",
            "org.fedoraproject.FirewallD1.zone", "getActiveZones"]
manager = ["org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager"]
dns = ["busctl", "--json=short", "get-property", "org.freedesktop.NetworkManager",
       "/org/freedesktop/NetworkManager/DnsManager", "org.freedesktop.NetworkManager.DnsManager", "Configuration"]
print(json.dumps({
    "links": json.loads(stdout_of("ip", "-d", "-j", "link", "show")),
    "addresses": {e["ifname"]: sorted(a["local"] + "/" + str(a["prefixlen"])
                                      for a in e["addr_info"] if a.get("scope") == "global")
                  for e in json.loads(stdout_of("ip", "-j", "address", "show")) if "ifname" in e},
    "routes": sorted(line.strip() for family in ("-4", "-6")
                     for line in stdout_of("ip", family, "route", "show").splitlines()),
    "zones": {zone: sorted(held["interfaces"]) for zone, held in json.loads(stdout_of(*firewall))["data"][0].items()}
             if "\nactive" in "\n" + stdout_of("systemctl", "is-active", "firewalld") else None,
    "dns": json.loads(stdout_of(*dns) or '{"data": null}')["data"],
    "resolv.conf": [line for line in open("/etc/resolv.conf").read().splitlines() if line and line[0] not in "#;"]
                   if os.path.exists("/etc/resolv.conf") else None,
    "files": files,
    "settings": settings,  # the same without the time at which NetworkManager last used a profile
    # the profile of lo is recreated at each boot
    "profiles": sorted(line for line in stdout_of("nmcli", "-t", "-f", "UUID,NAME,DEVICE,FILENAME", "connection",
                                             "show").splitlines() if ":lo:lo:" not in line),
    "checkpoints": stdout_of("busctl", "get-property", *manager, "Checkpoints"),
    "hostname": [os.uname().nodename, open("/etc/hostname").read() if os.path.exists("/etc/hostname") else None],
    "open": os.path.exists("/var/lib/kvmnet/open"),
}))
"""


#: The settings of a link: what an administrator or a program sets.
SET = ("link", "master", "address", "mtu", "txqlen", "promiscuity", "allmulti", "group", "inet6_addr_gen_mode")
#: The state and counters of a bond, a bridge or a port, and values that they choose (numbers, what neighbours report).
DOINGS = {
    "bond": ("active_slave", "ad_info"),
    "bridge": (
        *("root_id", "bridge_id", "root_port", "root_path_cost", "topology_change", "topology_change_detected"),
        *("hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "fdb_n_learned"),
    ),
    "port of a bond": (
        *("state", "mii_status", "link_failure_count", "ad_aggregator_id"),
        *("ad_actor_oper_port_state", "ad_actor_oper_port_state_str"),
        *("ad_partner_oper_port_state", "ad_partner_oper_port_state_str"),
    ),
    "port of a bridge": (
        *("state", "id", "no", "designated_port", "designated_cost", "bridge_id", "root_id", "config_pending"),
        *("hold_timer", "message_age_timer", "forward_delay_timer", "topology_change_ack", "backup_nhid"),
    ),
}


def links(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what `ip -d -j link` shows, by name, without counters, indices and values that change by themselves."""
    found = {}
    for row in rows:
        about = row.get("linkinfo", {})
        kind, port_of = about.get("info_kind"), about.get("info_slave_kind")
        found[row["ifname"]] = {
            "kind": kind or row["link_type"],
            "altnames": sorted(row.get("altnames", [])),
            "flags": sorted(f for f in row["flags"] if f in ("UP", "PROMISC", "ALLMULTI", "NOARP")),
            # the active port of a bond is as promiscuous as the bond
            **{key: row.get(key) for key in SET if not (port_of == "bond" and key in ("promiscuity", "allmulti"))},
            "options": _less(about.get("info_data", {}), (*DOINGS.get(str(kind), ()), *_idle(about))),
            "port of": port_of,
            "as port": _less(about.get("info_slave_data", {}), DOINGS.get(f"port of a {port_of}", ())),
        }
    return found


def _idle(about: dict[str, Any]) -> tuple[str, ...]:
    """Return the settings of a bond that have no effect: ARP targets without an interval, which NetworkManager's
    rollback leaves."""
    return () if about.get("info_data", {}).get("arp_interval") else ("arp_ip_target",)


def _less(held: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in held.items() if key not in keys}


def name_servers(rows: Optional[list[dict[str, Any]]]) -> Optional[list[dict[str, Any]]]:
    """Return what NetworkManager's DnsManager has from each interface; None if it does not answer."""
    if rows is None:
        return None
    plain = [{key: held["data"] for key, held in row.items()} for row in rows]
    return sorted(plain, key=lambda row: str(row.get("interface")))


def differences(now: dict[str, Any], wanted: dict[str, Any], parts: Iterable[str]) -> list[str]:
    """Return how one picture differs from another: one line for a part, or for an entry of a part with names."""
    found = []
    for part in parts:
        is_now, was = now[part], wanted[part]
        if isinstance(is_now, dict) and isinstance(was, dict):
            found += [
                f"{part} {key}: is {is_now.get(key)}, not {was.get(key)}"
                for key in sorted({*is_now, *was})
                if is_now.get(key) != was.get(key)
            ]
        elif is_now != was:
            found.append(f"{part}: is {is_now}, not {was}")
    return found


def link(machine: Machine, name: str) -> dict[str, Any]:
    """Return one link with everything that the kernel shows of it."""
    found: dict[str, Any] = json.loads(machine.out(f"ip -d -j link show dev {name}"))[0]
    return found


def addresses(machine: Machine, name: str) -> list[str]:
    """Return the global addresses of a link, with their prefix lengths."""
    return all_addresses(machine)[name]


def all_addresses(machine: Machine) -> dict[str, list[str]]:
    """Return the global addresses of every link."""
    return {
        entry["ifname"]: [f"{a['local']}/{a['prefixlen']}" for a in entry["addr_info"] if a.get("scope") == "global"]
        for entry in json.loads(machine.out("ip -j address show"))
        if "ifname" in entry
    }


def default_routes(machine: Machine) -> list[tuple[str, str, int]]:
    """Return (gateway, device, metric) of each IPv4 default route."""
    return [(r["gateway"], r["dev"], r.get("metric", 0)) for r in json.loads(machine.out("ip -j route show default"))]


def whole(machine: Machine) -> dict[str, Any]:
    """Return everything that must be the same after a rollback: links with their settings, addresses, routes, zones,
    name servers, connection profiles and .link files with mode, owner, label and bytes, checkpoints, open
    transactions."""
    found = made_of(json.loads(machine.out(["/usr/bin/python3", "-I", "-c", _WHOLE])))
    assert found["links"] and found["profiles"] and found["files"], found
    return found


def made_of(reading: dict[str, Any]) -> dict[str, Any]:
    """Return the picture of what was read on the machine."""
    dns = name_servers(reading["dns"])
    servers = sorted({server for row in dns or () for server in row.get("nameservers", ())})
    return {**reading, "links": links(reading["links"]), "dns": dns, "servers": servers}


def without_metrics(seen: dict[str, Any]) -> dict[str, Any]:
    """Return a picture without the routes' metrics: if the profile sets none, NetworkManager chooses them in the
    order in which devices are activated."""
    return {**seen, "routes": sorted(re.sub(r" metric \d+", "", route) for route in seen["routes"])}


def without_managers_taps(seen: dict[str, Any]) -> dict[str, Any]:
    """Return a picture without what NetworkManager makes of guests' taps that it is not told to leave alone, each time
    it sees one: a profile in memory with a new UUID, a zone, how the tap's own IPv6 address is generated."""
    taps = [name for name, row in seen["links"].items() if row["kind"] == "tun"]
    files = [f"/run/NetworkManager/system-connections/{name}.nmconnection" for name in taps]
    links = {name: dict(row, inet6_addr_gen_mode=None) if name in taps else row for name, row in seen["links"].items()}
    return {
        **seen,
        "links": links,
        **{
            part: {path: row for path, row in seen[part].items() if path not in files} for part in ("files", "settings")
        },
        "profiles": [line for line in seen["profiles"] if not line.endswith(tuple(files))],
        "zones": {zone: [name for name in names if name not in taps] for zone, names in (seen["zones"] or {}).items()},
        "routes": [route for route in seen["routes"] if not any(f" dev {name} " in route for name in taps)],
    }


def checkpoints(machine: Machine) -> str:
    return machine.out(
        "busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager "
        "org.freedesktop.NetworkManager Checkpoints"
    )
