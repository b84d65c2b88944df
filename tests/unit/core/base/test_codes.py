"""The register of problem codes."""

from __future__ import annotations

import pytest

from kvmnet.core.base import codes


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """A register with three codes, in no order."""
    monkeypatch.setattr(codes, "_CODES", {})
    for code in ("KVN510", "KVN101", "KVN010"):
        codes.register(code, f"title of {code}", "page")


@pytest.mark.usefixtures("register")
def test_codes_of_definitions_and_of_hosts_are_listed_apart_and_in_order() -> None:
    assert [code.code for code in codes.definition_codes()] == ["KVN010", "KVN101"]
    assert [code.code for code in codes.host_codes()] == ["KVN510"]


@pytest.mark.usefixtures("register")
def test_a_code_cannot_be_registered_twice() -> None:
    with pytest.raises(ValueError, match="KVN010 is already registered: title of KVN010"):
        codes.register("KVN010", "another title", "page")
    assert [code.title for code in codes.definition_codes()] == ["title of KVN010", "title of KVN101"]


@pytest.mark.usefixtures("register")
def test_a_page_is_stored_without_its_indentation() -> None:
    codes.register(
        "KVN102",
        "title",
        """
        First line,
          an indented one.
        """,
    )
    assert codes.definition_codes()[-1].page == "First line,\n  an indented one."
