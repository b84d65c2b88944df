"""Tests of kvmnet/host/networkmanager_objects.py, with objects as busctl prints them."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.host import networkmanager_objects
from kvmnet.host.networkmanager_objects import BUS
from kvmnet.system import programs
from kvmnet.system.errors import HostError


def device(name: str, state: int, connection: str = "/") -> dict[str, Any]:
    values = {"Interface": name, "State": state, "ActiveConnection": connection}
    return {f"{BUS}.Device": {key: {"data": value} for key, value in values.items()}}


OBJECTS = {
    "/settings": {},
    "/device/1": device("eth0", 100, "/active/1"),
    "/device/2": device("eth0", 10),
    "/device/3": device("br0", 70, "/active/gone"),
    "/active/1": {f"{BUS}.Connection.Active": {"Uuid": {"data": "u-1"}}},
}


def test_of_two_devices_with_one_name_the_more_active_one_counts() -> None:
    """A deleted bridge keeps an object as long as its profile exists."""
    assert networkmanager_objects.states(OBJECTS) == {"eth0": 100, "br0": 70}


def test_the_active_profile_is_the_one_that_the_device_refers_to() -> None:
    assert networkmanager_objects.active(OBJECTS) == {"eth0": "u-1"}


@pytest.mark.parametrize("reply", [{"data": []}, {}, []])
def test_an_unexpected_reply_is_an_error(monkeypatch: pytest.MonkeyPatch, reply: Any) -> None:
    monkeypatch.setattr(programs, "run_json", lambda *_: reply)
    with pytest.raises(HostError, match="busctl: unexpected reply"):
        networkmanager_objects.read_objects()
