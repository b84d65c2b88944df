"""Many calls to NetworkManager at once, over a bus that answers as it likes."""

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
    """Answers the newest first, and now and then with what nobody asked for."""

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
        asked = self.waiting.pop()
        word = asked.body[0]
        answer = new_error(asked, "org.x.No", "s", (f"no {word}",)) if word == "bad" else None
        answer = answer or new_method_return(asked, "s", (f"got {word}",))
        answer.header.fields[HeaderFields.reply_serial] = asked.header.serial
        return answer


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    made = Bus()
    monkeypatch.setattr(networkmanager_dbus, "open_dbus_connection", lambda bus: made)
    return made


def calls(*words: str) -> list[Call]:
    return [Call("/x", "org.x", "Do", "s", (word,)) for word in words]


def test_answers_stand_in_the_order_of_their_calls(bus: Bus) -> None:
    words = [str(n) for n in range(3 * WINDOW)]
    assert NetworkManager()._all(calls(*words)) == [f"got {word}" for word in words]
    assert bus.order == words
    assert bus.most == WINDOW


def test_a_refusal_is_raised_when_all_have_been_answered(bus: Bus) -> None:
    with pytest.raises(NMError, match="refused Do: no bad"):
        NetworkManager()._all(calls("a", "bad", "b"))
    assert bus.waiting == []
    found: list[Any] = NetworkManager()._each(calls("a", "bad"))
    assert (found[0], type(found[1])) == ("got a", NMError)


def test_one_that_does_not_answer_is_named(bus: Bus) -> None:
    bus.silent = True
    with pytest.raises(NMError, match="does not answer Do"):
        NetworkManager()._all(calls("a"))


def test_an_answer_to_an_earlier_question_is_nobodys(bus: Bus) -> None:
    late = new_method_return(networkmanager_dbus._message(calls("late")[0]), "s", ("late",))
    late.header.fields[HeaderFields.reply_serial] = 4711
    answers = [late]
    receive = bus.receive
    bus.receive = lambda timeout: answers.pop() if answers else receive(timeout)  # type: ignore[method-assign]
    assert NetworkManager()._all(calls("a")) == ["got a"]


class Devices:
    """A bus on which NetworkManager has these devices: name -> (state, UUID of the active profile, or none)."""

    def __init__(self, **held: tuple[int, str]) -> None:
        self.outgoing_serial = count(1)
        self.held = held
        self.waiting: list[Message] = []

    def send(self, message: Message, serial: int) -> None:
        message.header.serial = serial
        self.waiting.append(message)

    def receive(self, timeout: float) -> Message:
        asked = self.waiting.pop(0)
        answer = self.answer(asked.header.fields[HeaderFields.path], *asked.body)
        made = new_method_return(asked, *answer) if answer else new_error(asked, "org.x.UnknownDevice", "s", ("no",))
        made.header.fields[HeaderFields.reply_serial] = asked.header.serial
        return made

    def answer(self, path: str, word: str, name: str = "") -> tuple[str, tuple[Any, ...]] | None:
        kind, _, device = path.rpartition("/")
        if path.endswith("/NetworkManager"):
            return ("o", (f"/device/{word}",)) if word in self.held else None
        state, uuid = self.held[device]
        if state < 0:  # gone since its path was told
            return None
        values = {"State": ("u", state), "ActiveConnection": ("o", f"/active/{device}" if uuid else "/")}
        return ("v", (values[name] if kind == "/device" else ("s", uuid),))


def test_devices_are_asked_for_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Devices(eth0=(100, "u-1"), br0=(70, "u-2"), eth1=(30, ""), late=(-1, ""))
    monkeypatch.setattr(networkmanager_dbus, "open_dbus_connection", lambda bus: held)
    manager = NetworkManager()
    assert manager.states(["eth0", "none", "br0", "eth1", "late"]) == {"eth0": 100, "br0": 70, "eth1": 30}
    assert manager.active(["eth0", "none", "br0", "eth1", "late"]) == {"eth0": "u-1", "br0": "u-2"}
    assert [manager.activated(name) for name in ("eth0", "br0", "none")] == [True, False, False]


def test_of_many_devices_all_is_looked_at_once(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    bus.silent = True  # so a single call is an error
    names = [f"v{number}" for number in range(networkmanager_dbus.MANY + 1)]

    def told(value: Any) -> dict[str, Any]:
        return {"data": value}

    found: dict[str, Any] = {"/settings": {}}
    for name in names[1:]:
        device = {"Interface": told(name), "State": told(100 if name != "v2" else 50)}
        device["ActiveConnection"] = told(f"/active/{name}" if name != "v2" else "/")
        found[f"/device/{name}"] = {f"{BUS}.Device": device}
        if name != "v2":
            for path, uuid in ((f"/active/{name}", f"u-{name}"), (f"/going/{name}", "u-old")):
                active = {"Uuid": told(uuid), "Devices": told([f"/device/{name}"])}
                found[path] = {f"{BUS}.Connection.Active": active}
    old = {"Interface": told("v3"), "State": told(10), "ActiveConnection": told("/")}
    found["/device/old"] = {f"{BUS}.Device": old}
    monkeypatch.setattr(programs, "run_json", lambda *_: {"data": [found]})
    manager = NetworkManager()
    assert manager.states(names) == {name: 50 if name == "v2" else 100 for name in names[1:]}
    assert manager.active(names) == {name: f"u-{name}" for name in names[1:] if name != "v2"}


def test_a_look_that_is_not_answered_is_told(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: str, **__: object) -> str:
        raise HostError("busctl: no reply")

    monkeypatch.setattr(programs, "run", run)
    with pytest.raises(NMError, match=r"does not answer: .*busctl: no reply"):
        NetworkManager().states([f"v{number}" for number in range(networkmanager_dbus.MANY + 1)])
