"""Generated definitions (tests/fuzz.py): valid ones, their states, and mistakes in them."""

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
#: Codes of unreadable files, which are tested in test_definition_files.py and core/definition/test_document.py.
FILE_CODES = {"KVN001", "KVN002", "KVN003", "KVN004", "KVN005"}


def test_generated_definitions_are_valid_and_mistakes_in_them_are_found() -> None:
    failures, used_keys, found_codes = fuzz.run(EXAMPLES)
    assert failures == []
    assert fuzz.rare(used_keys, EXAMPLES) == []
    assert set(found_codes) == {code for code, _ in MUTATORS}


def render_files(data: Any) -> dict[str, dict[str, str]]:
    definition = fuzz.load(data)
    assert definition.ok
    return {bundle.host: bundle_files.format_bundle(bundle) for bundle in definition.bundles()}


def test_a_change_affects_only_the_folders_of_its_hosts() -> None:
    """A changed or new host affects its own folder, a guest those of the hosts that it may run on."""
    guests = 0
    for number in range(60):
        rng = random.Random(number)
        data = cluster(rng)
        before = render_files(data)

        def changed_hosts(other: Any, before: dict[str, dict[str, str]] = before) -> set[str]:
            after = render_files(other)
            return {host for host in before.keys() | after.keys() if before.get(host) != after.get(host)}

        host = rng.choice(list(data["hosts"]))
        changed = copy.deepcopy(data)
        changed["hosts"][host]["interfaces"] = {"zz0": {"mac": "00:15:00:00:00:01", "ipv6": "link-local"}}
        changed["hosts"][host]["interfaces"].update(data["hosts"][host].get("interfaces", {}))
        assert changed_hosts(changed) == {host}, number
        changed["hosts"]["zz"] = {"interfaces": {"zz1": {"mac": "00:15:00:00:00:02"}}}
        assert changed_hosts(changed) == {host, "zz"}, number
        for name, guest in data["guests"].items():
            logical = [nic for nic in guest["nics"] if nic.get("network", "").startswith("logical")]
            if not logical or "bridge" in connections(data, name, logical[0]["mac"]):
                continue  # on a VLAN-aware bridge, a NIC needs no device
            changed = copy.deepcopy(data)
            changed["guests"][name]["nics"].append({**logical[0], "mac": "36:77:6e:ff:ff:ff"})
            definition = fuzz.load(data).cluster
            assert definition is not None
            possible_hosts = {host.name for host in definition.hosts_of(definition.guests[name])}
            assert changed_hosts(changed) == possible_hosts, (number, name)
            guests += bool(possible_hosts)
    assert guests > 20


def connections(data: Any, guest: str, mac: str) -> set[str]:
    """Return by what the hosts of a guest connect a NIC."""
    ports = [p for view in fuzz.load(data).views.values() for p in view.ports_of(guest) if p.mac == mac]
    return {"bridge" if port.macvtap is None else "macvtap" for port in ports}


def test_every_code_has_a_mutator() -> None:
    assert {code for code, _ in MUTATORS} == {entry.code for entry in catalogue.definition_codes()} - FILE_CODES


def test_written_data_has_known_places() -> None:
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
