"""What undoes a transaction when its worker cannot: rescue.py on disk, a timer that watches, units for the boot.

All of it runs the system's Python and needs nothing of kvmnet, whose venv may be gone.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path

from kvmnet import rescue
from kvmnet.core.base.errors import Refused

SYSTEM_PYTHON = "/usr/bin/python3"
UNIT_DIR = Path("/etc/systemd/system")
#: The second one is tried again, as no watchdog outlives a boot and a DHCP server may come up later than we. Ten tries
#: of which each takes as long as it may are over within the three hours.
UNITS = {
    "kvmnet-boot-undo.service": """[Unit]
Description=Give back the network that a power cut caught in the middle of a change
Documentation=file:{state}/rescue.py
ConditionPathExists={state}/open
RequiresMountsFor={state}
After=systemd-udevd.service systemd-udev-trigger.service
Before=network-pre.target NetworkManager.service
Wants=network-pre.target

[Service]
Type=oneshot
TimeoutStartSec=150
ExecStart={python} -I {state}/rescue.py --state {state} --boot --why "the machine was cut off"

[Install]
WantedBy=multi-user.target
""",
    "kvmnet-boot-verify.service": """[Unit]
Description=See that the network is as it was before the change that a power cut caught
Documentation=file:{state}/rescue.py
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
ExecStart={python} -I {state}/rescue.py --state {state} --booted --why "the machine was cut off"

[Install]
WantedBy=multi-user.target
""",
}


def install(state_dir: Path) -> None:
    """Put rescue.py and the units in place before anything is begun. Raises Refused when they do not work."""
    place = state_dir
    try:
        _copy_rescue(state_dir)
        place = UNIT_DIR
        _install_units(state_dir)
    except OSError as error:
        raise not_written(place, error) from error


def not_written(place: Path, error: OSError) -> Refused:
    """The refusal for what must be on disk before anything is touched, and could not be written into `place`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refused(f"there is no room for a transaction in {place}: {error}", "make 10 MB of room", "KVN510")
    return Refused(f"the way back cannot be written into {place}: {error}", None, "KVN509")


def try_out(state_dir: Path) -> None:
    """See that the system's Python runs rescue.py, which is not in its place yet: before a person reads a plan that
    could not be undone. Raises Refused when it does not."""
    python = SYSTEM_PYTHON if Path(SYSTEM_PYTHON).exists() else sys.executable
    try:
        rescue.run(python, "-I", str(Path(rescue.__file__)), "--state", str(state_dir), "--status")
    except rescue.Failed as error:
        raise Refused(f"the way back does not work on this machine: {error}", None, "KVN509") from error


def uninstall() -> None:
    """Take the units away: for when the machine is given back. What cannot be taken away stays."""
    for name in UNITS:
        with contextlib.suppress(rescue.Failed, OSError):
            rescue.run("systemctl", "disable", "--no-reload", name)
        with contextlib.suppress(OSError):
            rescue.remove_file(str(UNIT_DIR / name))
    with contextlib.suppress(rescue.Failed, OSError):
        rescue.run("systemctl", "daemon-reload")


def arm(state_dir: Path, identity: str) -> None:
    """Start the watchdog: rescue.py, which looks every few seconds whether the transaction is still in good hands, by a
    timer of systemd's that starts it again whenever it has ended. Raises Refused when systemd does not start it."""
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={rescue.watchdog_unit(identity)}",
        f"--description=kvmnet: watch over transaction {identity}",
        "--on-active=5",
        "--on-unit-inactive=5",
        "--timer-property=AccuracySec=1s",
        "--property=TimeoutStartSec=infinity",
        "--property=OOMScoreAdjust=-900",
        "--property=SuccessExitStatus=3 4",
        *(SYSTEM_PYTHON, "-I", f"{state_dir}/rescue.py", "--state", str(state_dir), "--watchdog", identity),
    ]
    try:
        rescue.run(*command)
    except (rescue.Failed, OSError) as error:
        raise Refused(
            f"systemd does not start the watchdog: {error}", "systemctl status; journalctl -xe", "KVN509"
        ) from error


def _copy_rescue(state_dir: Path) -> None:
    """Put rescue.py, which was tried out, where it works without kvmnet; raises Refused when it is not there."""
    target, text = state_dir / "rescue.py", Path(rescue.__file__).read_bytes()
    rescue.write_file(str(target), text, 0o700)
    if target.read_bytes() != text:
        raise Refused(f"{target} is not what was written into it", None, "KVN509")


def _install_units(state_dir: Path) -> None:
    """Put the units that run rescue.py at boot where systemd finds them: it works when kvmnet is gone. They are read
    when the machine boots: only those that systemd may have read since are read anew now, which takes it 3 s on a host
    of 64 interfaces in the lab. Raises Refused when systemd does not take them."""
    changed = False
    wants = [UNIT_DIR / "multi-user.target.wants" / name for name in UNITS]
    for name, template in UNITS.items():
        path, text = UNIT_DIR / name, template.format(state=state_dir, python=SYSTEM_PYTHON)
        if not path.exists() or path.read_bytes() != text.encode():
            rescue.write_file(str(path), text.encode())
            changed = True
    try:
        if not all(link.is_symlink() for link in wants):
            rescue.run("systemctl", "enable", "--no-reload", *UNITS)
            rescue.sync_dir(UNIT_DIR / "multi-user.target.wants")
        elif changed:
            rescue.run("systemctl", "daemon-reload")
    except rescue.Failed as error:
        raise Refused(f"systemd does not take the units that undo at boot: {error}", None, "KVN509") from error
