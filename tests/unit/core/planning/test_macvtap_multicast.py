"""Macvtaps of guests that do not receive all multicast frames are a difference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.planning.macvtap_multicast import find_filtered_macvtaps
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.reporting.report import format_plan
from kvmnet.pipeline import load
from tests.unit.core.samples import after, before

BUNDLE = load("tests/golden/good/attach/cluster.yaml").bundle("a")
ON_DEMAND, FROM_BOOT = "36:77:6e:c0:00:01", "36:77:6e:c0:00:02"


def host(*macvtaps: Link) -> Live:
    return replace(before(), links={**before().links, **{link.name: link for link in macvtaps}})


def macvtap(mac: str, base: str, *, all_multicast: bool = False, name: str = "macvtap0") -> Link:
    return Link(name, None, "macvtap", base=base, address=mac, allmulticast=all_multicast)


@pytest.mark.parametrize(
    ("link", "is_filtered"),
    [
        (macvtap(ON_DEMAND, "peth0.2"), True),
        (macvtap(ON_DEMAND, "peth0.2", all_multicast=True), False),
        (macvtap(FROM_BOOT, "peth0.3", name="mvt-c00002"), True),
        (macvtap(ON_DEMAND, "eth1.2"), False),
        (macvtap("52:54:00:00:00:01", "peth0.2"), False),
        (replace(macvtap(ON_DEMAND, "peth0.2"), kind="macvlan"), False),
    ],
)
def test_only_macvtaps_of_the_definition_are_compared(link: Link, is_filtered: bool) -> None:
    """Those of its guests, over its interfaces: another program may filter others."""
    assert find_filtered_macvtaps(BUNDLE, host(link)) == [link.name] * is_filtered


def test_a_macvtap_that_trusts_its_guest_is_not_compared() -> None:
    """libvirt filters it as the guest wants."""
    link = macvtap(ON_DEMAND, "peth0.2")
    assert find_filtered_macvtaps(replace(BUNDLE, trusting=(ON_DEMAND,)), host(link)) == []


def test_a_filtered_macvtap_is_drift() -> None:
    bundle = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
    macvtaps = [i for i in (bundle.guests or {}).get("interfaces", []) if i["type"] == "mac-vtap"]
    live, first = after(bundle), macvtaps[0]
    base = first["mac-vtap"]["base-iface"]
    link = macvtap(first["mac-address"].lower(), base)
    plan = make_plan(bundle, replace(live, links={**live.links, "macvtap0": link}))
    assert (plan.filtered_macvtaps, plan.state, plan.changes_host) == (("macvtap0",), {}, True)
    assert "  ~ change macvtap0: the guest on this macvtap receives multicast\n" in format_plan(plan)
