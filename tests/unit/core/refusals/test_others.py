"""Refusals about what belongs to other tools: bridges and bonds that would lose a port, and addresses."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.refusals import Refusal
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.refusals.samples import BUNDLE, ETH0, OTHER_NIC, assert_refused, find_codes, links_with
from tests.unit.core.samples import KEYFILES, MAC, MACS, before, bundle_of, bundle_with, refusals_of


def addressed(live: Live, interfaces: dict[str, str], **links: str) -> Live:
    """Return a host whose interfaces have these addresses; `links` are nmstate's types of those that are new."""
    state = copy.deepcopy(live.state)
    rows = {i["name"]: i for i in state["interfaces"]}
    for name, address in interfaces.items():
        row = rows.setdefault(name, {"name": name, "type": links.get(name, "linux-bridge"), "state": "up"})
        ip, _, length = address.partition("/")
        row["ipv4"] = {"enabled": bool(ip), "address": [{"ip": ip, "prefix-length": int(length)}] if ip else []}
    state["interfaces"] = list(rows.values())
    return replace(live, state=state)


#: A bridge br0 over eth0 that has the host's address, as `nmcli` makes it.
BRIDGED = addressed(
    replace(before(), links=links_with(Link("br0", None, "bridge"), nic=Link("eth0", MAC, None, (), "br0"))),
    {"eth0": "", "br0": "10.1.255.254/16"},
)


def codes_of(refusals: list[Refusal]) -> list[str]:
    return [refusal.code for refusal in refusals]


@pytest.mark.guarantee("G61", "G64")
def test_a_nic_that_is_a_port_of_a_foreign_bridge_is_refused_with_what_the_bridge_carries(tmp_path: Path) -> None:
    guests = Running(
        guests=(RunningGuest("web1", (GuestNic("bridge", "vnet0", "br0"),)),),
        stopped=(
            RunningGuest("db1", (GuestNic("network", network="lan"),)),
            RunningGuest("mail", (GuestNic("bridge", source="virbr0"),)),
        ),
        bridges={"lan": "br0"},
    )
    links = {**BRIDGED.links, "vnet0": Link("vnet0", None, "tun", (), "br0")}
    live = replace(BRIDGED, links=links, surroundings=Surroundings(running=guests))
    bundle = bundle_with(
        tmp_path, "      eth0: {network: private, mac: 00:14:4f:80:de:00, addresses: [10.1.255.254]}\n"
    )
    refusals = {r.code: r for r in refusals_of(make_plan(bundle, live), live)}
    assert refusals["KVN530"].message == (
        "eth0 is a port of br0, which the definition does not contain: br0 would lose its last uplink, br0 carries "
        "this host's address 10.1.255.254, its guests: web1, its stopped guests: db1"
    )
    assert refusals["KVN530"].hint == (
        "to keep br0, add it to the definition as it is: `bridge: br0` for eth0; or remove br0 from this host first, "
        "at the console of the host"
    )
    assert "KVN537" not in refusals, "KVN530 names the address"


def test_a_foreign_bridge_is_refused_also_in_a_recording() -> None:
    assert_refused("KVN530", replace(BRIDGED, state=before().state), "eth0 is a port of br0")


@pytest.mark.parametrize(
    ("others", "hint"),
    [
        ((Link("eth1", OTHER_NIC.mac, None, (), "br0"),), "`br0: {type: bridge, ports: [eth0, eth1]}`"),
        ((Link("vnet1", None, "tun", (), "br0"),), "`bridge: br0` for eth0"),
        ((Link("veth1", None, "veth", (), "br0"),), "`bridge: br0` for eth0"),
    ],
)
def test_the_fix_names_all_ports_of_the_bridge(others: tuple[Link, ...], hint: str) -> None:
    live = replace(BRIDGED, links={**BRIDGED.links, **{link.name: link for link in others}})
    (refusal,) = [r for r in refusals_of_example(live) if r.code == "KVN530"]
    assert hint in refusal.hint
    assert ("last uplink" in refusal.message) == (others[0].kind in ("tun", "veth"))


def refusals_of_example(live: Live) -> list[Refusal]:
    return refusals_of(make_plan(BUNDLE, live), live)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("bond", "`x0: {ports: [eth0]}`"),
        ("team", "remove eth0 from x0 first, or from the definition"),
        ("openvswitch", "remove eth0 from x0 first, or from the definition"),
        ("vrf", "remove eth0 from x0 first, or from the definition"),
    ],
)
def test_controllers_of_every_kind_are_refused(kind: str, hint: str) -> None:
    live = replace(before(), links=links_with(Link("x0", None, kind), nic=Link("eth0", MAC, None, (), "x0")))
    refusal = next(r for r in refusals_of_example(live) if r.code == "KVN530")
    assert "eth0 is a port of x0" in refusal.message
    assert hint in refusal.hint


