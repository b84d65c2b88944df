"""Checks of the whole cluster: a registry of small functions, each with a code, a title and an explanation.

The docstring of a check is the page that `kvmnet explain` prints. A check gets the cluster and the views of all hosts
and yields problems. All checks run, even if some of them find problems.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Callable

from kvmnet.core.base import codes
from kvmnet.core.base.problem import Problem
from kvmnet.core.definition.model import Cluster
from kvmnet.core.views.host_view import HostView

_MODULES = (
    *("references", "addresses", "macs", "vlans", "names", "guests", "bonds", "bridges", "sources", "routes"),
    *("bridge_vlans", "infiniband", "probes", "zones", "policy_routing", "dummies", "pass_through"),
)


@dataclass(frozen=True)
class Context:
    """The input of a check: the cluster, and the view of each host by the host's name."""

    cluster: Cluster
    views: Mapping[str, HostView]


#: Problems of one check that are reported. More have one cause, and nobody reads them.
MAX_PROBLEMS = 5000

Check = Callable[[Context], Iterator[Problem]]
_CHECKS: dict[str, Check] = {}


def check(code: str, title: str) -> Callable[[Check], Check]:
    """Return a decorator that registers a check under its code. The check's docstring becomes its page."""

    def register(function: Check) -> Check:
        codes.register(code, title, function.__doc__ or "")
        _CHECKS[code] = function
        return function

    return register


def load() -> None:
    """Import every module with checks, which registers them."""
    for name in _MODULES:
        importlib.import_module(f"{__name__}.{name}")


def run(context: Context) -> list[Problem]:
    """Run every check, in the order of the codes, and return the problems, at most MAX_PROBLEMS of each check."""
    return [problem for problems in run_each(context) for problem in problems]


def count_checks() -> int:
    """Return the number of all checks."""
    load()
    return len(_CHECKS)


def run_each(context: Context) -> Iterator[list[Problem]]:
    """Yield the problems of each check (see `run`)."""
    load()
    for code in sorted(_CHECKS):
        yield list(itertools.islice(_CHECKS[code](context), MAX_PROBLEMS))
