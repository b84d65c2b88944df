"""Where everything is: nothing overlaps, whatever the definition."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from random import Random

import pytest

from kvmnet.core.graph.layout import HEADER, KIND_SIZE, LINE_HEIGHT, LINE_SIZE, PADDING, TITLE_SIZE, Layout, lay_out
from kvmnet.core.graph.model import ADDED, GUEST, NIC, REMOVED, SAME, Box, Connection, Line, Picture
from kvmnet.core.graph.text_width import measure
from tests import generate
from tests.graph_samples import changed_bonded, large_cluster, large_host
from tests.unit.core.graph.samples import EXAMPLES, document_of, example

Area = tuple[float, float, float, float]


def texts_of(layout: Layout) -> Iterator[tuple[str, Area]]:
    """Yield each text of the boxes with its area: left, top, right, bottom."""
    for box in layout.boxes:
        left = box.x + PADDING
        yield box.title, (left, box.y, left + measure(box.title, TITLE_SIZE, True), box.y + HEADER)
        right = box.x + box.width - PADDING
        yield box.kind, (right - measure(box.kind, KIND_SIZE), box.y, right, box.y + HEADER)
        for number, text in enumerate(box.lines):
            top = box.y + HEADER + number * LINE_HEIGHT
            yield text, (left, top, left + measure(text, LINE_SIZE), top + LINE_HEIGHT)


def overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def assert_is_clear(layout: Layout) -> None:
    areas: list[Area] = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in layout.boxes]
    for one, other in itertools.combinations(areas, 2):
        assert not overlap(one, other), (one, other)
    for left, top, right, bottom in areas:
        assert left >= 0 and top >= 0 and right <= layout.width and bottom <= layout.height
    texts = list(texts_of(layout))
    for (text, one), (other_text, other) in itertools.combinations(texts, 2):
        assert not overlap(one, other), (text, other_text)
    for box, (left, top, right, bottom) in zip(layout.boxes, areas):
        inside = [area for text, area in texts if area[0] >= left and area[1] >= top and area[1] < bottom]
        assert all(area[2] <= right and area[3] <= bottom for area in inside if area[0] < right), box
    for placed in layout.connections:
        for (x, y), (next_x, next_y) in zip(placed.points, placed.points[1:]):
            assert x <= next_x
            if y != next_y:  # a curve: only between columns
                path = (x, min(y, next_y), next_x, max(y, next_y))
                assert not any(overlap(path, area) for area in areas), placed
            else:
                assert not any(a[0] < next_x and x < a[2] and a[1] < y < a[3] for a in areas), placed


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str) -> None:
    for picture in document_of(example(name)).pictures:
        assert_is_clear(lay_out(picture))


def test_a_large_host_and_a_large_cluster() -> None:
    for text in (large_host(), large_host(vlans=60, guests=50), large_cluster()):
        for picture in document_of(text).pictures:
            assert_is_clear(lay_out(picture))


def test_a_change() -> None:
    for picture in document_of(changed_bonded(example("bonded")), example("bonded")).pictures:
        assert_is_clear(lay_out(picture))


@pytest.mark.parametrize("seed", range(10))
def test_generated_definitions_and_the_changes_between_them(seed: int) -> None:
    one, other = (json.dumps(generate.cluster(Random(seed * 2 + offset))) for offset in (0, 1))
    for picture in document_of(one, other).pictures:
        assert_is_clear(lay_out(picture))


@pytest.mark.parametrize("seed", range(30))
def test_any_boxes_and_connections(seed: int) -> None:
    """Loops, long names, wide characters, boxes without lines and without connections."""
    rng = Random(seed)
    letters = "abcWMi1.:- é漢🙂\u202e"
    boxes = tuple(
        Box(
            f"k{number}",
            rng.choice([NIC, GUEST, "bridge"]),
            "".join(rng.choices(letters, k=rng.randint(1, 60))),
            tuple(
                Line("".join(rng.choices(letters, k=rng.randint(0, 80))), rng.choice([SAME, ADDED]), anchor=f"a{n}")
                for n in range(rng.randint(0, 5))
            ),
            rng.choice([SAME, REMOVED]),
        )
        for number in range(rng.randint(1, 25))
    )
    connections = tuple(
        Connection(
            rng.choice(boxes).key, rng.choice(boxes).key, rng.choice([SAME, ADDED, REMOVED]), f"a{rng.randint(0, 3)}"
        )
        for _ in range(rng.randint(0, 40))
    )
    connections = tuple(c for c in connections if c.start != c.end)
    layout = lay_out(Picture("p", "title", "", boxes, connections))
    areas = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in layout.boxes]
    assert not any(overlap(one, other) for one, other in itertools.combinations(areas, 2))
    texts = list(texts_of(layout))
    assert not any(overlap(one[1], other[1]) for one, other in itertools.combinations(texts, 2))
    assert len(layout.connections) == len(connections)


def test_vlans_keep_the_order_of_the_definition_and_bridges_are_level_with_them() -> None:
    layout = lay_out(document_of(large_host()).pictures[0])
    by_title = {box.title: box for box in layout.boxes}
    vlans = sorted((box for box in layout.boxes if box.box.kind == "VLAN"), key=lambda box: box.y)
    assert [box.title for box in vlans] == [f"bond0.{tag}" for tag in range(100, 130)]
    for tag in (100, 101, 127):
        assert abs(by_title[f"bond0.{tag}"].y - by_title[f"br-bond0.{tag}"].y) <= 1


def test_a_connection_to_a_guest_ends_at_its_nic() -> None:
    layout = lay_out(document_of(example("start"), host="kvm1").pictures[0])
    guest = next(box for box in layout.boxes if box.title == "web1")
    ends = [c.points[-1] for c in layout.connections if c.connection.end == "guest:web1"]
    rows = [guest.y + HEADER + LINE_HEIGHT * n + LINE_HEIGHT // 2 for n in (0, 1)]
    assert sorted(ends) == [(guest.x, row) for row in rows]


def test_the_same_picture_has_the_same_layout() -> None:
    assert lay_out(document_of(large_host()).pictures[0]) == lay_out(document_of(large_host()).pictures[0])
