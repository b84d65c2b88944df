"""Whom to ask after the change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kvmnet.core.base.probe import OWN_KINDS, Probe, host_port, url_parts
from kvmnet.core.effects.probe_choice import Probes, choose_probes
from kvmnet.core.live.live_host import Live
from kvmnet.core.reporting.report import probe_lines
from kvmnet.host.operator_connection import Connection
from kvmnet.transaction import prepare


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
        assert len(set(probes)) == len(probes), "somebody is asked twice"
        return [probe for probe in probes if probe.text in answering]

    return choose_probes(desired, live, asked, **more)


def texts(probes: Sequence[Probe]) -> list[str]:
    return [probe.text for probe in probes]


def gateway(address: str) -> Probe:
    return Probe("gateway", address)


@pytest.mark.guarantee("G32")
def test_the_gateway_that_answers_must_answer() -> None:
    assert ask(state("10.1.1.1"), state("10.1.1.1"), {"10.1.1.1"}) == Probes((gateway("10.1.1.1"),), (), "10.1.1.1")


def test_a_silent_gateway_is_named_and_not_asked() -> None:
    assert ask(state("10.1.1.1"), state("10.1.1.1"), set()) == Probes((), (gateway("10.1.1.1"),), None)


@pytest.mark.guarantee("G33")
def test_todays_gateway_counts_while_the_host_stays_in_its_subnet() -> None:
    assert texts(ask(state(), state("10.1.1.1"), {"10.1.1.1"}).must) == ["10.1.1.1"]
    found = ask(state("10.1.1.2"), state("10.1.1.1"), {"10.1.1.1"})
    assert (texts(found.must), found.watch) == (["10.1.1.1", "10.1.1.2"], "10.1.1.1"), "it may be mistyped"
    two = of(state("10.1.1.1"), state("10.1.1.2"))
    assert texts(ask(state("10.1.1.2"), two, {"10.1.1.1"}).must) == ["10.1.1.1"], "it is silent today"
    both = of(state("10.1.1.2"), state("10.1.1.3"))
    assert texts(ask(both, state("10.1.1.1"), {"10.1.1.1", "10.1.1.3"}).must) == ["10.1.1.3", "10.1.1.1"]


@pytest.mark.guarantee("G33")
def test_a_host_that_moves_must_reach_its_new_gateway() -> None:
    moved = state("10.2.1.1", "10.2.0.5")
    assert ask(moved, state("10.1.1.1"), {"10.1.1.1"}) == Probes((gateway("10.2.1.1"),), (), "10.1.1.1")
    assert ask(moved, state("10.1.1.1"), set()) == Probes((), (gateway("10.2.1.1"),), None)


def test_todays_gateway_is_known_when_dhcp_gave_it() -> None:
    live = state("10.1.1.1")
    live["routes"] = {"config": [], "running": live["routes"]["config"]}
    assert texts(ask(state("10.2.1.1", "10.2.0.5"), live, {"10.1.1.1"}).must) == ["10.2.1.1"]


def test_families_are_asked_apart() -> None:
    desired = of(state("10.1.1.1"), state("2001:db8::1", "2001:db8::5", 64))
    found = ask(desired, state("10.1.1.1"), {"10.1.1.1"})
    assert found == Probes((gateway("10.1.1.1"),), (gateway("2001:db8::1"),), "10.1.1.1")


def test_todays_gateway_counts_where_dhcp_will_name_the_next_one() -> None:
    desired: dict[str, Any] = {"interfaces": [{"name": "br0", "ipv4": {"dhcp": True, "auto-gateway": True}}]}
    live = state("10.1.1.1")
    live["routes"]["running"] = [{"destination": "::/0", "next-hop-address": "2001:db8::1"}]
    both = {"10.1.1.1", "2001:db8::1"}
    assert ask(desired, live, both) == Probes((gateway("10.1.1.1"),), (), "10.1.1.1")
    desired["interfaces"][0]["ipv6"] = {"autoconf": True, "dhcp": True, "auto-gateway": True}
    assert texts(ask(desired, live, both).must) == ["10.1.1.1", "2001:db8::1"]
    desired["interfaces"][0]["ipv4"]["auto-gateway"] = False
    assert texts(ask(desired, live, both).must) == ["2001:db8::1"]


def test_a_stated_gateway_counts_more_than_dhcp() -> None:
    desired = state("10.2.1.1", "10.2.0.5")
    desired["interfaces"].append({"name": "br1", "ipv4": {"dhcp": True, "auto-gateway": True}})
    assert texts(ask(desired, state("10.1.1.1"), {"10.1.1.1"}).must) == ["10.2.1.1"]


def test_a_link_local_gateway_is_asked_where_the_address_is_and_then_where_it_will_be() -> None:
    """One address, two routers, each on its own wire."""
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


def test_a_link_local_gateway_that_a_router_advertises_is_asked_where_it_will_be_learned() -> None:
    learns = {"autoconf": True, "dhcp": True, "auto-gateway": True}
    desired: dict[str, Any] = {"interfaces": [{"name": "br0", "ipv6": learns}]}
    live = state("fe80::1", "fe80::5", 64, name="eth0")
    live["routes"] = {"running": live["routes"]["config"]}
    assert texts(ask(desired, live, {"fe80::1%eth0"}).must) == ["fe80::1%br0"]
    desired["interfaces"].append({"name": "br1", "ipv6": learns})
    assert ask(desired, live, {"fe80::1%eth0"}).must == (), "which of the two will learn it nobody knows"
    desired["interfaces"][1]["name"] = "eth0"
    assert texts(ask(desired, live, {"fe80::1%eth0"}).must) == ["fe80::1%eth0"]


@pytest.mark.guarantee("G32")
def test_name_servers_are_those_of_the_definition_or_todays_where_they_are_learned() -> None:
    desired = {**state(), "dns-resolver": {"config": {"server": ["10.1.0.53", "10.1.0.54"]}}}
    live = {**state(), "dns-resolver": {"running": {"server": ["10.1.0.55", "fe80::53%eth0"]}}}
    found = ask(desired, live, {"name server 10.1.0.54", "name server 10.1.0.55"})
    assert (texts(found.must), texts(found.silent)) == (["name server 10.1.0.54"], ["name server 10.1.0.53"])
    desired = {"interfaces": [{"name": "br0", "ipv4": {"dhcp": True, "auto-dns": True}}]}
    assert texts(ask(desired, live, {"name server 10.1.0.55"}).must) == ["name server 10.1.0.55"]
    assert ask(desired, live, set()) == Probes()
    assert ask(state(), live, {"name server 10.1.0.55"}) == Probes(), "nobody speaks of name servers"


@pytest.mark.guarantee("G32")
def test_the_definitions_own_and_the_operators_machine() -> None:
    own = [Probe("tcp", "10.1.0.9:22"), Probe("ping", "10.1.1.1"), Probe("command", command=("a", "b"))]
    answering = {"10.1.1.1", "tcp 10.1.0.9:22", "10.9.0.9"}
    found = ask(state("10.1.1.1"), state("10.1.1.1"), answering, callers=["10.9.0.9", "10.9.0.8"], own=own)
    assert texts(found.must) == ["10.1.1.1", "tcp 10.1.0.9:22", "10.9.0.9"]
    assert texts(found.silent) == ["command a b"]
    assert found.watch == "10.1.1.1"


def test_whoever_came_by_ssh_is_asked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the host itself, and by root alone."""
    monkeypatch.setattr(prepare, "ask", lambda probes, _: list(probes))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    here = Live("h", state("10.1.1.1"), {}, {})
    outside, itself = Connection("10.9.0.9", "10.1.0.5", 0.0), Connection("10.1.0.5", "10.1.0.5", 0.0)
    for connection, asked in ((outside, ["10.1.1.1", "10.9.0.9"]), (itself, ["10.1.1.1"]), (None, ["10.1.1.1"])):
        assert texts(prepare._probes(state("10.1.1.1"), here, connection).must) == asked
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert texts(prepare._probes(state("10.1.1.1"), here, outside).must) == []


