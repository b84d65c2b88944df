"""Tests of kvmnet/exporters/__init__.py: the registry of exporters, and what holds for each of them."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

import pytest

from kvmnet import exporters, pipeline
from kvmnet.core.base.errors import Usage
from kvmnet.core.definition.document import Source
from kvmnet.exporters import EXPORTERS, Exporter, File

DOUBLE = """
from kvmnet.exporters import Exporter, File


def export(bundles, options, groups):
    separator = options.get("separator", " ")
    return {"hosts": File(separator.join(bundle.host for bundle in bundles), 0o600)}


EXPORTER = Exporter("test-double", "The names of the hosts.", export, {"separator": "What is between two names."})
"""


def test_the_bundle_folder_is_an_exporter() -> None:
    assert "bundle-folder" in EXPORTERS.names()
    assert EXPORTERS.find("bundle-folder") in EXPORTERS.entries()


@pytest.mark.parametrize("name", EXPORTERS.names())
def test_each_exporter_is_described_and_returns_relative_paths(name: str) -> None:
    exporter = EXPORTERS.find(name)
    assert exporter.name == name and exporter.help.endswith(".")
    text = Path("examples/bonded/cluster.yaml").read_text()
    for number, key in enumerate(("eno1: {", "ens1f0: {", "ens1f1: {")):
        text = text.replace(key, f"{key}mac: 00:14:4f:80:de:0{number}, ")
    text = text.replace("00, }", "00}").replace("01, }", "01}").replace("02, }", "02}")
    definition = pipeline.check([Source("c", text)])
    files = exporter.export(definition.bundles(definition.hosts[:1]))
    assert files
    for path, file in files.items():
        parts = PurePosixPath(path).parts
        assert parts and parts[0] != "/" and ".." not in parts, path
        assert file.text and file.mode & 0o777 == file.mode, path


def test_an_unknown_exporter_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(Usage, match="there is no exporter 'bundle-foldr'") as error:
        EXPORTERS.find("bundle-foldr")
    assert "bundle-folder" in str(error.value.hint)


def test_a_new_module_is_a_new_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No list and no other module has to be changed."""
    (tmp_path / "test_double.py").write_text(DOUBLE)
    monkeypatch.setattr(exporters, "__path__", [*exporters.__path__, str(tmp_path)])
    assert "test-double" in EXPORTERS.names()
    exporter = EXPORTERS.find("test-double")
    bundle = pipeline.load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
    assert exporter.export([bundle, bundle], {"separator": ","}) == {
        "hosts": File("vm-container-0-0,vm-container-0-0", 0o600)
    }
    del sys.modules["kvmnet.exporters.test_double"]


def test_an_option_that_the_exporter_does_not_know_is_an_error() -> None:
    exporter = Exporter("x", "An exporter.", lambda bundles, options, groups: {}, {"format": "The format."})
    assert exporter.export([], {"format": "a"}) == {}
    with pytest.raises(Usage, match="the exporter x has no option 'fromat'") as error:
        exporter.export([], {"fromat": "a"})  # codespell:ignore fromat
    assert "format" in str(error.value.hint)
