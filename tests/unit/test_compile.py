"""The transaction as data: the order that makes it safe, and an undo for everything that is done."""

from __future__ import annotations

import json
from dataclasses import replace

from kvmnet.core.plan import make_plan
from kvmnet.pipeline import load
from kvmnet.rescue import UNDO
from kvmnet.transaction.compile import (
    Step,
    Terms,
    compile_steps,
    profile_uuid,
    touched_files,
    touched_profiles,
)
from kvmnet.transaction.steps import DO
from tests.unit.test_plan import after, before

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


def steps(zones: bool = True) -> list[Step]:
    live = before()
    if zones:
        live = type(live)(**{**live.__dict__, "zones": {"eth0": "trusted"}})
    terms = Terms(120, ("10.1.1.1",), {"/var/lib/kvmnet/applied/bundle.json": "{}"})
    return compile_steps(make_plan(BUNDLE, live), live, {("eth0", "802-3-ethernet")}, terms)


def place(op: str, found: list[Step]) -> int:
    return [s["op"] for s in found].index(op)


def test_the_order() -> None:
    assert [s["op"] for s in steps()] == [
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
    ]


def test_nothing_is_written_to_etc_before_the_commit() -> None:
    found = steps()
    early = json.dumps(found[: place("commit", found)])
    assert "/run/systemd/network/00-kvmnet-peth0.link" in early
    assert "/etc/" not in early


def test_bridges_are_saved_before_their_ports() -> None:
    found = steps()
    assert found[place("save", found)]["interfaces"] == ["eth0", "peth0"]


def test_the_bridge_inherits_the_zone_before_it_exists() -> None:
    found = steps()
    seed = found[place("seed", found)]
    assert (seed["zone"], seed["uuid"]) == ("trusted", profile_uuid("vm-container-0-0", "eth0"))


def test_the_hostname_is_a_step_of_its_own_with_its_undo() -> None:
    live = before()
    bundle = replace(BUNDLE, state={**BUNDLE.state, "hostname": {"config": "new.local"}})
    live.state["hostname"] = {"running": "old", "config": "old.local"}
    found = compile_steps(make_plan(bundle, live), live, set(), Terms(120))
    step = found[place("hostname", found)]
    assert (step["name"], step["undo"][0]) == ("new.local", {"op": "hostname", "name": "old.local"})
    assert "/etc/hostname" in touched_files(found)
    live.state["hostname"]["config"] = "new.local"
    assert "hostname" not in [s["op"] for s in compile_steps(make_plan(bundle, live), live, set(), Terms(120))]


def test_without_firewalld_no_zone_is_bound() -> None:
    assert "zone" not in [s["op"] for s in steps(zones=False)]


def test_steps_are_plain_data_that_both_sides_know() -> None:
    found = steps()
    assert json.loads(json.dumps(found)) == found
    assert {s["op"] for s in found} <= set(DO)
    assert {spec["op"] for s in found for spec in s["undo"]} <= set(UNDO)


def test_every_effect_has_an_undo() -> None:
    without = {"check links", "read back", "probe", "commit"}  # these change nothing that a snapshot holds
    assert [s["op"] for s in steps() if not s["undo"] and s["op"] not in without] == []


def test_what_is_written_is_in_the_snapshot() -> None:
    found = steps()
    written = {path for s in found for path in [*s.get("files", {}), *s.get("remove", []), s.get("path")] if path}
    assert written <= set(touched_files(found))
    assert {"u-1", profile_uuid("vm-container-0-0", "eth0")} <= set(touched_profiles(found))


def test_a_host_that_is_as_defined_needs_only_a_note() -> None:
    live = after(BUNDLE)
    live = type(live)(**{**live.__dict__, "applied": None})
    found = compile_steps(make_plan(BUNDLE, live), live, set(), Terms(120))
    assert [s["op"] for s in found] == ["read back", "write files"]
