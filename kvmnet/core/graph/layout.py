"""Where each box and each connection of a picture is, in pixels. No two boxes and no two texts overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Optional

from kvmnet.core.base.problem import printable
from kvmnet.core.graph.layers import Layers, find_layers
from kvmnet.core.graph.model import EVENT_TEXTS, GUEST, GUESTS, NETWORK, Box, Connection, Picture
from kvmnet.core.graph.text_width import measure, shorten

TITLE_SIZE, KIND_SIZE, LINE_SIZE = 13.0, 11.0, 11.5
"""Font sizes in pixels."""
PADDING, HEADER, LINE_HEIGHT = 12, 30, 17
_MARGIN, _ROW_GAP, _PASS_HEIGHT = 16, 14, 10
_MIN_WIDTH, _MAX_WIDTH = 130, 420
_COLUMN_GAP, _MOST_GAP = 64, 150
_SWEEPS = 10
_LAST_COLUMN = (GUEST, GUESTS, NETWORK)


@dataclass(frozen=True)
class PlacedBox:
    """A box with its place. title, kind and lines: the texts as they fit into it; the kind names the event too."""

    box: Box
    x: int
    y: int
    width: int
    height: int
    title: str
    kind: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class PlacedConnection:
    """A connection with the points that it passes, each where a curve may turn level."""

    connection: Connection
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """A picture with the place of everything in it."""

    picture: Picture
    width: int
    height: int
    boxes: tuple[PlacedBox, ...]
    connections: tuple[PlacedConnection, ...]


def lay_out(picture: Picture) -> Layout:
    """Return the layout of a picture."""
    index = {box.key: number for number, box in enumerate(picture.boxes)}
    connections = [c for c in picture.connections if c.start in index and c.end in index]
    pairs = [(index[c.start], index[c.end]) for c in connections]
    last = frozenset(number for number, box in enumerate(picture.boxes) if box.kind in _LAST_COLUMN)
    layers = find_layers(
        len(index), pairs, [c.event for c in connections], last if len(last) < len(index) else frozenset()
    )
    heights = [_box_height(box) for box in picture.boxes]
    tops = _find_tops(layers, heights)
    lefts, widths, total = _find_columns(layers, picture.boxes)
    boxes = [
        _place_box(box, lefts[column], tops[number], widths[column], heights[number])
        for column, nodes in enumerate(layers.columns)
        for number in nodes
        if number < len(heights)
        for box in [picture.boxes[number]]
    ]
    boxes.sort(key=lambda placed: index[placed.box.key])
    columns = {node: column for column, nodes in enumerate(layers.columns) for node in nodes}
    placed = [
        _place_connection(connection, route, pair, boxes, tops, columns, lefts, widths)
        for connection, route, pair in zip(connections, layers.routes, pairs)
    ]
    bottom = max((box.y + box.height for box in boxes), default=0)
    return Layout(picture, total, bottom + _MARGIN, tuple(boxes), tuple(placed))


def _box_height(box: Box) -> int:
    return HEADER + LINE_HEIGHT * len(box.lines) + (8 if box.lines else 0)


def _kind_text(box: Box) -> str:
    return f"{EVENT_TEXTS[box.event]} · {box.kind}" if box.event else box.kind


def line_text(text: str, event: str) -> str:
    """Return a line as it is shown: with a sign and a word if it is added or removed."""
    return f"{EVENT_TEXTS[event]}: {text}" if event else text


def _box_width(box: Box) -> float:
    head = measure(printable(box.title), TITLE_SIZE, True) + measure(_kind_text(box), KIND_SIZE) + 14
    widths = [measure(printable(line_text(line.text, line.event)), LINE_SIZE) for line in box.lines]
    return max([head, *widths]) + 2 * PADDING


def _place_box(box: Box, x: int, y: int, width: int, height: int) -> PlacedBox:
    kind = _kind_text(box)
    inner = width - 2 * PADDING
    title = shorten(printable(box.title), TITLE_SIZE, inner - measure(kind, KIND_SIZE) - 14, True)
    lines = tuple(shorten(printable(line_text(line.text, line.event)), LINE_SIZE, inner) for line in box.lines)
    return PlacedBox(box, x, y, width, height, title, kind, lines)


def _find_columns(layers: Layers, boxes: Sequence[Box]) -> tuple[list[int], list[int], int]:
    """Return the left edge and the width of each column, and the width of the picture."""
    lefts, widths, x = [], [], _MARGIN
    for column, nodes in enumerate(layers.columns):
        wanted = [_box_width(boxes[node]) for node in nodes if node < len(boxes)]
        width = ceil(min(_MAX_WIDTH, max([_MIN_WIDTH, *wanted])))
        lefts.append(x)
        widths.append(width)
        crossing = sum(start in nodes for start, _ in layers.links) if column + 1 < len(layers.columns) else 0
        x += width + min(_MOST_GAP, _COLUMN_GAP + 2 * crossing)
    total = lefts[-1] + widths[-1] + _MARGIN if lefts else 2 * _MARGIN
    return lefts, widths, total


def _find_tops(layers: Layers, heights: Sequence[int]) -> dict[int, int]:
    """Return the upper edge of each node: close to what it is connected to, in the order of its column."""
    sizes = {n: heights[n] if n < len(heights) else _PASS_HEIGHT for nodes in layers.columns for n in nodes}
    middles = {n: HEADER / 2 if n < len(heights) else _PASS_HEIGHT / 2 for n in sizes}
    beside: dict[int, tuple[list[int], list[int]]] = {node: ([], []) for node in sizes}
    for start, end in layers.links:
        beside[end][0].append(start)
        beside[start][1].append(end)
    tops: dict[int, float] = {}
    for nodes in layers.columns:
        y = 0.0
        for node in nodes:
            tops[node] = y
            y += sizes[node] + _ROW_GAP
    for sweep in range(_SWEEPS):
        side = (sweep + 1) % 2
        for nodes in layers.columns if side == 0 else layers.columns[::-1]:
            _move_column(nodes, tops, sizes, middles, beside, side)
    first = min(tops.values(), default=0)
    return {node: round(top - first) + _MARGIN for node, top in tops.items()}


def _move_column(
    nodes: Sequence[int],
    tops: dict[int, float],
    sizes: Mapping[int, int],
    middles: Mapping[int, float],
    beside: Mapping[int, tuple[list[int], list[int]]],
    side: int,
) -> None:
    """Move the nodes of a column as close as possible to the middle of what they are connected to on one side. Those
    that have nothing there stay, those without any connection follow the one above them; none passes another."""
    wanted: list[Optional[float]] = []
    offset = 0.0
    offsets = []
    for node in nodes:
        values = sorted(tops[other] + middles[other] for other in beside[node][side])
        half = len(values) // 2
        if values:
            wanted.append((values[half] + values[-half - 1]) / 2 - middles[node] - offset)
        else:
            wanted.append(tops[node] - offset if any(beside[node]) else None)
        offsets.append(offset)
        offset += sizes[node] + _ROW_GAP + 1  # one more than needed: rounding takes at most that
    for node, value, of_node in zip(nodes, _fit_all(wanted), offsets):
        tops[node] = value + of_node


def _fit_all(wanted: Sequence[Optional[float]]) -> list[float]:
    """Return the closest values to those that are wanted; where any will do, the one before, or else the next."""
    fitted = _fit([value for value in wanted if value is not None])
    values, current, rest = [], fitted[0] if fitted else 0.0, iter(fitted)
    for value in wanted:
        current = next(rest) if value is not None else current
        values.append(current)
    return values


def _fit(values: Sequence[float]) -> list[float]:
    """Return the closest values (by least squares) of which none is smaller than the one before."""
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, weight = blocks.pop()
            total = blocks[-1][1] + weight
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * weight) / total, total]
    return [mean for mean, weight in blocks for _ in range(int(weight))]


def _place_connection(
    connection: Connection,
    route: Sequence[int],
    pair: tuple[int, int],
    boxes: Sequence[PlacedBox],
    tops: Mapping[int, int],
    columns: Mapping[int, int],
    lefts: Sequence[int],
    widths: Sequence[int],
) -> PlacedConnection:
    points = []
    for place, node in enumerate(route):
        left = lefts[columns[node]]
        right = left + widths[columns[node]]
        if node >= len(boxes):
            y = tops[node] + _PASS_HEIGHT // 2
        else:
            y = tops[node] + _anchor_offset(boxes[node].box, connection, node == pair[1])
        points += [(left, y)] if place else []
        points += [(right, y)] if place < len(route) - 1 else []
    return PlacedConnection(connection, tuple(points))


def _anchor_offset(box: Box, connection: Connection, is_end: bool) -> int:
    """Return how far below the upper edge of a box a connection meets it."""
    anchors = [line.anchor for line in box.lines]
    if is_end and connection.anchor and connection.anchor in anchors:
        return HEADER + LINE_HEIGHT * anchors.index(connection.anchor) + LINE_HEIGHT // 2
    return HEADER // 2
