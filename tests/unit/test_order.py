"""What must go before something else comes, NICs that take each other's names, and keys that left the definition."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.nmstate import KERNEL_KINDS
from kvmnet.core.effects.impact import GOOD, impacts
from kvmnet.core.live.live_host import Link, Live, Owned, Profile
from kvmnet.core.planning.defaults import completed, dropped_options
from kvmnet.core.planning.expected_readback import expectations
from kvmnet.core.planning.ownership import new_uuid, note_after, profile_uuid
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.planning.rename_order import Rename, hops
from kvmnet.core.refusals import find
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.guest_settings import guest_settings
from kvmnet.pipeline import load
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.step import Step
from tests.unit.test_plan import KEYFILES

MACS = ("00:14:4f:80:de:00", "00:14:4f:80:de:01")
HEAD = """kvmnet: 1
cluster: order
profile: {profile}
networks:
  private: {{subnets: [10.1.0.0/16], gateway: 10.1.1.1}}
  storage: {{subnets: [10.5.0.0/24], vlan: 5}}
  servers: {{subnets: [10.6.0.0/24], default_route: false}}
hosts:
  host:
    kvm: true
    interfaces:
"""
ROCKS = HEAD.format(profile="rocks") + (
    f"      eth0: {{network: private, mac: {MACS[0]}, addresses: [10.1.255.254]}}\n"
    "      eth0.5: {network: storage, bridge: true, addresses: [10.5.0.7]}\n"
)
PLAIN = HEAD.format(profile="plain") + (
    "      eth0: {network: private, bridge: false, addresses: [10.1.255.254]}\n"
    "      eth0.5: {network: storage, addresses: [10.5.0.7]}\n"
)


def bundle_of(tmp_path: Path, text: str) -> Bundle:
    (tmp_path / "cluster.yaml").write_text(text, encoding="utf-8")
    return load(str(tmp_path / "cluster.yaml")).bundle("host")


def bare() -> Live:
    """A host with two NICs and no profile but that of the first."""
    state = {"interfaces": [{"name": f"eth{n}", "type": "ethernet", "state": "up"} for n in (0, 1)]}
    profile = Profile("u-1", "eth0", "802-3-ethernet", "eth0", f"{KEYFILES}/eth0.nmconnection", "eth0")
    links = {f"eth{n}": Link(f"eth{n}", mac, None) for n, mac in enumerate(MACS)}
    return Live("host", state, links, {"eth0": profile}, zones={}, nmstate="2.2.62", networkmanager="1.52.1")


def applied(bundle: Bundle, live: Live) -> Live:
    """The host once a bundle is applied: links, profiles and states as the bundle has them."""
    note = note_after(bundle, live)
    names = {nic.name: live.find(nic) for nic in bundle.nics}
    links, profiles = dict(live.links), dict(live.profiles)
    for link in names.values():
        assert link is not None
        links.pop(link.name, None)
    masters = {
        p["name"] if isinstance(p, dict) else p: i["name"]
        for i in bundle.state["interfaces"]
        for kind in ("bridge", "link-aggregation")
        for p in i.get(kind, {}).get("port", [])
    }
    for name, nic in names.items():
        assert nic is not None
        links[name] = Link(name, nic.mac, None, (), masters.get(name))
        profiles[name] = replace(
            live.profiles.get(
                nic.name, Profile("u-2", nic.name, "802-3-ethernet", "", f"{KEYFILES}/{nic.name}.nmconnection")
            ),
            device=name,
        )
    for i in bundle.state["interfaces"]:
        if i["type"] in KERNEL_KINDS:
            base = i.get("vlan", {}).get("base-iface")
            links[i["name"]] = Link(i["name"], None, KERNEL_KINDS[i["type"]], (), masters.get(i["name"]), base)
            uuid, file = note.owned[i["name"]].uuid, f"{KEYFILES}/{i['name']}.nmconnection"
            profiles[i["name"]] = Profile(uuid, i["name"], KERNEL_KINDS[i["type"]], i["name"], file, i["name"])
    return replace(
        live,
        state=copy.deepcopy(bundle.state),
        links=links,
        profiles=profiles,
        link_files=dict(bundle.links),
        settings=guest_settings(bundle),
        applied=bundle.digest,
        owned=note.owned,
        applied_state=note.state,
        first_names=note.first_names,
    )


def steps_of(plan: Plan, live: Live) -> list[Step]:
    return compile_steps(plan, live, {}, Terms(120))


# ---- names


@pytest.mark.guarantee("G44")
def test_a_bridge_goes_before_its_nic_takes_the_name_and_the_nic_has_its_address_meanwhile(tmp_path: Path) -> None:
    live = applied(bundle_of(tmp_path, ROCKS), bare())
    assert {"peth0", "eth0", "peth0.5", "eth0.5"} <= live.links.keys()
    plan = make_plan(bundle_of(tmp_path, PLAIN), live)
    assert [(r.mac, r.old, r.new) for r in plan.renames] == [(MACS[0], "peth0", "eth0")]
    assert plan.goes_first == {"eth0", "eth0.5", "peth0.5"}
    address = [{"ip": "10.1.255.254", "prefix-length": 16}]
    carrier = next(i for i in plan.first["interfaces"] if i["name"] == "peth0")
    assert (carrier["controller"], carrier["ipv4"]["address"]) == ("", address)
    assert [r["next-hop-interface"] for r in plan.first["routes"]["config"]] == ["peth0"]
    sent = {i["name"]: i for i in plan.state["interfaces"]}
    assert {name: i["type"] for name, i in sent.items()} == {"eth0": "ethernet", "eth0.5": "vlan"}
    assert "absent" not in {i["state"] for i in sent.values()}
    assert "routes" not in plan.state, "the NIC has the route already"
    assert plan.stale_files == ("00-kvmnet-peth0.link",)
    assert find(plan, live) == []

    steps = steps_of(plan, live)
    told = [s["op"] for s in steps]
    assert told.index("clear") < told.index("rebind") < told.index("rename") < told.index("apply")
    (seed,) = next(s for s in steps if s["op"] == "seed")["profiles"]
    assert seed["interface"] == "eth0.5"
    assert seed["uuid"] != profile_uuid("host", "eth0.5"), "the bridge of that name has it"
    assert [s["interface"] for s in steps if s["op"] == "unbind zone"] == ["peth0"], "nothing has that name any more"
    forget = next(s for s in steps if s["op"] == "forget")
    assert set(forget["uuids"]) == {live.profiles[n].uuid for n in ("eth0", "eth0.5", "peth0.5")}
    assert seed["uuid"] not in forget["uuids"]
    absent = {e["name"] for e in expectations(plan.desired)}
    assert absent == {"eth0", "eth0.5"}


def test_and_the_other_way_round(tmp_path: Path) -> None:
    """The VLAN's tag is taken over the NIC as long as the old one is there, and its name is the bridge's to be."""
    first = bundle_of(tmp_path, PLAIN)
    live = applied(first, bare())
    plan = make_plan(bundle_of(tmp_path, ROCKS), live)
    assert plan.goes_first == {"eth0.5"}
    assert [(r.old, r.new) for r in plan.renames] == [("eth0", "peth0")]
    assert find(plan, live) == []
    back = applied(bundle_of(tmp_path, ROCKS), live)
    assert back.owned["eth0.5"].type == "linux-bridge"
    assert make_plan(bundle_of(tmp_path, PLAIN), back).goes_first == {"eth0", "eth0.5", "peth0.5"}


def test_guests_on_what_goes_first_are_told(tmp_path: Path) -> None:
    """The bridge goes, and another thing has its name afterwards."""
    live = applied(bundle_of(tmp_path, ROCKS), bare())
    taps = {f"vnet{n}": Link(f"vnet{n}", None, "tun", (), over) for n, over in enumerate(("eth0", "eth0.5"))}
    live = replace(live, links={**live.links, **taps})
    plan = make_plan(bundle_of(tmp_path, PLAIN), live)
    told = {i.device: (i.how, i.why) for i in impacts(plan, live)}
    assert told == {
        "vnet0": (GOOD, "eth0 is removed"),
        "vnet1": (GOOD, "eth0.5 is removed, and something else gets its name"),
    }
    assert "KVN527" in {r.code for r in find(plan, live)}


def test_what_a_person_made_is_not_cleared_away(tmp_path: Path) -> None:
    live = applied(bundle_of(tmp_path, ROCKS), bare())
    theirs = {**live.owned, "eth0": replace(live.owned["eth0"], made=False)}
    live = replace(live, owned=theirs)
    plan = make_plan(bundle_of(tmp_path, PLAIN), live)
    assert "eth0" not in plan.goes_first
    assert "KVN522" in {r.code for r in find(plan, live)}


def test_a_nic_gets_only_the_name_back_that_it_had(tmp_path: Path) -> None:
    live = applied(bundle_of(tmp_path, ROCKS), bare())
    unknown = replace(live, first_names={})
    plan = make_plan(bundle_of(tmp_path, PLAIN), unknown)
    assert "KVN520" in {r.code for r in find(plan, unknown)}
    by_mac = PLAIN.replace("eth0: {network", f"eth0: {{mac: {MACS[0]}, network")
    plan = make_plan(bundle_of(tmp_path, by_mac), unknown)
    assert "KVN521" in {r.code for r in find(plan, unknown)}
    assert find(make_plan(bundle_of(tmp_path, by_mac), live), live) == []


def test_hops_take_only_names_that_are_free() -> None:
    one, two, three = (
        Rename(f"00:00:00:00:00:0{n}", o, n2) for n, (o, n2) in enumerate([("a", "b"), ("b", "c"), ("c", "d")])
    )
    assert [(h.old, h.new) for h in hops([one, two, three], {"a", "b", "c"})] == [("c", "d"), ("b", "c"), ("a", "b")]
    back = replace(three, new="a")
    found = hops([one, two, back], {"a", "b", "c", "lo"})
    held = {"a", "b", "c", "lo"}
    for hop in found:
        assert hop.old in held
        assert hop.new not in held
        held = held - {hop.old} | {hop.new}
    assert held == {"a", "b", "c", "lo"}
    assert [hop.last for hop in found].count(False) == 1
    assert all(len(hop.new) <= 15 for hop in found)
    assert [(h.old, h.new) for h in hops([one], {"a", "b"})] == [("a", "b")], "held by a stranger: refused, not endless"


@pytest.mark.guarantee("G44")
def test_two_nics_that_swap_their_names(tmp_path: Path) -> None:
    text = HEAD.format(profile="rocks") + "".join(
        f"      eth{n}: {{network: {network}, mac: {mac}, addresses: [{address}]}}\n"
        for n, network, mac, address in ((0, "private", MACS[0], "10.1.255.254"), (1, "servers", MACS[1], "10.6.0.7"))
    )
    swapped = text.replace(MACS[0], "x").replace(MACS[1], MACS[0]).replace("x", MACS[1])
    live = applied(bundle_of(tmp_path, text), bare())
    live = replace(live, zones={"peth0": "trusted", "eth0": "trusted"})
    plan = make_plan(bundle_of(tmp_path, swapped), live)
    assert find(plan, live) == []
    steps = steps_of(plan, live)
    assert [(s["mac"], s["to"]) for s in steps if s["op"] == "rename"] == [
        (MACS[1], "kvmnet80de01"),
        (MACS[0], "peth1"),
        (MACS[1], "peth0"),
    ]
    early = next(s for s in steps if s["op"] == "write files")["files"]
    assert all("/00-kvmnet--peth" in path for path in early), "files of the same name in /etc would hide them"
    assert [s["interface"] for s in steps if s["op"] == "unbind zone"] == ["kvmnet80de01"]
    undo = [spec for s in steps if s["op"] == "rename" for spec in s["undo"] if spec["op"] == "rename"]
    assert [("unless" in spec) for spec in undo] == [False, False, True]


# ---- keys that left


@pytest.mark.guarantee("G45")
def test_what_the_applied_bundle_said_and_the_new_one_does_not_goes_back_to_the_default() -> None:
    def state(**more: Any) -> dict[str, Any]:
        nic = {"name": "eth0", "type": "ethernet", "state": "up", "ipv4": {"enabled": True, "dhcp": True}}
        return {
            "interfaces": [
                {**nic, **more},
                {"name": "eth0.5", "type": "vlan", "state": "up", "vlan": {"base-iface": "eth0", "id": 5}},
            ]
        }

    said = state(**{"mtu": 9000, "accept-all-mac-addresses": True})
    said["interfaces"][0]["ipv4"] = {
        "enabled": True,
        "dhcp": True,
        "address": [{"ip": "10.1.0.1", "prefix-length": 16}],
    }
    said["interfaces"][1]["mtu"] = 1400
    said["dns-resolver"] = {"config": {"server": ["10.1.1.1"], "search": ["local"]}}
    found = completed(state(), said)
    nic, vlan = found["interfaces"]
    assert (nic["mtu"], nic["accept-all-mac-addresses"], nic["ipv4"]["address"]) == (1500, False, [])
    assert vlan["mtu"] == 1500
    assert completed(state(mtu=9000), said)["interfaces"][1]["mtu"] == 9000, "a VLAN's default is that of what is below"
    assert found["dns-resolver"] == {"config": {"server": [], "search": []}}
    assert completed(state(), state()) == state()
    assert completed(said, state()) == said
    down = {"interfaces": [{"name": "eth0", "type": "ethernet", "state": "down"}]}
    assert completed(down, said)["interfaces"] == down["interfaces"]
    off = state()
    off["interfaces"][0]["ipv4"] = {"enabled": False}
    assert completed(off, said)["interfaces"][0]["ipv4"] == {"enabled": False}


def test_options_that_left_a_bond_are_taken_out_of_its_profile() -> None:
    def state(mode: str, **options: Any) -> dict[str, Any]:
        bond = {"mode": mode, "options": options, "port": ["eth0"]}
        return {"interfaces": [{"name": "bond0", "type": "bond", "state": "up", "link-aggregation": bond}]}

    said = state("active-backup", primary="eth0", arp_interval=500, arp_ip_target="10.1.1.1")
    new = state("active-backup", miimon=100)
    assert dropped_options(new, said) == {"bond0": ("arp_interval", "arp_ip_target", "primary")}
    assert completed(new, said)["interfaces"][0]["link-aggregation"]["options"] == {"miimon": 100, "arp_interval": 0}
    assert dropped_options(state("802.3ad", miimon=100), said) == {}
    assert dropped_options(said, said) == {}


def test_an_mtu_that_left_is_in_the_plan_and_read_back(tmp_path: Path) -> None:
    small = PLAIN.replace("gateway: 10.1.1.1}", "gateway: 10.1.1.1, mtu: 1400}").replace(
        "vlan: 5}", "vlan: 5, mtu: 1400}"
    )
    live = applied(bundle_of(tmp_path, small), bare())
    assert live.state["interfaces"][0]["mtu"] == 1400
    plan = make_plan(bundle_of(tmp_path, PLAIN), live)
    told = {c.name: c.details for c in plan.changes}
    assert told == {"eth0": ("mtu: 1400 -> 1500",), "eth0.5": ("mtu: 1400 -> 1500",)}
    assert {e["name"]: e["mtu"] for e in expectations(plan.desired)} == {"eth0": 1500, "eth0.5": 1500}
    assert make_plan(bundle_of(tmp_path, PLAIN), replace(live, applied_state={})).touches is False


def test_a_new_profiles_uuid_is_not_that_of_what_goes() -> None:
    live = replace(bare(), owned={"eth0.5": Owned("linux-bridge", True, profile_uuid("host", "eth0.5"))})
    assert new_uuid("host", "eth0.5", "vlan", live) != profile_uuid("host", "eth0.5")
    assert new_uuid("host", "eth0.5", "linux-bridge", live) == profile_uuid("host", "eth0.5")
    assert new_uuid("other", "eth0.5", "vlan", live) == profile_uuid("other", "eth0.5")


@pytest.mark.parametrize("text", [ROCKS, PLAIN])
def test_what_is_applied_needs_nothing(tmp_path: Path, text: str) -> None:
    bundle = bundle_of(tmp_path, text)
    assert make_plan(bundle, applied(bundle, bare())).empty


# ---- what stands on a NIC that is renamed


def test_a_vlan_of_others_on_a_nic_that_is_renamed_is_refused(tmp_path: Path) -> None:
    live = bare()
    vlan = Link("eth0.7", None, "vlan", (), None, "eth0")
    live = replace(live, links={**live.links, "eth0.7": vlan})
    found = find(make_plan(bundle_of(tmp_path, ROCKS), live), live)
    assert [r.code for r in found] == ["KVN528"]
    assert "vlan eth0.7 is on eth0, which would be renamed to peth0" in found[0].message
    tap = replace(live, links={**bare().links, "macvtap0": replace(vlan, name="macvtap0", kind="macvtap")})
    assert "KVN528" not in {r.code for r in find(make_plan(bundle_of(tmp_path, ROCKS), tap), tap)}
    assert find(make_plan(bundle_of(tmp_path, PLAIN), live), live) == [], "nothing is renamed"


def test_a_vlan_of_others_with_the_definitions_tag_is_refused(tmp_path: Path) -> None:
    live = bare()
    vlan = {"name": "old5", "type": "vlan", "state": "up", "vlan": {"base-iface": "eth0", "id": 5}}
    live = replace(
        live,
        state={"interfaces": [*live.state["interfaces"], vlan]},
        links={**live.links, "old5": Link("old5", None, "vlan", (), None, "eth0")},
    )
    found = find(make_plan(bundle_of(tmp_path, ROCKS), live), live)
    assert [r.code for r in found] == ["KVN528", "KVN529"]
    assert "old5 already has VLAN ID 5 on eth0, so peth0.5 cannot be created" in found[1].message
    assert [r.code for r in find(make_plan(bundle_of(tmp_path, PLAIN), live), live)] == ["KVN529"]
    ours = applied(bundle_of(tmp_path, PLAIN), bare())
    assert find(make_plan(bundle_of(tmp_path, ROCKS), ours), ours) == []


def test_a_port_that_comes_to_a_bond_is_sent_and_saved_though_nothing_else_of_it_differs(tmp_path: Path) -> None:
    text = (
        HEAD.format(profile="plain")
        + "      eth0: {}\n      eth1: {}\n      bond0: {ports: [eth0, eth1], bridge: false}\n"
    )
    bundle = bundle_of(tmp_path, text)
    nics = [i for i in bundle.state["interfaces"] if i["type"] == "ethernet"]
    live = replace(bare(), state={"interfaces": copy.deepcopy(nics)})
    plan = make_plan(bundle, live)
    assert {c.name: c.details[0] for c in plan.changes if c.name.startswith("eth")} == {
        "eth0": "becomes a port of bond0",
        "eth1": "becomes a port of bond0",
    }
    saved = next(s for s in steps_of(plan, live) if s["op"] == "save")["interfaces"]
    assert ["eth0", "eth1"] in saved
    assert make_plan(bundle, applied(bundle, live)).empty


def test_names_that_the_kernel_gives_others_at_boot_are_refused(tmp_path: Path) -> None:
    """udev cannot rename a NIC to a name that another one still has (seen in the lab: File exists, NIC ignored)."""
    text = HEAD.format(profile="rocks") + (
        f"      eth0: {{network: private, bridge: false, mac: {MACS[1]}, addresses: [10.1.255.254]}}\n"
        f"      eth1: {{network: servers, mac: {MACS[0]}, addresses: [10.6.0.7]}}\n"
    )
    live = bare()
    found = find(make_plan(bundle_of(tmp_path, text), live), live)
    assert [r.code for r in found] == ["KVN544"]
    assert (
        f"NIC {MACS[1]} would be named eth0, but at boot the kernel gives this name to NIC {MACS[0]}"
        in found[0].message
    )
    lan = text.replace("eth0:", "lan0:")
    assert find(make_plan(bundle_of(tmp_path, lan), live), live) == []
    right = text.replace(MACS[0], "x").replace(MACS[1], MACS[0]).replace("x", MACS[1])
    assert find(make_plan(bundle_of(tmp_path, right), live), live) == []
    later = applied(bundle_of(tmp_path, right), live)
    assert [r.code for r in find(make_plan(bundle_of(tmp_path, text), later), later)] == ["KVN544"]
