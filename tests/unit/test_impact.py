"""What a change does to running guests: the ways of their frames before and after it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core import refusals
from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import KERNEL_KINDS
from kvmnet.core.effects.impact import GOOD, MOMENT, UNTOUCHED, impacts
from kvmnet.core.live.live_host import Link, Live, Owned, Profile
from kvmnet.core.live.running_guests import GuestNic, RoutedNetwork, Running, RunningGuest
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting.report import guest_lines, plan_markdown, plan_text
from kvmnet.pipeline import load
from kvmnet.transaction.prepare import Wishes, judged
from kvmnet.transaction.removal import OldNic, Original, plan_removal

KEYFILES = "/etc/NetworkManager/system-connections"
MACS = {"eth0": "00:14:4f:80:de:00", "eth1": "00:14:4f:80:de:01"}
NETWORKS = """\
kvmnet: 1
cluster: impact
profile: {profile}
networks:
  private: {{subnets: [10.1.0.0/16]{mtu}}}
  storage: {{subnets: [10.5.0.0/24], vlan: {tag}}}
  tenant: {{vlan: 2, over: private, attach: always}}
hosts:
  host:
    kvm: true
    interfaces:
"""
NIC = "      eth0: {network: private, mac: 00:14:4f:80:de:00, addresses: [10.1.255.254]}\n"
VLAN = "      eth0.5: {network: storage, bridge: true, addresses: [10.5.0.7]}\n"
GUEST = "guests:\n  g: {host: host, nics: [{network: tenant, mac: 36:77:6e:c0:00:02}]}\n"
VNET0, VNET5 = Link("vnet0", None, "tun", (), "br-eth0"), Link("vnet5", None, "tun", (), "br-eth0.5")


@pytest.fixture
def bundle(tmp_path: Path) -> Any:
    """Make a bundle of a definition: the interfaces that are given, under a profile."""

    def make(interfaces: str = NIC + VLAN, *, profile: str = "plain", mtu: str = "", tag: int = 5) -> Bundle:
        text = NETWORKS.format(profile=profile, mtu=mtu, tag=tag) + interfaces
        (tmp_path / "cluster.yaml").write_text(text)
        definition = load(tmp_path / "cluster.yaml")
        assert definition.ok, definition.problems
        return definition.bundle("host")

    return make


NOBODY = Running()


def live_of(bundle: Bundle, *more: Link, running: Running = NOBODY) -> Live:
    """The host as a bundle has it, all of it made by kvmnet, and what else is there."""
    interfaces = bundle.state["interfaces"]
    master = {
        (p["name"] if isinstance(p, dict) else p): i["name"]
        for i in interfaces
        for kind in ("bridge", "link-aggregation")
        for p in i.get(kind, {}).get("port", [])
    }
    macs = {nic.name: nic.mac for nic in bundle.nics}
    links = {"lo": Link("lo", None, None)}
    for interface in interfaces:
        name, kind = interface["name"], interface["type"]
        base = interface.get(kind, {}).get("base-iface") if kind in ("vlan", "mac-vtap") else None
        links[name] = Link(name, macs.get(name), KERNEL_KINDS.get(kind), (), master.get(name), base)
    uuids = {name: profile_uuid(bundle.host, name) for name in links if name != "lo"}
    return Live(
        hostname="host",
        state=bundle.state,
        links={**links, **{link.name: link for link in more}},
        profiles={n: Profile(u, n, "x", n, f"{KEYFILES}/{n}.nmconnection", n) for n, u in uuids.items()},
        link_files=dict(bundle.links),
        applied=bundle.digest,
        owned={i["name"]: Owned(i["type"], i["type"] in KERNEL_KINDS, uuids[i["name"]]) for i in interfaces},
        surroundings=Surroundings(running=running),
    )


def guest(name: str = "g", **nic: str) -> Running:
    return Running(guests=(RunningGuest(name, (GuestNic(**{"kind": "bridge", **nic}),)),))


def told(plan: Plan, live: Live) -> list[tuple[str, str, str]]:
    return [(i.name, i.how, i.why) for i in impacts(plan, live)]


def refused(plan: Plan, live: Live, lose: tuple[str, ...] = ()) -> list[str]:
    """The codes that speak against it, among those about guests."""
    try:
        refusals.judge(plan, live, among=("KVN525", "KVN526", "KVN527", "KVN534"), lose=lose)
    except Refused as error:
        return [str(e.code) for e in (error, *error.more)]
    return []


@pytest.mark.guarantee("G70")
def test_an_unrelated_change_touches_no_guest(bundle: Any) -> None:
    """Another VLAN over the same NIC with its bridge, other addresses: no frame of the guest's goes through them."""
    live = live_of(bundle(NIC), VNET0, running=guest(device="vnet0"))
    assert told(make_plan(bundle(NIC + VLAN), live), live) == [("g", UNTOUCHED, "")]
    other = bundle(NIC.replace("10.1.255.254", "10.1.255.253"))
    plan = make_plan(other, live)
    assert [c.name for c in plan.changes if c.what == "change"] == ["br-eth0"]
    assert told(plan, live) == [("g", UNTOUCHED, "")]
    assert refused(plan, live) == []


