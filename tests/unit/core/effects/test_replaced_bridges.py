"""What happens to guests when a new bridge replaces theirs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kvmnet.core.assessment import assess
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.core.live.surroundings import NameUse, Surroundings
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


DEFINE = "virsh dumpxml --inactive GUEST | kvmnet guest xml GUEST --domain - > FILE; virsh define FILE"


def notes_about(tmp_path: Path, running: Running, *uses: NameUse) -> list[str]:
    """Return the notes of the change that replaces br0, but the one about guests' ports."""
    bundle = load_site(tmp_path, "br-eth0")
    live = replace(bridged_host(bundle), surroundings=Surroundings(running=running, name_uses=uses))
    return [note for note in assess(bundle, live).notes if "takes over" not in note]


def test_a_libvirt_network_is_changed_and_not_the_xml_of_its_guests(tmp_path: Path) -> None:
    """A running guest's XML also contains the bridge that libvirt has found by the network."""
    running = Running(
        guests=(RunningGuest("web1", (GuestNic("network", "vnet0", "br0", "lan"),)),),
        stopped=(RunningGuest("db1", (GuestNic("network", network="lan"), GuestNic("network", network="lan"))),),
        bridges={"lan": "br0", "other": "br9"},
    )
    note = (
        "the libvirt network lan names br0: change it to br-eth0 before {} (`virsh net-edit lan; virsh net-destroy "
        "lan; virsh net-start lan`)"
    )
    use = NameUse("libvirt network", "lan", ("br0",))
    assert notes_about(tmp_path, running, use) == [note.format("the next start of db1, web1")]
    assert notes_about(tmp_path, Running(bridges={"lan": "br0"})) == [note.format("a guest in it starts")]
    foreign = NameUse("libvirt network", "pool", ("br0",))
    assert notes_about(tmp_path, Running(), foreign) == ["the libvirt network `pool` names br0, which is removed"], (
        "its guests have macvtaps on br0"
    )


def test_a_stopped_guest_gets_the_commands_of_a_running_one(tmp_path: Path) -> None:
    stopped = tuple(RunningGuest(name, (GuestNic(name, source="br0"),)) for name in ("bridge", "direct"))
    running = replace(RUNNING, stopped=(*stopped, RunningGuest("other", (GuestNic("bridge", source="br9"),))))
    assert notes_about(tmp_path, running) == [
        f"the domain XML of bridge, direct, web1 names br0: change it to br-eth0 before the next start (`{DEFINE}`)"
    ]


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
