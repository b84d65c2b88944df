"""The state folder: the command of the rescue program in it, and whether the host was booted since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvmnet.system import clock, state_folder
from kvmnet.system.programs import SYSTEM_PYTHON


@pytest.mark.parametrize(
    ("files", "program"),
    [
        ([], "rescue.pyz"),
        (["rescue.pyz"], "rescue.pyz"),
        (["rescue.py"], "rescue.py"),
        (["rescue.py", "rescue.pyz"], "rescue.pyz"),
    ],
)
def test_the_rescue_program_of_the_previous_layout_is_run_only_where_no_other_exists(
    tmp_path: Path, files: list[str], program: str
) -> None:
    for name in files:
        (tmp_path / name).touch()
    state = ["--state", str(tmp_path)]
    assert state_folder.rescue_command(tmp_path, "--watchdog", "T") == [
        SYSTEM_PYTHON, "-I", str(tmp_path / program), *state, "--watchdog", "T",
    ]  # fmt: skip


def test_the_commands_of_the_usual_folder_do_not_name_it() -> None:
    command = state_folder.rescue_command(Path("/var/lib/kvmnet"))
    assert command[:2] == [SYSTEM_PYTHON, "-I"] and "--state" not in command
    assert command[2] in ("/var/lib/kvmnet/rescue.pyz", "/var/lib/kvmnet/rescue.py")


def test_a_transaction_of_another_boot_is_recognized(tmp_path: Path) -> None:
    """One that does not say when it began counts as one of this boot."""
    for transaction, rebooted in (({"boot": "other"}, True), ({"boot": clock.boot_id()}, False), ({}, False)):
        (tmp_path / "transaction.json").write_text(json.dumps(transaction))
        assert state_folder.has_rebooted(tmp_path) is rebooted
    (tmp_path / "transaction.json").unlink()
    assert state_folder.has_rebooted(tmp_path) is False


def test_the_ballast_is_large_enough_for_the_files_of_a_rollback() -> None:
    """1 MiB: a rollback on a full disk writes keyfiles and the journal into this space."""
    assert state_folder.BALLAST_SIZE == 1024 * 1024


def test_an_id_is_no_path_and_no_option() -> None:
    assert state_folder.is_identity("20260131-120000-4711") and state_folder.is_identity("T")
    for value in ("", "..", "../x", "a/b", "-x", "a b", "a\n", "a" * 65, None, 5):
        assert not state_folder.is_identity(value), value
