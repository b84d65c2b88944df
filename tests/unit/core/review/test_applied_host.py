"""Tests of kvmnet/core/review/applied_host.py."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from kvmnet.core.planning.plan import make_plan
from kvmnet.core.review.applied_host import find_assumed_names, make_applied_host
from kvmnet.pipeline import load
from tests import fuzz
from tests.generate import cluster
from tests.unit.core.review.samples import CLUSTER, define

EXAMPLES = sorted(Path(__file__).parents[4].glob("examples/*/cluster.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_a_plan_of_the_applied_bundle_is_empty(path: Path) -> None:
    for bundle in load(str(path)).bundles():
        assert make_plan(bundle, make_applied_host(bundle, bundle.nics)).empty


def test_a_plan_of_a_generated_bundle_is_empty() -> None:
    for seed in range(4):
        for bundle in fuzz.load(cluster(Random(seed))).bundles():
            assert make_plan(bundle, make_applied_host(bundle)).changes == (), (seed, bundle.host)


def test_the_next_bundles_nics_are_on_the_host() -> None:
    more = 'interfaces: {eth1: {mac: "00:14:4f:00:00:aa"}, eth0: {mac: "00:14:4f:00:00:0a"'
    old, _ = define(CLUSTER).bundles()
    new, _ = define(CLUSTER.replace('interfaces: {eth0: {mac: "00:14:4f:00:00:0a"', more)).bundles()
    live = make_applied_host(old, new.nics)
    assert [name for name, link in live.links.items() if link.mac] == ["peth0", "nic0000aa"]
    assert find_assumed_names(old, new.nics) == {"00:14:4f:00:00:aa": "nic0000aa"}
    assert find_assumed_names(old, old.nics) == {}
    assert "nic0000aa" not in live.profiles and "nic0000aa" not in live.owned


def test_a_mac_address_that_only_the_next_bundle_states_is_known() -> None:
    plain = CLUSTER.replace("profile: rocks", "profile: plain")
    old, _ = define(plain.replace('mac: "00:14:4f:00:00:0a", ', "")).bundles()
    new, _ = define(plain).bundles()
    assert make_applied_host(old, new.nics).links["eth0"].mac == "00:14:4f:00:00:0a"
    assert make_plan(new, make_applied_host(old, new.nics)).changes[0].kind == "record"
    invented = make_applied_host(old).links["eth0"].mac
    assert invented is not None and invented != "00:14:4f:00:00:0a"


def test_a_nic_gets_back_its_first_name_when_the_next_policy_renames_nothing() -> None:
    old, _ = define(CLUSTER).bundles()
    new, _ = define(CLUSTER.replace("profile: rocks", "profile: plain")).bundles()
    (rename,) = make_plan(new, make_applied_host(old, new.nics)).renames
    assert (rename.old, rename.new) == ("peth0", "eth0")
