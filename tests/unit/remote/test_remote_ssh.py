"""Tests of `kvmnet remote` over a real sshd on loopback, with a stand-in for kvmnet behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loopback.hosts import Host, running_host
from tests.loopback.sshd import find_sshd

ROOT = Path(__file__).parents[3]
DEFINITION = """\
kvmnet: 1
cluster: c
profile: plain
networks: {private: {subnets: [10.1.0.0/16], gateway: 10.1.1.1}}
hosts:
  hv1: {interfaces: {eth0: {network: private, mac: "00:14:4f:80:de:00", addresses: [10.1.255.254]}}}
"""

pytestmark = pytest.mark.skipif(find_sshd() is None, reason="no sshd on this machine, and no Debian to get one from")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with running_host(tmp_path / "hv1") as running:
        yield running


def remote(
    host: Host, *words: str, name: str = "hv1", program: str = "kvmnet", limit: float = 90
) -> subprocess.CompletedProcess[str]:
    """Run `kvmnet remote` as a user whose ssh_config is that of the host."""
    folder = host.sshd.folder
    (folder / "cluster.yaml").write_text(DEFINITION)
    (folder / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {host.sshd.config} "$@"\n')
    (folder / "ssh").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "kvmnet", "remote", name, *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=limit, check=False
    )


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_apply_confirms_over_a_connection_that_is_opened_after_the_change(host: Host) -> None:
    done = remote(host, "cluster.yaml", "apply", "--yes")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "change eth0" in done.stdout and "confirming over a new connection" in done.stdout
    assert "kept: the host matches the definition" in done.stdout
    assert host.outcomes == ["kept"]
    (confirmation,) = host.calls("confirm")
    assert confirmation[1:3] == ["--transaction", host.read("history.json")[0]["id"]]
    assert host.sshd.connections() == 3, "plan, apply, confirm"
    before = host.sshd.connections()
    again = remote(host, "cluster.yaml", "apply", "--yes")
    assert again.returncode == 0 and "no change" in again.stdout
    assert host.sshd.connections() == before + 1 and host.outcomes == ["kept"]


def test_a_lost_connection_is_survived(host: Host) -> None:
    host.misbehave("cut")
    done = remote(host, "apply", "--yes", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    result = events(done)[-1]
    assert result["event"] == "result" and result["exit"] == 0
    assert result["transaction"] == host.read("history.json")[0]["id"]
    assert host.outcomes == ["kept"]


def test_a_connection_that_is_lost_before_the_id_is_known_is_no_success(host: Host) -> None:
    """The host gets no confirmation: whose change is open there is not known."""
    host.misbehave("cut-early")
    done = remote(host, "apply", "--yes", "--json", "--confirm-within", "10")
    assert done.returncode == 4 and "KVN581" in done.stderr, done.stderr + done.stdout
    assert host.calls("confirm") == []


def test_a_change_that_fails_is_reported_as_rolled_back(host: Host) -> None:
    host.misbehave("broken")
    done = remote(host, "apply", "--yes")
    assert done.returncode == 3, done.stderr + done.stdout
    assert "rolled back and verified" in done.stdout
    assert host.outcomes == ["rolled back"]


def test_a_refusal_has_its_exit_code_and_reason(host: Host) -> None:
    host.misbehave("refused")
    done = remote(host, "apply", "--yes")
    assert done.returncode == 5 and "KVN550: a refusal of the test" in done.stderr
    assert host.outcomes == []


def test_a_host_that_answers_no_new_connection_is_not_confirmed(host: Host) -> None:
    host.misbehave("silent")
    done = remote(host, "apply", "--yes", "--confirm-within", "10")
    assert done.returncode == 3, done.stderr + done.stdout
    assert host.outcomes == ["rolled back"]


@pytest.mark.parametrize("path", ["%C", "master-%r@%h"])
def test_shared_connections_of_the_user_are_not_used(tmp_path: Path, path: str) -> None:
    settings = f"ControlMaster auto\nControlPersist 60\nControlPath /tmp/k{os.getpid()}-{path}\nRemoteCommand none"
    with running_host(tmp_path / "hv1", settings=settings) as host:
        ssh = ["ssh", "-F", str(host.sshd.config), "hv1"]
        subprocess.run([*ssh, "true"], check=True, capture_output=True)  # an old connection, for everybody to use
        try:
            before = host.sshd.connections()
            subprocess.run([*ssh, "true"], check=True, capture_output=True)
            assert host.sshd.connections() == before, "ssh itself uses the old connection"
            started = time.clock_gettime(time.CLOCK_BOOTTIME)
            done = remote(host, "apply", "--yes")
            assert done.returncode == 0, done.stderr + done.stdout
            assert host.read("applied.json")["by"]["opened"] > started
            assert host.sshd.connections() == before + 3
        finally:
            subprocess.run([*ssh, "-O", "exit"], check=False, capture_output=True)


RELAY = """\
import os, socket, sys, threading
there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def upwards():
    while data := os.read(0, 65536):
        there.sendall(data)
    there.shutdown(socket.SHUT_WR)
