"""The firewalld zone of an interface, set by a key of the definition, while the default zone lets nobody in.

Each test continues with the host of the previous one.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.transactions import apply, online
from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS

pytestmark = pytest.mark.make_test()

DEFINITION = f"""kvmnet: 1
cluster: zones
profile: plain
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}ZONE}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}], description: the cable to the peer}}
"""
WITHOUT, TRUSTED, WORK = (DEFINITION.replace("ZONE", zone) for zone in ("", ", zone: trusted", ", zone: work"))
PROFILE = "/etc/NetworkManager/system-connections/br-eth0.nmconnection"
NOTHING = "host: nothing to do: the host matches the definition\n"


def zone_of(host: Machine) -> tuple[str, bool]:
    """Return the live zone of br-eth0, and whether its profile on disk has the same."""
    zone = host.out("firewall-cmd --get-zone-of-interface=br-eth0 || true", timeout=30).strip()
    return zone, f"zone={zone}" in host.out(["cat", PROFILE]).splitlines()


def change(host: Machine, definition: str, code: int = 0) -> str:
    host.put("/root/cluster.yaml", definition)
    result = apply(host)
    assert result.code == code, result
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def before(host: Machine) -> dict[str, Any]:
    """The host before kvmnet, without a zone of its own: the default zone is drop, so nobody comes in."""
    host.run("nmcli connection modify eth0 connection.zone ''")
    host.until("! firewall-cmd --get-zone-of-interface=eth0 | grep -q trusted")
    return picture.without_metrics(picture.whole(host))


def test_a_new_bridge_is_in_the_zone_of_the_definition(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    assert not reachable(peer)
    change(host, TRUSTED)
    assert zone_of(host) == ("trusted", True)
    assert reachable(peer)
    assert apply(host).stdout == NOTHING


def test_another_zone_is_set_and_read_back(host: Machine, peer: Machine) -> None:
    """`work` accepts SSH. No link and no address is touched."""
    index = picture.link(host, "br-eth0")["ifindex"]
    host.put("/root/cluster.yaml", WORK)
    plan = host.run("kvmnet plan /root/cluster.yaml", check=False).stdout
    assert "change br-eth0 (the cable to the peer): firewalld zone: trusted -> work" in plan
    change(host, WORK)
    assert zone_of(host) == ("work", True)
    assert picture.link(host, "br-eth0")["ifindex"] == index
    assert apply(host).stdout == NOTHING


def test_drift_of_firewalld_and_of_the_profile_is_found_and_repaired(host: Machine) -> None:
    host.run("firewall-cmd --zone=public --change-interface=br-eth0", check=False, timeout=30)
    plan = host.run("kvmnet plan /root/cluster.yaml", check=False).stdout
    assert "firewalld zone: public -> work" in plan
    change(host, WORK)
    assert zone_of(host) == ("work", True)


def test_an_unknown_zone_is_refused(host: Machine) -> None:
    output = change(host, TRUSTED.replace("trusted", "trustd"), code=5)
    assert "KVN518" in output and "did you mean trusted?" in output
    assert zone_of(host) == ("work", True)


def test_a_rollback_restores_the_zone(host: Machine, peer: Machine) -> None:
    """A bad change that also changes the zone, and one that is rolled back later."""
    seen = picture.whole(host)
    change(host, TRUSTED.replace("10.1.", "10.2."), code=3)
    assert picture.whole(host) == seen
    change(host, TRUSTED)
    assert zone_of(host) == ("trusted", True)
    assert host.run("kvmnet rollback --yes", check=False, timeout=180).code == 0
    assert zone_of(host) == ("work", True)


def test_the_zone_survives_a_reboot_and_stays_without_the_key(host: Machine, peer: Machine) -> None:
    change(host, TRUSTED)
    host.reboot()
    online(host)
    assert zone_of(host) == ("trusted", True)
    assert reachable(peer)
    assert "br-eth0, eth0: the cable to the peer" in host.out("kvmnet status")
    change(host, WITHOUT)
    assert zone_of(host) == ("trusted", True)


def test_a_removal_restores_the_host(host: Machine, before: dict[str, Any]) -> None:
    result = host.run("kvmnet remove --yes", check=False, timeout=180)
    assert result.code == 0, result
    assert picture.without_metrics(picture.whole(host)) == before
