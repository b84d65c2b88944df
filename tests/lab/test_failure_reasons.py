"""A change that fails names the likely reason: in the output, and in the history.

Each test causes the reason while the change is running, because kvmnet refuses most of them before. Each leaves the
host as it was before kvmnet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.faults import injection
from tests.lab.transactions import TRIAL, last
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable
from tests.machines.seed import ECHO_PORT, HOST_MAC, UUID
from tests.machines.ssh import anew, way_in

pytestmark = pytest.mark.make_test("bookworm")

DEFINITION = f"""\
kvmnet: 1
cluster: reasons
profile: {{profile}}
networks:
  private: {{{{subnets: [10.1.0.0/16], gateway: 10.1.1.1}}}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{{{network: private, mac: {HOST_MAC}, addresses: [10.1.255.254]}}}}
"""
PLAIN, ROCKS = DEFINITION.format(profile="plain"), DEFINITION.format(profile="rocks")


def step_number(host: Machine, title: str) -> int:
    """Return the number of the step of the prepared definition whose title contains these words."""
    steps = json.loads(host.out("kvmnet plan --json /root/cluster.yaml"))["steps"]
    return next(number for number, step in enumerate(steps) if title in step)


def apply_with(host: Machine, definition: str, title: str, commands: str, *, event: str = "do") -> Result:
    """Apply; run commands when the worker has reached this event of the step with the title."""
    host.put("/root/cluster.yaml", definition)
    injection.pause(host, step_number(host, title), event=event)
    job = host.start(["kvmnet", "apply", "--yes", "/root/cluster.yaml"])
    injection.wait_paused(host, job)
    host.run(commands)
    injection.go_on(host)
    return job.wait(240)


def likely(host: Machine) -> list[str]:
    texts: list[str] = last(host)["likely"]
    return texts


def test_the_same_address_on_two_interfaces(host: Machine, peer: Machine) -> None:
    """The gateway replies on the new bridge, to which its probe is bound. Other requests follow the routes."""
    server = "10.1.1.5"
    peer.run(f"ip address add {server}/16 dev eth0")
    add = "ip link add br1 type bridge && ip address add 10.1.255.254/16 dev br1 && ip link set br1 up"
    add += f" && ip route replace {server}/32 dev br1"
    try:
        result = apply_with(host, PLAIN + f"probes: [ping: {server}]\n", "probe", add)
        text = "br-eth0 and br1 both have the address 10.1.255.254: replies arrive at only one of them"
        assert result.code == 3, result
        assert f"     likely reason: {text}" in result.stdout.splitlines(), result
        assert text in likely(host) and f"likely: {text}" in host.out("kvmnet history")
    finally:
        host.run("ip link delete br1", check=False)
        peer.run(f"ip address delete {server}/16 dev eth0")
    assert reachable(peer)


@pytest.mark.make_test()
def test_a_nic_without_carrier(host: Machine, peer: Machine) -> None:
    """The file of the kernel is replaced for everybody: the lab's cable cannot be pulled."""
    carrier = "/sys/class/net/eth0/carrier"
    pull = f"echo 0 > /root/carrier && mount --bind /root/carrier {carrier} && ip route add blackhole 10.1.1.1/32"
    try:
        result = apply_with(host, PLAIN, "probe", pull)
        assert result.code == 3, result
        assert "eth0 has no carrier: check the cable and the switch port" in likely(host), result
    finally:
        host.run(f"umount {carrier}; ip route delete blackhole 10.1.1.1/32", check=False)
    assert reachable(peer)


def test_a_target_without_a_route(host: Machine, peer: Machine) -> None:
    result = apply_with(host, PLAIN, "probe", "ip route add unreachable 10.1.1.1/32")
    host.run("ip route delete unreachable 10.1.1.1/32", check=False)
    assert result.code == 3, result
    assert "this host had no route to 10.1.1.1 then" in likely(host), result
    assert reachable(peer)


