"""Tests of kvmnet/host/probing.py, with servers on the loopback interface."""

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
from kvmnet.host import probing, reply_path
from kvmnet.host.ping import Pinger
from kvmnet.host.probing import GuestReply, find_replies, find_replying
from kvmnet.host.reply_path import ReplyPath
from kvmnet.system import links, programs

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


def test_a_listening_tcp_port_replies_and_a_closed_one_does_not() -> None:
    closed = tcp(free_port())
    with listening() as port:
        assert find_replying([closed, tcp(port)], 0) == [tcp(port)]


def test_an_ipv6_target_is_in_brackets() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server:
        probe = Probe("tcp", f"[::1]:{server.getsockname()[1]}")
        assert find_replying([probe], 0) == [probe]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/?")))
        self.send_header("Location", "http://192.0.2.1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_any_http_status_below_500_is_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9/")  # must not be used
    with http.server.ThreadingHTTPServer((HERE, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        probes = [Probe("http", f"http://{HERE}:{server.server_port}/{s}") for s in (200, 302, 404, 499, 500, 503)]
        assert find_replying(probes, 0) == probes[:4]
        server.shutdown()


def test_a_server_that_does_not_speak_http_is_no_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probing.TRY, "http", 0.3)
    with listening() as silent, listening() as other:
        probes = [Probe("http", f"http://{HERE}:{silent}/"), Probe("http", f"https://{HERE}:{other}/")]
        assert find_replying(probes, 0) == []


@pytest.mark.parametrize(
    ("reply", "is_reply"),
    [
        (lambda q: q[:2] + b"\x81\x85" + q[4:], True),  # REFUSED
        (lambda q: q[:2] + b"\x01\x00" + q[4:], False),  # a query, not a response
        (lambda q: bytes([q[0] ^ 1]) + q[1:2] + b"\x81\x80" + q[4:], False),  # the response to another query
        (lambda q: b"", False),
    ],
)
def test_any_dns_response_to_the_query_is_a_reply(
    reply: object, is_reply: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(probing.TRY, "dns", 0.5)
    queries = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HERE, 0))

        def serve() -> None:
            query, sender = server.recvfrom(512)
            queries.append(query)
            server.sendto(reply(query), sender)  # type: ignore[operator]

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        monkeypatch.setitem(probing._TRY_KIND, "dns", lambda probe: probing._probe_dns(probe, port))
        assert find_replying([Probe("dns", HERE)], 0) == ([Probe("dns", HERE)] if is_reply else [])
    # RFC 1035: recursion desired, one question, the root's NS in class IN
    assert queries[0][2:] == b"\1\0\0\1\0\0\0\0\0\0\0\0\2\0\1"


def test_a_command_must_end_with_exit_code_0_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probing.TRY, "command", 1.0)
    mark = tmp_path / "mark"
    yes = Probe("command", command=("sh", "-c", f'test "$PWD" = / && test -z "$HOME" && echo > {mark}'))
    no = Probe("command", command=("false",))
    absent = Probe("command", command=("/nowhere/at-all",))
    late = Probe("command", command=("sh", "-c", f"(sleep 3; echo late >> {mark}) & sleep 30"))
    assert find_replying([yes, no, absent, late], 0) == [yes]
    time.sleep(2.5)
    assert mark.read_text() == "\n", "the processes of a command are killed with it"


@pytest.mark.guarantee("G32")
def test_probes_run_in_parallel() -> None:
    slow = [Probe("command", command=("sleep", f"0.{n}")) for n in range(5, 10)]
    begin = time.monotonic()
    assert find_replying(slow, 5) == slow
    assert time.monotonic() - begin < 3


@pytest.mark.guarantee("G32")
def test_a_probe_is_repeated_until_the_time_is_over() -> None:
    port = free_port()
    begin = time.monotonic()
    assert find_replying([tcp(port)], 0.5) == []
    assert 0.3 < time.monotonic() - begin < 3
    replied: list[Probe] = []
    thread = threading.Thread(target=lambda: replied.extend(find_replying([tcp(port)], 30)))
    thread.start()
    time.sleep(0.5)
    with listening(port):
        thread.join(20)
    assert replied == [tcp(port)]


def test_without_probes_there_is_no_wait() -> None:
    assert find_replying([], 60) == []


