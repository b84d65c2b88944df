"""Problems of a definition as documents for code review: SARIF (GitHub and others) and GitLab's code quality report.

Both show a problem at its line of a merge request. A problem has a fingerprint, so that a platform recognizes it after
lines above it have moved.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from posixpath import normpath
from typing import Any
from urllib.parse import quote

from kvmnet import __version__
from kvmnet.core.base import problem as problem_texts
from kvmnet.core.base.problem import Lines, Mark, Problem, Silenced, in_order, printable
from kvmnet.core.catalogue import definition_codes

#: The schema of SARIF 2.1.0 (OASIS standard, errata 01).
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_sarif(problems: Iterable[Problem], sources: Mapping[str, str], silenced: Iterable[Silenced] = ()) -> str:
    """Return the problems as a SARIF 2.1.0 log with one run. Suppressed warnings are results with a suppression."""
    rows = in_order(problems)
    suppressed = sorted(set(silenced), key=lambda s: (s.problem.mark, s.problem.code, s.problem.message))
    used = {p.code for p in [*rows, *(s.problem for s in suppressed)]}
    codes = [code for code in definition_codes() if code.code in used]
    numbers = {code.code: number for number, code in enumerate(codes)}
    fingerprint = _Fingerprints(sources)
    results = [_result(p, numbers[p.code], fingerprint.make(p)) for p in rows]
    for entry in suppressed:
        result = _result(entry.problem, numbers[entry.problem.code], fingerprint.make(entry.problem))
        place = {"physicalLocation": _location(entry.mark)}
        suppression = {"kind": "inSource", "status": "accepted", "justification": entry.reason, "location": place}
        results.append({**result, "suppressions": [suppression]})
    rules = [
        {
            "id": code.code,
            "shortDescription": {"text": _sentence(code.title)},
            "fullDescription": {"text": _sentence(" ".join(code.page.split()))},
            "help": {"text": code.page},
        }
        for code in codes
    ]
    driver = {"name": "kvmnet", "version": __version__, "semanticVersion": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(problem: Problem, number: int, fingerprint: str) -> dict[str, Any]:
    text = problem.message + (f"\n{problem.hint}" if problem.hint else "")
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": number,
        "level": problem.severity,
        "message": {"text": _sentence(printable(text.replace("\n", " - ")))},
        "locations": [{"physicalLocation": _location(problem.mark)}],
        "partialFingerprints": {"kvmnet/v1": fingerprint},
    }
    if problem.related:
        result["relatedLocations"] = [
            {
                "id": position,
                "physicalLocation": _location(related.mark),
                "message": {"text": _sentence(printable(related.message))},
            }
            for position, related in enumerate(problem.related)
        ]
    return result


def _location(mark: Mark) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": quote(normpath(mark.file))},
        "region": {"startLine": mark.line, "startColumn": mark.column},
    }


def _sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop, as viewers of SARIF expect."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def as_gitlab(problems: Iterable[Problem], sources: Mapping[str, str], silenced: Iterable[Silenced] = ()) -> str:
    """Return the problems as a code quality report of GitLab. It has no place for suppressed warnings."""
    del silenced
    fingerprint = _Fingerprints(sources)
    rows = [
        {
            "description": printable(problem.message + (f" ({problem.hint})" if problem.hint else "")),
            "check_name": problem.code,
            "fingerprint": fingerprint.make(problem),
            "severity": "critical" if problem.is_error else "minor",
            "location": {"path": normpath(problem.mark.file), "lines": {"begin": problem.mark.line}},
        }
        for problem in in_order(problems)
    ]
    return json.dumps(rows, indent=2) + "\n"


class _Fingerprints:
    """Makes fingerprints that are unique in one report and do not depend on the number of a line."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._lines = Lines(sources)
        self._made: Counter[str] = Counter()

    def make(self, problem: Problem) -> str:
        """Return the fingerprint of a problem: of its code, its file, its message and the text of its line. Further
        problems with the same ones get a number."""
        line = (self._lines.get(problem.mark) or "").strip()
        text = "\0".join((problem.code, problem.mark.file, problem.message, line))
        self._made[text] += 1
        return hashlib.sha256(f"{text}\0{self._made[text]}".encode("utf-8", "replace")).hexdigest()


REPORTERS = {**problem_texts.REPORTERS, "sarif": as_sarif, "gitlab": as_gitlab}
"""All formats of a list of problems, by the name that `kvmnet validate --format` gives them."""
