"""What happens to guests when a new bridge replaces theirs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kvmnet.core.assessment import assess
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.core.live.surroundings import Surroundings
from tests.unit.core.adoption_samples import bridged_host, load_site

RUNNING = Running(
    guests=(RunningGuest("web1", (GuestNic("bridge", "vnet0", "br0"),)), RunningGuest("db1", (GuestNic("user"),)))
)


def test_guests_follow_to_the_new_bridge(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = replace(bridged_host(bundle), surroundings=Surroundings(running=RUNNING))
    assessment = assess(bundle, live)
    impacts = {impact.device: impact for impact in assessment.impacts}
    assert impacts["vnet0"].how == impacts["vnet77"].how == "interrupted briefly"
    assert "vnet0 becomes a port of br-eth0" in impacts["vnet0"].why
    assert [r.code for r in assessment.refusals] == ["KVN536"], "no guest is lost"
    notes = "\n".join(assessment.notes)
    assert "br-eth0 takes over the guests' ports of br0: veth0, vnet0, vnet77" in notes
    assert "the domain XML of web1 names br0: change it to br-eth0 before the next start" in notes


def test_a_macvtap_on_the_bridge_prevents_the_replacement(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    tap = Link("macvtap0", None, "macvtap", (), None, "br0")
    codes = [r.code for r in assess(bundle, replace(live, links={**live.links, "macvtap0": tap})).refusals]
    assert "KVN530" in codes and "KVN536" not in codes


def test_an_adopted_bridge_interrupts_guests_at_most(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = replace(bridged_host(bundle), surroundings=Surroundings(running=RUNNING))
    assert {impact.how for impact in assess(bundle, live).impacts} <= {"untouched", "interrupted briefly"}