def test_a_probe_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host name is resolved, and no name server replies."""
    monkeypatch.setitem(probing.TRY, "tcp", 0.1)
    monkeypatch.setitem(probing.TRY, "command", 3.0)  # the longest try of these probes, which `ask` waits for
    over = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        over.wait(60)
        raise OSError("no name server")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    begin = time.monotonic()
    assert find_replying([Probe("tcp", "far.example.org:22"), Probe("command", command=("true",))], 0) == [
        Probe("command", command=("true",))
    ]
    assert time.monotonic() - begin < 30
    over.set()


def set_paths(monkeypatch: pytest.MonkeyPatch, *paths: ReplyPath) -> None:
    """Let the ways to any target be these, one after the other; the last one stays."""
    remaining = list(paths)
    monkeypatch.setattr(probing, "find_reply_path", lambda *_: remaining.pop(0) if len(remaining) > 1 else remaining[0])


@pytest.mark.guarantee("G96")
def test_a_connection_through_a_guests_port_is_no_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as port:
        set_paths(monkeypatch, ReplyPath("eth0", HERE, "vnet3"))
        replies = find_replies([tcp(port)], 0)
        assert (replies.replied, replies.through_guests) == ([], {tcp(port): "vnet3"})
        set_paths(monkeypatch, ReplyPath("eth0", HERE), ReplyPath("eth0", HERE, "vnet3"))
        assert find_replies([tcp(port)], 0).through_guests == {tcp(port): "vnet3"}
        set_paths(monkeypatch, ReplyPath("eth0", HERE, "vnet3"), ReplyPath("eth0", HERE))  # it was not learned before
        replies = find_replies([tcp(port)], 0)
        assert (replies.replied, replies.through_guests) == ([tcp(port)], {})


@pytest.mark.guarantee("G96")
def test_a_reply_while_the_route_changes_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as port:
        for other in (ReplyPath("eth1", HERE), ReplyPath("eth0", "192.0.2.1")):
            set_paths(monkeypatch, ReplyPath("eth0", HERE), other)
            replies = find_replies([tcp(port)], 0)
            assert (replies.replied, replies.through_guests) == ([], {})


@pytest.mark.guarantee("G96")
def test_an_http_server_behind_a_guests_port_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer((HERE, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        probe = Probe("http", f"http://{HERE}:{server.server_port}/200")
        assert find_replies([probe], 0).replied == [probe]
        set_paths(monkeypatch, ReplyPath("eth0", HERE, "vnet3"))
        assert find_replies([probe], 0).through_guests == {probe: "vnet3"}
        server.shutdown()


class Sender:
    """A sender for ARP whose reply came in on these devices, by the sender's MAC address."""

    device = "eth0"

    def __init__(self, arrivals: dict[str, set[str]]) -> None:
        self.arrivals = arrivals


@pytest.mark.guarantee("G96")
def test_an_arp_reply_through_a_guests_port_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"ifname": "eth0", "linkinfo": {"info_kind": "bridge"}},
        {"ifname": "peth0", "master": "eth0"},
        {"ifname": "vnet3", "master": "eth0", "linkinfo": {"info_kind": "tun", "info_data": {"type": "tap"}}},
    ]
    monkeypatch.setattr(links, "read_ip_links", lambda: rows)
    mac = "00:14:4f:80:ee:01"
    assert probing._require_outside(Sender({mac: {"peth0", "eth0"}}))  # type: ignore[arg-type]
    with pytest.raises(GuestReply) as reply:
        probing._require_outside(Sender({mac: {"vnet3", "eth0"}}))  # type: ignore[arg-type]
    assert reply.value.port == "vnet3"


@pytest.mark.guarantee("G96")
@pytest.mark.parametrize(
    ("device", "neighbour", "is_reply"),
    [("eth0", "10.1.1.1", True), ("eth1", "10.1.1.1", False), ("eth1", "10.1.0.1", True)],
    ids=["its device", "another device", "another device, from behind a router"],
)
def test_an_echo_reply_of_a_neighbour_must_arrive_on_the_device_of_its_route(
    monkeypatch: pytest.MonkeyPatch, device: str, neighbour: str, is_reply: bool
) -> None:
    pinger = object.__new__(Pinger)
    pinger.address, pinger.device, pinger.arrived_on = "10.1.1.1", "eth9", device
    set_paths(monkeypatch, ReplyPath("eth0", neighbour))
    assert probing._require_outside(pinger) is is_reply
    set_paths(monkeypatch, ReplyPath("eth0", neighbour, "vnet3"))
    with pytest.raises(GuestReply):
        probing._require_outside(pinger)


def test_the_way_to_the_loopback_interface_needs_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "run", lambda *_: pytest.fail("a program was run"))
    assert reply_path.find_reply_path("127.0.0.53") == ReplyPath("lo", "127.0.0.53")
