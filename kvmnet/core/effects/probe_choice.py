"""Whom to ask whether the host is still on the network: what answers before the change must answer after."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from kvmnet.core.base.nmstate import State, dns_of, interfaces_of
from kvmnet.core.base.probe import Probe
from kvmnet.core.planning.difference import is_link_local

_DEFAULT = {"0.0.0.0/0": 4, "::/0": 6}

Ask = Callable[[Sequence[Probe]], Sequence[Probe]]
"""Those of some probes that are answered now; asked all at once."""


@dataclass(frozen=True)
class Probes:
    """`must` are those that must be answered after the change, `silent` those of the definition that need not
    (they are not answered now either), `watch` the address of a gateway that answers now: to see how long it is
    out of reach. `asked` is false where nobody could be asked (only root may)."""

    must: tuple[Probe, ...] = ()
    silent: tuple[Probe, ...] = ()
    watch: Optional[str] = None
    asked: bool = True


def choose_probes(
    desired: State, live: State, ask: Ask, callers: Sequence[str] = (), own: Sequence[Probe] = ()
) -> Probes:
    """Choose by asking.

    Asked are the gateways of the definition, today's where the definition keeps the host in their subnet or
    has it learn its gateway by DHCP or from a router (which one is known only afterwards: today's), its name
    servers, today's where it learns them, `own`, the definition's own probes, and `callers`, the machine that
    the operator sits at. A host that moves to another network cannot ask its new gateway yet: where
    today's gateway answers and no gateway of the definition does, the definition's must answer afterwards.
    So a mistyped network is undone, and a mistyped gateway. A link-local gateway is asked on the interface that has it
    today, and afterwards on the one that will.
    """
    wanted, today = _gateways(desired), _gateways(live)
    later = [*wanted, *_staying(today, desired, wanted)]
    now = {probe: _today(probe, desired, live) for probe in later}
    others = dict.fromkeys([*_servers(desired, live), *own, *(Probe("peer", c) for c in callers)])
    gateways = {probe.target for probe in later}
    others = {p: None for p in others if p.kind not in ("peer", "ping") or p.target not in gateways}
    answered = set(ask(list(dict.fromkeys(p for p in [*now.values(), *others] if p is not None))))

    must = [probe for probe in dict.fromkeys(later) if now[probe] in answered]
    watch = [probe for probe in must if not probe.device][:1]
    for version in (4, 6):
        ours = [p for p in wanted if _version(p) == version]
        if ours and not any(p in must for p in ours):
            known = [p for p in must if _version(p) == version]  # today's, in the same subnet
            theirs = known or ask([p for p in today if _version(p) == version and p not in now.values()])
            must += [p for p in ours if p not in today] if theirs else []  # one of today's that is silent is silent now
            watch += [p for p in theirs if not p.device]
    silent = [p for p in wanted if p not in must]
    must += [p for p in others if p in answered]
    silent += [p for p in others if p not in answered and (p in own or p.target in _stated(desired))]
    return Probes(tuple(must), tuple(dict.fromkeys(silent)), watch[0].target if watch else None)


def _gateways(state: State) -> list[Probe]:
    """The next hops of a state's default routes, in order. In a live state those of DHCP and of routers are
    among the running ones alone (nmstate 2.2)."""
    routes = [r for kind in ("config", "running") for r in state.get("routes", {}).get(kind, [])]
    found = [
        Probe("gateway", hop, str(route.get("next-hop-interface") or "") if _scoped(hop) else "")
        for route in routes
        if route.get("destination") in _DEFAULT and (hop := str(route.get("next-hop-address") or ""))
    ]
    return list(dict.fromkeys(found))


def _scoped(address: str) -> bool:
    """Whether it says something only together with an interface."""
    return ":" in address and is_link_local(address)


def _staying(today: Sequence[Probe], desired: State, wanted: Sequence[Probe]) -> Iterator[Probe]:
    """Today's gateways that are to answer afterwards too, a link-local one on the interface that learns it then."""
    subnets = _subnets(desired)
    learning = _learning(desired, "auto-gateway")
    for version in {_version(p) for p in wanted}:
        learning.pop(version, None)
    for probe in today:
        devices = learning.get(_version(probe), [])
        if _scoped(probe.target):
            device = probe.device if probe.device in devices else devices[0] if len(devices) == 1 else ""
            if device:
                yield dataclasses.replace(probe, device=device)
        elif devices or _in(probe.target, subnets):
            yield probe


def _today(probe: Probe, desired: State, live: State) -> Optional[Probe]:
    """How a gateway is asked before the change; None: a link-local one that no interface leads to yet."""
    if not _scoped(probe.target):
        return probe
    ours = {a for i in interfaces_of(desired) if i.get("name") == probe.device for a in _addresses(i)}
    holder = next((i["name"] for i in interfaces_of(live) if ours.intersection(_addresses(i))), None)
    if holder is not None:  # the address will move from there to the probe's device
        return dataclasses.replace(probe, device=str(holder))
    return next((p for p in _gateways(live) if p.target == probe.target), None)


def _servers(desired: State, live: State) -> list[Probe]:
    """The name servers of the definition; where it learns them, today's."""
    found = _stated(desired)
    if not found and _learning(desired, "auto-dns"):
        found = [str(s) for s in live.get("dns-resolver", {}).get("running", {}).get("server", [])]
    servers = []
    for server in found:
        with contextlib.suppress(ValueError):  # with a port or a scope: not what a definition says
            if not is_link_local(server):
                servers.append(Probe("dns", str(ipaddress.ip_address(server))))
    return servers


def _stated(desired: State) -> list[str]:
    return [str(s) for s in dns_of(desired).get("server", [])]


def _learning(state: State, what: str) -> dict[int, list[str]]:
    """The interfaces, by family, that take their default route (or name servers) from DHCP or a router."""
    found: dict[int, list[str]] = {}
    for interface in interfaces_of(state):
        for version, family in ((4, interface.get("ipv4", {})), (6, interface.get("ipv6", {}))):
            if family.get(what) and (family.get("dhcp") or family.get("autoconf")):
                found.setdefault(version, []).append(interface["name"])
    return found


def _version(probe: Probe) -> int:
    return ipaddress.ip_address(probe.target).version


def _addresses(interface: State) -> list[str]:
    return [
        str(a["ip"])
        for family in ("ipv4", "ipv6")
        for a in interface.get(family, {}).get("address", [])
        if not is_link_local(str(a["ip"]))
    ]


def _subnets(state: State) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [
        ipaddress.ip_network(f"{a['ip']}/{a['prefix-length']}", strict=False)
        for interface in interfaces_of(state)
        for family in ("ipv4", "ipv6")
        for a in interface.get(family, {}).get("address", [])
    ]


def _in(address: str, subnets: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(ipaddress.ip_address(address) in subnet for subnet in subnets)
