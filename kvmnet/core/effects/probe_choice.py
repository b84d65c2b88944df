"""Chooses the targets to probe after a change: those that reply before it must reply after it."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Union

from kvmnet.core.base.nmstate import FAMILIES, MAIN_TABLE, State, dns_of, interfaces_of
from kvmnet.core.base.probe import Probe
from kvmnet.core.planning.difference import is_link_local

_DEFAULT = {"0.0.0.0/0": 4, "::/0": 6}
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

Ask = Callable[[Sequence[Probe]], Sequence[Probe]]
"""Probes all targets at once and returns those that reply."""


@dataclass(frozen=True)
class Probes:
    """The targets of a change.

    must: targets that must reply after the change.
    silent: targets of the definition that do not reply before the change, so they are not probed after it.
    watch: the address of a gateway that replies; used to measure for how long it is out of reach.
    known: whether targets could be probed (only root can).
    commands: the definition's commands. They run only after the user agrees to the change; those that succeed then must
        succeed after it.
    through_guests: targets that reply only through the port of a guest of this host, such as a gateway that is a
        firewall in a guest, with the port. They are not probed after the change: it may interrupt the guest, and what a
        guest replies shows nothing about the way to the outside.
    """

    must: tuple[Probe, ...] = ()
    silent: tuple[Probe, ...] = ()
    watch: Optional[str] = None
    known: bool = True
    commands: tuple[Probe, ...] = ()
    through_guests: tuple[tuple[Probe, str], ...] = ()

    def without_guests(self, ports: Mapping[Probe, str]) -> Probes:
        """Return the targets without those that reply only through guests' ports (port by probe)."""
        found = {(probe.kind, probe.target): port for probe, port in ports.items()}
        chosen = dict.fromkeys([*self.must, *self.silent])
        through = tuple((p, found[p.kind, p.target]) for p in chosen if (p.kind, p.target) in found)
        left_out = {probe for probe, _ in through}
        return dataclasses.replace(
            self,
            must=tuple(p for p in self.must if p not in left_out),
            silent=tuple(p for p in self.silent if p not in left_out),
            through_guests=through,
        )


def choose_probes(
    desired: State, live: State, ask: Ask, callers: Sequence[str] = (), own: Sequence[Probe] = ()
) -> Probes:
    """Choose the targets by probing these before the change:

    - the gateways of the definition;
    - today's gateways, when the host stays in their subnet or will learn its gateway by DHCP or from a router;
    - the name servers of the definition, or today's when they are learned;
    - `own`, the definition's own probes, and `callers`, the addresses from which the operator connected. Commands among
      `own` are not run here.

    A host that moves to another network cannot reach its new gateway yet. So when today's gateway replies and no
    gateway of the definition does, the definition's gateways must reply after the change. This way a mistyped network
    or gateway is rolled back. A link-local gateway is probed on the interface that leads to it today, and afterwards on
    the interface that will.
    """
    commands = tuple(dict.fromkeys(probe for probe in own if probe.kind == "command"))
    own = [probe for probe in own if probe not in commands]
    wanted, today = _find_gateways(desired), _find_gateways(live)
    later = [*wanted, *_find_staying(today, desired, wanted)]
    now = {probe: _as_of_today(probe, desired, live) for probe in later}
    gateways = {probe.target for probe in later}
    others = [
        probe
        for probe in dict.fromkeys([*_find_servers(desired, live), *own, *(Probe("peer", c) for c in callers)])
        if probe.kind not in ("peer", "ping") or probe.target not in gateways
    ]
    replying = set(ask(list(dict.fromkeys(p for p in [*now.values(), *others] if p is not None))))

    must = [probe for probe in dict.fromkeys(later) if now[probe] in replying]
    watch = [probe for probe in must if not probe.device][:1]
    for version in (4, 6):
        of_definition = [p for p in wanted if _version(p) == version]
        if of_definition and not any(p in must for p in of_definition):
            same_subnet = [p for p in must if _version(p) == version]
            of_today = same_subnet or ask([p for p in today if _version(p) == version and p not in now.values()])
            # a gateway of today that does not reply is known to be silent
            must += [p for p in of_definition if p not in today] if of_today else []
            watch += [p for p in of_today if not p.device]
    silent = [p for p in wanted if p not in must]
    must += [p for p in others if p in replying]
    silent += [p for p in others if p not in replying and (p in own or p.target in _stated_servers(desired))]
    watched = watch[0].target if watch else None
    return Probes(tuple(must), tuple(dict.fromkeys(silent)), watched, commands=commands)


