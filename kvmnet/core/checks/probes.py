"""Probes of the definition."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from kvmnet.core.base.problem import WARNING, Mark, Problem
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import PlacedProbe
from kvmnet.core.views import routing


def _addressed(context: Context) -> Iterator[tuple[str, PlacedProbe, str]]:
    """Every host with each of its probes that asks an address."""
    for host in context.cluster.hosts.values():
        for placed in host.probes:
            if placed.probe.address is not None:
                yield host.name, placed, placed.probe.address


@check("KVN186", "a probe of an address that nobody answers for")
def nobody(context: Context) -> Iterator[Problem]:
    """
    A probe asks one machine, by an address that says which: not a multicast address, not 0.0.0.0 or ::, and
    not an IPv6 link-local address, which says nothing without an interface (a gateway's is asked anyway, on
    the interface that leads to it).
    """
    told: set[Mark] = set()
    for _, placed, address in _addressed(context):
        ip, kind = ipaddress.ip_address(address), None
        if ip.is_multicast:
            kind = "a multicast address"
        elif ip.is_unspecified:
            kind = "no address of a machine"
        elif ip.version == 6 and ip.is_link_local:
            kind = "a link-local address"
        if kind is not None and placed.mark not in told:
            told.add(placed.mark)
            yield Problem("KVN186", f"{address} is {kind}: nobody can be asked by it", placed.mark)


@check("KVN187", "a probe that the host has no way to")
def no_way(context: Context) -> Iterator[Problem]:
    """
    The address of a probe is on none of the networks that a host has an address in, and no route leads to it. It
    would not be answered before the change, and so not be asked after it: it protects nothing.
    """
    told: set[Mark] = set()
    for name, placed, address in _addressed(context):
        view, host, ip = context.views.get(name), context.cluster.hosts[name], ipaddress.ip_address(address)
        if view is None or placed.mark in told or ip.is_multicast or ip.is_unspecified or ip.is_link_local:
            continue
        if not routing.reached(context.cluster, host, view.routes, ip):
            told.add(placed.mark)
            yield Problem("KVN187", f"{name} has no way to {address}", placed.mark, severity=WARNING)
