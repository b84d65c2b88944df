"""What is read from the host when a change has failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.live.failure_facts import FailureFacts
from kvmnet.host import failure_facts
from kvmnet.host.failure_facts import find_nics_without_carrier, find_unmanaged_entry, read_failure_facts
from kvmnet.host.networkmanager_dbus import NMError
from kvmnet.system import links, programs
from kvmnet.system.errors import HostError


def test_a_nic_that_is_up_without_carrier_is_found(tmp_path: Path) -> None:
    for name, carrier, is_nic in (("eth0", "0", True), ("eth1", "1", True), ("br0", "0", False), ("eth2", None, True)):
        (tmp_path / name).mkdir()
        if is_nic:
            (tmp_path / name / "device").mkdir()
        if carrier is not None:  # the kernel refuses to read it while the NIC is down
            (tmp_path / name / "carrier").write_text(f"{carrier}\n")
    assert find_nics_without_carrier(["eth0", "eth1", "br0", "eth2", "gone"], tmp_path) == ["eth0"]


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_the_file_that_leaves_an_interface_unmanaged_is_found(tmp_path: Path) -> None:
    put(tmp_path, "usr/lib/NetworkManager/conf.d/00.conf", "[keyfile]\nunmanaged-devices=interface-name:virbr*\n")
    put(tmp_path, "etc/NetworkManager/conf.d/10-docker.conf", "[keyfile]\nunmanaged-devices+=interface-name:br-*\n")
    entry, fix = find_unmanaged_entry("br-eth0", "bridge", tmp_path)
    assert entry == "unmanaged-devices=interface-name:br-* in conf.d/10-docker.conf"
    assert fix.startswith("exclude br-eth0 there")
    assert find_unmanaged_entry("eth0", "", tmp_path) == ("", "")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What programs print, by their arguments, and the states of NetworkManager's devices."""
    answers: dict[str, Any] = {}

    class Manager:
        def __enter__(self) -> Manager:
            return self

        def __exit__(self, *_: object) -> None: ...

        def states(self, names: list[str]) -> dict[str, int]:
            if "states" not in answers:
                raise NMError("not running")
            return dict(answers["states"])

    def run(*argv: str) -> Any:
        answer = answers.get(" ".join(argv))
        if answer is None or isinstance(answer, str):
            raise HostError(answer or "RTNETLINK answers: Network is unreachable")
        return answer

    monkeypatch.setattr(failure_facts, "NetworkManager", Manager)
    monkeypatch.setattr(
        failure_facts, "find_unmanaged_entry", lambda name, kind: (f"unmanaged-devices=br* for a {kind}", "exclude it")
    )
    monkeypatch.setattr(links, "read_addresses", lambda: {"br0": ["10.1.255.254/16"]})
    monkeypatch.setattr(programs, "run_json", run)
    return answers


@pytest.mark.parametrize(
    ("answer", "is_without_route"),
    [
        ("ip route get 10.9.9.9: ended with 2: RTNETLINK answers: Network is unreachable", True),
        ("ip route get 10.9.9.9: ended with 2: RTNETLINK answers: No route to host", True),  # of type unreachable
        ("ip route get 10.9.9.9: ended with 2: RTNETLINK answers: Permission denied", True),  # of type prohibit
        ("ip route get 10.9.9.9: ended with 2: RTNETLINK answers: Invalid argument", True),  # of type blackhole
        ("ip: not found", False),
        ("ip route get 10.9.9.9: no answer within 5 s", False),
    ],
)
def test_a_target_has_no_route_only_if_the_kernel_answers_so(
    host: dict[str, Any], answer: str, is_without_route: bool
) -> None:
    host["ip -j route get 10.9.9.9"] = answer
    facts = FailureFacts()
    read_failure_facts(facts, {}, ["10.9.9.9"])
    assert facts.routes == ({"10.9.9.9": ""} if is_without_route else {})


def test_everything_is_read(host: dict[str, Any]) -> None:
    host["ip -j route get 10.9.9.9"] = [{"dev": "br0", "gateway": "10.1.1.1"}]
    host["ip -j neighbour show to 10.1.1.1 dev br0"] = [{"dst": "10.1.1.1", "state": ["FAILED"]}]
    host["states"] = {"br0": 10, "eth0": 100}
    facts = FailureFacts()
    read_failure_facts(facts, {"br0": "bridge", "eth0": ""}, ["10.9.9.9", "10.8.8.8"])
    assert facts == FailureFacts(
        addresses={"br0": ["10.1.255.254/16"]},
        routes={"10.9.9.9": "br0", "10.8.8.8": ""},
        neighbours={"10.9.9.9": ("10.1.1.1", "FAILED")},
        unmanaged={"br0": ("unmanaged-devices=br* for a bridge", "exclude it")},
    )


def test_a_part_that_cannot_be_read_does_not_keep_the_rest(
    host: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise HostError("no")

    monkeypatch.setattr(links, "read_addresses", fail)
    facts = FailureFacts()
    read_failure_facts(facts, {"br0": ""}, ["10.8.8.8"])
    assert facts == FailureFacts(routes={"10.8.8.8": ""})
