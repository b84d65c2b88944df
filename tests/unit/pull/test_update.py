"""One run of pull mode up to the change, with real git."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.base.errors import Refused
from kvmnet.core.live.pull_settings import PullSettings
from kvmnet.pull.mirror import NotReachable
from kvmnet.pull.record import read_record
from kvmnet.pull.update import Identity, PullRun, open_run
from kvmnet.system import lock
from tests.unit.pull.repositories import DEFINITION, MAC, Origin, allow_signer, make_key, mirror_of

UNSIGNED = PullSettings()
IDENTITY = Identity({MAC: "eth0"}, "a")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin")
    made.commit(DEFINITION)
    return made


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


def run_of(origin: Origin, state_dir: Path, settings: PullSettings = UNSIGNED) -> PullRun:
    (state_dir / "pull").mkdir(parents=True, exist_ok=True)
    return PullRun(state_dir, settings, mirror_of(origin, state_dir / "pull" / "mirror.git"))


def test_a_run_holds_a_lock_in_a_folder_that_only_root_can_read(origin: Origin, state_dir: Path) -> None:
    with open_run(state_dir, PullSettings(), lambda folder: mirror_of(origin, folder)) as run:
        assert run.fetch() == origin.git("rev-parse", "HEAD")
        assert lock.is_locked(state_dir / "pull") and not lock.is_locked(state_dir)
        assert (state_dir / "pull").stat().st_mode & 0o777 == 0o700
        with (
            pytest.raises(Refused, match="another `kvmnet pull`"),
            open_run(state_dir, PullSettings(), lambda folder: mirror_of(origin, folder)),
        ):
            pass


def test_the_bundle_of_the_fetched_commit_is_found(origin: Origin, state_dir: Path) -> None:
    run = run_of(origin, state_dir)
    [folder] = run.write_bundles(run.fetch(), IDENTITY)
    assert folder == state_dir / "pull" / "bundles" / "a"
    run.require_untried(pipeline.read_bundle_folder(folder), "c" * 40)


def test_a_forced_push_is_refused_and_the_operator_can_accept_exactly_that_commit(
    origin: Origin, state_dir: Path
) -> None:
    first = run_of(origin, state_dir).fetch()
    forced = origin.commit("", "--amend", "--message=forced")
    for _ in range(2):
        with pytest.raises(Refused) as error:
            run_of(origin, state_dir).fetch()
        assert error.value.code == "KVN570"
    record = read_record(state_dir)
    assert (record.accepted, record.fetched) == (first, forced)
    for other in (first, forced[:12]):
        with pytest.raises(Refused) as error:
            run_of(origin, state_dir).fetch(accept=other)
        assert error.value.code == "KVN577"
    assert run_of(origin, state_dir).fetch(accept=forced) == forced
    assert run_of(origin, state_dir).fetch() == forced


def test_an_accepted_commit_must_be_signed_all_the_same(
    origin: Origin, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvmnet.pull.mirror.find_other_writer", lambda path, owners: None)
    allow_signer(tmp_path / "signers", make_key(tmp_path, "admin"))
    settings = PullSettings(signers=str(tmp_path / "signers"))
    unsigned = origin.git("rev-parse", "HEAD")
    with pytest.raises(Refused) as error:
        run_of(origin, state_dir, settings).fetch(accept=unsigned)
    assert error.value.code == "KVN571" and read_record(state_dir).accepted is None
    signed = origin.commit(key=str(tmp_path / "admin"))
    assert run_of(origin, state_dir, settings).fetch() == signed


@pytest.mark.guarantee("G103")
def test_a_digest_that_was_rolled_back_is_not_tried_until_it_changes(origin: Origin, state_dir: Path) -> None:
    run = run_of(origin, state_dir)
    commit = run.fetch()
    bundle = pipeline.read_bundle_folder(run.write_bundles(commit, IDENTITY)[0])
    folder = state_dir / "history" / "20261201-000000-1"
    folder.mkdir(parents=True)
    (folder / "transaction.json").write_text(json.dumps({"host": "a", "digest": bundle.digest, "operation": "apply"}))
    events = [
        {"event": "begin", "at": 1.0, "steps": []},
        {"event": "failed", "at": 2.0, "error": "no reply from 10.1.1.9 after the change"},
        {"event": "end", "at": 3.0, "outcome": "rolled back", "verified": True},
    ]
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    with pytest.raises(Refused, match=r"was rolled back on this host: no reply from 10\.1\.1\.9") as error:
        run_of(origin, state_dir).require_untried(bundle, commit)
    assert error.value.code == "KVN573"
    (folder / "journal.jsonl").unlink()  # the history keeps the newest transactions only
    newest = origin.commit()
    with pytest.raises(Refused, match="was rolled back"):
        run_of(origin, state_dir).require_untried(bundle, newest)
    origin.commit(DEFINITION.replace("10.1.0.1", "10.1.0.9"))
    run = run_of(origin, state_dir)
    corrected = pipeline.read_bundle_folder(run.write_bundles(run.fetch(), IDENTITY)[0])
    run.require_untried(corrected, newest)


def test_how_a_run_ended_is_recorded(origin: Origin, state_dir: Path, tmp_path: Path) -> None:
    run = run_of(origin, state_dir)
    commit = run.fetch()
    run.finish("applied", commit)
    record = read_record(state_dir)
    assert (record.applied, record.result, record.is_behind, record.at > 0) == (commit, "applied", False, True)
    origin.folder.rename(tmp_path / "gone")
    run = run_of(origin, state_dir)
    with pytest.raises(NotReachable), run.recording_failures():
        run.fetch()
    record = read_record(state_dir)
    assert (record.result, record.code, record.applied) == ("not reachable", "KVN575", commit)
    with pytest.raises(Refused), run.recording_failures():
        raise Refused("no", None, "KVN572")
    assert (read_record(state_dir).result, read_record(state_dir).reason) == ("refused", "no")
