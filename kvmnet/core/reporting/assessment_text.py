"""An assessment in words, and as JSON."""

from __future__ import annotations

from typing import Any, Optional

from kvmnet.core.assessment import Assessment
from kvmnet.core.effects.host_effects import HostEffects
from kvmnet.core.reporting.change_text import plan_to_json
from kvmnet.core.reporting.host_text import format_host_effects
from kvmnet.core.reporting.report import format_guests


def assessment_lines(assessment: Assessment, host: Optional[HostEffects] = None) -> list[str]:
    """Return what to print below the changes, a line each: what happens to this host, notes, and what happens to
    guests."""
    effects = format_host_effects(host) if host is not None else []
    notes = [f"note: {note}" for note in assessment.notes]
    return [*effects, *notes, *format_guests(assessment.impacts, assessment.guests_unknown)]


def assessment_to_json(assessment: Assessment) -> dict[str, Any]:
    """Return the plan, the notes, and what happens to guests as plain data."""
    return {**plan_to_json(assessment.plan), "notes": list(assessment.notes), **assessment.guests_to_json()}
