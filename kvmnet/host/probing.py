"""Ask what a probe asks, all probes at once, each again and again until its time is over."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Union

from kvmnet.core.base.probe import Probe, split_target, url_parts
from kvmnet.host.ndp import NdpProbe
from kvmnet.host.ping import ArpProbe, Pinger
from kvmnet.system import programs

#: Seconds that one try may take.
TRY = {"gateway": 1.0, "peer": 1.0, "ping": 1.0, "dns": 2.0, "tcp": 3.0, "http": 5.0, "command": 10.0}
#: Seconds between a try that ended early and the next.
PAUSE = 0.2
#: The root's NS, the one question that every name server knows (RFC 1035): header but for the id, question.
_QUERY = bytes.fromhex("01000001000000000000") + bytes.fromhex("0000020001")


def ask(probes: Sequence[Probe], seconds: float) -> list[Probe]:
    """Those that are answered. A try is begun within so many seconds, and may go on a little longer (`TRY`)."""
    end = time.monotonic() + seconds
    said: queue.SimpleQueue[tuple[Probe, bool]] = queue.SimpleQueue()

    def insist(probe: Probe) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
                if answers(probe):
                    return said.put((probe, True))
            if time.monotonic() + PAUSE > end:
                return said.put((probe, False))
            time.sleep(PAUSE)

    waiting = set(probes)
    for probe in waiting:
        threading.Thread(target=insist, args=(probe,), daemon=True).start()
    answered = set()
    # the name of a host may be looked up for longer than any try may take: such a probe is not waited for
    last = end + max((TRY[p.kind] for p in probes), default=0) + 1
    while waiting:
        try:
            probe, yes = said.get(timeout=max(0.0, last - time.monotonic()))
        except queue.Empty:
            break
        waiting.discard(probe)
        answered.update([probe] if yes else [])
    return [probe for probe in probes if probe in answered]


def answers(probe: Probe) -> bool:
    """One try. May raise OSError, ValueError or SubprocessError: no answer either."""
    return _KINDS[probe.kind](probe)


def _neighbour(probe: Probe) -> bool:
    """An ICMP echo, or ARP or NDP: a router that drops echo requests still answers those."""
    tries: list[Union[Pinger, ArpProbe, NdpProbe]] = []
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        tries.append(Pinger(probe.target, probe.device))
        stack.callback(tries[-1].close)
        neighbour = NdpProbe(probe.target, probe.device) if ":" in probe.target else ArpProbe(probe.target)
        tries.append(neighbour)  # not where there is no way there at all
        stack.callback(neighbour.close)
        return _replied(tries, TRY["gateway"])
    return False


def _ping(probe: Probe) -> bool:
    with contextlib.closing(Pinger(probe.target, probe.device)) as pinger:
        return _replied([pinger], TRY["ping"])


def _replied(tries: Sequence[Union[Pinger, ArpProbe, NdpProbe]], seconds: float) -> bool:
    end = time.monotonic() + seconds
    sent = [one.send(1) for one in tries]
    if not any(sent):
        return False
    while (left := end - time.monotonic()) > 0:
        if any(1 in one.replies(min(left, 0.05)) for one in tries):
            return True
    return False


def _dns(probe: Probe, port: int = 53) -> bool:
    """Any answer to a question counts, also a refusal: the name server is there."""
    family = socket.AF_INET6 if ":" in probe.target else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
        end = time.monotonic() + TRY["dns"]
        channel.connect((probe.target, port))
        identity = os.urandom(2)
        channel.send(identity + _QUERY)
        while (left := end - time.monotonic()) > 0:
            channel.settimeout(left)
            reply = channel.recv(4096)
            if len(reply) >= 12 and reply[:2] == identity and reply[2] & 0x80:
                return True
    return False


def _tcp(probe: Probe) -> bool:
    with socket.create_connection(split_target(probe), timeout=TRY["tcp"]):
        return True


def _http(probe: Probe) -> bool:
    """Any status below 500 counts; a redirection is not followed. The certificate is not looked at: the question
    is whether the way there is open."""
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
        connection.request("GET", path, headers={"User-Agent": "kvmnet"})
        return connection.getresponse().status < 500
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def _command(probe: Probe) -> bool:
    """Ended within its time with exit code 0; else it is ended, with whatever it started."""
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


_KINDS: dict[str, Callable[[Probe], bool]] = {
    "gateway": _neighbour,
    "peer": _neighbour,
    "dns": _dns,
    "ping": _ping,
    "tcp": _tcp,
    "http": _http,
    "command": _command,
}