def test_a_bridge_of_networkd_is_refused_with_its_file() -> None:
    file = "/etc/systemd/network/20-br0.network"
    live = replace(BRIDGED, surroundings=Surroundings(networkd={"br0": file, "eth0": file}, unmanaged=("eth0",)))
    refusals = {r.code: r for r in refusals_of_example(live)}
    assert refusals["KVN530"].hint.startswith(f"systemd-networkd configures br0 ({file}): configure it with Network")
    assert "nmcli device set" not in refusals["KVN530"].hint + refusals["KVN531"].hint


BONDED = """kvmnet: 1
cluster: site
profile: plain
networks:
  mgmt: {subnets: [10.1.0.0/16], vlan: 100, gateway: 10.1.1.1, mtu: 1496}
  prod: {vlan: 200, mtu: 1496}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {mac: "00:14:4f:80:de:00"}
      eth1: {mac: "00:14:4f:80:de:01"}
      bond0: {ports: [eth0, eth1]}
      bond0.100: {network: mgmt, addresses: [10.1.255.254], bridge: true}
      bond0.200: {network: prod, bridge: true}
"""


def bonded(**running: Any) -> Live:
    """Return a host with bond0.100 in br0, which has the host's address, and bond0.200 in br200."""
    links = {
        "eth0": Link("eth0", MACS[0], None, (), "bond0"),
        "eth1": Link("eth1", MACS[1], None, (), "bond0"),
        "bond0": Link("bond0", None, "bond"),
        "bond0.100": Link("bond0.100", None, "vlan", (), "br0", "bond0"),
        "bond0.200": Link("bond0.200", None, "vlan", (), "br200", "bond0"),
        "br0": Link("br0", None, "bridge"),
        "br200": Link("br200", None, "bridge"),
    }
    types = {"bond0": "bond", "br0": "linux-bridge", "br200": "linux-bridge"}
    state: dict[str, Any] = {
        "interfaces": [
            *({"name": name, "type": types.get(name, "ethernet"), "state": "up"} for name in links if "." not in name),
            *(
                {
                    "name": f"bond0.{tag}",
                    "type": "vlan",
                    "state": "up",
                    "vlan": {"base-iface": "bond0", "id": tag},
                }
                for tag in (100, 200)
            ),
        ]
    }
    kinds = {"bond0": "bond", "br0": "bridge", "br200": "bridge", "eth0": "802-3-ethernet", "eth1": "802-3-ethernet"}
    profiles = {
        name: ConnectionProfile(f"u-{name}", name, kinds.get(name, "vlan"), name, f"{KEYFILES}/{name}", name)
        for name in links
    }
    live = Live("host", state, links, profiles, nmstate="2.2.62", surroundings=Surroundings(running=Running(**running)))
    return addressed(live, {"br0": "10.1.255.254/16"})


@pytest.mark.guarantee("G64")
def test_a_bridge_over_a_vlan_is_refused_too(tmp_path: Path) -> None:
    """The case of a host whose bridges are over VLANs of a bond; the definition gives the VLANs other bridges."""
    stopped = RunningGuest("db1", (GuestNic("bridge", source="br200"),))
    live = bonded(stopped=(stopped,))
    replacements = refusals_of(make_plan(bundle_of(tmp_path, BONDED), live), live)
    needed = [r.message for r in replacements if r.code == "KVN536"]
    assert len(needed) == 3, "the bond and the VLANs, and both bridges"
    assert "its stopped guests: db1" in needed[2]
    aware = {name: replace(live.links[name], options={"vlan_filtering": 1}) for name in ("br0", "br200")}
    live = replace(live, links={**live.links, **aware})
    refusals = refusals_of(make_plan(bundle_of(tmp_path, BONDED), live), live)
    assert [r.message for r in refusals if r.code == "KVN530"] == [
        (
            "bond0.100 is a port of br0, which the definition does not contain: br0 would lose its last uplink, br0 "
            "carries this host's address 10.1.255.254"
        ),
        (
            "bond0.200 is a port of br200, which the definition does not contain: br200 would lose its last uplink, "
            "its stopped guests: db1"
        ),
    ]
    assert [r.hint for r in refusals if r.code == "KVN530"] == [
        (
            "to keep br0, add it to the definition as it is: `bridge: br0` for bond0.100; or remove br0 from this host "
            "first, at the console of the host"
        ),
        (
            "to keep br200, add it to the definition as it is: `bridge: br200` for bond0.200; or remove br200 from "
            "this host first"
        ),
    ]


