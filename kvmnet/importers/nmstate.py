"""Imports hosts from nmstate: the output of `nmstatectl show`, a state that was written by hand, or a
NodeNetworkConfigurationPolicy of kubernetes-nmstate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kvmnet.core.definition.document import Source
from kvmnet.importers import Importer, ImportResult
from kvmnet.importers._draft import Draft, Origin, write_draft
from kvmnet.importers._report import Report
from kvmnet.importers._state.convert import add_host, name_host
from kvmnet.importers._state.values import Path, Values, read_values

_TITLE = """Imported from nmstate. The comments name the file and line of each part.
Networks have names that kvmnet chose: rename them. Check the definition: kvmnet validate."""


def read(sources: Sequence[Source]) -> ImportResult:
    """Return the definition of the hosts that the states describe, one for each file, and the report."""
    report, draft = Report(), Draft(_TITLE, "imported", "plain")
    for source in sources:
        values, problems = read_values(source)
        for problem in problems:
            report.lose(problem.message, Origin(source.name, problem.mark.line))
        if values.data is not None:
            _add_state(draft, values, report)
        elif not problems:
            report.lose("the file is empty", Origin(source.name, 1))
    files = [source.name for source in sources]
    return ImportResult(write_draft(draft) if draft.hosts else "", report.sorted(files))


def _add_state(draft: Draft, values: Values, report: Report) -> None:
    """Add the host of one file."""
    data, path = _find_state(values, report)
    if not isinstance(data, Mapping) or not isinstance(data.get("interfaces"), list):
        report.lose("the file is not an nmstate state: it has no list of interfaces", values.origin(*path))
        return
    for key in sorted(set(data) - {"interfaces", "routes", "route-rules", "dns-resolver", "hostname"}):
        if key in ("ovs-db", "ovn") and not data[key]:
            continue
        report.lose(f"the definition has no key for {key}", values.origin(*path, key))
    origins = {key: values.origin(*path, key) for key in ("interfaces", "routes", "route-rules", "dns-resolver")}
    for key in ("routes", "route-rules"):
        section = data.get(key)
        rows = section.get("config") if isinstance(section, Mapping) else None
        for number in range(len(rows) if isinstance(rows, list) else 0):
            origins[f"{key}/{number}"] = values.origin(*path, key, "config", number)
    for number, row in enumerate(data["interfaces"]):
        if isinstance(row, Mapping):
            origins[str(row.get("name"))] = values.origin(*path, "interfaces", number)
    name = name_host(data, re.sub(r"\.[^.]*\Z", "", values.file.rpartition("/")[2]))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "host"
    while name in draft.hosts:
        name += "-2"
    add_host(draft, name, data, origins, report)


def _find_state(values: Values, report: Report) -> tuple[Any, Path]:
    """Return the state in a file and its path: the file itself, or the desired state of a policy."""
    data = values.data
    if not isinstance(data, Mapping) or data.get("kind") != "NodeNetworkConfigurationPolicy":
        return data, ()
    spec = data.get("spec")
    spec = spec if isinstance(spec, Mapping) else {}
    if spec.get("capture"):
        report.lose("the policy has captures, which only kubernetes-nmstate resolves", values.origin("spec", "capture"))
    if spec.get("nodeSelector"):
        report.note(
            "the policy selects its nodes by labels: this is one host here", values.origin("spec", "nodeSelector")
        )
    return spec.get("desiredState"), ("spec", "desiredState")


IMPORTER = Importer("nmstate", "Import hosts from the output of `nmstatectl show`, or from states and policies.", read)
