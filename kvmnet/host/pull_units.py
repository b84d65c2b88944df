"""The systemd units of pull mode: a service that runs `kvmnet pull`, and the timer that starts it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import kvmnet
from kvmnet.host.nmstate import find_nmstatectl
from kvmnet.host.trusted_files import find_other_writer
from kvmnet.system import files, programs
from kvmnet.system.errors import HostError

SERVICE, TIMER = "kvmnet-pull.service", "kvmnet-pull.timer"
UNIT_FOLDER = "/etc/systemd/system"

# /usr/bin/env, because SELinux does not let systemd start a program from a venv or a home directory. The change itself
# runs in a unit of its own, so it continues when this service is stopped.
_SERVICE = """# Written by kvmnet pull --enable.
[Unit]
Description=Apply this host's network states from the git repository
Documentation=man:kvmnet(1)
Wants=network-online.target
After=network-online.target NetworkManager.service

[Service]
Type=oneshot
Environment=PATH={path}
Environment=HOME=/root
UMask=0077
ExecStart=/usr/bin/env {python} -I -m kvmnet pull
"""

# A random delay, so that the hosts of a fleet neither ask the server nor change at the same moment.
_TIMER = """# Written by kvmnet pull --enable.
[Unit]
Description=Follow the git repository of network states

[Timer]
OnBootSec=2min
OnUnitInactiveSec={minutes}min
RandomizedDelaySec={delay}s
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def unit_files(interval: int) -> dict[str, str]:
    """Return the text of each unit by its path; `interval` is in minutes. A run is delayed by up to half of it."""
    nmstatectl = find_nmstatectl()
    path = f"{programs.PROGRAM_PATH}:{Path(nmstatectl).parent}" if nmstatectl else programs.PROGRAM_PATH
    return {
        f"{UNIT_FOLDER}/{SERVICE}": _SERVICE.format(path=path, python=sys.executable),
        f"{UNIT_FOLDER}/{TIMER}": _TIMER.format(minutes=interval, delay=interval * 30),
    }


def enable(interval: int, print_line: Callable[[str], None]) -> None:
    """Install the units and start the timer, and print each change with `print_line`. Raises HostError, also if another
    user could replace the program that the service runs as root, and OSError."""
    for program in (Path(sys.executable), Path(kvmnet.__file__).parent):
        if writer := find_other_writer(program, {0}):
            raise HostError(f"the service would run {program} as root, and {writer}: install kvmnet for the system")
    for path, text in unit_files(interval).items():
        target = Path(path)
        if not target.is_file() or target.read_bytes() != text.encode():
            files.write_file(path, text.encode(), 0o644)
            print_line(f"wrote {path}")
    programs.run("systemctl", "daemon-reload")
    programs.run("systemctl", "enable", TIMER)
    programs.run("systemctl", "restart", TIMER)  # also when it runs: the interval may be another one
    print_line(f"started {TIMER}: every {interval} minutes, with a random delay of up to {interval / 2:g} minutes")


def disable(print_line: Callable[[str], None]) -> None:
    """Stop the timer and remove the units. A run that is under way ends by itself. Raises HostError, OSError."""
    if Path(f"{UNIT_FOLDER}/{TIMER}").exists():
        programs.run("systemctl", "disable", "--now", TIMER)
        print_line(f"stopped {TIMER}")
    for name in (TIMER, SERVICE):
        if Path(f"{UNIT_FOLDER}/{name}").exists():
            files.remove_file(f"{UNIT_FOLDER}/{name}")
            print_line(f"removed {UNIT_FOLDER}/{name}")
    programs.run("systemctl", "daemon-reload")


def is_enabled() -> bool:
    """Whether the timer starts pull mode on this host."""
    try:
        programs.run("systemctl", "is-enabled", "--quiet", TIMER)
    except HostError:
        return False
    return True
