"""Refusals over recorded readings: each is told where it applies, with its code and cure, and nowhere else."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core import catalogue, refusals
from kvmnet.core.base.errors import Refused, Usage
from kvmnet.core.live.live_host import Link, Live, Owned, Profile
from kvmnet.core.live.surroundings import LinkFile, NamingRule, NetworkDisk, Room, Surroundings
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from tests.unit.core.samples import KEYFILES, MAC, after, before, judge, refusals_of

ROCKS = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
RECORDED = Live.from_json(json.loads((Path(__file__).parents[1] / "recorded/seed-trixie.json").read_text()))


def found(live: Live, bundle: Bundle = ROCKS) -> list[tuple[str, str]]:
    return [(r.code, r.message) for r in refusals_of(make_plan(bundle, live), live)]


def around(**facts: Any) -> Live:
    return replace(before(), surroundings=Surroundings(**facts))


ETH0 = before().links["eth0"]


def links(*more: Link, nic: Link = ETH0) -> dict[str, Link]:
    return {link.name: link for link in (Link("lo", None, None), nic, *more)}


def test_an_ordinary_host_is_not_refused() -> None:
    assert found(before()) == []
    assert found(RECORDED) == []
    assert found(after(ROCKS)) == []


def rival(**facts: Any) -> Profile:
    """A second profile, which fits every NIC and comes first; with `facts` another one."""
    first = Profile("u-9", "office", "802-3-ethernet", "", f"{KEYFILES}/office.nmconnection", priority=10)
    return replace(first, **facts)


def beside(*idle: Profile) -> Live:
    return replace(before(), idle=idle)


OTHER_NIC = Link("eth1", "00:00:00:00:00:09", None)
RIVAL = "the connection profile office (u-9) also matches eth0 and would be activated at the next boot"
CASES: list[tuple[str, Live, str]] = [
    (
        "KVN506",
        replace(before(), nmstate="2.2.8"),
        "nmstate 2.2.8 is too old for connection profiles that are bound to a MAC",
    ),
    ("KVN506", replace(before(), networkmanager="1.38.0"), "NetworkManager 1.38.0 is too old for nmstate 2.2.62"),
    ("KVN507", replace(before(), checkpoints=("/x/Checkpoint/1",)), "open checkpoint of another tool: /x/Checkpoint/1"),
    ("KVN510", around(room=(Room("/var/lib/kvmnet", 100 << 10),)), "/var/lib/kvmnet has 0.1 MiB of free space"),
    ("KVN510", around(room=(Room("/etc/NetworkManager", 1 << 30, 3),)), "has 3 free inodes"),
    ("KVN511", around(cluster=("corosync", "pacemaker")), "may fence this host: corosync, pacemaker"),
    ("KVN522", replace(before(), links=links(Link("peth0", None, "dummy"))), "peth0 is already used by a dummy"),
    ("KVN522", replace(before(), links=links(Link("v", None, "veth", ("peth0",)))), "alternative name of v"),
    (
        "KVN522",
        replace(before(), links=links(replace(OTHER_NIC, name="eth0"), nic=Link("ens1", MAC, None))),
        "the name eth0 is already used by a NIC",
    ),
    (
        "KVN523",
        replace(
            before(),
            profiles={**before().profiles, "eth1": Profile("u", "peth0", "802-3-ethernet", "eth1", f"{KEYFILES}/x")},
        ),
        "profile of eth1 has the ID peth0",
    ),
    (
        "KVN530",
        replace(before(), links=links(Link("br0", None, "bridge"), nic=Link("eth0", MAC, None, (), "br0"))),
        "eth0 is a port of br0",
    ),
    ("KVN531", around(unmanaged=("eth0",)), "NetworkManager does not manage NIC eth0"),
    ("KVN531", replace(before(), profiles={}), "addresses that NetworkManager did not set"),
    (
        "KVN532",
        replace(before(), profiles={"eth0": replace(before().profiles["eth0"], file="/etc/sysconfig/x/ifcfg-eth0")}),
        "is in /etc/sysconfig/x/ifcfg-eth0, which kvmnet could not restore",
    ),
    (
        "KVN532",
        replace(before(), idle=(Profile("u-7", "mine", "bridge", "", "/etc/sysconfig/x/ifcfg-eth0", "eth0"),)),
        "is in /etc/sysconfig/x/ifcfg-eth0, which kvmnet could not restore",
    ),
    (
        "KVN534",
        replace(before(), links=links(Link("macvtap0", None, "macvtap", base="eth0"))),
        "eth0 would become a port of eth0, but is the base interface of macvtap macvtap0",
    ),
    ("KVN535", beside(rival()), f"{RIVAL}: it has the higher autoconnect-priority (10)"),
    ("KVN535", beside(rival(mac=MAC)), RIVAL),
    ("KVN535", beside(rival(interface_name="peth0")), RIVAL),
    ("KVN535", beside(rival(match="peth*")), RIVAL),
    ("KVN535", beside(rival(match="!peth0")), RIVAL),
    (
        "KVN535",
        beside(rival(controller="u-8"), rival(uuid="u-8", type="bridge", interface_name="br8", autoconnect=False)),
        RIVAL,
    ),
    ("KVN535", replace(before(), profiles={**before().profiles, "eth9": rival(device="eth9")}), RIVAL),
    (
        "KVN540",
        around(link_files=(LinkFile("/etc/systemd/network/00-a.link", {"OriginalName": "*"}),)),
        "/etc/systemd/network/00-a.link would take precedence over 00-kvmnet-peth0.link",
    ),
    (
        "KVN540",
        around(link_files=(LinkFile("/etc/systemd/network/00-a.link", {"MACAddress": MAC, "Driver": "e1000"}),)),
        "would take precedence",
    ),
    (
        "KVN540",
        around(link_files=(LinkFile("/etc/systemd/network/00-kvmnet-peth0.link", {"MACAddress": "x"}),)),
        "has the name of kvmnet's file for NIC eth0, but kvmnet did not write it",
    ),
    (
        "KVN541",
        around(link_files=(LinkFile("/etc/systemd/network/10-x.link", {"Type": "ether"}, ("WakeOnLan", "MTUBytes")),)),
        "10-x.link sets WakeOnLan, MTUBytes for NIC eth0",
    ),
    (
        "KVN542",
        around(naming_rules=(NamingRule("/etc/udev/rules.d/70.rules", f'ATTR{{address}}=="{MAC}", NAME="eth0"'),)),
        "would name NIC eth0",
    ),
    (
        "KVN542",
        around(naming_rules=(NamingRule("/r", 'SUBSYSTEM=="net", ATTR{address}=="00:00:00:00:00:09", NAME="eth0"'),)),
        "would give another NIC the name eth0",
    ),
    ("KVN542", around(naming_rules=(NamingRule("/r", 'SUBSYSTEM=="net", KERNEL=="eth*", NAME="lan%n"'),)), "/r would"),
    ("KVN543", around(cloud_init="/run/cloud-init/enabled"), "cloud-init configures"),
    ("KVN545", around(initramfs=("/boot/initrd.img-6.1.0",)), "/boot/initrd.img-6.1.0 contains kvmnet's .link files"),
    ("KVN550", around(boot_network=("ip=dhcp in /proc/cmdline",)), "ip=dhcp in /proc/cmdline"),
    ("KVN550", around(boot_network=("ip=eth0:dhcp in /proc/cmdline",)), "ip=eth0:dhcp"),
    (
        "KVN550",
        replace(
            before(),
            links=links(OTHER_NIC),
            surroundings=Surroundings(
                boot_network=("ip=10.0.0.9::10.0.0.1:255.0.0.0:eth1:eth0:none in /proc/cmdline",)
            ),
        ),
        "eth1:eth0:none",
    ),
    ("KVN550", around(boot_network=("rd.neednet=1 in /etc/dracut.conf.d/nbde.conf",)), "nbde.conf"),
    ("KVN551", around(network_disks=(NetworkDisk("/", "nfs4", "10.1.1.1", "eth0"),)), "/ is on the network (nfs4"),
    ("KVN551", around(network_disks=(NetworkDisk("swap on /dev/nbd0", "nbd"),)), "swap on /dev/nbd0 is on the network"),
    ("KVN551", around(network_disks=(NetworkDisk("/var", "nfs4", "10.9.1.1", "eth1"),)), "is mounted too late at boot"),
]


@pytest.mark.guarantee("G61")
@pytest.mark.parametrize(("code", "live", "words"), CASES, ids=[f"{c[0]} {c[2][:30]}" for c in CASES])
def test_refused(code: str, live: Live, words: str) -> None:
    assert Live.from_json(json.loads(json.dumps(live.to_json()))) == live, "a recording keeps what is judged"
    told = found(live)
    assert [c for c, _ in told] == [code], told
    assert words in told[0][1]
    with pytest.raises(Refused) as refused:
        judge(make_plan(ROCKS, live), live)
    assert refused.value.exit_code == 5
    lines = refused.value.lines()
    assert lines[0].startswith(f"{code}: ") and lines[1].startswith("  hint: ")
    assert f"kvmnet explain {code}" in lines[2]


HARMLESS: dict[str, Live] = {
    "its own altname": replace(before(), links=links(nic=Link("eth0", MAC, None, ("peth0",)))),
    "a macvtap on another NIC": replace(before(), links=links(OTHER_NIC, Link("m", None, "macvtap", base="eth1"))),
    "a VLAN on another NIC": replace(before(), links=links(OTHER_NIC, Link("eth1.9", None, "vlan", base="eth1"))),
    "a later .link file": around(link_files=(LinkFile("/etc/systemd/network/10-x.link", {"OriginalName": "*"}),)),
    "another NIC's .link file": around(link_files=(LinkFile("/e/00-a.link", {"MACAddress": "00:00:00:00:00:09"}),)),
    "a .link file of bonds": around(link_files=(LinkFile("/e/00-a.link", {"Type": "bond"}),)),
    "a .link file of all but NICs": around(link_files=(LinkFile("/e/00-a.link", {"Type": "!ether"}),)),
    "a .link file of a kind of virtual links": around(link_files=(LinkFile("/e/00-a.link", {"Kind": "veth"}),)),
    "a .link file by another name": around(link_files=(LinkFile("/e/00-a.link", {"OriginalName": "wl*"}),)),
    "a rule that says the same": around(naming_rules=(NamingRule("/r", f'ATTR{{address}}=="{MAC}", NAME="peth0"'),)),
    "another NIC's rule": around(naming_rules=(NamingRule("/r", 'ATTR{address}=="00:00:00:00:00:09", NAME="lan"'),)),
    "a rule of disks": around(naming_rules=(NamingRule("/r", 'SUBSYSTEM=="block", NAME="x"'),)),
    "ip= of another NIC": replace(
        before(),
        links=links(OTHER_NIC),
        surroundings=Surroundings(boot_network=("ip=10.0.0.9::10.0.0.1:255.0.0.0:h:eth1:none in /proc/cmdline",)),
    ),
    "a root over another NIC": around(network_disks=(NetworkDisk("/", "nfs4", "10.9.1.1", "eth1"),)),
    "room enough": around(room=(Room("/var/lib/kvmnet", 1 << 30, None),)),
    "unmanaged, and not in the definition": around(unmanaged=("eth1",)),
    "a profile of the same priority": beside(rival(priority=0)),
    "a profile that does not autoconnect": beside(rival(autoconnect=False)),
    "a profile that is only in memory": beside(rival(file="/run/NetworkManager/system-connections/a.nmconnection")),
    "another NIC's profile by its MAC": beside(rival(mac=OTHER_NIC.mac)),
    "another NIC's profile by its name": beside(rival(interface_name="eth1")),
    "a profile bound to the name that the NIC loses": beside(rival(interface_name="eth0")),
    "a profile of other names": beside(rival(match="wl*,ens1")),
    "a profile of a wireless card": beside(rival(type="802-11-wireless")),
    "a bond's profile of another name": beside(rival(type="bridge", interface_name="br9")),
    "a profile that makes the NIC a port of the same bridge": beside(rival(controller="eth0")),
    "a port of a bridge that is not there": beside(rival(controller="br9")),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_not_refused(name: str) -> None:
    assert found(HARMLESS[name]) == []


def test_where_nothing_is_to_be_done_only_what_makes_a_plan_impossible_counts() -> None:
    facts = Surroundings(cluster=("corosync",), cloud_init="x", boot_network=("ip=dhcp",), room=(Room("/var", 0),))
    live = replace(after(ROCKS), surroundings=facts, checkpoints=("/x",))
    assert found(live) == []
    noted = replace(live, applied=None)
    assert [c for c, _ in found(noted)] == ["KVN507", "KVN510"], "a note is written, the network is not touched"


def test_a_nic_that_is_not_here() -> None:
    live = replace(before(), links={"eth0": Link("eth0", "00:00:00:00:00:01", None)})
    told = refusals_of(make_plan(ROCKS, live), live)
    assert ("KVN520", "NIC eth0 is missing: no NIC has the permanent MAC 00:14:4f:80:de:00") in found(live)
    assert "eth0 00:00:00:00:00:01" in told[0].hint
    by_name = replace(ROCKS, nics=tuple(replace(nic, mac=None, name="ens9", link_file=None) for nic in ROCKS.nics))
    assert ("KVN520", "NIC eth0 is missing: no interface is named ens9") in found(before(), by_name)


def test_a_profile_that_has_no_rival_any_more_when_it_comes_first_itself() -> None:
    first = replace(before().profiles["eth0"], priority=10)
    assert found(replace(beside(rival()), profiles={"eth0": first})) == []
    last = replace(first, priority=-999)
    assert [c for c, _ in found(replace(beside(rival(priority=0)), profiles={"eth0": last}))] == ["KVN535"]


def test_a_bridges_profile_that_is_not_active_is_the_one_that_nmstate_takes_and_no_rival() -> None:
    """Of several it takes any: the one that comes first at boot must be it."""
    own = rival(type="bridge", interface_name="eth0")
    assert found(beside(own)) == []
    other = replace(own, uuid="u-8", id="lab", priority=0)
    assert [(c, m.partition(" also matches ")[0]) for c, m in found(beside(own, other))] == [
        ("KVN535", "the connection profile office (u-9)")
    ]
    held = {"eth0": replace(own, uuid="u-7", device="eth0", priority=0)}
    live = replace(after(ROCKS), settings={}, profiles=held, idle=(own,))
    assert [c for c, _ in found(live)] == ["KVN535"]


def test_the_cure_of_a_rival_is_told_and_it_may_be_allowed() -> None:
    live = beside(rival(), rival(uuid="u-8", id="lab", mac=MAC))
    plan = make_plan(ROCKS, live)
    told = refusals_of(plan, live)
    cures = [f"connection modify {u} connection.autoconnect no, or nmcli connection delete {u}" for u in ("u-9", "u-8")]
    assert [r.hint for r in told] == [f"prevent this: nmcli {cure}" for cure in cures]
    assert judge(plan, live, {"KVN535"}) == told


def test_a_nic_of_another_name_where_the_profile_does_not_rename() -> None:
    nics = tuple(replace(nic, link_file=None) for nic in ROCKS.nics)
    told = dict(found(before(), replace(ROCKS, nics=nics, links={})))
    assert told["KVN521"] == f"NIC eth0 ({MAC}) is named eth0, and the naming policy does not rename NICs"


def test_two_nics_with_one_profile() -> None:
    second = replace(ROCKS.nics[0], interface="eth1", name="peth1", mac=OTHER_NIC.mac, link_file=None, bridge=None)
    live = replace(
        before(),
        links=links(replace(OTHER_NIC, name="peth1")),
        profiles={d: replace(before().profiles["eth0"], device=d) for d in ("eth0", "peth1")},
    )
    told = found(live, replace(ROCKS, nics=(*ROCKS.nics, second)))
    assert told == [("KVN533", "peth1 and eth0 share the connection profile eth0")]


@pytest.mark.parametrize(
    ("option", "nmstate", "manager", "words"),
    [
        ("arp_missed_max", "2.2.12", "1.52.1", "nmstate 2.2.12 is too old for the bond option arp_missed_max"),
        ("arp_missed_max", "2.2.33", "1.42.4", "NetworkManager 1.42.4 is too old for the bond option arp_missed_max"),
        ("balance_slb", "2.2.33", "1.40.0", "NetworkManager 1.40.0 is too old for the bond option balance_slb"),
        ("arp_missed_max", "2.2.33", "1.44.0-3.el9", None),
        ("miimon", "2.2.9", "1.36", None),
    ],
)
def test_a_feature_that_the_host_does_not_know(option: str, nmstate: str, manager: str, words: str | None) -> None:
    bond = {"name": "bond0", "type": "bond", "state": "up", "link-aggregation": {"options": {option: 1}}}
    bundle = replace(ROCKS, state={"interfaces": [*ROCKS.state["interfaces"], bond]})
    told = found(replace(before(), nmstate=nmstate, networkmanager=manager), bundle)
    assert told == ([("KVN506", words)] if words else [])


# ---- a bridge that a person made


def plain() -> Bundle:
    return load("tests/golden/good/a-site-extends-a-profile/cluster.yaml").bundle("a")


def by_hand(bundle: Bundle, *, other: bool = False) -> Live:
    """The host as the bundle has it, made by a person with profiles of his own."""
    live = after(bundle)
    state = copy.deepcopy(bundle.state)
    for interface in state["interfaces"]:
        if interface["type"] == "linux-bridge":
            stp = interface["bridge"]["options"]["stp"]
            stp["enabled"] = stp["enabled"] ^ other
    kinds = {"linux-bridge": "bridge", "vlan": "vlan", "ethernet": None}
    made = {i["name"]: Link(i["name"], None, kinds[i["type"]]) for i in state["interfaces"]}
    for nic in bundle.nics:
        made[nic.name] = Link(nic.name, nic.mac, None)
    profiles = {name: Profile(f"u-{name}", name, "x", name, f"{KEYFILES}/{name}.nmconnection") for name in made}
    return replace(live, state=state, links=made, profiles=profiles, applied=None)


def test_a_bridge_that_says_the_same_is_adopted() -> None:
    bundle = plain()
    live = by_hand(bundle)
    assert [c.kind for c in make_plan(bundle, live).changes] == ["record"]
    assert found(live, bundle) == []


def test_a_bridge_that_says_something_else_is_refused_until_it_is_kvmnets() -> None:
    bundle = plain()
    name = next(i["name"] for i in bundle.state["interfaces"] if i["type"] == "linux-bridge")
    live = by_hand(bundle, other=True)
    told = found(live, bundle)
    assert [c for c, _ in told] == ["KVN524"]
    assert f"the bridge {name} was not created by kvmnet and differs from the definition" in told[0][1]
    assert "bridge.options.stp.enabled: false -> true" in told[0][1]
    adopted = replace(live, owned={name: Owned("linux-bridge", False, "u")})
    assert found(adopted, bundle) == [], "once adopted the definition changes it"
    ours = replace(live.profiles[name], uuid=profile_uuid(bundle.host, name))
    assert found(replace(live, profiles={**live.profiles, name: ours}), bundle) == [], "its profile is ours"
    plan = make_plan(bundle, live)
    assert [r.code for r in judge(plan, live, {"KVN524"})] == ["KVN524"]


def test_what_stands_on_what_would_go_is_named() -> None:
    """A guest's tap as a guest's (test_impact.py has more of them), what else is there as somebody's."""
    live = replace(
        after(ROCKS),
        links={
            **after(ROCKS).links,
            "old": Link("old", None, "bridge"),
            "vnet0": Link("vnet0", None, "tun", (), "old"),
            "veth0": Link("veth0", None, "veth", (), "old"),
        },
        owned={"old": Owned("linux-bridge", True, "u-old")},
        profiles={**after(ROCKS).profiles, "old": Profile("u-old", "old", "bridge", "old", f"{KEYFILES}/old")},
    )
    lost = "vnet0 (not a device of a libvirt domain) would be disconnected permanently (vnet0 on old: old is removed)"
    assert found(live) == [
        ("KVN525", "old would be removed but is in use by veth0"),
        ("KVN527", lost),
    ]
    plan = make_plan(ROCKS, live)
    assert [r.code for r in judge(plan, live, {"KVN525"}, lose={"vnet0"})] == ["KVN525", "KVN527"]
    with pytest.raises(Refused, match=r"vnet0 \(not a device"):
        judge(plan, live, {"KVN525"}, lose={"vnet1"})


