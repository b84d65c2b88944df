"""Notes about what names an interface whose role changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.effects.name_uses import find_role_changes
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.core.live.surroundings import NameUse, Surroundings
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.pipeline import load
from tests.unit.core.samples import MACS, before, bundle_with, live_of, notes_of, with_leaving

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
NIC = "      eth0: {network: private, mac: 00:14:4f:80:de:00, addresses: [10.1.255.254]}\n"


def naming(*uses: NameUse, stopped: tuple[RunningGuest, ...] = ()) -> Live:
    return replace(before(), surroundings=Surroundings(name_uses=uses, running=Running(stopped=stopped)))


def texts(plan: Plan, live: Live) -> dict[str, str]:
    return {name: change.text for name, change in find_role_changes(plan, live).items()}


def test_what_becomes_of_each_name(tmp_path: Path) -> None:
    assert texts(make_plan(BUNDLE, before()), before()) == {"eth0": "becomes a bridge (the NIC is renamed to peth0)"}
    bundle = bundle_with(tmp_path, NIC)
    assert texts(make_plan(bundle, before()), before()) == {"eth0": "becomes a port of br-eth0"}
    live = live_of(bundle)
    assert texts(make_plan(bundle, live), live) == {}
    leaving = with_leaving(BUNDLE)
    assert texts(make_plan(BUNDLE, leaving), leaving) == {"peth0.5": "is removed", "br5": "is removed"}
    alone = load_without_bridge(tmp_path)
    assert texts(make_plan(alone, before()), before()) == {"eth0": "is renamed to lan0"}


def load_without_bridge(folder: Path):  # type: ignore[no-untyped-def]
    return bundle_with(folder, NIC.replace("eth0:", "lan0:").replace("{net", "{bridge: false, net"), profile="rocks")


@pytest.mark.guarantee("G67")
def test_rules_that_name_the_interface_are_listed(tmp_path: Path) -> None:
    """The case of a host whose rules accept SSH on eth0: they do not match what comes in through the bridge."""
    rule = "-A INPUT -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT"
    live = naming(NameUse("iptables rule", rule, ("eth0",)), NameUse("iptables rule", "-A INPUT -i eth1", ("eth1",)))
    bundle = bundle_with(tmp_path, NIC)
    assert notes_of(make_plan(bundle, live), live) == [
        f"the iptables rule `{rule}` names eth0, which becomes a port of br-eth0"
    ]
    assert notes_of(make_plan(BUNDLE, live), live) == [
        f"the iptables rule `{rule}` names eth0, which becomes a bridge (the NIC is renamed to peth0)"
    ]
    kept = live_of(bundle)
    assert notes_of(make_plan(bundle, kept), replace(kept, surroundings=live.surroundings)) == []


def test_of_many_rules_the_first_are_listed(tmp_path: Path) -> None:
    live = naming(*(NameUse("iptables rule", f"-i eth0 -j {n}", ("eth0",)) for n in range(12)))
    notes = notes_of(make_plan(BUNDLE, live), live)
    assert len(notes) == 6
    assert notes[-1] == "7 more iptables rules for eth0: check them all"


def test_stopped_guests_that_would_not_start_are_listed(tmp_path: Path) -> None:
    guests = tuple(
        RunningGuest(name, (GuestNic(kind, source="eth0"),)) for name, kind in (("db1", "direct"), ("web", "bridge"))
    )
    live = naming(stopped=guests)
    assert notes_of(make_plan(bundle_with(tmp_path, NIC), live), live) == [
        "the stopped guest db1 is connected to eth0, which becomes a port of br-eth0: it will not start"
    ]
    leaving = with_leaving(BUNDLE)
    stopped = (RunningGuest("old", (GuestNic("network", network="five"),)),)
    running = Running(stopped=stopped, bridges={"five": "br5"})
    leaving = replace(leaving, surroundings=Surroundings(running=running))
    assert "the stopped guest old is connected to br5, which is removed: it will not start" in (
        notes_of(make_plan(BUNDLE, leaving), leaving)
    )


def test_a_stopped_guest_on_a_nic_that_is_renamed_is_listed(tmp_path: Path) -> None:
    live = naming(stopped=(RunningGuest("db1", (GuestNic("direct", source="eth0"),)),))
    note = "the stopped guest db1 is connected to eth0, which is renamed to lan0: it will not start"
    assert notes_of(make_plan(load_without_bridge(tmp_path), live), live) == [note]
    assert notes_of(make_plan(BUNDLE, live), live) == [], "a macvtap can be on the bridge eth0"


SWAPPED = (
    f"      eth1: {{network: private, mac: '{MACS[0]}', addresses: [10.1.255.254], bridge: false}}\n"
    f"      eth0: {{network: private, mac: '{MACS[1]}', addresses: [10.1.0.2], bridge: false}}\n"
)
BONDED = (
    f"      eth1: {{mac: '{MACS[0]}'}}\n      eth0: {{mac: '{MACS[1]}'}}\n"
    "      bond0: {ports: [eth0, eth1], network: private, addresses: [10.1.255.254], bridge: false}\n"
)


@pytest.mark.parametrize(("text", "effect"), [(SWAPPED, "it will start on another NIC"), (BONDED, "it will not start")])
def test_a_stopped_guest_on_a_nic_that_swaps_its_name_is_listed(tmp_path: Path, text: str, effect: str) -> None:
    live = naming(stopped=(RunningGuest("db1", (GuestNic("direct", source="eth0"),)),))
    live = replace(live, links={**live.links, "eth1": Link("eth1", MACS[1], None)})
    plan = make_plan(bundle_with(tmp_path, text, profile="rocks"), live)
    assert [note for note in notes_of(plan, live) if "db1" in note] == [
        f"the stopped guest db1 is connected to eth0, which is renamed to eth1: {effect}"
    ]


def test_the_words_of_a_change_do_not_decide(tmp_path: Path) -> None:
    """The name of the NIC contains the word port."""
    bundle = bundle_with(tmp_path, NIC.replace("eth0", "port0"), profile="rocks")
    live = naming(stopped=(RunningGuest("db1", (GuestNic("direct", source="port0"),)),))
    live = replace(live, links={"port0": Link("port0", MACS[0], None)}, profiles={})
    plan = make_plan(bundle, live)
    assert texts(plan, live) == {"port0": "becomes a bridge (the NIC is renamed to pport0)"}
    assert [note for note in notes_of(plan, live) if "db1" in note] == [], "a macvtap can be on the bridge"


def test_a_bridge_that_stays_is_no_reason_for_a_note(tmp_path: Path) -> None:
    bundle = bundle_with(tmp_path, NIC)
    live = live_of(bundle, Link("other", None, "dummy"))
    surroundings = Surroundings(name_uses=(NameUse("nftables rule", "x", ("br-eth0",)),))
    assert notes_of(make_plan(bundle, live), replace(live, surroundings=surroundings)) == []
