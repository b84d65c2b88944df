"""Connection profiles that serve several NICs, or find their NIC by a pattern: the NIC of the definition gets a copy,
the other NICs keep what they have, also over a reboot, and a removal leaves nothing behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.faults import injection
from tests.lab.transactions import online
from tests.machines import neighbour, picture
from tests.machines.machine import Machine, Nic
from tests.machines.outage import pings
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, PEER_MAC, seed_host, two_machines
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

SECOND_MAC, PEER_SECOND_MAC = "00:14:4f:80:de:01", "00:14:4f:80:ee:02"
FOLDER = "/etc/NetworkManager/system-connections"
#: As an image has it: one profile for every NIC.
SHARED = """[connection]
id=default
uuid=11111111-2222-4333-8444-555555555555
type=ethernet
multi-connect=3
autoconnect-retries=1

[ipv4]
method=auto

[ipv6]
method=disabled
"""
#: As netplan's NetworkManager renderer writes it for `match: {name: "eth*"}`.
PATTERN = f"""[connection]
id=netplan-uplink
uuid=22222222-2222-4333-8444-555555555555
type=ethernet

[match]
interface-name=eth*;!eth1;

[ipv4]
address1={HOST_ADDRESS}/16,{PEER_ADDRESS}
dns={PEER_ADDRESS}
method=manual

[ipv6]
method=disabled
"""
HEAD = """kvmnet: 1
cluster: shared
profile: POLICY
networks:
  lan: {subnets: [10.1.0.0/16], gateway: 10.1.1.1}
hosts:
  host:
    kvm: true
    interfaces:
