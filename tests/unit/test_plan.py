"""Plans: only what differs, in words a person reads; hosts that cannot take it are refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmnet.core.live.live_host import Link, Live, Owned, Profile
from kvmnet.core.planning.difference import interface_differences, renamed, route_key
from kvmnet.core.planning.expected_readback import expectations
from kvmnet.core.planning.ownership import from_note, note_after, owned_after, profile_uuid, to_note
from kvmnet.core.planning.plan import link_files_go, make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.guest_settings import SETTINGS_FILE, guest_settings
from kvmnet.core.rendering.hook_record import hook_text
from kvmnet.core.reporting.report import plan_text
from kvmnet.pipeline import load

KEYFILES = "/etc/NetworkManager/system-connections"
MAC = "00:14:4f:80:de:00"


@pytest.fixture
def bundle() -> Bundle:
    return load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


def before() -> Live:
    """The seed's host before kvmnet, as `nmstatectl show` and the kernel tell it (keys that count)."""
    state = {
        "interfaces": [
            {"name": "lo", "type": "loopback", "state": "up"},
            {
                "name": "eth0",
                "type": "ethernet",
                "state": "up",
                "accept-all-mac-addresses": False,
                "ipv4": {
                    "enabled": True,
                    "dhcp": False,
                    "address": [{"ip": "10.1.255.254", "prefix-length": 16}],
                },
                "ipv6": {"enabled": False},
            },
        ],
        "routes": {
            "config": [
                {
                    "destination": "0.0.0.0/0",
                    "next-hop-address": "10.1.1.1",
                    "next-hop-interface": "eth0",
                    "metric": 100,
                    "table-id": 254,
                }
            ]
        },
    }
    return Live(
        hostname="vm-container-0-0.local",
        state=state,
        links={"lo": Link("lo", None, None), "eth0": Link("eth0", MAC, None, ("enp1s0",))},
        profiles={
            "eth0": Profile("u-1", "eth0", "802-3-ethernet", "eth0", f"{KEYFILES}/eth0.nmconnection", "eth0", "trusted")
        },
        nmstate="2.2.62",
    )


def after(bundle: Bundle) -> Live:
    """The same host when everything was applied and kept."""
    live = before()
    return Live(
        hostname=live.hostname,
        state={**copy.deepcopy(bundle.state)},
        links={"peth0": Link("peth0", MAC, None, (), "eth0"), "eth0": Link("eth0", None, "bridge")},
        profiles={
            name: Profile(f"u-{name}", name, "x", name, f"{KEYFILES}/{name}.nmconnection", name)
            for name in ("eth0", "peth0")
        },
        link_files=dict(bundle.links),
        applied=bundle.digest,
        nmstate="2.2.62",
        settings=guest_settings(bundle),
    )


def test_the_first_plan_of_the_seed(bundle: Bundle) -> None:
    plan = make_plan(bundle, before())
    assert [(r.mac, r.old, r.new, r.altnames) for r in plan.renames] == [(MAC, "eth0", "peth0", ("enp1s0",))]
    assert set(plan.link_files) == {"00-kvmnet-peth0.link"}
    assert [i["name"] for i in plan.state["interfaces"]] == ["peth0", "eth0"]
    assert [r["next-hop-interface"] for r in plan.state["routes"]["config"]] == ["eth0"]
    assert plan_text(plan) == (
        "vm-container-0-0: 6 changes to make\n"
        "  > rename eth0: to peth0, the NIC with MAC 00:14:4f:80:de:00\n"
        "  + file /etc/systemd/network/00-kvmnet-peth0.link: names the NIC at boot\n"
        "  ~ change peth0\n"
        "      accept-all-mac-addresses: false -> true\n"
        "      ipv4.enabled: true -> false\n"
        "  + add eth0: absent -> linux-bridge\n"
        "  + add route: 0.0.0.0/0 via 10.1.1.1 dev eth0 metric 100\n"
        "  + file /etc/NetworkManager/conf.d/90-kvmnet-guests.conf: NetworkManager leaves guests' devices alone\n"
    )


def test_nothing_to_do(bundle: Bundle) -> None:
    plan = make_plan(bundle, after(bundle))
    assert plan.empty
    assert plan.state == {}
    assert plan_text(plan) == "vm-container-0-0: nothing to do: the host matches the definition\n"


