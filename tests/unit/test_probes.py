"""Whom to ask after the change."""

from __future__ import annotations

from typing import Any

from kvmnet.core.probes import Probes, choose_probes


def state(gateway: str = "", address: str = "10.1.0.5", prefix: int = 16) -> dict[str, Any]:
    family = "ipv6" if ":" in address else "ipv4"
    routes = (
        [{"destination": "::/0" if ":" in gateway else "0.0.0.0/0", "next-hop-address": gateway}] if gateway else []
    )
    return {
        "interfaces": [{"name": "eth0", family: {"address": [{"ip": address, "prefix-length": prefix}]}}],
        "routes": {"config": routes},
    }


def ask(desired: dict[str, Any], live: dict[str, Any], answering: set[str]) -> Probes:
    return choose_probes(desired, live, answering.__contains__)


def test_the_gateway_that_answers_must_answer() -> None:
    assert ask(state("10.1.1.1"), state("10.1.1.1"), {"10.1.1.1"}) == Probes(("10.1.1.1",), (), "10.1.1.1")


def test_a_silent_gateway_is_named_and_not_asked() -> None:
    assert ask(state("10.1.1.1"), state("10.1.1.1"), set()) == Probes((), ("10.1.1.1",), None)


def test_todays_gateway_counts_while_the_host_stays_in_its_subnet() -> None:
    assert ask(state(), state("10.1.1.1"), {"10.1.1.1"}).must == ("10.1.1.1",)
    assert ask(state("10.1.1.2"), state("10.1.1.1"), {"10.1.1.1"}).must == ("10.1.1.1",)


def test_a_host_that_moves_must_reach_its_new_gateway() -> None:
    moved = state("10.2.1.1", "10.2.0.5")
    assert ask(moved, state("10.1.1.1"), {"10.1.1.1"}) == Probes(("10.2.1.1",), (), "10.1.1.1")
    assert ask(moved, state("10.1.1.1"), set()) == Probes((), ("10.2.1.1",), None)


def test_todays_gateway_is_known_when_dhcp_gave_it() -> None:
    live = state("10.1.1.1")
    live["routes"] = {"config": [], "running": live["routes"]["config"]}
    assert ask(state("10.2.1.1", "10.2.0.5"), live, {"10.1.1.1"}).must == ("10.2.1.1",)


def test_families_are_asked_apart() -> None:
    desired = {
        "interfaces": [*state()["interfaces"], *state(address="2001:db8::5", prefix=64)["interfaces"]],
        "routes": {"config": [*state("10.1.1.1")["routes"]["config"], *state("2001:db8::1")["routes"]["config"]]},
    }
    assert ask(desired, state("10.1.1.1"), {"10.1.1.1"}) == Probes(("10.1.1.1",), ("2001:db8::1",), "10.1.1.1")


def test_todays_gateway_counts_where_dhcp_will_name_the_next_one() -> None:
    desired: dict[str, Any] = {"interfaces": [{"name": "br0", "ipv4": {"dhcp": True, "auto-gateway": True}}]}
    live = state("10.1.1.1")
    live["routes"]["running"] = [{"destination": "::/0", "next-hop-address": "2001:db8::1"}]
    assert ask(desired, live, {"10.1.1.1", "2001:db8::1"}) == Probes(("10.1.1.1",), (), "10.1.1.1")
    desired["interfaces"][0]["ipv6"] = {"autoconf": True, "dhcp": True, "auto-gateway": True}
    assert ask(desired, live, {"10.1.1.1", "2001:db8::1"}).must == ("10.1.1.1", "2001:db8::1")
    desired["interfaces"][0]["ipv4"]["auto-gateway"] = False
    assert ask(desired, live, {"10.1.1.1", "2001:db8::1"}).must == ("2001:db8::1",)


def test_a_stated_gateway_counts_more_than_dhcp() -> None:
    desired = state("10.2.1.1", "10.2.0.5")
    desired["interfaces"].append({"name": "br1", "ipv4": {"dhcp": True, "auto-gateway": True}})
    assert ask(desired, state("10.1.1.1"), {"10.1.1.1"}).must == ("10.2.1.1",)
