"""Asking, of servers on the loopback interface."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.host import probing as asking
from kvmnet.host.probing import ask

HERE = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        return int(taken.getsockname()[1])


def tcp(port: int) -> Probe:
    return Probe("tcp", f"{HERE}:{port}")


@contextmanager
def listening(port: int = 0) -> Iterator[int]:
    with socket.create_server((HERE, port)) as server:
        yield server.getsockname()[1]


def test_tcp() -> None:
    closed = tcp(free_port())
    with listening() as port:
        assert ask([closed, tcp(port)], 0) == [tcp(port)]


def test_ipv6_in_brackets() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server:
        probe = Probe("tcp", f"[::1]:{server.getsockname()[1]}")
        assert ask([probe], 0) == [probe]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/?")))
        self.send_header("Location", "http://192.0.2.1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_http_is_answered_by_any_status_below_500(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9/")  # not that way
    with http.server.ThreadingHTTPServer((HERE, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        probes = [Probe("http", f"http://{HERE}:{server.server_port}/{s}") for s in (200, 302, 404, 499, 500, 503)]
        assert ask(probes, 0) == probes[:4]
        server.shutdown()


def test_http_that_speaks_something_else_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(asking.TRY, "http", 0.3)
    with listening() as mute, listening() as other:
        probes = [Probe("http", f"http://{HERE}:{mute}/"), Probe("http", f"https://{HERE}:{other}/")]
        assert ask(probes, 0) == []


@pytest.mark.parametrize(
    ("reply", "counts"),
    [
        (lambda q: q[:2] + b"\x81\x85" + q[4:], True),  # REFUSED
        (lambda q: q[:2] + b"\x01\x00" + q[4:], False),  # a question, not an answer
        (lambda q: bytes([q[0] ^ 1]) + q[1:2] + b"\x81\x80" + q[4:], False),  # an answer to somebody else
        (lambda q: b"", False),
    ],
)
def test_name_server(reply: object, counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(asking.TRY, "dns", 0.5)
    asked = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HERE, 0))

        def serve() -> None:
            query, sender = server.recvfrom(512)
            asked.append(query)
            server.sendto(reply(query), sender)  # type: ignore[operator]

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        monkeypatch.setitem(asking._KINDS, "dns", lambda probe: asking._dns(probe, port))
        assert ask([Probe("dns", HERE)], 0) == ([Probe("dns", HERE)] if counts else [])
    # RFC 1035: recursion desired, one question, the root's NS in class IN
    assert asked[0][2:] == b"\1\0\0\1\0\0\0\0\0\0\0\0\2\0\1"


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(asking.TRY, "command", 1.0)
    mark = tmp_path / "mark"
    yes = Probe("command", command=("sh", "-c", f'test "$PWD" = / && test -z "$HOME" && echo > {mark}'))
    no = Probe("command", command=("false",))
    absent = Probe("command", command=("/nowhere/at-all",))
    late = Probe("command", command=("sh", "-c", f"(sleep 3; echo late >> {mark}) & sleep 30"))
    assert ask([yes, no, absent, late], 0) == [yes]
    time.sleep(2.5)
    assert mark.read_text() == "\n", "what a command started goes with it"


@pytest.mark.guarantee("G32")
def test_all_are_asked_at_once_and_the_quick_do_not_wait() -> None:
    slow = [Probe("command", command=("sleep", f"0.{n}")) for n in range(5, 10)]
    begin = time.monotonic()
    assert ask(slow, 5) == slow
    assert time.monotonic() - begin < 3


@pytest.mark.guarantee("G32")
def test_asked_again_until_the_time_is_over() -> None:
    port = free_port()
    begin = time.monotonic()
    assert ask([tcp(port)], 0.5) == []
    assert 0.3 < time.monotonic() - begin < 3
    answered: list[Probe] = []
    thread = threading.Thread(target=lambda: answered.extend(ask([tcp(port)], 30)))
    thread.start()
    time.sleep(0.5)
    with listening(port):
        thread.join(20)
    assert answered == [tcp(port)]


def test_nobody_to_ask() -> None:
    assert ask([], 60) == []


def test_who_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a host, where no name server answers."""
    monkeypatch.setitem(asking.TRY, "tcp", 0.1)
    monkeypatch.setitem(asking.TRY, "command", 3.0)  # the longest try is what `ask` waits for
    over = threading.Event()

    def look_up(*_: object) -> None:
        over.wait(60)
        raise OSError("no name server")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    begin = time.monotonic()
    assert ask([Probe("tcp", "far.example.org:22"), Probe("command", command=("true",))], 0) == [
        Probe("command", command=("true",))
    ]
    assert time.monotonic() - begin < 30
    over.set()
