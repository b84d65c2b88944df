"""python3 -m tests.machines.build: build everything that the lab needs.

It needs only the system's Python (3.11), and ends quickly if nothing is missing. Every slow step prints what it does
and how long it usually takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from tests.machines import cache, layers, local_programs, nmstate_builds, registers, roots

PROGRAMS = {"mmdebstrap": "mmdebstrap", "uml_switch": "uml-utilities", "mkfs.ext4": "e2fsprogs"}
"""Programs of this machine that the lab runs, and the Debian packages they come in."""


def why_not() -> Optional[str]:
    """Return the reason why the lab cannot run here, in one line; None if it can."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "it is made for Linux on x86_64"
    release = Path("/etc/os-release")
    words = release.read_text().splitlines() if release.exists() else []
    if "ID=debian" not in words or not shutil.which("apt-get"):
        return "it needs Debian (it builds its machines with mmdebstrap)"
    if os.geteuid() != 0:
        return "it needs root (mount namespaces, chroot)"
    if sys.version_info < (3, 11):
        return f"it needs Python 3.11 or newer outside, this is {sys.version.split()[0]}"
    return None


def prepare(generations: Sequence[str] = roots.GENERATIONS, variants: Sequence[str] = ("plain",)) -> None:
    """Build everything for these generations, including kvmnet from the current checkout. Other variants of the
    roots are built by the first machine that needs one."""
    reason = why_not()
    if reason:
        raise cache.LabError(f"the lab cannot run here: {reason}")
    missing = sorted({package for program, package in PROGRAMS.items() if not _found(program)})
    if missing:
        with cache.step(f"installing {', '.join(missing)}", expect=20):
            local_programs.apt_install(*missing)
    for generation in generations:
        for variant in variants:
            roots.root(generation, variant)
    registers.library()
    nmstate_builds.layer()
    nmstate_builds.offline(nmstate_builds.EARLY)
    for generation in generations:
        layers.all_of(generation)


def _found(program: str) -> Optional[str]:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", action="store_true", help="older versions of nmstate too, and its library")
    options = parser.parse_args()
    try:
        prepare(variants=() if options.versions else [v for v in roots.VARIANTS if v not in roots.RARE])
        if options.versions:
            nmstate_builds.library()
            for version in nmstate_builds.OLDER:
                nmstate_builds.program(version)
    except cache.LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    cache.say(f"ready, in {cache.folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