def test_what_is_set_anew_below_a_guest_cuts_it_for_a_moment(bundle: Any) -> None:
    live = live_of(bundle(NIC), VNET0, running=guest(device="vnet0"))
    plan = make_plan(bundle(NIC, mtu=", mtu: 1400"), live)
    assert told(plan, live) == [("g", MOMENT, "br-eth0: mtu: none -> 1400; eth0: mtu: none -> 1400")]
    assert refused(plan, live) == []


def test_a_nic_that_is_renamed_and_bridged_below_a_vlan_of_a_guests(bundle: Any) -> None:
    """The macvtap on the VLAN lives through it; one on the NIC itself cannot, and KVN534 says so, with the guest."""
    rocks = bundle(NIC, profile="rocks")
    live = live_of(bundle(NIC.replace("addresses", "bridge: false, addresses")))
    links = {
        **live.links,
        "eth0.9": Link("eth0.9", None, "vlan", base="eth0"),
        "macvtap0": Link("macvtap0", None, "macvtap", base="eth0.9"),
        "macvtap1": Link("macvtap1", None, "macvtap", base="eth0"),
    }
    nics = tuple(GuestNic("direct", d, s) for d, s in (("macvtap0", "eth0.9"), ("macvtap1", "eth0")))
    running = Running(guests=(RunningGuest("g", nics),))
    live = replace(live, links=links, surroundings=Surroundings(running=running), owned={}, link_files={})
    plan = make_plan(rocks, live)
    assert [(r.old, r.new) for r in plan.renames] == [("eth0", "peth0")]
    assert told(plan, live) == [
        ("g", MOMENT, "eth0 is renamed to peth0"),
        ("g", GOOD, "peth0 becomes a port of eth0, and can carry no macvtap then"),
    ]
    found = refusals.find(plan, live, ("KVN527", "KVN534"))
    assert [(r.code, r.message) for r in found] == [
        ("KVN534", "eth0 would become a port of eth0, but is the base interface of macvtap macvtap1 (g)")
    ]


@pytest.mark.guarantee("G70")
def test_a_bridge_that_goes_cuts_for_good_and_is_refused(bundle: Any) -> None:
    live = live_of(bundle(), VNET0, VNET5, running=guest(device="vnet5"))
    plan = make_plan(bundle(NIC), live)
    assert told(plan, live) == [("g", GOOD, "br-eth0.5 is removed"), ("vnet0", UNTOUCHED, "")]
    found = refusals.find(plan, live, ("KVN525", "KVN527"))
    assert [(r.code, r.guest) for r in found] == [("KVN527", "g")]
    words = "guest g would be disconnected permanently (vnet5 on br-eth0.5: br-eth0.5 is removed)"
    assert found[0].message == words
    assert found[0].hint.endswith("--allow-guest-loss g")
    assert refused(plan, live) == ["KVN527"]
    assert refused(plan, live, ("vnet5",)) == ["KVN527"], "a guest is called by its name"
    assert refused(plan, live, ("g",)) == []
    allowed = refusals.judge(plan, live, lose=("g",), among=("KVN527",))
    assert [r.guest for r in allowed] == ["g"]


def test_a_tap_that_is_no_domains_is_called_by_its_device(bundle: Any) -> None:
    live = live_of(bundle(), VNET5, Link("veth5", None, "veth", (), "br-eth0.5"))
    plan = make_plan(bundle(NIC), live)
    assert refused(plan, live) == ["KVN525", "KVN527"], "what is no guest's is another matter"
    assert refused(plan, live, ("vnet5",)) == ["KVN525"]
    found = refusals.find(plan, live, ("KVN527",))
    assert found[0].message.startswith("vnet5 (not a device of a libvirt domain) would be disconnected permanently")


