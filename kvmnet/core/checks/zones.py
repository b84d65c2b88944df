"""Checks of firewalld zones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from kvmnet.core.base.problem import Problem
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host, Interface


@check("KVN192", "zone has no effect")
def find_ineffective_zones(context: Context) -> Iterator[Problem]:
    """
    firewalld uses the zone of the interface that has the addresses. The zone of a port has no effect: set `zone` on the
    bond or bridge. Some interfaces get no zone from kvmnet: those with `manage: false` or `state: down`, NICs without
    a network, addresses or a VLAN, those that it never changes (ipmi), and the VLAN devices of guests (a network with
    `over`), which have no addresses. Remove `zone` there.
    """
    for network in context.cluster.networks.values():
        if network.zone is not None and network.over is not None:
            message = f"network {network.name} is for guests only: hosts have no interface that could be in a zone"
            yield Problem("KVN192", message, network.place.at("zone"), hint="remove zone")
    for host in context.cluster.hosts.values():
        view = context.views.get(host.name)
        unused = {nic.interface for nic in view.nics if not nic.managed} if view is not None else set()
        for interface in host.interfaces.values():
            reason = _find_reason(host, interface, interface.name in unused) if interface.zone is not None else None
            if reason is not None:
                message = f"zone of {interface.name} on host {host.name} has no effect: {reason[0]}"
                yield Problem("KVN192", message, interface.place.at("zone"), hint=reason[1])


def _find_reason(host: Host, interface: Interface, is_unused: bool) -> Optional[tuple[str, str]]:
    """Return why the zone of an interface has no effect, with a hint; None if it has one. `is_unused`: nothing in the
    definition uses the NIC."""
    controller = host.controllers.get(interface.name)
    if controller is not None:
        return f"it is a port of {controller.name}", f"set zone on {controller.name}"
    if interface.left_alone or not interface.managed:
        return "kvmnet does not configure the interface", "remove zone"
    if interface.is_loopback:
        return "firewalld accepts everything on the loopback interface", "remove zone"
    if not interface.up:
        return "the interface is down", "remove zone"
    if is_unused:
        return "kvmnet does not configure a NIC without a network or addresses", "remove zone, or set network"
    return None
