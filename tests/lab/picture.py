"""What a machine is, read from its kernel and its files by other means than kvmnet's own."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.lab.machine import Machine

_WHOLE = r"""
import glob, hashlib, json, os, re, stat, subprocess
def said(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout
files, settings = {}, {}
for folder in ("/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections",
               "/etc/systemd/network", "/run/systemd/network", "/etc/NetworkManager/conf.d"):
    for path in sorted(glob.glob(folder + "/*") + glob.glob(folder + "/.*")):
        if not re.fullmatch("lo(-[0-9a-f-]+)?[.]nmconnection", os.path.basename(path)):
            about = os.stat(path)
            content = open(path, "rb").read()
            plain = b"".join(line for line in content.splitlines() if not line.startswith(b"timestamp="))
            rights = [oct(stat.S_IMODE(about.st_mode)), about.st_uid, about.st_gid]
            files[path] = [*rights, hashlib.sha256(content).hexdigest()]
            settings[path] = [*rights, hashlib.sha256(plain).hexdigest()]
firewall = ["busctl", "--json=short", "call", "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1",
            "org.fedoraproject.FirewallD1.zone", "getActiveZones"]
manager = ["org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager"]
print(json.dumps({
    "links": {e["ifname"]: [e.get("master"), sorted(e.get("altnames", [])),
                            sorted(f for f in e["flags"] if f in ("UP", "PROMISC")), e["address"], e["mtu"]]
              for e in json.loads(said("ip", "-d", "-j", "link", "show"))},
    "addresses": {e["ifname"]: sorted(a["local"] + "/" + str(a["prefixlen"])
                                      for a in e["addr_info"] if a.get("scope") == "global")
                  for e in json.loads(said("ip", "-j", "address", "show")) if "ifname" in e},
    "routes": sorted(line.strip() for line in (said("ip", "route", "show") + said("ip", "-6", "route")).splitlines()),
    "zones": {zone: sorted(held["interfaces"]) for zone, held in json.loads(said(*firewall))["data"][0].items()}
             if "\nactive" in "\n" + said("systemctl", "is-active", "firewalld") else None,
    "files": files,
    "settings": settings,  # the same without NetworkManager's note of when a profile was used last
    # lo's is made anew at each boot
    "profiles": sorted(line for line in said("nmcli", "-t", "-f", "UUID,NAME,DEVICE,FILENAME", "connection",
                                             "show").splitlines() if ":lo:lo:" not in line),
    "checkpoints": said("busctl", "get-property", *manager, "Checkpoints"),
    "open": os.path.exists("/var/lib/kvmnet/open"),
}))
"""


def link(machine: Machine, name: str) -> dict[str, Any]:
    """One link with all that the kernel says of it."""
    found: dict[str, Any] = json.loads(machine.out(f"ip -d -j link show dev {name}"))[0]
    return found


def addresses(machine: Machine, name: str) -> list[str]:
    """The global addresses of a link, with their prefix lengths."""
    return all_addresses(machine)[name]


def all_addresses(machine: Machine) -> dict[str, list[str]]:
    """The same for every link."""
    return {
        entry["ifname"]: [f"{a['local']}/{a['prefixlen']}" for a in entry["addr_info"] if a.get("scope") == "global"]
        for entry in json.loads(machine.out("ip -j address show"))
        if "ifname" in entry
    }


def default_routes(machine: Machine) -> list[tuple[str, str, int]]:
    """(gateway, device, metric) of each IPv4 default route."""
    return [(r["gateway"], r["dev"], r.get("metric", 0)) for r in json.loads(machine.out("ip -j route show default"))]


def whole(machine: Machine) -> dict[str, Any]:
    """All that must be the same again after an undo: names, altnames, masters, flags, addresses, routes, zones,
    profiles and .link files with mode, owner and bytes, checkpoints, open transactions."""
    found: dict[str, Any] = json.loads(machine.out(["/usr/bin/python3", "-I", "-c", _WHOLE]))
    assert found["links"] and found["profiles"] and found["files"], found
    return found


def without_metrics(seen: dict[str, Any]) -> dict[str, Any]:
    """A picture less the routes' metrics: NetworkManager counts them up in the order in which devices come up, where no
    profile states one."""
    return {**seen, "routes": sorted(re.sub(r" metric \d+", "", route) for route in seen["routes"])}


def checkpoints(machine: Machine) -> str:
    return machine.out(
        "busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager "
        "org.freedesktop.NetworkManager Checkpoints"
    )
