"""Warnings that somebody has accepted: a `silence` in a part of the definition covers what is shown inside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvmnet.core.base.codes import definition_codes
from kvmnet.core.base.problem import WARNING, Mark, Problem, Silenced, did_you_mean
from kvmnet.core.definition.document import Leaf, Map, Node, Seq


@dataclass(frozen=True)
class _Silence:
    """One silence as written: its code, reason and place, and the part that it stands in with that one's key.

    At depth 0 the part is everything, whatever files it comes from.
    """

    code: str
    reason: str
    mark: Mark
    part: Map
    key: Mark
    depth: int


def sort_out(tree: Map, problems: Sequence[Problem]) -> tuple[list[Problem], list[Silenced]]:
    """The problems that are left, with those of the silences themselves, and the warnings that were silenced.

    Of several silences the innermost takes a warning.
    """
    silences = list(_written(tree, tree.mark, 0))
    if not silences:
        return list(problems), []
    left, silenced = list(problems), []
    used: set[Mark] = set()
    refused: set[Mark] = set()
    for silence in sorted(silences, key=lambda s: -s.depth):
        inside = {silence.key, *_marks(silence.part)} if silence.depth else None
        rest = []
        for problem in left:
            if problem.code != silence.code or (inside is not None and problem.mark not in inside):
                rest.append(problem)
            elif problem.is_error:
                refused.add(silence.mark)
                rest.append(problem)
            else:
                used.add(silence.mark)
                silenced.append(Silenced(problem, silence.reason, silence.mark))
        left = rest
    told = {silence.mark: silence.code for silence in silences if silence.mark not in used}
    return [*left, *(_of_silence(code, mark, mark in refused) for mark, code in told.items())], silenced


def _of_silence(code: str, mark: Mark, is_error: bool) -> Problem:
    known = [entry.code for entry in definition_codes()]
    if is_error:
        return Problem("KVN191", f"{code} is an error here, and errors cannot be silenced", mark)
    if code not in known:
        return Problem("KVN191", f"there is no code {code}", mark, hint=did_you_mean(code, known))
    return Problem("KVN190", f"there is no warning {code} here to be silenced", mark, severity=WARNING)


def _written(node: Node, key: Mark, depth: int) -> Iterator[_Silence]:
    """Every silence in a tree."""
    if isinstance(node, Seq):
        for item in node.items:
            yield from _written(item, item.mark, depth + 1)
    elif isinstance(node, Map):
        for name, entry in node.entries.items():
            if name == "silence" and isinstance(entry.node, Seq):
                yield from _of_part(node, key, depth, entry.node)
            elif not isinstance(entry.node, Leaf):
                yield from _written(entry.node, entry.mark, depth + 1)


def _of_part(part: Map, key: Mark, depth: int, written: Seq) -> Iterator[_Silence]:
    for item in written.items:
        code, reason = (item.get("code"), item.get("reason")) if isinstance(item, Map) else (None, None)
        if isinstance(code, Leaf) and isinstance(reason, Leaf):
            yield _Silence(str(code.value), str(reason.value), code.mark, part, key, depth)


def _marks(node: Node) -> Iterator[Mark]:
    """The places of everything in a part."""
    yield node.mark
    if isinstance(node, Seq):
        for item in node.items:
            yield from _marks(item)
    elif isinstance(node, Map):
        for entry in node.entries.values():
            yield entry.mark
            yield from _marks(entry.node)
