"""Calls git for the fetches of pull mode, so that neither the repository nor this host's settings make it run programs.

git is given no configuration of the system or the user, no hooks, no submodules, only the protocols of the setting, and
a limited time. ssh opens a connection of its own, directly to the server, and never asks.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Optional

from kvmnet.core.base.git_remote import GitRemote
from kvmnet.system import programs
from kvmnet.system.errors import HostError

#: A shared connection would prove nothing about new ones, and a proxy would hide by which interface it leaves.
_SSH_OPTIONS = (
    *("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10", "ConnectionAttempts=1"),
    *("ServerAliveInterval=10", "ServerAliveCountMax=3", "ControlMaster=no", "ControlPath=none"),
    *("ProxyJump=none", "ProxyCommand=none", "PermitLocalCommand=no", "ForwardAgent=no", "ClearAllForwardings=yes"),
)
SSH = ["ssh", *(word for option in _SSH_OPTIONS for word in ("-o", option))]

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": "false",
    "credential.helper": "",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
    "http.followRedirects": "false",
    "http.proxy": "",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "30",
    # Only signatures of ssh count: gpg would use root's key ring, in which any key is accepted.
    "gpg.format": "ssh",
    "gpg.program": "/bin/false",
    "gpg.openpgp.program": "/bin/false",
    "gpg.x509.program": "/bin/false",
    "gpg.minTrustLevel": "fully",
}


class GitFailed(HostError):
    """git failed or took too long; `text` is what it printed."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


def run_git(
    *arguments: str,
    folder: Optional[Path] = None,
    protocol: str = "none",
    seconds: float = 30,
    errors_too: bool = False,
) -> str:
    """Run git and return its output, with what it prints as errors if `errors_too`. `folder` is the bare repository,
    `protocol` the only one that may be used to reach another one. Raises GitFailed."""
    settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
    place = [f"--git-dir={folder}"] if folder is not None else []
    command = ["git", *settings, *place, *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors_too else subprocess.PIPE,
            env=_environment(protocol),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise GitFailed(f"git cannot be run: {error.strerror}; install it") from error
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        raise GitFailed(f"git {arguments[0]}: no end within {seconds:.0f} s") from None
    except BaseException:  # a rollback was requested meanwhile
        _kill_group(process)
        raise
    if process.returncode != 0:
        text = os.fsdecode(errors or output).strip()
        raise GitFailed(_summarize(text) or f"git {arguments[0]} failed without a message", text)
    return os.fsdecode(output)


def _environment(protocol: str) -> dict[str, str]:
    return {
        "PATH": programs.PROGRAM_PATH,
        "LC_ALL": "C",
        "HOME": os.environ.get("HOME", "/root"),  # ssh's keys, curl's .netrc
        "XDG_CONFIG_HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_SSH_COMMAND": shlex.join(SSH),
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
    }


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill git with the programs that it started, such as ssh."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _summarize(text: str) -> str:
    """Return the first line by which git names its failure, and otherwise the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reasons = [line.removeprefix("fatal: ") for line in lines if line.startswith(("fatal: ", "error: "))]
    is_vague = bool(reasons) and reasons[0].startswith("Could not read from remote repository")
    if is_vague and not lines[0].startswith("fatal: "):
        return lines[0]  # of ssh
    return (reasons or lines[-1:] or [""])[0]


def ask_for_branch(remote: GitRemote, branch: str, seconds: float) -> str:
    """Ask the server, over a new connection, for the commit of a branch; return its ID. Raises GitFailed when it does
    not reply in time or has no such branch."""
    ref = f"refs/heads/{branch}"
    output = run_git("ls-remote", "--", remote.url, ref, protocol=remote.protocol, seconds=seconds)
    commits = [row.split("\t")[0] for row in output.splitlines() if row.endswith(f"\t{ref}")]
    if len(commits) != 1 or not is_object_id(commits[0]):
        raise GitFailed(f"the repository has no branch {branch}")
    return commits[0]


def is_object_id(text: str) -> bool:
    """Whether this is a whole ID of a commit: of SHA-1 or SHA-256."""
    return len(text) in (40, 64) and not set(text) - set("0123456789abcdef")


def find_ssh_host(remote: GitRemote) -> str:
    """Return the host that ssh connects to: its configuration may have another name or address for that of the URL."""
    if remote.protocol != "ssh":
        return remote.host
    try:
        lines = programs.run(*SSH, "-G", "--", remote.host).splitlines()
    except HostError:
        return remote.host
    return next((line.partition(" ")[2] for line in lines if line.startswith("hostname ")), remote.host)
