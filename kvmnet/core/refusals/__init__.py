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
from kvmnet.core.effects.impact import Impact, impacts
from kvmnet.core.live.live_host import Link, Live
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
    """What a refusal looks at."""

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
    def impacts(self) -> Sequence[Impact]:
        """What the plan does to running guests."""
        return impacts(self.plan, self.live)

    def users(self, devices: Collection[str]) -> str:
        """Devices in order, with the guests that use them: `macvtap0 (compute-0-0-0), macvtap1`."""
        of = {i.device: i.guest for i in self.impacts if i.guest}
        return ", ".join(f"{d} ({of[d]})" if d in of else d for d in sorted(devices))

    def now(self, name: str) -> str:
        """What an interface of the bundle is called before the renaming."""
        return next((r.old for r in self.plan.renames if r.new == name), name)


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


def find(plan: Plan, live: Live, among: Optional[Collection[str]] = None) -> list[Refusal]:
    """Every reason (with `among`, of these codes alone) against this plan on this host, in the order of the codes."""
    load()
    case = Case(plan, live)
    counts = {ALWAYS: True, WRITING: not plan.empty, TOUCHING: plan.touches}
    asked = [code for code in sorted(_REFUSALS) if among is None or code in among]
    return [found for code in asked if counts[_REFUSALS[code][0]] for found in _REFUSALS[code][1](case)]


def judge(
    plan: Plan,
    live: Live,
    allow: Collection[str] = (),
    among: Optional[Collection[str]] = None,
    lose: Collection[str] = (),
) -> list[Refusal]:
    """The reasons that a person has overridden: by their codes (`allow`), by the guests whose loss is accepted
    (`lose`). Raises Refused, with all of them, when others are left. With `among` only these codes count."""
    found = find(plan, live, among)
    left = [refused(r) for r in found if r.code not in allow and r.guest not in lose]
    if left:
        first = left[0]
        raise Refused(first.message, first.hint, first.code, allow=first.allow, more=tuple(left[1:]))
    return found


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
