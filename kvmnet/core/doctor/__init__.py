"""What a host has and lacks for kvmnet: a registry of small functions, each with a code and a title.

In: the facts of a host (core/live/host_facts). Out: findings, each with a severity, a message and a command that fixes
it. The docstring of a function is the page that `kvmnet explain` prints. A condition that also refuses a change has the
code of that refusal, and its page.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable

from kvmnet.core.base import codes
from kvmnet.core.live.host_facts import HostFacts

#: Severities. ERROR: `kvmnet apply` would be refused. WARNING: a change or a guest may fail. NOTE: good to know.
ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
_MODULES = ("required", "profiles", "naming", "services", "guests", "surroundings")


@dataclass(frozen=True)
class Finding:
    """A finding. `fix` is a command or, where there is none, what to do; empty when nothing needs to be done."""

    code: str
    severity: str
    message: str
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return {"code": self.code, "severity": self.severity, "message": self.message, "fix": self.fix or None}


Examination = Callable[[HostFacts], Iterator[Finding]]
_EXAMINATIONS: list[Examination] = []


def examination(code: str = "", title: str = "") -> Callable[[Examination], Examination]:
    """Return a decorator that registers an examination. Without a code, its findings have codes of refusals."""

    def register(function: Examination) -> Examination:
        if code:
            codes.register(code, title, function.__doc__ or "")
        _EXAMINATIONS.append(function)
        return function

    return register


def load() -> None:
    """Register all examinations."""
    for name in _MODULES:
        importlib.import_module(f"{__name__}.{name}")


def examine(facts: HostFacts) -> list[Finding]:
    """Return all findings: errors first, then warnings and notes, each in the order of the examinations."""
    load()
    findings = [finding for function in _EXAMINATIONS for finding in function(facts)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
