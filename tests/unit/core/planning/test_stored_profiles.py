"""How the connection profiles on disk differ from the desired state, while the live state is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import pytest

from kvmnet.core.base.nmstate import State
from kvmnet.core.boot.boot_files import IFCFG_FOLDER, BootFiles
from kvmnet.core.boot.ifcfg import read_ifcfg
from kvmnet.core.boot.stored_profile import StoredProfile
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.planning.stored_profiles import StoredDifference, find_stored_differences
from kvmnet.core.rendering.bundle import Bundle, Nic
from kvmnet.core.reporting.report import format_plan
from tests.unit.core.boot.samples import NICS, boot_files, stored

IP = {"enabled": True, "dhcp": False, "address": [{"ip": "10.1.255.254", "prefix-length": 16}]}
NO_IP: dict[str, Any] = {"enabled": False}
ROUTE = {
    "destination": "0.0.0.0/0",
    "next-hop-address": "10.1.1.1",
    "next-hop-interface": "eth0",
    "metric": 100,
    "table-id": 254,
}
V4 = "[ipv4]\nmethod=manual\naddress1=10.1.255.254/16\n"
GATEWAY = "[ipv4]\nmethod=manual\naddress1=10.1.255.254/16,10.1.1.1\n"
V6 = "[ipv6]\nmethod=disabled\n"


def state(*interfaces: dict[str, Any], routes: tuple[dict[str, Any], ...] = ()) -> State:
    return {"interfaces": list(interfaces), "routes": {"config": list(routes)}}


def nic(**keys: Any) -> dict[str, Any]:
    return {"name": "eth0", "type": "ethernet", "state": "up", "ipv4": IP, "ipv6": NO_IP, **keys}


def host(desired: State, *profiles: StoredProfile, files: BootFiles | None = None) -> Live:
    """Return a host that is as desired now, and has these keyfiles."""
    live_profiles = {
        profile.id: ConnectionProfile(profile.uuid, profile.id, profile.type, profile.id, profile.file, profile.id)
        for profile in profiles
    }
    links = {f"eth{n}": Link(f"eth{n}", mac, None) for n, mac in enumerate(NICS)}
    return Live("h", desired, links, live_profiles, boot=files or boot_files(*profiles))


def differences(interface: dict[str, Any], *profiles: StoredProfile, **keys: Any) -> list[str]:
    """Return the differences of an interface, in words."""
    desired = state(interface, **keys)
    found = find_stored_differences(desired, host(desired, *profiles), {})
    return [
        difference.text.removeprefix("connection profile on disk: ") for difference in found.get(interface["name"], [])
    ]


def eth0(groups: str = V4 + V6, *lines: str) -> StoredProfile:
    return stored("eth0", "u-1", "interface-name=eth0", *lines, groups=groups)


@pytest.mark.parametrize(
    "groups, found",
    [
        (V4 + V6, []),
        ("[ipv4]\naddress1=10.1.255.254/16\n[ipv6]\nmethod=ignore\n", []),
        (V4.replace("254/16", "7/16") + V6, ["ipv4.address: 10.1.255.7/16 -> 10.1.255.254/16"]),
        (V4 + "address2=10.3.0.1/24\n" + V6, ["ipv4.address: 10.1.255.254/16, 10.3.0.1/24 -> 10.1.255.254/16"]),
        ("[ipv4]\nmethod=auto\n" + V6, ["ipv4.method: auto -> manual", "ipv4.address: none -> 10.1.255.254/16"]),
        (V4, ["ipv6.method: auto -> disabled"]),
        (GATEWAY + V6, ["routes: 0.0.0.0/0 via 10.1.1.1 -> none"]),
        (V4.replace("10.1.255.254", "typo") + V6, ["ipv4.address: typo/16 -> 10.1.255.254/16"]),
    ],
)
def test_methods_addresses_and_gateways(groups: str, found: list[str]) -> None:
    assert differences(nic(), eth0(groups)) == found


@pytest.mark.parametrize(
    "settings, group, found",
    [
        ({"enabled": True, "dhcp": True}, "[ipv4]\nmethod=auto\n", []),
        ({"enabled": True, "dhcp": True}, "[ipv4]\nmethod=disabled\n", ["ipv4.method: disabled -> auto"]),
        ({"enabled": True, "dhcp": False}, "[ipv4]\nmethod=link-local\n", []),
    ],
)
def test_ipv4_by_dhcp(settings: dict[str, Any], group: str, found: list[str]) -> None:
    assert differences(nic(ipv4=settings), eth0(group + V6)) == found


@pytest.mark.parametrize(
    "settings, method",
    [
        ({"enabled": True, "dhcp": True, "autoconf": True}, "auto"),
        ({"enabled": True, "dhcp": False, "autoconf": True}, "auto"),
        ({"enabled": True, "dhcp": True, "autoconf": False}, "dhcp"),
    ],
)
def test_ipv6_by_a_router_or_dhcp(settings: dict[str, Any], method: str) -> None:
    assert differences(nic(ipv6=settings), eth0(V4 + f"[ipv6]\nmethod={method}\n")) == []
    assert differences(nic(ipv6=settings), eth0(V4 + "[ipv6]\nmethod=manual\naddress1=fd00::1/64\n"))[0] == (
        f"ipv6.method: manual -> {method}"
    )


@pytest.mark.parametrize(
    "groups, found",
    [
        (GATEWAY + V6, []),
        (V4 + "route1=0.0.0.0/0,10.1.1.1,100\n" + V6, []),
        (V4 + "gateway=10.1.1.1\n" + V6, []),
        (V4 + V6, ["routes: none -> 0.0.0.0/0 via 10.1.1.1"]),
        (
            GATEWAY + "route1=10.9.0.0/16,10.1.1.2\n" + V6,
            ["routes: 0.0.0.0/0 via 10.1.1.1, 10.9.0.0/16 via 10.1.1.2 -> 0.0.0.0/0 via 10.1.1.1"],
        ),
        (
            V4 + "route1=0.0.0.0/0,10.1.1.1\nroute1_options=table=77,mtu=1400\n" + V6,
            ["routes: 0.0.0.0/0 via 10.1.1.1 table 77 -> 0.0.0.0/0 via 10.1.1.1"],
        ),
    ],
)
def test_static_routes(groups: str, found: list[str]) -> None:
    assert differences(nic(), eth0(groups), routes=(ROUTE,)) == found


def test_a_route_that_is_stored_twice_counts_once() -> None:
    """nmstate does so with one without a next hop. Another metric is no other route here: the live one is compared."""
    on_link = {"destination": "10.9.0.0/16", "next-hop-interface": "eth0", "table-id": 100, "metric": 100}
    twice = "route1=10.9.0.0/16,0.0.0.0,100\nroute1_options=table=100\nroute2=10.9.0.0/16\nroute2_options=table=100\n"
    for routes in ((ROUTE, on_link), (ROUTE, on_link, {**on_link, "metric": 200})):
        assert differences(nic(), eth0(GATEWAY + twice + V6), routes=routes) == []


@pytest.mark.parametrize(
    "profile, found",
    [
        (eth0(V4 + V6, "autoconnect=false"), ["autoconnect: false -> true"]),
        (eth0(V4 + V6, "master=br9", "slave-type=bridge"), ["controller: br9 -> none"]),
        (stored("eth0", "u-1", "interface-name=eth7", groups=V4 + V6), ["bound to: eth7 -> eth0"]),
        (stored("eth0", "u-1", groups=V4 + V6 + "[match]\ninterface-name=ens*;\n"), ["bound to: ens* -> eth0"]),
        (
            stored("eth0", "u-1", groups=V4 + V6 + f"[ethernet]\nmac-address={NICS[1]}\n"),
            [f"bound to: {NICS[1]} -> eth0"],
        ),
        (stored("eth0", "u-1", groups=V4 + V6 + f"[ethernet]\nmac-address={NICS[0]}\n"), []),
        (eth0(V4 + V6 + f"[ethernet]\nmac-address-denylist={NICS[0]};\n"), ["bound to: other NICs -> eth0"]),
        (eth0(V4 + V6 + "[ethernet]\nmtu=9000\n"), ["mtu: 9000 -> 1500"]),
        (eth0(V4 + V6 + "[ethernet]\nmtu=0\n"), []),
    ],
)
def test_what_decides_where_the_profile_is_activated(profile: StoredProfile, found: list[str]) -> None:
    assert differences(nic(mtu=1500), profile) == found


def test_ports_and_their_controllers() -> None:
    bridge = {
        "name": "br0",
        "type": "linux-bridge",
        "state": "up",
        "mac-address": "00:14:4F:80:DE:00",
        "mtu": 1496,
        "bridge": {"port": [{"name": "eth0"}]},
        "ipv4": NO_IP,
    }
    desired = state(nic(), bridge)
    mac = "[ethernet]\ncloned-mac-address=00:14:4f:80:de:00\n[ipv4]\nmethod=disabled\n"
    controller = stored("br0", "u-2", "interface-name=br0", type="bridge", groups=mac)
    port = eth0("[ipv4]\nmethod=auto\n", "controller=u-2", "port-type=bridge")
    assert find_stored_differences(desired, host(desired, port, controller), {}) == {}, "a port has no addresses"
    free = replace(host(desired, eth0(), controller.changed({"ethernet": {"cloned-mac-address": None, "mtu": "1500"}})))
    found = find_stored_differences(desired, free, {})
    assert [difference.path for difference in found["eth0"]] == ["controller"]
    assert [difference.path for difference in found["br0"]] == ["mac-address", "mtu"]


def test_vlans() -> None:
    vlan = {"name": "eth0.5", "type": "vlan", "state": "up", "vlan": {"base-iface": "eth0", "id": 5}, "mtu": 1400}
    right = stored("eth0.5", "u-5", "interface-name=eth0.5", type="vlan", groups="[vlan]\nparent=u-1\nid=5\n")
    assert differences(vlan, right, eth0()) == [], "without an MTU it has that of its base interface"
    wrong = right.changed({"vlan": {"parent": "eth1", "id": "6"}})
    assert differences(vlan, wrong) == ["parent: eth1 -> eth0", "vlan.id: 6 -> 5"]


def test_options_of_bonds_and_bridges() -> None:
    bond = {"name": "bond0", "type": "bond", "state": "up", "link-aggregation": {"mode": "802.3ad", "port": ["eth0"]}}
    keyfile = stored("bond0", "u-2", "interface-name=bond0", type="bond", groups="[bond]\nmode=802.3ad\n")
    assert differences(bond, keyfile) == []
    assert differences(bond, keyfile.changed({"bond": {"mode": "balance-rr"}})) == ["bond.mode: balance-rr -> 802.3ad"]
    bridge = {"name": "br0", "type": "linux-bridge", "state": "up", "bridge": {"options": {"stp": {"enabled": False}}}}
    keyfile = stored("br0", "u-2", "interface-name=br0", type="bridge", groups="[bridge]\nstp=false\n")
    assert differences(bridge, keyfile) == []
    assert differences(bridge, keyfile.changed({"bridge": {"stp": None}})) == ["bridge.stp: true -> false"]


def test_of_ifcfg_files_options_are_not_known() -> None:
    text = "DEVICE=bond0\nTYPE=Bond\nBONDING_MASTER=yes\nBONDING_OPTS=mode=4\nUUID=u-2\nBOOTPROTO=none\n"
    keyfile = read_ifcfg(f"{IFCFG_FOLDER}/ifcfg-bond0", text)
    assert keyfile is not None
    bond = {"name": "bond0", "type": "bond", "state": "up", "link-aggregation": {"mode": "802.3ad", "port": ["eth0"]}}
    live = host(
        state(bond),
        replace(keyfile, groups={**keyfile.groups, "connection": {**keyfile.groups["connection"], "id": "bond0"}}),
    )
    assert find_stored_differences(state(bond), live, {}) == {}


@pytest.mark.parametrize("options, found", [(("kvmnet.bond",), []), (("quiet",), ["bound to: other NICs -> eth0"])])
def test_a_profile_may_depend_on_the_kernel_command_line(options: tuple[str, ...], found: list[str]) -> None:
    profile = eth0(V4 + V6 + "[match]\nkernel-command-line=kvmnet.bond;\n")
    desired = state(nic())
    live = host(desired, profile, files=boot_files(profile, options=options))
    texts = [d.text for d in find_stored_differences(desired, live, {}).get("eth0", ())]
    assert texts == [f"connection profile on disk: {text}" for text in found]


def test_a_keyfile_that_is_missing_or_ignored() -> None:
    desired = state(nic())
    live = host(desired, eth0(), files=boot_files())
    file = eth0().file
    assert find_stored_differences(desired, live, {}) == {"eth0": [StoredDifference("keyfile", "missing", file)]}
    reason = "is ignored by NetworkManager: its mode is 0644, not 0600"
    live = host(desired, eth0(), files=boot_files(problems=(f"{file} {reason}",)))
    [difference] = find_stored_differences(desired, live, {})["eth0"]
    assert difference.text == f"connection profile on disk: keyfile: {reason} -> {file}"


def test_what_is_written_anyway_is_not_compared() -> None:
    desired = state(nic())
    wrong = host(desired, eth0("[ipv4]\nmethod=auto\n"))
    assert find_stored_differences(desired, wrong, {}) != {}
    assert find_stored_differences(desired, replace(wrong, boot=None), {}) == {}
    assert find_stored_differences(desired, wrong, {"old": "eth0"}) == {}
    assert find_stored_differences(state({**nic(), "state": "down"}), wrong, {}) == {}
    assert find_stored_differences(desired, replace(wrong, profiles={}), {}) == {}
    memory = {"eth0": replace(wrong.profiles["eth0"], file="/run/x")}
    assert find_stored_differences(desired, replace(wrong, profiles=memory), {}) == {}
    other = {"eth0": replace(wrong.profiles["eth0"], type="bridge")}
    assert find_stored_differences(desired, replace(wrong, profiles=other), {}) == {}


def test_a_plan_shows_the_difference_and_writes_the_profile_again() -> None:
    desired = state(nic(), routes=(ROUTE,))
    bundle = Bundle("c", "h", "plain", (Nic("eth0", "eth0"),), desired, digest="d")
    live = replace(host(desired, eth0(V6 + V4)), applied="d", hook=None)
    plan = make_plan(bundle, live)
    assert plan.state == {"interfaces": [nic()], "routes": {"config": [ROUTE]}}, "the route is sent again"
    assert "~ change eth0: connection profile on disk: routes: none -> 0.0.0.0/0 via 10.1.1.1" in format_plan(plan)
    live = replace(live, boot=boot_files(eth0(GATEWAY + V6)))
    assert [change.kind for change in make_plan(bundle, live).changes if change.kind != "record"] == []


@pytest.mark.parametrize(
    ("keyfile", "expected"),
    [
        ("vlans=20-22,30,40 pvid untagged", None),
        ("vlans=22,20-21,30-30,40 pvid untagged", None),
        ("vlans=20-22", "bridge-port.vlans: 20-22 -> 20-22, 30, 40 untagged"),
        ("vlans=x", "bridge-port.vlans: none -> 20-22, 30, 40 untagged"),
        ("path-cost=1", "bridge-port.vlans: none -> 20-22, 30, 40 untagged"),
    ],
)
def test_the_vlans_of_a_port_are_in_its_profile(keyfile: str, expected: Optional[str]) -> None:
    tags = [{"id-range": {"min": 20, "max": 22}}, {"id": 30}]
    vlan = {"mode": "trunk", "enable-native": True, "tag": 40, "trunk-tags": tags}
    bridge = {"name": "br0", "type": "linux-bridge", "state": "up", "ipv4": NO_IP, "ipv6": NO_IP}
    desired = state(nic(ipv4=NO_IP), {**bridge, "bridge": {"options": {}, "port": [{"name": "eth0", "vlan": vlan}]}})
    port = stored(
        "eth0", "u-1", "interface-name=eth0", "master=br0", "slave-type=bridge", groups=f"[bridge-port]\n{keyfile}\n"
    )
    found = find_stored_differences(desired, host(desired, port), {}).get("eth0", [])
    assert [d.text.removeprefix("connection profile on disk: ") for d in found] == ([expected] if expected else [])