def test_ports_of_guests_and_link_local_addresses_are_nobodys_business(bundle: Bundle) -> None:
    live = after(bundle)
    bridge = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    bridge["bridge"]["port"].append({"name": "vnet0"})
    bridge["ipv6"]["address"] = [{"ip": "fe80::1", "prefix-length": 64}]
    assert make_plan(bundle, live).empty


def test_a_surplus_address_and_a_surplus_route_go(bundle: Bundle) -> None:
    live = after(bundle)
    bridge = next(i for i in live.state["interfaces"] if i["name"] == "eth0")
    bridge["ipv4"]["address"].append({"ip": "10.1.9.9", "prefix-length": 16})
    old = {"destination": "10.9.0.0/16", "next-hop-address": "10.1.1.2", "next-hop-interface": "eth0", "table-id": 254}
    live.state["routes"]["config"].append(old)
    plan = make_plan(bundle, live)
    assert [i["name"] for i in plan.state["interfaces"]] == ["eth0"]
    assert plan.state["routes"]["config"] == [{"state": "absent", **old}]
    assert "- remove route: 10.9.0.0/16 via 10.1.1.2 dev eth0" in plan_text(plan)


def test_a_route_of_another_interface_stays(bundle: Bundle) -> None:
    live = after(bundle)
    live.state["routes"]["config"].append({"destination": "10.9.0.0/16", "next-hop-interface": "tun0"})
    assert make_plan(bundle, live).empty


def test_what_is_only_in_memory_is_to_be_saved(bundle: Bundle) -> None:
    live = after(bundle)
    profile = Profile("u", "eth0", "bridge", "eth0", "/run/NetworkManager/system-connections/eth0.nmconnection")
    plan = make_plan(bundle, Live(**{**live.__dict__, "profiles": {**live.profiles, "eth0": profile}}))
    assert plan.unsaved == ("eth0",)
    assert not plan.empty


def test_a_missing_link_file_is_a_change(bundle: Bundle) -> None:
    plan = make_plan(bundle, Live(**{**after(bundle).__dict__, "link_files": {}}))
    assert [c.what for c in plan.changes] == ["file"]


def test_networkmanager_leaves_guests_devices_alone_on_hosts_that_may_have_some(bundle: Bundle) -> None:
    plan = make_plan(bundle, replace(after(bundle), settings={SETTINGS_FILE: "another version's"}))
    assert [(c.what, c.name) for c in plan.changes] == [("file", SETTINGS_FILE)]
    assert "interface-name:vnet*,interface-name:macvtap*\nmanaged=0\n" in str(plan.settings[SETTINGS_FILE])
    state = {"interfaces": [i for i in bundle.state["interfaces"] if i["type"] == "ethernet"]}
    without = replace(bundle, state=state, guests=None)
    assert guest_settings(without) == {}
    gone = make_plan(without, after(bundle))
    assert gone.settings == {SETTINGS_FILE: None}
    assert ("remove", SETTINGS_FILE) in [(c.what, c.name) for c in gone.changes]


def test_a_bundle_that_was_never_noted_is_noted(bundle: Bundle) -> None:
    plan = make_plan(bundle, Live(**{**after(bundle).__dict__, "applied": None}))
    assert [c.what for c in plan.changes] == ["record"]


@pytest.mark.parametrize("text", [None, "", '{"format": 1, "hos'])
def test_what_libvirts_hook_reads_is_written_anew_where_it_is_lost(bundle: Bundle, text: Optional[str]) -> None:
    whole = replace(after(bundle), hook=hook_text(bundle))
    assert make_plan(bundle, whole).empty
    plan = make_plan(bundle, replace(whole, hook=text))
    assert (plan.record, plan.touches, [c.what for c in plan.changes]) == (True, False, ["record"])


def test_a_reading_survives_its_recording(bundle: Bundle) -> None:
    live = before()
    assert Live.from_json(json.loads(json.dumps(live.to_json()))) == live


