"""A small part of `make fuzz-importers`, and what it is made of."""

from __future__ import annotations

from random import Random

import pytest

from kvmnet.core.definition.document import Source
from kvmnet.importers import IMPORTERS, Importer, ImportResult
from tests import fuzz_importers
from tests.fuzz_importers import MUTATIONS, Mutation, find_fault, inputs, read_corpus


@pytest.mark.parametrize("seed", range(0, 400, 40))
def test_mutated_files_end_in_no_traceback(seed: int) -> None:
    for number, name, sources in inputs(40, seed):
        assert find_fault(name, sources) == "", number


def test_every_importer_has_files() -> None:
    assert sorted(read_corpus()) == sorted(IMPORTERS.names())


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_changes_a_text_and_takes_an_empty_one(mutation: Mutation) -> None:
    text = "a: b\nc = d\ne f\n" * 3
    assert any(mutation(Random(seed), text) != text for seed in range(5))
    mutation(Random(0), "")


def test_an_importer_that_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> ImportResult:
        raise KeyError("ipv4")

    monkeypatch.setattr(type(IMPORTERS), "find", lambda *_: Importer("x", "X.", fail))
    assert "KeyError: 'ipv4'" in find_fault("x", [Source("a", "")])
    monkeypatch.setattr(type(IMPORTERS), "find", lambda *_: Importer("x", "X.", lambda _: ImportResult("")))
    assert find_fault("x", []) == "neither a definition nor a report"
    monkeypatch.setattr(fuzz_importers, "SECONDS", -1.0)
    monkeypatch.setattr(type(IMPORTERS), "find", lambda *_: Importer("x", "X.", lambda _: ImportResult("kvmnet: 1")))
    assert find_fault("x", []).endswith(" s")
