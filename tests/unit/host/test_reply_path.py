"""Tests of kvmnet/host/reply_path.py with recorded output of ip, bridge and Open vSwitch."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.host import reply_path
from kvmnet.host.reply_path import ReplyPath, find_reply_path
from kvmnet.system import links, programs
from kvmnet.system.errors import HostError

TAP = {"info_kind": "tun", "info_data": {"type": "tap"}}
LINKS: list[dict[str, Any]] = [
    {"ifname": "br0", "linkinfo": {"info_kind": "bridge"}},
    {"ifname": "br0.5", "link": "br0", "linkinfo": {"info_kind": "vlan"}},
    {"ifname": "eth0", "master": "br0"},
    {"ifname": "vnet3", "master": "br0", "linkinfo": TAP},
    {"ifname": "patch0", "master": "br0", "link": "patch1", "linkinfo": {"info_kind": "veth"}},
    {"ifname": "patch1", "link": "patch0", "linkinfo": {"info_kind": "veth"}},
    {"ifname": "veth1", "master": "br0", "link_netnsid": 0, "linkinfo": {"info_kind": "veth"}},
    {"ifname": "eth1", "linkinfo": {}},
    {"ifname": "tap9", "linkinfo": TAP},
    {"ifname": "gre1", "linkinfo": {"info_kind": "gre", "info_data": {"remote": "10.1.0.9", "local": "10.1.0.1"}}},
    {"ifname": "ovsbr0", "master": "ovs-system", "linkinfo": {"info_kind": "openvswitch"}},
    {"ifname": "vnet8", "master": "ovs-system", "linkinfo": TAP},
    {"ifname": "eth2", "master": "ovs-system"},
]
ROUTES = {
    "10.1.0.9": {"dev": "br0"},
    "10.1.0.8": {"dev": "br0"},
    "10.1.0.7": {"dev": "br0"},
    "10.1.0.6": {"dev": "br0"},
    "10.5.0.9": {"dev": "br0.5"},
    "10.6.0.1": {"dev": "br0", "gateway": "10.1.0.9"},
    "10.6.0.2": {"dev": "br0", "via": {"family": "inet6", "host": "fe80::8"}},
    "10.7.0.1": {"dev": "eth1"},
    "10.8.0.1": {"dev": "tap9"},
    "10.9.0.1": {"dev": "gre1"},
    "10.10.0.8": {"dev": "ovsbr0"},
    "10.10.0.2": {"dev": "ovsbr0"},
    "10.1.255.254": {"dev": "lo", "type": "local"},
}
BEHIND = {"10.1.0.9": "vnet3", "10.1.0.8": "eth0", "10.1.0.7": "veth1", "10.1.0.6": "patch0", "10.5.0.9": "vnet3"}
MACS = {peer: f"52:54:00:00:00:{number:02x}" for number, peer in enumerate([*BEHIND, "10.10.0.8", "10.10.0.2"])}
MACS["fe80::8"] = MACS["10.1.0.8"]


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    asked: list[tuple[str, ...]] = []

    def run(*words: str, **_: Any) -> str:
        asked.append(words)
        if words[2:4] == ("route", "get") and words[4] in ROUTES:
            return json.dumps([ROUTES[words[4]]])
        if words[2:5] == ("neighbor", "show", "to"):
            return json.dumps([{"dst": words[5], "lladdr": MACS[words[5]]}] if words[5] in MACS else [])
        if words == ("bridge", "-j", "fdb", "show"):
            return json.dumps([{"mac": MACS[peer], "ifname": port, "master": "br0"} for peer, port in BEHIND.items()])
        if words[0] == "ovs-vsctl":
            listed = {"headings": ["name", "ofport"], "data": [["vnet8", 3], ["eth2", 1], ["ovsbr0", 65534]]}
            return "ovsbr0\n" if words[1] == "list-br" else json.dumps(listed)
        if words[:2] == ("ovs-appctl", "fdb/show"):
            rows = [(3, MACS["10.10.0.8"]), (1, MACS["10.10.0.2"])]
            return " port  VLAN  MAC                Age\n" + "".join(f"    {p}     0  {m}    1\n" for p, m in rows)
        raise HostError("RTNETLINK answers: Network is unreachable")

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(links, "read_ip_links", lambda: LINKS)
    return asked


@pytest.mark.guarantee("G97")
@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("10.1.0.9", ReplyPath("br0", "10.1.0.9", "vnet3")),
        ("10.1.0.8", ReplyPath("br0", "10.1.0.8")),
        ("10.1.0.7", ReplyPath("br0", "10.1.0.7", "veth1")),
        ("10.1.0.6", ReplyPath("br0", "10.1.0.6")),  # a veth that stays on this host
        ("10.5.0.9", ReplyPath("br0.5", "10.5.0.9", "vnet3")),
        ("10.6.0.1", ReplyPath("br0", "10.1.0.9", "vnet3")),  # behind a router that is a guest
        ("10.6.0.2", ReplyPath("br0", "fe80::8")),
        ("10.7.0.1", ReplyPath("eth1", "10.7.0.1")),
        ("10.8.0.1", ReplyPath("tap9", "10.8.0.1", "tap9")),  # routed to a guest, without a bridge
        ("10.9.0.1", ReplyPath("gre1", "10.9.0.1", "vnet3")),  # a tunnel to a guest
        ("10.10.0.8", ReplyPath("ovsbr0", "10.10.0.8", "vnet8")),
        ("10.10.0.2", ReplyPath("ovsbr0", "10.10.0.2")),
        ("10.1.255.254", ReplyPath("lo", "10.1.255.254")),
    ],
)
def test_replies_to_a_target_leave_by_a_device_and_perhaps_through_a_guests_port(target: str, path: ReplyPath) -> None:
    assert find_reply_path(target, "10.1.255.254") == path


@pytest.mark.guarantee("G97")
@pytest.mark.parametrize(
    ("arrivals", "port"),
    [({"eth0", "br0"}, ""), ({"vnet3", "br0"}, "vnet3"), ({"eth0"}, "vnet3"), (set(), "vnet3")],
    ids=["from outside", "from a guest", "not on the bridge", "no reply"],
)
def test_a_neighbour_that_no_bridge_has_learned_is_asked(
    arrivals: set[str], port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a virtual router, which sends its frames from another MAC address."""
    monkeypatch.setitem(ROUTES, "10.1.0.5", {"dev": "br0", "gateway": "10.1.0.254"})
    monkeypatch.setattr(reply_path, "_WAIT", 0.05)
    asked = SimpleNamespace(
        send=lambda _: True,
        replies=lambda _: [1] if arrivals else [],
        close=lambda: None,
        device="br0",
        arrivals={"00:00:5e:00:01:01": arrivals},
    )
    monkeypatch.setattr(reply_path, "ArpProbe", lambda address: {"10.1.0.254": asked}[address])
    assert find_reply_path("10.1.0.5") == ReplyPath("br0", "10.1.0.254", port)


def test_the_route_is_that_of_the_own_address_and_device(simulated: list[tuple[str, ...]]) -> None:
    with pytest.raises(HostError):
        find_reply_path("fe80::5", "", "br0")
    find_reply_path("10.7.0.1", "192.0.2.7")
    routes = [words[4:] for words in simulated if words[2:4] == ("route", "get")]
    assert routes == [("fe80::5", "oif", "br0"), ("10.7.0.1", "from", "192.0.2.7")]


def test_without_a_route_there_is_no_path() -> None:
    with pytest.raises(HostError):
        find_reply_path("192.0.2.99")


def test_without_guests_ports_only_the_route_is_read(
    simulated: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "read_ip_links", lambda: [r for r in LINKS if r["ifname"] in ("br0", "eth0", "eth1")])
    assert find_reply_path("10.1.0.9") == ReplyPath("br0", "10.1.0.9")
    assert [words[2] for words in simulated] == ["route"]
