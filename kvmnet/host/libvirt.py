"""What libvirt on this host says, where there is a libvirt: kvmnet works without it too.

By libvirt's own Python binding where this Python has it, else by `virsh`. Only asked, never changed, and never waited
for longer than a few seconds: a libvirt that hangs must not stop a change of the network.
"""

from __future__ import annotations

import importlib
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmnet.core.live.running_guests import guest_of
from kvmnet.system import clock, programs
from kvmnet.system.errors import HostError

URI = "qemu:///system"
#: Seconds that libvirt has for its answer.
PATIENCE = 8.0
#: Where libvirtd, or the modular virtqemud, listens; systemd does in its place while it is not started.
SOCKETS = ("/run/libvirt/libvirt-sock-ro", "/run/libvirt/virtqemud-sock-ro")
#: libvirt's own notes of what runs
STATUS_DIR = "/run/libvirt/qemu"
_MARK = "= kvmnet ="


class LibvirtError(Exception):
    """There is a libvirt, but it does not answer; the text says why."""


@dataclass(frozen=True)
class Told:
    """The XML of the running domains and of the active networks."""

    domains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


def running_guests() -> list[str] | None:
    """The names of the guests that run here; None on a machine where no libvirt listens. Raises LibvirtError."""
    told = ask_libvirt()
    if not told.domains and not _listens():
        return None
    return [guest.name for text in told.domains if (guest := guest_of(text)) is not None]


def ask_libvirt(seconds: float = PATIENCE) -> Told:
    """What runs here; empty on a machine where no libvirt listens. Raises LibvirtError, after `seconds` at most, when
    it does not answer, or when guests run and nobody is there to tell of them."""
    if not _listens():
        if list(Path(STATUS_DIR).glob("*.xml")):
            raise LibvirtError("guests run here, but libvirt does not")
        return Told()
    binding = _binding()
    if binding is not None:
        return _by_binding(binding, seconds)
    if shutil.which("virsh", path=programs.PROGRAM_PATH) is None:
        raise LibvirtError("libvirt is here, but neither its Python binding nor virsh")
    return _by_virsh(seconds)


def _listens() -> bool:
    return any(Path(path).exists() for path in SOCKETS)


def _binding() -> Any:
    try:
        return importlib.import_module("libvirt")
    except ImportError:
        return None


def _by_binding(libvirt: Any, seconds: float) -> Told:
    """In a thread that nobody waits for longer: a call of the binding cannot be cut off."""
    answer: list[Told | Exception] = []

    def ask() -> None:
        try:
            answer.append(_read_by_binding(libvirt))
        except Exception as error:  # libvirtError is a class of a module that is not there for the type checker
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer:
        raise LibvirtError(f"no answer within {seconds:.0f} s")
    if isinstance(answer[0], Exception):
        raise LibvirtError(str(answer[0])) from answer[0]
    return answer[0]


def _read_by_binding(libvirt: Any) -> Told:
    libvirt.registerErrorHandler(lambda *_: None, None)  # it would write each error to stderr
    connection = libvirt.openReadOnly(URI)
    try:
        domains = _described(libvirt, connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE))
        try:
            active = connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE) if domains else []
        except libvirt.libvirtError:  # modular daemons, and none for networks
            active = []
        return Told(domains, _described(libvirt, active))
    finally:
        connection.close()


def _described(libvirt: Any, objects: Any) -> tuple[str, ...]:
    found = []
    for one in objects:
        try:
            found.append(str(one.XMLDesc()))
        except libvirt.libvirtError:  # it went meanwhile
            continue
    return tuple(found)


def _by_virsh(seconds: float) -> Told:
    """Two calls for any number of guests. virsh goes on after a command that failed, so a guest that has gone
    meanwhile, or a daemon for networks that is not there, does no harm."""
    end = clock.uptime() + seconds
    networks, _, domains = _virsh(f"net-list --uuid; echo {_MARK}; list --uuid", end).partition(_MARK)
    if not domains.split():
        return Told()
    text = _virsh("; ".join(f"dumpxml {uuid}" for uuid in domains.split()), end, whole=False)
    more = _virsh("; ".join(f"net-dumpxml {uuid}" for uuid in networks.split()), end, whole=False) if networks else ""
    return Told(_documents(text, "domain"), _documents(more, "network"))


def _virsh(commands: str, end: float, whole: bool = True) -> str:
    """What some commands print, until `end` (see `rescue.uptime`); with `whole` the last one must not fail."""
    command = ("virsh", "--readonly", "--quiet", "--connect", URI, commands if whole else f"{commands}; echo")
    try:
        return programs.run(*command, timeout=max(end - clock.uptime(), 0.5))
    except HostError as error:
        lines = str(error).replace(f"{' '.join(command)}: ", "").splitlines()
        raise LibvirtError(lines[0] if lines else "virsh failed") from error


def _documents(text: str, tag: str) -> tuple[str, ...]:
    """The XML documents in a text, one after another: libvirt indents all but the first and the last line of each."""
    return tuple(re.findall(rf"^<{tag}\b.*?^</{tag}>", text, re.MULTILINE | re.DOTALL))
