"""The address of a git repository on a server: which are accepted, and to which host and port they lead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

#: The protocols that authenticate the server, and those that do not: whoever is on the way can change what they carry.
AUTHENTICATED, PLAIN = ("ssh", "https"), ("http", "git")
_DEFAULT_PORTS = {"ssh": 22, "https": 443, "http": 80, "git": 9418}

#: Written as scp does: [USER@]HOST:PATH.
_SCP = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?([A-Za-z0-9][A-Za-z0-9_.-]*):(?!//|:)[^\s]+\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\Z")
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*\Z")


@dataclass(frozen=True)
class GitRemote:
    """A repository on a server: its URL, the protocol, and the server's host name or address and port."""

    url: str
    protocol: str
    host: str
    port: int

    @property
    def is_authenticated(self) -> bool:
        """Whether the protocol authenticates the server."""
        return self.protocol in AUTHENTICATED


def parse_remote(url: str) -> GitRemote:
    """Return the repository of a URL, or of `[USER@]HOST:PATH`. Raises ValueError with the reason if it is not
    accepted: a local path, a transport that starts programs (ext::), a password in the URL."""
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\'\"]", url):
        raise ValueError("not the URL of a git repository")
    if scp := _SCP.match(url):
        return GitRemote(url, "ssh", scp[1], _DEFAULT_PORTS["ssh"])
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("not an ssh, https, http or git URL of a server")
    if parts.password is not None:
        raise ValueError("a URL must not contain a password")
    host = parts.hostname or ""
    if not _HOST.match(host) and not re.fullmatch(r"[0-9a-f:.]*:[0-9a-f:.]*", host):
        raise ValueError("the URL has no valid host")
    if parts.query or parts.fragment or not parts.path.strip("/"):
        raise ValueError("the URL has no path of a repository, or more than that")
    return GitRemote(url, parts.scheme, host, parts.port or _DEFAULT_PORTS[parts.scheme])


def is_branch_name(text: str) -> bool:
    """Whether this is the name of a branch that git cannot take for an option, an expression or a pattern
    (git-check-ref-format(1))."""
    is_odd = ".." in text or "//" in text or "/." in text or text.endswith(("/", ".", ".lock")) or ".lock/" in text
    return bool(_BRANCH.match(text)) and not is_odd and len(text) <= 200
