"""Probes as plain data: a target that replies before a change must reply after it.

Probes of the kinds `gateway` and `dns` come from the state, `peer` is the machine that the operator connects from, and
the others come from `probes` in the definition.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import urlsplit

#: Kinds that a definition, and therefore a bundle, can contain.
OWN_KINDS = ("ping", "tcp", "http", "command")
KINDS = ("gateway", "peer", "dns", *OWN_KINDS)

_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\Z")
_NUMBERS = re.compile(r"[0-9.]+\Z")


@dataclass(frozen=True)
class Probe:
    """A probe of one kind and one target.

    `target` is an address (gateway, peer, dns, ping), HOST:PORT (tcp) or a URL (http). `command` is a program with its
    arguments. `device` is the interface that a link-local address needs.
    """

    kind: str
    target: str = ""
    device: str = ""
    command: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The probe as text for messages: `10.1.1.1`, `fe80::1%eth0`, `name server 10.1.0.53`, `tcp 10.1.1.1:22`."""
        if self.kind in ("gateway", "peer", "ping"):
            return f"{self.target}%{self.device}" if self.device else self.target
        if self.kind == "dns":
            return f"name server {self.target}"
        return self.target if self.kind == "http" else f"{self.kind} {self.target or ' '.join(self.command)}"

    @property
    def address(self) -> Optional[str]:
        """The IP address of the target; None for a command, and for a tcp or http probe of a host name."""
        if self.kind in ("tcp", "http"):
            host = split_target(self)[0]
            return host if _is_ip(host) else None
        return str(ipaddress.ip_address(self.target)) if self.kind != "command" else None

    def to_json(self) -> dict[str, Any]:
        """Return the probe as in a definition: `{"tcp": "10.1.1.1:22"}`, with `device` if it has one."""
        row: dict[str, Any] = {self.kind: list(self.command) if self.kind == "command" else self.target}
        return {**row, "device": self.device} if self.device else row

    @classmethod
    def from_json(cls, row: Mapping[str, Any], kinds: tuple[str, ...] = KINDS) -> Probe:
        """Return the probe of a JSON object. Raises ValueError if it is none of `kinds` or its target is invalid."""
        kind = next((kind for kind in kinds if kind in row), None)
        known = {kind} if kinds == OWN_KINDS else {kind, "device"}
        if kind is None or not known >= set(row):
            raise ValueError(f"a probe must be one of {', '.join(kinds)}")
        if kind == "command":
            command = tuple(row[kind]) if isinstance(row[kind], list) else ()
            if not command or not all(isinstance(argument, str) and argument for argument in command):
                raise ValueError("command must be a list of non-empty strings")
            return cls(kind, command=command)
        target = str(row[kind])
        FORMS[kind](target)
        return cls(kind, target, str(row.get("device", "")))


def split_target(probe: Probe) -> tuple[str, int]:
    """Return the host and port of a tcp or http probe."""
    return host_port(probe.target) if probe.kind == "tcp" else url_parts(probe.target)[1:3]


def host_port(text: str) -> tuple[str, int]:
    """Return the host and port of `10.1.1.1:22`, `[2001:db8::1]:22` or `name:22`. Raises ValueError if invalid."""
    host, _, port = text.rpartition(":")
    if not _PORT.match(port) or int(port) > 65535:
        raise ValueError("the port must be a number from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return str(_plain_ip(host[1:-1], 6)), int(port)
    return _host(host), int(port)


def url_parts(text: str) -> tuple[bool, str, int, str]:
    """Return whether a URL is https, its host, its port, and its path with the query. Raises ValueError if invalid.

    A URL with user or password is invalid, because definitions must not contain secrets.
    """
    if not text.isascii() or re.search(r"[\x00-\x20\x7f\\]", text):
        raise ValueError("not a URL")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("not an http or https URL, or one with user, password or fragment")
    host = str(_plain_ip(parts.hostname, 6)) if ":" in parts.hostname else _host(parts.hostname)
    port = parts.port if parts.port is not None else 443 if parts.scheme == "https" else 80
    if not port:
        raise ValueError("the port must be a number from 1 to 65535")
    return parts.scheme == "https", host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _host(text: str) -> str:
    """Return a host name or IPv4 address. Raises ValueError if invalid.

    Text of digits and dots must be an IPv4 address: 10.1.1.300 is not a host name.
    """
    if _NUMBERS.match(text):
        return str(_plain_ip(text, 4))
    if not _NAME.match(text):
        raise ValueError("not a host name")
    return text


def _plain_ip(text: str, version: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    ip = ipaddress.ip_address(text)
    if ip.version != version or "%" in text:
        raise ValueError(f"not an IPv{version} address")
    return ip


def _is_ip(text: str) -> bool:
    return ":" in text or _NUMBERS.match(text) is not None


FORMS = {
    "gateway": ipaddress.ip_address,
    "peer": ipaddress.ip_address,
    "dns": ipaddress.ip_address,
    "ping": ipaddress.ip_address,
    "tcp": host_port,
    "http": url_parts,
}
