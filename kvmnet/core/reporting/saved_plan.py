"""A plan as a file: what would be done, the bundle to apply, and the state of the host that the plan was made from."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kvmnet.core.assessment import Assessment
from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.core.base.problem import printable
from kvmnet.core.definition.schema import Schema
from kvmnet.core.planning.plan_basis import Basis, compare_bases, digest_of
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting.change_text import plan_to_json

#: Version of the format of the file.
FORMAT = 1
#: Number of changes that are listed when a plan is refused.
_MAX_LISTED = 8


class PlanFileError(KvmnetError):
    """The file is not a plan that can be applied. The message has the reason."""


@dataclass(frozen=True)
class SavedPlan:
    """A plan that was read from a file.

    `allowed` are the codes of the refusals that were overridden for it, `lose` the guests that it may disconnect;
    `adopt`: whether it may adopt interfaces of other tools.
    """

    bundle: Bundle
    plan: dict[str, Any]
    allowed: tuple[str, ...]
    basis: Basis
    lose: tuple[str, ...] = ()
    adopt: bool = False


def to_text(assessment: Assessment, allowed: Collection[str], lose: Collection[str] = (), adopt: bool = False) -> str:
    """Return an assessed plan as the text of a file.

    The effects on guests are in it for the reader only. They are not compared when the plan is applied, because guests
    start and stop. A guest that would be disconnected is refused then too.
    """
    bundle = assessment.plan.rendered
    content = {
        "kvmnet-plan": FORMAT,
        "host": bundle.host,
        "plan": plan_to_json(assessment.plan),
        "allowed": sorted(allowed),
        "may-lose": sorted(lose),
        "may-adopt": adopt,
        "guests": [impact.to_json() for impact in assessment.impacts],
        "bundle": bundle_files.format_bundle(bundle),
        "made-from": assessment.basis,
    }
    return json.dumps({**content, "digest": digest_of(content)}, indent=1) + "\n"


def from_text(text: str, schema: Schema, bundle_schemas: bundle_files.BundleSchemas) -> SavedPlan:
    """Return the plan of a file. Raises PlanFileError if it is not a plan of kvmnet, or was edited."""
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or "kvmnet-plan" not in content:
            raise PlanFileError("it was not written by `kvmnet plan -o`")
        if content["kvmnet-plan"] != FORMAT:
            version = printable(repr(content["kvmnet-plan"]))[:60]
            raise PlanFileError(f"it has format {version}, but this version of kvmnet needs format {FORMAT}")
        if content.get("digest") != digest_of({key: value for key, value in content.items() if key != "digest"}):
            raise PlanFileError("it was edited after it was written (its digest does not match): make the plan again")
        if fault := schema.find_fault(_without_free_text(content)):
            raise PlanFileError(f"it cannot be read: {fault}")
        if not all(isinstance(part, str) for part in content["bundle"].values()):
            raise PlanFileError("it cannot be read: a file of the bundle is not text")
        bundle = bundle_files.read_bundle(content["bundle"], bundle_schemas)
        allowed, lose = (tuple(content.get(key, ())) for key in ("allowed", "may-lose"))
        may_adopt = bool(content.get("may-adopt", False))
        return SavedPlan(bundle, content["plan"], allowed, content["made-from"], lose, may_adopt)
    except (ValueError, RecursionError) as error:
        raise PlanFileError(f"it cannot be read: {type(error).__name__}: {error}") from None


def _without_free_text(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a plan without the texts that may contain any character: those of the bundle's files, which
    `read_bundle` checks, and what is only compared with the host, such as the names of other tools' profiles."""
    empty: dict[str, Any] = {}
    for key in ("plan", "made-from"):
        empty[key] = {} if isinstance(content.get(key), dict) else None
    guests, texts = content.get("guests"), content.get("bundle")
    empty["guests"] = [] if isinstance(guests, list) else None
    empty["bundle"] = dict.fromkeys(texts, "") if isinstance(texts, dict) else None
    return {key: empty.get(key, value) for key, value in content.items()}


def require_unchanged(plan: dict[str, Any], basis: Basis, current: Assessment) -> None:
    """Check that the host has not changed since a plan was made.

    `plan` and `basis` are of that time, `current` is the assessment of now. Raises Refused with the changes.
    """
    changes = compare_bases(basis, current.basis)
    changes = changes or compare_bases(plan, json.loads(json.dumps(plan_to_json(current.plan))))
    if changes:
        rest = f" and {len(changes) - _MAX_LISTED} more" if len(changes) > _MAX_LISTED else ""
        raise Refused(
            "the host has changed since the plan was made: " + "; ".join(changes[:_MAX_LISTED]) + rest,
            "check the host, make the plan again, and review it",
            "KVN508",
        )
