"""NetworkManager's profiles as two programs tell them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kvmnet import rescue
from kvmnet.core.live import Profile
from kvmnet.core.showing import Managed
from kvmnet.host.nm import BUS, NMError
from kvmnet.host.profiles import bound_profiles, read_manager

ROOT = "/org/freedesktop/NetworkManager"
FILES = {"1": "/etc/NetworkManager/system-connections/eth0.nmconnection", "2": "/run/x/a.nmconnection", "3": "/etc/b"}
SETTINGS = {
    "1": ("u-1", "eth0: the first", "802-3-ethernet", "", "trusted", "manual", "auto"),
    "2": ("u-2", "br0", "bridge", "br0", "", "disabled", "disabled"),
    "3": ("u-3", "other", "bridge", "br0", ""),
}


def value(data: Any) -> dict[str, Any]:
    return {"type": "x", "data": data}


def objects(gone: str = "") -> str:
    found: dict[str, Any] = {ROOT: {BUS: {"Version": value("1.52.1")}}}
    for number, file in FILES.items():
        if number != gone:
            found[f"{ROOT}/Settings/{number}"] = {f"{BUS}.Settings.Connection": {"Filename": value(file)}}
    for number, name, state in (("7", "eth0", 100), ("8", "br0", 70), ("9", "eth0", 10)):
        found[f"{ROOT}/Devices/{number}"] = {f"{BUS}.Device": {"Interface": value(name), "State": value(state)}}
    for number, connection, devices in (("1", "1", ["7"]), ("2", "2", ["8"]), ("9", "3", [])):
        held = {
            "StateFlags": value(0x5C | (0x80 if number == "2" else 0)),
            "Connection": value(f"{ROOT}/Settings/{connection}"),
            "Devices": value([f"{ROOT}/Devices/{d}" for d in devices]),
        }
        found[f"{ROOT}/ActiveConnection/{number}"] = {f"{BUS}.Connection.Active": held}
    return json.dumps({"type": "a{oa{sa{sv}}}", "data": [found]})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What busctl tells, one answer a call; nmcli refuses to speak of what is gone."""
    answers: list[str] = []
    gone = "3"

    def run(*words: str, **_: object) -> str:
        if words[0] == "busctl":
            return answers.pop(0)
        asked = [path.rpartition("/")[2] for path in words[words.index("path") + 1 :: 2]]
        if gone in asked and answers:
            raise rescue.Failed(f"no such connection: {gone}")
        keys = [f"connection.{key}" for key in ("uuid", "id", "type", "interface-name", "zone")]
        keys += ["ipv4.method", "ipv6.method"]
        return "\n".join("".join(f"{k}:{v}\n" for k, v in zip(keys, SETTINGS[n])) for n in asked)

    monkeypatch.setattr(rescue, "run", run)
    return answers


def test_the_active_ones_are_told_by_their_devices(told: list[str]) -> None:
    told.append(objects())
    assert read_manager().active == {
        "eth0": Profile("u-1", "eth0: the first", "802-3-ethernet", "eth0", FILES["1"], "", "trusted"),
        "br0": Profile("u-2", "br0", "bridge", "br0", FILES["2"], "br0", ""),
    }


def test_those_bound_to_a_name_are_told_active_or_not(told: list[str]) -> None:
    told.append(objects())
    assert bound_profiles(read_manager().profiles) == {("br0", "bridge"): ["u-2", "u-3"]}


def test_devices_have_the_methods_of_their_profiles(told: list[str]) -> None:
    told.append(objects())
    assert read_manager().devices == {
        "eth0": Managed(100, ("manual", "auto")),
        "br0": Managed(70, ("disabled", "disabled"), external=True),
    }


def test_one_that_goes_while_they_are_read_has_both_asked_again(told: list[str]) -> None:
    told.extend([objects(), objects(gone="3")])
    assert bound_profiles(read_manager().profiles) == {("br0", "bridge"): ["u-2"]}
    assert told == []


def test_nothing_but_confusion_is_told(told: list[str]) -> None:
    told.extend([objects()] * 5)
    with pytest.raises(NMError, match="no such connection"):
        read_manager()