@pytest.mark.make_test()
def test_a_gateway_that_nobody_has(host: Machine, peer: Machine) -> None:
    """The mistake of the tutorial: a mistyped network."""
    host.put("/root/cluster.yaml", ROCKS.replace("10.1.", "10.2."))
    result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 3, result
    (text,) = likely(host)
    assert text.startswith("10.2.1.1 did not answer ARP or neighbour discovery on eth0: check"), result
    assert f"     likely reason: {text}" in result.stdout.splitlines(), result
    assert reachable(peer)


@pytest.mark.make_test()
def test_an_interface_that_networkmanager_is_configured_to_ignore(host: Machine, peer: Machine) -> None:
    file = "/etc/NetworkManager/conf.d/10-docker.conf"
    config = "[keyfile]\\nunmanaged-devices=interface-name:br-*\\n"
    try:
        result = apply_with(host, PLAIN, TRIAL, f"printf '{config}' > {file} && systemctl reload NetworkManager")
        entry = "unmanaged-devices=interface-name:br-* in conf.d/10-docker.conf"
        text = f"NetworkManager is configured to leave br-eth0 unmanaged ({entry})"
        assert result.code == 3, result
        assert any(line.startswith(text) for line in likely(host)), result
    finally:
        host.run(f"rm -f {file}; systemctl reload NetworkManager")
    assert reachable(peer)


@pytest.fixture
def ruled(host: Machine) -> Iterator[str]:
    """The host in the default zone drop, with rules that accept new connections to ports of eth0 alone. Returns a part
    of the text about such a rule."""
    for port in (22, ECHO_PORT):
        rule = f"ipv4 filter INPUT 0 -i eth0 -p tcp --dport {port} -j ACCEPT"
        host.run(f"firewall-cmd --permanent --direct --add-rule {rule}")
    host.run("firewall-cmd --reload", timeout=120)
    host.run(f"nmcli connection modify {UUID} connection.zone '' && nmcli --wait 30 connection up {UUID}", timeout=60)
    yield "names eth0, which becomes a port of br-eth0"
    host.run("firewall-cmd --permanent --direct --remove-rules ipv4 filter INPUT && firewall-cmd --reload", timeout=120)
    host.run(f"nmcli connection modify {UUID} connection.zone trusted", timeout=60)
    host.run(f"nmcli --wait 30 connection up {UUID}", timeout=60)


@pytest.mark.make_test()
def test_a_firewall_rule_that_names_the_nic(host: Machine, peer: Machine, ruled: str) -> None:
    """The session goes on, because its connection is known to the firewall. A new one is not accepted."""
    host.put("/root/cluster.yaml", PLAIN)
    ssh = way_in(host, peer)
    assert reachable(peer)
    result = peer.run(
        f"{anew(ssh)} kvmnet apply --yes --confirm-within 15 /root/cluster.yaml", check=False, timeout=240
    )
    assert result.code == 3, result
    texts = [text for text in likely(host) if ruled in text]
    assert texts and "--dport 22" in "".join(texts), result
    assert f"     likely reason: {texts[0]}" in result.stdout.splitlines(), result
    assert last(host)["why"] == "no confirmation within 15 s"
    assert reachable(peer)


@pytest.mark.make_test()
def test_nmstate_that_hangs_is_named_and_the_address_was_never_away(host: Machine, peer: Machine) -> None:
    host.put("/root/cluster.yaml", PLAIN)
    with injection.nmstatectl(host, "sleep 300"):
        result = host.run(
            ["kvmnet", "apply", "--yes", "--timeout", "20", "/root/cluster.yaml"], check=False, timeout=240
        )
    assert result.code == 3, result
    assert "FAIL nmstate did not finish within 40 s" in result.stdout.splitlines(), result
    ended = last(host)
    assert ended["why"] == "nmstate did not finish within 40 s"
    assert ended["away_at_most"] == 0.0, "no step had removed the address"
    assert "addresses missing" not in host.out("kvmnet history").splitlines()[-1]
    assert reachable(peer)
