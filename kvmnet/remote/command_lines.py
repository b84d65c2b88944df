"""The command lines of ssh, and the programs that it runs on the host. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from kvmnet.core.base.errors import Usage

#: Where the bundle lies on the host during a change: only root can write there, and a boot empties it.
FOLDER = "/run"
_PREFIX = "kvmnet-remote."

#: Every connection is one of its own, also if ssh_config contains ControlMaster:
#: ssh takes the first value of an option that it finds.
#: A connection that ssh shares (ControlMaster, ControlPersist) may have been opened before the change.
_OWN_CONNECTION = ("-S", "none", "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ControlPersist=no")
#: What an ssh_config for interactive use may have: a forwarded port would be taken already, and a command replaced.
_NO_EXTRAS = ("-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none")
#: Unless the user sets them: a host that has vanished is noticed after 15 seconds.
_DEFAULTS = ("-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
_RESERVED = ("controlmaster", "controlpath", "controlpersist", "hostname", "hostkeyalias")

_UNPACK = "import sys,tarfile; tarfile.open(fileobj=sys.stdin.buffer,mode='r|gz').extractall(sys.argv[1])"
#: Makes a folder, unpacks the archive from stdin, prints the folder's name as an event; "$1" is where to make it.
_SEND = (
    f'umask 077; d=$(mktemp -d "$1/{_PREFIX}XXXXXXXXXX") || exit 1; '
    f'python3 -I -c {shlex.quote(_UNPACK)} "$d" || exit 1; '
    'if [ -d "$d/packages" ]; then python3 -I -m venv --without-pip --system-site-packages "$d/venv" || exit 1; '
    'for s in "$d"/venv/lib/python*/site-packages; do mv "$d"/packages/* "$s" || exit 1; done; fi; '
    'printf \'{"event": "folder", "path": "%s"}\\n\' "$d"'
)


@dataclass(frozen=True)
class Target:
    """How to reach a host and kvmnet on it.

    destination: the host as ssh knows it, perhaps with USER@.
    address: its address, if not the one that ssh finds; alias: the name under which ssh knows its host key then.
    options: ssh's options, NAME=VALUE. become: the words that make a command run as root. program: kvmnet on the host.
    folder: where the bundle lies during the change.
    """

    destination: str
    address: Optional[str] = None
    alias: str = ""
    options: tuple[str, ...] = ()
    become: tuple[str, ...] = ()
    program: tuple[str, ...] = ("kvmnet",)
    folder: str = FOLDER


def parse_options(options: Sequence[str]) -> tuple[str, ...]:
    """Return the options of --ssh-option. Raises Usage for what is not NAME=VALUE, or is kvmnet's own."""
    for option in options:
        name = re.split(r"[=\s]", option.strip(), maxsplit=1)[0].lower()
        if not re.fullmatch(r"[a-z0-9]+", name) or len(re.split(r"[=\s]", option.strip(), maxsplit=1)) < 2:
            raise Usage(f"--ssh-option {option!r} is not NAME=VALUE", "as after `ssh -o`: --ssh-option Port=2222")
        if name in _RESERVED:
            hint = "use --address for another address" if name.startswith("host") else "leave it out"
            raise Usage(f"--ssh-option {name}: kvmnet sets this option itself", hint)
    return tuple(options)


def parse_become(text: Optional[str]) -> tuple[str, ...]:
    """Return the words of --become; sudo must not ask for a password, because it has no terminal."""
    words = shlex.split(text or "")
    return ("sudo", "-n") if words == ["sudo"] else tuple(words)


def ssh_command(target: Target, remote: Sequence[str], address: Optional[str] = None) -> list[str]:
    """Return the command line that runs these words on the host; at `address`, or at the target's own.

    At another address the host must show the same host key as at its own: HostKeyAlias.
    """
    place = address or target.address
    other = ["-o", f"HostName={place}", "-o", f"HostKeyAlias={target.alias}"] if place and target.alias else []
    if place and not target.alias:
        other = ["-o", f"HostName={place}"]
    chosen = [word for option in target.options for word in ("-o", option)]
    options = ["-T", *_OWN_CONNECTION, *_NO_EXTRAS, *other, *chosen, *_DEFAULTS]
    return ["ssh", *options, "--", target.destination, shlex.join([*target.become, *remote])]


def query_command(target: Target) -> list[str]:
    """Return the command line by which ssh prints its configuration for the host, without a connection."""
    chosen = [word for option in target.options for word in ("-o", option)]
    return ["ssh", "-G", *chosen, "--", target.destination]


def find_alias(configuration: str) -> str:
    """Return the name under which ssh looks up the host's key, by the output of `ssh -G`."""
    values = dict(line.partition(" ")[::2] for line in configuration.splitlines())
    alias = values.get("hostkeyalias", "none")
    if alias not in ("", "none"):
        return alias
    host, port = values.get("hostname", ""), values.get("port", "22")
    return host if port == "22" else f"[{host}]:{port}"


def with_bundle(target: Target, words: Sequence[str], *, keep: bool, brought: bool) -> list[str]:
    """Return the remote command that unpacks the archive from stdin and runs kvmnet with these words and the bundle.

    Its folder is removed afterwards unless it is to be kept for further commands: `keep`.
    """
    program = '"$d/venv/bin/python" -I -m kvmnet' if brought else shlex.join(target.program)
    script = f'{_SEND}; shift; {program} "$@" --bundle "$d/bundle" < /dev/null; c=$?; '
    script += "exit $c" if keep else 'rm -rf -- "$d"; exit $c'
    return ["sh", "-c", script, "sh", target.folder, *words]


def send_only(target: Target) -> list[str]:
    """Return the remote command that unpacks the archive from stdin, for the commands after it."""
    return ["sh", "-c", _SEND, "sh", target.folder]


def brought_program(folder: str) -> tuple[str, ...]:
    """Return the words that run the kvmnet that was brought into a folder of the host."""
    return (f"{folder}/venv/bin/python", "-I", "-m", "kvmnet")


def remove_folder(folder: str) -> list[str]:
    """Return the remote command that removes the folder. Raises ValueError for a folder that kvmnet has not made."""
    if _PREFIX not in folder.rpartition("/")[2] or not folder.startswith("/"):
        raise ValueError(f"{folder!r} is not a folder of kvmnet remote")
    return ["rm", "-rf", "--", folder]
