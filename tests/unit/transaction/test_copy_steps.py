"""The steps of a NIC that gets a copy of its connection profile."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import Step, touched_files, touched_profiles
from tests.unit.core.samples import KEYFILES, MAC, before
from tests.unit.transaction.samples import BUNDLE, assert_steps_match_the_table

DEFAULT = ConnectionProfile(
    "u-default", "default", "802-3-ethernet", "eth0", f"{KEYFILES}/default.nmconnection", multi_connect=3
)
INTERIM = f"{KEYFILES}/kvmnet-UUID.nmconnection"


def host(nmstate: str = "2.2.62") -> Live:
    """Return a host with two NICs that share a profile."""
    live = before()
    links = {**live.links, "eth1": Link("eth1", "00:14:4f:80:de:01", None)}
    profiles = {device: replace(DEFAULT, device=device) for device in ("eth0", "eth1")}
    return replace(live, links=links, profiles=profiles, nmstate=nmstate)


def compile_plan(bundle: Bundle, live: Live) -> list[Step]:
    return compile_steps(make_plan(bundle, live), live, {}, Terms(120))


def test_a_renamed_nic_gets_its_copy_before_the_rename_and_uses_it_after() -> None:
    steps = compile_plan(BUNDLE, host())
    assert_steps_match_the_table(steps)
    assert json.loads(json.dumps(steps)) == steps
    assert [s["op"] for s in steps] == [
        *("write files", "check links", "copy profile", "rename", "use copy", "seed", "apply", "read back", "commit"),
        *("write profile", "write files", "check links", "save", "write files", "write files", "write files"),
    ]
    copy = next(s for s in steps if s["op"] == "copy profile")
    assert (copy["source"], copy["interface"], copy["mac"]) == ("u-default", "eth0", MAC)
    assert copy["settings"]["connection"] == {
        "id": ["s", "peth0"],
        "autoconnect": ["b", True],
        "autoconnect-priority": ["i", 1],
        "interface-name": None,
        "multi-connect": None,
    }
    assert copy["undo"] == [
        {"op": "profile copy", "uuid": copy["uuid"], "source": "u-default", "interface": "eth0"},
        {"op": "files", "uuids": sorted([copy["uuid"], "u-default"])},
    ]
    use = next(s for s in steps if s["op"] == "use copy")
    assert (use["uuid"], use["interface"]) == (copy["uuid"], "peth0")
    assert {"u-default", copy["uuid"]} <= set(touched_profiles(steps)), "both are in the snapshot"


def test_the_copy_is_on_disk_before_the_nic_has_its_new_name_at_boot() -> None:
    """It is replaced by the file that NetworkManager saves, and removed then."""
    steps = compile_plan(BUNDLE, host())
    titles = [s["title"] for s in steps]
    write = next(s for s in steps if s["op"] == "write profile")
    interim = INTERIM.replace("UUID", write["uuid"])
    assert write["path"] == interim
    assert interim in touched_files(steps)
    name = titles.index("write the .link files to /etc (permanent)")
    save = next(i for i, title in enumerate(titles) if title.startswith("save the connection profiles"))
    remove = next(i for i, s in enumerate(steps) if interim in s.get("remove", []))
    assert steps.index(write) < name < save < remove
    assert write["uuid"] in steps[save]["undo"][0]["uuids"]


def test_without_a_copy_the_steps_are_as_before() -> None:
    live = before()
    ops = [s["op"] for s in compile_plan(BUNDLE, live)]
    assert not {"copy profile", "use copy"} & set(ops)
    assert ops.count("rebind") == 1


@pytest.mark.parametrize("nmstate", ["2.2.33", "2.2.62"])
def test_an_older_nmstate_finds_the_copy_by_the_name(nmstate: str) -> None:
    steps = compile_plan(BUNDLE, host(nmstate=nmstate))
    bound = [s for s in steps if s["op"] == "bind name"]
    copy = next(s for s in steps if s["op"] == "copy profile")
    expected = [(copy["uuid"], "peth0", [{"op": "unbind name", "uuid": copy["uuid"]}])] if nmstate == "2.2.33" else []
    assert [(s["uuid"], s["interface"], s["undo"]) for s in bound] == expected


def test_a_profile_with_a_pattern_that_is_bound_loses_its_pattern() -> None:
    """Another NIC is idle and fits, so the profile stays with its NIC."""
    live = host()
    pattern = replace(DEFAULT, multi_connect=0, match="eth*")
    steps = compile_plan(BUNDLE, replace(live, profiles={"eth0": pattern}))
    rebind = next(s for s in steps if s["op"] == "rebind")
    assert (rebind["uuid"], rebind["has_name_pattern"]) == ("u-default", True)
    bound = replace(DEFAULT, multi_connect=0, interface_name="eth0")
    steps = compile_plan(BUNDLE, replace(live, profiles={"eth0": bound}))
    assert "has_name_pattern" not in next(s for s in steps if s["op"] == "rebind")