def test_a_port_that_somebody_gave_a_bridge_which_changes_is_named() -> None:
    live = after(ROCKS)
    off = {"ipv4": {"enabled": False}}
    live.state["interfaces"] = [{**i, **off} if i["name"] == "eth0" else i for i in live.state["interfaces"]]
    others = {
        n: Link(n, None, kind, (), "eth0") for n, kind in (("vxlan0", "vxlan"), ("veth0", "veth"), ("vnet0", "tun"))
    }
    profile = Profile("u-x", "vxlan0", "vxlan", "vxlan0", f"{KEYFILES}/x", controller="eth0")
    tap = Profile("u-t", "vnet0", "tun", "vnet0", "/run/NetworkManager/system-connections/vnet0", controller="eth0")
    live = replace(live, links={**live.links, **others}, profiles={**live.profiles, "vxlan0": profile, "vnet0": tap})
    assert ("KVN525", "eth0 would be changed, but its port vxlan0 is not in the definition") in found(live)
    alone = replace(live, profiles={n: p for n, p in live.profiles.items() if n != "vxlan0"})
    assert "KVN525" not in [code for code, _ in found(alone)], "what NetworkManager does not know it leaves there"


# ---- telling them, allowing them


def test_all_reasons_are_told_at_once_and_each_can_be_allowed_or_not() -> None:
    live = around(cluster=("corosync",), cloud_init="/run/cloud-init/enabled", unmanaged=("eth0",))
    plan = make_plan(ROCKS, live)
    with pytest.raises(Refused) as refused:
        judge(plan, live)
    lines = refused.value.lines()
    assert [line[:6] for line in lines if line.startswith("KVN")] == ["KVN511", "KVN531", "KVN543"]
    assert "  more: kvmnet explain KVN511; to override: --allow KVN511" in lines
    assert "  more: kvmnet explain KVN531" in lines
    with pytest.raises(Refused) as refused:
        judge(plan, live, refusals.allowed(["kvn511", "KVN543"]))
    assert (refused.value.code, refused.value.more) == ("KVN531", ())


