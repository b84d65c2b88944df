"""Refusals: conditions of a host that make a change unsafe. A registry of small functions, each with a code and title.

In: a plan and the live host. Out: refusals, each with a message and a hint. A refusal function has no side effects. All
of them run, so that the user sees every refusal at once. If there is one, kvmnet exits with code 5 and changes nothing.
The docstring of the function is the page that `kvmnet explain` prints.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Callable, Optional

from kvmnet.core.base import codes
from kvmnet.core.base.errors import Refused, Usage
from kvmnet.core.base.nmstate import State
from kvmnet.core.effects.boot_rivals import Rival, find_rivals
from kvmnet.core.effects.impact import Impact, find_impacts
from kvmnet.core.effects.next_boot import NextBoot, foresee_next_boot
from kvmnet.core.effects.topology import Topologies, compare_topologies
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.planning.difference import rename_interfaces
from kvmnet.core.planning.plan import Plan
from kvmnet.core.rendering.bundle import Bundle, Nic

_MODULES = (
    *("program", "names", "adoption", "udev_naming", "nics", "managers", "others", "boot", "guests", "command_codes"),
    *("firewall", "nmstate_versions", "pull_codes"),
)

#: The refusals that apply to `kvmnet remove`: those that are about the host and not about the definition.
REMOVAL_CODES = ("KVN507", "KVN510", "KVN511", "KVN513", "KVN525", "KVN527", "KVN528", "KVN545", "KVN550", "KVN551")
#: The option that permits adopting interfaces of other tools.
ADOPT_OPTION = "--adopt"
#: When a refusal applies: always; if the plan is not empty; if the plan changes more than kvmnet's record of it.
ALWAYS, WRITING, TOUCHING = "always", "writing", "touching"


@dataclass(frozen=True)
class Refusal:
    """A refusal. `guest`: the user can accept that this guest is disconnected, which overrides the refusal. `adopt`:
    the permission to adopt interfaces (`--adopt`) overrides it."""

    code: str
    message: str
    hint: str
    guest: Optional[str] = None
    adopt: bool = False


@dataclass(frozen=True)
class Case:
    """The input of a refusal: a plan, the live host, and what follows from both (computed when it is first used)."""

    plan: Plan
    live: Live

    @property
    def bundle(self) -> Bundle:
        """The bundle to apply."""
        return self.plan.bundle

    @property
    def is_removal(self) -> bool:
        """Whether the plan is that of `kvmnet remove`, which desires no state."""
        return not self.plan.desired

    @cached_property
    def nics(self) -> list[tuple[Nic, Link]]:
        """The NICs of the definition that this host has, with their links."""
        return [(nic, link) for nic in self.bundle.nics if (link := self.live.find(nic)) is not None]

    @cached_property
    def view_after_renames(self) -> State:
        """The live state as it reads after the renames."""
        return rename_interfaces(self.live.state, self.plan.new_names)

    @cached_property
    def topologies(self) -> Topologies:
        """How the devices are connected before and after the plan."""
        return compare_topologies(self.plan, self.live, self.view_after_renames)

    @cached_property
    def impacts(self) -> Sequence[Impact]:
        """The effects of the plan on the NICs of running guests."""
        return () if self.plan.empty else tuple(find_impacts(self.live, self.topologies))

    @cached_property
    def rivals(self) -> Sequence[Rival]:
        """The connection profiles that the next boot could prefer to those of the definition."""
        return find_rivals(self.plan, self.live)

    @cached_property
    def next_boot(self) -> Optional[NextBoot]:
        """What the next boot gives to each interface; None if the files are not known, and for a removal."""
        return None if self.is_removal else foresee_next_boot(self.plan, self.live)

    def describe_devices(self, devices: Collection[str]) -> str:
        """Return devices of guests as text, sorted, with the names of their guests: `macvtap0 (web1), macvtap1`."""
        guests = {i.device: i.guest for i in self.impacts if i.guest}
        return ", ".join(f"{d} ({guests[d]})" if d in guests else d for d in sorted(devices))

    def current_name(self, name: str) -> str:
        """Return the name that an interface of the bundle has before the plan renames NICs."""
        return self.plan.old_names.get(name, name)


Function = Callable[[Case], Iterator[Refusal]]
_REFUSALS: dict[str, tuple[str, Function]] = {}
_OVERRIDABLE: set[str] = set()


def refusal(
    code: str, title: str, *, when: str = TOUCHING, allow: bool = False, option: str = ""
) -> Callable[[Function], Function]:
    """Return a decorator that registers a refusal. `--allow CODE` overrides it if `allow` is true, else `option`."""

    def register(function: Function) -> Function:
        register_page(code, title, function.__doc__ or "", allow=allow, option=option)
        _REFUSALS[code] = (when, function)
        return function

    return register


def register_page(
    code: str, title: str, page: str, *, allow: bool = False, option: str = "", commands: str = ""
) -> None:
    """Register the page of a code. Codes without a function here are raised elsewhere (for example by the lock).

    `commands` are those that have the option which overrides the refusal, if they are not the usual ones.
    """
    option = f"--allow {code}" if allow else option
    usual_commands = "plan, apply, rollback and remove" if code in REMOVAL_CODES else "plan, apply and rollback"
    if option == ADOPT_OPTION:  # a rollback has the permission: it goes back to what was adopted
        usual_commands = "plan and apply"
    commands = commands or usual_commands
    override = (
        f"To override this refusal, use `{option}` with {commands}." if option else "This refusal cannot be overridden."
    )
    codes.register(code, title, f"{inspect.cleandoc(page)}\n\nkvmnet exits with code 5 and changes nothing. {override}")
    if allow:
        _OVERRIDABLE.add(code)


def load() -> None:
    """Import every module with refusals, which registers them."""
    for name in _MODULES:
        importlib.import_module(f"{__name__}.{name}")


def find_refusals(case: Case, among: Optional[Collection[str]] = None) -> list[Refusal]:
    """Return the refusals of a plan on a host, in the order of their codes. `among` limits them to these codes."""
    load()
    applies = {ALWAYS: True, WRITING: not case.plan.empty, TOUCHING: case.plan.changes_host}
    refusals: list[Refusal] = []
    for code in sorted(_REFUSALS):
        when, function = _REFUSALS[code]
        if applies[when] and (among is None or code in among):
            refusals += function(case)
    return refusals


def require_allowed(
    refusals: Sequence[Refusal], allow: Collection[str] = (), lose: Collection[str] = (), adopt: bool = False
) -> None:
    """Raise Refused with all refusals that the user has not overridden.

    `allow` are the codes that are overridden, `lose` the guests that may be disconnected; `adopt`: whether interfaces
    of other tools may be adopted.
    """
    load()  # registers which refusals can be overridden
    errors = [_to_error(r) for r in refusals if r.code not in allow and r.guest not in lose and not (r.adopt and adopt)]
    if errors:
        first, *additional = errors
        raise Refused(first.message, first.hint, first.code, allow=first.allow, additional=tuple(additional))


def _to_error(reason: Refusal) -> Refused:
    return Refused(reason.message, reason.hint, reason.code, allow=reason.code in _OVERRIDABLE)


def parse_allowed_codes(texts: Collection[str]) -> frozenset[str]:
    """Return the codes of `--allow`. Raises Usage for a code that does not exist or cannot be overridden."""
    load()
    for code in texts:
        if code.upper() not in _OVERRIDABLE:
            raise Usage(f"{code} cannot be overridden", "codes that can: " + ", ".join(sorted(_OVERRIDABLE)))
    return frozenset(code.upper() for code in texts)
