"""A host with many VLAN bridges: the time for forty interfaces is limited."""

from __future__ import annotations

import signal

import pytest

from tests.faults import injection
from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS

TAGS = range(2, 22)
DEFINITION = "\n".join(
    [
        "kvmnet: 1",
        "cluster: many",
        "profile: plain",
        "networks:",
        f"  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}",
        *(f"  vlan-{tag}: {{vlan: {tag}, mtu: 1496}}" for tag in TAGS),
        "hosts:",
        "  many:",
        "    kvm: true",
        "    interfaces:",
        f"      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}",
        *(f"      eth0.{tag}: {{network: vlan-{tag}, bridge: true}}" for tag in TAGS),
        "",
    ]
)


@pytest.mark.guarantee("G51")
@pytest.mark.long
def test_a_removal_is_rolled_back_and_then_completed(host: Machine, peer: Machine) -> None:
    before = picture.whole(host)
    host.put("/root/cluster.yaml", DEFINITION)
    host.run("kvmnet apply --yes --timeout 600 /root/cluster.yaml", timeout=600)
    applied = picture.whole(host)
    ports = [link for link in applied["links"] if link.startswith("br-eth0.")]
    assert len(ports) == len(TAGS), ports
    job = host.start("exec kvmnet remove --yes")
    injection.wait_for_step(host, "restore the firewalld zones", timeout=300)
    result = job.stop(signal.SIGINT, timeout=900)
    assert result.code == 3, result
    assert not picture.differences(picture.whole(host), applied, applied)
    assert reachable(peer)
    host.run("kvmnet remove --yes", timeout=600)
    assert not picture.differences(picture.whole(host), before, before)
    assert reachable(peer)
