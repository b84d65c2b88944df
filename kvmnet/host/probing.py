"""Runs probes: all at the same time, each repeatedly until its target replies or the time is over.

A reply that comes through the port of a guest of this host does not count: a guest can answer for any address of its
network. For ARP and neighbour discovery, which nothing authenticates, the device on which the frames arrive decides
(frame_watch). The other kinds have a token, a port and an ID, or sequence numbers, which only those see who get the
request. So for them the route decides, which is read before and after the try: by which device and to which
neighbour the request leaves, and behind which port that neighbour is (reply_path).

The sockets are not bound to a device (SO_BINDTODEVICE). That would test another way than the one that the host uses: it
replaces the choice by routing rules and metrics, and would pass although the host's own traffic leaves elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from kvmnet.core.base.probe import Probe, split_target, url_parts
from kvmnet.core.live.guest_ports import judge_arrivals
from kvmnet.host.ndp import NdpProbe
from kvmnet.host.ping import ArpProbe, Pinger
from kvmnet.host.raw_sockets import source_address
from kvmnet.host.reply_path import ReplyPath, find_reply_path
from kvmnet.system import links, programs
from kvmnet.system.errors import HostError

#: The seconds that one try may take.
TRY = {"gateway": 1.0, "peer": 1.0, "ping": 1.0, "dns": 2.0, "tcp": 3.0, "http": 5.0, "command": 10.0}
#: Seconds between two tries.
PAUSE = 0.2
#: A query for the name servers of the root, which every name server can answer (RFC 1035): the header without its ID,
#: and the question.
_QUERY = bytes.fromhex("01000001000000000000") + bytes.fromhex("0000020001")


class GuestReply(Exception):
    """A reply came through the port of a guest of this host."""

    def __init__(self, port: str) -> None:
        super().__init__(f"reply through {port}")
        self.port = port


@dataclass(frozen=True)
class Replies:
    """The probes that got a reply, and those that got one only through a guest's port, with the port."""

    replied: list[Probe] = field(default_factory=list)
    through_guests: Mapping[Probe, str] = field(default_factory=dict)


def find_replying(probes: Sequence[Probe], seconds: float) -> list[Probe]:
    """Return the probes that got a reply. Each is tried for `seconds`; its last try may take longer (see `TRY`)."""
    return find_replies(probes, seconds).replied


def find_replies(probes: Sequence[Probe], seconds: float) -> Replies:
    """Try each probe for `seconds`; its last try may take longer (see `TRY`)."""
    end = time.monotonic() + seconds
    results: queue.SimpleQueue[tuple[Probe, bool]] = queue.SimpleQueue()
    ports: dict[Probe, str] = {}

    def repeat(probe: Probe) -> None:
        while True:
            try:
                if has_reply(probe):
                    return results.put((probe, True))
            except GuestReply as reply:
                ports[probe] = reply.port
            except (OSError, ValueError, HostError, subprocess.SubprocessError):
                pass
            if time.monotonic() + PAUSE > end:
                return results.put((probe, False))
            time.sleep(PAUSE)

    waiting = set(probes)
    for probe in waiting:
        threading.Thread(target=repeat, args=(probe,), daemon=True).start()
    replied = set()
    # Resolving a host name can take longer than a try may take; such a probe is not waited for.
    last = end + max((TRY[p.kind] for p in probes), default=0) + 1
    while waiting:
        try:
            probe, is_ok = results.get(timeout=max(0.0, last - time.monotonic()))
        except queue.Empty:
            break
        waiting.discard(probe)
        replied.update([probe] if is_ok else [])
    through_guests = {probe: ports[probe] for probe in probes if probe in ports and probe not in replied}
    return Replies([probe for probe in probes if probe in replied], through_guests)


def has_reply(probe: Probe) -> bool:
    """Try a probe once; return whether its target replied. Raises OSError, ValueError, HostError or SubprocessError,
    which mean no reply too, and GuestReply."""
    return _TRY_KIND[probe.kind](probe)


def _find_path(target: str, device: str) -> ReplyPath:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    source = "" if device else socket.inet_ntop(family, source_address(family, target))
    return find_reply_path(target, source, device)


@contextlib.contextmanager
def _along_route(target: str, device: str = "") -> Iterator[ReplyPath]:
    """Yield the way to a target. Raises GuestReply when the block is done if a guest's port is on it, OSError if it is
    another one by then."""
    before = _find_path(target, device)
    yield before
    after = _find_path(target, device)
    if (before.device, before.neighbour) != (after.device, after.neighbour):
        raise OSError(f"the route to {target} has changed")
    if after.port:  # before the try, a new bridge may not have learned where the neighbour is
        raise GuestReply(after.port)