def test_renamed_follows_ports_bases_and_next_hops_but_not_namesakes() -> None:
    state = {
        "interfaces": [
            {"name": "eth0", "type": "ethernet"},
            {"name": "eth0", "type": "ovs-bridge"},
            {"name": "eth0.2", "type": "vlan", "vlan": {"base-iface": "eth0", "id": 2}},
            {"name": "br", "type": "linux-bridge", "bridge": {"port": [{"name": "eth0"}, {"name": "vnet0"}]}},
            {"name": "bond0", "type": "bond", "link-aggregation": {"port": ["eth0", "eth1"]}},
        ],
        "routes": {"config": [{"destination": "0.0.0.0/0", "next-hop-interface": "eth0"}]},
    }
    new = renamed(state, {"eth0": "peth0"})
    assert [i["name"] for i in new["interfaces"]] == ["peth0", "eth0", "eth0.2", "br", "bond0"]
    assert new["interfaces"][2]["vlan"]["base-iface"] == "peth0"
    assert new["interfaces"][3]["bridge"]["port"] == [{"name": "peth0"}, {"name": "vnet0"}]
    assert new["interfaces"][4]["link-aggregation"]["port"] == ["peth0", "eth1"]
    assert new["routes"]["config"][0]["next-hop-interface"] == "peth0"


def test_expectations_name_controllers_and_flags(bundle: Bundle) -> None:
    assert expectations(bundle.state) == [
        {
            "name": "peth0",
            "master": "eth0",
            "promiscuous": True,
            "addresses": [],
            "without": [4, 6],
            "routes": [],
        },
        {
            "name": "eth0",
            "kind": "bridge",
            "stp": 0,
            "address": MAC,
            "addresses": ["10.1.255.254/16"],
            "without": [6],
            "routes": [{"to": "0.0.0.0/0", "via": "10.1.1.1"}],
        },
    ]


def test_equal_routes_have_equal_keys() -> None:
    one = {"destination": "2001:DB8::/64", "next-hop-address": "FE80:0::1", "next-hop-interface": "a", "table-id": 0}
    two = {"destination": "2001:db8:0::/64", "next-hop-address": "fe80::1", "next-hop-interface": "a"}
    assert route_key(one) == route_key(two)


_leaves = st.one_of(st.booleans(), st.integers(0, 9000), st.sampled_from(["up", "00:11:22:AA:BB:CC", "10.0.0.1"]))
_states = st.dictionaries(
    st.sampled_from(["mtu", "state", "bridge", "ipv4", "mac-address", "options"]),
    st.recursive(_leaves, lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, min_size=1), max_leaves=6),
    min_size=1,
)


@given(_states)
def test_a_state_does_not_differ_from_itself_with_more_keys(state: dict[str, Any]) -> None:
    assert interface_differences(state, {**copy.deepcopy(state), "nobody-asked": 1}) == []


@given(_states, st.data())
def test_a_changed_leaf_is_a_difference(state: dict[str, Any], data: st.DataObject) -> None:
    live = copy.deepcopy(state)
    place: dict[str, Any] = live
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = "something else"
    assert len(interface_differences(state, live)) == 1


def test_a_route_that_goes_with_the_nics_address_is_told(bundle: Bundle) -> None:
    live = before()
    live.state["routes"]["config"].append(
        {"destination": "10.9.0.0/16", "next-hop-address": "10.1.1.2", "next-hop-interface": "eth0", "table-id": 254}
    )
    plan = make_plan(bundle, live)
    assert "- remove route: 10.9.0.0/16 via 10.1.1.2 dev peth0" in plan_text(plan)
    assert [r["destination"] for r in plan.state["routes"]["config"]] == ["0.0.0.0/0"], "nmstate removes it by itself"


def test_of_two_routes_to_one_destination_only_that_in_the_same_table_moves(bundle: Bundle) -> None:
    """A default route of a table of its own (source routing) is none that the bridge gets."""
    live = before()
    default = live.state["routes"]["config"][0]
    live.state["routes"]["config"] += [
        {**default, "next-hop-address": "10.1.1.2", "table-id": 100},
        {**default, "next-hop-address": "10.1.1.3", "table-id": 0},  # nmstate's other word for the main one
    ]
    told = [c.details for c in make_plan(bundle, live).changes if (c.what, c.name) == ("remove", "route")]
    assert told == [("0.0.0.0/0 via 10.1.1.2 dev peth0 metric 100 table 100",)]


def test_a_nic_that_is_only_renamed_is_saved(bundle: Bundle) -> None:
    live = before()
    nics = tuple(replace(nic, name="lan", bridge=None) for nic in bundle.nics)
    plan = make_plan(replace(bundle, nics=nics, state={}), live)
    assert plan.unsaved == ("lan",)


