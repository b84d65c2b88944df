"""A plan as a file: what would be done, the bundle that it would make true, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kvmnet.core.assessment import Assessment
from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.core.definition.schema import Schema
from kvmnet.core.planning.plan_basis import Basis, changed, digest_of
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting.change_text import plan_to_json

#: Version of the file's form.
FORMAT = 1


class PlanFileError(KvmnetError):
    """A file is not a plan that can be applied; the text says why."""


@dataclass(frozen=True)
class SavedPlan:
    """A plan that was read from a file. `allowed` are the codes of the refusals that were overridden for it, `lose`
    the guests that may be disconnected by it."""

    bundle: Bundle
    plan: dict[str, Any]
    allowed: tuple[str, ...]
    basis: Basis
    lose: tuple[str, ...] = ()


def to_text(assessment: Assessment, allowed: Collection[str], lose: Collection[str] = ()) -> str:
    """The file's text. What happens to guests is told in it, and not compared when it is applied: they come and go,
    and one that would be disconnected is refused then as well."""
    bundle = assessment.bundle
    content = {
        "kvmnet-plan": FORMAT,
        "host": bundle.host,
        "plan": plan_to_json(assessment.plan),
        "allowed": sorted(allowed),
        "may-lose": sorted(lose),
        "guests": [impact.to_json() for impact in assessment.impacts],
        "bundle": bundle_files.files_of(bundle),
        "made-from": assessment.basis,
    }
    return json.dumps({**content, "digest": digest_of(content)}, indent=1) + "\n"


def from_text(text: str, state_schema: Schema) -> SavedPlan:
    """Raises PlanFileError when it is no plan of ours, or was changed by hand."""
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or "kvmnet-plan" not in content:
            raise PlanFileError("it was not written by kvmnet plan -o")
        if content["kvmnet-plan"] != FORMAT:
            raise PlanFileError(f"its form is {content['kvmnet-plan']!r}; this kvmnet knows {FORMAT}")
        if content.pop("digest", None) != digest_of(content):
            raise PlanFileError("it was changed after it was written (its digest does not fit): make it again")
        bundle = bundle_files.read_bundle(content["bundle"], state_schema)
        allowed, lose = (tuple(content.get(key, ())) for key in ("allowed", "may-lose"))
        return SavedPlan(bundle, content["plan"], allowed, content["made-from"], lose)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PlanFileError(f"it cannot be read: {type(error).__name__}: {error}") from None


def require_same(plan: dict[str, Any], basis: Basis, now: Assessment) -> None:
    """Raises Refused when what a plan was made from, or what would be done, is not the same any more; names
    what has changed."""
    told = changed(basis, now.basis) or changed(plan, json.loads(json.dumps(plan_to_json(now.plan))))
    if told:
        more = f" and {len(told) - 8} more" if len(told) > 8 else ""
        raise Refused(
            "the machine has changed since the plan was made: " + "; ".join(told[:8]) + more,
            "look at the machine, make the plan again and read it again",
            "KVN508",
        )
