"""firewalld's zones, over D-Bus by busctl: its own command takes a second and more."""

from __future__ import annotations

import contextlib
from typing import Optional

from kvmnet.system import programs
from kvmnet.system.errors import HostError

BUS_NAME = "org.fedoraproject.FirewallD1"


def call(method: str, *arguments: str, interface: str = f"{BUS_NAME}.zone") -> str:
    """Call firewalld by D-Bus (its own command takes a second and more); the one word that it answers."""
    path = "/" + BUS_NAME.replace(".", "/")
    signature = ["s" * len(arguments)] if arguments else []
    answer = programs.run("busctl", "call", BUS_NAME, path, interface, method, *signature, *arguments)
    return answer.strip().partition(" ")[2].strip('"')


def is_running() -> bool:
    """Whether firewalld answers on the bus (asking must not start it)."""
    with contextlib.suppress(HostError):
        return programs.run("systemctl", "is-active", "firewalld").strip() == "active"
    return False


def read_zone(interface: str) -> Optional[str]:
    """firewalld's zone that this interface is bound to; None when to none (then the default zone counts)."""
    return call("getZoneOfInterface", interface) or None


def read_zones() -> dict[str, str]:
    """The same for all interfaces that are bound to one, by one call: each is a process."""
    path = "/" + BUS_NAME.replace(".", "/")
    words = ("busctl", "--json=short", "call", BUS_NAME, path, f"{BUS_NAME}.zone", "getActiveZones")
    held = programs.run_json(*words)["data"][0]
    return {name: zone for zone, of in held.items() for name in of.get("interfaces", [])}


def bind_zones(wanted: dict[str, Optional[str]]) -> list[str]:
    """Bind names to firewalld's zones, or to none, where they are not; what was done."""
    now, done = read_zones(), []
    for name, zone in wanted.items():
        if zone and now.get(name) != zone:
            call("changeZoneOfInterface", zone, name)
            done.append(f"{name} to {zone}")
        elif not zone and name in now:
            call("removeInterface", now[name], name)
            done.append(f"{name} to none")
    return done
