"""kvmnet in /opt/kvmnet, as an administrator would install it: its wheel in a virtual environment of the machine's
own Python.

It is made outside, where it is quick, and is a read-only layer of the root, so a test may delete or change it without
an effect on the next one. Machines have no internet; pip downloads outside.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.machines import cache, local_programs, roots
from tests.machines.machine import Machine

CHECKOUT = Path(__file__).resolve().parents[2]
WEEK = 7 * 24 * 3600


def layer(generation: str) -> Path:
    """Return a folder with opt/kvmnet and usr/local/bin/kvmnet, of the current checkout."""
    below, wheel = dependencies(generation), build_wheel()
    name = f"kvmnet-{generation}-{cache.key(below.name, wheel.parent.name)}"

    def make(path: Path) -> None:
        # Hard links: files of a layer are never changed, and pip only adds some
        local_programs.call(["cp", "-al", f"{below}/.", path])
        binds = [(path / "opt/kvmnet", "/opt/kvmnet"), (wheel.parent, "/mnt/wheel"), (_pip(), "/mnt/pip")]
        local_programs.in_root(roots.root(generation), f"{PIP} --no-deps /mnt/wheel/{wheel.name}", *binds)
        (path / "usr/local/bin").mkdir(parents=True)
        (path / "usr/local/bin/kvmnet").symlink_to("/opt/kvmnet/bin/kvmnet")

    made = cache.entry(name, make, says=f"installing kvmnet for {generation}", expect=8)
    cache.prune(f"kvmnet-{generation}", WEEK)
    return made


PIP = "PYTHONPATH=/mnt/pip /opt/kvmnet/bin/python -m pip install --quiet --no-index --root-user-action=ignore"


def dependencies(generation: str) -> Path:
    """Return a folder with opt/kvmnet: the virtual environment with kvmnet's dependencies, without kvmnet."""
    wanted: list[str] = _project()["project"]["dependencies"]
    root = roots.root(generation)
    name = f"dependencies-{generation}-{cache.key(root.parent.name, *sorted(wanted))}"

    def make(path: Path) -> None:
        wheels, home = path / "wheels", path / "opt/kvmnet"
        home.mkdir(parents=True)
        _root_pip(root, "download", "--only-binary", ":all:", "--dest", str(wheels), *wanted)
        script = f"python3 -m venv --without-pip /opt/kvmnet\n{PIP} /mnt/wheels/*.whl"
        local_programs.in_root(root, script, (home, "/opt/kvmnet"), (wheels, "/mnt/wheels"), (_pip(), "/mnt/pip"))
        cache.remove(wheels)

    return cache.entry(name, make, says=f"installing kvmnet's dependencies for {generation}", expect=20)


def build_wheel() -> Path:
    """Return the wheel of the checkout; it is built only if something in it has changed."""
    sums = hashlib.sha256()
    for file in _sources():
        sums.update(f"{file.relative_to(CHECKOUT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())

    def make(path: Path) -> None:
        python = _builder() / "bin/python"
        options: list[str | Path] = ["--no-deps", "--no-build-isolation", "--wheel-dir", path]
        local_programs.call([python, "-m", "pip", "wheel", "--quiet", *options, CHECKOUT], cwd=path)

    made = cache.entry(f"wheel-{sums.hexdigest()[:12]}", make, says="building the wheel", expect=4)
    cache.prune("wheel", WEEK)
    return next(made.glob("*.whl"))


def refresh(machine: Machine) -> None:
    """Install the checkout's kvmnet over the one in a running machine."""
    tree = layer(machine.generation)
    archive = machine.folder / "kvmnet.tar"
    local_programs.call(["tar", "-C", tree, "-cf", archive, "opt/kvmnet", "usr/local/bin/kvmnet"])
    machine.put("/run/kvmnet.tar", archive.read_bytes())
    archive.unlink()
    machine.run("rm -rf /opt/kvmnet && tar -C / -xf /run/kvmnet.tar && rm /run/kvmnet.tar", timeout=120)


def _project() -> dict[str, Any]:
    import tomllib  # Python 3.11, which the lab needs outside; tests elsewhere may import this module on less

    project: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    return project


def _sources() -> Iterator[Path]:
    yield from filter(Path.is_file, (CHECKOUT / name for name in ("pyproject.toml", "README.md", "LICENSE")))
    for folder in ("kvmnet", "schemas", "profiles"):
        for file in sorted((CHECKOUT / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def _builder() -> Path:
    """Return a virtual environment of this machine with a current pip and the tools that build the wheel."""
    requires: list[str] = _project()["build-system"]["requires"]

    def make(path: Path) -> None:
        try:
            import ensurepip  # noqa: F401  (Debian keeps it in a package of its own)
        except ImportError:
            local_programs.apt_install("python3-venv")
        local_programs.call([sys.executable, "-m", "venv", path])
        # pip by `-m`: the scripts in bin/ carry the temporary name of the folder
        local_programs.call([path / "bin/python", "-m", "pip", "install", "--quiet", "--upgrade", "pip", *requires])

    name = f"builder-{cache.key(sys.version, sys.base_prefix, *requires)}"
    return cache.entry(name, make, says="preparing the environment that builds the wheel", expect=15)


def _pip() -> Path:
    """Return the folder of the package pip (pure Python: any version runs it)."""
    return next(_builder().glob("lib/python3*/site-packages"))


def _root_pip(root: Path, *words: str) -> None:
    """Run pip with the root's Python in this machine's file system, with its pip settings, certificates and network:
    only that Python selects the right wheels. Its own loader starts it, because its C library may be newer."""
    library = next((root / "usr/lib").glob("*-linux-gnu"))
    loader = next(library.glob("ld-linux-*.so.*"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env.update(PYTHONHOME=str(root / "usr"), PYTHONPATH=str(_pip()), PYTHONDONTWRITEBYTECODE="1")
    python: list[str | Path] = [loader, "--library-path", library, root / "usr/bin/python3"]
    local_programs.call([*python, "-m", "pip", *words, "--quiet"], env=env)
