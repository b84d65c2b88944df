"""The metrics of `kvmnet status --prometheus`, in Prometheus' text format (version 0.0.4), for node_exporter's textfile
collector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

#: How the last change, and the last run of pull mode, can have ended. Each is a series, so that alerts need no regular
#: expressions and a series never changes its labels.
CHANGE_RESULTS = ("kept", "rolled back", "nothing was begun")
PULL_RESULTS = ("up to date", "applied", "refused", "rolled back", "not reachable", "failed")


class Sample(NamedTuple):
    """One sample of a metric."""

    value: float
    labels: Mapping[str, str] = {}


def format_metrics(version: str, report: Mapping[str, Any]) -> str:
    """Return the metrics of a host. `report` is that of `kvmnet status --json`; what it does not contain has no
    metric: the drift while a transaction is open, pull mode where it is not configured."""
    lines: list[str] = []

    def add(name: str, text: str, samples: Iterable[Sample]) -> None:
        rows = [f"kvmnet_{name}{_format_labels(s.labels)} {_format_value(s.value)}" for s in samples]
        if rows:
            lines.extend([f"# HELP kvmnet_{name} {text}", f"# TYPE kvmnet_{name} gauge", *rows])

    add("build_info", "The version of kvmnet.", [Sample(1, {"version": version})])
    applied, last, pull = report.get("applied"), report.get("last"), report.get("pull")
    if applied:
        labels = {"host": applied["host"], "digest": applied["digest"]}
        add("applied_info", "The bundle that was applied last.", [Sample(1, labels)])
    if "drift" in report:
        text = "Changes that kvmnet apply would make because the host differs from the applied bundle."
        add("drift_changes", text, [Sample(len(report["drift"]))])
    add("transaction_open", "Whether a transaction is open.", [Sample(bool(report.get("open")))])
    if report.get("open"):
        text = "When the open transaction began."
        add("transaction_open_start_timestamp_seconds", text, [Sample(report["open"]["at"])])
    if last:
        add("last_change_timestamp_seconds", "When the last change began.", [Sample(last["at"])])
        add("last_change_result", "How the last change ended.", _one_of(CHANGE_RESULTS, last["outcome"]))
        is_verified = last["outcome"] != "rolled back" or last["verified"] is True
        text = "Whether the last change needs no manual action: it was kept, or its rollback was verified."
        add("last_change_verified", text, [Sample(is_verified)])
    if pull:
        _add_pull(add, pull)
    problem = bool(report.get("configuration", {}).get("problem"))
    add("configuration_valid", "Whether /etc/kvmnet/kvmnet.conf can be used.", [Sample(not problem)])
    return "\n".join(lines) + "\n"


def _add_pull(add: Any, pull: Mapping[str, Any]) -> None:
    """Add the metrics of pull mode."""
    commits = {name: str(pull[name] or "") for name in ("fetched", "applied")}
    add("pull_commit_info", "The commits that were fetched and applied last.", [Sample(1, commits)])
    text = "Whether this host lacks the newest commit, or could not fetch it."
    add("pull_behind", text, [Sample(pull["behind"])])
    if pull["result"] is not None:
        add("pull_last_run_timestamp_seconds", "When the last run of kvmnet pull ended.", [Sample(pull["at"])])
        add("pull_last_run_result", "How the last run of kvmnet pull ended.", _one_of(PULL_RESULTS, pull["result"]))


def _one_of(values: Sequence[str], current: Optional[str]) -> list[Sample]:
    """Return a sample for each value: 1 for the current one, 0 for the others."""
    every = values if current is None or current in values else (*values, current)
    return [Sample(value == current, {"result": value}) for value in every]


def _format_labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    """Escape the value of a label, as Prometheus' exposition formats have it; surrogates are no text."""
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _format_value(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
