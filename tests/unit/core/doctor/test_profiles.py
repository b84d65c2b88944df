"""Tests of kvmnet/core/doctor/profiles.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.live.host_facts import Service
from kvmnet.core.live.surroundings import ConfigFile, Surroundings
from tests.unit.core.doctor.samples import HEALTHY, boot_with, codes_with, examine_with

ETH0 = "[connection]\nid=eth0\nuuid=u-1\ntype=ethernet\ninterface-name=eth0\n"
WIRED = "[connection]\nid=Wired connection 1\nuuid=u-2\ntype=ethernet\n"


def test_two_profiles_of_one_priority_compete() -> None:
    (finding,) = examine_with(boot=boot_with(WIRED, ETH0))
    assert (finding.severity, finding.code) == ("warning", "KVN602")
    assert finding.message == "NIC eth0 has 2 connection profiles of one priority: eth0, Wired connection 1"
    assert finding.fix == "nmcli connection modify u-2 connection.autoconnect no", "the active one stays"


@pytest.mark.parametrize("line", ["autoconnect=false", "autoconnect-priority=-999", "interface-name=eth9"])
def test_a_profile_that_cannot_win_does_not_compete(line: str) -> None:
    assert codes_with(boot=boot_with(ETH0, f"{WIRED}{line}\n")) == []


def test_a_file_that_networkmanager_ignores() -> None:
    assert HEALTHY.boot is not None
    boot = replace(HEALTHY.boot, problems=("/etc/a is ignored by NetworkManager: its mode is 0644, not 0600",))
    assert codes_with(boot=boot) == [("warning", "KVN603")]


def test_ifcfg_files_matter_while_they_are_read() -> None:
    files = ("/etc/sysconfig/network-scripts/ifcfg-eth0",)
    assert codes_with(ifcfg_files=files) == [("note", "KVN604")]
    assert HEALTHY.boot is not None
    (profile,) = boot_with(ETH0).profiles
    boot = replace(HEALTHY.boot, profiles=(replace(profile, file=files[0]),))
    (finding,) = examine_with(ifcfg_files=files, boot=boot)
    assert (finding.severity, finding.fix) == ("warning", "nmcli connection migrate")


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({"zones": {}, "default_zone": "drop"}, [("warning", "KVN605")]),
        ({"zones": {}, "default_zone": "public"}, []),
        ({"zones": None, "default_zone": "drop"}, []),
    ],
)
def test_a_default_zone_that_rejects_everything(facts: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert codes_with(**facts) == expected
    named = (replace(HEALTHY.profiles[0], zone="trusted"),)
    assert codes_with(**facts, profiles=named) == []


def test_the_fix_of_a_zone_keeps_the_one_of_firewalld() -> None:
    (finding,) = examine_with(zones={"eth0": "trusted"}, default_zone="drop")
    assert finding.fix == "nmcli connection modify u-1 connection.zone trusted"


def test_states_that_were_not_applied() -> None:
    files = ("/etc/nmstate/br0.yml",)
    assert codes_with(nmstate_files=files) == [("note", "KVN606")]
    services = {**HEALTHY.services, "nmstate": Service(True, False, True)}
    assert codes_with(nmstate_files=files, services=services) == [("warning", "KVN606")]


def test_profiles_in_another_folder() -> None:
    file = ConfigFile("/etc/NetworkManager/conf.d/a.conf", "[keyfile]\npath=/srv/profiles\n")
    assert codes_with(surroundings=Surroundings(manager_files=(file,))) == [("error", "KVN514")]
