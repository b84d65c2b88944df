"""Programs on this machine, with errors that contain their output."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from tests.machines.cache import LabError


def call(argv: Sequence[str | Path], *, env: Optional[Mapping[str, str]] = None, cwd: Optional[Path] = None) -> str:
    """Run a program to its end and return its stdout. Raises with the end of its output if it fails."""
    done = subprocess.run(
        [str(word) for word in argv],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-30:])
        raise LabError(f"{' '.join(map(str, argv))}\nended with {done.returncode}:\n{said}")
    return done.stdout


def in_root(root: Path, script: str, *binds: tuple[Path, str]) -> str:
    """Run a shell script in the root by chroot, in its own mount namespace and with an empty environment.

    Each bind is (folder outside, path inside), writable for the script; it goes below /mnt or /opt, which are
    temporary, as is /tmp.
    """
    mounts = [f"mount -t tmpfs tmpfs {root}/{place}" for place in ("mnt", "opt", "tmp")]
    mounts += [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
    for source, target in binds:
        mounts += [f"mkdir -p {root}{target}", f"mount --bind {source} {root}{target}"]
    path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
    inner = " && ".join(mounts) + f' && exec env -i {path} HOME=/tmp chroot {root} /bin/sh -euc "$1"'
    return call(["unshare", "-m", "-p", "-f", "--kill-child", "sh", "-euc", inner, "sh", script])


def apt_install(*packages: str) -> None:
    """Install Debian packages on this machine."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    call(["apt-get", "update", "-q"], env=env)
    call(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], env=env)


def c_compiler() -> None:
    """Install `cc` on this machine if it is missing."""
    if not shutil.which("cc"):
        apt_install("gcc", "libc6-dev")
