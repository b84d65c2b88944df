"""nmstatectl, which Debian does not carry: built by cargo, kept as a layer of the machines' root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Optional

from tests.lab import cache, outside

NMSTATE = "2.2.62"
EARLY = "2.2.24"
"""That of EL 9.3, for what needs no running machine: the first that wants NetworkManager 1.40, as kvmnet does."""
CARGO = (1, 88)
"""The oldest cargo that builds this nmstate."""


def layer() -> Path:
    """A folder with usr/local/bin/nmstatectl in it."""
    return _built(NMSTATE, expect=280)


def offline(version: str) -> Path:
    """The program nmstatectl of a version, at least with what `gc` needs."""
    made = layer() if version == NMSTATE else _built(version, 90, "--no-default-features", "--features", "gen_conf")
    return made / "usr/local/bin/nmstatectl"


def _built(version: str, expect: float, *features: str) -> Path:
    def make(path: Path) -> None:
        cargo = find_cargo() or _install_cargo()
        if not shutil.which("cc"):
            outside.apt_install("gcc", "libc6-dev")
        target = path / "build"
        env = {
            **os.environ,
            "PATH": f"{cargo.parent}:{os.environ['PATH']}",  # so that cargo calls the rustc that lies beside it
            "CARGO_TARGET_DIR": str(target),
        }
        options = ["--version", version, "--locked", "--no-track", *features, "--root", path / "usr/local"]
        outside.call([cargo, "install", "nmstatectl", *options], env=env, cwd=path)
        shutil.rmtree(target)

    name = f"nmstatectl-{version}{'-gc' if features else ''}"
    return cache.entry(name, make, says=f"building {name} with cargo", expect=expect)


def find_cargo() -> Optional[Path]:
    """A cargo that is new enough: the one on the PATH, rustup's, or the one of Debian's package cargo-web."""
    for place in (shutil.which("cargo"), Path.home() / ".cargo/bin/cargo", "/usr/bin/cargo"):
        if place and Path(place).exists():
            said = subprocess.run([place, "--version"], capture_output=True, text=True, check=False).stdout
            found = re.match(r"cargo (\d+)\.(\d+)", said)
            if found and (int(found[1]), int(found[2])) >= CARGO:
                return Path(place)
    return None


def _install_cargo() -> Path:
    with cache.step("installing Debian's package cargo-web", expect=60):
        outside.apt_install("cargo-web", "gcc", "libc6-dev")
    cargo = find_cargo()
    if cargo is None:
        wanted = ".".join(map(str, CARGO))
        raise cache.LabError(
            f"no cargo of {wanted} or newer: Debian's package cargo-web brought none "
            "(it is in the -updates and -security suites; are they among this machine's apt sources?)"
        )
    return cargo
