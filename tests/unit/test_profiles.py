"""NetworkManager's profiles as two programs tell them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import State
from kvmnet.core.live.kernel_only import Managed
from kvmnet.core.live.live_host import Profile
from kvmnet.host import read_live
from kvmnet.host.connection_profiles import bound_profiles, read_manager
from kvmnet.host.networkmanager_dbus import NMError
from kvmnet.host.networkmanager_objects import BUS
from kvmnet.system import firewalld, programs
from kvmnet.system.errors import HostError
from kvmnet.transaction import prepare

ROOT = "/org/freedesktop/NetworkManager"
FILES = {"1": "/etc/NetworkManager/system-connections/eth0.nmconnection", "2": "/run/x/a.nmconnection", "3": "/etc/b"}
#: As nmcli tells them: nothing of a setting that a profile does not have.
SETTINGS = {
    "1": """
connection.uuid:u-1
connection.id:eth0: the first
connection.type:802-3-ethernet
connection.interface-name:
connection.zone:trusted
connection.autoconnect:yes
connection.autoconnect-priority:-999
connection.master:
802-3-ethernet.mac-address:00:14:4F:80:DE:00
match.interface-name:eth*,!eth9
ipv4.method:manual
ipv6.method:auto
ipv4.dhcp-client-id:ff:00:01
ipv4.dhcp-iaid:stable
ipv6.dhcp-duid:llt
ipv6.dhcp-iaid:7
ipv4.routing-rules:priority 100 from 192.0.2.7 table 100,priority 101 iif eth0 table 100
ipv6.routing-rules:priority 100 from 2001:db8::7 table 100
""",
    "2": """
connection.uuid:u-2
connection.id:br0
connection.type:bridge
connection.interface-name:br0
connection.zone:
connection.autoconnect:yes
connection.autoconnect-priority:0
connection.master:
ipv4.method:disabled
ipv6.method:disabled
ipv4.dhcp-client-id:
ipv4.dhcp-iaid:
ipv6.dhcp-duid:
ipv6.dhcp-iaid:
ipv4.routing-rules:
ipv6.routing-rules:
""",
    "3": """
connection.uuid:u-3
connection.id:other
connection.type:bridge
connection.interface-name:br0
connection.zone:
connection.autoconnect:no
connection.autoconnect-priority:10
connection.master:bond0
""",
}


#: As NetworkManager 1.42 and 1.52 tell them.
LEASES = {
    "4": {"dhcp_client_identifier": "ff:2b:50:67:35:00:02:00:00:ab:11:DA", "ip_address": "10.1.4.127"},
    "6": {"dhcp6_client_id": "00:04:78:0f", "iaid": "2b:50:67:35", "fqdn_fqdn": "host"},
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
    device = found[f"{ROOT}/Devices/7"][f"{BUS}.Device"]
    for family, options in LEASES.items():
        device[f"Dhcp{family}Config"] = value(f"{ROOT}/DHCP{family}Config/3")
        held = {"Options": value({key: value(said) for key, said in options.items()})}
        found[f"{ROOT}/DHCP{family}Config/3"] = {f"{BUS}.DHCP{family}Config": held}
    found[f"{ROOT}/Devices/8"][f"{BUS}.Device"]["Dhcp4Config"] = value("/")
    for number, connection, devices in (("1", "1", ["7"]), ("2", "2", ["8"]), ("9", "3", [])):
        held = {
            "StateFlags": value(0x5C | (0x80 if number == "2" else 0)),
            "Connection": value(f"{ROOT}/Settings/{connection}"),
            "Devices": value([f"{ROOT}/Devices/{d}" for d in devices]),
        }
        found[f"{ROOT}/ActiveConnection/{number}"] = {f"{BUS}.Connection.Active": held}
    return json.dumps({"type": "a{oa{sa{sv}}}", "data": [found]})


def _asked(text: str, fields: list[str]) -> str:
    """The lines of the fields that were asked for, in that order; a profile ends with an empty line."""
    lines = dict(line.split(":", 1) for line in text.split("\n") if line)
    return "".join(f"{field}:{lines[field]}\n" for field in fields if field in lines) + "\n"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What busctl tells, one answer a call; nmcli refuses to speak of what is gone."""
    answers: list[str] = []
    gone = "3"
    temporary = json.dumps([{}, {"addr_info": [{"local": "2001:db8::7", "temporary": True}, {"local": "fe80::7"}]}])

    def run(*words: str, **_: object) -> str:
        if words[0] == "ip":
            return temporary
        if words[0] == "busctl":
            return answers.pop(0)
        asked = [path.rpartition("/")[2] for path in words[words.index("path") + 1 :: 2]]
        if gone in asked and answers:
            raise HostError(f"no such connection: {gone}")
        return "".join(_asked(SETTINGS[n], words[words.index("-f") + 1].split(",")) for n in asked)

    monkeypatch.setattr(programs, "run", run)
    return answers


