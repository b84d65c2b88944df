"""Two NICs: both become ports of a bridge in one transaction, or neither does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import injection
from tests.lab.test_refusals import apply, refused
from tests.machines import picture
from tests.machines.machine import Machine, Nic
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, PEER_MAC, keyfile, seed_host, two_machines
from tests.machines.ssh import anew, way_in
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

SECOND_MAC = "00:14:4f:80:de:01"
DEFINITION = f"""kvmnet: 1
cluster: two
profile: rocks
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}, dns: {{servers: [{PEER_ADDRESS}], search: [local]}}}}
  public: {{subnets: [192.0.2.0/24, 2001:db8::/64], default_route: false}}
hosts:
  two:
    kvm: true
    hostname: two.local
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}
      eth1: {{network: public, mac: {SECOND_MAC}, addresses: [192.0.2.7, "2001:db8::7"]}}
"""

SWAPPED = (
    DEFINITION.partition("      eth0:")[0]
    + f"""\
      eth0: {{network: public, mac: {SECOND_MAC}, addresses: [192.0.2.7, "2001:db8::7"]}}
      eth1: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}
"""
)


@pytest.fixture(scope="module")
def pair(lab: None, generation: str, wire: Wire) -> Iterator[tuple[Machine, Machine]]:
    """The example host with a second NIC, and its gateway."""
    with Wire() as other:  # no other machine is on it
        nics = [Nic(HOST_MAC, wire), Nic(SECOND_MAC, other)]
        with two_machines(generation, nics, [Nic(PEER_MAC, wire)]) as (host, peer):
            uuid = "5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e11"
            second = keyfile("eth1", "192.0.2.7", prefix=24, gateway=None, uuid=uuid, zone="trusted")
            host.put("/etc/NetworkManager/system-connections/eth1.nmconnection", second, mode=0o600)
            seed_host(host, zone="trusted", default_zone="drop")
            host.run("nmcli --wait 30 connection up eth1")
            host.put("/root/cluster.yaml", DEFINITION)
            yield host, peer


@pytest.mark.guarantee("G60")
def test_a_name_that_the_kernel_gives_to_another_nic_is_refused(pair: tuple[Machine, Machine]) -> None:
    """This needs a host with two NICs (the other refusals are in test_refusals.py). Nothing is changed."""
    host, peer = pair
    host.put("/root/refused.yaml", SWAPPED.replace("{network: p", "{bridge: false, network: p"))
    before = picture.whole(host)
    words = f"NIC {SECOND_MAC} would be named eth0, but at boot the kernel gives this name to NIC {HOST_MAC}"
    refused(apply(host, definition="refused.yaml"), "KVN544", words)
    assert picture.whole(host) == before
    assert set(host.out("ls -A /var/lib/kvmnet").split()) <= {"lock"}, "something was opened"
    assert reachable(peer)


@pytest.mark.guarantee("G01")
def test_a_bad_change_of_two_nics_is_rolled_back(pair: tuple[Machine, Machine]) -> None:
    host, peer = pair
    before = picture.without_metrics(picture.whole(host))
    host.put("/root/bad.yaml", DEFINITION.replace("10.1.", "10.2."))
    result = host.run("kvmnet apply /root/bad.yaml", check=False, timeout=210)
    assert result.code == 3, result
    assert picture.without_metrics(picture.whole(host)) == before
    assert reachable(peer)


@pytest.mark.guarantee("G46")
def test_a_nic_defined_as_down_stays_down_after_a_power_cut(pair: tuple[Machine, Machine]) -> None:
    """It is up again if the definition changes, or after a removal."""
    host, peer = pair
    before = picture.without_metrics(picture.whole(host))
    down = DEFINITION.partition("      eth1:")[0].replace("    hostname: two.local\n", "")
    host.put("/root/down.yaml", f"{down}      eth1: {{mac: {SECOND_MAC}, state: down}}\n")
    result = host.run("kvmnet apply --yes /root/down.yaml", check=False, timeout=150)
    assert result.code == 0, result
    assert picture.all_addresses(host).get("eth1", []) == []
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60")
    assert picture.all_addresses(host).get("eth1", []) == []
    assert reachable(peer)
    assert host.run("kvmnet plan --exit-code /root/down.yaml", check=False).code == 0
    result = host.run("kvmnet remove --yes", check=False, timeout=150)
    assert result.code == 0, result
    assert picture.without_metrics(picture.whole(host)) == before
    assert reachable(peer)


def test_two_bridges_with_all_their_addresses_also_after_a_power_cut(pair: tuple[Machine, Machine]) -> None:
    host, peer = pair
    result = host.run("kvmnet apply /root/cluster.yaml", check=False, timeout=150)
    assert result.code == 0, result
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60")
    for bridge, mac, wanted in (
        ("eth0", HOST_MAC, [f"{HOST_ADDRESS}/16"]),
        ("eth1", SECOND_MAC, ["192.0.2.7/24", "2001:db8::7/64"]),
    ):
        nic = picture.link(host, f"p{bridge}")
        assert (nic["master"], nic["address"], nic["promiscuity"]) == (bridge, mac, 2)
        assert picture.addresses(host, bridge) == wanted
    assert host.out("hostname; cat /etc/hostname") == "two.local\ntwo.local"
    assert picture.default_routes(host) == [(PEER_ADDRESS, "eth0", 100)]
    assert reachable(peer)
    assert host.run("kvmnet apply /root/cluster.yaml").stdout == "two: nothing to do: the host matches the definition\n"


@pytest.mark.guarantee("G37")
def test_a_connection_over_an_unaffected_nic_cannot_confirm(pair: tuple[Machine, Machine]) -> None:
    host, peer = pair
    ssh = way_in(host, peer)
    before = picture.without_metrics(picture.whole(host))
    host.put("/root/more.yaml", DEFINITION.replace('"2001:db8::7"', '"2001:db8::7", "2001:db8::8"'))
    job = host.start("exec kvmnet apply --yes --confirm-within 30 /root/more.yaml")
    host.until("kvmnet status | grep -q 'now: wait for `kvmnet confirm`'", timeout=90)
    word = peer.run(f"{anew(ssh)} kvmnet confirm", check=False)
    assert (word.code, "uses eth0, which the change does not affect" in word.stderr) == (5, True), word
    assert "to an address of eth1" in word.stderr
    assert job.wait(90).code == 3
    assert picture.without_metrics(picture.whole(host)) == before


@pytest.mark.guarantee("G44")
def test_nics_swap_their_names(pair: tuple[Machine, Machine]) -> None:
    """Through a temporary name: rolled back after a fault in the trial, then kept, also after a power cut."""
    host, peer = pair
    before = picture.without_metrics(picture.whole(host))
    host.put("/root/swapped.yaml", SWAPPED)
    with injection.nmstatectl(host, 'echo "NmstateError: not today" >&2; exit 1'):
        result = host.run("kvmnet apply --yes /root/swapped.yaml", check=False, timeout=240)
    assert result.code == 3, result
    assert picture.without_metrics(picture.whole(host)) == before
    result = host.run("kvmnet apply --yes /root/swapped.yaml", check=False, timeout=240)
    assert result.code == 0, result
    swapped(host, peer)
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60")
    swapped(host, peer)
    assert host.run("kvmnet apply /root/swapped.yaml").stdout == "two: nothing to do: the host matches the definition\n"


def swapped(host: Machine, peer: Machine) -> None:
    for bridge, mac, wanted in (
        ("eth1", HOST_MAC, [f"{HOST_ADDRESS}/16"]),
        ("eth0", SECOND_MAC, ["192.0.2.7/24", "2001:db8::7/64"]),
    ):
        nic = picture.link(host, f"p{bridge}")
        assert (nic["master"], nic["address"]) == (bridge, mac)
        assert picture.addresses(host, bridge) == wanted
    assert picture.default_routes(host) == [(PEER_ADDRESS, "eth1", 100)]
    assert not [name for name in picture.all_addresses(host) if name.startswith("kvmnet")]
    assert reachable(peer)


BOND = f"""kvmnet: 1
cluster: two
profile: plain
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
hosts:
  two:
    interfaces:
      eth0: {{mac: {HOST_MAC}}}
      eth1: {{mac: {SECOND_MAC}}}
      bond0: {{network: private, ports: [eth0, eth1], addresses: [{HOST_ADDRESS}]OPTIONS}}
