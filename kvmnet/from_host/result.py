"""The definition of this host, checked and compared with the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from kvmnet import pipeline
from kvmnet.core.base.errors import Usage
from kvmnet.core.base.problem import ERROR, printable
from kvmnet.core.definition.document import Source
from kvmnet.core.live.live_host import Live
from kvmnet.core.live.running_guests import Running
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.reporting.report import format_change
from kvmnet.from_host.append import append_host, read_policy, reuse_networks
from kvmnet.from_host.describe import SOURCE, describe_host
from kvmnet.from_host.live_changes import find_live_changes
from kvmnet.from_host.policy import adopt_rocks_policy
from kvmnet.importers import ReportItem
from kvmnet.importers._draft import Draft, write_draft
from kvmnet.importers._report import Report


@dataclass(frozen=True)
class HostDefinition:
    """The text of a definition with this host, and the report of what it does not contain or would change, as text.
    `is_complete`: nothing is missing, and the definition is valid."""

    text: str
    report: str
    is_complete: bool


def define_host(live: Live, running: Running, policy: str, existing: Optional[Source]) -> HostDefinition:
    """Return the definition of the live host with a naming policy (plain or rocks), or the definition `existing` with
    the host added to it. Raises Usage if it cannot be added."""
    draft, items = describe_host(live, running)
    if policy == "rocks":
        draft.policy = policy
        for host in draft.hosts.values():
            adopt_rocks_policy(host)
    text, notes = (write_draft(draft), ()) if existing is None else _append(draft, existing)
    name = existing.name if existing is not None else "cluster.yaml"
    definition = pipeline.check([Source(name, text)])
    problems = [f"{p.mark.file}:{p.mark.line}: {p.code} {p.message}" for p in definition.problems if p.is_error]
    if existing is not None and definition.cluster is not None and not set(draft.hosts) <= set(definition.hosts):
        raise Usage(f"the host cannot be added to {existing.name}", "add it by hand: kvmnet init --from-host DIR")
    changes = []
    if definition.ok:
        plan = make_plan(definition.bundle(next(iter(draft.hosts))), live)
        changes = [line for change in find_live_changes(plan) for line in format_change(change)]
    is_complete = not problems and not any(item.severity == ERROR for item in items)
    is_as_found = policy == "plain" and not changes
    return HostDefinition(
        text,
        _format_report((*items, *notes), problems, changes, policy),
        is_complete and (is_as_found or policy == "rocks"),
    )


def _append(draft: Draft, existing: Source) -> tuple[str, tuple[ReportItem, ...]]:
    """Return the text of the existing definition with the host, and notes about its networks."""
    before = pipeline.check([existing])
    if before.cluster is None or not before.ok:
        raise Usage(f"{existing.name} has problems", f"run kvmnet validate {existing.name}")
    report = Report()
    reuse_networks(draft, before.cluster, read_policy(existing), report)
    items = tuple(ReportItem(item.severity, item.message, SOURCE, 0) for item in report.items)
    return append_host(existing, draft), items


def _format_report(items: Sequence[ReportItem], problems: Sequence[str], changes: Sequence[str], policy: str) -> str:
    lines = [
        f"{item.file}: {'' if item.severity == ERROR else f'{item.severity}: '}{item.message}"
        for item in items
        if item.severity != "skipped"
    ]
    lines += [f"the definition is not valid: {problem}" for problem in problems]
    if changes and policy == "rocks":
        lines += ["kvmnet plan shows the change to the naming policy rocks:", *changes]
    elif changes:
        lines += ["the definition differs from the host; kvmnet plan would change:", *changes]
    return "".join(f"{printable(line)}\n" for line in lines)
