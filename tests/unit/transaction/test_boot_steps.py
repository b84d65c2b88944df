"""The step that verifies the next boot: what it expects."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvmnet.core.boot.boot_files import RUN_FOLDER, BootFiles
from kvmnet.core.boot.outcome import CREATED, PROFILE, BootOutcome
from kvmnet.core.boot.stored_profile import StoredProfile
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.transaction.boot_steps import files_after_removal, verify_boot, verify_boot_after_removal
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.original_host import find_original
from kvmnet.transaction.removal_plan import plan_removal
from tests.unit.core.boot.samples import NICS, boot_files, stored
from tests.unit.core.samples import before
from tests.unit.transaction.samples import BUNDLE, KEYFILE, assert_steps_match_the_table, live

ETH0 = stored("eth0", "u-1", "interface-name=eth0", groups="[ipv4]\naddress1=10.1.255.254/16\n")
ETH1 = stored("eth1", "u-2", "interface-name=eth1", groups="[ipv4]\nmethod=auto\n")


def host(*profiles: StoredProfile, **parts: Any) -> Live:
    """Return the example's host with a second NIC, which the definition does not contain."""
    links = {**before().links, "eth1": Link("eth1", NICS[1], None)}
    return replace(before(), links=links, boot=boot_files(*profiles, active={"eth0": "u-1", "eth1": "u-2"}, **parts))


def expected(step: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the kind and the profile of each outcome that a step expects."""
    outcomes = map(BootOutcome.from_json, json.loads(json.dumps(step["expect"])))
    return {outcome.interface: (outcome.kind, outcome.uuid) for outcome in outcomes}


def test_other_interfaces_keep_what_they_get_and_own_ones_get_their_profile() -> None:
    [step] = verify_boot(make_plan(BUNDLE, host(ETH0, ETH1)), host(ETH0, ETH1))
    assert_steps_match_the_table([step])
    assert expected(step) == {"eth1": (PROFILE, "u-2")}
    assert step["own"] == [
        {"interface": "peth0", "uuid": "u-1", "controller": "eth0"},
        {"interface": "eth0", "uuid": profile_uuid(BUNDLE.host, "eth0"), "controller": ""},
    ]
    assert (step["regenerated"], step["active"]) == ([], {"eth1": "u-2"})


def test_it_comes_after_everything_is_written_and_before_the_record() -> None:
    terms = Terms(120, record={"/var/lib/kvmnet/applied/bundle.json": "{}"})
    steps = compile_steps(make_plan(BUNDLE, host(ETH0)), host(ETH0), {}, terms)
    assert [step["op"] for step in steps[-3:]] == ["write files", "verify boot", "write files"]
    assert "conf.d" in json.dumps(steps[-3]["files"]) and "applied" in json.dumps(steps[-1]["files"])


def test_what_was_accepted_is_not_verified_as_right() -> None:
    """With KVN552 and KVN553 overridden, the foreseen result is expected."""
    shared = stored("default", "u-1", "multi-connect=3", groups="[match]\ninterface-name=eth*;\n")
    here = host(shared)
    plan = replace(make_plan(BUNDLE, here), copies={})  # as if the profile were bound to its NIC
    [step] = verify_boot(plan, here)
    assert expected(step) == {"eth1": (CREATED, "")}
    assert [row["interface"] for row in step["own"]] == ["peth0", "eth0"]


def test_profiles_that_are_written_at_boot_are_remembered_as_they_were() -> None:
    netplan = replace(ETH1, file=f"{RUN_FOLDER}/netplan-eth1.nmconnection", regenerated=True)
    [step] = verify_boot(make_plan(BUNDLE, host(ETH0, netplan)), host(ETH0, netplan))
    assert [StoredProfile.from_json(row) for row in step["regenerated"]] == [netplan]


def test_without_the_files_or_a_change_nothing_is_verified() -> None:
    assert verify_boot(make_plan(BUNDLE, before()), before()) == []
    assert verify_boot(Plan(BUNDLE, record=True), host(ETH0)) == []


def removal(state: Path, boot: BootFiles) -> tuple[dict[str, Any], BootFiles]:
    """Return the step of a removal, and the files that it expects."""
    original, here = find_original(state), replace(live(), boot=boot)
    plan = plan_removal(BUNDLE, original, here)
    [step] = verify_boot_after_removal(plan, original, here, {"u-2"})
    return step, files_after_removal(plan, original, boot, {"u-2"})


def test_a_removal_restores_the_profiles_and_names_from_before(state: Path) -> None:
    port = stored("peth0", "u-1", "controller=eth0", "port-type=bridge", groups=f"[ethernet]\nmac-address={NICS[0]}\n")
    bridge = stored("eth0", "u-2", "interface-name=eth0", type="bridge")
    other = stored("other", "u-9", "interface-name=eth1")
    now = boot_files(port, bridge, other, active={"peth0": "u-1", "eth0": "u-2", "eth1": "u-9"})
    now = replace(now, nics=(replace(now.nics[0], name="peth0"), now.nics[1]))
    step, files = removal(state, now)
    assert_steps_match_the_table([step])
    assert sorted(profile.file for profile in files.profiles) == [KEYFILE, other.file]
    assert [nic.name for nic in files.nics] == ["eth0", "eth1"]
    assert files.active == {"eth0": "u-1", "eth1": "u-9"}
    assert (step["own"], step["active"]) == ([], {"eth1": "u-9"})
    assert expected(step) == {"eth0": (CREATED, ""), "eth1": (PROFILE, "u-9")}, "the sample's profile has no type"


def test_without_the_files_a_removal_is_not_verified(state: Path) -> None:
    original = find_original(state)
    assert verify_boot_after_removal(plan_removal(BUNDLE, original, live()), original, live(), ()) == []
