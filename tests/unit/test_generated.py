"""Generated definitions: right ones, and what happens to their states and to mistakes in them (tests/fuzz.py)."""

from __future__ import annotations

import copy
import random
from typing import Any

from kvmnet.core import catalogue
from kvmnet.core.rendering import bundle_files
from tests import fuzz
from tests.generate import cluster
from tests.mutate import MUTATORS, written

EXAMPLES = 300
#: What a file can do wrong, before there is a definition: tests/unit/test_definition_files.py and test_document.py.
OF_FILES = {"KVN001", "KVN002", "KVN003", "KVN004", "KVN005"}


def test_generated_definitions() -> None:
    wrong, used, made = fuzz.run(EXAMPLES)
    assert wrong == []
    assert fuzz.rare(used, EXAMPLES) == []
    assert set(made) == {code for code, _ in MUTATORS}


def rendered(data: Any) -> dict[str, dict[str, str]]:
    definition = fuzz.load(data)
    assert definition.ok
    return {bundle.host: bundle_files.files_of(bundle) for bundle in definition.bundles()}


def test_a_change_touches_only_the_folders_of_the_hosts_it_concerns() -> None:
    """A host that changes, comes or goes, and a guest: only those that it may run on."""
    guests = 0
    for number in range(60):
        rng = random.Random(number)
        data = cluster(rng)
        before = rendered(data)

        def touched(other: Any, before: dict[str, dict[str, str]] = before) -> set[str]:
            after = rendered(other)
            return {host for host in before.keys() | after.keys() if before.get(host) != after.get(host)}

        host = rng.choice(list(data["hosts"]))
        changed = copy.deepcopy(data)
        changed["hosts"][host]["interfaces"] = {"zz0": {"mac": "00:15:00:00:00:01", "ipv6": "link-local"}}
        changed["hosts"][host]["interfaces"].update(data["hosts"][host].get("interfaces", {}))
        assert touched(changed) == {host}, number
        changed["hosts"]["zz"] = {"interfaces": {"zz1": {"mac": "00:15:00:00:00:02"}}}
        assert touched(changed) == {host, "zz"}, number
        for name, guest in data["guests"].items():
            logical = [nic for nic in guest["nics"] if nic["network"].startswith("logical")]
            if not logical:
                continue
            changed = copy.deepcopy(data)
            changed["guests"][name]["nics"].append({**logical[0], "mac": "36:77:6e:ff:ff:ff"})
            found = fuzz.load(data).cluster
            assert found is not None
            may = {host.name for host in found.hosts_of(found.guests[name])}
            assert touched(changed) == may, (number, name)
            guests += bool(may)
    assert guests > 20


def test_every_code_has_a_mutator() -> None:
    assert {code for code, _ in MUTATORS} == {entry.code for entry in catalogue.definition_codes()} - OF_FILES


def test_the_places_of_written_data() -> None:
    text, places = written({"a": {"b": [1, {"c": "x", "d": []}], "e": {}}})
    assert text == "'a':\n  'b':\n    - 1\n    -\n      'c': 'x'\n      'd': []\n  'e': {}\n"
    assert {path: tuple(mark)[1:] for path, mark in places.items()} == {
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("a", "b", 0): (3, 7),
        ("a", "b", 1): (5, 7),
        ("a", "b", 1, "c"): (5, 12),
        ("a", "b", 1, "d"): (6, 7),
        ("a", "e"): (7, 3),
    }
