"""What rolls a transaction back when its worker cannot: the rescue program, a watchdog timer, units for the next boot.

All of it runs the system's Python and needs nothing of kvmnet, whose venv may be gone.
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
#: The second one is tried again, as no watchdog outlives a boot and a DHCP server may come up later than we. Ten tries
#: of which each takes as long as it may are over within the three hours.
UNITS = {
    "kvmnet-boot-undo.service": """[Unit]
Description=Give back the network that a power cut caught in the middle of a change
Documentation=file:{state}/rescue.pyz
ConditionPathExists={state}/open
RequiresMountsFor={state}
After=systemd-udevd.service systemd-udev-trigger.service
Before=network-pre.target NetworkManager.service
Wants=network-pre.target

[Service]
Type=oneshot
TimeoutStartSec=150
ExecStart={python} -I {state}/rescue.pyz --state {state} --boot --why "the machine was cut off"

[Install]
WantedBy=multi-user.target
""",
    "kvmnet-boot-verify.service": """[Unit]
Description=See that the network is as it was before the change that a power cut caught
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
ExecStart={python} -I {state}/rescue.pyz --state {state} --booted --why "the machine was cut off"

[Install]
WantedBy=multi-user.target
""",
}


def install(state_dir: Path, program: bytes) -> None:
    """Write the rescue program (`try_rescue_program` returns it) and the boot units before any step begins. Raises
    Refused when they cannot be written or systemd does not accept them.

    The program of the previous layout goes last: until then its boot units are complete.
    """
    place = state_dir
    try:
        _write_rescue_program(state_dir, program)
        place = UNIT_DIR
        _install_units(state_dir)
        place = state_dir
        files.remove_file(str(state_dir / PREVIOUS_RESCUE_PROGRAM))
    except OSError as error:
        raise not_written(place, error) from error


def not_written(place: Path, error: OSError) -> Refused:
    """The refusal for what must be on disk before anything is touched, and could not be written into `place`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refused(f"there is no room for a transaction in {place}: {error}", "make 10 MB of room", "KVN510")
    return Refused(f"the way back cannot be written into {place}: {error}", None, "KVN509")


def try_rescue_program(state_dir: Path) -> bytes:
    """The rescue program for this host: it was run once by the system's Python. Raises Refused when that fails: before
    the plan is shown, because a change that cannot be rolled back must not begin.

    The program in the state folder is used again when its sources are those of this kvmnet and its byte code fits the
    system's Python; building one takes the time of several starts.
    """
    installed = state_dir / RESCUE_PROGRAM
    with contextlib.suppress(OSError):
        program = installed.read_bytes()
        if archive.holds(program, archive.read_sources()) and _run_self_test(installed) == BYTE_CODE:
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
    """What the rescue program runs from: rescue.BYTE_CODE or rescue.SOURCES."""
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
    """Take the units away: for when the machine is given back. What cannot be taken away stays."""
    for name in UNITS:
        with contextlib.suppress(HostError, OSError):
            programs.run("systemctl", "disable", "--no-reload", name)
        with contextlib.suppress(OSError):
            files.remove_file(str(UNIT_DIR / name))
    with contextlib.suppress(HostError, OSError):
        programs.run("systemctl", "daemon-reload")


def arm(state_dir: Path, identity: str) -> None:
    """Start the watchdog: the rescue program, started by a timer of systemd's again whenever it has ended. It rolls the
    transaction back when nobody works on it any more. Raises Refused when systemd does not start it."""
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={units.watchdog_unit_name(identity)}",
        f"--description=kvmnet: watch over transaction {identity}",
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
            f"systemd does not start the watchdog: {error}", "systemctl status; journalctl -xe", "KVN509"
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
    """Write and enable the units that run the rescue program at boot. systemd reads them when the machine boots; it
    reloads them now only where one changed, because that takes 3 s on a host of 64 interfaces in the lab. Raises
    Refused when systemd does not accept them."""
    changed = False
    wants = [UNIT_DIR / "multi-user.target.wants" / name for name in UNITS]
    for name, template in UNITS.items():
        path, text = UNIT_DIR / name, template.format(state=state_dir, python=SYSTEM_PYTHON)
        if not path.exists() or path.read_bytes() != text.encode():
            files.write_file(str(path), text.encode())
            changed = True
    try:
        if not all(link.is_symlink() for link in wants):
            programs.run("systemctl", "enable", "--no-reload", *UNITS)
            files.sync_folder(UNIT_DIR / "multi-user.target.wants")
        elif changed:
            programs.run("systemctl", "daemon-reload")
    except HostError as error:
        raise Refused(f"systemd does not take the units that undo at boot: {error}", None, "KVN509") from error
