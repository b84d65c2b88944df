"""The commands of docs/tutorial/first-change.md, run in order as they are written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.seed import HOST_ADDRESS, HOST_MAC

pytestmark = pytest.mark.make_test("trixie")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorial/first-change.md"
PAIR = "python3 -m tests.machines.pair"


class Command(NamedTuple):
    """A line of a ```sh block; `on_host` if the block's info string is `sh host`."""

    section: str
    on_host: bool
    line: str


def commands(text: str) -> Iterator[Command]:
    """Return the commands of a page in their order."""
    section, block = "", None
    for line in text.splitlines():
        if line.startswith("```"):
            block = line[3:] if block is None else None
        elif block in ("sh", "sh host"):
            yield Command(section, block == "sh host", line)
        elif block is None and line.startswith("## "):
            section = line[3:]


class OfPair:
    """The host of the tutorial's pair, as far as tests.machines.picture needs it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def out(self, command: str) -> str:
        return self.shell(f"{PAIR} run host {shlex.quote(command)}")

    def shell(self, line: str, typed: str = "") -> str:
        """Run a line in the repository with `typed` as its input. Raises AssertionError if it fails."""
        done = subprocess.run(
            ["bash", "-c", line],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self.environment,
            timeout=600,
        )
        assert done.returncode == 0, f"{line}\n{typed}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def host(lab: None, tmp_path: Path) -> Iterator[OfPair]:
    machine = OfPair({**os.environ, "KVMNET_PAIR_DIR": str(tmp_path / "pair")})
    yield machine
    machine.shell(f"{PAIR} down || true")  # the page ends with it: only a test that failed has left a pair


def test_the_tutorial(host: OfPair, generation: str) -> None:
    exit_codes: list[str] = []
    for command in commands(PAGE.read_text(encoding="utf-8")):
        if command.section == "9. Go back" and "kvmnet remove" in command.line:
            check_picture(host)
        if command.on_host:
            output = host.shell(f"{PAIR} shell host", command.line + "\n")
        elif command.line == f"{PAIR} down":
            check_restored(host)
            output = host.shell(command.line)
        else:
            output = host.shell(command.line.replace(" up trixie", f" up {generation}"))
        exit_codes += re.findall(r"^exit code (\d+)$", output, re.M)
    assert exit_codes == ["3", "0", "0"]


def check_picture(host: OfPair) -> None:
    """Check the picture at the top of the page in the kernel."""
    kernel = cast(Machine, host)
    nic, bridge = picture.link(kernel, "peth0"), picture.link(kernel, "eth0")
    assert (nic["master"], "PROMISC" in nic["flags"]) == ("eth0", True)
    assert bridge["linkinfo"]["info_kind"] == "bridge"
    assert bridge["linkinfo"]["info_data"]["stp_state"] == 0
    assert bridge["address"] == HOST_MAC
    check_address(host)


def check_restored(host: OfPair) -> None:
    """Check that the host is as in the beginning."""
    nic = picture.link(cast(Machine, host), "eth0")
    assert (nic["address"], nic.get("linkinfo", {}).get("info_kind")) == (HOST_MAC, None)
    check_address(host)


def check_address(host: OfPair) -> None:
    """Check that the host's address is on eth0 and on no other link."""
    by_link = picture.all_addresses(cast(Machine, host))
    assert {name: addresses for name, addresses in by_link.items() if addresses} == {"eth0": [f"{HOST_ADDRESS}/16"]}
