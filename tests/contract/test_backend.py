"""What kvmnet relies on in nmstate, asked of the real thing: one suite for every backend.

Every test takes its backend from one fixture. The lab's machines have the program alone: the Python binding comes with
EL, so over that the suite has not run yet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab import picture
from tests.lab.machine import Machine

STATE = {
    "interfaces": [
        {
            "name": "dummy7",
            "type": "dummy",
            "state": "up",
            "ipv4": {"enabled": True, "dhcp": False, "address": [{"ip": "10.77.0.1", "prefix-length": 24}]},
            "ipv6": {"enabled": False},
        }
    ]
}
LOG = "/root/contract.log"


@pytest.fixture(params=["nmstatectl"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(host: Machine, backend: str, *words: str) -> dict[str, Any]:
    host.put("/root/inside.py", (Path(__file__).parent / "inside.py").read_text())
    said = host.out(["/opt/kvmnet/bin/python", "/root/inside.py", backend, *words], timeout=90)
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    return answer


def apply(host: Machine, backend: str, state: dict[str, Any], seconds: int) -> dict[str, Any]:
    host.put("/root/state.json", json.dumps(state))
    host.run(f"rm -f {LOG}")
    return ask(host, backend, "apply", "/root/state.json", str(seconds), LOG)


def checkpoint_in_log(host: Machine) -> str:
    return host.out(f"sed -n 's/.*Created checkpoint //p' {LOG}")


def test_version_is_three_numbers(host: Machine, backend: str) -> None:
    version = ask(host, backend, "version")["answer"]
    assert [part.isdigit() for part in version.split(".")] == [True, True, True]


def test_show_has_what_plans_are_made_from(host: Machine, backend: str) -> None:
    state = ask(host, backend, "show")["answer"]
    nic = next(i for i in state["interfaces"] if i["name"] == "eth0")
    assert nic["type"] == "ethernet"
    assert nic["accept-all-mac-addresses"] is False
    assert {"ip": "10.1.255.254", "prefix-length": 16} in nic["ipv4"]["address"]
    route = next(r for r in state["routes"]["config"] if r["destination"] == "0.0.0.0/0")
    assert (route["next-hop-address"], route["next-hop-interface"], route["table-id"]) == ("10.1.1.1", "eth0", 254)


def test_an_uncommitted_apply_names_its_checkpoint_and_writes_no_file(host: Machine, backend: str) -> None:
    before = picture.whole(host)
    assert "error" not in apply(host, backend, STATE, 60)
    checkpoint = checkpoint_in_log(host)
    assert checkpoint in picture.checkpoints(host)
    assert picture.addresses(host, "dummy7") == ["10.77.0.1/24"]
    after = picture.whole(host)
    etc = {path: v for path, v in after["files"].items() if path.startswith("/etc/")}
    assert etc == {path: v for path, v in before["files"].items() if path.startswith("/etc/")}
    manager = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"
    host.run(f"busctl call {manager} CheckpointRollback o {checkpoint}")
    host.until("! ip link show dummy7")
    assert picture.whole(host) == before


def test_an_uncommitted_apply_is_undone_at_its_time(host: Machine, backend: str) -> None:
    before = picture.whole(host)
    apply(host, backend, STATE, 12)
    assert picture.addresses(host, "dummy7") == ["10.77.0.1/24"]
    host.until("! ip link show dummy7", timeout=30)
    assert picture.whole(host) == before


def test_what_nmstate_refuses_is_an_error_with_its_reason(host: Machine, backend: str) -> None:
    before = picture.whole(host)
    answer = apply(host, backend, {"interfaces": [{**STATE["interfaces"][0], "colour": "red"}]}, 30)
    assert "colour" in answer["error"], answer
    assert picture.whole(host) == before
