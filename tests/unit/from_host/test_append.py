"""Tests of kvmnet/from_host/append.py: where the new lines go. Whole definitions: test_result.py."""

from __future__ import annotations

import pytest

from kvmnet.core.base.errors import Usage
from kvmnet.core.definition.document import Source
from kvmnet.from_host.append import append_host, read_policy
from kvmnet.importers._draft import Draft, HostPart, Part


def append(text: str) -> str:
    draft = Draft("", "c", "plain", networks={"lan": Part({"vlan": 7})}, hosts={"new": HostPart()})
    return append_host(Source("f.yaml", text), draft)


def test_new_entries_come_after_the_last_line_of_the_section() -> None:
    text = "hosts:\n  a:\n    x-note: |\n      text\n\n      more\n# about networks\nnetworks:\n  n: {}\n"
    expected = (
        "hosts:\n  a:\n    x-note: |\n      text\n\n      more\n  new: {}\n# about networks\nnetworks:\n  n: {}\n"
    )
    assert append(text) == expected + "  lan: {vlan: 7}\n"


def test_a_missing_section_is_added_at_the_end() -> None:
    assert append("hosts:\n  a: {}") == "hosts:\n  a: {}\n  new: {}\nnetworks:\n  lan: {vlan: 7}\n"


def test_a_section_on_one_line_cannot_be_extended() -> None:
    with pytest.raises(Usage, match=r"f\.yaml:1: hosts is written in a form that cannot be extended"):
        append("hosts: {a: {}}\n")
    with pytest.raises(Usage, match=r"f.yaml is not a definition"):
        append("hosts: [\n")


def test_the_policy_of_the_cluster() -> None:
    assert read_policy(Source("f", "profile: rocks\n")) == "rocks"
    assert read_policy(Source("f", "[")) == read_policy(Source("f", "a: b\n")) == ""
