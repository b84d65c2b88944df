"""The order of the steps makes a change safe, and each step that changes the host has an undo."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.core.base.profile_settings import VLAN_FILTERING
from kvmnet.core.live.live_host import Link
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import make_plan
from kvmnet.pipeline import load
from kvmnet.transaction import compile_steps as module
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import touched_files, touched_profiles
from tests.unit.core.samples import after, before, with_leaving
from tests.unit.transaction.samples import BUNDLE, assert_steps_match_the_table, compile_sample, index_of


def test_the_steps_of_a_renamed_and_bridged_nic_are_in_a_safe_order() -> None:
    assert [s["op"] for s in compile_sample()] == [
        "write files",
        "check links",
        "rebind",
        "zone",
        "rename",
        "seed",
        "apply",
        "read back",
        "probe",
        "commit",
        "write profile",
        "write files",
        "check links",
        "save",
        "write files",
        "write files",
    ]


@pytest.mark.guarantee("G17")
def test_nothing_is_written_to_etc_before_the_commit() -> None:
    compiled = compile_sample()
    early = json.dumps(compiled[: index_of("commit", compiled)])
    assert "/run/systemd/network/00-kvmnet-peth0.link" in early
    assert "/etc/" not in early


def test_steps_are_plain_data_with_known_operations() -> None:
    compiled = compile_sample()
    assert json.loads(json.dumps(compiled)) == compiled
    assert_steps_match_the_table(compiled)


@pytest.mark.guarantee("G17")
def test_every_step_that_changes_the_host_has_an_undo() -> None:
    without = {"check links", "read back", "probe", "commit"}  # these change nothing that the snapshot contains
    assert [s["op"] for s in compile_sample() if not s["undo"] and s["op"] not in without] == []


@pytest.mark.guarantee("G17")
def test_files_and_profiles_that_steps_change_are_in_the_snapshot() -> None:
    compiled = compile_sample()
    written = {path for s in compiled for path in [*s.get("files", {}), *s.get("remove", []), s.get("path")] if path}
    assert written <= set(touched_files(compiled))
    assert {"u-1", profile_uuid("vm-container-0-0", "eth0")} <= set(touched_profiles(compiled))


@pytest.mark.guarantee("G42")
def test_a_host_in_the_desired_state_needs_only_the_record() -> None:
    live = after(BUNDLE)
    live = type(live)(**{**live.__dict__, "applied": None})
    compiled = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    assert [s["op"] for s in compiled] == ["read back", "write files"]


def test_interfaces_removed_from_the_definition_are_deleted_in_the_trial_and_their_profiles_last() -> None:
    live = with_leaving(BUNDLE)
    compiled = compile_steps(make_plan(BUNDLE, live), live, {}, Terms(120))
    assert [s["op"] for s in compiled] == ["apply", "read back", "commit", "forget", "write files"]
    uuids = sorted(profile_uuid("vm-container-0-0", name) for name in ("peth0.5", "br5"))
    forget = compiled[index_of("forget", compiled)]
    assert (forget["uuids"], forget["undo"]) == (uuids, [{"op": "files", "uuids": uuids}])
    assert set(uuids) <= set(touched_profiles(compiled)), "their keyfiles are in the snapshot"
    assert {"name": "br5", "absent": True} in compiled[index_of("read back", compiled)]["expect"]
    trial = compiled[index_of("apply", compiled)]
    assert set(uuids) <= set(trial["undo"][-1]["uuids"])


def test_the_fault_matrix_has_the_titles_of_the_steps() -> None:
    """Its points are numbered by steps."""
    from tests.faults.hosts import STEPS

    verifies = "verify what each interface gets at the next boot"  # the sample has no files of the next boot
    assert tuple(s["title"] for s in compile_sample()) == tuple(title for title in STEPS if title != verifies)


@pytest.mark.guarantee("G38")
@pytest.mark.parametrize("confirm", [0, 90])
def test_a_change_that_only_renames_waits_for_a_confirmation_too(tmp_path: Path, confirm: int) -> None:
    """nmstate has nothing to apply, but the operator's connection uses the NIC all the same."""
    text = "kvmnet: 1\ncluster: c\nprofile: rocks\nhosts:\n  h:\n    kvm: false\n    interfaces:\n"
    (tmp_path / "cluster.yaml").write_text(text + "      lan0: {mac: 00:14:4f:80:de:00}\n")
    live = before()
    live = replace(live, state={"interfaces": [{**i, "ipv4": {}, "ipv6": {}} for i in live.state["interfaces"]]})
    plan = make_plan(load(str(tmp_path / "cluster.yaml")).bundle("h"), live)
    plan = replace(plan, state={})
    assert [r.new for r in plan.renames] == ["lan0"]
    compiled = [s["op"] for s in compile_steps(plan, live, {}, Terms(120, confirm=confirm))]
    assert ("confirm" in compiled) == bool(confirm)
    assert "apply" not in compiled
    assert compiled.count("read back") == (2 if confirm else 1), "much may happen while the administrator decides"
    if confirm:
        assert compiled.index("rename") < compiled.index("confirm") < compiled.index("write profile")
        assert compiled[compiled.index("confirm") + 1] == "read back"


@pytest.mark.parametrize(
    ("section", "options", "filters_afterwards", "is_kept"),
    [
        ({}, {"vlan_filtering": 1, "vlan_default_pvid": 1}, None, True),
        ({"options": {"vlan-default-pvid": 1}}, {"vlan_filtering": 1, "vlan_default_pvid": 1}, True, True),
        # the kernel changes the bridge's own VLANs with the default VLAN: the untagged one of the host comes back
        ({"options": {"vlan-default-pvid": 1}}, {"vlan_filtering": 1, "vlan_default_pvid": 0}, True, False),
        ({"port": [{"name": "eth0", "vlan": {"mode": "trunk"}}]}, {"vlan_filtering": 1}, None, False),
        ({}, {"vlan_filtering": 1}, False, False),
        ({}, {"vlan_filtering": 0}, None, False),
    ],
)
def test_own_vlans_of_a_bridge_are_kept_where_the_change_leaves_them_alone(
    section: dict[str, Any], options: dict[str, Any], filters_afterwards: object, is_kept: bool
) -> None:
    state = {"interfaces": [{"name": "br0", "type": "linux-bridge", "state": "up", "bridge": section}]}
    settings = {} if filters_afterwards is None else {"br0": {VLAN_FILTERING.name: filters_afterwards}}
    plan: Any = SimpleNamespace(state=state, profile_settings=settings)
    live: Any = SimpleNamespace(links={"br0": Link("br0", None, "bridge", options=options)})
    assert module._find_bridges_with_own_vlans(plan, live) == (["br0"] if is_kept else [])