def test_a_bonds_ports_are_in_no_order_and_its_options_may_be_text() -> None:
    desired = {"link-aggregation": {"port": ["eth1", "eth0"], "options": {"miimon": 100}}}
    live = {"link-aggregation": {"port": ["eth0", "eth1"], "options": {"miimon": "100"}}}
    assert interface_differences(desired, live) == []
    live["link-aggregation"]["port"] = ["eth0"]
    assert interface_differences(desired, live) == ["link-aggregation.port: eth0 -> eth1, eth0"]


# ---- what left the definition


def left(bundle: Bundle) -> Live:
    """The host with a VLAN and its bridge that kvmnet made and that the bundle does not have any more, beside a
    bridge that a person made and one that was adopted."""
    live = after(bundle)
    uuid = {name: profile_uuid(bundle.host, name) for name in ("peth0.5", "br5")}
    uuid.update({"br-hand": "u-hand", "br-adopted": "u-adopted"})
    links = {
        **live.links,
        "peth0.5": Link("peth0.5", None, "vlan", (), "br5", "peth0"),
        **{name: Link(name, None, "bridge") for name in ("br5", "br-hand", "br-adopted")},
    }
    profiles = {name: Profile(u, name, "x", name, f"{KEYFILES}/{name}.nmconnection", name) for name, u in uuid.items()}
    owned = {
        **{i["name"]: Owned(i["type"], i["name"] == "eth0", "") for i in bundle.state["interfaces"]},
        "peth0.5": Owned("vlan", True, uuid["peth0.5"]),
        "br5": Owned("linux-bridge", True, uuid["br5"]),
        "br-adopted": Owned("linux-bridge", False, "u-adopted"),  # only that kvmnet did not make it keeps it
    }
    return replace(live, links=links, profiles={**live.profiles, **profiles}, owned=owned, applied="sha256:old")


DOWN = ("peth0.5", "br5")


def taken_down(live: Live) -> Live:
    """The same after `nmcli connection down br5`."""
    return replace(
        live,
        links={name: link for name, link in live.links.items() if name not in DOWN},
        profiles={name: profile for name, profile in live.profiles.items() if name not in DOWN},
        idle=tuple(replace(live.profiles[name], device="") for name in DOWN),
    )


@pytest.mark.guarantee("G50")
def test_what_left_the_definition_goes_but_only_what_kvmnet_made(bundle: Bundle) -> None:
    plan = make_plan(bundle, left(bundle))
    assert plan.state == {
        "interfaces": [
            {"name": "peth0.5", "type": "vlan", "state": "absent"},
            {"name": "br5", "type": "linux-bridge", "state": "absent"},
        ]
    }
    assert plan.leaving == ("peth0.5", "br5")
    assert "  - remove br5: the linux-bridge left the definition\n" in plan_text(plan)
    assert expectations(plan.state) == [{"name": "peth0.5", "absent": True}, {"name": "br5", "absent": True}]
    assert set(owned_after(bundle, left(bundle))) == {"peth0", "eth0"}


@pytest.mark.guarantee("G50")
def test_what_is_of_ours_only_by_name_stays(bundle: Bundle) -> None:
    """Somebody deleted our bridge and made one of the same name; or it is another kind of thing now."""
    live = left(bundle)
    theirs = {**live.profiles, "br5": replace(live.profiles["br5"], uuid="u-theirs")}
    assert make_plan(bundle, replace(live, profiles=theirs)).leaving == ("peth0.5",)
    bond = {**live.links, "br5": replace(live.links["br5"], kind="bond")}
    assert make_plan(bundle, replace(live, links=bond)).leaving == ("peth0.5",)
    gone = {name: link for name, link in live.links.items() if name != "br5"}
    assert make_plan(bundle, replace(live, links=gone)).leaving == ("peth0.5",)


