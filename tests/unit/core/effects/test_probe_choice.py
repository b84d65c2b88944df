"""The targets that are probed after a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.core.effects.probe_choice import Probes, choose_probes


def state(gateway: str = "", address: str = "10.1.0.5", prefix: int = 16, name: str = "eth0") -> dict[str, Any]:
    family = "ipv6" if ":" in address else "ipv4"
    to = "::/0" if ":" in gateway else "0.0.0.0/0"
    route = {"destination": to, "next-hop-address": gateway, "next-hop-interface": name}
    return {
        "interfaces": [{"name": name, family: {"address": [{"ip": address, "prefix-length": prefix}]}}],
        "routes": {"config": [route] if gateway else []},
    }


def of(*states: dict[str, Any]) -> dict[str, Any]:
    """All of them on one host."""
    return {
        "interfaces": [i for s in states for i in s["interfaces"]],
        "routes": {"config": [r for s in states for r in s["routes"]["config"]]},
    }


def ask(desired: dict[str, Any], live: dict[str, Any], answering: set[str], **more: Any) -> Probes:
    def asked(probes: Sequence[Probe]) -> list[Probe]:
        assert len(set(probes)) == len(probes), "a target is probed twice"
        return [probe for probe in probes if probe.text in answering]

    return choose_probes(desired, live, asked, **more)


def texts(probes: Sequence[Probe]) -> list[str]:
    return [probe.text for probe in probes]


def gateway(address: str) -> Probe:
    return Probe("gateway", address)


@pytest.mark.guarantee("G32")
def test_a_gateway_that_replies_must_reply_afterwards() -> None:
    assert ask(state("10.1.1.1"), state("10.1.1.1"), {"10.1.1.1"}) == Probes((gateway("10.1.1.1"),), (), "10.1.1.1")


def test_a_silent_gateway_is_listed_and_not_probed_afterwards() -> None:
    assert ask(state("10.1.1.1"), state("10.1.1.1"), set()) == Probes((), (gateway("10.1.1.1"),), None)


def test_a_silent_gateway_and_a_target_of_the_definition_that_replies() -> None:
    server = Probe("tcp", "10.1.0.9:22")
    probes = ask(state("10.1.1.1"), state("10.1.1.1"), {server.text}, own=[server])
    assert probes.must == (server,)
    assert probes.silent == (gateway("10.1.1.1"),)


@pytest.mark.guarantee("G33")
def test_todays_gateway_counts_while_the_host_stays_in_its_subnet() -> None:
    assert texts(ask(state(), state("10.1.1.1"), {"10.1.1.1"}).must) == ["10.1.1.1"]
    found = ask(state("10.1.1.2"), state("10.1.1.1"), {"10.1.1.1"})
    assert (texts(found.must), found.watch) == (["10.1.1.1", "10.1.1.2"], "10.1.1.1"), "it may be mistyped"
    two = of(state("10.1.1.1"), state("10.1.1.2"))
    assert texts(ask(state("10.1.1.2"), two, {"10.1.1.1"}).must) == ["10.1.1.1"], "it is silent today"
    both = of(state("10.1.1.2"), state("10.1.1.3"))
    assert texts(ask(both, state("10.1.1.1"), {"10.1.1.1", "10.1.1.3"}).must) == ["10.1.1.3", "10.1.1.1"]


def test_a_gateway_of_another_table_is_not_probed() -> None:
    live = of(state("10.1.1.1"), state("10.1.1.9"))
    live["routes"]["config"][1]["table-id"] = 77
    live["routes"]["config"][0]["table-id"] = 254
    assert texts(ask(state("10.1.1.1"), live, {"10.1.1.1", "10.1.1.9"}).must) == ["10.1.1.1"]


@pytest.mark.guarantee("G33")
def test_a_host_that_moves_must_reach_its_new_gateway() -> None:
    moved = state("10.2.1.1", "10.2.0.5")
    assert ask(moved, state("10.1.1.1"), {"10.1.1.1"}) == Probes((gateway("10.2.1.1"),), (), "10.1.1.1")
    assert ask(moved, state("10.1.1.1"), set()) == Probes((), (gateway("10.2.1.1"),), None)


def test_a_gateway_from_dhcp_is_known() -> None:
    live = state("10.1.1.1")
    live["routes"] = {"config": [], "running": live["routes"]["config"]}
    assert texts(ask(state("10.2.1.1", "10.2.0.5"), live, {"10.1.1.1"}).must) == ["10.2.1.1"]


def test_address_families_are_probed_separately() -> None:
    desired = of(state("10.1.1.1"), state("2001:db8::1", "2001:db8::5", 64))
    found = ask(desired, state("10.1.1.1"), {"10.1.1.1"})
    assert found == Probes((gateway("10.1.1.1"),), (gateway("2001:db8::1"),), "10.1.1.1")


def test_todays_gateway_counts_where_dhcp_will_set_the_next_one() -> None:
    desired: dict[str, Any] = {"interfaces": [{"name": "br0", "ipv4": {"dhcp": True, "auto-gateway": True}}]}
    live = state("10.1.1.1")
    live["routes"]["running"] = [{"destination": "::/0", "next-hop-address": "2001:db8::1"}]
    both = {"10.1.1.1", "2001:db8::1"}
    assert ask(desired, live, both) == Probes((gateway("10.1.1.1"),), (), "10.1.1.1")
    desired["interfaces"][0]["ipv6"] = {"autoconf": True, "dhcp": True, "auto-gateway": True}
    assert texts(ask(desired, live, both).must) == ["10.1.1.1", "2001:db8::1"]
    desired["interfaces"][0]["ipv4"]["auto-gateway"] = False
    assert texts(ask(desired, live, both).must) == ["2001:db8::1"]


def test_a_gateway_of_the_definition_takes_precedence_over_dhcp() -> None:
    desired = state("10.2.1.1", "10.2.0.5")
    desired["interfaces"].append({"name": "br1", "ipv4": {"dhcp": True, "auto-gateway": True}})
    assert texts(ask(desired, state("10.1.1.1"), {"10.1.1.1"}).must) == ["10.2.1.1"]


def test_a_link_local_gateway_is_probed_on_the_interface_of_now_and_then_on_that_of_later() -> None:
    """One address, two routers, each on its own link."""
    one = ("fe80::1", "2001:db8:1::5", 64)
    two = ("fe80::1", "2001:db8:2::5", 64)
    desired = of(state(*one, name="br0"), state(*two, name="br1"))
    live = of(state(*two, name="ens5"), state(*one, name="ens4"))
    found = ask(desired, live, {"fe80::1%ens4", "fe80::1%ens5"})
    assert (texts(found.must), found.silent, found.watch) == (["fe80::1%br0", "fe80::1%br1"], (), None)
    found = ask(desired, live, {"fe80::1%ens5"})
    assert (texts(found.must), texts(found.silent)) == (["fe80::1%br1"], ["fe80::1%br0"])
    nowhere = state("", "10.1.0.5")
    assert texts(ask(state(*one, name="br0"), nowhere, {"fe80::1%br0"}).silent) == ["fe80::1%br0"]


def test_an_advertised_link_local_gateway_is_probed_on_the_interface_that_will_learn_it() -> None:
    learns = {"autoconf": True, "dhcp": True, "auto-gateway": True}
    desired: dict[str, Any] = {"interfaces": [{"name": "br0", "ipv6": learns}]}
    live = state("fe80::1", "fe80::5", 64, name="eth0")
    live["routes"] = {"running": live["routes"]["config"]}
    assert texts(ask(desired, live, {"fe80::1%eth0"}).must) == ["fe80::1%br0"]
    desired["interfaces"].append({"name": "br1", "ipv6": learns})
    assert ask(desired, live, {"fe80::1%eth0"}).must == (), "which of the two will learn it is unknown"
    desired["interfaces"][1]["name"] = "eth0"
    assert texts(ask(desired, live, {"fe80::1%eth0"}).must) == ["fe80::1%eth0"]


@pytest.mark.guarantee("G32")
def test_name_servers_are_those_of_the_definition_or_todays_when_they_are_learned() -> None:
    desired = {**state(), "dns-resolver": {"config": {"server": ["10.1.0.53", "10.1.0.54"]}}}
    live = {**state(), "dns-resolver": {"running": {"server": ["10.1.0.55", "fe80::53%eth0"]}}}
    found = ask(desired, live, {"name server 10.1.0.54", "name server 10.1.0.55"})
    assert (texts(found.must), texts(found.silent)) == (["name server 10.1.0.54"], ["name server 10.1.0.53"])
    desired = {"interfaces": [{"name": "br0", "ipv4": {"dhcp": True, "auto-dns": True}}]}
    assert texts(ask(desired, live, {"name server 10.1.0.55"}).must) == ["name server 10.1.0.55"]
    assert ask(desired, live, set()) == Probes()
    assert ask(state(), live, {"name server 10.1.0.55"}) == Probes(), "the definition has no name servers"


@pytest.mark.guarantee("G32")
def test_the_definitions_own_probes_and_the_operators_host_are_targets() -> None:
    own = [Probe("tcp", "10.1.0.9:22"), Probe("ping", "10.1.1.1"), Probe("command", command=("a", "b"))]
    answering = {"10.1.1.1", "tcp 10.1.0.9:22", "10.9.0.9"}
    found = ask(state("10.1.1.1"), state("10.1.1.1"), answering, callers=["10.9.0.9", "10.9.0.8"], own=own)
    assert texts(found.must) == ["10.1.1.1", "tcp 10.1.0.9:22", "10.9.0.9"]
    assert texts(found.silent) == [] and texts(found.commands) == ["command a b"]
    assert found.watch == "10.1.1.1"


def test_commands_are_never_run_while_a_plan_is_made() -> None:
    command, server = Probe("command", command=("/bin/true",)), Probe("tcp", "10.1.0.9:22")
    probes = ask(state("10.1.1.1"), state("10.1.1.1"), {command.text, server.text}, own=[command, server, command])
    assert (probes.must, probes.commands) == ((server,), (command,))
    assert command not in probes.silent
