"""What each interface gets at the next boot. The cases of tests/boot_cases.py are also what NetworkManager does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.boot.boot_files import RUN_FOLDER, BootFiles
from kvmnet.core.boot.outcome import (
    CREATED,
    NOTHING,
    PROFILE,
    UNMANAGED,
    BootOutcome,
    compute_outcomes,
    describe_doubts,
)
from kvmnet.core.live.live_host import Link
from kvmnet.host.read_boot import read_boot_files
from tests import boot_cases
from tests.boot_cases import CASES, MACS, NAMES, BootCase, uuid_of
from tests.unit.core.boot.samples import boot_files, stored

LINKS = {name: Link(name, mac, None) for name, mac in zip(NAMES, MACS)}
KINDS = {"created": boot_cases.CREATED, "nothing": boot_cases.NOTHING, "unmanaged": boot_cases.UNMANAGED}


def write_case(root: Path, case: BootCase) -> None:
    """Write the files of a case below a root folder."""
    for name, text in case.profiles.items():
        path = root / (name if name.startswith("/") else f"{boot_cases.ETC}/{name}").lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644 if name in case.insecure else 0o600)
    for name, text in case.files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in case.links.items():
        (root / name.lstrip("/")).symlink_to(target)
    state = root / "var/lib/NetworkManager"
    state.mkdir(parents=True, exist_ok=True)
    rows = [f"{uuid_of(name)}={seconds}" for name, seconds in case.timestamps.items()]
    (state / "timestamps").write_text("[timestamps]\n" + "\n".join(rows) + "\n")


def words_of(outcome: BootOutcome) -> str:
    """Return an outcome in the notation of the cases."""
    return f"{outcome.id}/{outcome.controller}".removesuffix("/") if outcome.kind == "profile" else KINDS[outcome.kind]


@pytest.mark.skipif(os.geteuid() != 0, reason="NetworkManager reads only files of root")
@pytest.mark.parametrize("version", ["1.42.4", "1.52.1"])
@pytest.mark.parametrize("name", CASES)
def test_the_computed_outcome_is_what_networkmanager_does(tmp_path: Path, name: str, version: str) -> None:
    case = CASES[name]
    write_case(tmp_path, case)
    outcomes = compute_outcomes(read_boot_files(LINKS, {}, version, tmp_path))
    expect = {**case.expect, **(case.old if version < "1.46" else {})}
    assert {name: words_of(outcomes[name]) for name in expect} == expect


def given(files: BootFiles) -> dict[str, str]:
    """Return the id of the profile that each interface gets, or the kind of the outcome."""
    return {name: o.id if o.kind == PROFILE else o.kind for name, o in compute_outcomes(files).items()}


ANY = stored("any", "u-any")


def test_of_several_nics_that_one_profile_fits_the_one_that_has_it_now_gets_it() -> None:
    for active, owner, other in (("eth0", "eth0", "eth1"), ("eth1", "eth1", "eth0")):
        files = boot_files(ANY, active={active: "u-any"})
        assert given(files) == {owner: "any", other: NOTHING}, "no profile is created for a NIC that one fits"
        outcomes = compute_outcomes(files)
        assert outcomes[owner].uncertain == (f"any also fits {other}",)
        assert outcomes[other].uncertain == (f"any also fits {owner}",)
    assert given(boot_files(ANY)) == {"eth0": "any", "eth1": NOTHING}, "the first one, which is not certain"


def test_a_nic_that_loses_its_first_profile_gets_the_next_one() -> None:
    second = stored("second", "u-second", "autoconnect-priority=-1")
    assert given(boot_files(ANY, second, active={"eth1": "u-any"})) == {"eth0": "second", "eth1": "any"}
    assert given(boot_files(ANY, second)) == {"eth0": "any", "eth1": "second"}


def test_what_is_active_now_was_activated_last() -> None:
    """Of two profiles that are active now, the one on this NIC comes first."""
    own, shared = stored("own", "u-2", "interface-name=eth0"), stored("shared", "u-1", "multi-connect=3")
    stamps = {"u-1": 200, "u-2": 100}
    assert given(boot_files(own, shared, timestamps=stamps))["eth0"] == "shared"
    assert given(boot_files(own, shared, timestamps=stamps, active={"eth0": "u-2"}))["eth0"] == "own"
    assert given(boot_files(own, shared, timestamps=stamps, active={"eth0": "u-2", "eth1": "u-1"}))["eth0"] == "own"
    assert given(boot_files(own, shared, active={"eth0": "u-1", "eth1": "u-1"}))["eth0"] == "shared"


def test_whether_a_condition_is_met_that_cannot_be_known_is_uncertain() -> None:
    by_driver = stored("by-driver", "u-1", groups="[match]\ndriver=virtio*;\n")
    outcome = compute_outcomes(boot_files(by_driver))["eth0"]
    assert (outcome.id, outcome.uncertain[-1]) == (
        "by-driver",
        "whether by-driver fits eth0 is not known (match.driver or match.path)",
    )


def test_a_profile_of_netplan_comes_before_a_saved_one() -> None:
    saved = stored("eth0", "u-1", "interface-name=eth0", groups="[ipv4]\nmethod=disabled\n")
    netplan = replace(stored("netplan", "u-1", "interface-name=eth0"), file=f"{RUN_FOLDER}/netplan-eth0.nmconnection")
    assert given(boot_files(saved, replace(netplan, regenerated=True)))["eth0"] == "netplan"


def test_a_chain_of_controllers_comes_up() -> None:
    """A NIC is a port of a bond, its VLAN is a port of a bridge, and only the NIC and the VLAN autoconnect."""
    files = boot_files(
        stored("nic", "u-1", "interface-name=eth0", "controller=bond0", "port-type=bond"),
        stored("bond", "u-2", "interface-name=bond0", "autoconnect=false", type="bond"),
        stored(
            "vlan",
            "u-3",
            "interface-name=bond0.5",
            "controller=br5",
            "port-type=bridge",
            type="vlan",
            groups="[vlan]\nparent=bond0\nid=5\n",
        ),
        stored("bridge", "u-4", "interface-name=br5", "autoconnect=false", type="bridge"),
    )
    outcomes = compute_outcomes(files)
    assert {n: (o.id, o.controller) for n, o in outcomes.items() if o.kind == PROFILE} == {
        "eth0": ("nic", "bond0"),
        "bond0": ("bond", ""),
        "bond0.5": ("vlan", "br5"),
        "br5": ("bridge", ""),
    }


def test_a_port_of_an_unmanaged_controller_is_not_activated() -> None:
    settings = boot_files().settings
    unmanaged = replace(settings, sections={"keyfile": {"unmanaged-devices": "interface-name:br-*"}})
    files = boot_files(
        stored("port", "u-1", "interface-name=eth0", "controller=br-a", "port-type=bridge"),
        stored("br-a", "u-2", "interface-name=br-a", type="bridge"),
        settings=unmanaged,
    )
    assert given(files) == {"eth0": NOTHING, "eth1": CREATED, "br-a": UNMANAGED}


def test_an_interface_of_another_program_is_left_alone() -> None:
    assert given(boot_files(unrecognized=("eth0",))) == {"eth0": UNMANAGED, "eth1": CREATED}


def test_a_controller_takes_its_port_back_from_another_profile_only_if_it_activates_ports() -> None:
    rival = stored("rival", "u-9", "interface-name=eth0", "autoconnect-priority=9")
    port = stored("port", "u-1", "interface-name=eth0", "controller=br0", "port-type=bridge")
    bridge = stored("br0", "u-2", "interface-name=br0", type="bridge")
    assert given(boot_files(rival, port, bridge))["eth0"] == "rival"
    active = bridge.changed({"connection": {"autoconnect-ports": "1"}})
    assert given(boot_files(rival, port, active))["eth0"] == "port"


def test_the_second_of_two_ports_for_one_nic_is_not_activated() -> None:
    first = stored("first", "u-1", "interface-name=eth0", "controller=br0", "port-type=bridge", "autoconnect=false")
    second = stored("second", "u-2", "interface-name=eth0", "controller=br0", "port-type=bridge", "autoconnect=false")
    bridge = stored("br0", "u-3", "interface-name=br0", "autoconnect-ports=1", type="bridge")
    assert given(boot_files(first, second, bridge))["eth0"] == "first"


def test_outcomes_in_words_and_as_json() -> None:
    files = boot_files(
        stored("port", "u-1", "interface-name=eth0", "controller=br0", "port-type=bridge"),
        stored("br0", "u-2", "interface-name=br0", type="bridge", groups="[ipv4]\naddress1=10.1.1.1/24\n"),
    )
    outcomes = compute_outcomes(files)
    assert outcomes["eth0"].text == "the connection profile port (port of br0)"
    assert outcomes["br0"].text == "the connection profile br0 (IPv4: manual 10.1.1.1/24, IPv6: auto)"
    assert outcomes["eth1"].text == "a connection profile that NetworkManager creates (DHCP)"
    assert BootOutcome("x", NOTHING).text == "no connection profile"
    assert BootOutcome("x", UNMANAGED).text == "nothing, because NetworkManager does not manage it"
    for outcome in outcomes.values():
        assert BootOutcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome
    moved = replace(outcomes["br0"], file="/elsewhere", uncertain=("a", "b"))
    assert moved.text == outcomes["br0"].text, "the doubts are a sentence of their own"
    other = BootOutcome("x", NOTHING, uncertain=("b", "c"))
    assert describe_doubts(moved, other) == ". This is not certain: a; b; c"
    assert describe_doubts(*outcomes.values()) == ""
    assert moved.identity == outcomes["br0"].identity
