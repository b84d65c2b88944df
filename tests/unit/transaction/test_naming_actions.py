"""Actions that name NICs."""

from __future__ import annotations

from kvmnet.transaction.naming_actions import remove_meta_group


def test_networkmanagers_own_notes_are_left_out() -> None:
    text = "[connection]\nid=peth0\n\n[.nmmeta]\nshadowed-storage=/etc/x\nshadowed-owned=true\n\n[ipv4]\nmethod=auto\n"
    assert remove_meta_group(text) == "[connection]\nid=peth0\n\n[ipv4]\nmethod=auto\n"
