"""Checks over the whole cluster: small functions in a registry, each with a code, a title and a page.

A check's docstring is its page. It is given the cluster and the views of all hosts, and yields problems;
none stops another.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Callable

from kvmnet.core.base import codes
from kvmnet.core.base.problem import Problem
from kvmnet.core.definition.model import Cluster
from kvmnet.core.views.host_view import HostView

_MODULES = ("references", "addresses", "macs", "vlans", "names", "guests", "bonds", "sources", "routes", "probes")


@dataclass(frozen=True)
class Context:
    """What a check looks at."""

    cluster: Cluster
    views: Mapping[str, HostView]


Check = Callable[[Context], Iterator[Problem]]
_CHECKS: dict[str, Check] = {}


def check(code: str, title: str) -> Callable[[Check], Check]:
    """Register a check under its code."""

    def register(function: Check) -> Check:
        codes.register(code, title, function.__doc__ or "")
        _CHECKS[code] = function
        return function

    return register


def load() -> None:
    """Import every module of checks."""
    for name in _MODULES:
        importlib.import_module(f"{__name__}.{name}")


def run(context: Context) -> list[Problem]:
    """Every check, in the order of the codes."""
    load()
    return [problem for code in sorted(_CHECKS) for problem in _CHECKS[code](context)]
