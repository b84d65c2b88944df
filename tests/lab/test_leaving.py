"""Interfaces that are removed from the definition are deleted from the host if kvmnet created them; those of another
tool are adopted or refused.

Each test continues with the host of the previous one. kvmnet adds and deletes a VLAN and its bridge beside a bridge of
another tool.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults import injection
from tests.machines import picture
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable
from tests.machines.seed import HOST_MAC

pytestmark = pytest.mark.make_test()

HEAD = """\
kvmnet: 1
cluster: left
profile: plain
networks:
  private: {subnets: [10.1.0.0/16], gateway: 10.1.1.1, mtu: 1496}
  storage: {subnets: [10.5.0.0/24], vlan: 5, mtu: 1496}
hosts:
  host:
    kvm: true
    interfaces:
"""
NIC = f"      eth0: {{network: private, bridge: false, mac: {HOST_MAC}, addresses: [10.1.255.254]}}\n"
VLAN = "      eth0.5: {network: storage, bridge: true, addresses: [10.5.0.7]}\n"
HAND = """\
interfaces:
- name: br-hand
  type: linux-bridge
  state: up
  bridge: {options: {stp: {enabled: false}}, port: []}
  ipv4: {enabled: true, dhcp: false, address: [{ip: 10.77.0.1, prefix-length: 24}]}
  ipv6: {enabled: false}
