"""Tests of kvmnet/cli/this_host.py."""

from __future__ import annotations

import pytest

from kvmnet.cli.this_host import match_this_host
from kvmnet.core.base.errors import Refused
from kvmnet.system import links
from kvmnet.system.errors import HostError


def test_links_that_cannot_be_read_are_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise HostError("ip -d -j link show: no such program")

    monkeypatch.setattr(links, "read_ip_links", fails)
    with pytest.raises(Refused, match=r"this host could not be read: ip -d") as refused:
        match_this_host([], None)
    assert (refused.value.code, refused.value.exit_code) == ("KVN512", 5)