threading.Thread(target=upwards, daemon=True).start()
while data := there.recv(65536):
    os.write(1, data)
"""


def move(host: Host, address: str, port: int) -> None:
    """Let the new address 10.1.255.254 of the definition lead to a port of loopback, and let the old one, 127.0.0.1, be
    gone while a change is open."""
    relay = host.sshd.folder / "relay.py"
    relay.write_text(RELAY)
    host.sshd.config.write_text(
        host.sshd.config.read_text()
        + f'Match host 127.0.0.1 exec "test -s {host.state}/open.json"\nProxyCommand false\n'
        f"Match host 10.1.255.254\nProxyCommand {sys.executable} {relay} {address} {port}\n"
    )


def test_a_new_address_is_followed(tmp_path: Path) -> None:
    with running_host(tmp_path / "hv1", ("127.0.0.1", "127.0.0.2")) as host:
        move(host, "127.0.0.2", host.sshd.port)
        done = remote(host, "apply", "--yes", "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        assert events(done)[-1]["address"] == "10.1.255.254"
        assert host.read("applied.json")["by"]["address"] == "127.0.0.2"


def test_a_stranger_at_the_new_address_is_not_asked(tmp_path: Path) -> None:
    """Another machine has the new address, and another key: it gets no confirmation, and the host rolls back."""
    with running_host(tmp_path / "other", ("127.0.0.2",)) as stranger, running_host(tmp_path / "hv1") as host:
        move(host, "127.0.0.2", stranger.sshd.port)
        done = remote(host, "apply", "--yes", "--confirm-within", "10")
        assert done.returncode == 3, done.stderr + done.stdout
        assert stranger.calls("confirm") == [] and host.outcomes == ["rolled back"]
        assert "Connection closed" in stranger.sshd.log or "Connection reset" in stranger.sshd.log


def test_plan_status_rollback_and_remove(host: Host) -> None:
    assert remote(host, "plan", "--exit-code").returncode == 6
    assert json.loads(remote(host, "status", "--json").stdout)["applied"] is None
    assert remote(host, "rollback", "--yes").returncode == 0
    assert remote(host, "remove", "--yes").returncode == 0
    assert [row["operation"] for row in host.read("history.json")] == ["rollback", "remove"]


def test_an_unreachable_host_and_one_without_kvmnet(host: Host) -> None:
    done = remote(host, "apply", "--yes", "--address", "127.0.0.9")
    assert done.returncode == 1 and "KVN580" in done.stderr
    done = remote(host, "apply", "--yes", "--program", "/nonexistent/kvmnet")
    assert done.returncode == 1 and "has no kvmnet" not in done.stdout and "cannot run kvmnet" in done.stderr


def test_become_runs_everything_as_root(host: Host) -> None:
    become = host.sshd.folder / "bin" / "become"
    become.write_text(f'#!/bin/sh\necho "$1" >> {host.sshd.folder}/became\nexec "$@"\n')
    become.chmod(0o755)
    done = remote(host, "apply", "--yes", "--become", "become")
    assert done.returncode == 0, done.stderr + done.stdout
    assert (host.sshd.folder / "became").read_text().split() == ["sh", "sh", "kvmnet"]


def test_no_files_are_left_on_the_host(host: Host) -> None:
    folder = host.sshd.folder / "run"
    folder.mkdir()
    assert remote(host, "apply", "--yes", "--folder", str(folder)).returncode == 0
    until = time.monotonic() + 10
    while list(folder.iterdir()) and time.monotonic() < until:
        time.sleep(0.1)
    assert list(folder.iterdir()) == []


def test_bring_carries_kvmnet_and_what_it_needs(host: Host) -> None:
    """The kvmnet that was brought reads this machine, which is none of the definition. The host's own is not asked."""
    folder = host.sshd.folder / "run"
    folder.mkdir()
    done = remote(host, "plan", "--bring", "--folder", str(folder))
    assert done.returncode == 5 and "KVN503: this host is not in the definition" in done.stderr, done.stderr
    assert host.calls("plan") == [] and list(folder.iterdir()) == []
