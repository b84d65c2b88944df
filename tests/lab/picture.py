"""What a machine is, read from its kernel and its files by other means than kvmnet's own."""

from __future__ import annotations

import json
from typing import Any

from tests.lab.machine import Machine

_FILES = """
cd / && find etc/NetworkManager/system-connections run/NetworkManager/system-connections etc/systemd/network \
  run/systemd/network -type f ! -name lo.nmconnection 2>/dev/null | sort | while read -r file; do
  echo "$file $(stat -c '%a %u %g' "$file") $(sha256sum < "$file")"
done
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
    links = {
        entry["ifname"]: [
            entry.get("master"),
            sorted(entry.get("altnames", [])),
            sorted(f for f in entry["flags"] if f in ("UP", "PROMISC")),
            entry["address"],
            entry["mtu"],
        ]
        for entry in json.loads(machine.out("ip -d -j link show"))
    }
    return {
        "links": links,
        "addresses": all_addresses(machine),
        "routes": sorted(machine.out("ip route show; ip -6 route show | sed 's/ expires.*//'").splitlines()),
        "zones": machine.out("firewall-cmd --get-active-zones", timeout=30) if _firewall(machine) else None,
        "files": machine.out(_FILES).splitlines(),
        "profiles": sorted(machine.out("nmcli -t -f UUID,NAME,DEVICE,FILENAME connection show").splitlines()),
        "checkpoints": checkpoints(machine),
        "open": machine.run("test -e /var/lib/kvmnet/open", check=False).code == 0,
    }


def checkpoints(machine: Machine) -> str:
    return machine.out(
        "busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager "
        "org.freedesktop.NetworkManager Checkpoints"
    )


def _firewall(machine: Machine) -> bool:
    return machine.run("systemctl is-active firewalld", check=False).code == 0
