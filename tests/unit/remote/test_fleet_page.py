"""The commands of docs/howto/fleet.md that need no Ansible, and examples/fleet, run as they are written."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.hosts import Host, running_host
from tests.loopback.sshd import find_sshd

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/howto/fleet.md"
NAMES = ["hv1", "hv2", "hv3"]

pytestmark = pytest.mark.skipif(find_sshd() is None, reason="no sshd on this machine, and no Debian to get one from")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, Host]]:
    """Three hosts, with a definition and the programs kvmnet and ssh in tmp_path."""
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(running_host(tmp_path / name)) for name in NAMES}
        rows = [
            f'  {name}: {{interfaces: {{eth0: {{network: n, mac: "00:14:4f:80:de:0{i}", '
            f"addresses: [10.1.0.{i + 2}]}}}}}}\n"
            for i, name in enumerate(NAMES)
        ]
        head = "kvmnet: 1\ncluster: c\nprofile: plain\nnetworks: {n: {subnets: [10.1.0.0/16], gateway: 10.1.0.1}}\n"
        (tmp_path / "cluster.yaml").write_text(head + "hosts:\n" + "".join(rows))
        (tmp_path / "ssh_config").write_text("".join(host.sshd.config.read_text() for host in running.values()))
        (tmp_path / "bin").mkdir()
        programs = {"ssh": f"/usr/bin/ssh -F {tmp_path}/ssh_config", "kvmnet": f"{sys.executable} -m kvmnet"}
        for name, command in programs.items():
            (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {command} "$@"\n')
            (tmp_path / "bin" / name).chmod(0o755)
        yield running


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_commands_of_the_page(hosts: dict[str, Host], tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S) if "make" not in block]
    assert len(blocks) == 4
    for block in blocks:
        done = run(tmp_path, block)
        assert done.returncode == 0 and "stopped" not in done.stdout, f"{block}\n{done.stdout}\n{done.stderr}"
    assert {name: host.outcomes for name, host in hosts.items()} == {name: ["kept"] for name in NAMES}


def test_the_loop_stops_and_goes_on(hosts: dict[str, Host], tmp_path: Path) -> None:
    command = f"{ROOT}/examples/fleet/rollout.sh cluster.yaml {' '.join(NAMES)}"
    hosts["hv2"].misbehave("broken")
    done = run(tmp_path, command)
    assert done.returncode == 3 and "stopped at hv2" in done.stderr, done.stderr
    assert [host.outcomes for host in hosts.values()] == [["kept"], ["rolled back"], []]
    hosts["hv2"].behave("broken")
    done = run(tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert [host.outcomes for host in hosts.values()] == [["kept"], ["rolled back", "kept"], ["kept"]]
