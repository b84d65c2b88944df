"""What makes a host unfit for a change: small functions in a registry, each with a code, a title and a page.

They are pure: the facts are in Live, read before. All of them are asked, so that a person learns everything
at once, and nothing is touched when one speaks (exit code 5). A function's docstring is its page.
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
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.planning.difference import rename_interfaces
from kvmnet.core.planning.plan import Plan
from kvmnet.core.rendering.bundle import Bundle, Nic

_MODULES = ("program", "names", "udev_naming", "nics", "boot", "guests", "command_codes")

#: What speaks against giving a machine back: what it asks of the host, not what the definition says of it.
GIVING_BACK = ("KVN507", "KVN510", "KVN511", "KVN525", "KVN527", "KVN528", "KVN545", "KVN550", "KVN551")
#: When a refusal counts: also with an empty plan; when anything is written; when more than a note is.
ALWAYS, WRITING, TOUCHING = "always", "writing", "touching"


@dataclass(frozen=True)
class Refusal:
    """One reason, with what would mend it. `guest` is whose loss a person may allow, where it is about that."""

    code: str
    message: str
    hint: str
    guest: Optional[str] = None


@dataclass(frozen=True)
class Case:
    """What a refusal looks at: a plan, the live host, and what follows from both. Computed when it is first used."""

    plan: Plan
    live: Live

    @property
    def bundle(self) -> Bundle:
        """The bundle that is to be applied."""
        return self.plan.bundle

    @property
    def gives_back(self) -> bool:
        """Whether the machine is to be as before kvmnet: then nothing is desired of it."""
        return not self.plan.desired

    @cached_property
    def nics(self) -> list[tuple[Nic, Link]]:
        """The definition's NICs that are here, with their links as they are now."""
        found = []
        for nic in self.bundle.nics:
            link = self.live.find(nic)
            if link is not None:
                found.append((nic, link))
        return found

    @cached_property
    def view_after_renames(self) -> State:
        """The live state as it reads after the renames."""
        return rename_interfaces(self.live.state, self.plan.new_names)

    @cached_property
    def impacts(self) -> Sequence[Impact]:
        """What the plan does to the NICs of running guests."""
        return () if self.plan.empty else tuple(find_impacts(self.plan, self.live, self.view_after_renames))

    @cached_property
    def rivals(self) -> Sequence[Rival]:
        """Connection profiles that the next boot could prefer to those of the definition."""
        return find_rivals(self.plan, self.live)

    def users(self, devices: Collection[str]) -> str:
        """Devices in order, with the guests that use them: `macvtap0 (compute-0-0-0), macvtap1`."""
        of = {i.device: i.guest for i in self.impacts if i.guest}
        return ", ".join(f"{d} ({of[d]})" if d in of else d for d in sorted(devices))

    def now(self, name: str) -> str:
        """Return the name of an interface of the bundle before the renames."""
        return self.plan.old_names.get(name, name)


Function = Callable[[Case], Iterator[Refusal]]
_REFUSALS: dict[str, tuple[str, Function]] = {}
_ALLOWABLE: set[str] = set()


def refusal(
    code: str, title: str, *, when: str = TOUCHING, allow: bool = False, option: str = ""
) -> Callable[[Function], Function]:
    """Register a refusal under its code; with `allow` a person may go on with `--allow CODE`, with `option` by that."""

    def register(function: Function) -> Function:
        elsewhere(code, title, function.__doc__ or "", allow=allow, option=option)
        _REFUSALS[code] = (when, function)
        return function

    return register


def elsewhere(code: str, title: str, page: str, *, allow: bool = False, option: str = "") -> None:
    """Register the page of a refusal that is not told by a plan and a reading alone (the lock, root)."""
    option = f"--allow {code}" if allow else option
    verbs = "plan, apply, rollback and remove" if code in GIVING_BACK else "plan, apply and rollback"
    words = f"`{option}` on {verbs} goes on all the same." if option else "Nothing overrides it."
    codes.register(code, title, f"{inspect.cleandoc(page)}\n\nRefused with exit code 5, nothing is touched. {words}")
    if allow:
        _ALLOWABLE.add(code)


def load() -> None:
    """Import every module of refusals."""
    for name in _MODULES:
        importlib.import_module(f"{__name__}.{name}")


def find(case: Case, among: Optional[Collection[str]] = None) -> list[Refusal]:
    """Return every reason against the change, in the order of the codes; with `among`, only those of these codes."""
    load()
    counts = {ALWAYS: True, WRITING: not case.plan.empty, TOUCHING: case.plan.changes_host}
    asked = [code for code in sorted(_REFUSALS) if among is None or code in among]
    return [found for code in asked if counts[_REFUSALS[code][0]] for found in _REFUSALS[code][1](case)]


def require_allowed(reasons: Sequence[Refusal], allow: Collection[str] = (), lose: Collection[str] = ()) -> None:
    """Raise Refused with all reasons that are not overridden: by their codes (`allow`), or by the guests that may be
    disconnected (`lose`)."""
    remaining = [refused(r) for r in reasons if r.code not in allow and r.guest not in lose]
    if remaining:
        first = remaining[0]
        raise Refused(first.message, first.hint, first.code, allow=first.allow, more=tuple(remaining[1:]))


def refused(reason: Refusal) -> Refused:
    """One reason as an error."""
    return Refused(reason.message, reason.hint, reason.code, allow=reason.code in _ALLOWABLE)


def allowed(wanted: Collection[str]) -> frozenset[str]:
    """The codes of `--allow`, checked. Raises Usage for one that is none, or that nothing overrides."""
    load()
    for code in wanted:
        if code.upper() not in _ALLOWABLE:
            raise Usage(f"{code} cannot be allowed", "these can: " + ", ".join(sorted(_ALLOWABLE)))
    return frozenset(code.upper() for code in wanted)