def _find_gateways(state: State) -> list[Probe]:
    """Return the next hops of a state's default routes in the main table, in order. In a live state, those from DHCP
    and routers are only among the running routes (nmstate 2.2). Routes of other tables go with their routing rules, and
    only some of the host's traffic uses them."""
    routes = [
        r
        for kind in ("config", "running")
        for r in state.get("routes", {}).get(kind, [])
        if (r.get("table-id") or MAIN_TABLE) == MAIN_TABLE
    ]
    gateways = [
        Probe("gateway", address, str(route.get("next-hop-interface") or "") if _needs_interface(address) else "")
        for route in routes
        if route.get("destination") in _DEFAULT and (address := str(route.get("next-hop-address") or ""))
    ]
    return list(dict.fromkeys(gateways))


def _needs_interface(address: str) -> bool:
    """Whether the address is only meaningful together with an interface."""
    return ":" in address and is_link_local(address)


def _find_staying(today: Sequence[Probe], desired: State, wanted: Sequence[Probe]) -> Iterator[Probe]:
    """Return today's gateways that must reply afterwards too; a link-local one on the interface that will learn it."""
    subnets = _subnets(desired)
    learning = _find_learning(desired, "auto-gateway")
    for version in {_version(p) for p in wanted}:
        learning.pop(version, None)
    for probe in today:
        devices = learning.get(_version(probe), [])
        if _needs_interface(probe.target):
            device = probe.device if probe.device in devices else devices[0] if len(devices) == 1 else ""
            if device:
                yield dataclasses.replace(probe, device=device)
        elif devices or _is_in(probe.target, subnets):
            yield probe


def _as_of_today(probe: Probe, desired: State, live: State) -> Optional[Probe]:
    """Return how to probe a gateway before the change; None for a link-local one that no interface leads to yet."""
    if not _needs_interface(probe.target):
        return probe
    addresses = {a for i in interfaces_of(desired) if i.get("name") == probe.device for a in _addresses(i)}
    holder = next((i["name"] for i in interfaces_of(live) if addresses.intersection(_addresses(i))), None)
    if holder is not None:  # its address will move to the probe's device
        return dataclasses.replace(probe, device=str(holder))
    return next((p for p in _find_gateways(live) if p.target == probe.target), None)


def _find_servers(desired: State, live: State) -> list[Probe]:
    """Return the name servers of the definition; today's, when the host learns them."""
    addresses = _stated_servers(desired)
    if not addresses and _find_learning(desired, "auto-dns"):
        addresses = [str(s) for s in live.get("dns-resolver", {}).get("running", {}).get("server", [])]
    servers = []
    for address in addresses:
        with contextlib.suppress(ValueError):  # one with a port or a scope, which no definition contains
            if not is_link_local(address):
                servers.append(Probe("dns", str(ipaddress.ip_address(address))))
    return servers


def _stated_servers(desired: State) -> list[str]:
    return [str(s) for s in dns_of(desired).get("server", [])]


def _find_learning(state: State, setting: str) -> dict[int, list[str]]:
    """Return the interfaces, by IP version, that take their default route (`auto-gateway`) or name servers
    (`auto-dns`) from DHCP or a router."""
    learning: dict[int, list[str]] = {}
    for interface in interfaces_of(state):
        for version, family in ((4, interface.get("ipv4", {})), (6, interface.get("ipv6", {}))):
            if family.get(setting) and (family.get("dhcp") or family.get("autoconf")):
                learning.setdefault(version, []).append(interface["name"])
    return learning


def _version(probe: Probe) -> int:
    return ipaddress.ip_address(probe.target).version


def _addresses(interface: State) -> list[str]:
    return [
        str(a["ip"])
        for family in FAMILIES
        for a in interface.get(family, {}).get("address", [])
        if not is_link_local(str(a["ip"]))
    ]


def _subnets(state: State) -> list[Network]:
    return [
        ipaddress.ip_network(f"{a['ip']}/{a['prefix-length']}", strict=False)
        for interface in interfaces_of(state)
        for family in FAMILIES
        for a in interface.get(family, {}).get("address", [])
    ]


def _is_in(address: str, subnets: list[Network]) -> bool:
    return any(ipaddress.ip_address(address) in subnet for subnet in subnets)
