"""The commands of docs/tutorial, run in order as they are written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.seed import HOST_ADDRESS, HOST_MAC
from tests.tutorial_commands import commands

pytestmark = pytest.mark.make_test("trixie")

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorial"
PAIR = "python3 -m tests.machines.pair"


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


#: Each page, the exit codes that its commands print, and whether it leads to the picture of the naming policy rocks.
PAGES = {
    "first-change.md": (["3", "0", "0"], True),
    "rocks.md": (["1", "0", "0", "0"], True),
    "first-host.md": (["0", "0", "0", "0", "0"], False),
}


#: The page that is in `make test`.
FIRST_PAGE = "first-change.md"


@pytest.mark.parametrize(
    "name", [pytest.param(page, marks=() if page == FIRST_PAGE else pytest.mark.long) for page in PAGES]
)
def test_the_tutorial(host: OfPair, generation: str, name: str) -> None:
    expected, is_renamed = PAGES[name]
    exit_codes: list[str] = []
    for command in commands((TUTORIALS / name).read_text(encoding="utf-8")):
        if command.section.endswith("Go back") and "kvmnet remove" in command.line:
            check_picture(host) if is_renamed else check_vlan(host)
        if command.on_host:
            output = host.shell(f"{PAIR} shell host", command.line + "\n")
        elif command.line == f"{PAIR} down":
            check_restored(host)
            output = host.shell(command.line)
        else:
            output = host.shell(command.line.replace(" up trixie", f" up {generation}"))
        exit_codes += re.findall(r"^exit code (\d+)$", output, re.M)
    assert exit_codes == expected


def check_picture(host: OfPair) -> None:
    """Check the picture at the top of the page in the kernel."""
    kernel = cast(Machine, host)
    nic, bridge = picture.link(kernel, "peth0"), picture.link(kernel, "eth0")
    assert (nic["master"], "PROMISC" in nic["flags"]) == ("eth0", True)
    assert bridge["linkinfo"]["info_kind"] == "bridge"
    assert bridge["linkinfo"]["info_data"]["stp_state"] == 0
    assert bridge["address"] == HOST_MAC
    assert f"{HOST_ADDRESS}/16" in picture.all_addresses(kernel)["eth0"]


def check_vlan(host: OfPair) -> None:
    """Check that the host has the VLAN of the page, and its own address on eth0."""
    by_link = picture.all_addresses(cast(Machine, host))
    assert by_link["eth0.5"] == ["10.5.0.10/24"] and by_link["eth0"] == [f"{HOST_ADDRESS}/16"]


def check_restored(host: OfPair) -> None:
    """Check that the host is as in the beginning."""
    nic = picture.link(cast(Machine, host), "eth0")
    assert (nic["address"], nic.get("linkinfo", {}).get("info_kind")) == (HOST_MAC, None)
    check_address(host)


def check_address(host: OfPair) -> None:
    """Check that the host's address is on eth0 and on no other link."""
    by_link = picture.all_addresses(cast(Machine, host))
    assert {name: addresses for name, addresses in by_link.items() if addresses} == {"eth0": [f"{HOST_ADDRESS}/16"]}
