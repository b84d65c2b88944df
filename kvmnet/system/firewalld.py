"""Reads and changes firewalld's zones by busctl, because firewall-cmd takes a second or more for each call."""

from __future__ import annotations

import contextlib
from typing import Optional

from kvmnet.system import programs
from kvmnet.system.errors import HostError

BUS_NAME = "org.fedoraproject.FirewallD1"


def call(method: str, *arguments: str, interface: str = f"{BUS_NAME}.zone") -> str:
    """Call a D-Bus method of firewalld and return the string that it answers. Raises HostError."""
    path = "/" + BUS_NAME.replace(".", "/")
    signature = ["s" * len(arguments)] if arguments else []
    answer = programs.run("busctl", "call", BUS_NAME, path, interface, method, *signature, *arguments)
    return answer.strip().partition(" ")[2].strip('"')


def is_running() -> bool:
    """Return whether firewalld is active. systemd is asked, because a D-Bus call would start firewalld."""
    with contextlib.suppress(HostError):
        return programs.run("systemctl", "is-active", "firewalld").strip() == "active"
    return False


def read_zone(interface: str) -> Optional[str]:
    """Return the zone that this interface is bound to; None when it is bound to none and the default zone applies."""
    return call("getZoneOfInterface", interface) or None


def read_zones() -> dict[str, str]:
    """Return the zone of each interface that is bound to one. This is one call, and so one process, for all of them."""
    path = "/" + BUS_NAME.replace(".", "/")
    command = ("busctl", "--json=short", "call", BUS_NAME, path, f"{BUS_NAME}.zone", "getActiveZones")
    zones = programs.run_json(*command)["data"][0]
    return {name: zone for zone, settings in zones.items() for name in settings.get("interfaces", [])}


def read_zone_names() -> list[str]:
    """Return the names of all zones that firewalld has."""
    path = "/" + BUS_NAME.replace(".", "/")
    answer = programs.run_json("busctl", "--json=short", "call", BUS_NAME, path, f"{BUS_NAME}.zone", "getZones")
    return [str(name) for name in answer["data"][0]]


def bind_zones(wanted: dict[str, Optional[str]]) -> list[str]:
    """Bind interfaces to these zones (None: to no zone) where they are not yet; return what was changed."""
    bound, changes = read_zones(), []
    for name, zone in wanted.items():
        if zone and bound.get(name) != zone:
            call("changeZoneOfInterface", zone, name)
            changes.append(f"{name} to {zone}")
        elif not zone and name in bound:
            call("removeInterface", bound[name], name)
            changes.append(f"{name} to none")
    return changes
