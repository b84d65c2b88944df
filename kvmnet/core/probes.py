"""Whom to ask whether the host is still on the network: what answers before the change must answer after."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Optional

from kvmnet.core.bundle import State
from kvmnet.core.difference import is_link_local

_DEFAULT = {"0.0.0.0/0": 4, "::/0": 6}


@dataclass(frozen=True)
class Probes:
    """`must` are the gateways that must answer after the change, `silent` those of the definition that need
    not (they do not answer now either), `watch` one that answers now: to see how long it is out of reach."""

    must: tuple[str, ...]
    silent: tuple[str, ...]
    watch: Optional[str]


def choose_probes(desired: State, live: State, answers: Callable[[str], bool], callers: Sequence[str] = ()) -> Probes:
    """Choose by asking: `answers` says whether an address answers now.

    Asked are the gateways of the definition, today's where the definition keeps the host in their subnet or
    has it learn its gateway by DHCP (which one is known only afterwards: today's), and `callers`, the machine
    that the operator sits at. A host that moves to another network cannot ask its new gateway yet: where
    today's gateway answers and no gateway of the definition does, the definition's must answer afterwards.
    So a mistyped network is undone.
    """
    wanted, today = gateways(desired), gateways(live)
    subnets = _subnets(desired)
    learning = _learning(desired) - {_version(g) for g in wanted}
    stay = [g for g in today if _in(g, subnets) or (_version(g) in learning and not is_link_local(g))]
    asked = dict.fromkeys([*wanted, *stay])
    must = [gateway for gateway in asked if answers(gateway)]
    watch = must[:1]
    for version in (4, 6):
        ours = [g for g in wanted if _version(g) == version]
        if ours and not any(_version(g) == version for g in must):
            theirs = [g for g in today if _version(g) == version and g not in asked and answers(g)]
            must += ours if theirs else []
            watch += theirs
    must += [caller for caller in callers if caller not in asked and answers(caller)]
    return Probes(tuple(must), tuple(g for g in wanted if g not in must), watch[0] if watch else None)


def gateways(state: State) -> list[str]:
    """The next hops of a state's default routes, in order. In a live state those of DHCP and of routers are
    among the running ones alone (nmstate 2.2)."""
    routes = [r for kind in ("config", "running") for r in state.get("routes", {}).get(kind, [])]
    hops = [r.get("next-hop-address") for r in routes if r.get("destination") in _DEFAULT]
    return list(dict.fromkeys(str(hop) for hop in hops if hop))


def _learning(state: State) -> set[int]:
    """The families in which an interface takes its default route from DHCP or a router."""
    return {
        version
        for interface in state.get("interfaces", [])
        for version, family in ((4, interface.get("ipv4", {})), (6, interface.get("ipv6", {})))
        if family.get("auto-gateway") and (family.get("dhcp") or family.get("autoconf"))
    }


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version


def _subnets(state: State) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [
        ipaddress.ip_network(f"{a['ip']}/{a['prefix-length']}", strict=False)
        for interface in state.get("interfaces", [])
        for family in ("ipv4", "ipv6")
        for a in interface.get(family, {}).get("address", [])
    ]


def _in(address: str, subnets: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(ipaddress.ip_address(address) in subnet for subnet in subnets)
