"""Tests of kvmnet/applied_record.py: what the last apply recorded, complete, missing and corrupt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet import applied_record, pipeline
from kvmnet.applied_record import read_applied, read_applied_digest, read_ownership
from kvmnet.core.base.errors import Refused
from kvmnet.core.live.live_host import UNREADABLE
from kvmnet.core.planning.ownership import OWNERSHIP_FILE, make_ownership_record, ownership_record_to_json
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.hook_record import HOOK_FILE, format_hook_record
from kvmnet.host import read_live
from kvmnet.host.connection_profiles import ManagerState
from kvmnet.system import firewalld
from tests.unit.core.samples import before


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return pipeline.load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


def write_record(state_dir: Path, bundle: Bundle) -> Path:
    """Fill the folder applied/ as `kvmnet apply` does; returns the state folder."""
    (state_dir / "applied").mkdir()
    note = ownership_record_to_json(make_ownership_record(bundle, before()))
    texts = {
        **bundle_files.format_bundle(bundle),
        OWNERSHIP_FILE: json.dumps(note),
        HOOK_FILE: format_hook_record(bundle),
    }
    for name, text in texts.items():
        (state_dir / "applied" / name).write_text(text)
    return state_dir


@pytest.mark.guarantee("G53")
@pytest.mark.parametrize("name", ["nmstate.yml", "bundle.json", "00-kvmnet-peth0.link"])
@pytest.mark.parametrize("text", [None, "", "\x00\x00", "state: other\n"])
def test_a_corrupt_applied_bundle_is_refused_with_a_hint(
    bundle: Bundle, tmp_path: Path, name: str, text: Optional[str]
) -> None:
    """It has no digest, so the next apply writes its files again."""
    state_dir = write_record(tmp_path, bundle)
    assert read_applied(state_dir) == bundle
    assert read_applied_digest(state_dir) == bundle.digest
    path = state_dir / "applied" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(Refused, match="is corrupt") as refused:
        read_applied(state_dir)
    assert refused.value.code == "KVN563" and "apply" in str(refused.value.hint)
    assert read_applied_digest(state_dir) is None


def test_nothing_is_applied_before_the_first_apply_and_after_a_removal(tmp_path: Path) -> None:
    assert read_applied(tmp_path) is None
    (tmp_path / "applied").mkdir()
    assert read_applied(tmp_path) is None
    assert read_applied_digest(tmp_path) is None


@pytest.mark.guarantee("G53")
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"interfaces": []}', '{"interfaces": {"eth0": 1}}'])
def test_a_corrupt_list_of_own_interfaces_is_refused(bundle: Bundle, tmp_path: Path, text: str) -> None:
    state_dir = write_record(tmp_path, bundle)
    assert read_ownership(state_dir).owned
    (state_dir / "applied" / OWNERSHIP_FILE).write_text(text)
    with pytest.raises(Refused, match="is corrupt") as refused:
        read_ownership(state_dir)
    assert refused.value.code == "KVN563" and "history" in str(refused.value.hint)


class NoAnswers:
    """nmstate and NetworkManager with an empty answer to every question."""

    def show(self, kernel_only: bool = False) -> dict[str, Any]:
        return {}

    def version(self) -> str:
        return "1"

    def checkpoints(self) -> list[str]:
        return []


def test_the_live_host_has_what_was_recorded(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewalld, "is_running", lambda: False)
    monkeypatch.setattr(read_live, "read_links", dict)
    source: Any = NoAnswers()
    live = applied_record.read_host(source, source, tmp_path, ManagerState((), {}))
    assert (live.applied, live.hook, live.owned, live.applied_state, live.first_names) == (None, None, {}, {}, {})
    live = applied_record.read_host(source, source, write_record(tmp_path, bundle), ManagerState((), {}), bundle.state)
    note = make_ownership_record(bundle, before())
    assert (live.applied, live.hook) == (bundle.digest, format_hook_record(bundle))
    assert (live.owned, live.applied_state, live.first_names) == (note.owned, note.state, note.first_names)


def test_users_that_may_not_read_the_record_get_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:  # root may read everything, so the error is simulated
        raise PermissionError

    for method in ("iterdir", "read_text", "is_file"):
        monkeypatch.setattr(Path, method, refuse)
    assert (read_applied_digest(tmp_path), applied_record._read_hook_record(tmp_path)) == (UNREADABLE, UNREADABLE)
    assert read_ownership(tmp_path).owned == {}