"""
ONE = HEAD + f"      eth0: {{network: lan, mac: {HOST_MAC}, ipv4: dhcp}}\n"
BOTH = ONE + f"      eth1: {{mac: {SECOND_MAC}, bridge: true}}\n"
NOTHING = "host: nothing to do: the host matches the definition\n"
STATIC = HEAD + f"      eth0: {{network: lan, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}\n"


class Site(NamedTuple):
    host: Machine
    peer: Machine


@pytest.fixture(scope="module")
def site(lab: None, generation: str, wire: Wire) -> Iterator[Site]:
    """A host with two NICs on two wires, each with a DHCP server."""
    with Wire() as other:
        nics = [Nic(HOST_MAC, wire), Nic(SECOND_MAC, other)]
        doors = [Nic(PEER_MAC, wire), Nic(PEER_SECOND_MAC, other)]
        with two_machines(generation, nics, doors) as (host, peer):
            neighbour.speak(peer, {"eth1": ["10.7.0.1/24"]})
            neighbour.serve_leases(peer, "eth0", "10.1.4.100", "10.1.4.200")
            neighbour.serve_leases(peer, "eth1", "10.7.0.100", "10.7.0.200")
            seed_host(host)
            host.run(f"nmcli connection delete eth0; rm -f {FOLDER}/*; nmcli connection reload")
            yield Site(host, peer)


def use(host: Machine, name: str, text: str, *nics: str) -> None:
    """Make a profile the only one, and activate it on these NICs."""
    host.run(f"rm -f {FOLDER}/*; nmcli connection reload")
    host.put(f"{FOLDER}/{name}.nmconnection", text, mode=0o600)
    host.run("nmcli connection reload")
    for nic in nics:
        host.run(f"nmcli --wait 30 connection up {name} ifname {nic}", timeout=45)


def whole(host: Machine) -> dict[str, Any]:
    """Return a picture without what another activation changes: metrics that NetworkManager chooses."""
    return picture.without_metrics(picture.whole(host))


def wait_for_address(host: Machine, interface: str, wanted: list[str]) -> None:
    for _ in range(60):
        if picture.all_addresses(host).get(interface) == wanted:
            return
        time.sleep(0.5)
    assert picture.all_addresses(host).get(interface) == wanted, host.out("nmcli connection; ip -br address")


def second_nic(host: Machine) -> tuple[Any, ...]:
    """Return what the NIC has that is not in the definition: its index, addresses and profile."""
    link = picture.link(host, "eth1")
    profile = host.out("nmcli -g GENERAL.CON-UUID device show eth1")
    return link["ifindex"], link["flags"], picture.addresses(host, "eth1"), profile


def kept(host: Machine, policy: str, seen: Any, addresses: list[str]) -> None:
    """Check the host with the change: the bridge has the address, and the other NIC is unchanged."""
    nic, bridge = ("peth0", "eth0") if policy == "rocks" else ("eth0", "br-eth0")
    wait_for_address(host, bridge, addresses)
    assert picture.link(host, nic)["master"] == bridge
    assert second_nic(host)[2:] == seen[2:]
    assert host.run("kvmnet apply /root/cluster.yaml").stdout.endswith(
        "nothing to do: the host matches the definition\n"
    )


@pytest.mark.guarantee("G66")
@pytest.mark.parametrize("policy", ["rocks", "plain"])
def test_a_profile_for_all_nics_stays_for_the_others(site: Site, policy: str) -> None:
    host, peer = site
    use(host, "default", SHARED, "eth0", "eth1")
    before, seen = whole(host), second_nic(host)
    addresses = picture.addresses(host, "eth0")
    host.put("/root/cluster.yaml", ONE.replace("POLICY", policy))

    told = host.out("kvmnet plan /root/cluster.yaml", timeout=60)
    note = "the connection profile default of eth0 also serves eth1: eth0 gets a copy of it, and default is not changed"
    assert note in told
    result = host.run("kvmnet apply --yes --confirm-within 10 /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 3, result
    wait_for_address(host, "eth0", addresses)
    assert not (found := picture.differences(whole(host), before, before)), found

    with pings(peer, picture.addresses(host, "eth1")[0].partition("/")[0]) as answers:
        result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    assert answers.lost == 0, "the NIC that is not in the definition was interrupted"
    assert second_nic(host) == seen
    kept(host, policy, seen, addresses)
    assert host.get(f"{FOLDER}/default.nmconnection").decode() == SHARED

    host.reboot()
    online(host)
    wait_for_address(host, "eth1", seen[2])
    kept(host, policy, seen, addresses)

    result = host.run("kvmnet remove --yes", check=False, timeout=240)
    assert result.code == 0, result
    wait_for_address(host, "eth0", addresses)
    assert second_nic(host)[2:] == seen[2:]
    assert not (found := picture.differences(whole(host), before, set(before) - {"links"})), found
    assert host.out(f"ls -A {FOLDER}") == "default.nmconnection"


@pytest.mark.guarantee("G66")
def test_two_nics_of_the_definition_may_share_a_profile(site: Site) -> None:
    host, _ = site
    use(host, "default", SHARED, "eth0", "eth1")
    before = whole(host)
    addresses = picture.addresses(host, "eth0")
    host.put("/root/cluster.yaml", BOTH.replace("POLICY", "rocks"))
    result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    for _ in range(2):
        wait_for_address(host, "eth0", addresses)
        assert [picture.link(host, nic)["master"] for nic in ("peth0", "peth1")] == ["eth0", "eth1"]
        host.reboot()
        online(host)
    result = host.run("kvmnet remove --yes", check=False, timeout=240)
    assert result.code == 0, result
    wait_for_address(host, "eth0", addresses)
    wait_for_address(host, "eth1", before["addresses"]["eth1"])
    assert not (found := picture.differences(whole(host), before, set(before) - {"links"})), found


@pytest.mark.guarantee("G66")
@pytest.mark.parametrize("policy", ["rocks", "plain"])
def test_a_profile_with_a_name_pattern_is_copied(site: Site, policy: str) -> None:
    """After the rename the pattern does not match any more."""
    host, peer = site
    use(host, "netplan-uplink", PATTERN, "eth0")
    before, seen = whole(host), second_nic(host)
    host.put("/root/cluster.yaml", STATIC.replace("POLICY", policy))
    result = host.run("kvmnet apply --yes --confirm-within 10 /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 3, result
    assert not (found := picture.differences(whole(host), before, before)), found

    with pings(peer) as answers:
        result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    print(f"{host.generation} {policy}: {answers.longest} s without a reply")
    assert second_nic(host) == seen
    kept(host, policy, seen, [f"{HOST_ADDRESS}/16"])
    host.power_cut()
    host.boot()
    online(host)
    kept(host, policy, seen, [f"{HOST_ADDRESS}/16"])

    result = host.run("kvmnet remove --yes", check=False, timeout=240)
    assert result.code == 0, result
    assert not (found := picture.differences(whole(host), before, set(before) - {"links"})), found


def test_a_power_cut_between_the_name_and_the_profiles_leaves_a_host_with_its_address(site: Site) -> None:
    """The NIC has its new name then, which the pattern does not match: the copy is on the disk already. Here the boot
    does not roll the change back, so the files alone decide."""
    host, _ = site
    use(host, "netplan-uplink", PATTERN, "eth0")
    before = whole(host)
    host.put("/root/cluster.yaml", STATIC.replace("POLICY", "rocks"))
    titles = json.loads(host.out("kvmnet plan --json /root/cluster.yaml", timeout=60))["steps"]
    injection.pause(host, titles.index("write the .link files to /etc (permanent)"), event="done")
    job = host.start("kvmnet apply --yes /root/cluster.yaml")
    injection.wait_paused(host, job)
    host.run("systemctl disable kvmnet-boot-undo kvmnet-boot-verify; sync")
    host.power_cut()
    host.boot()
    online(host)
    assert picture.addresses(host, "peth0") == [f"{HOST_ADDRESS}/16"]
    assert host.run("kvmnet rollback --yes", check=False, timeout=200).code == 0
    assert not (found := picture.differences(whole(host), before, set(before) - {"links"})), found
