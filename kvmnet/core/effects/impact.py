"""What a change does to each running guest: untouched, interrupted briefly, or disconnected.

A guest's NIC is connected to a tap, a macvtap or a function of a NIC of the host. From there its frames take a path:
the bridge, its port, the VLAN's base interface, the NIC. The paths before and after a change are compared. A guest is
disconnected when its path is lost or ends in another VLAN. It is interrupted briefly when something on its path is
renamed or changed. Changed addresses alone do not touch its frames. What is unknown counts as interrupted briefly,
never as untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.effects.topology import Topologies, plain
from kvmnet.core.live.live_host import Live
from kvmnet.core.live.running_guests import GuestNic

UNTOUCHED, INTERRUPTED, DISCONNECTED = "untouched", "interrupted briefly", "disconnected"
#: The refusal that reports disconnected guests, unless another one does (`Impact.refusal`).
GUEST_LOSS = "KVN527"


@dataclass(frozen=True)
class Impact:
    """What happens to one NIC of a guest.

    guest: None for a tap or macvtap that belongs to no libvirt domain.
    device: the host's end of the NIC; over: what it is connected to now.
    how: UNTOUCHED, INTERRUPTED or DISCONNECTED; why: the reason, empty when it is untouched.
    refusal: the code of the refusal that reports it.
    """

    guest: Optional[str]
    device: str
    over: str
    mac: str
    how: str
    why: str = ""
    refusal: str = GUEST_LOSS

    @property
    def name(self) -> str:
        """The name for `--allow-guest-loss`."""
        return self.guest or self.device

    def to_json(self) -> dict[str, Any]:
        """Return the impact as plain data for `plan --json`."""
        return {key: getattr(self, key) for key in ("guest", "device", "over", "mac", "how", "why")}


@dataclass(frozen=True)
class _End:
    """The host's end of a guest's NIC. `kind`: tap, macvtap, function (of a NIC), routed (by a libvirt network, over
    devices that it names), host (over the host's default route)."""

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
    refusal: str = GUEST_LOSS


def find_impacts(live: Live, topologies: Topologies) -> list[Impact]:
    """Return what the change does to each NIC of each running guest, by guest and device; NICs that belong to no guest
    come last."""
    impacts = []
    for end in _find_ends(live):
        effects = [_find_effect(topologies, end, over) for over in end.over]
        worst = max(effects, key=lambda e: (UNTOUCHED, INTERRUPTED, DISCONNECTED).index(e.how), default=_Effect())
        over = ", ".join(end.over)
        impacts.append(Impact(end.guest, end.device, over, end.mac, worst.how, worst.why, worst.refusal))
    return sorted(impacts, key=lambda i: (i.guest is None, i.guest or "", i.device, i.mac))


def _find_ends(live: Live) -> Iterator[_End]:
    """Return the ends of the guests' NICs, and the taps and macvtaps that belong to no guest."""
    running = live.surroundings.running
    known = set()
    for guest in running.guests:
        for nic in guest.nics:
            known.add(nic.device)
            yield _find_end(guest.name, nic, live)
    for link in live.links.values():
        if link.name in known:
            continue
        if link.kind == "tun" and link.master:
            yield _End(None, "tap", link.name, (link.master,))
        elif link.kind == "macvtap" and link.base and link.name not in running.idle:
            yield _End(None, "macvtap", link.name, (link.base,))


def _find_end(guest: str, nic: GuestNic, live: Live) -> _End:
    running = live.surroundings.running
    routed = {n.name: n.devices for n in running.networks}
    link = live.links.get(nic.device)
    device = nic.device or nic.pci or nic.kind
    if nic.pci:
        owner = running.functions.get(nic.pci)
        return _End(guest, "function", device, (owner,) if owner else (), nic.mac)
    if link is not None and link.kind == "macvtap":
        return _End(guest, "macvtap", device, (link.base,) if link.base else (), nic.mac)
    if routed.get(nic.network):
        return _End(guest, "routed", device, routed[nic.network], nic.mac, nic.network)
    if nic.network in routed or nic.kind == "user":
        return _End(guest, "host", device, _find_default_devices(live), nic.mac)
    kind = "macvtap" if nic.kind == "direct" else "tap"
    over = (link.master if link is not None else None) or (nic.source if nic.kind != "network" else "")
    return _End(guest, kind, device, (over,) if over else (), nic.mac)


def _find_default_devices(live: Live) -> tuple[str, ...]:
    """Return the devices of the default routes."""
    routes = live.state.get("routes", {})
    devices = [
        str(r.get("next-hop-interface"))
        for kind in ("running", "config")
        for r in routes.get(kind, [])
        if r.get("destination") in ("0.0.0.0/0", "::/0")
    ]
    return tuple(dict.fromkeys(devices))


def _find_effect(topologies: Topologies, end: _End, over: str) -> _Effect:
    start, before, after = topologies.now(over), topologies.before, topologies.after
    if start is None:  # no device of this host
        return _Effect()
    if end.kind == "routed":
        return _find_routed_effect(topologies, end, over, start)
    if end.kind == "host":
        return _find_interruption(topologies, start, with_addresses=True)
    later = topologies.successors.get(over, start) if end.kind == "tap" else start
    if later not in after.kinds:
        return _Effect(DISCONNECTED, f"{over} is removed")
    if later in after.down:
        return _Effect(DISCONNECTED, f"{over} is taken down")
    if before.kinds[start] != after.kinds[later]:
        return _Effect(DISCONNECTED, topologies.recreated.get(start, f"{over} is recreated"))
    if end.kind == "macvtap" and (lost := _find_macvtap_loss(topologies, end.device, start)):
        return lost
    old_paths, new_paths = before.paths(start), after.paths(later)
    if old_paths and not new_paths:
        reason = _find_reason(topologies, before.devices(start))
        return _Effect(DISCONNECTED, f"{over} loses its last uplink{reason}")
    old_tags, new_tags = ({tags for _, tags in paths} for paths in (old_paths, new_paths))
    if old_paths and not old_tags & new_tags:
        networks = f"{_networks_text(new_tags)} instead of {_networks_text(old_tags)}"
        return _Effect(DISCONNECTED, f"{over} will be connected to {networks}")
    if end.kind == "tap" and (lost_vlan := topologies.find_vlan_loss(start, later, end.device)):
        return _Effect(DISCONNECTED, f"{over}: {lost_vlan}")
    return _find_interruption(topologies, start, device=end.device, later=later)


def _find_interruption(
    topologies: Topologies, start: str, *, device: str = "", with_addresses: bool = False, later: str = ""
) -> _Effect:
    """Return whether something on a guest's path changes, which begins with another device `later`, if one is given.
    Where the host routes for the guest, addresses count too."""
    path = [device, *topologies.before.devices(start), *topologies.after.devices(later or start)]
    reasons = [topologies.changed[d] for d in dict.fromkeys(path) if d in topologies.changed]
    if with_addresses:
        reasons += [f"the addresses of {plain(d)} change" for d in dict.fromkeys(path) if d in topologies.sent]
    return _Effect(INTERRUPTED, "; ".join(reasons[:3])) if reasons else _Effect()


def _find_macvtap_loss(topologies: Topologies, device: str, start: str) -> Optional[_Effect]:
    """A macvtap is deleted with its base interface. The guest does not get the next one: it has the old one open."""
    base: Optional[str] = start
    while base is not None:
        if base in topologies.recreated:
            return _Effect(DISCONNECTED, f"{topologies.recreated[base]}, which removes the macvtap")
        base = topologies.before.base.get(base)
    if device in topologies.before.kinds and device not in topologies.after.kinds:
        return _Effect(DISCONNECTED, f"{device} is removed")
    if device in topologies.after.down or device in topologies.recreated:
        return _Effect(DISCONNECTED, topologies.recreated.get(device, f"{device} is taken down"))
    controller = topologies.after.controller.get(start)
    if controller and controller != topologies.before.controller.get(start):
        reason = f"{plain(start)} becomes a port of {controller}, and a port cannot carry macvtaps"
        return _Effect(DISCONNECTED, reason, "KVN534")
    if start in topologies.lent:
        return _Effect(DISCONNECTED, f"{plain(start)} becomes a permanent VLAN", "KVN526")
    return None


def _find_routed_effect(topologies: Topologies, end: _End, over: str, start: str) -> _Effect:
    """The firewall rules of a libvirt network name the device: a device of this name must exist and have an uplink."""
    network = f"libvirt network {end.network} uses {over}"
    device = topologies.then(over)
    if device is None or device in topologies.after.down:
        return _Effect(DISCONNECTED, f"{network}, which is removed")
    if not topologies.after.paths(device):
        return _Effect(DISCONNECTED, f"{network}, which loses its last uplink")
    interruption = _find_interruption(topologies, start, with_addresses=True)
    if interruption.how == UNTOUCHED and device != start:
        interruption = _find_interruption(topologies, device, with_addresses=True)
    return _Effect(interruption.how, f"{network}; {interruption.why}") if interruption.why else interruption


def _find_reason(topologies: Topologies, devices: Sequence[str]) -> str:
    reasons = [f"{plain(d)} is removed" for d in devices if d not in topologies.after.kinds]
    reasons += [f"{plain(d)} is taken down" for d in devices if d in topologies.after.down]
    reasons += [topologies.changed[d] for d in devices if d in topologies.changed]
    return f" ({reasons[0]})" if reasons else ""


def _networks_text(tags: set[tuple[Any, ...]]) -> str:
    return " and ".join(
        sorted("VLAN " + ".".join(str(tag) for tag in row) if row else "the untagged network" for row in tags)
    )
