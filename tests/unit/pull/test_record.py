"""What pull mode remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.pull.record import PullRecord, note_rollbacks, read_record, write_record
from kvmnet.transaction.history import EndedTransaction


def ended(at: float, outcome: str, operation: str = "apply", why: Optional[str] = None) -> EndedTransaction:
    return EndedTransaction(str(at), at, "a", outcome, None, why, None, None, False, (), operation)


def rolled_back(*rows: tuple[str, EndedTransaction], known: Optional[dict[str, dict[str, object]]] = None) -> list[str]:
    digests = {one.id: digest for digest, one in rows}
    return list(note_rollbacks(known or {}, [one for _, one in rows], digests))


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_record(tmp_path) == PullRecord()
    record = PullRecord("f", "a", "p", "refused", "why", "KVN571", 12.5, {"d": {"at": 1.0, "why": "x"}})
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert (tmp_path / "pull" / "record.json").stat().st_mode & 0o777 == 0o600
    assert "rolled_back" not in record.to_json() and record.to_json()["behind"] is True


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_corrupt_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pull").mkdir()
    (tmp_path / "pull" / "record.json").write_text(text)
    with pytest.raises(Refused) as error:
        read_record(tmp_path)
    assert error.value.code == "KVN563"


@pytest.mark.parametrize(
    ("record", "is_behind"),
    [
        (PullRecord("1", "1", "1", "up to date"), False),
        (PullRecord("1", "1", "1", "applied"), False),
        (PullRecord("2", "2", "1", "rolled back"), True),
        (PullRecord("1", "1", "1", "not reachable"), True),
        (PullRecord(), True),
    ],
)
def test_a_host_is_behind_when_it_lacks_the_fetched_commit_or_nothing_was_fetched(
    record: PullRecord, is_behind: bool
) -> None:
    assert record.is_behind is is_behind


def test_a_bundle_that_was_rolled_back_is_remembered_until_it_is_kept() -> None:
    failed, kept = ("d", ended(1, "rolled back", why="no reply")), ("d", ended(2, "kept"))
    assert rolled_back(failed) == ["d"]
    assert rolled_back(failed, kept) == []
    assert rolled_back(kept, known={"d": {"at": 3.0, "why": "x"}}) == ["d"], "it was kept before"
    assert rolled_back(("d", ended(1, "nothing was begun"))) == []


@pytest.mark.guarantee("G103")
def test_a_bundle_from_which_the_operator_went_back_is_remembered() -> None:
    first, second = ("old", ended(1, "kept")), ("new", ended(2, "kept"))
    assert rolled_back(first, second, ("old", ended(3, "kept", "rollback"))) == ["new"]
    assert rolled_back(first, second, ("old", ended(3, "rolled back", "rollback"))) == []
    assert rolled_back(first, ("old", ended(2, "kept", "remove"))) == ["old"]


def test_the_newest_rollbacks_are_remembered() -> None:
    many = {str(number): {"at": float(number), "why": "x"} for number in range(60)}
    assert rolled_back(known=many) == [str(number) for number in range(10, 60)]
