"""A table of the results of the fault matrix: python -m tests.faults.table RESULTS... prints Markdown.

RESULTS are files that `tests.faults.matrix --results` wrote. When a point was run more than once, the last run counts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.faults.hosts import OTHERS, RENAMES, SEED, STEPS
from tests.faults.kinds import FAULTS, STORIES
from tests.machines.roots import GENERATIONS

Results = dict[tuple[str, str, str, str], str]
"""(kind of host, fault, place, generation) -> "before", "after" or LOST."""
LOST = "LOST"


def read(paths: list[str]) -> Results:
    results: Results = {}
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            results[row["kind"], row["fault"], row["place"], row["generation"]] = row["ended"] or LOST
    return results


def table(results: Results) -> str:
    lost = sum(ended == LOST for ended in results.values())
    counts = ", ".join(f"{g} {sum(key[3] == g for key in results)}" for g in GENERATIONS)
    lines = [f"{len(results)} points ({counts}), {lost} lost.", ""]
    steps = [f"{where} '{title}'" for title in STEPS for where in ("before", "after")]
    for kind, places in [(SEED, steps), *((kind, _after(p)) for kind, p in [(SEED, RENAMES), *OTHERS.items()])]:
        lines += _grid(results, kind, places)
    for kind in (SEED, *OTHERS):
        lines += _stories(results, kind)
    return "\n".join(lines)


def _after(places: tuple[str, ...]) -> list[str]:
    return [f"after {place}" for place in places]


def _grid(results: Results, kind: str, places: list[str]) -> list[str]:
    """Return a table of faults and places; the longer list becomes the rows."""
    faults = [f for f in FAULTS if any(key[:2] == (kind, f) and key[2] in places for key in results)]
    places = [p for p in places if any(key[0] == kind and key[2] == p for key in results)]
    rows, columns, turned = (faults, places, False) if len(faults) > len(places) else (places, faults, True)
    if not rows:
        return []
    lines = [
        f"### {kind[0].upper()}{kind[1:]}",
        "",
        f"| | {' | '.join(columns)} |",
        f"| --- |{' --- |' * len(columns)}",
    ]
    for row in rows:
        cells = [_cell(results, kind, *((column, row) if turned else (row, column))) for column in columns]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return [*lines, ""]


def _stories(results: Results, kind: str) -> list[str]:
    rows = [f"| {s} | {_cell(results, kind, s, '')} |" for s in STORIES if _cell(results, kind, s, "")]
    return (
        [
            f"### {kind[0].upper()}{kind[1:]}: changes that fail by themselves",
            "",
            "| | |",
            "| --- | --- |",
            *rows,
            "",
        ]
        if rows
        else []
    )


def _cell(results: Results, kind: str, fault: str, place: str) -> str:
    """Return the outcome in all generations, or that of each where they differ; empty where none has a result."""
    ended = {g: results[kind, fault, place, g] for g in GENERATIONS if (kind, fault, place, g) in results}
    if len(set(ended.values())) == 1:
        return next(iter(ended.values())) + (f" ({next(iter(ended))})" if len(ended) == 1 else "")
    return ", ".join(f"{value} ({generation})" for generation, value in ended.items())


if __name__ == "__main__":
    print(table(read(sys.argv[1:])))
