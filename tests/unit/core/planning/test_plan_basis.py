"""What a plan depends on."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.assessment import assess
from kvmnet.core.base.errors import Refused
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan_basis import compare_bases
from kvmnet.core.reporting.change_text import plan_to_json
from kvmnet.core.reporting.saved_plan import require_unchanged
from kvmnet.pipeline import load
from tests.unit.core.boot.samples import boot_files, stored
from tests.unit.core.profile_samples import filtering, host
from tests.unit.core.samples import after

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


def with_state(live: Live, **changes: Any) -> Live:
    """The reading with another eth0."""
    state = copy.deepcopy(live.state)
    next(i for i in state["interfaces"] if i["name"] == "eth0").update(changes)
    return replace(live, state=state)


def test_dhcp_addresses_and_guests_ports_do_not_change_the_basis() -> None:
    """On the bridge of a host that kvmnet has: a lease is renewed, a guest starts, the kernel adds fe80::."""
    live = after(BUNDLE)
    bridge = {**next(i for i in live.state["interfaces"] if i["name"] == "eth0")}
    bridge["bridge"] = {**bridge["bridge"], "port": [*bridge["bridge"]["port"], {"name": "vnet0"}]}
    lease = {"ip": "10.1.7.7", "prefix-length": 16, "valid-life-time": "3600sec"}
    bridge["ipv4"] = {**bridge["ipv4"], "address": [*bridge["ipv4"]["address"], lease]}
    bridge["ipv6"] = {**bridge["ipv6"], "address": [{"ip": "fe80::1", "prefix-length": 64}]}
    now = with_state(live, **bridge)
    made = assess(BUNDLE, live)
    require_unchanged(plan_to_json(made.plan), made.basis, assess(BUNDLE, now))
    bridge["ipv4"] = {
        **bridge["ipv4"],
        "address": [*bridge["ipv4"]["address"], {"ip": "10.1.7.8", "prefix-length": 16}],
    }
    with pytest.raises(Refused, match=r"addresses eth0: "):
        now = with_state(live, **bridge)
        require_unchanged(plan_to_json(made.plan), made.basis, assess(BUNDLE, now))


def test_settings_of_profiles_and_their_live_values_are_in_the_basis(tmp_path: Path) -> None:
    bundle = filtering(tmp_path)
    made = assess(bundle, host(bundle))
    for now, place in (
        (host(bundle, stored="yes"), "profiles br-eth0 settings bridge.vlan-filtering: nothing -> true"),
        (host(bundle, kernel=1), "links br-eth0 bridge.vlan-filtering: nothing -> true"),
    ):
        assert compare_bases(made.basis, assess(bundle, now).basis) == [place]


def test_every_changed_place_is_named() -> None:
    was = {"a": {"b": 1, "c": [1]}, "d": "x"}
    assert compare_bases(was, was) == []
    assert compare_bases(was, {"a": {"b": 2, "e": True}, "d": "x"}) == [
        "a b: 1 -> 2",
        "a c: [1] -> nothing",
        "a e: nothing -> true",
    ]


def test_a_plan_depends_on_the_profiles_on_disk() -> None:
    live = after(BUNDLE)
    live = replace(live, profiles={"eth0": replace(live.profiles["eth0"], type="bridge")})
    bridge = stored("eth0", "u-eth0", "interface-name=eth0", type="bridge", groups="[ipv6]\nmethod=disabled\n")
    was = assess(BUNDLE, replace(live, boot=boot_files(bridge))).basis
    assert was["connection profiles on disk"].keys() == {"eth0"}
    now = assess(BUNDLE, replace(live, boot=boot_files(bridge.changed({"connection": {"autoconnect": "false"}})))).basis
    [line] = compare_bases(was, now)
    assert line.startswith("connection profiles on disk eth0: ") and "autoconnect" in line
    assert "connection profiles on disk" not in assess(BUNDLE, live).basis, "only root can read them"
