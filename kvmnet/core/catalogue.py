"""The catalogue of all problem codes: those of a definition (core/checks) and those of a host (core/refusals)."""

from __future__ import annotations

from kvmnet.core import checks, refusals
from kvmnet.core.base import codes


def all_codes() -> list[codes.Code]:
    """Every code, in order: the problems of a definition, then the reasons to refuse a host."""
    refusals.load()
    return [*definition_codes(), *codes.host_codes()]


def definition_codes() -> list[codes.Code]:
    """The codes of problems that a definition can have, in order."""
    checks.load()
    return codes.definition_codes()
