"""Who is whose port and what lies over what on a host, before and after a plan, and what the plan does to each.

A NIC is known here as @NAME, by its name after the change: a NIC eth0 that becomes peth0 is not the bridge eth0 that
comes, nor, when a machine is given back, the bridge eth0 that goes the NIC that gets its name back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.difference import interface_differences, renamed
from kvmnet.core.planning.plan import Plan

#: No frame of a guest's goes through these: a change of them alone leaves its way alone.
ADDRESSES = ("ipv4", "ipv6")
CONTROLLERS = ("bridge", "bond", "openvswitch", "team")
#: A change of these makes a device anew, whatever lies over it
_ANEW = ("link-aggregation.mode:", "mac-vtap.mode:")

Way = tuple[str, tuple[Any, ...]]
"""A NIC, and the tags that frames get on the way to it."""


@dataclass
class Topology:
    """The devices: kind (None: a NIC), controller, base, VLAN tag, and which of them are down."""

    kinds: dict[str, Optional[str]] = field(default_factory=dict)
    master: dict[str, Optional[str]] = field(default_factory=dict)
    base: dict[str, Optional[str]] = field(default_factory=dict)
    tag: dict[str, Any] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    def copy(self) -> Topology:
        """One that can be changed."""
        return Topology(dict(self.kinds), dict(self.master), dict(self.base), dict(self.tag), set(self.down))

    def drop(self, name: str) -> None:
        """A device goes, and what lies over it."""
        self.kinds.pop(name, None)
        self.master = {port: None if of == name else of for port, of in self.master.items() if port != name}
        for upper in [u for u, base in self.base.items() if base == name]:
            self.base.pop(upper, None)
            self.drop(upper)

    def below(self, name: str) -> list[str]:
        """What a device stands on; a guest's own device is nobody's way."""
        if self.kinds.get(name) in CONTROLLERS:
            return [p for p, of in self.master.items() if of == name and self.kinds.get(p) not in ("tun", "macvtap")]
        base = self.base.get(name)
        return [base] if base else []

    def devices(self, start: str) -> list[str]:
        """All that frames go through, from a device on down."""
        found: list[str] = []
        left = [start]
        while left:
            name = left.pop(0)
            if name not in found:
                found.append(name)
                left += self.below(name)
        return found

    def ways(self, name: str, tags: tuple[Any, ...] = (), above: tuple[str, ...] = ()) -> set[Way]:
        """Where frames come out."""
        if name not in self.kinds or name in self.down or name in above:
            return set()
        below = self.below(name)
        if self.kinds[name] == "vlan":
            tags = (*tags, self.tag.get(name, name))
        if not below:
            return set() if self.kinds[name] in CONTROLLERS else {(name, tags)}
        return {way for lower in below for way in self.ways(lower, tags, (*above, name))}


@dataclass
class World:
    """Both topologies. `changed` are the devices that are not left in peace, with what happens to each, `remade`
    those of them that are made anew, `sent` all that nmstate is told of, `lent` the VLAN devices of guests (libvirt's
    hook made them) that become the host's own. `current` and `future` find a device by its name of now and of then."""

    before: Topology
    after: Topology
    current: dict[str, str]
    future: dict[str, str]
    changed: dict[str, str]
    remade: dict[str, str]
    sent: set[str]
    lent: set[str]

    def now(self, name: str) -> Optional[str]:
        """The device that has this name today."""
        return self.current.get(name)

    def then(self, name: str) -> Optional[str]:
        """The device that has this name after the change."""
        return self.future.get(name)


def plain(device: str) -> str:
    """What a device is called after the change."""
    return device.lstrip("@")


def worlds(plan: Plan, live: Live) -> World:
    """Read both topologies from a plan and the reading that it was made from."""
    return _Builder(plan, live).build()


