"""The control node of the tests: an Ansible of one version, the built collection, a definition, hosts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.loopback.hosts import Host, running_host
from tests.loopback.sshd import find_sshd
from tools import collection

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests, with the reason, where there is no Ansible or no sshd."""
    reason = ""
    if "KVMNET_ANSIBLE" not in os.environ:
        reason = "run by `make collection-test`, which sets up Ansible"
    elif find_sshd() is None:
        reason = "no sshd on this machine, and no Debian to get one from"
    for item in items:
        if reason and "tests/collection" in str(item.path):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the built collection is installed."""
    programs, folder = Path(os.environ["KVMNET_ANSIBLE"]), tmp_path_factory.mktemp("collections")
    archive = collection.build(programs, tmp_path_factory.mktemp("build"))
    command = [f"{programs}/ansible-galaxy", "collection", "install", "--offline", "-p", str(folder), str(archive)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


@dataclass
class Run:
    """What a run of Ansible has printed and left."""

    code: int
    text: str

    def recap(self, host: str) -> dict[str, int]:
        """Return the numbers of the recap of a host."""
        line = next(line for line in self.text.splitlines() if line.startswith(f"{host} ") and "ok=" in line)
        return {name: int(value) for name, _, value in (word.partition("=") for word in line.split() if "=" in word)}


@dataclass
class Control:
    """A control node with a definition of its hosts."""

    folder: Path
    collections: Path
    hosts: dict[str, Host]
    #: Shared connections: in a folder of each control node, with a short name, because sockets have a limit of it.
    sockets: Path

    def write(self) -> None:
        """Write the definition, the inventory and the programs."""
        rows = [
            f'  {name}: {{interfaces: {{eth0: {{network: private, mac: "00:14:4f:80:de:{n:02x}", '
            f"addresses: [10.1.255.{n + 1}]}}}}}}"
            for n, name in enumerate(self.hosts)
        ]
        head = "kvmnet: 1\ncluster: c\nprofile: plain\n"
        networks = "networks: {private: {subnets: [10.1.0.0/16], gateway: 10.1.1.1}}\nhosts:\n"
        (self.folder / "cluster.yaml").write_text(head + networks + "\n".join(rows) + "\n")
        (self.folder / "hosts.kvmnet.yml").write_text("plugin: kvmnet.kvmnet.definition\ndefinition: cluster.yaml\n")
        program = self.folder / "kvmnet"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m kvmnet "$@"\n')
        program.chmod(0o755)
        (self.folder / "ssh_config").write_text("".join(host.sshd.config.read_text() for host in self.hosts.values()))

    def run(self, *words: str, **variables: Any) -> Run:
        """Run ansible-playbook with these words."""
        extra = json.dumps(self._extra(variables))
        return self._run(["ansible-playbook", "-i", "hosts.kvmnet.yml", "-e", extra, *words])

    def shell(self, commands: str) -> Run:
        """Run lines of shell; what the hosts of the tests need is in the variables of all hosts."""
        (self.folder / "group_vars").mkdir(exist_ok=True)
        (self.folder / "group_vars/all.yml").write_text(json.dumps(self._extra({})))
        return self._run(["bash", "-e", "-c", commands])

    def _extra(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {
            "ansible_ssh_common_args": f"-F {self.folder}/ssh_config",
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(self.folder / "remote-tmp"),
            "rollout_become": False,
            **variables,
        }

    def _run(self, command: list[str]) -> Run:
        programs = os.environ["KVMNET_ANSIBLE"]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "PATH": f"{self.folder}:{programs}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.sockets),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOWS": "1",
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, timeout=400,
        )  # fmt: skip
        return Run(done.returncode, done.stdout)

    def play(self, tasks: str, *words: str, **variables: Any) -> Run:
        """Run a play with these tasks, in YAML, on all hosts."""
        indented = "".join(f"    {line}\n" for line in tasks.strip().splitlines())
        (self.folder / "play.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{indented}")
        return self.run("play.yml", *words, **variables)


@pytest.fixture
def control(tmp_path: Path, collections: Path) -> Iterator[Control]:
    """A control node with one host, hv1."""
    with running_control(tmp_path, collections, ["hv1"]) as running:
        yield running


@contextlib.contextmanager
def running_control(tmp_path: Path, collections: Path, names: list[str]) -> Iterator[Control]:
    """Yield a control node with these hosts."""
    with contextlib.ExitStack() as stack:
        hosts = {name: stack.enter_context(running_host(tmp_path / name)) for name in names}
        folder = tmp_path / "control"
        folder.mkdir()
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k")))
        control = Control(folder, collections, hosts, sockets)
        control.write()
        yield control
