"""nmstate, which Debian does not package: its program as a layer of the machines' root, and its C library, built
with cargo."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Optional

from tests.machines import cache, local_programs

NMSTATE = "2.2.62"
EARLY = "2.2.24"
"""The version of EL 9.3, for tests without a machine: the first that needs NetworkManager 1.40, as kvmnet does."""
OLDER = ("2.2.33", "2.2.54")
"""The versions of EL 9.4 and EL 10, for `make contract-versions`."""
CARGO = (1, 88)
"""The oldest cargo that builds this nmstate."""


def layer() -> Path:
    """Return a folder with usr/local/bin/nmstatectl in it."""
    return _built(NMSTATE, expect=280)


def offline(version: str) -> Path:
    """Return the program nmstatectl of a version; it has at least the command `gc`."""
    if version != EARLY:
        return program(version)
    return _built(version, 90, "--no-default-features", "--features", "gen_conf") / "usr/local/bin/nmstatectl"


def program(version: str) -> Path:
    """Return the complete program nmstatectl of a version."""
    return _built(version, expect=280) / "usr/local/bin/nmstatectl"


LIBRARY = f"""[package]
name = "library"
version = "0.0.0"
edition = "2021"

[dependencies]
nmstate = "={NMSTATE}"
nmstate-clib = "={NMSTATE}"
"""


def library() -> Path:
    """Return nmstate's C library, with the name that the Python binding looks for."""

    def make(path: Path) -> None:
        project = path / "build"
        (project / "src").mkdir(parents=True)
        (project / "Cargo.toml").write_text(LIBRARY)
        (project / "src/lib.rs").touch()
        _cargo(project, "build", "--release", "-p", "nmstate-clib")
        shutil.move(project / "target/release/libnmstate.so", path / "libnmstate.so.2")
        shutil.rmtree(project)
        local_programs.call(["strip", path / "libnmstate.so.2"])

    name = f"libnmstate-{NMSTATE}"
    return cache.entry(name, make, says=f"building {name} with cargo", expect=280) / "libnmstate.so.2"


def _built(version: str, expect: float, *features: str) -> Path:
    def make(path: Path) -> None:
        root = str(path / "usr/local")
        options = ["--version", version, "--locked", "--no-track", *features, "--root", root]
        _cargo(path, "install", "nmstatectl", *options)
        shutil.rmtree(path / "target")

    name = f"nmstatectl-{version}{'-gc' if features else ''}"
    return cache.entry(name, make, says=f"building {name} with cargo", expect=expect)


def _cargo(folder: Path, *words: str | Path) -> None:
    """Run cargo in a folder; it builds into the subfolder `target`."""
    cargo = find_cargo() or _install_cargo()
    local_programs.c_compiler()
    env = {
        **os.environ,
        "PATH": f"{cargo.parent}:{os.environ['PATH']}",  # so that cargo calls the rustc in its own folder
        "CARGO_TARGET_DIR": str(folder / "target"),
    }
    local_programs.call([cargo, *words], env=env, cwd=folder)


def find_cargo() -> Optional[Path]:
    """Return a cargo that is new enough: the one on the PATH, that of rustup, or that of Debian's package cargo-web."""
    for place in (shutil.which("cargo"), Path.home() / ".cargo/bin/cargo", "/usr/bin/cargo"):
        if place and Path(place).exists():
            said = subprocess.run([place, "--version"], capture_output=True, text=True, check=False).stdout
            found = re.match(r"cargo (\d+)\.(\d+)", said)
            if found and (int(found[1]), int(found[2])) >= CARGO:
                return Path(place)
    return None


def _install_cargo() -> Path:
    with cache.step("installing Debian's package cargo-web", expect=60):
        local_programs.apt_install("cargo-web", "gcc", "libc6-dev")
    cargo = find_cargo()
    if cargo is None:
        wanted = ".".join(map(str, CARGO))
        raise cache.LabError(
            f"no cargo of {wanted} or newer: Debian's package cargo-web brought none "
            "(it is in the -updates and -security suites; are they among this machine's apt sources?)"
        )
    return cargo
