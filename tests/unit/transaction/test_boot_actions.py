"""The verification of the next boot: what it finds on disk."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.core.boot.boot_files import RUN_FOLDER, BootFiles
from kvmnet.core.boot.outcome import compute_outcomes
from kvmnet.core.boot.stored_profile import StoredProfile
from kvmnet.host import networkmanager_objects
from kvmnet.transaction import boot_actions
from kvmnet.transaction.action_context import StepFailed
from kvmnet.transaction.boot_actions import find_boot_problems, verify_boot
from tests.unit.core.boot.samples import boot_files, stored

PORT = stored("eth0", "u-1", "interface-name=eth0", "controller=br0", "port-type=bridge")
BRIDGE = stored("br0", "u-2", "interface-name=br0", type="bridge")
OTHER = stored("eth1", "u-3", "interface-name=eth1", groups="[ipv4]\nmethod=auto\n")
ACTIVE = {"eth0": "u-1", "br0": "u-2", "eth1": "u-3"}


def step_for(files: BootFiles, **parts: Any) -> dict[str, Any]:
    """Return the step that expects what these files give."""
    outcomes = compute_outcomes(files)
    return {
        "expect": [outcomes["eth1"].to_json()],
        "own": [
            {"interface": "eth0", "uuid": "u-1", "controller": "br0"},
            {"interface": "br0", "uuid": "u-2", "controller": ""},
        ],
        "regenerated": [],
        "active": {"eth1": "u-3"},
        **parts,
    }


def problems(*profiles: StoredProfile, active: dict[str, str] | None = None, **parts: Any) -> list[str]:
    """Return the problems of these profiles on disk."""
    right = boot_files(PORT, BRIDGE, OTHER, active=ACTIVE)
    return list(find_boot_problems(boot_files(*profiles), step_for(right, **parts), active or ACTIVE))


def test_files_as_expected_are_no_problem() -> None:
    assert problems(PORT, BRIDGE, OTHER) == []


def test_another_interface_that_gets_something_else() -> None:
    assert problems(PORT, BRIDGE, OTHER.changed({"connection": {"autoconnect": "false"}})) == [
        "eth1 would get no connection profile, not the connection profile eth1 (IPv4: auto, IPv6: auto)"
    ]
    [problem] = problems(PORT, BRIDGE, OTHER.changed({"ipv4": {"method": "disabled"}}))
    assert problem == (
        "eth1 would get the connection profile eth1 (IPv4: disabled, IPv6: auto), not the connection profile eth1 "
        "(IPv4: auto, IPv6: auto)"
    )


def test_a_nic_that_has_disappeared_is_not_expected_to_get_anything() -> None:
    """A virtual function goes to a guest: the change is right without it."""
    step = step_for(boot_files(PORT, BRIDGE, OTHER, active=ACTIVE))
    files = boot_files(PORT, BRIDGE, OTHER)
    mac = step["expect"][0]["mac"]
    gone = replace(files, nics=tuple(nic for nic in files.nics if nic.mac != mac))
    assert mac and list(find_boot_problems(gone, step, ACTIVE)) == []


def test_an_own_interface_without_its_profile_or_controller() -> None:
    free = PORT.changed({"connection": {"controller": None, "port-type": None}})
    [problem] = problems(free, BRIDGE, OTHER)
    assert problem == (
        "eth0 would not get its own connection profile as a port of br0, but the connection profile eth0 (IPv4: auto, "
        "IPv6: auto)"
    )
    assert problems(PORT, OTHER)[-1] == "br0 would not get its own connection profile, but no connection profile"
    rival = stored("rival", "u-9", "interface-name=eth1", "autoconnect-priority=9")
    assert problems(PORT, BRIDGE, OTHER, rival)[0].startswith("eth1 would get the connection profile rival")


def test_the_profile_that_is_active_now_must_be_the_stored_one() -> None:
    [problem] = problems(PORT, BRIDGE, OTHER, active={**ACTIVE, "eth0": "u-7"})
    assert problem.startswith("eth0 would not get its own connection profile")


def test_an_inactive_interface_must_get_the_profile_that_was_foreseen() -> None:
    """Its NIC has no carrier."""
    unplugged = {name: uuid for name, uuid in ACTIVE.items() if name != "eth0"}
    assert problems(PORT, BRIDGE, OTHER, active=unplugged) == []
    assert problems(PORT.changed({"connection": {"uuid": "u-8"}}), BRIDGE, OTHER, active=unplugged) != []


def test_what_is_written_at_boot_counts_as_it_was_before_the_change() -> None:
    netplan = replace(OTHER, file=f"{RUN_FOLDER}/netplan-eth1.nmconnection", regenerated=True)
    assert problems(PORT, BRIDGE, regenerated=[netplan.to_json()]) == []
    changed = netplan.changed({"ipv4": {"method": "disabled"}})
    assert problems(PORT, BRIDGE, changed, regenerated=[netplan.to_json()]) == [], "NetworkManager changed it in memory"
    assert problems(PORT, BRIDGE, netplan) != []


def test_what_others_had_before_the_change_counts() -> None:
    """A device that was deactivated during the change has no other rank at the next boot."""
    second = stored("second", "u-2b", "interface-name=eth1", groups="[ipv4]\nmethod=disabled\n")
    gone = {name: uuid for name, uuid in ACTIVE.items() if name != "eth1"}
    assert problems(PORT, BRIDGE, OTHER, second, active=gone) == []


@pytest.mark.parametrize("profiles, fails", [((PORT, BRIDGE, OTHER), False), ((PORT, BRIDGE), True)])
def test_a_problem_fails_the_step(
    monkeypatch: pytest.MonkeyPatch, profiles: tuple[StoredProfile, ...], fails: bool
) -> None:
    monkeypatch.setattr(networkmanager_objects, "read_objects", dict)
    monkeypatch.setattr(networkmanager_objects, "active", lambda _: ACTIVE)
    monkeypatch.setattr(boot_actions, "read_links", dict)
    monkeypatch.setattr(boot_actions, "read_boot_files", lambda *_: boot_files(*profiles, active=ACTIVE))
    context: Any = SimpleNamespace(manager=SimpleNamespace(version=lambda: "1.52.1"))
    step = step_for(boot_files(PORT, BRIDGE, OTHER, active=ACTIVE))
    if fails:
        with pytest.raises(StepFailed, match="would not give the right network at the next boot: eth1 would get"):
            verify_boot(context, step)
    else:
        assert verify_boot(context, step) == "3 interfaces as expected"
