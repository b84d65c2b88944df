"""Bundles: to files and back, digests, refusals; folders on disk; the independent reading itself."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import yaml

from kvmnet import bundle_folders, pipeline
from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.core.base.probe import Probe
from kvmnet.core.planning.ownership import OWNED_FILE, note_after, to_note
from kvmnet.core.rendering import bundle_files, yaml_writer
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.render import compute_digest
from kvmnet.host.read_live import applied_digest, read_note
from tests.reading import differences
from tests.unit.test_plan import before

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
    assert "peth0: the NIC with MAC 00:14:4f:80:de:00" in head and "nmstatectl cannot" in head
    assert "libvirt creates its macvtaps" in files["guests.yml"].split("---")[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.pop("bundle.json"), "not a bundle"),
        (lambda f: f.pop("nmstate.yml"), "missing: nmstate.yml"),
        (lambda f: f.pop("guests.yml"), "missing: guests.yml"),
        (lambda f: f.pop("00-kvmnet-peth0.link"), "missing: 00-kvmnet-peth0.link"),
        (lambda f: f.update({"bundle.json": "{"}), "cannot be read"),
        (lambda f: f.update({"bundle.json": "[]"}), "must contain a JSON object"),
        (lambda f: f.update({"bundle.json": '{"format": 1}'}), "cannot be read"),
        (lambda f: f.update({"bundle.json": "[" * 100_000}), "cannot be read"),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace('"format": 1', '"format": 99')}), "has format 99"),
        (
            lambda f: f.update({"bundle.json": f["bundle.json"].replace("peth0", "peth1")}),
            "missing: 00-kvmnet-peth1.link",
        ),
        (lambda f: f.update({"bundle.json": f["bundle.json"].replace('"eth0"', '"eth7"')}), "was edited"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"].replace("255.254", "255.253")}), "was edited"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"].replace("state: up", "state: absent", 1)}), "must be up"),
        (lambda f: f.update({"nmstate.yml": f["nmstate.yml"] + "capture: {}\n"}), "unknown key 'capture'"),
        (lambda f: f.update({"nmstate.yml": "# empty\n"}), "is empty"),
        (lambda f: f.update({"00-kvmnet-peth0.link": "[Link]\nName=x\n"}), "was edited"),
        (lambda f: f.update({"00-kvmnet-eth9.link": "[Link]\n"}), "do not belong to the bundle: 00-kvmnet-eth9.link"),
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


def applied(folder: Path, bundle: Bundle) -> Path:
    """A state directory as `apply` leaves it."""
    (folder / "applied").mkdir()
    note = to_note(note_after(bundle, before()))
    texts = {**bundle_files.files_of(bundle), OWNED_FILE: json.dumps(note)}
    for name, text in texts.items():
        (folder / "applied" / name).write_text(text)
    return folder


@pytest.mark.guarantee("G53")
@pytest.mark.parametrize("name", ["nmstate.yml", "bundle.json", "00-kvmnet-peth0.link"])
@pytest.mark.parametrize("text", [None, "", "\x00\x00", "state: other\n"])
def test_what_is_noted_as_applied_may_be_damaged(
    bundle: Bundle, tmp_path: Path, name: str, text: Optional[str]
) -> None:
    """It is told with its cure, and the next apply takes note of it anew."""
    state = applied(tmp_path, bundle)
    assert pipeline.read_applied(state) == bundle
    assert applied_digest(state) == bundle.digest
    path = state / "applied" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(Refused, match="is corrupt") as refused:
        pipeline.read_applied(state)
    assert refused.value.code == "KVN563" and "apply" in str(refused.value.hint)
    assert applied_digest(state) is None


def test_nothing_is_applied_before_the_first_apply_and_after_a_removal(tmp_path: Path) -> None:
    assert pipeline.read_applied(tmp_path) is None
    (tmp_path / "applied").mkdir()
    assert pipeline.read_applied(tmp_path) is None
    assert applied_digest(tmp_path) is None


@pytest.mark.guarantee("G53")
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"interfaces": []}', '{"interfaces": {"eth0": 1}}'])
def test_what_is_ours_is_not_guessed_from_a_damaged_note(bundle: Bundle, tmp_path: Path, text: str) -> None:
    state = applied(tmp_path, bundle)
    assert read_note(state).owned
    (state / "applied" / OWNED_FILE).write_text(text)
    with pytest.raises(Refused, match="damaged") as refused:
        read_note(state)
    assert refused.value.code == "KVN563" and "history" in str(refused.value.hint)


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


def test_write_touches_only_what_changed(tmp_path: Path, bundle: Bundle) -> None:
    files = {HOST: bundle_files.files_of(bundle)}
    assert len(bundle_folders.write(tmp_path, files, True).missing) == 4
    before = {path: path.stat().st_ino for path in (tmp_path / HOST).iterdir()}
    assert bundle_folders.write(tmp_path, files, True).clean
    (tmp_path / HOST / "nmstate.yml").write_text("edited")
    assert bundle_folders.compare(tmp_path, files, True).stale == (f"{HOST}/nmstate.yml",)
    assert bundle_folders.write(tmp_path, files, True).stale == (f"{HOST}/nmstate.yml",)
    after = {path: path.stat().st_ino for path in (tmp_path / HOST).iterdir()}
    assert [path.name for path in before if before[path] != after[path]] == ["nmstate.yml"]


def test_hosts_that_left_go_and_what_is_not_ours_stays(tmp_path: Path, bundle: Bundle) -> None:
    bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle)}, True)
    (tmp_path / HOST / "README").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "nmstate.yml").write_text("mine")
    drift = bundle_folders.write(tmp_path, {}, True)
    assert len(drift.surplus) == 4 and not drift.missing
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "elsewhere/nmstate.yml",
        f"{HOST}/README",
    ]


def test_one_host_alone_removes_no_other(tmp_path: Path, bundle: Bundle) -> None:
    other = dataclasses.replace(bundle, host="other")
    bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle), "other": bundle_files.files_of(other)}, True)
    assert bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle)}, False).clean
    assert (tmp_path / "other" / "bundle.json").exists()


def test_guests_that_left_take_their_file_along(tmp_path: Path, bundle: Bundle) -> None:
    bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle)}, True)
    drift = bundle_folders.write(
        tmp_path, {HOST: bundle_files.files_of(dataclasses.replace(bundle, guests=None))}, True
    )
    assert drift.surplus == (f"{HOST}/guests.yml",)
    assert not (tmp_path / HOST / "guests.yml").exists()


def test_somebody_elses_folder_is_not_written_over(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / HOST).mkdir()
    (tmp_path / HOST / "nmstate.yml").write_text("mine")
    with pytest.raises(KvmnetError):
        bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle)}, True)
    assert (tmp_path / HOST / "nmstate.yml").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(KvmnetError):
        bundle_folders.write(tmp_path / "out", {HOST: bundle_files.files_of(bundle)}, True)


def test_the_index_is_what_the_documentation_says(bundle: Bundle) -> None:
    index = json.loads(bundle_files.files_of(bundle)["bundle.json"])
    assert list(index) == ["format", "cluster", "host", "profile", "digest", "guests", "links", "nics"]


def test_probes_are_in_the_index_and_the_digest_covers_them(bundle: Bundle) -> None:
    """Without any the files are what they were before there were probes (the golden folders hold that)."""
    probes = (Probe("tcp", "10.1.1.1:22"), Probe("command", command=("ceph", "-s")))
    bare = dataclasses.replace(bundle, probes=probes)
    asking = dataclasses.replace(bare, digest=compute_digest(bare))
    assert asking.digest != bundle.digest
    files = bundle_files.files_of(asking)
    assert json.loads(files["bundle.json"])["probes"] == [{"tcp": "10.1.1.1:22"}, {"command": ["ceph", "-s"]}]
    assert read(files) == asking
    for old, new in (('"ceph"', '"reboot"'), ('"tcp"', '"dns"'), ('"tcp"', '"ping"')):
        with pytest.raises(bundle_files.BundleError):
            read({**files, "bundle.json": files["bundle.json"].replace(old, new)})
