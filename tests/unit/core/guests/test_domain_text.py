"""Finding the elements of a domain's XML and replacing parts of its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmnet.core.guests.domain_text import (
    DomainError,
    apply_changes,
    find_devices,
    insert_after,
    remove_attribute,
    remove_element,
    set_attribute,
)

TEXT = b"""<domain><devices>
  <interface type = "a>b"  managed='yes' note="it's">
    <mac address='1'/><x><!-- kept --></x>
  </interface>
</devices></domain>"""


def test_changes_of_a_start_tag() -> None:
    (interface,) = find_devices(TEXT).children
    changes = [
        set_attribute(TEXT, interface, "type", "c"),
        remove_attribute(TEXT, interface, "managed"),
        set_attribute(TEXT, interface, "new", "d", after="type"),
    ]
    new = apply_changes(TEXT, 0, len(TEXT), changes)
    assert new == TEXT.replace(b"\"a>b\"  managed='yes'", b"\"c\" new='d'")


def test_a_removed_element_leaves_its_comments() -> None:
    (interface,) = find_devices(TEXT).children
    mac, x = interface.children
    assert apply_changes(TEXT, 0, len(TEXT), [remove_element(TEXT, x, "<y/>")]) == TEXT.replace(
        b"<x><!-- kept --></x>", b"<y/> <!-- kept -->"
    )
    assert apply_changes(TEXT, 0, len(TEXT), [remove_element(TEXT, mac)]) == TEXT.replace(
        b"\n    <mac address='1'/>", b""
    )
    assert apply_changes(TEXT, 0, len(TEXT), [insert_after(TEXT, mac, "<y/>")]) == TEXT.replace(
        b"'1'/>", b"'1'/>\n    <y/>"
    )


def test_a_missing_child_has_no_attributes() -> None:
    (interface,) = find_devices(TEXT).children
    assert (interface.attribute_of("mac", "address"), interface.attribute_of("mac", "x")) == ("1", "")
    assert (interface.attribute_of("none", "x"), interface.child("none")) == ("", None)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_domain_or_an_error(text: bytes) -> None:
    with pytest.raises(DomainError):
        find_devices(text)
