"""Reads which addresses services of this host move between hosts: keepalived, pacemaker, CTDB.

core/live/virtual_addresses explains why an address counts as virtual, and understands the files.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from kvmnet.core.live.virtual_addresses import (
    Claim,
    find_ctdb_addresses,
    find_keepalived_addresses,
    find_pacemaker_addresses,
)
from kvmnet.system import links
from kvmnet.system.types import Json

#: keepalived.conf(5): include, and its variants that differ in what they report.
_INCLUDE = re.compile(r"^\s*include[abemrw]*\s+(\S+)", re.MULTILINE)
_MAX_INCLUDES = 8
#: The names of IFA_PROTO for addresses that the kernel has set (iproute2, rt_addrprotos).
_KERNEL_MARKS = (None, "", "unspec", "kernel_lo", "kernel_ra", "kernel_ll", "0", "1", "2", "3")


class _Service(NamedTuple):
    """A service: the beginning of its processes' name, its file, and the function that finds the addresses in it."""

    name: str
    process: str
    file: str
    find_addresses: Callable[[str], Iterator[str]]


_SERVICES = (
    _Service("keepalived", "keepalived", "/etc/keepalived/keepalived.conf", find_keepalived_addresses),
    _Service("pacemaker", "pacemakerd", "/var/lib/pacemaker/cib/cib.xml", find_pacemaker_addresses),
    _Service("CTDB", "ctdbd", "/etc/ctdb/public_addresses", find_ctdb_addresses),
)


def read_claims(proc: Path = Path("/proc")) -> tuple[Claim, ...]:
    """Return the addresses that running services claim. A file that the user may not read claims none.

    The file is read as the process sees it: it may run in a container with the host's network. A process in another
    network namespace sets no address of this host.
    """
    claims: dict[tuple[str, str], Claim] = {}
    for process in proc.glob("[0-9]*"):
        name = _read_text(process / "comm").strip()
        service = next((s for s in _SERVICES if name.startswith(s.process)), None)
        if service is None or not _has_network_of(process, proc):
            continue
        file = _find_config_option(process) if service.name == "keepalived" else ""
        for ip in service.find_addresses(_read_config(process / "root", file or service.file)):
            claims.setdefault((service.name, ip), Claim(ip, service.name, file or service.file))
    return tuple(claims[key] for key in sorted(claims))


def _has_network_of(process: Path, proc: Path) -> bool:
    """Whether a process is in the network namespace of this one; also true if that is unknown."""
    with contextlib.suppress(OSError):
        return (process / "ns/net").readlink() == (proc / "self/ns/net").readlink()
    return True


def _find_config_option(process: Path) -> str:
    """Return the file of keepalived's option -f or --use-file, or ""."""
    words = _read_text(process / "cmdline").split("\0")
    for word, following in zip(words, [*words[1:], ""]):
        if word in ("-f", "--use-file"):
            return following
        if word.startswith("--use-file=") or (word.startswith("-f") and len(word) > 2):
            return word.removeprefix("--use-file=").removeprefix("-f")
    return ""


def _read_config(root: Path, file: str, depth: int = 0) -> str:
    """Return a configuration file below this root, with the files that it includes in their places. For users that may
    not follow the process's root, the file of this host."""
    top = root if os.access(root / ".", os.R_OK) else Path("/")
    text = _read_text(top / file.lstrip("/"))
    if depth >= _MAX_INCLUDES:
        return text

    def include(line: re.Match[str]) -> str:
        pattern = Path(file).parent / line[1].strip('"')
        paths = sorted(top.glob(str(pattern).lstrip("/")))
        return "\n".join(_read_config(root, f"/{path.relative_to(top)}", depth + 1) for path in paths)

    return _INCLUDE.sub(include, text)


def read_marks() -> dict[tuple[str, str], str]:
    """Return which service has marked an address (IFA_PROTO), by interface and address without prefix. Raises
    HostError."""
    return find_marks(links.read_ip_addresses())


def find_marks(rows: list[Json]) -> dict[tuple[str, str], str]:
    """Return the marks in the rows of `links.read_ip_addresses`."""
    return {
        (row["ifname"], address["local"]): str(address["protocol"])
        for row in rows
        for address in row.get("addr_info", [])
        if "local" in address and address.get("protocol") not in _KERNEL_MARKS
    }


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the process has ended, or the user may not read it
        return ""
