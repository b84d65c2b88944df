"""Checks of dummies and the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import Problem
from kvmnet.core.checks import Context, check

#: Keys that are for interfaces with a cable, or for controllers. KVN175 reports those of bonds, and `state`.
_KEYS = ("mac", "match", "bridge", "ports", "over")


@check("KVN198", "key that does not fit a dummy or the loopback interface")
def find_unfit_keys(context: Context) -> Iterator[Problem]:
    """
    A dummy (`type: dummy`) and the loopback interface (`lo`) have no cable. They have static addresses, an MTU, and a
    network that gives the prefix lengths, but no MAC address of a NIC, no ports, no bridge of their own, and nobody who
    answers DHCP. Remove the key. A dummy may be the port of an interface with `type: bridge`; lo may not.
    """
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            if not interface.is_dummy:
                continue
            kind = "the loopback interface" if interface.is_loopback else f"dummy {interface.name}"
            keys = [key for key in _KEYS if interface.place.has(key)]
            keys += [f"ipv{v}" for v in (4, 6) if interface.source(v) not in ("static", "none")]
            if interface.is_loopback and interface.place.has("type"):
                keys.append("type")
            for key in keys:
                message = f"{kind} on host {host.name} cannot have {key}"
                yield Problem("KVN198", message, interface.place.at(key), hint=f"remove {key}")