def test_a_bridge_whose_last_way_out_goes(bundle: Any) -> None:
    """Taken down, or a NIC that is given another bridge: a bridge alone leads nowhere."""
    live = live_of(bundle(NIC), VNET0, running=guest(device="vnet0"))
    plan = make_plan(bundle(NIC.replace("addresses", "state: down, addresses")), live)
    assert [how for _, how, _ in told(plan, live)] == [GOOD]
    assert refused(plan, live) == ["KVN527"]


def other_tag(live: Live, tag: int) -> Live:
    """The host, whose eth0.5 a person made with another tag."""
    state = copy.deepcopy(live.state)
    next(i for i in state["interfaces"] if i["name"] == "eth0.5")["vlan"]["id"] = tag
    return replace(live, state=state)


def test_another_tag_is_another_network(bundle: Any) -> None:
    """The VLAN device is made anew below a bridge that stays, and leads elsewhere; a macvtap goes with the device."""
    live = other_tag(live_of(bundle(), VNET5, running=guest(device="vnet5")), 6)
    assert told(make_plan(bundle(), live), live) == [
        ("g", GOOD, "br-eth0.5 leads to VLAN 5 then, no longer to VLAN 6"),
    ]
    free = bundle(NIC + VLAN.replace("bridge: true", "bridge: false"))
    tap = Link("macvtap0", None, "macvtap", base="eth0.5")
    live = other_tag(live_of(free, tap, running=guest(kind="direct", device="macvtap0")), 6)
    words = "eth0.5 is made anew, with tag 5, and what lies over it goes"
    assert told(make_plan(free, live), live) == [("g", GOOD, words)]


def test_a_macvtap_from_boot_that_leaves_with_its_guest_on(bundle: Any) -> None:
    live = live_of(bundle(NIC + GUEST), running=guest(kind="ethernet", device="mvt-c00002"))
    plan = make_plan(bundle(NIC), live)
    assert told(plan, live) == [("g", GOOD, "eth0.2 is removed")]
    assert refused(plan, live) == ["KVN527"]
    idle = replace(live, surroundings=Surroundings(running=Running(idle=("mvt-c00002",))))
    assert (told(plan, idle), refused(plan, idle)) == ([], []), "nobody has it open"


def test_a_function_that_a_guest_has_to_itself(bundle: Any) -> None:
    running = replace(guest(kind="hostdev", pci="0000:03:10.1"), functions={"0000:03:10.1": "eth0"})
    live = live_of(bundle(NIC), running=running)
    assert [i.how for i in impacts(make_plan(bundle(NIC, mtu=", mtu: 1400"), live), live)] == [MOMENT]
    down = make_plan(bundle(NIC.replace("addresses", "state: down, addresses")), live)
    assert [(i.device, i.over, i.how) for i in impacts(down, live)] == [("0000:03:10.1", "eth0", GOOD)]
    foreign = replace(live, surroundings=Surroundings(running=replace(running, functions={})))
    assert [i.how for i in impacts(down, foreign)] == [UNTOUCHED], "a disk, a graphics card"


def test_a_macvtap_over_a_virtual_function_of_the_nic(bundle: Any) -> None:
    running = replace(guest(kind="direct", device="macvtap0", source="eth0v0"), parents={"eth0v0": "eth0"})
    more = (Link("eth0v0", "02:00:00:00:00:09", None), Link("macvtap0", None, "macvtap", base="eth0v0"))
    live = live_of(bundle(NIC), *more, running=running)
    assert [i.how for i in impacts(make_plan(bundle(NIC, mtu=", mtu: 1400"), live), live)] == [MOMENT]