def test_a_vlan_that_stays_a_port_may_be_in_a_foreign_bridge(tmp_path: Path) -> None:
    """An administrator has made bridges over VLANs of the definition, of which one has no address there."""
    bundle = bundle_of(tmp_path, BONDED.replace(", bridge: true}\n", "}\n"))
    plan = make_plan(bundle, bonded())
    assert "bond0.200" in {i["name"] for i in plan.state["interfaces"]}
    messages = [r.message for r in refusals_of(plan, bonded()) if r.code == "KVN530"]
    assert [m.partition(",")[0] for m in messages] == ["bond0.100 is a port of br0"], "it would get an address"


def test_a_vlan_that_is_recreated_leaves_its_foreign_bridge(tmp_path: Path) -> None:
    live = bonded()
    vlan = next(i for i in live.state["interfaces"] if i["name"] == "bond0.200")
    vlan["vlan"]["id"] = 199
    refusals = refusals_of(make_plan(bundle_of(tmp_path, BONDED.replace(", bridge: true}\n", "}\n")), live), live)
    assert "bond0.200 is a port of br200" in " ".join(r.message for r in refusals if r.code == "KVN530")


def test_an_interface_in_a_vrf_may_have_addresses(tmp_path: Path) -> None:
    live = bonded()
    links = {**live.links, "br0": Link("br0", None, "vrf"), "br200": Link("br200", None, "vrf")}
    live = addressed(replace(live, links=links), {"br0": ""})
    plan = make_plan(bundle_of(tmp_path, BONDED.replace(", bridge: true}\n", "}\n")), live)
    assert [r.message for r in refusals_of(plan, live) if r.code == "KVN530"] == []
    plan = make_plan(bundle_of(tmp_path, BONDED), live)
    assert len([r for r in refusals_of(plan, live) if r.code == "KVN530"]) == 2, "they become ports of bridges"


VLAN = "      eth0.5: {network: storage, addresses: [10.5.0.7]}\n"
NIC = "      eth0: {network: private, mac: 00:14:4f:80:de:00, addresses: [10.1.255.254]}\n"


def with_vlan_on_bridge(address: str) -> Live:
    """Return a host with a VLAN of another tool over a bridge that is not in the definition."""
    other = [Link("br0", None, "bridge"), Link("br0.50", None, "vlan", base="br0"), OTHER_NIC]
    return addressed(replace(before(), links=links_with(*other)), {"br0.50": address}, **{"br0.50": "vlan"})


@pytest.mark.guarantee("G64")
def test_an_address_that_another_interface_keeps_is_refused(tmp_path: Path) -> None:
    bundle = bundle_with(tmp_path, NIC + VLAN)
    live = with_vlan_on_bridge("10.5.0.7/24")
    (refusal,) = refusals_of(make_plan(bundle, live), live)
    assert (refusal.code, refusal.message) == (
        "KVN537",
        "eth0.5 would get the address 10.5.0.7, but the address is on br0.50",
    )
    assert "remove 10.5.0.7 from br0.50 first" in refusal.hint
    live = with_vlan_on_bridge("10.5.0.8/24")
    assert refusals_of(make_plan(bundle, live), live) == []


def holding(*others: Link, nic: Link = ETH0) -> Live:
    """Return a host with these other interfaces, of which all but bridges and VRFs have the address 10.5.0.7."""
    live = replace(before(), links=links_with(*others, OTHER_NIC, nic=nic))
    holders = {link.name: "10.5.0.7/24" for link in others if link.kind not in ("bridge", "vrf")}
    return addressed(live, holders, **dict.fromkeys(holders, "vlan"))


@pytest.mark.parametrize("order", [1, -1])
def test_each_interface_that_keeps_the_address_is_reported(tmp_path: Path, order: int) -> None:
    """Of two VLANs, one has the name of the definition: the order in which they are read does not matter."""
    bundle = bundle_with(tmp_path, NIC + VLAN.replace("storage,", "storage, mtu: 1400,"))
    bridge = Link("br0", None, "bridge")
    own, other = Link("eth0.5", None, "vlan", base="eth0"), Link("br0.50", None, "vlan", base="br0")
    third = Link("br0.51", None, "vlan", base="br0")
    live = holding(bridge, *[own, other][::order])
    expected = "eth0.5 would get the address 10.5.0.7, but the address is on {}"
    messages = {r.code: r.message for r in refusals_of(make_plan(bundle, live), live)}
    assert messages["KVN537"] == expected.format("br0.50")
    live = holding(bridge, *[other, third][::order])
    messages_of_both = [r.message for r in refusals_of(make_plan(bundle, live), live) if r.code == "KVN537"]
    assert messages_of_both == [expected.format(link.name) for link in [other, third][::order]]
    live = holding(bridge, own)
    assert "KVN537" not in codes_of(refusals_of(make_plan(bundle, live), live)), "it has the address already"


