"""tests/reading.py, the independent reader of states, finds every difference between a state and its view."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from kvmnet import pipeline
from kvmnet.core.rendering import bundle_files
from tests.reading import differences

ROOT = Path(__file__).parents[3]


def changes(value: Any) -> Iterator[Callable[[Any], None]]:
    """Yield functions that change one scalar, or delete one list item or key, of a state."""

    def walk(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        for key in node if isinstance(node, dict) else range(len(node)):
            yield (*path, key)
            if isinstance(node[key], (dict, list)):
                yield from walk(node[key], (*path, key))

    def at(top: Any, path: tuple[Any, ...]) -> Any:
        for step in path:
            top = top[step]
        return top

    for path in walk(value, ()):

        def drop(top: Any, path: tuple[Any, ...] = path) -> None:
            del at(top, path[:-1])[path[-1]]

        def change(top: Any, path: tuple[Any, ...] = path) -> None:
            old = at(top, path)
            at(top, path[:-1])[path[-1]] = (
                not old if isinstance(old, bool) else old + 5000 if isinstance(old, int) else old + "x"
            )

        yield drop
        if not isinstance(at(value, path), (dict, list)):
            yield change


DEFINITIONS = [
    "example-rocks",
    "two-nics-both-families",
    "explicit-vlans",
    "profile-plain",
    "bonds",
    "dhcp-and-autoconf",
]
DEFINITIONS += ["attach", "switches", "static-routes", "groups-of-groups"]
DEFINITIONS += ["bridge-settings", "bridges-of-several-ports", "vlan-over-bridge"]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_change_of_a_state_is_found(name: str) -> None:
    folder = ROOT / "tests/golden/good" / name
    definition = pipeline.load(str(folder / "cluster.yaml"))
    harmless = 0
    for host, view in definition.views.items():
        bundle = definition.bundle(host)
        assert differences(view, bundle) == []
        for part in ("state", "guests"):
            for make_change in changes(getattr(bundle, part) or {}):
                changed = copy.deepcopy(getattr(bundle, part))
                make_change(changed)
                try:
                    problems = differences(view, dataclasses.replace(bundle, **{part: changed}))
                except (KeyError, AttributeError):
                    continue  # a state without names: the schema rejects it
                if not problems:
                    harmless += 1
        without = dataclasses.replace(bundle, links={})
        assert bool(differences(view, without)) == bool(bundle.links)
    # Deleting `dhcp: false` or `autoconf: false` changes nothing: they are nmstate's defaults.
    defaults = sum(
        text.count("dhcp: false") + text.count("autoconf: false")
        for bundle in definition.bundles()
        for text in bundle_files.format_bundle(bundle).values()
    )
    # The same is true for promiscuous mode.
    promiscuous_off = sum(
        text.count("addresses: false") for b in definition.bundles() for text in bundle_files.format_bundle(b).values()
    )
    assert harmless == defaults + promiscuous_off
