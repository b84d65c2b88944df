"""A real sshd on loopback addresses, with keys of its own. As root it runs in a mount namespace with a /run of its own.

The sshd is that of the machine; on Debian it is unpacked into the user's cache directory if there is none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvmnet-sshd"
_PACKAGES = ("openssh-server", "libwrap0")
#: sshd of root wants this folder and this user; the namespace gives it both.
_ISOLATED = (
    "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && mount --bind {passwd} /etc/passwd && "
    'exec "$0" -D -e -f {config}'
)


@dataclass(frozen=True)
class Sshd:
    """A running sshd: its port, the folder of its files, and the client's configuration file."""

    port: int
    folder: Path
    config: Path

    @property
    def log(self) -> str:
        """What sshd has logged."""
        return (self.folder / "sshd.log").read_text(errors="replace")

    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self.log.count("Accepted publickey")


def find_sshd() -> Optional[tuple[str, dict[str, str]]]:
    """Return sshd and the environment that it needs; None if this machine has none and cannot get it."""
    found = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found:
        return found, {}
    program = _CACHE / "usr/sbin/sshd"
    if not program.exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        _CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", *_PACKAGES], cwd=_CACHE, check=False, capture_output=True)
        for package in _CACHE.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, _CACHE], check=True)
    libraries = sorted({str(path.parent) for path in _CACHE.glob("**/libwrap.so*")})
    return (str(program), {"LD_LIBRARY_PATH": ":".join(libraries)}) if program.exists() else None


@contextlib.contextmanager
def running_sshd(
    folder: Path, environment: Mapping[str, str], addresses: Sequence[str] = ("127.0.0.1",), settings: str = ""
) -> Iterator[Sshd]:
    """Yield an sshd on these addresses; its sessions get this environment. `settings` are further lines of the client's
    configuration."""
    found = find_sshd()
    assert found is not None, "no sshd; see find_sshd"
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    _write_files(folder, environment, addresses, port, settings)
    log = (folder / "sshd.log").open("wb")
    process = subprocess.Popen(_command(folder, found[0]), stdout=log, stderr=log, env={**os.environ, **found[1]})
    try:
        _wait_for(port, addresses[0], process, folder)
        yield Sshd(port, folder, folder / "ssh_config")
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _command(folder: Path, program: str) -> list[str]:
    if os.geteuid() != 0:
        return [program, "-D", "-e", "-f", str(folder / "sshd_config")]
    passwd = folder / "passwd"
    lines = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("sshd:")]
    passwd.write_text("\n".join([*lines, "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin", ""]))
    script = _ISOLATED.format(passwd=passwd, config=folder / "sshd_config")
    return ["unshare", "--mount", "sh", "-c", script, program]


def _write_files(
    folder: Path, environment: Mapping[str, str], addresses: Sequence[str], port: int, settings: str
) -> None:
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    (folder / "authorized_keys").chmod(0o600)
    lines = [f"ListenAddress {address}:{port}" for address in addresses]
    lines += [f"HostKey {folder}/host_key", f"AuthorizedKeysFile {folder}/authorized_keys", "UsePAM no"]
    lines += ["StrictModes no", "PasswordAuthentication no", "PidFile none", "PermitRootLogin yes", "MaxStartups 100"]
    lines.append("SetEnv " + " ".join(f'"{name}={value}"' for name, value in environment.items()))
    (folder / "sshd_config").write_text("\n".join([*lines, ""]))
    key = (folder / "host_key.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[{addresses[0]}]:{port} {' '.join(key)}\n")
    client = [f"Host {folder.name}", f"HostName {addresses[0]}", f"Port {port}", f"IdentityFile {folder}/user_key"]
    client += ["IdentitiesOnly yes", f"UserKnownHostsFile {folder}/known_hosts", "StrictHostKeyChecking yes"]
    client += ["GlobalKnownHostsFile none", "PreferredAuthentications publickey", settings, ""]
    (folder / "ssh_config").write_text("\n".join(client))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, address: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
            return
        assert process.poll() is None, (folder / "sshd.log").read_text(errors="replace")
        assert time.monotonic() < until, "sshd does not listen"
        time.sleep(0.05)
