"""How the devices of a host are connected before and after a plan, and what the plan does to each device.

Here a NIC is called @NAME, by its name after the change. So a NIC eth0 that becomes peth0 is not mixed up with the
bridge eth0 that is created; nor, in a removal of kvmnet, the bridge eth0 that is removed with the NIC that gets its
name back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import FAMILIES, KERNEL_KINDS, State, interfaces_of, port_names
from kvmnet.core.effects.vlan_paths import BridgePorts, find_bridges_after, find_bridges_before, find_vlan_loss
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.changes import Reason
from kvmnet.core.planning.difference import Difference, interface_differences
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.profile_changes import Place, SettingDifference

CONTROLLERS = ("bridge", "bond", "openvswitch", "team")
#: A change of these settings recreates a device and what is above it.
_RECREATING = ("link-aggregation.mode", "mac-vtap.mode")

Path = tuple[str, tuple[Any, ...]]
"""A NIC, and the VLAN IDs that frames get on the path to it."""


@dataclass
class Topology:
    """Devices: their kinds (None: a NIC), controllers, base interfaces and VLAN IDs, and which of them are down."""

    kinds: dict[str, Optional[str]] = field(default_factory=dict)
    controller: dict[str, Optional[str]] = field(default_factory=dict)
    base: dict[str, Optional[str]] = field(default_factory=dict)
    tag: dict[str, Any] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    _ports: Optional[dict[str, list[str]]] = None
    """The ports of each controller, once the topology is complete (see `index_ports`)."""

    def copy(self) -> Topology:
        """Return an independent copy."""
        return Topology(dict(self.kinds), dict(self.controller), dict(self.base), dict(self.tag), set(self.down))

    def remove(self, name: str) -> None:
        """Remove a device and the devices above it."""
        self.kinds.pop(name, None)
        self.controller = {port: None if of == name else of for port, of in self.controller.items() if port != name}
        for upper in [u for u, base in self.base.items() if base == name]:
            self.base.pop(upper, None)
            self.remove(upper)

    def below(self, name: str) -> list[str]:
        """Return the ports or the base interface of a device. Guests' devices are no uplink and are left out."""
        if self.kinds.get(name) in CONTROLLERS:
            if self._ports is not None:
                return self._ports.get(name, [])
            return [port for port, of in self.controller.items() if of == name and self._is_uplink(port)]
        base = self.base.get(name)
        return [base] if base else []

    def index_ports(self) -> None:
        """Prepare `below` for many calls. The topology must not change afterwards."""
        self._ports = {}
        for port, controller in self.controller.items():
            if controller is not None and self._is_uplink(port):
                self._ports.setdefault(controller, []).append(port)

    def _is_uplink(self, port: str) -> bool:
        return self.kinds.get(port) not in ("tun", "macvtap")

    def devices(self, start: str) -> list[str]:
        """Return all devices that frames go through, from `start` downwards."""
        passed: list[str] = []
        pending = [start]
        while pending:
            name = pending.pop(0)
            if name not in passed:
                passed.append(name)
                pending += self.below(name)
        return passed

    def paths(self, name: str, tags: tuple[Any, ...] = (), above: tuple[str, ...] = ()) -> set[Path]:
        """Return the paths by which frames leave the host."""
        if name not in self.kinds or name in self.down or name in above:
            return set()
        below = self.below(name)
        if self.kinds[name] == "vlan":
            tags = (*tags, self.tag.get(name, name))
        if not below:
            return set() if self.kinds[name] in CONTROLLERS else {(name, tags)}
        return {path for lower in below for path in self.paths(lower, tags, (*above, name))}


