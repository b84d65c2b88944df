"""nmstate's library on a lab machine, so that kvmnet works without its program there, as on EL."""

from __future__ import annotations

from pathlib import Path

from tests.machines import nmstate_builds
from tests.machines.machine import Machine

LIBRARY = "/usr/local/lib/libnmstate.so.2"
STAND_IN = Path(__file__).parent.parent / "contract/libnmstate_stand_in.py"


def install(host: Machine) -> None:
    """Install the library and the stand-in for its Python binding, unless the system has the binding."""
    if host.run(["/opt/kvmnet/bin/python", "-c", "import libnmstate"], check=False).code == 0:
        return
    host.put(LIBRARY, nmstate_builds.library().read_bytes(), mode=0o755)
    host.put(f"{packages(host)}/libnmstate.py", STAND_IN.read_text().replace("@VERSION@", nmstate_builds.NMSTATE))
    host.run("ldconfig")


def remove(host: Machine) -> None:
    """Remove what `install` has installed."""
    host.run(f"rm -f {LIBRARY} {packages(host)}/libnmstate.py")


def packages(host: Machine) -> str:
    """Return the folder of the packages of kvmnet's Python."""
    return host.out("echo /opt/kvmnet/lib/python3*/site-packages")
