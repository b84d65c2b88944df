"""Installs libvirt's hook (kvmnet/hook.py) on this host, with its udev rule and its systemd unit; removes it again."""

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
#: The daemon that runs guests: the monolithic one (Debian, EL 8) or that of the qemu driver (EL 9 and later).
DAEMONS = ("libvirtd.service", "virtqemud.service")
SELINUX = "/sys/fs/selinux"

#: A udev rule, since NetworkManager waits for udev before it looks at a new device, and the property survives a restart
#: of NetworkManager. A profile in memory would be changed by nmstate.
_RULE = f"""# Written by kvmnet: NetworkManager ignores the VLAN devices that libvirt's hook creates for guests.
SUBSYSTEM=="net", ACTION!="remove", TEST=="{hook.RUN_DIR}/vlans/$name", ENV{{NM_UNMANAGED}}="1"
"""

_UNIT = f"""# Written by kvmnet.
[Unit]
Description=Create missing and remove unused VLAN devices of running guests
After={" ".join(DAEMONS)}

[Service]
Type=oneshot
ExecStart={SYSTEM_PYTHON} -I {HOOK} --reconcile

[Install]
WantedBy={" ".join(DAEMONS)}
"""


def _files() -> dict[str, tuple[bytes, int]]:
    """Return the content and mode of each file to install, by its path."""
    return {
        RULE: (_RULE.encode(), 0o644),
        UNIT_FILE: (_UNIT.encode(), 0o644),
        HOOK: (Path(hook.__file__).read_bytes(), 0o755),
    }


@dataclass(frozen=True)
class HookStatus:
    """The state of the installation: missing files, files that differ from those of this version, the output of the
    hook's --status (None if it does not run), and whether the unit starts with libvirt."""

    missing: tuple[str, ...]
    differing: tuple[str, ...]
    report: Optional[dict[str, Any]]
    enabled: bool

    @property
    def installed(self) -> bool:
        """Whether all files are those of this version and the unit is enabled."""
        return not self.missing and not self.differing and self.enabled


def is_blocked_by_selinux() -> bool:
    """Whether SELinux prevents libvirt's hooks from changing links. Guests with on-demand VLANs cannot start then."""
    try:
        enforced = Path(SELINUX, "enforce").read_text(encoding="ascii").strip() == "1"
        return enforced and Path(SELINUX, "booleans/virt_hooks_unconfined").read_text(encoding="ascii")[:1] == "0"
    except OSError:  # no SELinux, or a policy without it
        return False


def is_missing() -> bool:
    """Whether this host has libvirt but not the hook."""
    return Path(LIBVIRT).is_dir() and not Path(HOOK).exists()


def install(print_line: Callable[[str], None], restart: bool = True) -> None:
    """Install the hook, its udev rule and its unit, and print each change with `print_line`.

    libvirt looks for new hooks only when it starts, so with `restart` a running daemon is restarted; guests keep
    running. Raises Refused if the host has no libvirt.
    """
    if not Path(LIBVIRT).is_dir():
        message = "libvirt is not installed on this host (/etc/libvirt does not exist)"
        raise Refused(message, "only hosts that run guests need the hook")
    is_changed = False
    for path, (data, mode) in _files().items():
        target = Path(path)
        if not target.is_file() or not _as_installed(target, data, mode):
            files.write_file(path, data, mode)
            print_line(f"wrote {path}")
            is_changed = True
    programs.run("udevadm", "control", "--reload")
    programs.run("systemctl", "daemon-reload")
    if not _ask_systemd("is-enabled", UNIT):
        programs.run("systemctl", "enable", UNIT)
        print_line(f"enabled {UNIT}")
    for daemon in _list_active_daemons() if is_changed else ():
        if restart:
            programs.run("systemctl", "restart", daemon, timeout=120)
            print_line(f"restarted {daemon} so that it uses the new hook; guests keep running")
        else:
            print_line(f"{daemon} uses the new hook only after a restart: systemctl restart {daemon}")
    for line in reconcile():
        print_line(line)


def remove(print_line: Callable[[str], None]) -> None:
    """Remove the hook, its udev rule and its unit. Its VLAN devices are kept, and printed with `print_line`."""
    if Path(UNIT_FILE).exists():
        programs.run("systemctl", "disable", UNIT)
    for path in (HOOK, UNIT_FILE, RULE):
        if Path(path).exists():
            files.remove_file(path)
            print_line(f"removed {path}")
    programs.run("systemctl", "daemon-reload")
    programs.run("udevadm", "control", "--reload")
    for device, facts in hook.read_status({})["devices"].items():
        if facts["there"]:
            guests = ", ".join(facts["guests"]) or "no known guest"
            print_line(f"{device} is kept ({guests}); remove it when no guest needs it: ip link delete {device}")


def reconcile() -> list[str]:
    """Run the hook's --reconcile; return a line for each VLAN device that it created or removed. Raises Refused if the
    hook is not installed."""
    if not Path(HOOK).exists():
        raise Refused("the hook is not installed", "run `kvmnet hook install`")
    return programs.run(SYSTEM_PYTHON, "-I", HOOK, "--reconcile", timeout=60).splitlines()


def read_installation() -> HookStatus:
    """Return the state of the installation."""
    missing, differing = [], []
    for path, (data, mode) in _files().items():
        target = Path(path)
        if not target.is_file():
            missing.append(path)
        elif not _as_installed(target, data, mode):
            differing.append(path)
    report = None
    if HOOK not in missing:
        try:
            report = json.loads(programs.run(SYSTEM_PYTHON, "-I", HOOK, "--status"))
        except (HostError, ValueError):
            report = None
    return HookStatus(
        tuple(missing), tuple(differing), report, UNIT_FILE in missing or _ask_systemd("is-enabled", UNIT)
    )


def _as_installed(target: Path, data: bytes, mode: int) -> bool:
    return target.read_bytes() == data and target.stat().st_mode & 0o777 == mode


def _list_active_daemons() -> list[str]:
    return [daemon for daemon in DAEMONS if _ask_systemd("is-active", daemon)]


def _ask_systemd(question: str, unit: str) -> bool:
    """Whether `systemctl QUESTION UNIT` succeeds: is-active, is-enabled."""
    try:
        programs.run("systemctl", question, "--quiet", unit)
    except HostError:
        return False
    return True
