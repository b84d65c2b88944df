"""Finds by which interface this host reaches the git server, and whether a fetch by it can confirm a change."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Optional

from kvmnet.core.base.git_remote import GitRemote
from kvmnet.host.git_client import find_ssh_host
from kvmnet.host.reply_path import find_reply_path
from kvmnet.system import programs
from kvmnet.system.errors import HostError


@dataclass(frozen=True)
class ServerPath:
    """The path to one address of the server: the address, and this host's own address and interface that it leaves by.
    `is_local`: the server is this host."""

    peer: str
    address: str
    device: str
    is_local: bool = False


def find_paths(remote: GitRemote) -> list[ServerPath]:
    """Return the paths to all addresses of the server that the kernel has a route to; none when its name cannot be
    resolved."""
    try:
        rows = socket.getaddrinfo(find_ssh_host(remote), remote.port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    peers = dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows)
    return [path for peer in peers if (path := _find_path(peer)) is not None]


def _find_path(peer: str) -> Optional[ServerPath]:
    with contextlib.suppress(HostError, LookupError, TypeError):
        route = programs.run_json("ip", "-j", "route", "get", peer)[0]
        is_local = route.get("type") == "local" or route["dev"] == "lo"
        return ServerPath(peer, str(route.get("prefsrc", "")), str(route["dev"]), is_local)
    return None


def find_flaw(paths: Sequence[ServerPath], proving: Collection[str] = ()) -> Optional[str]:
    """Return why a fetch over these paths does not show that the host is reachable; None when it does.

    It must leave this host, not through the port of a guest or container, and by an interface of `proving` (empty: by
    any). All addresses of the server are judged, because it is unknown which of them git has used."""
    if not paths:
        return "no route leads to the git server"
    for path in paths:
        if path.is_local:
            return f"the git server {path.peer} is this host itself"
        if proving and path.device not in proving:
            return f"the git server {path.peer} is reached by {path.device}, which the change does not affect"
        try:
            port = find_reply_path(path.peer, path.address).port
        except HostError as error:
            return f"the path to the git server {path.peer} cannot be read: {error}"
        if port:
            return f"the git server {path.peer} is reached through a guest or container on this host (port {port})"
    return None
