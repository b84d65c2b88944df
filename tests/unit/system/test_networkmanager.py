"""nmcli's and busctl's output is read, whatever it contains."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.system import networkmanager, programs
from kvmnet.system.errors import HostError


def test_name_servers_are_read_by_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"interface": {"type": "s", "data": "eth0"}, "nameservers": {"type": "as", "data": ["10.0.0.53"]}},
        {"nameservers": {"type": "as", "data": ["10.9.9.9"]}},
        {"interface": {"type": "s", "data": "eth1"}, "nameservers": {"type": "as", "data": []}},
    ]
    monkeypatch.setattr(programs, "run_json", lambda *_: {"type": "aa{sv}", "data": rows})
    assert networkmanager.read_name_servers() == {"eth0": {"nameservers": ["10.0.0.53"]}}


@pytest.mark.parametrize(
    ("line", "is_it"),
    [
        ("uuid=ab-1", True),
        ("uuid = AB-1", True),
        ("  uuid\t=ab-1  ", True),
        ("uuid=ab-1\r", True),
        ("uuid=ab-12", False),
        ("#uuid=ab-1", False),
        ("secondaries=ab-1", False),
    ],
)
def test_the_uuid_in_a_keyfile_is_found_in_every_spelling(line: str, is_it: bool) -> None:
    text = f"[connection]\nid=\xff\n{line}\ntype=ethernet\n".encode("latin-1")
    assert networkmanager.has_uuid(text, ["cd-2", "ab-1"]) is is_it


def test_a_networkmanager_that_does_not_answer_is_killed_and_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def run(*argv: str, **_: Any) -> str:
        commands.append(" ".join(argv[:2]))
        if argv[0] == "busctl" and "systemctl kill" not in commands:
            raise HostError("busctl: no answer")
        return ""

    monkeypatch.setattr(programs, "run", run)
    assert networkmanager.make_responsive()
    assert commands[2:] == ["systemctl kill", "systemctl restart"]
    assert not networkmanager.make_responsive()
