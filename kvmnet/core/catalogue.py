"""The catalogue of all codes: the problems of definitions (core/checks), the refusals of hosts (core/refusals) and the
findings of `kvmnet doctor` (core/doctor)."""

from __future__ import annotations

from kvmnet.core import checks, doctor, refusals
from kvmnet.core.base import codes


def all_codes() -> list[codes.Code]:
    """Return every code: first the problems of definitions, then the refusals, then the findings, each in the order of
    their numbers."""
    refusals.load()
    return [*definition_codes(), *codes.host_codes(), *doctor_codes()]


def doctor_codes() -> list[codes.Code]:
    """Return the codes that only `kvmnet doctor` reports, in the order of their numbers."""
    doctor.load()
    return codes.doctor_codes()


def definition_codes() -> list[codes.Code]:
    """Return the codes of problems that a definition can have, in the order of their numbers."""
    checks.load()
    return codes.definition_codes()