def test_an_address_in_another_vrf_is_accepted(tmp_path: Path) -> None:
    bundle = bundle_with(tmp_path, NIC.replace("}", ", bridge: false}") + VLAN)
    red, blue = Link("red", None, "vrf"), Link("blue", None, "vrf")
    holder = Link("dummy0", None, "dummy", (), "red")
    own = Link("eth0.5", None, "vlan", (), "red", "eth0")
    for links, is_refused in (
        ((red, holder), False),
        ((red, replace(holder, master=None)), True),
        ((red, holder, own), True),
        ((red, blue, replace(holder, master="blue"), own), False),
        ((red, replace(holder, master=None), own), False),
    ):
        live = addressed(holding(*links), {"eth0.5": "10.5.0.8/24"} if own in links else {}, **{"eth0.5": "vlan"})
        codes = codes_of(refusals_of(make_plan(bundle, live), live))
        assert ("KVN537" in codes) is is_refused, (links, codes)


def test_an_address_of_a_controller_of_the_definition_is_not_left_to_kvn530(tmp_path: Path) -> None:
    """br-eth0 keeps its lease; KVN530 does not report it, although a port of it is read first."""
    text = (
        "      eth0: {network: private, mac: 00:14:4f:80:de:00, ipv4: dhcp, bridge: br0}\n"
        f"      eth1: {{network: private, mac: '{MACS[1]}', addresses: [10.1.255.254], bridge: false}}\n"
    )
    live = replace(BRIDGED, links={**BRIDGED.links, "eth1": Link("eth1", MACS[1], None)})
    live = addressed(live, {"eth1": ""}, eth1="ethernet")
    bridge = next(i for i in live.state["interfaces"] if i["name"] == "br0")
    bridge["ipv4"] = {**bridge["ipv4"], "dhcp": True}
    bridge["ipv4"]["address"][0]["valid-life-time"] = "3600sec"
    assert "KVN537" in codes_of(refusals_of(make_plan(bundle_with(tmp_path, text), live), live))


def test_an_address_may_move_within_the_definition(tmp_path: Path) -> None:
    """From the NIC to its bridge, and between interfaces that the change alters."""
    bundle = bundle_with(tmp_path, NIC)
    assert refusals_of(make_plan(bundle, before()), before()) == []
    swapped = (
        "      eth0: {network: private, mac: 00:14:4f:80:de:00, addresses: [10.1.0.2], bridge: false}\n"
        f"      eth1: {{network: private, mac: '{MACS[1]}', addresses: [10.1.255.254], bridge: false}}\n"
    )
    bundle = bundle_with(tmp_path, swapped)
    live = addressed(
        replace(before(), links=links_with(Link("eth1", MACS[1], None))), {"eth1": "10.1.0.2/16"}, eth1="ethernet"
    )
    assert "KVN537" not in codes_of(refusals_of(make_plan(bundle, live), live))


def test_a_dynamic_address_that_an_interface_of_the_definition_keeps_is_refused(tmp_path: Path) -> None:
    text = (
        "      eth0: {network: private, mac: 00:14:4f:80:de:00, ipv4: dhcp, bridge: false, mtu: 1400}\n"
        f"      eth1: {{network: private, mac: '{MACS[1]}', addresses: [10.1.255.254], bridge: false}}\n"
    )
    bundle: Bundle = bundle_with(tmp_path, text)
    live = replace(before(), links=links_with(Link("eth1", MACS[1], None)))
    live = addressed(live, {"eth1": ""}, eth1="ethernet")
    nic = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    nic["ipv4"] = {**nic["ipv4"], "dhcp": True}
    nic["ipv4"]["address"][0]["valid-life-time"] = "3600sec"
    assert "KVN537" in codes_of(refusals_of(make_plan(bundle, live), live))
    nic["ipv4"]["address"][0].pop("valid-life-time")  # a static one, which goes
    assert "KVN537" not in codes_of(refusals_of(make_plan(bundle, live), live))


def test_the_example_is_not_refused() -> None:
    assert find_codes(before()) == []
