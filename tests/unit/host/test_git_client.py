"""Calls of git, with a real server on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmnet.core.base.git_remote import GitRemote, parse_remote
from kvmnet.host import git_client
from kvmnet.host.git_client import GitFailed, ask_for_branch, find_ssh_host, run_git
from kvmnet.system.errors import HostError
from tests.unit.pull.repositories import DEFINITION, Origin


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin")
    made.commit(DEFINITION)
    return made


@pytest.fixture
def server(origin: Origin) -> Iterator[GitRemote]:
    """git's own daemon, which serves the origin."""
    port = free_port()
    options = ["--listen=127.0.0.1", f"--port={port}", "--export-all", f"--base-path={origin.folder.parent}"]
    process = subprocess.Popen(["git", "daemon", "--reuseaddr", *options], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None and time.monotonic() < end, "git daemon did not start"
            time.sleep(0.05)
        yield parse_remote(f"git://127.0.0.1:{port}/origin")
    finally:
        process.terminate()
        process.wait(10)


def test_the_server_is_asked_for_the_commit_of_a_branch(server: GitRemote, origin: Origin) -> None:
    assert ask_for_branch(server, "main", 20) == origin.git("rev-parse", "HEAD")
    assert ask_for_branch(server, "main", 20) != origin.commit() == ask_for_branch(server, "main", 20)
    with pytest.raises(GitFailed, match="the repository has no branch nothing"):
        ask_for_branch(server, "nothing", 20)


def test_a_server_that_is_gone_is_named_with_gits_reason() -> None:
    with pytest.raises(GitFailed, match=r"unable to connect to 127\.0\.0\.1"):
        ask_for_branch(parse_remote(f"git://127.0.0.1:{free_port()}/origin"), "main", 20)


def test_a_server_that_says_nothing_is_waited_for_only_so_long() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(GitFailed, match="git ls-remote: no end within 1 s"):
            ask_for_branch(parse_remote(f"git://127.0.0.1:{silent.getsockname()[1]}/origin"), "main", 1)
        assert time.monotonic() - started < 10


def test_a_protocol_that_is_not_allowed_is_not_used(server: GitRemote) -> None:
    with pytest.raises(GitFailed, match="transport 'git' not allowed"):
        run_git("ls-remote", server.url, protocol="https")


@pytest.mark.guarantee("G100")
def test_neither_hooks_nor_the_configuration_of_users_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"[alias]\n x = !touch {marker}\n[init]\n defaultBranch = odd\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "alias.y")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"!touch {marker}")
    mirror = tmp_path / "mirror.git"
    run_git("init", "--quiet", "--bare", "--template=", str(mirror))
    assert "odd" not in (mirror / "HEAD").read_text()
    for alias in ("x", "y"):
        with pytest.raises(GitFailed) as error:
            run_git(alias)
        assert "is not a git command" in error.value.text
    hook = mirror / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    tree = run_git("hash-object", "-t", "tree", "-w", "/dev/null", folder=mirror).strip()
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    commit = run_git(*identity, "commit-tree", "-m", "x", tree, folder=mirror).strip()
    run_git("update-ref", "refs/kvmnet/accepted", commit, folder=mirror)
    assert not marker.exists()
    subprocess.run(["git", f"--git-dir={mirror}", "update-ref", "refs/x", commit], check=True, env=_plain())
    assert marker.exists(), "the hook of this test works"


def _plain() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def test_without_git_the_program_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("subprocess.Popen", fail)
    with pytest.raises(GitFailed, match="install it"):
        run_git("version")


def test_ssh_opens_its_own_connection_and_never_asks() -> None:
    options = dict(word.split("=") for word in git_client.SSH[2::2])
    assert (options["ControlMaster"], options["ControlPath"], options["ProxyCommand"]) == ("no", "none", "none")
    assert (options["BatchMode"], options["StrictHostKeyChecking"]) == ("yes", "yes")


def test_the_name_that_ssh_has_for_a_host_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvmnet.system.programs.run", lambda *_, **__: "user root\nhostname 10.1.1.1\nport 22\n")
    assert find_ssh_host(parse_remote("ssh://git@forge/n.git")) == "10.1.1.1"
    assert find_ssh_host(parse_remote("https://forge/n.git")) == "forge"

    def fail(*_: object, **__: object) -> str:
        raise HostError("ssh: not found")

    monkeypatch.setattr("kvmnet.system.programs.run", fail)
    assert find_ssh_host(parse_remote("ssh://git@forge/n.git")) == "forge"


def test_the_line_with_the_reason_is_shown() -> None:
    refused = "ssh: connect to host h port 22: Connection refused"
    assert git_client._summarize(f"{refused}\nfatal: Could not read from remote repository.\n\nPlease") == refused
    assert git_client._summarize("warning: x\nfatal: could not read Username\n") == "could not read Username"
    assert git_client._summarize("one\ntwo\n") == "two"
    assert git_client._summarize("") == ""
