"""Installs what rolls a transaction back when its worker cannot: the rescue program, its boot units and its watchdog.

All of these run on the system's Python and need no other part of kvmnet, whose venv may be deleted.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import tempfile
from pathlib import Path

from kvmnet.core.base.errors import Refused
from kvmnet.rescue import BYTE_CODE, archive
from kvmnet.system import files, programs, state_folder, units
from kvmnet.system.errors import HostError
from kvmnet.system.programs import SYSTEM_PYTHON
from kvmnet.system.state_folder import PREVIOUS_RESCUE_PROGRAM, RESCUE_PROGRAM

UNIT_DIR = Path("/etc/systemd/system")
#: Makes and removes the links of enabled units without systemd: when systemd does it and is not reloaded afterwards,
#: `systemctl` warns at every unit of the host that it has changed (NeedDaemonReload, systemd 252 and 257).
_OFFLINE_SYSTEMCTL = ("systemctl", "--root=/")
#: The boot units. The second one is restarted when it fails, because there is no watchdog after a boot, and a DHCP
#: server may start later than this host. Ten tries of the longest duration fit into the three hours.
UNITS = {
    "kvmnet-boot-undo.service": """[Unit]
Description=kvmnet: restore the network after a power loss during a change
Documentation=file:{state}/rescue.pyz
ConditionPathExists={state}/open
RequiresMountsFor={state}
After=systemd-udevd.service systemd-udev-trigger.service
Before=network-pre.target NetworkManager.service
Wants=network-pre.target

[Service]
Type=oneshot
TimeoutStartSec=150
ExecStart={python} -I {state}/rescue.pyz --state {state} --boot --why "the host restarted during the change"

[Install]
WantedBy=multi-user.target
""",
    "kvmnet-boot-verify.service": """[Unit]
Description=kvmnet: verify the network after a power loss during a change
Documentation=file:{state}/rescue.pyz
ConditionPathExists={state}/open
RequiresMountsFor={state}
After=kvmnet-boot-undo.service NetworkManager.service firewalld.service
StartLimitIntervalSec=3h
StartLimitBurst=10

[Service]
Type=oneshot
TimeoutStartSec=600
SuccessExitStatus=3
Restart=on-failure
RestartSec=30
ExecStart={python} -I {state}/rescue.pyz --state {state} --booted --why "the host restarted during the change"

[Install]
WantedBy=multi-user.target
""",
}


def install(state_dir: Path, program: bytes) -> None:
    """Write the rescue program, as `try_rescue_program` returned it, and the boot units. Raises Refused on failure.

    The program of the previous layout is removed last: its boot units call it until they are replaced.
    """
    folder = state_dir
    try:
        _write_rescue_program(state_dir, program)
        folder = UNIT_DIR
        _install_units(state_dir)
        folder = state_dir
        files.remove_file(str(state_dir / PREVIOUS_RESCUE_PROGRAM))
    except OSError as error:
        raise not_written(folder, error) from error


def not_written(folder: Path, error: OSError) -> Refused:
    """Return the refusal for a file that a rollback needs and that could not be written to this folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refused(f"not enough disk space for a transaction in {folder}: {error}", "free 10 MB", "KVN510")
    return Refused(f"rollback cannot be prepared: {folder} cannot be written: {error}", None, "KVN509")


def try_rescue_program(state_dir: Path) -> bytes:
    """Return the rescue program for this host, after the system's Python has run it once. Raises Refused if it fails.

    This is done before the plan is shown, because a change that cannot be rolled back must not begin. The program in
    the state folder is used again when it has the sources of this kvmnet and byte code for the system's Python:
    building one takes the time of several starts.
    """
    installed = state_dir / RESCUE_PROGRAM
    with contextlib.suppress(OSError):
        program = installed.read_bytes()
        if archive.has_sources(program, archive.read_sources()) and _run_self_test(installed) == BYTE_CODE:
            return program
    program = _build()
    with tempfile.NamedTemporaryFile(prefix="kvmnet-", suffix=".pyz") as file:
        file.write(program)
        file.flush()
        _run_self_test(Path(file.name))
    return program


def _python() -> str:
    return SYSTEM_PYTHON if Path(SYSTEM_PYTHON).exists() else sys.executable


def _run_self_test(program: Path) -> str:
    """Run the rescue program's self-test; return rescue.BYTE_CODE or rescue.SOURCES. Raises Refused."""
    try:
        return programs.run(_python(), "-I", str(program), "--self-test").strip()
    except HostError as error:
        raise Refused(f"the rescue program does not run on this host: {error}", None, "KVN509") from error


def _build() -> bytes:
    try:
        return archive.build_by(_python())
    except HostError as error:
        raise Refused(f"the rescue program cannot be built: {error}", None, "KVN509") from error


def uninstall() -> None:
    """Remove the boot units, after `kvmnet remove`. Units that cannot be removed stay."""
    for name in UNITS:
        with contextlib.suppress(HostError, OSError):
            programs.run(*_OFFLINE_SYSTEMCTL, "disable", name)
        with contextlib.suppress(OSError):
            files.remove_file(str(UNIT_DIR / name))
    with contextlib.suppress(HostError, OSError):
        programs.run("systemctl", "daemon-reload")


def arm(state_dir: Path, identity: str) -> None:
    """Start the watchdog of a transaction. Raises Refused when systemd does not start it.

    The watchdog is the rescue program. A systemd timer starts it, and starts it again when it has ended.
    """
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={units.watchdog_unit_name(identity)}",
        f"--description=kvmnet: watchdog of transaction {identity}",
        "--on-active=5",
        "--on-unit-inactive=5",
        "--timer-property=AccuracySec=1s",
        "--property=TimeoutStartSec=infinity",
        "--property=OOMScoreAdjust=-900",
        "--property=SuccessExitStatus=3 4",
        *state_folder.rescue_command(state_dir, "--watchdog", identity),
    ]
    try:
        programs.run(*command)
    except (HostError, OSError) as error:
        raise Refused(
            f"systemd cannot start the watchdog: {error}", "systemctl status; journalctl -xe", "KVN509"
        ) from error


def _write_rescue_program(state_dir: Path, program: bytes) -> None:
    target = state_dir / RESCUE_PROGRAM
    with contextlib.suppress(OSError):
        if target.read_bytes() == program:
            return
    files.write_file(str(target), program, 0o700)
    if target.read_bytes() != program:
        raise Refused(f"{target} differs from what was written to it", None, "KVN509")


def _install_units(state_dir: Path) -> None:
    """Write and enable the boot units. Raises Refused when systemd does not accept them, and OSError.

    systemd reads them at boot. It reloads them now only when it may have read an earlier version, because a reload
    takes 3 s on a host with 64 interfaces in the lab.
    """
    is_outdated = False
    wants = [UNIT_DIR / "multi-user.target.wants" / name for name in UNITS]
    for name, template in UNITS.items():
        path, text = UNIT_DIR / name, template.format(state=state_dir, python=SYSTEM_PYTHON)
        is_new = not path.exists()
        if is_new or path.read_bytes() != text.encode():
            files.write_file(str(path), text.encode())
            is_outdated = is_outdated or not is_new
    try:
        if not all(link.is_symlink() for link in wants):
            programs.run(*_OFFLINE_SYSTEMCTL, "enable", *UNITS)
            files.sync_folder(UNIT_DIR / "multi-user.target.wants")
        if is_outdated:
            programs.run("systemctl", "daemon-reload")
    except HostError as error:
        raise Refused(f"systemd cannot enable the boot units: {error}", None, "KVN509") from error
