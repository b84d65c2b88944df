"""Runs probes: all at the same time, each repeatedly until its target replies or the time is over."""

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

#: The seconds that one try may take.
TRY = {"gateway": 1.0, "peer": 1.0, "ping": 1.0, "dns": 2.0, "tcp": 3.0, "http": 5.0, "command": 10.0}
#: Seconds between two tries.
PAUSE = 0.2
#: A query for the name servers of the root, which every name server can answer (RFC 1035): the header without its ID,
#: and the question.
_QUERY = bytes.fromhex("01000001000000000000") + bytes.fromhex("0000020001")


def find_replying(probes: Sequence[Probe], seconds: float) -> list[Probe]:
    """Return the probes that got a reply. Each is tried for `seconds`; its last try may take longer (see `TRY`)."""
    end = time.monotonic() + seconds
    results: queue.SimpleQueue[tuple[Probe, bool]] = queue.SimpleQueue()

    def repeat(probe: Probe) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
                if has_reply(probe):
                    return results.put((probe, True))
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
    return [probe for probe in probes if probe in replied]


def has_reply(probe: Probe) -> bool:
    """Try a probe once; return whether its target replied. Raises OSError, ValueError or SubprocessError, which mean no
    reply too."""
    return _TRY_KIND[probe.kind](probe)


def _probe_neighbour(probe: Probe) -> bool:
    """Send an ICMP echo request, and an ARP request or neighbour solicitation: a router that drops echo requests
    replies to those. Without a route to the target there is no reply."""
    senders: list[Union[Pinger, ArpProbe, NdpProbe]] = []
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        senders.append(Pinger(probe.target, probe.device))
        stack.callback(senders[-1].close)
        neighbour = NdpProbe(probe.target, probe.device) if ":" in probe.target else ArpProbe(probe.target)
        senders.append(neighbour)
        stack.callback(neighbour.close)
        return _wait_for_reply(senders, TRY["gateway"])
    return False


def _probe_ping(probe: Probe) -> bool:
    with contextlib.closing(Pinger(probe.target, probe.device)) as pinger:
        return _wait_for_reply([pinger], TRY["ping"])


def _wait_for_reply(senders: Sequence[Union[Pinger, ArpProbe, NdpProbe]], seconds: float) -> bool:
    """Send one request with each sender; return whether one of them got a reply within `seconds`."""
    end = time.monotonic() + seconds
    is_sent = [sender.send(1) for sender in senders]
    if not any(is_sent):
        return False
    while (remaining := end - time.monotonic()) > 0:
        if any(1 in sender.replies(min(remaining, 0.05)) for sender in senders):
            return True
    return False


def _probe_dns(probe: Probe, port: int = 53) -> bool:
    """Send a DNS query; any reply counts, also a refusal."""
    family = socket.AF_INET6 if ":" in probe.target else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
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
    with socket.create_connection(split_target(probe), timeout=TRY["tcp"]):
        return True


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