class _Builder:
    def __init__(self, plan: Plan, live: Live) -> None:
        self.plan, self.live = plan, live
        self.names = {r.old: r.new for r in plan.renames}
        self.state = {
            (i["name"], i.get("type") in ("ethernet", "veth", "infiniband")): i
            for i in renamed(live.state, self.names).get("interfaces", [])
        }
        self.before = self._live_topology()
        self.after = self.before.copy()
        self.remade: dict[str, str] = {}
        self.sent = {self._key(i): i for i in interfaces_of(plan.state)}

    def build(self) -> World:
        for name in sorted(self.plan.goes_first & set(self.before.kinds)):
            self.after.drop(name)
        for device, interface in self.sent.items():
            self._plan(device, interface)
        current = {link.name: self._live_key(link.name) for link in self.live.links.values()}
        future = {plain(device): device for device in self.after.kinds}
        for name in self.plan.goes_first & set(self.after.kinds):
            self.remade[name] = f"{name} is removed, and something else gets its name"
        lent = {
            d
            for d, i in self.sent.items()
            if i["type"] == "vlan" and (self._was(d) or {}).get("state") == "ignore" and d in self.before.kinds
        }
        changed = self._changed()
        return World(self.before, self.after, current, future, changed, self.remade, set(self.sent), lent)

    def _live_key(self, name: str) -> str:
        link = self.live.links.get(name)
        return "@" + self.names.get(name, name) if link is not None and link.kind is None else name

    def _key(self, interface: Mapping[str, Any]) -> str:
        """The device that an interface of the plan's state is about."""
        name = str(interface["name"])
        virtual = interface["type"] in KERNEL_KINDS or "@" + name not in self.before.kinds
        return name if virtual else "@" + name

    def _named(self, name: str) -> str:
        """A port or base by its name after the change."""
        return "@" + name if "@" + name in self.after.kinds else name

    def _was(self, device: str) -> Optional[dict[str, Any]]:
        nic = device.startswith("@") or self.before.kinds.get(device) == "veth"
        return self.state.get((plain(device), nic))

    def _live_topology(self) -> Topology:
        world = Topology()
        for link in self.live.links.values():
            device = self._live_key(link.name)
            world.kinds[device] = link.kind
            world.master[device] = link.master
            base = self.live.surroundings.running.parents.get(link.name) or link.base
            world.base[device] = self._live_key(base) if base else None
            vlan = (self.state.get((link.name, False)) or {}).get("vlan", {})
            if link.kind == "vlan" and "id" in vlan:
                world.tag[device] = vlan["id"]
        return world

    def _plan(self, device: str, interface: Mapping[str, Any]) -> None:
        if interface.get("state") in ("absent", "down"):
            if interface["state"] == "absent" and self.before.kinds.get(device) is not None:
                self.after.drop(device)
            else:
                self.after.down.add(device)
            return
        there = device in self.after.kinds
        kind = self.after.kinds[device] = KERNEL_KINDS.get(interface["type"], self.after.kinds.get(device))
        self.after.master.setdefault(device, None)
        if kind in ("vlan", "macvtap"):
            self._plan_base(device, kind, interface[interface["type"]], there)
        section = {"bridge": "bridge", "bond": "link-aggregation"}.get(kind or "", "")
        if "port" in interface.get(section, {}):
            wanted = [self._named(port) for port in port_names(interface)]
            for port in [p for p in self.after.below(device) if p not in wanted]:
                self.after.master[port] = None
            for port in wanted:
                self.after.master[port] = device
        anew = [d for d in self._details(device) if d.startswith(_ANEW)]
        if there and anew:
            self.remade[device] = f"{device} is made anew ({anew[0]})"

    def _plan_base(self, device: str, kind: str, about: Mapping[str, Any], there: bool) -> None:
        base, tag = self._named(str(about["base-iface"])), about.get("id")
        if there and base != self.after.base.get(device):
            self.remade[device] = f"{device} is made anew, over {plain(base)}"
        if there and kind == "vlan" and tag != self.after.tag.get(device, tag):
            self.remade[device] = f"{device} is made anew, with tag {tag}"
        self.after.base[device] = base
        if kind == "vlan":
            self.after.tag[device] = tag

    def _details(self, device: str) -> list[str]:
        """What differs on an interface that is sent, beyond addresses."""
        told = interface_differences(self.sent[device], self._was(device))
        return [line for line in told if line.partition(":")[0].partition(".")[0] not in ADDRESSES]

    def _changed(self) -> dict[str, str]:
        found = {}
        for change in self.plan.changes:  # what a removal does to a NIC that it gives back
            nic = "@" + change.name
            if change.what == "change" and nic in self.before.kinds and nic not in self.sent:
                found[nic] = f"{change.name}: {'; '.join(change.details)}"
        for device in self.sent:
            if details := self._details(device):
                more = f" and {len(details) - 1} more" if len(details) > 1 else ""
                found[device] = f"{plain(device)}: {details[0]}{more}"
        for device, was in self.before.master.items():
            then = self.after.master.get(device)
            if device in self.after.kinds and then != was:
                words = f"becomes a port of {then}" if then else f"is no port of {was} any more"
                found[device] = f"{plain(device)} {words}"
        for rename in self.plan.renames:
            found["@" + rename.new] = f"{rename.old} is renamed to {rename.new}"
        return {**found, **self.remade}