@dataclass
class Topologies:
    """The topologies before and after a plan.

    current, future: the devices by their names now and after the change.
    changed: what happens to each device that changes, in words; recreated: those of them that are recreated.
    sent: the devices that nmstate is given.
    successors: the bridges that take over the guests' ports of removed ones, by the names of the latter.
    lent: VLAN devices of guests (libvirt's hook created them) that become devices of the host.
    bridges_before, bridges_after: the VLANs of the bridges' ports.
    """

    before: Topology
    after: Topology
    current: dict[str, str]
    future: dict[str, str]
    changed: dict[str, str]
    recreated: dict[str, str]
    sent: set[str]
    lent: set[str]
    successors: Mapping[str, str]
    bridges_before: Mapping[str, BridgePorts] = field(default_factory=dict)
    bridges_after: Mapping[str, BridgePorts] = field(default_factory=dict)

    def find_vlan_loss(self, bridge: str, later: str, tap: str) -> Optional[str]:
        """Return why a guest behind a tap loses its network by the VLANs of its bridge, or None."""
        before, after = self.bridges_before.get(bridge), self.bridges_after.get(later)
        if before is None or after is None:
            return None
        uplinks = (
            [plain(port) for port in self.before.below(bridge)],
            [plain(port) for port in self.after.below(later)],
        )
        return find_vlan_loss(before, after, tap, uplinks) if all(uplinks) else None

    def now(self, name: str) -> Optional[str]:
        """Return the device that has this name now."""
        return self.current.get(name)

    def then(self, name: str) -> Optional[str]:
        """Return the device that has this name after the change."""
        return self.future.get(name)


def plain(device: str) -> str:
    """Return a device's name after the change."""
    return device.lstrip("@")


def compare_topologies(plan: Plan, live: Live, view: State) -> Topologies:
    """Return both topologies. `view` is the live state after the renames of the plan."""
    return _Comparison(plan, live, view).compare()