"""


@pytest.mark.guarantee("G45")
def test_removed_bond_options_return_to_their_defaults(pair: tuple[Machine, Machine]) -> None:
    """Also `primary`, which nmstate cannot remove, and arp_interval, which excludes another option. In the previous
    definition the NICs have swapped names and are ports of bridges; here they get their own names."""
    host, peer = pair

    def options() -> list[str]:
        names = ("primary", "miimon", "arp_interval", "arp_ip_target")
        return [host.out(f"cat /sys/class/net/bond0/bonding/{name}") for name in names]

    host.put("/root/bond.yaml", BOND.replace("OPTIONS", ", options: {primary: eth0, miimon: 50}"))
    host.put(
        "/root/less.yaml", BOND.replace("OPTIONS", f", options: {{arp_interval: 500, arp_ip_target: [{PEER_ADDRESS}]}}")
    )
    result = host.run("kvmnet apply --yes /root/bond.yaml", check=False, timeout=240)
    assert result.code == 0, result.stdout
    assert options() == ["eth0", "50", "0", ""]
    links = [picture.link(host, name) for name in ("eth0", "eth1")]
    assert [link.get("permaddr", link["address"]) for link in links] == [HOST_MAC, SECOND_MAC]
    before = picture.without_metrics(picture.whole(host))
    with injection.nmstatectl(host, '$REAL "$@"; echo "NmstateError: after all was done" >&2; exit 1'):
        assert host.run("kvmnet apply --yes /root/less.yaml", check=False, timeout=240).code == 3
    # NetworkManager's rollback leaves the target, which means nothing without an interval
    assert options()[:3] == ["eth0", "50", "0"]
    assert not (found := picture.differences(picture.without_metrics(picture.whole(host)), before, before)), found
    result = host.run("kvmnet apply --yes /root/less.yaml", check=False, timeout=240)
    assert result.code == 0, result
    assert options() == ["", "0", "500", PEER_ADDRESS]
    assert host.run("kvmnet apply /root/less.yaml").stdout == "two: nothing to do: the host matches the definition\n"
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60")
    assert options() == ["", "0", "500", PEER_ADDRESS]
    assert reachable(peer)


def test_a_rollback_is_refused_while_a_nic_is_away(pair: tuple[Machine, Machine]) -> None:
    """A definition would be refused as that of another host."""
    host, peer = pair
    host.run("ip link set eth1 down")
    host.pull_out(1)
    before, history = picture.whole(host), host.out("kvmnet history")
    result = host.run("kvmnet rollback --yes", check=False, timeout=120)
    refused(result, "KVN520", f"NIC eth1 is missing: no NIC has the permanent MAC {SECOND_MAC}")
    assert picture.whole(host) == before
    assert host.out("kvmnet history") == history
    assert reachable(peer)