def _probe_neighbour(probe: Probe) -> bool:
    """Send an ICMP echo request, and an ARP request or neighbour solicitation: a router that drops echo requests
    replies to those. Without a route to the target there is no reply."""
    port = ""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        pinger = Pinger(probe.target, probe.device)
        stack.callback(pinger.close)
        neighbour = NdpProbe(probe.target, probe.device) if ":" in probe.target else ArpProbe(probe.target)
        stack.callback(neighbour.close)
        end = time.monotonic() + TRY["gateway"]
        waiting = _send([pinger, neighbour])
        while waiting and (remaining := end - time.monotonic()) > 0:
            for sender in [s for s in waiting if 1 in s.replies(min(remaining, 0.05))]:
                try:
                    if _require_outside(sender):
                        return True
                except GuestReply as reply:
                    port = reply.port
                # the other one may still get a reply; of several neighbours, the next one may be outside
                waiting = [s for s in waiting if s is not sender or isinstance(s, (ArpProbe, NdpProbe))]
    if port:
        raise GuestReply(port)
    return False


def _probe_ping(probe: Probe) -> bool:
    with _along_route(probe.target), contextlib.closing(Pinger(probe.target, probe.device)) as pinger:
        end = time.monotonic() + TRY["ping"]
        sent = _send([pinger])
        while sent and (remaining := end - time.monotonic()) > 0:
            if 1 in pinger.replies(remaining):
                return _require_outside(pinger)
    return False


Sender = Union[Pinger, ArpProbe, NdpProbe]


def _send(senders: Sequence[Sender]) -> list[Sender]:
    """Send one request with each sender; return those that could."""
    return [sender for sender in senders if sender.send(1)]


def _require_outside(sender: Sender) -> bool:
    """Return whether the reply that a sender got has come on the device where it must. Raises GuestReply if it came
    through a guest's port, HostError and OSError if that cannot be read."""
    if isinstance(sender, Pinger):
        path = _find_path(sender.address, sender.device)
        if path.port:
            raise GuestReply(path.port)
        # what comes from behind a router may arrive on another device
        return path.neighbour != sender.address or path.device in ("lo", sender.arrived_on)
    rows = {str(row["ifname"]): row for row in links.read_ip_links()}
    counts, port = judge_arrivals(sender.device, sender.arrivals, rows)
    if not counts and port:
        raise GuestReply(port)
    return counts


def _probe_dns(probe: Probe, port: int = 53) -> bool:
    """Send a DNS query; any reply counts, also a refusal."""
    family = socket.AF_INET6 if ":" in probe.target else socket.AF_INET
    with _along_route(probe.target), socket.socket(family, socket.SOCK_DGRAM) as channel:
        end = time.monotonic() + TRY["dns"]
        channel.connect((probe.target, port))
        identity = os.urandom(2)
        channel.send(identity + _QUERY)
        while (remaining := end - time.monotonic()) > 0:
            channel.settimeout(remaining)
            reply = channel.recv(4096)
            if len(reply) >= 12 and reply[:2] == identity and reply[2] & 0x80:
                return True
    return False


def _probe_tcp(probe: Probe) -> bool:
    host, port = split_target(probe)
    through_guest = None
    for address in _resolve(host, port):  # each for itself: only one of them may lead to a guest
        try:
            with contextlib.suppress(OSError, HostError), _along_route(address):
                with socket.create_connection((address, port), timeout=TRY["tcp"]):
                    pass
                return True
        except GuestReply as error:
            through_guest = error
    if through_guest is not None:
        raise through_guest
    return False


def _resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _probe_http(probe: Probe) -> bool:
    """Send an HTTP request; any status below 500 counts. Redirections are not followed, and the certificate is not
    verified: only the connection is tested."""
    import http.client
    import ssl

    secure, host, port, path = url_parts(probe.target)
    if secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=TRY["http"], context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TRY["http"])
    try:
        connection.connect()
        with _along_route(str(connection.sock.getpeername()[0])):
            connection.request("GET", path, headers={"User-Agent": "kvmnet"})
            return connection.getresponse().status < 500
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def _run_command(probe: Probe) -> bool:
    """Run the probe's command; return whether it ended with exit code 0 in time. Otherwise it is killed, with the
    processes that it started."""
    process = subprocess.Popen(
        list(probe.command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": programs.PROGRAM_PATH, "LC_ALL": "C"},
        start_new_session=True,
    )
    try:
        return process.wait(TRY["command"]) == 0
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


_TRY_KIND: dict[str, Callable[[Probe], bool]] = {
    "gateway": _probe_neighbour,
    "peer": _probe_neighbour,
    "dns": _probe_dns,
    "ping": _probe_ping,
    "tcp": _probe_tcp,
    "http": _probe_http,
    "command": _run_command,
}
