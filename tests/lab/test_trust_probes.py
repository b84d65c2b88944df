"""What guests and containers of a host cannot do: answer for a gateway that a change cut off, or confirm a change.

A guest is a network namespace behind a real tap, a container one behind a veth; sshd is the real one. Each test
continues with the host of the previous one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults import injection
from tests.lab.conftest import Pair
from tests.lab.transactions import apply, last
from tests.machines import picture, tap_guest
from tests.machines.machine import Job, Machine, Result
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, keyfile, seed_host
from tests.machines.ssh import OPTIONS, anew, way_in

pytestmark = pytest.mark.make_test()

GUEST, BRIDGE_TAP, ROUTED_TAP = "10.1.0.9", "vnet9", "vnet8"
ROUTER6, HOST6 = "2001:db8:1::1", "2001:db8:1::7"
DEFINITION = f"""kvmnet: 1
cluster: trust
profile: rocks
networks:
  private:
    subnets: [10.1.0.0/16, "2001:db8:1::/64"]
    gateways: [{PEER_ADDRESS}, "fe80::1"]
    dns: {{servers: [{PEER_ADDRESS}]}}
probes:
  - tcp: {PEER_ADDRESS}:3260
  - ping: "{ROUTER6}"
hosts:
  hosting:
    kvm: true
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}, "{HOST6}"]}}
"""
MORE = DEFINITION.replace(f'"{HOST6}"]', f'10.1.255.253, "{HOST6}"]')
#: The addresses of the peer that the guest takes over.
ROUTERS = {f"{PEER_ADDRESS}/16": "", "fe80::1/64": "nodad", f"{ROUTER6}/64": "nodad"}
SERVICES = """dnsmasq --port=53 --no-resolv --no-hosts --user=root --pid-file=/run/dns-$1.pid
exec python3 -m http.server --bind :: --directory /usr/share/doc 3260"""
WAITS = "kvmnet status | grep -q 'now: wait for `kvmnet confirm`'"


@pytest.fixture(scope="module")
def host(pair: Pair) -> Machine:
    for address, how in list(ROUTERS.items())[1:]:
        pair.peer.run(f"ip address add {address} dev eth0 {how}")
    pair.peer.start(["/bin/bash", "-c", SERVICES, "bash", "peer"])
    machine = seed_host(pair.host, profile=keyfile(ipv6=f"manual\naddress1={HOST6}/64,fe80::1"), sshd=True)
    for name, text in (("cluster", DEFINITION), ("more", MORE)):
        machine.put(f"/root/{name}.yaml", text)
    machine.run("test -e /root/.ssh/id || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id")
    return machine


@pytest.fixture(scope="module")
def ssh(host: Machine, peer: Machine) -> str:
    """How the peer connects to the host. The host's guests may log in too."""
    command = way_in(host, peer)
    host.run("cat /root/.ssh/id.pub >> /root/.ssh/authorized_keys")
    return command


def test_the_definition_is_applied(host: Machine, peer: Machine) -> None:
    result = apply(host)
    assert result.code == 0, result
    probed = f"probe {PEER_ADDRESS}, fe80::1%eth0, name server {PEER_ADDRESS}, ping {ROUTER6}"
    titles = json.loads(host.out("kvmnet plan --json /root/more.yaml"))["steps"]
    assert any(title.startswith("probe ") for title in titles), (titles, probed)
    assert reachable(peer)


@contextmanager
def without_routers(peer: Machine) -> Iterator[None]:
    """The peer has none of the routers' addresses during the block."""
    for address in ROUTERS:
        peer.run(f"ip address del {address} dev eth0")
    try:
        yield
    finally:
        for address, how in ROUTERS.items():
            peer.run(f"ip address add {address} dev eth0 {how}")