def test_what_left_and_is_down_goes_with_its_profile_alone(bundle: Bundle) -> None:
    """A bridge that was taken down, with the VLAN that was its port. Somebody has made another of its name since."""
    live = taken_down(left(bundle))
    plan = make_plan(bundle, live)
    assert (plan.down, plan.leaving, plan.state) == ({n: profile_uuid(bundle.host, n) for n in DOWN}, (), {})
    words = f"  - remove {KEYFILES}/br5.nmconnection: the profile of br5, which is down and left the definition\n"
    assert words in plan_text(plan)
    theirs = Profile("u-theirs", "br5", "bridge", "br5", f"{KEYFILES}/theirs.nmconnection", "br5")
    links = {**live.links, "br5": Link("br5", None, "bridge")}
    anew = replace(live, links=links, profiles={**live.profiles, "br5": theirs})
    assert (make_plan(bundle, anew).down, make_plan(bundle, anew).state) == (plan.down, {})
    unknown = replace(live, idle=tuple(replace(p, uuid="u-theirs") for p in live.idle))
    assert make_plan(bundle, unknown).down == {}
    named = {**live.owned, "eth0": replace(live.owned["eth0"], uuid="u-eth0")}
    wanted = Profile("u-eth0", "eth0", "bridge", "", f"{KEYFILES}/eth0.nmconnection", "eth0")
    assert make_plan(bundle, replace(live, owned=named, idle=(wanted,))).down == {}, "the definition has it"


def test_a_nic_that_left_with_its_bridge_is_free_and_keeps_its_name(bundle: Bundle) -> None:
    live = left(bundle)
    nic = Link("peth1", "00:00:00:00:00:09", None, (), "br5")
    text = "# Written by kvmnet: interface eth1 is the NIC x.\n[Match]\nPermanentMACAddress=00:00:00:00:00:09\n"
    live = replace(
        live,
        links={**live.links, "peth1": nic},
        owned={**live.owned, "peth1": Owned("ethernet", False, "")},
        link_files={**live.link_files, "00-kvmnet-peth1.link": text},
    )
    plan = make_plan(bundle, live)
    off = {"enabled": False}
    released = {"name": "peth1", "type": "ethernet", "state": "up", "accept-all-mac-addresses": False}
    assert plan.state["interfaces"][0] == {**released, "ipv4": off, "ipv6": off}
    assert plan.stale_files == ()
    strange = replace(live, owned={k: v for k, v in live.owned.items() if k != "peth1"})
    assert [i["name"] for i in make_plan(bundle, strange).state["interfaces"]] == ["peth0.5", "br5"]


def test_link_files_of_ours_that_name_no_nic_go(bundle: Bundle) -> None:
    """An older name of a NIC of the definition, a NIC that is not in the machine any more; not what others wrote."""
    written = "# Written by kvmnet: interface x is the NIC x.\n[Match]\nPermanentMACAddress={}\n"
    files = {
        "00-kvmnet-eth0.link": written.format(MAC),
        "00-kvmnet-gone.link": written.format("00:00:00:00:00:66"),
        "00-kvmnet-theirs.link": "[Match]\nPermanentMACAddress=00:00:00:00:00:66\n",
    }
    live = after(bundle)
    assert not link_files_go(make_plan(bundle, live), live)
    live = replace(live, link_files={**live.link_files, **files})
    plan = make_plan(bundle, live)
    assert link_files_go(plan, live)
    assert plan.stale_files == ("00-kvmnet-eth0.link", "00-kvmnet-gone.link")
    assert [(c.what, c.name.rpartition("/")[2]) for c in plan.changes] == [
        ("remove", name) for name in plan.stale_files
    ]


def test_what_is_owned_after_the_first_apply_and_after_an_adoption(bundle: Bundle) -> None:
    uuid = profile_uuid(bundle.host, "eth0")
    assert owned_after(bundle, before())["eth0"] == Owned("linux-bridge", True, uuid)
    assert owned_after(bundle, before())["peth0"].made is False
    assert owned_after(bundle, after(bundle))["eth0"].made is False, "it was there before"
    again = replace(after(bundle), owned={"eth0": Owned("linux-bridge", True, uuid)})
    assert owned_after(bundle, again)["eth0"].made is True
    profile = replace(after(bundle).profiles["eth0"], uuid=uuid)
    lost = replace(after(bundle), profiles={"eth0": profile})
    assert owned_after(bundle, lost)["eth0"].made is True, "its profile says so, though the note is lost"
    note = note_after(bundle, before())
    assert (note.owned["eth0"].uuid, note.state, note.first_names) == (uuid, bundle.state, {MAC: "eth0"})
    assert from_note(json.loads(json.dumps(to_note(note)))) == note
    later = replace(after(bundle), owned=note.owned, first_names=note.first_names)
    assert note_after(replace(bundle, host="another"), later).owned["eth0"].uuid == uuid, "its profile has it still"
    assert note_after(bundle, later).first_names == {MAC: "eth0"}
