"""libvirt's hook on this host: its files, put there and taken away."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from kvmnet import hook
from kvmnet.core.base.errors import Refused
from kvmnet.system import files, programs
from kvmnet.system.errors import HostError
from kvmnet.system.programs import SYSTEM_PYTHON

LIBVIRT = "/etc/libvirt"
HOOK = "/etc/libvirt/hooks/qemu.d/kvmnet"
RULE = "/etc/udev/rules.d/85-kvmnet-guests.rules"
UNIT = "kvmnet-hook-reconcile.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
#: The daemon that runs guests: one of all drivers (Debian, EL 8), or that of qemu alone (EL 9 and later).
DAEMONS = ("libvirtd.service", "virtqemud.service")
SELINUX = "/sys/fs/selinux"

#: Before udev has run its rules NetworkManager does not look at a new device, and what udev knows of it outlives a
#: restart of NetworkManager; a profile in memory would be something for nmstate to change.
_RULE = f"""# Written by kvmnet: NetworkManager leaves alone the VLAN devices that libvirt's hook makes for guests.
SUBSYSTEM=="net", ACTION!="remove", TEST=="{hook.RUN_DIR}/vlans/$name", ENV{{NM_UNMANAGED}}="1"
"""

_UNIT = f"""# Written by kvmnet.
[Unit]
Description=The VLAN devices that running guests need, and no others
After={" ".join(DAEMONS)}

[Service]
Type=oneshot
ExecStart={SYSTEM_PYTHON} -I {HOOK} --reconcile

[Install]
WantedBy={" ".join(DAEMONS)}
"""


def _files() -> dict[str, tuple[bytes, int]]:
    return {
        RULE: (_RULE.encode(), 0o644),
        UNIT_FILE: (_UNIT.encode(), 0o644),
        HOOK: (Path(hook.__file__).read_bytes(), 0o755),
    }


@dataclass(frozen=True)
class HookStatus:
    """What of the hook is here: the files that are missing, those that are not as this version installs them, what
    the hook itself says (None: it does not run, or there is none), and whether its unit is started with libvirt."""

    missing: tuple[str, ...]
    other: tuple[str, ...]
    says: Optional[dict[str, Any]]
    enabled: bool

    @property
    def installed(self) -> bool:
        """Whether it is whole and of this version."""
        return not self.missing and not self.other and self.enabled


def confined() -> bool:
    """Whether SELinux keeps hooks of libvirt's from changing links: no guest on demand would start."""
    try:
        enforced = Path(SELINUX, "enforce").read_text(encoding="ascii").strip() == "1"
        return enforced and Path(SELINUX, "booleans/virt_hooks_unconfined").read_text(encoding="ascii")[:1] == "0"
    except OSError:  # no SELinux, or a policy without it
        return False


def wanting() -> bool:
    """Whether there is a libvirt here that our hook does not serve."""
    return Path(LIBVIRT).is_dir() and not Path(HOOK).exists()


def install(tell: Callable[[str], None], restart: bool = True) -> None:
    """Put the hook and what belongs to it in place; libvirt finds a first hook only when it starts, so with
    `restart` a running daemon is started anew (guests run on). Raises Refused without libvirt."""
    if not Path(LIBVIRT).is_dir():
        raise Refused("there is no libvirt on this machine (no /etc/libvirt)", "the hook is for hosts that run guests")
    changed = False
    for path, (data, mode) in _files().items():
        target = Path(path)
        if not target.is_file() or not _as_installed(target, data, mode):
            files.write_file(path, data, mode)
            tell(f"wrote {path}")
            changed = True
    programs.run("udevadm", "control", "--reload")
    programs.run("systemctl", "daemon-reload")
    if not _says_yes("is-enabled", UNIT):
        programs.run("systemctl", "enable", UNIT)
        tell(f"enabled {UNIT}")
    for daemon in _active() if changed else ():
        if restart:
            programs.run("systemctl", "restart", daemon, timeout=120)
            tell(f"restarted {daemon}, which sees a new hook only then; guests run on")
        else:
            tell(f"{daemon} sees a new hook only when it starts: systemctl restart {daemon}")
    for line in reconcile():
        tell(line)


def remove(tell: Callable[[str], None]) -> None:
    """Take the hook away. Devices that guests use stay, and are named: nobody removes them then."""
    if Path(UNIT_FILE).exists():
        programs.run("systemctl", "disable", UNIT)
    for path in (HOOK, UNIT_FILE, RULE):
        if Path(path).exists():
            files.remove_file(path)
            tell(f"removed {path}")
    programs.run("systemctl", "daemon-reload")
    programs.run("udevadm", "control", "--reload")
    for device, about in hook.status({})["devices"].items():
        if about["there"]:
            guests = ", ".join(about["guests"]) or "no known guest"
            tell(f"{device} stays ({guests}); without the hook nobody removes it: ip link delete {device}")


def reconcile() -> list[str]:
    """Have the hook make the devices those that running guests need; what it did. Raises Refused."""
    if not Path(HOOK).exists():
        raise Refused("the hook is not installed", "kvmnet hook install")
    return programs.run(SYSTEM_PYTHON, "-I", HOOK, "--reconcile", timeout=60).splitlines()


def status() -> HookStatus:
    """What is here; reads only."""
    missing, other = [], []
    for path, (data, mode) in _files().items():
        target = Path(path)
        if not target.is_file():
            missing.append(path)
        elif not _as_installed(target, data, mode):
            other.append(path)
    says = None
    if HOOK not in missing:
        try:
            says = json.loads(programs.run(SYSTEM_PYTHON, "-I", HOOK, "--status"))
        except (HostError, ValueError):
            says = None
    return HookStatus(tuple(missing), tuple(other), says, UNIT_FILE in missing or _says_yes("is-enabled", UNIT))


def _as_installed(target: Path, data: bytes, mode: int) -> bool:
    return target.read_bytes() == data and target.stat().st_mode & 0o777 == mode


def _active() -> list[str]:
    return [daemon for daemon in DAEMONS if _says_yes("is-active", daemon)]


def _says_yes(question: str, unit: str) -> bool:
    try:
        programs.run("systemctl", question, "--quiet", unit)
    except HostError:
        return False
    return True
