"""What other tools have made on a host: it is refused before the trial, by name, or listed in the plan. Nothing is
changed. The hosts are made as administrators make them: with nmcli, systemd-networkd, docker's advice, firewalld."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from tests.lab.test_refusals import apply
from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, PROFILE, keyfile

pytestmark = pytest.mark.make_test()

HEAD = f"""kvmnet: 1
cluster: site
profile: plain
networks:
  lan: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
  mgmt: {{vlan: 100, mtu: 1496}}
  prod: {{vlan: 200, mtu: 1496}}
  storage: {{subnets: [10.5.0.0/24], vlan: 50, mtu: 1496}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {{mac: {HOST_MAC}, network: lan, addresses: [{HOST_ADDRESS}]}}
"""
UNBRIDGED = HEAD.replace("network: lan,", "network: lan, bridge: false,")
BONDED = (
    HEAD.partition("      eth0:")[0]
    .replace(f"lan: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}", "lan: {}")
    .replace("mgmt: {", "mgmt: {subnets: [10.1.0.0/16], ")
    + f"""\
      eth0: {{mac: {HOST_MAC}}}
      bond0: {{ports: [eth0]}}
      bond0.100: {{network: mgmt, addresses: [{HOST_ADDRESS}], bridge: false}}
      bond0.200: {{network: prod, bridge: false}}
"""
)
DOMAINS = "/etc/libvirt/qemu"
STOPPED = (
    "<domain type='qemu'><name>db1</name><devices><interface type='network'><source network='lan'/></interface>"
    "</devices></domain>"
)
NETWORK = "<network><name>lan</name><forward mode='bridge'/><bridge name='BRIDGE'/></network>"

BR0 = f"""
nmcli connection add type bridge con-name br0 ifname br0 bridge.stp no ipv6.method disabled ipv4.method manual \
  ipv4.addresses {HOST_ADDRESS}/16 ipv4.gateway {PEER_ADDRESS} connection.zone trusted
nmcli connection add type bridge-slave con-name br0-port ifname eth0 master br0
nmcli connection modify eth0 connection.autoconnect no
nmcli --wait 30 connection up br0 && nmcli --wait 30 connection up br0-port
"""
NO_BR0 = "nmcli connection delete br0-port br0"
BONDS = f"""
nmcli connection modify eth0 connection.autoconnect no
nmcli connection add type bond con-name bond0 ifname bond0 bond.options mode=active-backup,miimon=100 \
  ipv4.method disabled ipv6.method disabled
nmcli connection add type ethernet con-name bond0-port ifname eth0 master bond0
nmcli connection add type bridge con-name br0 ifname br0 bridge.stp no ipv4.method manual \
  ipv4.addresses {HOST_ADDRESS}/16 ipv6.method disabled 802-3-ethernet.mtu 1496
nmcli connection add type bridge con-name br200 ifname br200 bridge.stp no ipv4.method disabled ipv6.method disabled \
  802-3-ethernet.mtu 1496
for tag in 100 200; do
  nmcli connection add type vlan con-name bond0.$tag ifname bond0.$tag dev bond0 id $tag 802-3-ethernet.mtu 1496 \
    master $([ $tag = 100 ] && echo br0 || echo br200) slave-type bridge
done
for profile in bond0 bond0-port br0 bond0.100 br200 bond0.200; do nmcli --wait 30 connection up $profile; done
"""
NO_BONDS = "nmcli connection delete bond0.100 bond0.200 br0 br200 bond0-port bond0"
BR200 = """
nmcli connection add type bridge con-name br200 ifname br200 bridge.stp no ipv4.method disabled ipv6.method disabled
nmcli connection add type vlan con-name eth0.200 ifname eth0.200 dev eth0 id 200 master br200 slave-type bridge
nmcli --wait 30 connection up br200 && nmcli --wait 30 connection up eth0.200
"""
NO_BR200 = "nmcli connection delete eth0.200 br200"
ON_BRIDGE = """
nmcli connection add type bridge con-name br9 ifname br9 bridge.stp no ipv4.method disabled ipv6.method disabled
nmcli connection add type vlan con-name br9.50 ifname br9.50 dev br9 id 50 ipv4.method manual \
  ipv4.addresses 10.5.0.7/24 ipv6.method disabled
nmcli --wait 30 connection up br9 && nmcli --wait 30 connection up br9.50
"""
NO_ON_BRIDGE = "nmcli connection delete br9.50 br9"
NETWORKD = f"""
nmcli connection modify eth0 connection.autoconnect no && nmcli device set eth0 managed no
cd /etc/systemd/network
printf '[NetDev]\\nName=br0\\nKind=bridge\\n' > 20-br0.netdev
printf '[Match]\\nName=br0\\n[Network]\\nAddress={HOST_ADDRESS}/16\\nGateway={PEER_ADDRESS}\\n' > 20-br0.network
printf '[Match]\\nName=eth0\\n[Network]\\nBridge=br0\\n' > 30-eth0.network
ip address flush dev eth0
systemctl start systemd-networkd
for try in $(seq 60); do ip -4 address show dev br0 2>/dev/null | grep -q 10.1 && break; sleep 0.5; done
"""
NO_NETWORKD = """
systemctl stop systemd-networkd.socket systemd-networkd
rm -f /etc/systemd/network/20-br0.* /etc/systemd/network/30-eth0.network
ip link delete br0
nmcli device set eth0 managed yes
"""
DOCKER = "unmanaged-devices=interface-name:docker0;interface-name:br-*;interface-name:veth*"
DOCKER_FILE = "/etc/NetworkManager/conf.d/10-docker.conf"
RESTORED = "nmcli connection modify eth0 connection.autoconnect yes; nmcli --wait 30 connection up eth0"


class Case(NamedTuple):
    """A host that is refused: the commands that make it and remove it, the definition, and parts of the message."""

    code: str
    parts: tuple[str, ...]
    before: str
    after: str
    definition: str = HEAD


def guests(bridge: str) -> tuple[str, str]:
    """Return commands that define a stopped guest in a libvirt network that names the bridge, and remove it."""
    make = f"mkdir -p {DOMAINS}/networks && cat > {DOMAINS}/db1.xml <<'EOF'\n{STOPPED}\nEOF\n"
    make += f"cat > {DOMAINS}/networks/lan.xml <<'EOF'\n{NETWORK.replace('BRIDGE', bridge)}\nEOF\n"
    return make, f"rm {DOMAINS}/db1.xml {DOMAINS}/networks/lan.xml\n"


CASES = {
    "a bridge by nmcli, with a tap and a stopped guest": Case(
        "KVN530",
        (
            (
                "eth0 is a port of br0, which the definition does not contain: br0 would lose its last uplink, br0 "
                f"carries this host's address {HOST_ADDRESS}, its guests: vnet77, its stopped guests: db1"
            ),
            (
                "to keep br0, add it to the definition as it is: `bridge: br0` for eth0; or remove br0 from this host "
                "first, at the console of the host"
            ),
        ),
        guests("br0")[0] + BR0 + "ip tuntap add vnet77 mode tap && ip link set vnet77 master br0 up",
        guests("br0")[1] + "ip link delete vnet77\n" + NO_BR0,
        UNBRIDGED,
    ),
    "bridges over VLANs of a bond": Case(
        "KVN530",
        (
            (
                f"bond0.100 is a port of br0, which the definition does not contain: br0 would lose its last uplink, "
                f"br0 carries this host's address {HOST_ADDRESS}"
            ),
        ),
        BONDS,
        NO_BONDS,
        BONDED,
    ),
    "a bridge over a VLAN that only a stopped guest uses": Case(
        "KVN536",
        ("br200", "--adopt"),
        guests("br200")[0] + BR200,
        guests("br200")[1] + NO_BR200,
        UNBRIDGED + "      eth0.200: {network: prod, bridge: true}\n",
    ),
    "an address that a VLAN of another tool has": Case(
        "KVN537",
        ("eth0.50 would get the address 10.5.0.7, but the address is on br9.50",),
        ON_BRIDGE,
        NO_ON_BRIDGE,
        UNBRIDGED + "      eth0.50: {network: storage, addresses: [10.5.0.7]}\n",
    ),
    "a bridge by systemd-networkd": Case(
        "KVN531",
        (
            "systemd-networkd configures eth0 (/etc/systemd/network/30-eth0.network), and NetworkManager does not",
            "systemd-networkd configures br0 (/etc/systemd/network/20-br0.network): configure it with NetworkManager",
        ),
        NETWORKD,
        NO_NETWORKD,
    ),
    "docker's advice": Case(
        "KVN538",
        (
            (
                "NetworkManager is configured to leave br-eth0 unmanaged (unmanaged-devices=interface-name:br-* in "
                "conf.d/10-docker.conf)"
            ),
            "exclude br-eth0 there",
        ),
        f"printf '[keyfile]\\n{DOCKER}\\n' > {DOCKER_FILE}",
        f"rm {DOCKER_FILE}",
    ),
    "a section for devices": Case(
        "KVN538",
        ("[device-bridges] managed=0 in conf.d/10-docker.conf",),
        f"printf '[device-bridges]\\nmatch-device=type:bridge\\nmanaged=0\\n' > {DOCKER_FILE}",
        f"rm {DOCKER_FILE}",
    ),
    "a udev rule": Case(
        "KVN538",
        ("NM_UNMANAGED for br-* in /etc/udev/rules.d/85-local.rules",),
        """echo 'SUBSYSTEM=="net", KERNEL=="br-*", ENV{NM_UNMANAGED}="1"' > /etc/udev/rules.d/85-local.rules""",
        "rm /etc/udev/rules.d/85-local.rules",
    ),
    "profiles in another folder": Case(
        "KVN514",
        ("path=/srv/profiles in conf.d/10-docker.conf",),
        f"printf '[keyfile]\\npath=/srv/profiles\\n' > {DOCKER_FILE}",
        f"rm {DOCKER_FILE}",
    ),
    "a read-only folder of profiles": Case(
        "KVN513",
        ("/etc/NetworkManager/system-connections is read-only, so the change could not be saved",),
        "cd /etc/NetworkManager && mount --bind system-connections system-connections && "
        "mount -o remount,bind,ro system-connections",
        "umount /etc/NetworkManager/system-connections",
    ),
}


@contextmanager
def made(host: Machine, case: Case) -> Iterator[None]:
    host.put("/root/case.yaml", case.definition)
    host.run(case.before, timeout=120)
    try:
        yield
    finally:
        host.run(case.after, check=False, timeout=120)
        host.run(RESTORED, timeout=60)


@pytest.mark.guarantee("G60", "G64", "G65")
@pytest.mark.parametrize("name", CASES)
def test_refused(host: Machine, peer: Machine, name: str) -> None:
    case = CASES[name]
    with made(host, case):
        before = picture.whole(host)
        result = apply(host, definition="case.yaml")
        after = picture.whole(host)
    assert (result.code, f"{case.code}: " in result.stderr) == (5, True), result
    for part in case.parts:
        assert part in result.stderr, result.stderr
    assert "nmcli device set" not in result.stderr
    assert after == before
    assert host.run("test -e /var/lib/kvmnet/open", check=False).code == 1
    assert reachable(peer)


RULES = (
    "for port in 22 7007; do firewall-cmd --permanent --direct --add-rule ipv4 filter INPUT 0 "
    "-i eth0 -p tcp --dport $port -j ACCEPT; done"
)
NO_RULES = "rm -f /etc/firewalld/direct.xml && firewall-cmd --reload"


@pytest.mark.guarantee("G67")
def test_firewall_rules_that_name_the_interface_are_listed(host: Machine) -> None:
    """The host accepts SSH by a direct rule for eth0, which does not match what comes in through a bridge."""
    host.put("/root/case.yaml", HEAD)
    host.run(f"{RULES}; firewall-cmd --reload; sysctl -w net.ipv4.conf.eth0.rp_filter=2", timeout=120)
    host.put("/etc/sysctl.d/90-eth0.conf", "net.ipv4.conf.eth0.rp_filter = 2\n")
    try:
        before = picture.whole(host)
        plan = host.out("kvmnet plan /root/case.yaml", timeout=60)
        for port in (22, 7007):
            rule = f"ipv4 filter INPUT -i eth0 -p tcp --dport {port} -j ACCEPT"
            assert f"the direct rule of firewalld `{rule}` names eth0, which becomes a port of br-eth0" in plan
        assert plan.count("-i eth0 -p tcp") == 2, "each rule once"
        setting = "net.ipv4.conf.eth0.rp_filter = 2 (/etc/sysctl.d/90-eth0.conf)"
        assert f"the kernel setting `{setting}` names eth0, which becomes a port of br-eth0" in plan
        assert picture.whole(host) == before
    finally:
        host.run(f"{NO_RULES}; rm /etc/sysctl.d/90-eth0.conf", timeout=60)


def test_the_host_is_as_it_was(host: Machine) -> None:
    """All cases have been removed."""
    assert host.get(PROFILE).decode().replace("autoconnect=false\n", "") == keyfile(zone="trusted") or host.run(
        f"grep -q 'uuid=5f8e1a0c' {PROFILE}"
    )
    assert picture.addresses(host, "eth0") == [f"{HOST_ADDRESS}/16"]