"""
RESCUE = "/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz"


def apply(host: Machine, definition: str, *options: str) -> Result:
    host.put("/root/cluster.yaml", definition)
    return host.run(["kvmnet", "apply", "--yes", *options, "/root/cluster.yaml"], check=False, timeout=120)


def plan(host: Machine, definition: str) -> dict[str, Any]:
    host.put("/root/cluster.yaml", definition)
    found: dict[str, Any] = json.loads(host.out("kvmnet plan --json /root/cluster.yaml"))
    return found


def theirs(host: Machine) -> list[str]:
    """Return everything about the bridge of the other tool: its link, its addresses, and its profile with the file's
    inode."""
    return [
        host.out(
            "ip -d -j link show dev br-hand | python3 -c 'import json,sys; print(json.load(sys.stdin)[0][\"ifindex\"])'"
        ),
        host.out("ip -br address show dev br-hand"),
        host.out("stat -c '%i %Y %n' /etc/NetworkManager/system-connections/br-hand.nmconnection"),
    ]


BRIDGED = HEAD + NIC.replace("bridge: false, ", "")


@pytest.fixture
def by_hand(host: Machine) -> None:
    """The NIC is a port of a bridge that another tool created, with the settings of the definition."""
    host.put("/root/cluster.yaml", BRIDGED)
    host.run(
        "kvmnet render /root/cluster.yaml -o /root/states && nmstatectl apply /root/states/host/nmstate.yml", timeout=90
    )


@pytest.mark.guarantee("G51")
def test_a_bridge_from_before_kvmnet_is_unchanged(host: Machine, request: Any) -> None:
    """It is adopted, changed, and restored."""
    keyfile = "/etc/NetworkManager/system-connections/eth0.nmconnection"
    host.run(f"cp -p {keyfile} /root/eth0.nmconnection")
    first = picture.whole(host)
    request.getfixturevalue("by_hand")
    before = picture.whole(host)
    assert apply(host, BRIDGED, "--adopt").code == 0
    result = apply(host, BRIDGED.replace("mtu: 1496}", "mtu: 1400}", 1))
    assert result.code == 0, result
    assert picture.link(host, "br-eth0")["mtu"] == 1400
    given = host.run("kvmnet remove --yes", check=False, timeout=120)
    assert given.code == 0, given.stdout
    assert not (found := picture.differences(picture.whole(host), before, before)), found
    host.run(
        f"nmcli connection delete br-eth0; cp -p /root/eth0.nmconnection {keyfile}; nmcli connection reload; "
        "nmcli connection up eth0"
    )
    assert not (found := picture.differences(picture.whole(host), first, ("links", "addresses", "routes"))), found


def test_a_vlan_bridge_is_added_beside_a_bridge_of_another_tool(host: Machine, peer: Machine) -> None:
    host.put("/root/hand.yml", HAND)
    host.run("nmstatectl apply /root/hand.yml", timeout=90)
    result = apply(host, HEAD + NIC + VLAN)
    assert result.code == 0, result
    assert picture.link(host, "eth0.5")["master"] == "br-eth0.5"
    assert picture.addresses(host, "br-eth0.5") == ["10.5.0.7/24"]
    assert plan(host, HEAD + NIC + VLAN)["empty"]


@pytest.mark.guarantee("G50")
def test_removed_interfaces_are_restored_if_nmstate_fails(host: Machine, peer: Machine) -> None:
    before, hand = picture.whole(host), theirs(host)
    assert [c["what"] for c in plan(host, HEAD + NIC)["changes"]] == ["remove"] * 3
    with injection.nmstatectl(host, '$REAL "$@"; echo "NmstateError: Bug: after all was done" >&2; exit 1'):
        result = apply(host, HEAD + NIC)
    assert result.code == 3, result
    assert picture.whole(host) == before
    assert theirs(host) == hand


@pytest.mark.guarantee("G50")
def test_an_interface_removed_from_the_definition_is_deleted_and_one_of_another_tool_stays(
    host: Machine, peer: Machine
) -> None:
    hand = theirs(host)
    result = apply(host, HEAD + NIC)
    assert result.code == 0, result
    assert "remove br-eth0.5: the linux-bridge is no longer in the definition" in result.stdout
    assert set(picture.all_addresses(host)) == {"lo", "eth0", "br-hand"}
    files = host.out("ls /etc/NetworkManager/system-connections /run/NetworkManager/system-connections")
    assert "eth0.5" not in files
    assert theirs(host) == hand
    assert plan(host, HEAD + NIC)["empty"]
    assert reachable(peer)


@pytest.mark.guarantee("G25")
def test_a_removal_of_interfaces_interrupted_before_its_last_event_is_rolled_back(host: Machine, peer: Machine) -> None:
    """Their profiles are deleted already; only the event that the change is kept is missing. Both interfaces are
    restored."""
    assert apply(host, HEAD + NIC + VLAN).code == 0
    before = picture.whole(host)
    assert apply(host, HEAD + NIC).code == 0
    injection.reopen_last(host)
    result = host.run(RESCUE, timeout=120, check=False)
    assert result.code == 3, result
    assert picture.whole(host) == before
    assert plan(host, HEAD + NIC + VLAN)["empty"], "the applied record is restored too"
    assert apply(host, HEAD + NIC).code == 0


@pytest.mark.guarantee("G50")
def test_an_inactive_interface_removed_from_the_definition_is_deleted(host: Machine, peer: Machine) -> None:
    """Only its connection profiles exist; the next boot would activate them."""
    assert apply(host, HEAD + NIC + VLAN).code == 0
    host.run("nmcli connection down br-eth0.5; nmcli connection down eth0.5; true", timeout=90)
    host.until("! ls -d /sys/class/net/*eth0.5 2>/dev/null", timeout=30)
    before = picture.whole(host)
    result = apply(host, HEAD + NIC)
    assert result.code == 0, result
    assert "eth0.5" not in host.out("ls /etc/NetworkManager/system-connections /run/NetworkManager/system-connections")
    injection.reopen_last(host)
    result = host.run(RESCUE, timeout=120, check=False)
    assert result.code == 3, result
    assert picture.whole(host) == before, "the rollback restores the profiles but does not activate them"
    assert apply(host, HEAD + NIC).code == 0


@pytest.mark.guarantee("G50")
def test_a_deleted_interface_stays_deleted_after_a_power_cut(host: Machine, peer: Machine) -> None:
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    assert set(picture.all_addresses(host)) == {"lo", "eth0", "br-hand"}
    assert plan(host, HEAD + NIC)["empty"]


def servers(host: Machine) -> dict[str, Any]:
    """Return the name servers of the connection profiles; NetworkManager does not write resolv.conf on this machine."""
    found: dict[str, Any] = json.loads(host.out("nmstatectl show --json"))["dns-resolver"].get("config", {})
    return {key: found.get(key, []) for key in ("server", "search")}


@pytest.mark.guarantee("G45")
def test_a_key_removed_from_the_definition_returns_to_its_default(host: Machine, peer: Machine) -> None:
    """Settings of the applied bundle that the new one does not contain: MTU, name servers."""
    more = HEAD.replace("gateway: 10.1.1.1,", "gateway: 10.1.1.1, dns: {servers: [10.1.1.1], search: [left.example]},")
    assert apply(host, more + NIC).code == 0
    assert picture.link(host, "eth0")["mtu"] == 1496
    assert servers(host) == {"server": ["10.1.1.1"], "search": ["left.example"]}
    less = HEAD.replace(", mtu: 1496", "")
    result = apply(host, less + NIC)
    assert result.code == 0, result
    assert "~ change eth0: mtu: 1496 -> 1500" in result.stdout
    assert picture.link(host, "eth0")["mtu"] == 1500
    assert not any(servers(host).values())
    assert plan(host, less + NIC)["empty"]
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    assert picture.link(host, "eth0")["mtu"] == 1500
    assert not any(servers(host).values())
    assert plan(host, less + NIC)["empty"]
    assert reachable(peer)
    assert apply(host, HEAD + NIC).code == 0


@pytest.mark.guarantee("G47")
def test_a_change_of_only_routes_and_name_servers_is_saved_to_disk(host: Machine, peer: Machine) -> None:
    """The state contains no interface for them. nmstate puts them into a profile of its choice, in memory."""
    named = HEAD.replace("gateway: 10.1.1.1,", "gateway: 10.1.1.1, dns: {servers: [10.1.1.1], search: [left.example]},")
    routed = named.replace("    kvm: true\n", "    kvm: true\n    routes: [{to: 10.9.0.0/16, via: 10.1.1.2}]\n")
    assert apply(host, HEAD + NIC).code == 0
    for definition in (named + NIC, routed + NIC):
        result = apply(host, definition)
        assert result.code == 0, result
        assert "~ change eth0" not in result.stdout
        assert host.run("ls /run/NetworkManager/system-connections | grep -v '^lo'", check=False).stdout == ""
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    assert servers(host) == {"server": ["10.1.1.1"], "search": ["left.example"]}
    assert "10.9.0.0/16 via 10.1.1.2" in host.out("ip route show")
    assert plan(host, routed + NIC)["empty"]
    assert apply(host, HEAD + NIC).code == 0


def test_an_existing_bridge_with_other_settings_is_refused(host: Machine, peer: Machine, by_hand: None) -> None:
    before = picture.whole(host)
    result = apply(host, BRIDGED.replace("mtu: 1496}", "mtu: 1400}", 1))
    assert (result.code, "KVN524: the bridge br-eth0 was not created by kvmnet" in result.stderr) == (5, True), result
    assert "mtu: 1496 -> 1400" in result.stderr
    result = apply(host, HEAD + NIC)
    assert (result.code, "KVN530: eth0 is a port of br-eth0" in result.stderr) == (5, True), result
    assert picture.whole(host) == before


def test_an_existing_bridge_with_the_same_settings_is_adopted(host: Machine, peer: Machine) -> None:
    def seen() -> dict[str, Any]:
        """Return the picture without the one file that is added: it keeps NetworkManager from managing guests'
        devices."""
        found, file = picture.whole(host), "/etc/NetworkManager/conf.d/90-kvmnet-guests.conf"
        return {**found, **{k: {p: v for p, v in found[k].items() if p != file} for k in ("files", "settings")}}

    before = seen()
    refused = apply(host, BRIDGED)
    assert (refused.code, "KVN536" in refused.stderr, "--adopt" in refused.stderr) == (5, True, True), refused
    found = json.loads(host.out("kvmnet plan --json --adopt /root/cluster.yaml"))
    assert [c["what"] for c in found["changes"]] == ["change", "file", "file"]
    assert found["adopted"] == ["br-eth0"]
    assert apply(host, BRIDGED, "--adopt").code == 0
    assert not (differing := picture.differences(seen(), before, ("links", "addresses", "routes", "profiles"))), (
        differing
    )
    assert plan(host, BRIDGED)["empty"], "the permission is needed once"
    result = apply(host, BRIDGED.replace("mtu: 1496}", "mtu: 1400}", 1))
    assert result.code == 0, result
    assert picture.link(host, "br-eth0")["mtu"] == 1400
    result = apply(host, HEAD + NIC)
    assert (result.code, "KVN530" in result.stderr) == (5, True), (
        "another tool created it, so kvmnet must not delete it"
    )
    with_bridge = picture.whole(host)
    refused = host.run("kvmnet remove --yes", check=False, timeout=120)
    reason = "KVN562: eth0 is now a port of br-eth0, which was created by another tool"
    assert (refused.code, reason in refused.stderr) == (5, True), refused
    assert picture.whole(host) == with_bridge
