"""Tests of kvmnet/pipeline.py: checking definitions and reading bundle folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet import pipeline, resources
from kvmnet.core.definition import document
from kvmnet.core.definition.document import Source
from kvmnet.core.rendering.bundle_files import BundleError
from kvmnet.exporters.bundle_folder import EXPORTER

EXAMPLE = Path("examples/rocks/cluster.yaml")
HOST = "vm-container-0-0"


def test_a_definition_in_several_files_is_one_definition() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    head, guests = text[: text.index("\nguests:") + 1], text[text.index("\nguests:") + 1 :]
    split = pipeline.check([Source("a.yaml", head), Source("b.yaml", guests)])
    assert split.ok and split.bundle(HOST) == pipeline.load(str(EXAMPLE)).bundle(HOST)
    assert split.bundles([HOST]) == [split.bundle(HOST)] and HOST in split.hosts


@pytest.mark.parametrize("texts", [[], [""], ["# nothing\n", ""]])
def test_an_empty_definition_is_a_problem(texts: list[str]) -> None:
    definition = pipeline.check([Source(f"{n}.yaml", text) for n, text in enumerate(texts)], path="cluster.yaml")
    assert not definition.ok and definition.bundles() == []
    assert [(p.code, p.message) for p in definition.problems] == [("KVN002", "the definition is empty")]


def test_the_values_of_all_files_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_VALUES", 10)
    sources = [Source(f"{n}.yaml", f"x-{n}: [1, 2, 3, 4]\n") for n in range(3)]
    definition = pipeline.check(sources)
    assert definition.cluster is None
    assert [(p.code, p.mark.file) for p in definition.problems] == [("KVN004", "1.yaml")]


def test_a_bundle_folder_is_read_without_its_other_files(tmp_path: Path) -> None:
    bundle = pipeline.load(str(EXAMPLE)).bundle(HOST)
    for path, file in EXPORTER.export([bundle]).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(file.text, encoding="utf-8")
    (tmp_path / HOST / "README").write_bytes(b"\xff")
    assert pipeline.read_bundle_folder(tmp_path / HOST) == bundle
    (tmp_path / HOST / "nmstate.yml").write_bytes(b"\xff")
    with pytest.raises(BundleError, match=r"nmstate\.yml is not UTF-8 text"):
        pipeline.read_bundle_folder(tmp_path / HOST)


def test_the_naming_policies_of_kvmnet_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(pipeline.load_naming_policies()) == ["plain", "rocks"]
    monkeypatch.setattr(resources, "read_naming_policies", lambda: {"bad.yaml": "colour: red\n"})
    with pytest.raises(ValueError, match=r"naming policy bad\.yaml: "):
        pipeline.load_naming_policies.__wrapped__()
