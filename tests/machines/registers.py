"""A library with which the machines' kernels run on a processor that is newer than they are (see registers.c)."""

from __future__ import annotations

from pathlib import Path

from tests.machines import cache, local_programs

SOURCE = Path(__file__).with_suffix(".c")


def library() -> Path:
    """Return the shared library to load before the kernel, which is an ordinary program here."""

    def make(path: Path) -> None:
        local_programs.c_compiler()
        local_programs.call(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", path / "registers.so", SOURCE])

    return cache.entry(f"registers-{cache.key(SOURCE.read_text())}", make) / "registers.so"