@contextmanager
def guest_that_answers(host: Machine) -> Iterator[None]:
    """A guest on the bridge with the routers' addresses, a name server and an HTTP server."""
    with tap_guest.guest(host, BRIDGE_TAP, "eth0", f"{GUEST}/16"):
        inside = f"ip -n {BRIDGE_TAP} address add"
        for address, how in ROUTERS.items():
            host.run(f"{inside} {address} dev {BRIDGE_TAP}-in {how}")
        host.run(f"ip -n {BRIDGE_TAP} link set lo up")
        job = host.start(["ip", "netns", "exec", BRIDGE_TAP, "/bin/bash", "-c", SERVICES, "bash", "guest"])
        host.until(f"ip netns exec {BRIDGE_TAP} ss -tln | grep -q :3260", timeout=60)
        try:
            yield
        finally:
            job.stop()
            host.run("kill $(cat /run/dns-guest.pid)", check=False)


@pytest.mark.guarantee("G96")
def test_a_guest_that_answers_for_the_routers_does_not_keep_a_change(host: Machine, peer: Machine) -> None:
    """It answers ARP, neighbour solicitations, echo requests, DNS queries and TCP connections for routers that are gone
    since the trial."""
    before = picture.whole(host)
    titles = json.loads(host.out("kvmnet plan --json /root/more.yaml"))["steps"]
    injection.pause(host, titles.index("read the kernel state back"))
    job = host.start("exec kvmnet apply --yes --json /root/more.yaml")
    injection.wait_paused(host, job)
    with without_routers(peer), guest_that_answers(host):
        for address in (PEER_ADDRESS, ROUTER6, "fe80::1%eth0"):
            host.until(f"ping -c 1 -W 1 {address}", timeout=30)
        injection.go_on(host)
        result = job.wait(240)
    assert result.code == 3, result
    [error] = [e["error"] for e in map(json.loads, result.stdout.splitlines()) if e["event"] == "failed"]
    said, _, through = error.partition(" after the change (what came through a guest's port does not count: ")
    assert said == (
        f"no reply from {PEER_ADDRESS}, fe80::1%eth0, name server {PEER_ADDRESS}, tcp {PEER_ADDRESS}:3260, {ROUTER6}"
    )
    assert (
        through
        == ", ".join(f"{target} through {BRIDGE_TAP}" for target in said.removeprefix("no reply from ").split(", "))
        + ")"
    )
    assert picture.whole(host) == before
    assert reachable(peer)


@pytest.mark.guarantee("G96")
def test_a_router_in_a_guest_is_left_out_with_a_note(host: Machine, peer: Machine) -> None:
    with without_routers(peer), guest_that_answers(host):
        host.until(f"ping -c 1 -W 1 {PEER_ADDRESS}", timeout=30)
        planned = host.out("kvmnet plan /root/more.yaml")
        result = host.run("kvmnet apply --yes /root/more.yaml", check=False, timeout=240)
    for target in (f"the gateway {PEER_ADDRESS}", "the gateway fe80::1%eth0", f"tcp {PEER_ADDRESS}:3260", ROUTER6):
        assert f"note: {target} is reached through {BRIDGE_TAP}, the port of a guest of this host" in planned, planned
    assert "targets that must reply" not in planned
    assert result.code == 0, result
    assert host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240).code == 0
    assert last(host)["outcome"] == "kept"


@contextmanager
def waiting(host: Machine) -> Iterator[Job]:
    """A change of the host waits for its confirmation."""
    job = host.start("exec kvmnet apply --yes --confirm-within 400 /root/more.yaml")
    host.until(WAITS, timeout=120)
    yield job


def from_guest(host: Machine, namespace: str, address: str) -> Result:
    """Confirm over SSH from a namespace of the host."""
    call = f"ssh {OPTIONS} -i /root/.ssh/id root@{address} kvmnet confirm"
    return host.run(f"ip netns exec {namespace} {call}", check=False, timeout=90)


def refused(result: Result, *words: str) -> None:
    assert result.code == 5, result
    assert all(word in result.stderr for word in ("KVN561", *words)), result


def link_local_address(host: Machine) -> str:
    """Return the link-local address of the host's bridge."""
    return host.out("ip -o -6 address show dev eth0 scope link").split()[3].partition("/")[0]


