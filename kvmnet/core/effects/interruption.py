"""For how long a change interrupts the way to the host, by what it does to the devices below the management address.

The figures were measured on the lab's machines (docs/benchmarks.md, "What a plan expects"): whole machines whose NICs
need no time for their link. A NIC with a cable does, so an interruption that takes the link down is marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kvmnet.core.effects.management import Management
from kvmnet.core.effects.topology import Topologies, plain
from kvmnet.core.planning.plan import Plan


class Cause(str, Enum):
    """What interrupts the way to the host."""

    RENAMED_UP = "a NIC is renamed while it is up"
    RENAMED_DOWN = "a NIC is set down to be renamed"
    MOVES = "the address moves to another interface"
    JOINS_BOND = "a NIC becomes a port of a bond"
    PORT_CHANGES = "a port changes its bridge or bond"
    RECREATED = "an interface is recreated"
    REMOVED_FIRST = "interfaces are removed before the NICs are renamed"
    DHCP = "the address is requested again"
    APPLIED_AGAIN = "an interface is applied again"
    BOND_ACTIVATED = "a bond is activated again"


#: Seconds that each cause may add, as measured on the lab's machines.
SECONDS = {
    Cause.RENAMED_UP: 0.1,
    Cause.RENAMED_DOWN: 0.3,
    Cause.MOVES: 0.4,
    Cause.JOINS_BOND: 2.0,
    Cause.PORT_CHANGES: 0.5,
    Cause.RECREATED: 1.0,
    Cause.REMOVED_FIRST: 4.0,
    Cause.DHCP: 3.0,
    Cause.APPLIED_AGAIN: 0.0,
    Cause.BOND_ACTIVATED: 4.0,
}
#: Causes that take the link of a NIC down.
_LINK_DOWN = (Cause.RENAMED_DOWN, Cause.JOINS_BOND, Cause.BOND_ACTIVATED)


@dataclass(frozen=True)
class Interruption:
    """The expected interruption of the way to the host.

    causes: with the interface each is about; none: the way is not interrupted. lost: whether the management address is
    gone afterwards.
    """

    causes: tuple[tuple[Cause, str], ...] = ()
    lost: bool = False

    @property
    def at_most(self) -> float:
        """The seconds that it takes on the lab's machines at most."""
        return round(sum(SECONDS[cause] for cause in dict.fromkeys(cause for cause, _ in self.causes)), 1)

    @property
    def takes_link_down(self) -> bool:
        """Whether the link of a NIC goes down: a NIC with a cable and its switch need seconds until it is up again."""
        return any(cause in _LINK_DOWN for cause, _ in self.causes)

    def to_json(self) -> dict[str, Any]:
        """Return the interruption as plain data for `plan --json`."""
        return {
            "seconds_at_most": None if self.lost else self.at_most,
            "takes_link_down": self.takes_link_down,
            "causes": [
                {"cause": cause.name.lower().replace("_", " "), "interface": name} for cause, name in self.causes
            ],
            "lost": self.lost,
        }


def estimate_interruption(
    plan: Plan, topologies: Topologies, management: Sequence[Management], renames_while_up: bool
) -> Interruption:
    """Return the interruption of the ways to the management addresses."""
    causes: dict[tuple[Cause, str], None] = {}
    for one in management:
        before = topologies.now(one.before)
        after = topologies.then(one.after) if one.after else None
        way = [
            *(topologies.before.devices(before) if before else []),
            *(topologies.after.devices(after) if after else []),
        ]
        for cause, name in _find_causes(plan, topologies, list(dict.fromkeys(way)), renames_while_up):
            causes[cause, name] = None
        if after is not None and before != after:
            causes[Cause.MOVES, plain(after)] = None
            if one.dynamic:
                causes[Cause.DHCP, plain(after)] = None
    return Interruption(tuple(causes), any(one.after is None for one in management))


def _find_causes(
    plan: Plan, topologies: Topologies, way: Sequence[str], renames_while_up: bool
) -> list[tuple[Cause, str]]:
    renamed = {"@" + rename.new for rename in plan.renames}
    causes = []
    for device in way:
        controllers = topologies.before.controller.get(device), topologies.after.controller.get(device)
        if device in renamed:
            causes.append((Cause.RENAMED_UP if renames_while_up else Cause.RENAMED_DOWN, plain(device)))
        if device in topologies.recreated:
            causes.append((Cause.RECREATED, plain(device)))
        elif device in topologies.before.kinds and controllers[0] != controllers[1]:
            if topologies.after.kinds.get(controllers[1] or "") == "bond":
                causes.append((Cause.JOINS_BOND, plain(device)))
            elif controllers[0]:  # otherwise the address moves with it
                causes.append((Cause.PORT_CHANGES, plain(device)))
        elif device in topologies.sent and device not in renamed:
            is_bond = topologies.before.kinds.get(device) == "bond" and plain(device) in plan.adopted
            causes.append((Cause.BOND_ACTIVATED if is_bond else Cause.APPLIED_AGAIN, plain(device)))
        if plain(device) in plan.removed_first:
            causes.append((Cause.REMOVED_FIRST, plain(device)))
    return causes
