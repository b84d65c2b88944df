"""Steps and their undo as plain data."""

from __future__ import annotations

from kvmnet.system import operations
from kvmnet.transaction.step import step, touched_files, touched_profiles, undo_spec


def test_a_step_is_plain_data_with_its_title_limit_and_undo() -> None:
    undo = undo_spec(operations.UNDO_FILES, paths=["/etc/a"])
    assert undo == {"op": "files", "paths": ["/etc/a"]}
    assert step(operations.SAVE, "save", (undo,), uuids=["u-1"]) == {
        "op": "save",
        "title": "save",
        "uuids": ["u-1"],
        "limit": 60,
        "undo": [undo],
    }
    assert step(operations.COMMIT, "commit", limit=7) == {"op": "commit", "title": "commit", "limit": 7, "undo": []}


def test_the_undo_is_in_the_order_in_which_it_is_carried_out() -> None:
    specs = [undo_spec(operations.UNDO_ZONE, name="eth0"), undo_spec(operations.UNDO_RENAME, new="eth0")]
    assert step(operations.RENAME, "rename", specs)["undo"] == specs


def test_the_files_of_all_undos_are_touched_and_each_is_listed_once() -> None:
    steps = [
        step(operations.SAVE, "b", [undo_spec(operations.UNDO_FILES, paths=["/etc/b", "/etc/a"])]),
        step(operations.READ_BACK, "read"),
        step(operations.SAVE, "c", [undo_spec(operations.UNDO_FILES, paths=["/etc/b", "/etc/c"])]),
        step(operations.SEED, "seed", [undo_spec(operations.UNDO_PROFILES, profiles={"u-1": "br0"})], files=["/etc/x"]),
    ]
    assert touched_files(steps) == ["/etc/a", "/etc/b", "/etc/c"]
    assert touched_files([]) == []


def test_the_profiles_of_steps_and_of_their_undos_are_touched() -> None:
    steps = [
        step(operations.REBIND, "rebind", uuid="u-4"),
        step(operations.SEED, "seed", [undo_spec(operations.UNDO_PROFILES, profiles={"u-2": "br0", "u-3": "br1"})]),
        step(operations.SAVE, "save", [undo_spec(operations.UNDO_FILES, paths=["/etc/a"], uuids=["u-1", "u-2"])]),
    ]
    assert touched_profiles(steps) == ["u-1", "u-2", "u-3", "u-4"]
    assert touched_profiles([]) == []
