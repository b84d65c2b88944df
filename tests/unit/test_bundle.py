"""Bundles: to files and back, digests, refusals; the independent reading itself."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from kvmnet import pipeline
from kvmnet.core.base.probe import Probe
from kvmnet.core.rendering import bundle_files, yaml_writer
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.render import digest_of
from tests.reading import differences

ROOT = Path(__file__).parents[2]
EXAMPLE = str(ROOT / "examples/rocks/cluster.yaml")
HOST = "vm-container-0-0"


@pytest.fixture(scope="module")
def definition() -> pipeline.Definition:
    return pipeline.load(EXAMPLE)


@pytest.fixture
def bundle(definition: pipeline.Definition) -> Bundle:
    return definition.bundle(HOST)


def read(files: dict[str, str]) -> Bundle:
    return bundle_files.read_bundle(files, pipeline.load_schema("state"))


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_any_yaml_reader_reads_our_states_as_they_are(loader: Any) -> None:
    odd = {
        "words": [
            "no",
            "Yes",
            "null",
            "y",
            "on",
            "~",
            "",
            " a",
            "a ",
            "a: b",
            "- a",
            "#",
            "1:30",
            "1_000",
            "0x1f",
            "1e3",
        ],
        "more": [
            "2001-01-01",
            ".5",
            "10.1.1.1",
            "10.1.0.0/16",
            "::/0",
            "00:14:4F:80:DE:00",
            "é\n\t\u2028",
            "=",
            "<<",
            "%",
        ],
        "nested": [{"a": [{"b": 1}, {"c": {}}]}, [], {}, [[1, [True, False]]], {"no": 0}],
        "number": -1,
    }
    assert yaml.load(yaml_writer.to_yaml(odd), Loader=loader) == odd


def test_there_and_back(bundle: Bundle) -> None:
    files = bundle_files.files_of(bundle)
    assert sorted(files) == ["00-kvmnet-peth0.link", "bundle.json", "guests.yml", "nmstate.yml"]
    assert read(files) == bundle


def test_the_heads_say_what_a_person_must_know(bundle: Bundle) -> None:
    files = bundle_files.files_of(bundle)
    head = files["nmstate.yml"].split("---")[0]
    assert "peth0 is the NIC 00:14:4f:80:de:00" in head and "nmstatectl cannot rename" in head
    assert "libvirt makes the macvtap" in files["guests.yml"].split("---")[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.pop("bundle.json"), "not a bundle"),
        (lambda f: f.pop("nmstate.yml"), "lacks nmstate.yml"),
        (lambda f: f.pop("guests.yml"), "lacks guests.yml"),
        (lambda f: f.pop("00-kvmnet-peth0.link"), "lacks 00-kvmnet-peth0.link"),
        (lambda f: f.update({"bundle.json": "{"}), "cannot be read"),
        (lambda f: f.update({"bundle.json": "[]"}), "not an index"),
        (lambda f: f.update({"bundle.json": '{"format": 1}'}), "cannot be read"),
        (lambda f: f.update({"bundle.json": "[" * 100_000}), "cannot be read"),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace('"format": 1', '"format": 99')}), "format is 99"),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace("peth0", "peth1")}), "lacks 00-kvmnet-peth1.link"),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace('"eth0"', '"eth7"')}), "was changed"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"].replace("255.254", "255.253")}), "was changed"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"].replace("state: up", "state: absent", 1)}), "must be up"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"] + "capture: {}\n"}), "unknown key 'capture'"),
        (lambda f: f.update({"nmstate.yml": "# empty\n"}), "is empty"),
        (lambda f: f.update({"00-kvmnet-peth0.link": "[Link]\nName=x\n"}), "was changed"),
        (lambda f: f.update({"00-kvmnet-eth9.link": "[Link]\n"}), "does not know 00-kvmnet-eth9.link"),
    ],
)
def test_a_folder_that_is_not_as_rendered_is_refused(
    bundle: Bundle, change: Callable[[dict[str, str]], Any], words: str
) -> None:
    files = bundle_files.files_of(bundle)
    change(files)
    with pytest.raises(bundle_files.BundleError) as refused:
        read(files)
    assert words in refused.value.message


def test_the_digest_is_of_the_hosts_own_view(tmp_path: Path) -> None:
    """Another host, a comment, another order of keys change nothing; an address does."""
    text = Path(EXAMPLE).read_text()

    def digest(text: str) -> str:
        path = tmp_path / "cluster.yaml"
        path.write_text(text)
        definition = pipeline.load(str(path))
        assert definition.ok, definition.problems
        return definition.bundle(HOST).digest

    before = digest(text)
    other = "  other: {interfaces: {eth0: {network: private, addresses: [10.1.0.9]}}}\nguests:\n"
    assert digest("# a comment\n" + text.replace("guests:\n", other)) == before
    assert digest(text.replace("10.1.255.254", "10.1.255.253")) != before
    assert digest(text.replace("c0:00:02", "c0:00:03")) != before


def changes(value: Any) -> Iterator[Callable[[Any], None]]:
    """Every way to spoil one scalar or to drop one list item or key of a state."""

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

        def spoil(top: Any, path: tuple[Any, ...] = path) -> None:
            old = at(top, path)
            at(top, path[:-1])[path[-1]] = (
                not old if isinstance(old, bool) else old + 5000 if isinstance(old, int) else old + "x"
            )

        yield drop
        if not isinstance(at(value, path), (dict, list)):
            yield spoil


SPOILED = ["example-rocks", "two-nics-both-families", "explicit-vlans", "profile-plain", "bonds", "dhcp-and-autoconf"]
SPOILED += ["attach", "switches", "static-routes", "groups-of-groups"]


@pytest.mark.parametrize("name", SPOILED)
def test_the_independent_reading_finds_every_spoiled_state(name: str) -> None:
    folder = ROOT / "tests/golden/good" / name
    definition = pipeline.load(str(folder / "cluster.yaml"))
    harmless = 0
    for host, view in definition.views.items():
        bundle = definition.bundle(host)
        assert differences(view, bundle) == []
        for which in ("state", "guests"):
            for change in changes(getattr(bundle, which) or {}):
                spoiled = copy.deepcopy(getattr(bundle, which))
                change(spoiled)
                try:
                    found = differences(view, dataclasses.replace(bundle, **{which: spoiled}))
                except (KeyError, AttributeError):
                    continue  # a state without its names is not one: the schema refuses it before
                if not found:
                    harmless += 1
        without = dataclasses.replace(bundle, links={})
        assert bool(differences(view, without)) == bool(bundle.links)
    # dhcp and autoconf are off in nmstate when nobody states them: dropping them changes nothing.
    stated = sum(
        text.count("dhcp: false") + text.count("autoconf: false")
        for bundle in definition.bundles()
        for text in bundle_files.files_of(bundle).values()
    )
    # Nor does it matter whether promiscuous mode is stated off or not at all.
    off = sum(
        text.count("addresses: false") for b in definition.bundles() for text in bundle_files.files_of(b).values()
    )
    assert harmless == stated + off


def test_the_index_is_what_the_documentation_says(bundle: Bundle) -> None:
    index = json.loads(bundle_files.files_of(bundle)["bundle.json"])
    assert list(index) == ["format", "cluster", "host", "profile", "digest", "guests", "links", "nics"]


def test_probes_are_in_the_index_and_the_digest_covers_them(bundle: Bundle) -> None:
    """Without any the files are what they were before there were probes (the golden folders hold that)."""
    probes = (Probe("tcp", "10.1.1.1:22"), Probe("command", command=("ceph", "-s")))
    bare = dataclasses.replace(bundle, probes=probes)
    asking = dataclasses.replace(bare, digest=digest_of(bare))
    assert asking.digest != bundle.digest
    files = bundle_files.files_of(asking)
    assert json.loads(files["bundle.json"])["probes"] == [{"tcp": "10.1.1.1:22"}, {"command": ["ceph", "-s"]}]
    assert read(files) == asking
    for old, new in (('"ceph"', '"reboot"'), ('"tcp"', '"dns"'), ('"tcp"', '"ping"')):
        with pytest.raises(bundle_files.BundleError):
            read({**files, "bundle.json": files["bundle.json"].replace(old, new)})
