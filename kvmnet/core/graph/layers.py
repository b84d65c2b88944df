"""Which column each box is in, and in which order: what a box is on is to the left of it (after Sugiyama).

The boxes of a column keep the order of the definition as far as that makes no connections cross. A connection that
passes a column goes through a place in it, which it shares with others of the same start and event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SWEEPS = 6


@dataclass(frozen=True)
class Layers:
    """columns: the nodes of each column from above. links: connections between neighbouring columns. routes: the nodes
    that each connection passes, from its start to its end. Nodes are numbered: boxes first, in their order."""

    columns: tuple[tuple[int, ...], ...]
    links: tuple[tuple[int, int], ...]
    routes: tuple[tuple[int, ...], ...]


def find_layers(
    number: int,
    connections: Sequence[tuple[int, int]],
    events: Sequence[str],
    last: frozenset[int] = frozenset(),
) -> Layers:
    """Return the layers of `number` boxes with these connections, which have these events. `last` are the boxes of the
    last column."""
    forward = [
        pair if not is_back else pair[::-1] for pair, is_back in zip(connections, _find_back(number, connections))
    ]
    depths = _find_depths(number, forward)
    if last:
        deepest = max((depths[node] for node in range(number) if node not in last), default=-1)
        column = max([deepest + 1, *(depths[node] for node in last)])
        depths.update(dict.fromkeys(last, column))
    places: dict[tuple[int, int, str], int] = {}
    columns: list[list[int]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    for node in range(number):
        columns[depths[node]].append(node)
    routes = []
    for (start, end), event in zip(forward, events):
        route = [start]
        for depth in range(depths[start] + 1, depths[end]):
            if (start, depth, event) not in places:
                places[start, depth, event] = number + len(places)
                columns[depth].append(places[start, depth, event])
            route.append(places[start, depth, event])
        routes.append((*route, end))
    links = tuple(dict.fromkeys((a, b) for route in routes for a, b in zip(route, route[1:])))
    ordered = _order(columns, links, has_fixed=not last)
    return Layers(tuple(tuple(column) for column in ordered), links, tuple(routes))


def _find_back(number: int, connections: Sequence[tuple[int, int]]) -> list[bool]:
    """Return for each connection whether it closes a loop. There are loops only where a change turns a stack around."""
    above: dict[int, list[int]] = {node: [] for node in range(number)}
    for index, (start, _) in enumerate(connections):
        above[start].append(index)
    is_back = [False] * len(connections)
    state = [0] * number
    for root in range(number):
        if state[root]:
            continue
        state[root] = 1
        stack = [(root, iter(above[root]))]
        while stack:
            node, rest = stack[-1]
            index = next(rest, -1)
            if index < 0:
                state[node] = 2
                stack.pop()
                continue
            end = connections[index][1]
            is_back[index] = state[end] == 1
            if not state[end]:
                state[end] = 1
                stack.append((end, iter(above[end])))
    return is_back


def _find_depths(number: int, connections: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return the column of each box: that of the longest way to it."""
    depths = dict.fromkeys(range(number), 0)
    for _ in range(number):
        is_changed = False
        for start, end in connections:
            if depths[end] <= depths[start]:
                depths[end], is_changed = depths[start] + 1, True
        if not is_changed:
            break
    return depths


def _order(columns: Sequence[Sequence[int]], links: Sequence[tuple[int, int]], has_fixed: bool) -> list[list[int]]:
    """Return the columns in the order of the definition, or in one from sweeps if that has fewer crossings. The last
    column always follows the others (unless `has_fixed`), so its crossings do not count."""
    left: dict[int, list[int]] = {}
    right: dict[int, list[int]] = {}
    for start, end in links:
        left.setdefault(end, []).append(start)
        right.setdefault(start, []).append(end)
    end = len(columns) if has_fixed else len(columns) - 1
    current = _sweep(_walk(columns, right), left, True)
    best, fewest = current, _count_crossings(current[:end], right)
    for _ in range(_SWEEPS):
        if not fewest:
            break
        current = _sweep(_sweep(current, right, False), left, True)
        crossings = _count_crossings(current[:end], right)
        if crossings < fewest:
            best, fewest = current, crossings
    return best


def _walk(columns: Sequence[Sequence[int]], right: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Return the columns in the order in which a walk from the first column meets the boxes."""
    met: dict[int, None] = {}
    for column in columns:
        for root in column:
            stack = [root]
            while stack:
                node = stack.pop()
                if node not in met:
                    met[node] = None
                    stack.extend(reversed(right.get(node, ())))
    rank = {node: index for index, node in enumerate(met)}
    return [sorted(column, key=rank.__getitem__) for column in columns]


def _sweep(columns: Sequence[Sequence[int]], beside: Mapping[int, Sequence[int]], is_forward: bool) -> list[list[int]]:
    """Return the columns with each in the order of the middle of what its boxes are connected to on one side. What many
    are connected to counts less."""
    links = Counter(other for others in beside.values() for other in others)
    ordered = [list(column) for column in columns]
    indexes = range(1, len(ordered)) if is_forward else range(len(ordered) - 2, -1, -1)
    for index in indexes:
        neighbours = ordered[index - 1 if is_forward else index + 1]
        rank = {node: float(place) for place, node in enumerate(neighbours)}
        own = {node: float(place) for place, node in enumerate(ordered[index])}

        def middle(node: int, rank: Mapping[int, float] = rank, own: Mapping[int, float] = own) -> tuple[float, float]:
            values = [(rank[other], 1 / links[other]) for other in beside.get(node, ()) if other in rank]
            weight = sum(of_value for _, of_value in values)
            return (sum(v * of_value for v, of_value in values) / weight if values else own[node], own[node])

        ordered[index].sort(key=middle)
    return ordered


def _count_crossings(columns: Sequence[Sequence[int]], right: Mapping[int, Sequence[int]]) -> int:
    """Return how often connections cross: the inversions of their ends, counted with a binary indexed tree."""
    total = 0
    for column, beside in zip(columns, columns[1:]):
        rank = {node: place for place, node in enumerate(beside)}
        ends = [
            place for node in column for place in sorted(rank[other] for other in right.get(node, ()) if other in rank)
        ]
        tree = [0] * (len(beside) + 1)
        for seen, place in enumerate(ends):
            index, smaller = place + 1, 0
            while index:
                smaller += tree[index]
                index &= index - 1
            total += seen - smaller
            index = place + 1
            while index < len(tree):
                tree[index] += 1
                index += index & -index
    return total
