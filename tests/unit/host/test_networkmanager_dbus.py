"""Tests of kvmnet/host/networkmanager_dbus.py: many calls at once, over a simulated bus."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from jeepney import HeaderFields, Message, new_error, new_method_return

from kvmnet.host import networkmanager_dbus
from kvmnet.host.networkmanager_dbus import WINDOW, Call, NetworkManager, NMError
from kvmnet.host.networkmanager_objects import BUS
from kvmnet.system import programs
from kvmnet.system.errors import HostError


class Bus:
    """A bus that replies to the newest call first."""

    def __init__(self) -> None:
        self.outgoing_serial = count(1)
        self.waiting: list[Message] = []
        self.order: list[str] = []
        self.most = 0
        self.silent = False

    def send(self, message: Message, serial: int) -> None:
        message.header.serial = serial
        self.order.append(message.body[0])
        self.waiting.append(message)
        self.most = max(self.most, len(self.waiting))

    def receive(self, timeout: float) -> Message:
        if self.silent:
            raise TimeoutError
        call = self.waiting.pop()
        word = call.body[0]
        answer = new_error(call, "org.x.No", "s", (f"no {word}",)) if word == "bad" else None
        answer = answer or new_method_return(call, "s", (f"got {word}",))
        answer.header.fields[HeaderFields.reply_serial] = call.header.serial
        return answer


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    simulated = Bus()
    monkeypatch.setattr(networkmanager_dbus, "open_dbus_connection", lambda bus: simulated)
    return simulated


def calls(*words: str) -> list[Call]:
    return [Call("/x", "org.x", "Do", "s", (word,)) for word in words]


def test_replies_are_in_the_order_of_their_calls(bus: Bus) -> None:
    words = [str(n) for n in range(3 * WINDOW)]
    assert NetworkManager()._all(calls(*words)) == [f"got {word}" for word in words]
    assert bus.order == words
    assert bus.most == WINDOW


def test_a_refusal_is_raised_after_all_replies_have_arrived(bus: Bus) -> None:
    with pytest.raises(NMError, match="refused Do: no bad"):
        NetworkManager()._all(calls("a", "bad", "b"))
    assert bus.waiting == []
    replies: list[Any] = NetworkManager()._each(calls("a", "bad"))
    assert (replies[0], type(replies[1])) == ("got a", NMError)


def test_a_call_without_a_reply_is_an_error_with_its_method(bus: Bus) -> None:
    bus.silent = True
    with pytest.raises(NMError, match="no reply from NetworkManager to Do"):
        NetworkManager()._all(calls("a"))


def test_a_late_reply_to_an_earlier_call_is_ignored(bus: Bus) -> None:
    late = new_method_return(networkmanager_dbus._message(calls("late")[0]), "s", ("late",))
    late.header.fields[HeaderFields.reply_serial] = 4711
    answers = [late]
    receive = bus.receive
    bus.receive = lambda timeout: answers.pop() if answers else receive(timeout)  # type: ignore[method-assign]
    assert NetworkManager()._all(calls("a")) == ["got a"]


class Devices:
    """A bus with a NetworkManager that has these devices: name -> (state, UUID of the active profile or "")."""

    def __init__(self, **devices: tuple[int, str]) -> None:
        self.outgoing_serial = count(1)
        self.devices = devices
        self.waiting: list[Message] = []

    def send(self, message: Message, serial: int) -> None:
        message.header.serial = serial
        self.waiting.append(message)

    def receive(self, timeout: float) -> Message:
        call = self.waiting.pop(0)
        answer = self.answer(call.header.fields[HeaderFields.path], *call.body)
        reply = new_method_return(call, *answer) if answer else new_error(call, "org.x.UnknownDevice", "s", ("no",))
        reply.header.fields[HeaderFields.reply_serial] = call.header.serial
        return reply

    def answer(self, path: str, word: str, name: str = "") -> tuple[str, tuple[Any, ...]] | None:
        kind, _, device = path.rpartition("/")
        if path.endswith("/NetworkManager"):
            return ("o", (f"/device/{word}",)) if word in self.devices else None
        state, uuid = self.devices[device]
        if state < 0:  # deleted after its path was read
            return None
        values = {"State": ("u", state), "ActiveConnection": ("o", f"/active/{device}" if uuid else "/")}
        return ("v", (values[name] if kind == "/device" else ("s", uuid),))


def test_states_and_active_profiles_are_read_by_device_name(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = Devices(eth0=(100, "u-1"), br0=(70, "u-2"), eth1=(30, ""), late=(-1, ""))
    monkeypatch.setattr(networkmanager_dbus, "open_dbus_connection", lambda bus: simulated)
    manager = NetworkManager()
    assert manager.states(["eth0", "none", "br0", "eth1", "late"]) == {"eth0": 100, "br0": 70, "eth1": 30}
    assert manager.active(["eth0", "none", "br0", "eth1", "late"]) == {"eth0": "u-1", "br0": "u-2"}
    assert [manager.activated(name) for name in ("eth0", "br0", "none")] == [True, False, False]


def test_many_devices_are_read_in_one_call(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    bus.silent = True  # a call over the bus would be an error
    names = [f"v{number}" for number in range(networkmanager_dbus.MANY + 1)]

    def as_property(value: Any) -> dict[str, Any]:
        return {"data": value}

    objects: dict[str, Any] = {"/settings": {}}
    for name in names[1:]:
        device = {"Interface": as_property(name), "State": as_property(100 if name != "v2" else 50)}
        device["ActiveConnection"] = as_property(f"/active/{name}" if name != "v2" else "/")
        objects[f"/device/{name}"] = {f"{BUS}.Device": device}
        if name != "v2":
            for path, uuid in ((f"/active/{name}", f"u-{name}"), (f"/going/{name}", "u-old")):
                active = {"Uuid": as_property(uuid), "Devices": as_property([f"/device/{name}"])}
                objects[path] = {f"{BUS}.Connection.Active": active}
    old = {"Interface": as_property("v3"), "State": as_property(10), "ActiveConnection": as_property("/")}
    objects["/device/old"] = {f"{BUS}.Device": old}
    monkeypatch.setattr(programs, "run_json", lambda *_: {"data": [objects]})
    manager = NetworkManager()
    assert manager.states(names) == {name: 50 if name == "v2" else 100 for name in names[1:]}
    assert manager.active(names) == {name: f"u-{name}" for name in names[1:] if name != "v2"}


def test_an_error_of_busctl_is_an_error_of_networkmanager(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: str, **__: object) -> str:
        raise HostError("busctl: no reply")

    monkeypatch.setattr(programs, "run", run)
    with pytest.raises(NMError, match=r"no reply from NetworkManager: .*busctl: no reply"):
        NetworkManager().states([f"v{number}" for number in range(networkmanager_dbus.MANY + 1)])


class Profiles:
    """A bus with a NetworkManager that has these profiles by UUID, and records the calls that change something."""

    def __init__(self, **profiles: dict[str, Any]) -> None:
        self.outgoing_serial = count(1)
        self.profiles = profiles
        self.changes: list[tuple[str, tuple[Any, ...]]] = []
        self.waiting: list[Message] = []

    def send(self, message: Message, serial: int) -> None:
        message.header.serial = serial
        self.waiting.append(message)

    def receive(self, timeout: float) -> Message:
        call = self.waiting.pop(0)
        reply = self.answer(call)
        reply.header.fields[HeaderFields.reply_serial] = call.header.serial
        return reply

    def answer(self, call: Message) -> Message:
        member, path = call.header.fields[HeaderFields.member], call.header.fields[HeaderFields.path]
        if member == "GetConnectionByUuid":
            uuid = call.body[0]
            if uuid not in self.profiles:
                return new_error(call, "org.x.No", "s", ("no such profile",))
            return new_method_return(call, "o", (f"/profile/{uuid}",))
        if member == "GetSettings":
            settings = {name: dict(keys) for name, keys in self.profiles[path.rpartition("/")[2]].items()}
            return new_method_return(call, "a{sa{sv}}", (settings,))
        if member == "GetSecrets":
            return new_method_return(call, "a{sa{sv}}", ({"802-1x": {"password": ("s", "secret")}},))
        if member == "GetDeviceByIpIface":
            return new_method_return(call, "o", (f"/device/{call.body[0]}",))
        self.changes.append((member, call.body))
        return new_method_return(call, "o", ("/x",))


def test_a_copy_of_a_profile_has_its_secrets_and_another_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"uuid": ("s", "u1"), "id": ("s", "all"), "timestamp": ("t", 5), "multi-connect": ("i", 3)}
    simulated = Profiles(u1={"connection": connection, "802-1x": {"identity": ("s", "host")}})
    monkeypatch.setattr(networkmanager_dbus, "open_dbus_connection", lambda bus: simulated)
    changes = {"connection": {"multi-connect": None, "id": ("s", "eth0")}}
    NetworkManager().copy_in_memory("u1", "u2", changes)
    copy = {
        "connection": {"uuid": ("s", "u2"), "id": ("s", "eth0")},
        "802-1x": {"identity": ("s", "host"), "password": ("s", "secret")},
    }
    assert simulated.changes == [("AddConnection2", (copy, networkmanager_dbus.IN_MEMORY, {}))]
    assert simulated.profiles["u1"]["connection"] == connection

    simulated.profiles["u2"] = {"connection": {}}
    NetworkManager().copy_in_memory("u1", "u2", changes)
    assert simulated.changes[1:] == [("Update2", (copy, networkmanager_dbus.IN_MEMORY, {}))]


def test_a_profile_is_activated_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = Profiles(u1={})
    monkeypatch.setattr(networkmanager_dbus, "open_dbus_connection", lambda bus: simulated)
    NetworkManager().activate("u1", "eth0")
    assert simulated.changes == [("ActivateConnection", ("/profile/u1", "/device/eth0", "/"))]


def test_settings_are_read_as_plain_data(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "connection": {"llmnr": ("i", 0), "permissions": ("as", [])},
        "802-3-ethernet": {"mac-address": ("ay", b"\x00\x14\x4f")},
        "ipv4": {"address-data": ("aa{sv}", [{"address": ("s", "10.0.0.1"), "prefix": ("u", 8)}])},
    }
    simulated = Profiles(u1=settings)
    monkeypatch.setattr(networkmanager_dbus, "open_dbus_connection", lambda bus: simulated)
    assert NetworkManager().plain_settings({"eth0": "u1", "eth1": "u2"}) == {
        "eth0": {
            "connection": {"llmnr": ["i", 0], "permissions": ["as", []]},
            "802-3-ethernet": {"mac-address": ["ay", "00:14:4f"]},
            "ipv4": {"address-data": ["aa{sv}", [{"address": "10.0.0.1", "prefix": 8}]]},
        }
    }
    assert NetworkManager().plain_settings({}) == {}


def test_the_value_of_an_activated_device_is_read_from_its_applied_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    applied = {"802-3-ethernet": {"cloned-mac-address": ("ay", b"\x02")}}
    replies = {"GetDeviceByIpIface": "/Devices/7", "GetAppliedConnection": (applied, 12)}
    seen: list[tuple[Any, ...]] = []

    def call(_: NetworkManager, path: str, interface: str, method: str, *arguments: Any) -> Any:
        seen.append((path, interface, method, *arguments))
        return replies[method]

    monkeypatch.setattr(networkmanager_dbus, "open_dbus_connection", lambda bus: None)
    monkeypatch.setattr(NetworkManager, "_call", call)
    manager = NetworkManager()
    assert manager.applied_value("br0", "802-3-ethernet", "cloned-mac-address") == b"\x02"
    assert manager.applied_value("br0", "bridge", "stp") is None
    assert seen[1] == ("/Devices/7", f"{BUS}.Device", "GetAppliedConnection", "u", (0,))