def test_what_is_told() -> None:
    found = ask(state("10.1.1.1"), state("10.1.1.1"), {"tcp 10.1.0.9:22"}, own=[Probe("tcp", "10.1.0.9:22")])
    assert probe_lines(found) == [
        "targets that must reply after the change: tcp 10.1.0.9:22",
        "note: the gateway 10.1.1.1 does not reply now, so it will not be probed after the change",
    ]
    assert probe_lines(Probes()) == ["note: no target replies now, so none will be probed after the change"]
    assert "run as root" in probe_lines(Probes(asked=False))[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10.1.1.1:22", ("10.1.1.1", 22)),
        ("[2001:DB8::1]:65535", ("2001:db8::1", 65535)),
        ("a-b.example.org:1", ("a-b.example.org", 1)),
        *(
            (text, None)
            for text in (
                *("10.1.1.1", "10.1.1.1:0", "10.1.1.1:65536", "10.1.1.1:022", "10.1.1:22", "[10.1.1.1]:22", ":22"),
                *("::1:22", "[::1]", "[fe80::1%eth0]:22", "-a:22", "a b:22", "10.1.1.1:22 "),
            )
        ),
    ],
)
def test_host_and_port(text: str, wanted: Any) -> None:
    if wanted is not None:
        assert host_port(text) == wanted
        return
    with pytest.raises(ValueError):
        host_port(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("http://10.1.1.1", (False, "10.1.1.1", 80, "/")),
        ("https://a.example:8443/x?y=1", (True, "a.example", 8443, "/x?y=1")),
        ("https://[2001:db8::1]/", (True, "2001:db8::1", 443, "/")),
        *(
            (text, None)
            for text in (
                *("10.1.1.1", "ftp://a/", "http://", "http:///x", "http://a:0/", "http://a:70000/", "http://u:p@a/"),
                *("http://u@a/", "http://10.1.1.300/", "http://a/ b", "http://a/#b", "http://a/\r\nX: y", "http://ä/"),
            )
        ),
    ],
)
def test_urls(text: str, wanted: Any) -> None:
    if wanted is not None:
        assert url_parts(text) == wanted
        return
    with pytest.raises(ValueError):
        url_parts(text)


PROBES = [
    Probe("gateway", "fe80::1", "br0"),
    Probe("peer", "10.1.0.9"),
    Probe("dns", "10.1.0.53"),
    Probe("ping", "10.1.0.7"),
    Probe("tcp", "10.1.0.7:22"),
    Probe("http", "http://10.1.0.7/"),
    Probe("command", command=("ceph", "-s")),
]


@pytest.mark.parametrize("probe", PROBES)
def test_probes_are_plain_data(probe: Probe) -> None:
    assert Probe.from_json(probe.to_json()) == probe


@pytest.mark.parametrize(
    "row",
    [
        *({kind: "10.1.1.1"} for kind in ("gateway", "peer", "dns", "udp")),
        *({"ping": "10.1.1.1", **more} for more in ({"tcp": "10.1.1.1:22"}, {"device": "eth0"})),
        *({"command": value} for value in ("true", [], [1], [""], {"a": "b"})),
        *({"ping": "a"}, {"tcp": "10.1.1.1"}, {"http": "file:///etc/passwd"}, {}),
    ],
)
def test_what_a_bundle_may_not_ask(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Probe.from_json(row, OWN_KINDS)