ETH0 = Profile(
    "u-1",
    "eth0: the first",
    "802-3-ethernet",
    "eth0",
    FILES["1"],
    zone="trusted",
    priority=-999,
    mac="00:14:4f:80:de:00",
    match="eth*,!eth9",
    dhcp4_client_id="ff:00:01",
    dhcp4_iaid="stable",
    dhcp6_duid="llt",
    dhcp6_iaid="7",
    rules4="priority 100 from 192.0.2.7 table 100,priority 101 iif eth0 table 100",
    rules6="priority 100 from 2001:db8::7 table 100",
    client_id="ff:2b:50:67:35:00:02:00:00:ab:11:da",
    duid="00:04:78:0f",
    iaid="2b:50:67:35",
)


def test_the_active_ones_are_told_by_their_devices(told: list[str]) -> None:
    told.append(objects())
    assert read_manager().active == {"eth0": ETH0, "br0": Profile("u-2", "br0", "bridge", "br0", FILES["2"], "br0", "")}


def test_those_that_are_not_active_are_told_with_what_decides_whether_they_are_at_boot(
    told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told.append(objects())
    other = Profile("u-3", "other", "bridge", "", FILES["3"], "br0", autoconnect=False, priority=10, controller="bond0")
    found = read_manager()
    assert found.idle == (other,)

    class Silent:
        """nmstate and NetworkManager, of whom the rest of the reading asks little."""

        def show(self) -> State:
            return {}

        def version(self) -> str:
            return "1"

        def checkpoints(self) -> list[str]:
            return []

    monkeypatch.setattr(firewalld, "is_running", lambda: False)
    monkeypatch.setattr(read_live, "read_links", dict)
    live = read_live.read_live(Silent(), Silent(), tmp_path, found)  # type: ignore[arg-type]
    assert (live.idle, live.profiles, live.temporary) == ((other,), found.active, ("2001:db8::7",))


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
    with pytest.raises(HostError, match="no such connection"):
        read_manager()


@pytest.mark.parametrize("program", ["busctl", "nmcli"])
def test_the_program_that_does_not_tell_is_named(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """And not NetworkManager, which runs; nor each of a hundred profiles that nmcli was asked for."""

    def run(*argv: str, **_: object) -> str:
        if argv[0] == program:
            raise HostError(f"{' '.join(argv)}: broken pipe")
        return objects()

    monkeypatch.setattr(programs, "run", run)
    with pytest.raises(HostError, match=rf"{program}.*: broken pipe\Z") as told:
        read_manager()
    assert "/Settings/" not in str(told.value)


class Manager:
    """NetworkManager, which runs until it has been asked so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def version(self) -> str:
        self.times -= 1
        if self.times < 0:
            raise NMError("NetworkManager does not answer")
        return "1.52"


@pytest.mark.parametrize(
    ("times", "code", "words"), [(9, "KVN512", "nmcli: not found"), (1, "KVN504", "NetworkManager")]
)
def test_what_failed_is_the_reason(monkeypatch: pytest.MonkeyPatch, times: int, code: str, words: str) -> None:
    """A program that is not there is no NetworkManager that does not run; one that has gone meanwhile is."""

    def fails() -> None:
        raise HostError("NetworkManager's profiles: nmcli: not found")

    monkeypatch.setattr(prepare, "read_manager", fails)
    with pytest.raises(Refused, match=words) as told, prepare.told_or_refused():
        prepare._read(None, Manager(times), Path("/nowhere"))  # type: ignore[arg-type]
    assert told.value.code == code