def test_a_libvirt_network_that_goes_over_the_nic(bundle: Any) -> None:
    """What libvirt's rules name must be there under that name; where they name nothing the host's way out counts."""
    nic = guest(kind="network", device="vnet0", network="default")
    tap, bridge = Link("vnet0", None, "tun", (), "virbr0"), Link("virbr0", None, "bridge")
    running = replace(nic, networks=(RoutedNetwork("default", ("br-eth0.5",)),))
    live = live_of(bundle(), tap, bridge, running=running)
    assert told(make_plan(bundle(NIC), live), live) == [
        ("g", GOOD, "the network default goes over br-eth0.5, which is no more")
    ]
    anywhere = replace(live, surroundings=Surroundings(running=replace(nic, networks=(RoutedNetwork("default"),))))
    assert told(make_plan(bundle(NIC), anywhere), anywhere) == [("g", UNTOUCHED, "")]
    route = {"destination": "0.0.0.0/0", "next-hop-interface": "br-eth0.5", "next-hop-address": "10.5.0.1"}
    out = replace(anywhere, state={**anywhere.state, "routes": {"running": [route]}})
    assert [how for _, how, _ in told(make_plan(bundle(NIC), out), out)] == [MOMENT]
    isolated = replace(live, surroundings=Surroundings(running=nic))
    assert told(make_plan(bundle(NIC), isolated), isolated) == [("g", UNTOUCHED, "")]


def test_giving_the_machine_back_takes_the_bridge_away(bundle: Any) -> None:
    """The bridge eth0 goes and the NIC peth0 becomes eth0: two things of one name, one after the other."""
    rocks = bundle(NIC, profile="rocks")
    live = live_of(rocks, Link("vnet0", None, "tun", (), "eth0"), running=guest(device="vnet0"))
    nic = OldNic(MACS["eth0"], "eth0", (), "u-1")
    original = Original((nic,), {}, {"files": [], "links": {}, "addresses": {}, "zones": {}, "uuids": []})
    plan = plan_removal(rocks, original, live)
    assert told(plan, live) == [("g", GOOD, "eth0 is removed")]
    with pytest.raises(Refused) as error:
        refusals.judge(plan, live, among=refusals.GIVING_BACK)
    assert error.value.code == "KVN527"


def test_a_refusal_tells_what_would_happen_to_every_guest(bundle: Any) -> None:
    nics = (RunningGuest("a", (GuestNic("bridge", "vnet5"),)), RunningGuest("b", (GuestNic("bridge", "vnet0"),)))
    live = live_of(bundle(), VNET0, VNET5, running=Running(guests=nics))
    with pytest.raises(Refused) as error:
        judged(make_plan(bundle(NIC), live), live, Wishes())
    assert error.value.lines()[-2:] == [
        "guest a, vnet5 on br-eth0.5: cut for good: br-eth0.5 is removed",
        "untouched guests: b",
    ]
    assert [g["guest"] for g in error.value.data["guests"]] == ["a", "b"]


def test_where_libvirt_does_not_answer_nobody_says_that_a_device_is_nobodys(bundle: Any) -> None:
    live = live_of(bundle(), VNET0, VNET5, running=Running(problem="no answer within 8 s"))
    with pytest.raises(Refused) as error:
        judged(make_plan(bundle(NIC), live), live, Wishes())
    assert "vnet5 (guest unknown: libvirt is not available) would be disconnected" in error.value.message
    told = "\n".join(error.value.also)
    assert "vnet5 (guest unknown: libvirt is not available) on br-eth0.5" in told
    assert "running guests are shown as devices" in told and "a libvirt domain" not in told


def test_what_a_person_reads(bundle: Any) -> None:
    nics = (RunningGuest("a", (GuestNic("bridge", "vnet5"),)), RunningGuest("b", (GuestNic("bridge", "vnet0"),)))
    live = live_of(bundle(), VNET0, VNET5, running=Running(guests=nics, problem="no answer within 8 s"))
    plan = make_plan(bundle(NIC), live)
    lines = guest_lines(impacts(plan, live), live.surroundings.running.problem)
    assert lines == [
        "guest a, vnet5 on br-eth0.5: cut for good: br-eth0.5 is removed",
        "untouched guests: b",
        (
            "note: libvirt is not available (no answer within 8 s): "
            "running guests are known from its records in /run/libvirt/qemu"
        ),
    ]
    assert plan_text(plan, lines).endswith("".join(f"{line}\n" for line in lines))
    assert f"\n- {lines[0]}\n" in plan_markdown(plan, notes=lines)
    assert json.loads(json.dumps([i.to_json() for i in impacts(plan, live)]))[0] == {
        **{"guest": "a", "device": "vnet5", "over": "br-eth0.5", "mac": ""},
        **{"how": "cut for good", "why": "br-eth0.5 is removed"},
    }
