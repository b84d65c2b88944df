"""Tests of kvmnet/core/live/guest_ports.py with rows as iproute2 prints them."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from kvmnet.core.live.guest_ports import GuestPort, find_guest_port, is_guest_port, judge_arrivals

GATEWAY, GUEST, PATCHED = "00:14:4f:80:ee:01", "52:54:00:00:00:01", "52:54:00:00:00:02"


def row(name: str, kind: str = "", master: str = "", link: str = "", **more: Any) -> dict[str, Any]:
    info: dict[str, Any] = {"info_kind": kind} if kind else {}
    info.update({key: more.pop(key) for key in ("info_data", "info_slave_data") if key in more})
    places = {key: value for key, value in (("master", master), ("link", link)) if value}
    return {"ifname": name, "linkinfo": info, **places, **more}


def tap(name: str, master: str = "", **more: Any) -> dict[str, Any]:
    return row(name, "tun", master, info_data={"type": "tap"}, **more)


def by_name(*rows: dict[str, Any]) -> dict[str, Any]:
    return {r["ifname"]: r for r in rows}


HOST = by_name(
    row("eth0", "bridge"),
    row("peth0", master="eth0"),
    tap("vnet3", "eth0"),
    row("patch0", "veth", "eth0", "patch1"),
    row("patch1", "veth", "br1", "patch0"),
    row("br1", "bridge"),
    tap("vnet4", "br1"),
    row("eth0.5", "vlan", link="eth0"),
    row("eth1"),
    row("macvtap0", "macvtap", link="eth1", address="52:54:00:00:00:09"),
    row("veth7", "veth", link_netnsid=0, link_index=2),
    tap("tap9"),
    row("macvlan0", "macvlan", link="eth1"),
    row("wg0", "wireguard"),
)
TABLE = [
    {"mac": GATEWAY, "ifname": "peth0", "master": "eth0"},
    {"mac": GUEST, "ifname": "vnet3", "master": "eth0"},
    {"mac": PATCHED, "ifname": "patch0", "master": "eth0"},
    {"mac": PATCHED, "ifname": "vnet4", "master": "br1"},
    {"mac": "00:00:00:00:00:07", "ifname": "vnet3", "master": "eth0", "state": "permanent"},
]


@pytest.mark.parametrize(
    ("device", "is_guests"),
    [
        (tap("vnet0"), True),
        (row("tun0", "tun", info_data={"type": "tun"}), False),
        (row("tun0", "tun", info_data={"type": "tun", "persist": True, "user": "root"}), False),
        (row("tun0", "tun", info_data={"type": "tun", "persist": True, "user": "nobody"}), True),
        (row("tun0", "tun"), True),  # iproute2 does not show which it is
        (row("macvtap0", "macvtap"), True),
        (row("veth0", "veth", link_netnsid=0), True),
        (row("veth0", "veth", link="veth1"), False),
        (row("eth0"), False),
        (row("br0", "bridge"), False),
        (row("wg0", "wireguard"), False),
    ],
)
def test_taps_macvtaps_and_veths_into_other_namespaces_are_guests_ports(
    device: dict[str, Any], is_guests: bool
) -> None:
    assert is_guest_port(device) is is_guests


@pytest.mark.guarantee("G96", "G97")
@pytest.mark.parametrize(
    ("device", "mac", "port"),
    [
        ("eth0", GATEWAY, ""),
        ("eth0", GUEST, "vnet3"),
        ("eth0", GUEST.upper(), "vnet3"),
        ("eth0.5", GUEST, "vnet3"),
        ("eth0.5", GATEWAY, ""),
        ("eth0", PATCHED, "vnet4"),  # over a veth between two bridges
        ("eth0", "00:00:00:00:00:09", "vnet3"),  # nothing was learned: it may be anywhere
        ("eth0", "", "vnet3"),
        ("eth0", "00:00:00:00:00:07", "vnet3"),  # an address of the port itself shows nothing
        ("eth1", GATEWAY, ""),
        ("eth1", "52:54:00:00:00:09", "macvtap0"),  # the switch sends its frames back
        ("macvlan0", "52:54:00:00:00:09", "macvtap0"),
        ("macvlan0", GATEWAY, ""),
        ("veth7", GATEWAY, "veth7"),
        ("tap9", GATEWAY, "tap9"),
        ("wg0", "", ""),
        ("absent", GATEWAY, ""),
    ],
)
def test_the_port_of_a_neighbour_is_found_through_bridges_vlans_and_veths(device: str, mac: str, port: str) -> None:
    assert find_guest_port(device, mac, HOST, TABLE).port == port


def test_where_a_neighbour_is_is_unknown_only_if_a_bridge_has_not_learned_it() -> None:
    unlearned = "00:00:00:00:00:09"
    assert find_guest_port("eth0", unlearned, HOST, TABLE) == GuestPort("vnet3", is_known=False)
    assert find_guest_port("eth0.5", unlearned, HOST, TABLE) == GuestPort("vnet3", is_known=False)
    for device, mac in (("eth0", GUEST), ("tap9", unlearned), ("eth1", "52:54:00:00:00:09")):
        found = find_guest_port(device, mac, HOST, TABLE)
        assert found.port and found.is_known


def test_an_uplink_that_does_not_learn_hides_nothing_that_guests_send() -> None:
    """The addresses of guests are still learned on their ports."""
    silent = {**HOST, "peth0": row("peth0", master="eth0", info_slave_data={"learning": False})}
    assert find_guest_port("eth0", "00:00:00:00:00:09", silent, TABLE).port == ""
    assert find_guest_port("eth0", GUEST, silent, TABLE) == GuestPort("vnet3")


@pytest.mark.parametrize(("learned", "port"), [("vnet1", "vnet1"), ("eth2", ""), (None, "vnet1"), ("patch", "vnet1")])
def test_open_vswitch_has_its_own_table(learned: Optional[str], port: str) -> None:
    """Its ports all have the controller ovs-system; a patch to another of its bridges is no device of the kernel."""
    rows = by_name(
        row("ovsbr0", "openvswitch", "ovs-system"), row("eth2", master="ovs-system"), tap("vnet1", "ovs-system")
    )
    table = [{"mac": GUEST, "ifname": learned, "master": "ovsbr0"}] if learned else []
    assert find_guest_port("ovsbr0", GUEST, rows, table).port == port


@pytest.mark.guarantee("G96")
@pytest.mark.parametrize(
    ("device", "arrivals", "result"),
    [
        ("eth0", {GATEWAY: {"peth0", "eth0"}}, (True, "")),
        ("eth0", {GATEWAY: {"vnet3", "eth0"}}, (False, "vnet3")),
        ("eth0", {GATEWAY: {"vnet3", "peth0", "eth0"}}, (False, "vnet3")),  # a guest forges the MAC address
        ("eth0", {GUEST: {"vnet3", "eth0"}, GATEWAY: {"peth0", "eth0"}}, (True, "")),
        ("eth0", {GATEWAY: {"vnet5", "eth0"}}, (False, "vnet5")),  # the guest has ended since
        ("eth0", {GATEWAY: {"peth0"}}, (False, "")),  # the bridge did not accept it
        ("eth0", {GATEWAY: {"eth1"}}, (False, "")),
        ("eth0", {}, (False, "")),
        ("eth0", {PATCHED: {"vnet4", "br1", "patch1", "patch0", "eth0"}}, (False, "vnet4")),
        ("tap9", {GUEST: {"tap9"}}, (False, "tap9")),
        ("eth1", {GATEWAY: {"eth1"}}, (True, "")),
        ("macvlan0", {GATEWAY: {"eth1", "macvlan0"}}, (True, "")),
        ("macvlan0", {GUEST: {"macvlan0"}}, (False, "macvlan0")),
    ],
)
def test_a_reply_counts_only_if_its_frame_came_through_no_guests_port(
    device: str, arrivals: dict[str, set[str]], result: tuple[bool, str]
) -> None:
    assert judge_arrivals(device, arrivals, HOST) == result
