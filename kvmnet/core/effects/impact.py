"""Which running guest a change touches, and how: untouched, cut for a moment, cut for good.

A guest's NIC ends on the host in a tap, a macvtap or a function of a NIC's. From there its frames go down a way: the
bridge, what is its port, the VLAN's base, the NIC. The ways before and after a change are compared: a way that is lost,
or that ends in another VLAN, cuts for good; something on it that is renamed or set anew cuts for a moment; a change of
addresses alone touches no frame of a guest's. What is not known is counted as cut for a moment, never as untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.effects.topology import World, plain, worlds
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan

UNTOUCHED, MOMENT, GOOD = "untouched", "cut for a moment", "cut for good"
OWN_REFUSAL = "KVN527"


@dataclass(frozen=True)
class Impact:
    """What happens to one NIC of a guest. `guest` is None for a tap or macvtap that is no libvirt domain's; `device`
    is the host's end of it, `over` what it is plugged into, now; `why` is empty where it is untouched. `told_by` is
    the refusal that speaks of it."""

    guest: Optional[str]
    device: str
    over: str
    mac: str
    how: str
    why: str = ""
    told_by: str = OWN_REFUSAL

    @property
    def name(self) -> str:
        """What `--allow-guest-loss` calls it."""
        return self.guest or self.device

    def to_json(self) -> dict[str, Any]:
        """For `plan --json`."""
        return {key: getattr(self, key) for key in ("guest", "device", "over", "mac", "how", "why")}


@dataclass(frozen=True)
class _End:
    """The host's end of a guest's NIC. `kind`: tap, macvtap, function (of a NIC's), routed (by a libvirt network, over
    devices that it names), host (wherever the host's own way out is)."""

    guest: Optional[str]
    kind: str
    device: str
    over: tuple[str, ...]
    mac: str = ""
    network: str = ""


@dataclass(frozen=True)
class _Effect:
    how: str = UNTOUCHED
    why: str = ""
    told_by: str = OWN_REFUSAL


def impacts(plan: Plan, live: Live) -> list[Impact]:
    """What a change does to each NIC of each running guest, by guest and device; what is no guest's comes last."""
    world = worlds(plan, live)
    found = []
    for end in _ends(live):
        effects = [_effect(world, end, over) for over in end.over]
        worst = max(effects, key=lambda e: (UNTOUCHED, MOMENT, GOOD).index(e.how), default=_Effect())
        over = ", ".join(end.over)
        found.append(Impact(end.guest, end.device, over, end.mac, worst.how, worst.why, worst.told_by))
    return sorted(found, key=lambda i: (i.guest is None, i.guest or "", i.device, i.mac))


def _ends(live: Live) -> Iterator[_End]:
    running = live.surroundings.running
    routed = {n.name: n.devices for n in running.networks}
    known = set()
    for guest in running.guests:
        for nic in guest.nics:
            known.add(nic.device)
            link = live.links.get(nic.device)
            device = nic.device or nic.pci or nic.kind
            if nic.pci:
                owner = running.functions.get(nic.pci)
                yield _End(guest.name, "function", device, (owner,) if owner else (), nic.mac)
            elif link is not None and link.kind == "macvtap":
                yield _End(guest.name, "macvtap", device, (link.base,) if link.base else (), nic.mac)
            elif routed.get(nic.network):
                yield _End(guest.name, "routed", device, routed[nic.network], nic.mac, nic.network)
            elif nic.network in routed or nic.kind == "user":
                yield _End(guest.name, "host", device, _way_out(live), nic.mac)
            else:
                kind = "macvtap" if nic.kind == "direct" else "tap"
                over = (link.master if link is not None else None) or (nic.source if nic.kind != "network" else "")
                yield _End(guest.name, kind, device, (over,) if over else (), nic.mac)
    for link in live.links.values():
        if link.name in known:
            continue
        if link.kind == "tun" and link.master:
            yield _End(None, "tap", link.name, (link.master,))
        elif link.kind == "macvtap" and link.base and link.name not in running.idle:
            yield _End(None, "macvtap", link.name, (link.base,))


def _way_out(live: Live) -> tuple[str, ...]:
    """The devices of the default routes."""
    routes = live.state.get("routes", {})
    hops = [
        str(r.get("next-hop-interface"))
        for kind in ("running", "config")
        for r in routes.get(kind, [])
        if r.get("destination") in ("0.0.0.0/0", "::/0")
    ]
    return tuple(dict.fromkeys(hops))


def _effect(world: World, end: _End, over: str) -> _Effect:
    start, before, after = world.now(over), world.before, world.after
    if start is None:  # not a device of this machine
        return _Effect()
    if end.kind == "routed":
        return _routed(world, end, over, start)
    if end.kind == "host":
        return _touched(world, start, addresses=True)
    if start not in after.kinds:
        return _Effect(GOOD, f"{over} is removed")
    if start in after.down:
        return _Effect(GOOD, f"{over} is taken down")
    if before.kinds[start] != after.kinds[start]:
        return _Effect(GOOD, world.remade.get(start, f"{over} is made anew"))
    if end.kind == "macvtap" and (lost := _macvtap_lost(world, end.device, start)):
        return lost
    ways, left = before.ways(start), after.ways(start)
    if ways and not left:
        return _Effect(GOOD, f"nothing leads out of {over} any more{_because(world, before.devices(start))}")
    was, then = ({tags for _, tags in found} for found in (ways, left))
    if ways and not was & then:
        return _Effect(GOOD, f"{over} leads to {_vlans(then)} then, no longer to {_vlans(was)}")
    return _touched(world, start, device=end.device)


def _touched(world: World, start: str, *, device: str = "", addresses: bool = False) -> _Effect:
    """Whether something on a guest's way is not left in peace; where the host itself routes its addresses count."""
    devices = [device, *world.before.devices(start), *world.after.devices(start)]
    told = [world.changed[d] for d in dict.fromkeys(devices) if d in world.changed]
    if addresses:
        told += [f"the addresses of {plain(d)} change" for d in dict.fromkeys(devices) if d in world.sent]
    return _Effect(MOMENT, "; ".join(told[:3])) if told else _Effect()


def _macvtap_lost(world: World, device: str, start: str) -> Optional[_Effect]:
    """A macvtap goes with the device that it lies over, for good: the guest holds the one that was."""
    now: Optional[str] = start
    while now is not None:
        if now in world.remade:
            return _Effect(GOOD, f"{world.remade[now]}, and what lies over it goes")
        now = world.before.base.get(now)
    if device in world.before.kinds and device not in world.after.kinds:
        return _Effect(GOOD, f"{device} is removed")
    if device in world.after.down or device in world.remade:
        return _Effect(GOOD, world.remade.get(device, f"{device} is taken down"))
    controller = world.after.master.get(start)
    if controller and controller != world.before.master.get(start):
        return _Effect(GOOD, f"{plain(start)} becomes a port of {controller}, and can carry no macvtap then", "KVN534")
    if start in world.lent:
        return _Effect(GOOD, f"{plain(start)} becomes the host's own", "KVN526")
    return None


def _routed(world: World, end: _End, over: str, start: str) -> _Effect:
    """A libvirt network's rules name the device: what counts is that one of this name is there, and leads out."""
    way = f"the network {end.network} goes over {over}"
    then = world.then(over)
    if then is None or then in world.after.down:
        return _Effect(GOOD, f"{way}, which is no more")
    if not world.after.ways(then):
        return _Effect(GOOD, f"{way}, which leads nowhere then")
    touched = _touched(world, start, addresses=True)
    if touched.how == UNTOUCHED and then != start:
        touched = _touched(world, then, addresses=True)
    return _Effect(touched.how, f"{way}; {touched.why}") if touched.why else touched


def _because(world: World, devices: Sequence[str]) -> str:
    reasons = [f"{plain(d)} is removed" for d in devices if d not in world.after.kinds]
    reasons += [f"{plain(d)} is taken down" for d in devices if d in world.after.down]
    reasons += [world.changed[d] for d in devices if d in world.changed]
    return f" ({reasons[0]})" if reasons else ""


def _vlans(tags: set[tuple[Any, ...]]) -> str:
    return " and ".join(
        sorted("VLAN " + ".".join(str(tag) for tag in row) if row else "the untagged network" for row in tags)
    )
