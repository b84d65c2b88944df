"""Lists of names in a sentence."""

from __future__ import annotations

import pytest

from kvmnet.core.base.enumeration import both_or_all, join_names


@pytest.mark.parametrize(
    ("names", "text", "word"),
    [
        ((), "", "all"),
        (("a",), "a", "all"),
        (("a", "b"), "a and b", "both"),
        (("a", "b", "c"), "a, b and c", "all"),
    ],
)
def test_names_in_a_sentence(names: tuple[str, ...], text: str, word: str) -> None:
    assert join_names(names) == text
    assert both_or_all(names) == word
