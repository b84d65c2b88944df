"""Builds the Ansible collection, and runs its tests with the oldest, a middle and the newest ansible-core.

    python -m tools.collection build             dist/kvmnet-kvmnet-VERSION.tar.gz
    python -m tools.collection test [ARGUMENT…]  the arguments are pytest's

Each version of ansible-core is in a virtual environment in the user's cache directory, of the Python that it needs.
Versions whose Python is not on this machine are named and left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.pythons import Version, interpreters

ROOT = Path(__file__).parents[1]
#: ansible-core and the Python of its control node. 2.14 is the oldest that the collection supports.
VERSIONS: dict[str, Version] = {"2.14": (3, 9), "2.16": (3, 10), "2.21": (3, 12)}
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvmnet-ansible"


def environment(version: str, python: Path) -> Path:
    """Return the folder of the programs of this ansible-core, installed if needed."""
    folder = _CACHE / version
    if not (folder / "ready").exists():
        print(f"collection: installing ansible-core {version} (about 30 s, once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        wanted = f"ansible-core=={version}.*"
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", wanted], check=True)
        (folder / "ready").touch()
    return folder / "bin"


def build(programs: Path, output: Path) -> Path:
    """Build the collection and return its archive."""
    command = [f"{programs}/ansible-galaxy", "collection", "build", "--force"]
    command += ["--output-path", str(output), str(ROOT / "ansible")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (archive,) = output.glob("kvmnet-kvmnet-*.tar.gz")
    return archive


def main(arguments: list[str]) -> int:
    """Run one of the two commands and return its exit code."""
    pythons = interpreters()
    usable = {version: python for version, python in VERSIONS.items() if python in pythons}
    for version in sorted(set(VERSIONS) - set(usable)):
        major, minor = VERSIONS[version]
        print(f"collection: NOT RUN with ansible-core {version}: this machine has no Python {major}.{minor}")
    if not usable:
        return 1
    if arguments[:1] == ["build"]:
        (ROOT / "dist").mkdir(exist_ok=True)
        version, python = next(iter(usable.items()))
        print(build(environment(version, pythons[python]), ROOT / "dist"))
        return 0
    codes = []
    for version, python in usable.items():
        programs = environment(version, pythons[python])
        print(f"collection: tests with ansible-core {version}", flush=True)
        command = [sys.executable, "-m", "pytest", "tests/collection", *arguments[1:]]
        variables = {**os.environ, "KVMNET_ANSIBLE": str(programs)}
        codes.append(subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode)
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
