"""Tests of kvmnet/module_registry.py, with a package in a temporary folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmnet.core.base.errors import Usage
from kvmnet.module_registry import ModuleRegistry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleRegistry[str]]:
    folder = tmp_path / "registry_of_the_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name in ("two_words", "import_", "broken"):
        (folder / f"{name}.py").write_text("1 / 0" if name == "broken" else f"ENTRY = {name!r}")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield ModuleRegistry(folder.name, "entry", "ENTRY")
    for module in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[module]


def test_the_name_of_an_entry_is_that_of_its_module(registry: ModuleRegistry[str]) -> None:
    """A module cannot have the name of a keyword, an entry can."""
    assert registry.names() == ["broken", "import", "two-words"]
    assert registry.find("two-words") == "two_words"
    assert registry.find("import") == "import_"


def test_only_the_module_of_the_entry_is_imported(registry: ModuleRegistry[str]) -> None:
    assert registry.find("import") == "import_"
    assert f"{registry.package}.broken" not in sys.modules
    with pytest.raises(ZeroDivisionError):
        registry.entries()


@pytest.mark.parametrize("name", ["two-word", "two_words", "import_"])
def test_an_unknown_name_is_an_error(registry: ModuleRegistry[str], name: str) -> None:
    with pytest.raises(Usage, match=f"there is no entry '{name}'"):
        registry.find(name)
