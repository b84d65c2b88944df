"""Connection profiles that the next boot could activate on an interface of the definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.effects.boot_rivals import Rival, find_rivals
from kvmnet.core.live.live_host import ConnectionProfile, Live
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import KEYFILES, MAC, after, before

#: A profile for any NIC.
ANY = ConnectionProfile("u-9", "office", "802-3-ethernet", "", f"{KEYFILES}/office.nmconnection")


def rivals_of(bundle: Bundle, *profiles: ConnectionProfile, live: Live | None = None) -> list[tuple[Any, ...]]:
    """Return the rivals among these inactive profiles, on a host before kvmnet: UUID, names, whether it wins."""
    host = replace(live or before(), idle=profiles)
    return [(r.profile.uuid, r.names, r.wins) for r in find_rivals(make_plan(bundle, host), host)]


def test_a_profile_of_the_same_priority_is_a_rival_and_one_of_a_higher_priority_wins(bundle: Bundle) -> None:
    assert rivals_of(bundle, ANY) == [("u-9", ("eth0",), False)]
    assert rivals_of(bundle, replace(ANY, priority=1)) == [("u-9", ("eth0",), True)]
    assert rivals_of(bundle, replace(ANY, priority=-1)) == []


def test_a_rival_of_several_interfaces_is_listed_once_for_each_outcome(bundle: Bundle) -> None:
    """The bridge eth0 has a new profile of priority 0, the NIC an active one of priority 5."""
    live = before()
    live = replace(live, profiles={"eth0": replace(live.profiles["eth0"], priority=5)})
    bridge = replace(ANY, uuid="u-b", type="bridge", interface_name="eth0", priority=5)
    profiles = (replace(ANY, priority=5), bridge, replace(bridge, uuid="u-c", priority=6))
    assert rivals_of(bundle, *profiles, live=live) == [
        ("u-9", ("eth0",), False),
        ("u-c", ("eth0",), True),
    ], "nmstate takes u-b, of the lowest priority, for the bridge"


@pytest.mark.parametrize(
    "keys",
    [
        {"autoconnect": False},
        {"file": "/run/NetworkManager/system-connections/office.nmconnection"},
        {"file": ""},
        {"type": "802-11-wireless"},
        {"interface_name": "eth0"},
        {"interface_name": "eth9"},
        {"mac": "02:00:00:00:00:99"},
        {"match": "eth* ens*"},
        {"match": "ens* !eth9"},
        {"match": "peth* !peth0"},
        {"match": "&ens*"},
        {"match": "|ens*"},
        {"type": "bridge"},
        {"type": "bridge", "interface_name": "br9"},
        {"controller": "eth0"},
        {"controller": "br9"},
    ],
)
def test_a_profile_that_does_not_match_at_boot_is_no_rival(bundle: Bundle, keys: dict[str, Any]) -> None:
    """The NIC eth0 is named peth0 then, and is a port of bridge eth0."""
    assert rivals_of(bundle, replace(ANY, **keys)) == []


@pytest.mark.parametrize(
    "keys",
    [
        {"interface_name": "peth0"},
        {"mac": MAC},
        {"match": "ens*,peth?"},
        {"match": "peth* !eth9"},
        {"match": "!eth9"},
        {"match": "&peth*"},
        {"match": "|peth0"},
        {"controller": "lo0", "interface_name": "peth0"},
    ],
)
def test_a_profile_that_matches_at_boot_is_a_rival(bundle: Bundle, keys: dict[str, Any]) -> None:
    live = before()
    link = replace(live.links["lo"], name="lo0", kind="bridge")
    live = replace(live, links={**live.links, "lo0": link})
    assert rivals_of(bundle, replace(ANY, **keys), live=live) == [("u-9", ("eth0",), False)]


def test_a_controller_is_found_by_the_uuid_of_its_profile(bundle: Bundle) -> None:
    controller = replace(ANY, uuid="u-br", type="bridge", interface_name="eth0", autoconnect=False)
    port = replace(ANY, controller="u-br")
    assert rivals_of(bundle, port, controller) == []
    other = replace(controller, interface_name="br9")
    assert rivals_of(bundle, port, other) == [("u-9", ("eth0",), False)]


def test_profiles_of_the_definitions_own_interfaces_are_no_rivals(bundle: Bundle) -> None:
    assert rivals_of(bundle, live=after(bundle)) == []
    own = replace(ANY, type="bridge", interface_name="eth0")
    assert rivals_of(bundle, own) == [], "nmstate takes it for the new bridge"


def test_the_profile_of_an_interface_that_leaves_is_no_rival(bundle: Bundle) -> None:
    live = replace(before(), profiles={**before().profiles, "old0": replace(ANY, device="old0")})
    plan = make_plan(bundle, live)
    assert [rival.profile.uuid for rival in find_rivals(plan, live)] == ["u-9"]
    assert find_rivals(replace(plan, leaving=("old0", "inactive0")), live) == []


@pytest.mark.parametrize("keys", [{"state": "down"}, {"type": "infiniband"}])
def test_an_interface_that_is_down_or_of_another_type_has_no_rivals(bundle: Bundle, keys: dict[str, Any]) -> None:
    live = replace(before(), idle=(replace(ANY, interface_name="eth7"),))
    nic = {"name": "eth7", "type": "ethernet", "state": "up"}
    plan = Plan(bundle, desired={"interfaces": [nic]})
    assert [rival.names for rival in find_rivals(plan, live)] == [], "the profile is bound to the name: it is its own"
    live = replace(live, idle=(replace(live.idle[0], interface_name="", match="eth7"),))
    assert [rival.names for rival in find_rivals(plan, live)] == [("eth7",)]
    assert find_rivals(replace(plan, desired={"interfaces": [{**nic, **keys}]}), live) == []


def test_a_profile_of_another_type_that_has_the_name_is_not_the_interfaces_own(bundle: Bundle) -> None:
    """Of the own profiles the one of the lowest priority counts."""
    vlan = replace(ANY, uuid="u-v", type="vlan", interface_name="eth7", priority=-5)
    live = replace(before(), idle=(vlan, replace(ANY, match="eth7", priority=-1)))
    plan = Plan(bundle, desired={"interfaces": [{"name": "eth7", "type": "ethernet", "state": "up"}]})
    assert find_rivals(plan, live) == [], "a new profile has priority 0"


def test_a_removal_has_no_rivals(bundle: Bundle) -> None:
    live = replace(before(), idle=(ANY,))
    assert find_rivals(Plan(bundle), live) == []


def test_the_commands_name_the_profile_by_its_uuid() -> None:
    assert Rival(ANY, ("eth0",), True).commands == (
        "nmcli connection modify u-9 connection.autoconnect no, or nmcli connection delete u-9"
    )
