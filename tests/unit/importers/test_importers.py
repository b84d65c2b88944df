"""Tests of kvmnet/importers/__init__.py: the registry of importers, with an importer that is only a test double."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmnet import importers, pipeline
from kvmnet.core.base.errors import Usage
from kvmnet.core.definition.document import Source
from kvmnet.importers import IMPORTERS, NOTE, ImportResult, ReportItem

DEFINITION = Path("tests/golden/good/example-rocks/cluster.yaml").read_text(encoding="utf-8")
#: A module named after a keyword, with the "_" that Python then needs: its importer is called "import".
DOUBLE = '''
from kvmnet.importers import NOTE, Importer, ImportResult, ReportItem


def read(sources):
    """The format is a definition in which "!" begins a line that cannot be taken over."""
    text, report = "", []
    for source in sources:
        for number, line in enumerate(source.text.splitlines(keepends=True), 1):
            if line.startswith("!"):
                report.append(ReportItem("warning", "not taken over", source.name, number))
            else:
                text += line
    if not text:
        report.append(ReportItem("error", "there is no host", sources[0].name, 1))
    return ImportResult(text, tuple(report) or (ReportItem(NOTE, "taken over completely", sources[0].name, 1),))


IMPORTER = Importer("import", "A test double.", read)
'''


@pytest.fixture
def with_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "import_.py").write_text(DOUBLE)
    monkeypatch.setattr(importers, "__path__", [*importers.__path__, str(tmp_path)])
    yield
    sys.modules.pop("kvmnet.importers.import_", None)


def test_each_importer_has_the_name_of_its_module_and_a_sentence_of_help(with_double: None) -> None:
    for name in IMPORTERS.names():
        assert IMPORTERS.find(name).name == name and IMPORTERS.find(name).help.endswith(".")


def test_an_unknown_importer_is_an_error() -> None:
    with pytest.raises(Usage, match="there is no importer 'netplan'"):
        IMPORTERS.find("netplan")


def test_a_new_module_is_a_new_importer(with_double: None) -> None:
    """No list and no other module has to be changed."""
    assert "import" in IMPORTERS.names()
    importer = IMPORTERS.find("import")
    assert importer in IMPORTERS.entries()
    result = importer.read([Source("a", "!strange\n"), Source("b", DEFINITION)])
    assert result == ImportResult(DEFINITION, (ReportItem("warning", "not taken over", "a", 1),))
    assert result.is_complete
    assert pipeline.check([Source("imported", result.definition)]).ok


def test_an_import_with_an_error_is_not_complete(with_double: None) -> None:
    importer = IMPORTERS.find("import")
    assert not importer.read([Source("a", "!strange\n")]).is_complete
    assert importer.read([Source("a", DEFINITION)]).report == (ReportItem(NOTE, "taken over completely", "a", 1),)
    assert importer.read([Source("a", DEFINITION)]).is_complete
