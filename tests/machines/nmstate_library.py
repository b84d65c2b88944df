"""nmstate's library on a lab machine, so that kvmnet there works in its own process, as on EL."""

from __future__ import annotations

from pathlib import Path

from tests.machines import nmstate_builds
from tests.machines.machine import Machine

LIBRARY = "/usr/local/lib/libnmstate.so.2"
STAND_IN = Path(__file__).parent.parent / "contract/libnmstate_stand_in.py"


def install(host: Machine) -> None:
    """The binding where the system has it; else the library and the stand-in for the binding alone."""
    if host.run(["/opt/kvmnet/bin/python", "-c", "import libnmstate"], check=False).code == 0:
        return
    host.put(LIBRARY, nmstate_builds.library().read_bytes(), mode=0o755)
    host.put(f"{packages(host)}/libnmstate.py", STAND_IN.read_text().replace("@VERSION@", nmstate_builds.NMSTATE))
    host.run("ldconfig")


def remove(host: Machine) -> None:
    """What `install` put there."""
    host.run(f"rm -f {LIBRARY} {packages(host)}/libnmstate.py")


def packages(host: Machine) -> str:
    """Where kvmnet's Python has its packages."""
    return host.out("echo /opt/kvmnet/lib/python3*/site-packages")
