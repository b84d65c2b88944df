"""Suppression of warnings: a `silence` list in a part of the definition covers the warnings inside that part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvmnet.core.base.codes import definition_codes
from kvmnet.core.base.problem import WARNING, Mark, Problem, Silenced, did_you_mean
from kvmnet.core.definition.document import Leaf, Map, Node, Seq


@dataclass(frozen=True)
class _Silence:
    """An entry of a `silence` list: its code, reason and place, the part that contains it, and the key of that part.

    At depth 0 the part is the whole definition, including all its files.
    """

    code: str
    reason: str
    mark: Mark
    part: Map
    key: Mark
    depth: int


def sort_out(tree: Map, problems: Sequence[Problem]) -> tuple[list[Problem], list[Silenced]]:
    """Return the problems that remain, with those of the `silence` entries themselves, and the suppressed warnings.

    If several entries match a warning, the innermost one suppresses it.
    """
    silences = list(_find_entries(tree, tree.mark, 0))
    if not silences:
        return list(problems), []
    remaining, silenced = list(problems), []
    used: set[Mark] = set()
    matching_errors: set[Mark] = set()
    for silence in sorted(silences, key=lambda s: -s.depth):
        covered = {silence.key, *_marks(silence.part)} if silence.depth else None
        unmatched = []
        for problem in remaining:
            if problem.code != silence.code or (covered is not None and problem.mark not in covered):
                unmatched.append(problem)
            elif problem.is_error:
                matching_errors.add(silence.mark)
                unmatched.append(problem)
            else:
                used.add(silence.mark)
                silenced.append(Silenced(problem, silence.reason, silence.mark))
        remaining = unmatched
    unused = {silence.mark: silence.code for silence in silences if silence.mark not in used}
    own_problems = [_problem_of_entry(code, mark, mark in matching_errors) for mark, code in unused.items()]
    return [*remaining, *own_problems], silenced


def _problem_of_entry(code: str, mark: Mark, is_error: bool) -> Problem:
    """Return the problem of an entry that suppresses nothing. `is_error`: its code is an error in this part."""
    known = [entry.code for entry in definition_codes()]
    if is_error:
        return Problem("KVN191", f"{code} is an error here and cannot be silenced: only warnings can", mark)
    if code not in known:
        return Problem("KVN191", f"unknown code {code}", mark, hint=did_you_mean(code, known))
    return Problem("KVN190", f"no warning {code} to silence here: remove this entry", mark, severity=WARNING)


def _find_entries(node: Node, key: Mark, depth: int) -> Iterator[_Silence]:
    """Yield every `silence` entry in a tree."""
    if isinstance(node, Seq):
        for item in node.items:
            yield from _find_entries(item, item.mark, depth + 1)
    elif isinstance(node, Map):
        for name, entry in node.entries.items():
            if name == "silence" and isinstance(entry.node, Seq):
                yield from _entries_of_part(node, key, depth, entry.node)
            elif not isinstance(entry.node, Leaf):
                yield from _find_entries(entry.node, entry.mark, depth + 1)


def _entries_of_part(part: Map, key: Mark, depth: int, entries: Seq) -> Iterator[_Silence]:
    """Yield the entries of one `silence` list that have a code and a reason."""
    for item in entries.items:
        code, reason = (item.get("code"), item.get("reason")) if isinstance(item, Map) else (None, None)
        if isinstance(code, Leaf) and isinstance(reason, Leaf):
            yield _Silence(str(code.value), str(reason.value), code.mark, part, key, depth)


def _marks(node: Node) -> Iterator[Mark]:
    """Yield the place of every key and value in a part."""
    yield node.mark
    if isinstance(node, Seq):
        for item in node.items:
            yield from _marks(item)
    elif isinstance(node, Map):
        for entry in node.entries.values():
            yield entry.mark
            yield from _marks(entry.node)
