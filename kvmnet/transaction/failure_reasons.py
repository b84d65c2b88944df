"""The likely reasons of a failure, collected by the worker before it becomes the rescue program.

Collecting only reads, takes two seconds at most, and cannot stop the rollback: whatever fails here is left out.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from kvmnet.core.base.nmstate import NM_TYPES, interfaces_of
from kvmnet.core.effects.likely_reasons import LikelyReason, find_plan_reasons, find_reasons
from kvmnet.core.live.failure_facts import FailureFacts
from kvmnet.core.reporting.reason_text import reasons_to_json
from kvmnet.host.failure_facts import find_nics_without_carrier, read_failure_facts
from kvmnet.system import operations
from kvmnet.system.types import Json
from kvmnet.transaction.action_context import StepFailed
from kvmnet.transaction.prepare import Prepared
from kvmnet.transaction.step import Step

#: Seconds that the rollback may be delayed.
TIME_LIMIT = 2.0


def make_hints(prepared: Prepared) -> list[Json]:
    """Return what is known before the change and would explain missing replies after it, for transaction.json."""
    return reasons_to_json(list(find_plan_reasons(prepared.plan, prepared.live)))


def find_silent_nics(prepared: Prepared) -> list[str]:
    """Return the NICs of the change that have no carrier before it: that explains no failure."""
    names = [link.name for link in prepared.live.links.values() if link.kind is None]
    silent = find_nics_without_carrier(names)
    return [prepared.plan.new_names.get(name, name) for name in silent]


def collect_reasons(transaction: Json, step: Optional[Step], error: BaseException) -> list[Json]:
    """Return the likely reasons of a failure of this step, with their texts."""
    with contextlib.suppress(Exception):  # a bug here must not keep the host from being restored
        return _collect(transaction, step or {}, error)
    return []


def _collect(transaction: Json, step: Step, error: BaseException) -> list[Json]:
    facts = FailureFacts()
    expected = _find_expected(transaction["steps"])
    targets = list(error.targets) if isinstance(error, StepFailed) else []
    if step.get("op") == operations.CONFIRM.name:
        targets += [address for address in transaction.get("operator", ["", ""])[1:] if address]
    types = {**dict.fromkeys(_names(expected), ""), **_find_types(transaction["steps"])}
    reader = threading.Thread(target=_read, args=(facts, types, targets), daemon=True)
    reader.start()
    reader.join(TIME_LIMIT)
    reasons = list(find_reasons(facts, expected, transaction.get("without_carrier", ())))
    if operations.find_operation(step.get("op")).waits:  # for replies
        reasons += [LikelyReason.from_json(hint) for hint in transaction.get("hints", [])]
    return reasons_to_json(reasons)


def _read(facts: FailureFacts, types: Mapping[str, str], targets: Sequence[str]) -> None:
    with contextlib.suppress(Exception):  # an error in a thread would be printed to the journal of the unit
        read_failure_facts(facts, types, targets)


def _find_expected(steps: Sequence[Step]) -> list[Mapping[str, Any]]:
    """Return what the transaction expects of each interface: the last step that reads back has all of it."""
    expected: list[Mapping[str, Any]] = next((s["expect"] for s in reversed(steps) if s.get("expect")), [])
    return expected


def _find_types(steps: Sequence[Step]) -> dict[str, str]:
    """Return the interfaces that nmstate is given, with the types of their connection profiles."""
    sent = [i for step in steps for i in interfaces_of(step.get("state", {})) if i.get("state") == "up"]
    return {str(i["name"]): NM_TYPES.get(str(i.get("type")), "") for i in sent}


def _names(expected: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(entry["name"]) for entry in expected if not entry.get("absent")]
