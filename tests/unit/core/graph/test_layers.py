"""Columns, and the order in them."""

from __future__ import annotations

from kvmnet.core.graph.layers import find_layers


def columns(
    number: int, *connections: tuple[int, int], last: frozenset[int] = frozenset()
) -> tuple[tuple[int, ...], ...]:
    return find_layers(number, connections, [""] * len(connections), last).columns


def test_what_a_box_is_on_is_to_the_left() -> None:
    assert columns(4, (0, 1), (1, 2), (0, 3)) == ((0,), (1, 3), (2,))


def test_a_connection_passes_columns_in_a_place_of_its_own() -> None:
    layers = find_layers(3, [(0, 1), (1, 2), (0, 2)], ["", "", ""])
    assert layers.routes == ((0, 1), (1, 2), (0, 3, 2)) and set(layers.columns[1]) == {1, 3}


def test_connections_of_one_start_and_event_share_the_place() -> None:
    connections = [(0, 1), (1, 2), (1, 3), (0, 2), (0, 3)]
    assert find_layers(4, connections, [""] * 5).routes[3:] == ((0, 4, 2), (0, 4, 3))
    events = ["", "", "", "added", "removed"]
    assert find_layers(4, connections, events).routes[3:] == ((0, 4, 2), (0, 5, 3))


def test_crossings_are_avoided() -> None:
    assert columns(4, (0, 3), (1, 2)) == ((0, 1), (3, 2))


def test_guests_are_in_the_last_column() -> None:
    assert columns(4, (0, 1), (0, 3), (1, 2), last=frozenset({3}))[-1] == (3,)


def test_loops_end() -> None:
    layers = find_layers(3, [(0, 1), (1, 2), (2, 0)], ["", "", ""])
    assert sorted(node for column in layers.columns for node in column if node < 3) == [0, 1, 2]
