"""Tests of kvmnet/host/connection_profiles.py, with recorded output of busctl and nmcli."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.base.profile_settings import PROFILE_SETTINGS
from kvmnet.core.live.kernel_only import ManagedDevice
from kvmnet.core.live.live_host import ConnectionProfile
from kvmnet.host.connection_profiles import group_bound_profiles, read_manager_state
from kvmnet.host.networkmanager_objects import BUS
from kvmnet.system import programs
from kvmnet.system.errors import HostError

ROOT = "/org/freedesktop/NetworkManager"
FILES = {"1": "/etc/NetworkManager/system-connections/eth0.nmconnection", "2": "/run/x/a.nmconnection", "3": "/etc/b"}
#: As nmcli prints them: without the fields of settings that a profile does not have.
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
bridge.vlan-filtering:yes
802-3-ethernet.cloned-mac-address:00:14:4F:80:DE:00
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


#: As NetworkManager 1.42 and 1.52 report them.
LEASES = {
    "4": {"dhcp_client_identifier": "ff:2b:50:67:35:00:02:00:00:ab:11:DA", "ip_address": "10.1.4.127"},
    "6": {"dhcp6_client_id": "00:04:78:0f", "iaid": "2b:50:67:35", "fqdn_fqdn": "host"},
}


def value(data: Any) -> dict[str, Any]:
    return {"type": "x", "data": data}


def objects(without: str = "") -> str:
    objects_by_path: dict[str, Any] = {ROOT: {BUS: {"Version": value("1.52.1")}}}
    for number, file in FILES.items():
        if number != without:
            objects_by_path[f"{ROOT}/Settings/{number}"] = {f"{BUS}.Settings.Connection": {"Filename": value(file)}}
    for number, name, state in (("7", "eth0", 100), ("8", "br0", 70), ("9", "eth0", 10)):
        objects_by_path[f"{ROOT}/Devices/{number}"] = {
            f"{BUS}.Device": {"Interface": value(name), "State": value(state)}
        }
    device = objects_by_path[f"{ROOT}/Devices/7"][f"{BUS}.Device"]
    for family, options in LEASES.items():
        device[f"Dhcp{family}Config"] = value(f"{ROOT}/DHCP{family}Config/3")
        lease = {"Options": value({key: value(text) for key, text in options.items()})}
        objects_by_path[f"{ROOT}/DHCP{family}Config/3"] = {f"{BUS}.DHCP{family}Config": lease}
    objects_by_path[f"{ROOT}/Devices/8"][f"{BUS}.Device"]["Dhcp4Config"] = value("/")
    for number, connection, devices in (("1", "1", ["7"]), ("2", "2", ["8"]), ("9", "3", [])):
        active = {
            "StateFlags": value(0x5C | (0x80 if number == "2" else 0)),
            "Connection": value(f"{ROOT}/Settings/{connection}"),
            "Devices": value([f"{ROOT}/Devices/{d}" for d in devices]),
        }
        objects_by_path[f"{ROOT}/ActiveConnection/{number}"] = {f"{BUS}.Connection.Active": active}
    return json.dumps({"type": "a{oa{sa{sv}}}", "data": [objects_by_path]})


def _select(text: str, fields: list[str]) -> str:
    """Return the lines of these fields in their order; a profile ends with an empty line."""
    lines = dict(line.split(":", 1) for line in text.split("\n") if line)
    return "".join(f"{field}:{lines[field]}\n" for field in fields if field in lines) + "\n"


@pytest.fixture
def busctl_outputs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The outputs of busctl, one for each call; nmcli fails for profile 3 as long as one of them is left."""
    outputs: list[str] = []
    removed = "3"

    def run(*words: str, **_: object) -> str:
        if words[0] == "busctl":
            return outputs.pop(0)
        numbers = [path.rpartition("/")[2] for path in words[words.index("path") + 1 :: 2]]
        if removed in numbers and outputs:
            raise HostError(f"no such connection: {removed}")
        return "".join(_select(SETTINGS[n], words[words.index("-f") + 1].split(",")) for n in numbers)

    monkeypatch.setattr(programs, "run", run)
    return outputs


ETH0 = ConnectionProfile(
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
    settings={**dict.fromkeys(PROFILE_SETTINGS, ""), "connection.zone": "trusted"},
)


def test_active_profiles_are_read_by_device(busctl_outputs: list[str]) -> None:
    busctl_outputs.append(objects())
    assert read_manager_state().active == {
        "eth0": ETH0,
        "br0": ConnectionProfile(
            *("u-2", "br0", "bridge", "br0", FILES["2"], "br0", ""),
            settings={
                "bridge.vlan-filtering": "yes",
                "802-3-ethernet.cloned-mac-address": "00:14:4F:80:DE:00",
                "connection.zone": "",
            },
        ),
    }


def test_a_profile_without_a_device_is_idle(busctl_outputs: list[str]) -> None:
    busctl_outputs.append(objects())
    other = ConnectionProfile(
        "u-3", "other", "bridge", "", FILES["3"], "br0", autoconnect=False, priority=10, controller="bond0"
    )
    other = replace(other, settings=dict.fromkeys(PROFILE_SETTINGS, ""))
    assert read_manager_state().idle == (other,)


def test_profiles_bound_to_a_name_are_grouped_active_or_not(busctl_outputs: list[str]) -> None:
    busctl_outputs.append(objects())
    assert group_bound_profiles(read_manager_state().profiles) == {("br0", "bridge"): ["u-2", "u-3"]}


def test_a_device_has_the_ip_methods_of_its_profile(busctl_outputs: list[str]) -> None:
    busctl_outputs.append(objects())
    assert read_manager_state().devices == {
        "eth0": ManagedDevice(100, ("manual", "auto")),
        "br0": ManagedDevice(70, ("disabled", "disabled"), external=True),
    }


def test_both_programs_run_again_if_a_profile_was_removed_meanwhile(busctl_outputs: list[str]) -> None:
    busctl_outputs.extend([objects(), objects(without="3")])
    assert group_bound_profiles(read_manager_state().profiles) == {("br0", "bridge"): ["u-2"]}
    assert busctl_outputs == []


def test_reading_fails_after_several_tries(busctl_outputs: list[str]) -> None:
    busctl_outputs.extend([objects()] * 5)
    with pytest.raises(HostError, match="no such connection"):
        read_manager_state()


@pytest.mark.parametrize("program", ["busctl", "nmcli"])
def test_the_error_names_the_program_that_failed(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """The error does not list the object paths of all profiles."""

    def run(*argv: str, **_: object) -> str:
        if argv[0] == program:
            raise HostError(f"{' '.join(argv)}: broken pipe")
        return objects()

    monkeypatch.setattr(programs, "run", run)
    with pytest.raises(HostError, match=rf"{program}.*: broken pipe\Z") as error:
        read_manager_state()
    assert "/Settings/" not in str(error.value)
