"""The assessment of a host: everything that the core knows about a change, made once and passed on.

In: a bundle (or the plan of a removal) and the live host. Out: an `Assessment`: the plan, the state after the renames,
what happens to guests, notes, and the reasons against it. The transaction starts from it, the reports word it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional

from kvmnet.core.effects.plan_notes import find_notes
from kvmnet.core.live.live_host import Live
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.planning.plan_basis import Basis, basis_of
from kvmnet.core.refusals import REMOVAL_CODES, Case, Refusal, find_refusals
from kvmnet.core.rendering.bundle import Bundle


@dataclass(frozen=True)
class Assessment(Case):
    """What a plan does to this host. Each value is computed when it is first used, and only once.

    `codes` are the refusals that count for this plan; None: all of them.
    """

    codes: Optional[Collection[str]] = None

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """The reasons not to make the change, overridden or not."""
        return tuple(find_refusals(self, self.codes))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What an administrator should know before the change, a line each."""
        return tuple(find_notes(self.plan, self.live, self.rivals, self.next_boot))

    @cached_property
    def basis(self) -> Basis:
        """What the plan depends on."""
        return basis_of(self.plan, self.live, self.view_after_renames)

    @property
    def guests_unknown(self) -> str:
        """Why it is unknown which guests run; empty when it is known."""
        return self.live.surroundings.running.problem

    def guests_to_json(self) -> dict[str, Any]:
        """Return what happens to guests as plain data."""
        return {"guests": [i.to_json() for i in self.impacts], "guests_unknown": self.guests_unknown or None}

    def with_surroundings(self, surroundings: Surroundings) -> Assessment:
        """Return the assessment of the same plan, with the surroundings of the host known."""
        return dataclasses.replace(self, live=dataclasses.replace(self.live, surroundings=surroundings))


def assess(bundle: Bundle, live: Live) -> Assessment:
    """Assess what makes the host match a bundle."""
    return Assessment(make_plan(bundle, live), live)


def assess_removal(plan: Plan, live: Live) -> Assessment:
    """Assess the plan of a removal of kvmnet."""
    return Assessment(plan, live, codes=REMOVAL_CODES)
