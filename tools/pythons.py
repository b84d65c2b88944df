"""Run the unit and golden tests on this Python, on the oldest that kvmnet supports, and on the newest of this machine.

As many run at the same time as the machine has processors; the output of each is printed when it ends. Searches PATH
and the versions of pyenv for interpreters and prints which were used. Each interpreter gets a virtual environment in
the user's cache directory, named by a hash of the interpreter and the dependencies.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional

OLDEST = (3, 9)
#: What unit and golden tests import besides kvmnet's dependencies.
TEST_DEPENDENCIES = ("pytest>=8", "hypothesis>=6.100", "prometheus_client>=0.20")
ROOT = Path(__file__).parents[1]
Version = tuple[int, int]


def version_of(python: Path) -> Optional[tuple[int, ...]]:
    """The version of an interpreter; None when it does not run (a pyenv shim without a version)."""
    code = "import sys, ensurepip; print(*sys.version_info[:3])"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    return tuple(int(n) for n in done.stdout.split()) if done.returncode == 0 else None


def interpreters() -> dict[Version, Path]:
    """One interpreter for each minor version that kvmnet supports."""
    folders = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    folders += sorted(pyenv.glob("*/bin"))
    pythons: dict[Version, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("python3*")):
            if not re.fullmatch(r"python3(\.\d+)?", path.name):
                continue
            version = version_of(path)
            if version and version[:2] >= OLDEST:
                pythons.setdefault((version[0], version[1]), path)
    return pythons


def environment(python: Path) -> Path:
    """The Python of a virtual environment with the dependencies of kvmnet and of its unit tests.

    kvmnet itself is imported from the working tree.
    """
    wanted = [*dependencies(), *TEST_DEPENDENCIES]
    key = hashlib.sha256(repr([version_of(python), str(python), wanted]).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvmnet-pythons"
    folder = cache / key
    if not (folder / "ready").exists():
        print(f"pythons: creating a virtual environment for {python} (about 20 s, once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", *wanted], check=True)
        (folder / "ready").touch()
    return folder / "bin" / "python"


def dependencies() -> list[str]:
    """The `dependencies` of pyproject.toml, read without tomllib, which Python 3.9 does not have."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block, "pyproject.toml has no dependencies"
    return re.findall(r'"([^"]+)"', block[1])


def run_tests(python: Path) -> tuple[int, str]:
    """Return pytest's exit code and output."""
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace"
    )
    return done.returncode, done.stdout


def _names(versions: list[Version]) -> str:
    return ", ".join(f"{major}.{minor}" for major, minor in versions) or "none"


def main() -> int:
    """Return 0 if the tests pass on each Python that was found."""
    pythons = interpreters()
    current = sys.version_info[:2]
    chosen = sorted({min(pythons), max(pythons), current})
    if OLDEST not in pythons:
        print("pythons: Python 3.9, the oldest supported, is not installed: the tests were NOT RUN on it")
    environments = [Path(sys.executable) if version == current else environment(pythons[version]) for version in chosen]
    print(f"pythons: unit and golden tests on Python {_names(chosen)} at the same time (about 5 min)", flush=True)
    codes = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for version, (code, output) in zip(chosen, pool.map(run_tests, environments)):
            print(f"{output}pythons: Python {_names([version])}: {'failed' if code else 'passed'}", flush=True)
            codes.append(code)
    skipped = sorted(set(pythons) - set(chosen))
    print(f"pythons: run on {_names(chosen)}; found but not used: {_names(skipped)}")
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
