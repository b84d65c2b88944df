"""Reads running domains and active networks from libvirt, if there is one: kvmnet works without libvirt.

It uses libvirt's Python binding if this Python has it, otherwise `virsh`. libvirt is only read, and no call takes
longer than a few seconds: a libvirt that hangs must not prevent a change of the network.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmnet.core.live.running_guests import guest_of
from kvmnet.system import clock, programs
from kvmnet.system.errors import HostError

URI = "qemu:///system"
#: Seconds until libvirt must have answered.
PATIENCE = 8.0
#: The sockets of libvirtd and of the modular virtqemud. They exist too while systemd waits to start the daemon.
SOCKETS = ("/run/libvirt/libvirt-sock-ro", "/run/libvirt/virtqemud-sock-ro")
#: libvirt keeps a file here for each running guest.
STATUS_DIR = "/run/libvirt/qemu"
#: libvirt keeps a file here for each defined domain, and in its folder `networks` for each network.
DEFINITIONS = "/etc/libvirt/qemu"
#: The programs that know libvirt's version: its daemons, and its client.
_PROGRAMS = ("virtqemud", "libvirtd", "virsh")
_SEPARATOR = "= kvmnet ="


class LibvirtError(Exception):
    """libvirt is installed but did not answer. The message has the reason."""


@dataclass(frozen=True)
class LibvirtXml:
    """The XML of the running domains and of the active networks."""

    domains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


def list_running_guests() -> list[str] | None:
    """Return the names of the running guests, or None if libvirt is not running on this host. Raises LibvirtError."""
    xml = read_libvirt_xml()
    if not xml.domains and not _is_listening():
        return None
    return [guest.name for text in xml.domains if (guest := guest_of(text)) is not None]


def read_libvirt_xml(seconds: float = PATIENCE) -> LibvirtXml:
    """Return the XML of what is running; it is empty if libvirt is not running on this host.

    Raises LibvirtError if libvirt does not answer within `seconds`, or if guests are running without libvirt.
    """
    if not _is_listening():
        if list(Path(STATUS_DIR).glob("*.xml")):
            raise LibvirtError("guests are running, but libvirt is not")
        return LibvirtXml()
    binding = _binding()
    if binding is not None:
        return _read_with_binding(binding, seconds)
    if shutil.which("virsh", path=programs.PROGRAM_PATH) is None:
        raise LibvirtError("libvirt is running, but neither its Python binding nor virsh is installed")
    return _read_with_virsh(seconds)


def read_version() -> str:
    """Return the version of the installed libvirt, or "" if there is none. Works without a running daemon."""
    for program in _PROGRAMS:
        if shutil.which(program, path=programs.PROGRAM_PATH) is not None:
            with contextlib.suppress(HostError):
                version = re.search(r"[0-9]+(\.[0-9]+)+", programs.run(program, "--version"))
                if version is not None:
                    return version[0]
    return ""


def read_defined_xml(root: Path = Path("/")) -> LibvirtXml:
    """Return the XML of the domains and networks that are defined, running or not, from libvirt's files: libvirt need
    not run, and only root may read them. Files that cannot be read are left out."""
    folders = (DEFINITIONS, f"{DEFINITIONS}/networks")
    domains, networks = (tuple(_read_files(root / folder.lstrip("/"))) for folder in folders)
    return LibvirtXml(domains, networks)


def _read_files(folder: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*.xml")):
            with contextlib.suppress(OSError):
                yield path.read_text(encoding="utf-8", errors="replace")


def _is_listening() -> bool:
    return any(Path(path).exists() for path in SOCKETS)


def _binding() -> Any:
    try:
        return importlib.import_module("libvirt")
    except ImportError:
        return None


def _read_with_binding(libvirt: Any, seconds: float) -> LibvirtXml:
    """Read with the binding in a thread, since its calls cannot be interrupted."""
    answer: list[LibvirtXml | Exception] = []

    def read() -> None:
        try:
            answer.append(_call_binding(libvirt))
        except Exception as error:  # libvirtError: a class of a module that the type checker does not have
            answer.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer:
        raise LibvirtError(f"no answer within {seconds:.0f} s")
    if isinstance(answer[0], Exception):
        raise LibvirtError(str(answer[0])) from answer[0]
    return answer[0]


def _call_binding(libvirt: Any) -> LibvirtXml:
    libvirt.registerErrorHandler(lambda *_: None, None)  # by default each error is written to stderr
    connection = libvirt.openReadOnly(URI)
    try:
        domains = _read_descriptions(libvirt, connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE))
        try:
            active = connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE) if domains else []
        except libvirt.libvirtError:  # modular daemons without one for networks
            active = []
        return LibvirtXml(domains, _read_descriptions(libvirt, active))
    finally:
        connection.close()


def _read_descriptions(libvirt: Any, objects: Any) -> tuple[str, ...]:
    descriptions = []
    for one in objects:
        try:
            descriptions.append(str(one.XMLDesc()))
        except libvirt.libvirtError:  # it has ended meanwhile
            continue
    return tuple(descriptions)


def _read_with_virsh(seconds: float) -> LibvirtXml:
    """Read with at most three calls of virsh, for any number of guests.

    virsh continues after a failed command, so a guest that has ended meanwhile or a missing network daemon is skipped.
    """
    end = clock.uptime() + seconds
    networks, _, domains = _virsh(f"net-list --uuid; echo {_SEPARATOR}; list --uuid", end).partition(_SEPARATOR)
    if not domains.split():
        return LibvirtXml()
    domain_text = _virsh("; ".join(f"dumpxml {uuid}" for uuid in domains.split()), end, may_fail=True)
    network_text = ""
    if networks:
        network_text = _virsh("; ".join(f"net-dumpxml {uuid}" for uuid in networks.split()), end, may_fail=True)
    return LibvirtXml(_split_documents(domain_text, "domain"), _split_documents(network_text, "network"))


def _virsh(commands: str, end: float, may_fail: bool = False) -> str:
    """Return the output of virsh commands, which must end until the uptime `end`. Raises LibvirtError if the last one
    fails; with `may_fail` each of them may fail."""
    command = ("virsh", "--readonly", "--quiet", "--connect", URI, f"{commands}; echo" if may_fail else commands)
    try:
        return programs.run(*command, timeout=max(end - clock.uptime(), 0.5))
    except HostError as error:
        lines = str(error).replace(f"{' '.join(command)}: ", "").splitlines()
        raise LibvirtError(lines[0] if lines else "virsh failed") from error


def _split_documents(text: str, tag: str) -> tuple[str, ...]:
    """Return the XML documents in a text. libvirt indents all lines of a document but the first and the last one."""
    return tuple(re.findall(rf"^<{tag}\b.*?^</{tag}>", text, re.MULTILINE | re.DOTALL))