@contextmanager
def container(host: Machine) -> Iterator[str]:
    """A container to which the host routes over a veth."""
    host.run(
        """set -e
        ip netns add pod
        ip link add veth7 type veth peer name inside netns pod
        ip address add 10.67.0.1/24 dev veth7 && ip link set veth7 up
        ip -n pod address add 10.67.0.2/24 dev inside && ip -n pod link set inside up
        ip -n pod route add default via 10.67.0.1"""
    )
    try:
        yield "pod"
    finally:
        host.run("ip netns delete pod")


@pytest.mark.guarantee("G97")
def test_no_guest_and_no_container_confirms_and_the_peer_does(host: Machine, peer: Machine, ssh: str) -> None:
    link_local = link_local_address(host)
    with (
        tap_guest.guest(host, BRIDGE_TAP, "eth0", f"{GUEST}/16"),
        tap_guest.guest(host, ROUTED_TAP, "", "10.66.0.2/24"),
        container(host) as pod,
    ):
        host.run(f"ip address add 10.66.0.1/24 dev {ROUTED_TAP}; ip -n {ROUTED_TAP} route add default via 10.66.0.1")
        with waiting(host) as job:
            refused(from_guest(host, BRIDGE_TAP, HOST_ADDRESS), f"(port {BRIDGE_TAP})")
            refused(from_guest(host, BRIDGE_TAP, f"{link_local}%{BRIDGE_TAP}-in"), f"(port {BRIDGE_TAP})")
            refused(from_guest(host, ROUTED_TAP, HOST_ADDRESS), f"(port {ROUTED_TAP})")
            refused(from_guest(host, pod, HOST_ADDRESS), "(port veth7)")
            on_terminal = host.run("script -qec 'kvmnet confirm --at-the-console' /dev/null", check=False)
            assert (on_terminal.code, "not the host's console" in on_terminal.stdout) == (5, True), on_terminal
            over_ssh = peer.run(f"{anew(ssh)} kvmnet confirm --at-the-console", check=False)
            refused(over_ssh, "not the host's console")
            assert job.running
            accepted = peer.run(f"{anew(ssh)} kvmnet confirm", check=False, timeout=90)
            assert accepted.code == 0, accepted
            assert job.wait(90).code == 0
    assert host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240).code == 0


@pytest.mark.guarantee("G97")
def test_a_new_connection_through_a_jump_host_confirms(host: Machine, peer: Machine, ssh: str) -> None:
    """The guest jumps over the peer: the connection comes from outside."""
    peer.run(
        "systemctl start ssh; mkdir -p -m 700 /root/.ssh; cat /root/.ssh/id_ed25519.pub >> /root/.ssh/authorized_keys"
    )
    jump = anew(ssh).replace("ssh ", f'ssh -o ProxyCommand="ssh {OPTIONS} -W %h:%p root@127.0.0.1" ', 1)
    with waiting(host) as job:
        accepted = peer.run(f"{jump} kvmnet confirm", check=False, timeout=90)
        assert accepted.code == 0, accepted
        assert job.wait(90).code == 0
    assert host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240).code == 0


@pytest.mark.guarantee("G97")
def test_a_link_local_connection_of_the_peer_confirms(host: Machine, peer: Machine, ssh: str) -> None:
    link_local = link_local_address(host)
    call = anew(ssh).replace(f"root@{HOST_ADDRESS}", f"root@{link_local}%eth0")
    with waiting(host) as job:
        accepted = peer.run(f"{call} kvmnet confirm", check=False, timeout=90)
        assert accepted.code == 0, accepted
        assert job.wait(90).code == 0
    assert host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240).code == 0


@pytest.mark.guarantee("G97")
def test_a_session_on_a_pseudo_terminal_without_sshd_must_confirm(host: Machine) -> None:
    """As that of run0: systemd starts it on a terminal whose other end is anybody's. A unit or a cron job need not."""
    dry = "kvmnet apply --dry-run /root/more.yaml"
    note = "the change must be confirmed"
    assert note not in host.out(dry)
    assert note not in host.out(f"systemd-run --quiet --pipe --wait {dry}")
    on_terminal = host.out(f"script -qec 'systemd-run --quiet --pty --wait {dry}' /dev/null")
    assert note in on_terminal, on_terminal
    at_console = host.at_console(dry).stdout
    assert "1 change to make" in at_console and note not in at_console, at_console
