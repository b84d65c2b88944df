"""Tests of the demo: what it shows without machines, and how its checks read a machine."""

from __future__ import annotations

import copy
import sys
from typing import Any, cast

import pytest

from tests.demo import demo, offline
from tests.demo.show import Show, claims, is_complete, table
from tests.machines import build
from tests.machines.cache import LabError
from tests.machines.machine import Machine
from tests.machines.outage import Pings
from tests.machines.seed import HOST_MAC

NONE = cast(Machine, None)
PICTURE: dict[str, Any] = {
    "peth0": {
        "address": HOST_MAC,
        "master": "eth0",
        "flags": ["UP", "PROMISC"],
        "promiscuity": 2,
        "linkinfo": {"info_slave_kind": "bridge"},
    },
    "eth0": {"address": HOST_MAC, "linkinfo": {"info_kind": "bridge", "info_data": {"stp_state": 0}}},
    "zones": {"eth0": 's "trusted"', "peth0": 's "trusted"'},
    "addresses": {"lo": [], "peth0": [], "eth0": ["10.1.255.254/16"]},
    "default": [["10.1.1.1", "eth0"]],
    "udev": ["ID_NET_LINK_FILE=/etc/systemd/network/00-kvmnet-peth0.link"],
}


def shows_what_needs_no_machine(output: str) -> bool:
    return all(
        text in output
        for text in (
            "no problem in 1 host",
            "type: linux-bridge",
            "type: mac-vtap",
            "PermanentMACAddress=00:14:4f:80:de:00",
            "> rename eth0: to peth0",
            "NOT SHOWN",
        )
    )


def test_without_machines_the_demo_shows_the_parts_without_one_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints what it could not show, and why."""
    monkeypatch.setattr(build, "why_not", lambda: "it needs root (mount namespaces, chroot)")
    assert demo.main([]) == 1
    output = capsys.readouterr().out
    assert shows_what_needs_no_machine(output), output
    assert "it needs root (mount namespaces, chroot)" in output.rsplit("NOT SHOWN", 1)[1]
    assert "\x1b" not in output


def test_a_machine_that_does_not_boot_fails_like_a_missing_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise LabError("host (trixie): its kernel ended")

    monkeypatch.setattr(build, "prepare", lambda _: None)
    monkeypatch.setattr(demo, "booted", fails)
    assert demo.main([]) == 1
    output = capsys.readouterr().out
    assert shows_what_needs_no_machine(output), output
    assert "its kernel ended" in output


def test_without_dependencies_it_prints_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "why_not", lambda: "it needs Debian")
    monkeypatch.setattr(offline, "interpreter", lambda: [sys.executable, "-S", "-E"])
    assert demo.main([]) == 1
    assert "make check" in capsys.readouterr().out


def test_all_checks_of_the_applied_state_pass() -> None:
    assert [claim for claim, true in claims(PICTURE) if not true] == []


@pytest.mark.parametrize(
    ("path", "value", "claim"),
    [
        (("peth0",), {}, "peth0 exists"),
        (("peth0", "master"), "br0", "a port of eth0"),
        (("peth0", "promiscuity"), 1, "promiscuity 1"),
        (("peth0", "flags"), ["UP"], "PROMISC in its flags"),
        (("eth0", "address"), "52:54:00:00:00:01", "the NIC's MAC"),
        (("eth0", "linkinfo", "info_data", "stp_state"), 1, "STP is off"),
        (("addresses", "eth0"), [], "10.1.255.254/16"),
        (("addresses", "peth0"), ["10.1.255.254/16"], "peth0 has no address"),
        (("default",), [["10.1.1.1", "peth0"]], "default route"),
        (("zones", "eth0"), 's ""', "zone trusted"),
        (("udev",), ["ID_NET_LINK_FILE=/usr/lib/systemd/network/99-default.link"], "udev"),
    ],
)
def test_a_difference_fails_its_check(path: tuple[str, ...], value: object, claim: str) -> None:
    seen = copy.deepcopy(PICTURE)
    inner = seen
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert any(claim in text for text, true in claims(seen) if not true)


def test_every_part_must_pass(capsys: pytest.CaptureFixture[str]) -> None:
    show = Show("trixie", NONE, NONE)
    show.part = "applied"
    show.check("eth0 is a bridge", True)
    assert is_complete(show, ["applied"])
    assert not is_complete(show, ["applied", "after a reboot"])
    assert [row.split() for row in table([show], ["applied", "after a reboot"])[1:]] == [
        ["applied", "yes,", "1", "check"],
        ["after", "a", "reboot", "NOT", "CHECKED"],
    ]
    show.check("STP is off", False)
    assert not is_complete(show, ["applied"])
    assert "1 of 2 FAILED" in table([show], ["applied"])[1]
    assert demo.summary([show], ["trixie"], 60) == 1
    output = capsys.readouterr().out
    assert "FAILED trixie, applied: STP is off" in output
    assert "eth0 is a bridge" not in output, "this show has not had its turn"
    show.take_turn()
    assert capsys.readouterr().out == "  ok     eth0 is a bridge\n  FAILED STP is off\n"


def test_the_demo_succeeds_only_with_both_generations(capsys: pytest.CaptureFixture[str]) -> None:
    shows = []
    for generation in ("trixie", "bookworm"):
        show = Show(generation, NONE, NONE)
        for part in demo.PARTS:
            show.part = part
            show.check("a check", True)
        shows.append(show)
    assert demo.summary(shows, ["trixie", "bookworm"], 60) == 0
    assert demo.summary(shows[:1], ["trixie", "bookworm"], 60) == 1
    capsys.readouterr()


@pytest.mark.parametrize(
    ("sent", "answered", "lost", "longest"),
    [(3, {1, 2, 3}, 0, 0.0), (9, {1, 2, 6, 8, 9}, 4, 0.3), (4, {1}, 3, 0.3), (2, set(), 2, 0.2), (4, {3, 4}, 2, 0.2)],
)
def test_pings(sent: int, answered: set[int], lost: int, longest: float) -> None:
    pings = Pings(sent, answered)
    assert (pings.lost, round(pings.longest, 3)) == (lost, longest)
