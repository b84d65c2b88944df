"""The applied bundle and interfaces.json in the state folder: missing and corrupt files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

import pytest

from kvmnet import pipeline
from kvmnet.core.base.errors import Refused
from kvmnet.core.planning.ownership import OWNED_FILE, note_after, to_note
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.host.read_live import applied_digest, read_note
from tests.unit.bundles import example_bundle
from tests.unit.core.samples import before


@pytest.fixture
def bundle() -> Bundle:
    return example_bundle()


def write_state_folder(folder: Path, bundle: Bundle) -> Path:
    """Write a state folder as `kvmnet apply` leaves it."""
    (folder / "applied").mkdir()
    note = to_note(note_after(bundle, before()))
    texts = {**bundle_files.files_of(bundle), OWNED_FILE: json.dumps(note)}
    for name, text in texts.items():
        (folder / "applied" / name).write_text(text)
    return folder


@pytest.mark.guarantee("G53")
@pytest.mark.parametrize("name", ["nmstate.yml", "bundle.json", "00-kvmnet-peth0.link"])
@pytest.mark.parametrize("text", [None, "", "\x00\x00", "state: other\n"])
def test_a_corrupt_applied_bundle_is_refused_with_a_fix(
    bundle: Bundle, tmp_path: Path, name: str, text: Optional[str]
) -> None:
    state = write_state_folder(tmp_path, bundle)
    assert pipeline.read_applied(state) == bundle
    assert applied_digest(state) == bundle.digest
    path = state / "applied" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(Refused, match="is corrupt") as error:
        pipeline.read_applied(state)
    assert error.value.code == "KVN563" and "apply" in str(error.value.hint)
    assert applied_digest(state) is None


def test_no_bundle_is_applied_before_the_first_apply_and_after_a_removal(tmp_path: Path) -> None:
    assert pipeline.read_applied(tmp_path) is None
    (tmp_path / "applied").mkdir()
    assert pipeline.read_applied(tmp_path) is None
    assert applied_digest(tmp_path) is None


@pytest.mark.guarantee("G53")
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"interfaces": []}', '{"interfaces": {"eth0": 1}}'])
def test_a_corrupt_interfaces_json_is_refused_with_a_fix(bundle: Bundle, tmp_path: Path, text: str) -> None:
    state = write_state_folder(tmp_path, bundle)
    assert read_note(state).owned
    (state / "applied" / OWNED_FILE).write_text(text)
    with pytest.raises(Refused, match="damaged") as error:
        read_note(state)
    assert error.value.code == "KVN563" and "history" in str(error.value.hint)