@pytest.mark.parametrize("code", ["KVN500", "KVN501", "KVN502", "KVN503", "KVN531", "KVN101", "KVN999", "x"])
def test_what_nothing_overrides_cannot_be_allowed(code: str) -> None:
    with pytest.raises(Usage, match=f"{code} cannot be overridden"):
        refusals.allowed([code])


def test_guests_on_a_vlan_device_that_is_to_be_there_from_boot() -> None:
    bundle = load("tests/golden/good/attach/cluster.yaml").bundle("a")
    live = after(ROCKS)
    device = {"name": "peth0.3", "type": "vlan", "state": "ignore"}
    alone = replace(
        live,
        state={**live.state, "interfaces": [*live.state["interfaces"], device]},
        links={**live.links, "peth0.3": Link("peth0.3", None, "vlan", base="peth0")},
    )
    assert "KVN526" not in [code for code, _ in found(alone, bundle)]
    guest = Link("macvtap0", None, "macvtap", base="peth0.3")
    held = replace(alone, links={**alone.links, "macvtap0": guest})
    words = "peth0.3 would become a permanent VLAN, but running guests use it: macvtap0"
    told = found(held, bundle)
    assert ("KVN526", words) in told and "KVN524" not in [code for code, _ in told]
    ours = replace(alone, links={**alone.links, "mvt-c00002": replace(guest, name="mvt-c00002")})
    assert "KVN526" not in [code for code, _ in found(ours, bundle)]


def test_every_page_says_whether_it_can_be_overridden() -> None:
    pages = {entry.code: entry.page for entry in catalogue.all_codes() if entry.code.startswith("KVN5")}
    assert len(pages) >= 25
    for code, page in pages.items():
        try:
            refusals.allowed([code])
        except Usage:
            option = "use `--allow-guest-loss GUEST` with plan, apply, rollback and remove."
            assert page.endswith(option if code == "KVN527" else "This refusal cannot be overridden."), code
        else:
            verbs = "plan, apply, rollback and remove" if code in refusals.GIVING_BACK else "plan, apply and rollback"
            assert page.endswith(f"To override this refusal, use `--allow {code}` with {verbs}."), code
    tested = {case[0] for case in CASES} | {
        "KVN520",
        "KVN521",
        "KVN524",
        "KVN525",
        "KVN526",
        "KVN527",
        "KVN528",
        "KVN529",
        "KVN533",
        "KVN544",
    }
    assert set(refusals._REFUSALS) == tested, "a refusal without a test here"
