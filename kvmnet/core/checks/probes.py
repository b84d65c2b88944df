"""Checks of the probes in a definition."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from kvmnet.core.base.problem import WARNING, Mark, Problem
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import PlacedProbe
from kvmnet.core.views import routing


def _probes_of_addresses(context: Context) -> Iterator[tuple[str, PlacedProbe, str]]:
    """Every probe whose target is an IP address: the host's name, the probe, and the address."""
    for host in context.cluster.hosts.values():
        for placed in host.probes:
            if placed.probe.address is not None:
                yield host.name, placed, placed.probe.address


@check("KVN186", "probe target is not the address of one machine")
def find_invalid_targets(context: Context) -> Iterator[Problem]:
    """
    The target of a probe must be the address of one machine. Multicast addresses, 0.0.0.0 and :: are not valid. An
    IPv6 link-local address is not valid either, because it needs an interface. Gateways need no probe in the
    definition, because kvmnet always probes them. This includes link-local gateways: kvmnet probes them on the
    interface that leads to them.
    """
    reported: set[Mark] = set()
    for _, placed, address in _probes_of_addresses(context):
        ip, kind = ipaddress.ip_address(address), None
        if ip.is_multicast:
            kind = "a multicast address"
        elif ip.is_unspecified:
            kind = "the unspecified address"
        elif ip.version == 6 and ip.is_link_local:
            kind = "a link-local address"
        if kind is not None and placed.mark not in reported:
            reported.add(placed.mark)
            yield Problem("KVN186", f"{address} is {kind} and cannot be the target of a probe", placed.mark)


@check("KVN187", "host has no route to a probe target")
def find_unreachable_targets(context: Context) -> Iterator[Problem]:
    """
    The host cannot send packets to a probe target: it has no address on the target's network, and no route to it.
    After a change, kvmnet repeats only the probes that got a reply before the change. This probe therefore has no
    effect. Correct the target, or add the missing route or address.
    """
    reported: set[Mark] = set()
    for name, placed, address in _probes_of_addresses(context):
        view, host, ip = context.views.get(name), context.cluster.hosts[name], ipaddress.ip_address(address)
        if view is None or placed.mark in reported or ip.is_multicast or ip.is_unspecified or ip.is_link_local:
            continue
        if not routing.is_reachable(context.cluster, host, view.routes, ip):
            reported.add(placed.mark)
            message = f"host {name} has no route to probe target {address}"
            yield Problem("KVN187", message, placed.mark, severity=WARNING)
