"""Targets that reply before a change must reply after it: probes of the definition, name servers, an IPv6 link-local
gateway.

The gateway ignores echo requests, so ARP and NDP are used. Each test continues with the host of the previous one.
"""

from __future__ import annotations

import json
import time

import pytest

from tests.faults import injection
from tests.lab.conftest import Pair
from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, keyfile, seed_host

pytestmark = pytest.mark.make_test()

DEFINITION = f"""kvmnet: 1
cluster: probes
profile: rocks
networks:
  private:
    subnets: [10.1.0.0/16, "2001:db8:1::/64"]
    gateways: [10.1.1.1, "fe80::1"]
    dns: {{servers: [10.1.1.1, 10.1.1.99]}}
probes:
  - tcp: 10.7.0.1:3260
  - http: http://[2001:db8:1::1]:3260/
  - ping: 10.1.1.98
hosts:
  asks:
    kvm: true
    routes: [{{to: 10.7.0.0/16, via: 10.1.1.1}}]
    probes: [{{command: [sh, -c, 'echo asked >> /root/commands']}}]
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}, "2001:db8:1::7"]}}
"""
MUST = "10.1.1.1, fe80::1%eth0, name server 10.1.1.1, tcp 10.7.0.1:3260, http://[2001:db8:1::1]:3260/"
COMMAND = "command sh -c echo asked >> /root/commands"


@pytest.fixture(scope="module")
def host(pair: Pair) -> Machine:
    pair.peer.run(
        """set -e
        sysctl -qw net.ipv4.icmp_echo_ignore_all=1 net.ipv6.icmp.echo_ignore_all=1
        ip address add 10.7.0.1/32 dev eth0
        ip address add fe80::1/64 dev eth0 nodad
        ip address add 2001:db8:1::1/64 dev eth0 nodad
        dnsmasq --port=53 --no-resolv --no-hosts --user=root --pid-file=/run/dns.pid
        """
    )
    pair.peer.start("exec python3 -m http.server --bind :: --directory /usr/share/doc 3260")
    profile = keyfile(zone="trusted", ipv6="manual\naddress1=2001:db8:1::7/64,fe80::1")
    return seed_host(pair.host, zone="trusted", default_zone="drop", profile=profile)


@pytest.mark.guarantee("G32", "G90")
def test_a_plan_lists_the_targets_and_which_of_them_will_not_be_probed(host: Machine) -> None:
    host.put("/root/cluster.yaml", DEFINITION)
    refused = host.run("kvmnet plan /root/cluster.yaml", check=False)
    assert refused.code == 5 and "KVN515" in refused.stderr, refused
    host.run("mkdir -p /etc/kvmnet")
    host.put("/etc/kvmnet/kvmnet.conf", "allow-commands = yes\n")
    before = picture.whole(host)
    told = host.out("kvmnet plan /root/cluster.yaml")
    assert f"targets that must reply after the change: {MUST}" in told.splitlines(), told
    for silent in ("name server 10.1.1.99", "10.1.1.98"):
        assert f"note: {silent} does not reply now, so it will not be probed after the change" in told.splitlines(), (
            told
        )
    assert f"{COMMAND}: runs as root after you agree, and again after the change if it succeeds" in told.splitlines()
    host.run("install -m 644 /root/cluster.yaml /tmp/cluster.yaml")
    told = host.out("setpriv --reuid=nobody --clear-groups kvmnet plan /tmp/cluster.yaml")
    assert "note: run as root to see which targets will be probed" in told
    host.out("kvmnet apply --dry-run /root/cluster.yaml")
    assert host.run("test -e /root/commands", check=False).code == 1, "no plan runs commands"
    assert picture.whole(host) == before


@pytest.mark.guarantee("G32")
@pytest.mark.parametrize(
    ("right", "wrong", "silent"),
    [
        ("via: 10.1.1.1", "via: 10.1.1.2", "tcp 10.7.0.1:3260"),
        ('"fe80::1"', '"fe80::2"', "fe80::2%eth0"),
    ],
    ids=["a mistyped route to what a probe asks", "a mistyped link-local gateway"],
)
def test_a_change_is_rolled_back_if_a_target_no_longer_replies(
    host: Machine, peer: Machine, right: str, wrong: str, silent: str
) -> None:
    """All other targets reply."""
    host.put("/root/wrong.yaml", DEFINITION.replace(right, wrong))
    before = picture.whole(host)
    result = host.run("kvmnet apply --yes --json /root/wrong.yaml", check=False, timeout=240)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.code == 3, result
    assert [e["error"] for e in events if e["event"] == "failed"] == [f"no reply from {silent} after the change"]
    assert picture.whole(host) == before
    assert reachable(peer)


@pytest.mark.guarantee("G32")
def test_the_right_change_is_kept(host: Machine, peer: Machine) -> None:
    host.run("rm -f /root/commands")
    result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=180)
    assert result.code == 0, result
    assert f"ok   probe {MUST}, {COMMAND} (" in result.stdout, result
    assert host.out("cat /root/commands") == "asked\nasked"
    assert picture.addresses(host, "eth0")[0] == f"{HOST_ADDRESS}/16"
    assert "default via fe80::1 dev eth0" in host.out("ip -6 route")
    assert reachable(peer)
    assert host.run("kvmnet plan --exit-code /root/cluster.yaml", check=False).code == 0


@pytest.mark.guarantee("G34")
def test_a_switch_that_is_silent_after_the_link_went_down(
    host: Machine, peer: Machine, generation: str, definition: str
) -> None:
    """A port with spanning tree and without portfast forwards nothing for 30 s. If the NIC was taken down for its
    rename (kernel 6.1), kvmnet waits for the gateway that long; if it stayed up (kernel 6.12), it does not."""
    if not host.out("kvmnet status").startswith("nothing is applied"):
        assert host.run("kvmnet remove --yes", check=False, timeout=200).code == 0
    before = picture.whole(host)
    host.put("/root/cluster.yaml", definition)
    titles = json.loads(host.out("kvmnet plan --json /root/cluster.yaml"))["steps"]
    injection.pause(host, titles.index("rename eth0 to peth0"))
    job = host.start("exec kvmnet apply --yes /root/cluster.yaml")
    injection.wait_paused(host, job)
    peer.run("ip link set eth0 down")
    injection.go_on(host)
    injection.wait_for_step(host, "rename eth0 to peth0")
    time.sleep(32)
    if generation == "trixie":
        result = job.wait(60)
        assert (result.code, "no reply from 10.1.1.1" in result.stdout) == (3, True), result
        peer.run("ip link set eth0 up")
        assert picture.whole(host) == before
    else:
        peer.run("ip link set eth0 up")
        result = job.wait(120)
        assert result.code == 0, result
        assert "probing for up to 60 s" in result.stdout
    assert reachable(peer)
