"""By which interface the git server is reached."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.base.git_remote import parse_remote
from kvmnet.host import repository_path
from kvmnet.host.reply_path import ReplyPath
from kvmnet.host.repository_path import ServerPath, find_flaw, find_paths
from kvmnet.system.errors import HostError

GATEWAY = ServerPath("192.0.2.7", "10.1.0.1", "br-eth0")
REMOTE = parse_remote("https://git.example.org/n.git")


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The addresses of the server, each with its route."""
    known: dict[str, dict[str, Any]] = {}

    def get_route(*argv: str) -> list[dict[str, Any]]:
        if not known[argv[-1]]:
            raise HostError("RTNETLINK answers: Network is unreachable")
        return [known[argv[-1]]]

    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (peer, 443)) for peer in known])
    monkeypatch.setattr("kvmnet.system.programs.run_json", get_route)
    return known


def test_the_route_to_each_address_is_read(routes: dict[str, dict[str, Any]]) -> None:
    routes["192.0.2.7"] = {"dst": "192.0.2.7", "gateway": "10.1.1.1", "dev": "br-eth0", "prefsrc": "10.1.0.1"}
    routes["10.1.1.9"] = {"dst": "10.1.1.9", "dev": "eth1", "prefsrc": "10.1.0.2"}
    routes["2001:db8::7"] = {}
    routes["10.1.0.1"] = {"type": "local", "dst": "10.1.0.1", "dev": "lo", "prefsrc": "10.1.0.1"}
    assert find_paths(REMOTE) == [
        GATEWAY,
        ServerPath("10.1.1.9", "10.1.0.2", "eth1"),
        ServerPath("10.1.0.1", "10.1.0.1", "lo", True),
    ]


def test_a_name_that_cannot_be_resolved_has_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", fail)
    assert find_paths(REMOTE) == []
    assert find_flaw([]) == "no route leads to the git server"


def test_a_fetch_counts_only_by_an_interface_that_the_change_affects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_path, "find_reply_path", lambda peer, address: ReplyPath("br-eth0", peer))
    other = ServerPath("10.9.0.7", "10.9.0.1", "eth1")
    assert find_flaw([GATEWAY], ["br-eth0", "eth0"]) is None
    assert find_flaw([GATEWAY]) is None
    assert "10.9.0.7 is reached by eth1, which the change does not affect" in str(
        find_flaw([GATEWAY, other], ["br-eth0"])
    )
    local = ServerPath("10.1.0.1", "10.1.0.1", "lo", True)
    assert "is this host itself" in str(find_flaw([local]))


def test_a_fetch_through_a_guests_port_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server, or the router to it, is a guest of this host."""
    asked = []

    def find_reply_path(peer: str, address: str) -> ReplyPath:
        asked.append((peer, address))
        return ReplyPath("br-eth0", "10.1.1.1", "vnet0")

    monkeypatch.setattr(repository_path, "find_reply_path", find_reply_path)
    assert "through a guest or container on this host (port vnet0)" in str(find_flaw([GATEWAY], ["br-eth0"]))
    assert asked == [("192.0.2.7", "10.1.0.1")]

    def fail(peer: str, address: str) -> ReplyPath:
        raise HostError("no route")

    monkeypatch.setattr(repository_path, "find_reply_path", fail)
    assert find_flaw([GATEWAY]) == "the path to the git server 192.0.2.7 cannot be read: no route"