class _Comparison:
    def __init__(self, plan: Plan, live: Live, view: State) -> None:
        self.plan, self.live, self.state = plan, live, view
        self.view = {(i["name"], i.get("type") in ("ethernet", "veth", "infiniband")): i for i in interfaces_of(view)}
        self.before = self._live_topology()
        self.after = self.before.copy()
        self.recreated: dict[str, str] = {}
        self.sent = {self._sent_device(i): i for i in interfaces_of(plan.state)}

    def compare(self) -> Topologies:
        for name in sorted(self.plan.removed_first & set(self.before.kinds)):
            self.after.remove(name)
        for device, interface in self.sent.items():
            self._apply(device, interface)
        for old, new in self.plan.replaced.items():
            self._hand_over(old, new)
        current = {link.name: self._live_device(link.name) for link in self.live.links.values()}
        future = {plain(device): device for device in self.after.kinds}
        for name in self.plan.removed_first & set(self.after.kinds):
            self.recreated[name] = f"{name} is removed, and another interface gets its name"
        lent = {
            device
            for device, i in self.sent.items()
            if i["type"] == "vlan"
            and (self._find_live(device) or {}).get("state") == "ignore"
            and device in self.before.kinds
        }
        changed = self._find_changed()
        self.before.index_ports()
        self.after.index_ports()
        bridges = find_bridges_before(self.live, self.state)
        return Topologies(
            before=self.before,
            after=self.after,
            current=current,
            future=future,
            changed=changed,
            recreated=self.recreated,
            sent=set(self.sent),
            lent=lent,
            successors=self.plan.replaced,
            bridges_before=bridges,
            bridges_after=find_bridges_after(self.plan, bridges),
        )

    def _hand_over(self, old: str, new: str) -> None:
        """Make the ports of a removed bridge ports of its successor, which a removal of kvmnet creates again."""
        self.after.kinds.setdefault(new, "bridge")
        self.after.controller.setdefault(new, None)
        for port, controller in self.before.controller.items():
            if controller == old and port in self.after.kinds and self.after.controller.get(port) in (None, old):
                self.after.controller[port] = new

    def _live_device(self, name: str) -> str:
        link = self.live.links.get(name)
        return "@" + self.plan.new_names.get(name, name) if link is not None and link.kind is None else name

    def _sent_device(self, interface: Mapping[str, Any]) -> str:
        """Return the device that an interface of the plan's state describes."""
        name = str(interface["name"])
        is_virtual = interface["type"] in KERNEL_KINDS or "@" + name not in self.before.kinds
        return name if is_virtual else "@" + name

    def _device_after(self, name: str) -> str:
        """Return a port or base interface by its name after the change."""
        return "@" + name if "@" + name in self.after.kinds else name

    def _find_live(self, device: str) -> Optional[dict[str, Any]]:
        is_nic = device.startswith("@") or self.before.kinds.get(device) == "veth"
        return self.view.get((plain(device), is_nic))

    def _live_topology(self) -> Topology:
        topology = Topology()
        for link in self.live.links.values():
            device = self._live_device(link.name)
            topology.kinds[device] = link.kind
            topology.controller[device] = link.master
            base = self.live.surroundings.running.parents.get(link.name) or link.base
            topology.base[device] = self._live_device(base) if base else None
            vlan = (self.view.get((link.name, False)) or {}).get("vlan", {})
            if link.kind == "vlan" and "id" in vlan:
                topology.tag[device] = vlan["id"]
        return topology

    def _apply(self, device: str, interface: Mapping[str, Any]) -> None:
        """Change the topology as nmstate will when it is given the interface."""
        if interface.get("state") in ("absent", "down"):
            if interface["state"] == "absent" and self.before.kinds.get(device) is not None:
                self.after.remove(device)
            else:
                self.after.down.add(device)
            return
        exists = device in self.after.kinds
        kind = self.after.kinds[device] = KERNEL_KINDS.get(interface["type"], self.after.kinds.get(device))
        self.after.controller.setdefault(device, None)
        if kind in ("vlan", "macvtap"):
            self._apply_base(device, kind, interface[interface["type"]], exists)
        section = {"bridge": "bridge", "bond": "link-aggregation"}.get(kind or "", "")
        if "port" in interface.get(section, {}):
            ports = [self._device_after(port) for port in port_names(interface)]
            for port in [p for p in self.after.below(device) if p not in ports]:
                self.after.controller[port] = None
            for port in ports:
                self.after.controller[port] = device
        recreating = [d for d in self._differences(device) if d.path in _RECREATING]
        if exists and recreating:
            self.recreated[device] = f"{device} is recreated ({recreating[0].text})"

    def _apply_base(self, device: str, kind: str, section: Mapping[str, Any], exists: bool) -> None:
        base, tag = self._device_after(str(section["base-iface"])), section.get("id")
        if exists and base != self.after.base.get(device):
            self.recreated[device] = f"{device} is recreated on {plain(base)}"
        if exists and kind == "vlan" and tag != self.after.tag.get(device, tag):
            self.recreated[device] = f"{device} is recreated with VLAN ID {tag}"
        self.after.base[device] = base
        if kind == "vlan":
            self.after.tag[device] = tag

    def _differences(self, device: str) -> list[Difference]:
        """Return the differences of an interface that is sent, but for addresses: no frame of a guest passes through
        them."""
        differences = interface_differences(self.sent[device], self._find_live(device))
        return [d for d in differences if d.path.partition(".")[0] not in FAMILIES]

    def _find_changed(self) -> dict[str, str]:
        changed = {}
        for change in self.plan.changes:  # in a removal of kvmnet nothing is sent for such a NIC
            nic = "@" + change.name
            if Reason.PROFILE_RESTORED in change.details and nic in self.before.kinds and nic not in self.sent:
                changed[nic] = f"the connection profile of {change.name} is restored"
            settings = [d for d in change.details if isinstance(d, SettingDifference) and d.place is Place.KERNEL]
            if settings:
                changed[change.name] = f"{change.name}: {settings[0].name} changes"
        for device in self.sent:
            if differences := self._differences(device):
                rest = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
                changed[device] = f"{plain(device)}: {differences[0].text}{rest}"
        for device, old in self.before.controller.items():
            new = self.after.controller.get(device)
            if device in self.after.kinds and new != old:
                event = f"becomes a port of {new}" if new else f"is no longer a port of {old}"
                changed[device] = f"{plain(device)} {event}"
        for rename in self.plan.renames:
            changed["@" + rename.new] = f"{rename.old} is renamed to {rename.new}"
        return {**changed, **self.recreated}
