"""Hosts that run guests before kvmnet, as administrators build them with nmcli: a bridge over a NIC, over a bond's
VLANs, by DHCP; a NIC whose profile has much that no definition can state."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.machines import picture
from tests.machines.host_kinds import PROFILES, SECOND_MAC
from tests.machines.machine import Machine
from tests.machines.seed import HOST_MAC, PEER_ADDRESS

#: The ID of the VLAN that carries the host's address, and that of the guests' VLAN.
MANAGEMENT_VLAN, GUEST_VLAN = 100, 200
MANAGEMENT_ADDRESS, MANAGEMENT_PEER = "10.100.255.254", "10.100.1.1"
GUEST_PEER = "10.200.1.1"
BRIDGE_MAC = "02:00:00:00:00:21"

_HEAD = "kvmnet: 1\ncluster: site\nprofile: {profile}\n"
_LAN = f"networks:\n  lan: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}\n"
_HOST = "hosts:\n  kvm1:\n    kvm: true\n    interfaces:\n"


@dataclass(frozen=True)
class ExistingHost:
    """A host before kvmnet. `script` builds it; `definition` describes it; `address` is the one by which it is reached;
    `guests` are taps with the bridge and the guest's address (with prefix length); `bridge` is the interface with the
    address after the adoption. `adopts`: whether the adoption needs permission."""

    script: str
    definition: str
    address: str = "10.1.255.254"
    guests: tuple[tuple[str, str, str], ...] = ()
    bridge: str = "br0"
    adopts: bool = True


def _definition(interfaces: str, networks: str = _LAN, profile: str = "plain") -> str:
    return _HEAD.format(profile=profile) + networks + _HOST + interfaces


_BR0 = f"""
nmcli connection add type bridge con-name br0 ifname br0 connection.zone trusted ipv4.method manual \
  ipv4.addresses 10.1.255.254/16 ipv4.gateway {PEER_ADDRESS} ipv6.method disabled bridge.stp no
nmcli connection add type bridge-slave con-name br0-slave-eth0 ifname eth0 master br0
nmcli --wait 30 connection up br0
nmcli --wait 30 connection up br0-slave-eth0
"""
_NIC = f"      eth0: {{mac: {HOST_MAC}, network: lan, addresses: [10.1.255.254]"
_TAPS = (("vnet0", "br0", "10.1.0.50/16"), ("vnet77", "br0", "10.1.0.77/16"))
_OPTIONS = """
nmcli connection modify br0 bridge.multicast-snooping no bridge.group-forward-mask 16384 bridge.ageing-time 120 \
  bridge.priority 4096 bridge.vlan-filtering yes bridge.vlan-default-pvid 1 bridge.vlans "1 pvid untagged, 100, 200"
nmcli connection modify br0-slave-eth0 bridge-port.vlans "1 pvid untagged, 100, 200" bridge-port.path-cost 50 \
  bridge-port.priority 16
nmcli --wait 30 connection up br0
nmcli --wait 30 connection up br0-slave-eth0
"""
_BOND = f"""
nmcli connection add type bond con-name bond0 ifname bond0 bond.options mode=active-backup,miimon=100 \
  ipv4.method disabled ipv6.method disabled
nmcli connection add type ethernet con-name bond0-port1 ifname eth0 master bond0
nmcli connection add type ethernet con-name bond0-port2 ifname eth1 master bond0
nmcli connection add type bridge con-name br0 ifname br0 connection.zone trusted bridge.stp no ipv4.method manual \
  ipv4.addresses {MANAGEMENT_ADDRESS}/16 ipv4.gateway {MANAGEMENT_PEER} ipv6.method disabled 802-3-ethernet.mtu 1496
nmcli connection add type vlan con-name bond0.100 ifname bond0.100 dev bond0 id {MANAGEMENT_VLAN} \
  master br0 slave-type bridge 802-3-ethernet.mtu 1496
nmcli connection add type bridge con-name br200 ifname br200 bridge.stp no ipv4.method disabled \
  ipv6.method disabled 802-3-ethernet.mtu 1496
nmcli connection add type vlan con-name bond0.200 ifname bond0.200 dev bond0 id {GUEST_VLAN} \
  master br200 slave-type bridge 802-3-ethernet.mtu 1496
for name in bond0 bond0-port1 bond0-port2 br0 bond0.100 br200 bond0.200; do nmcli --wait 30 connection up $name; done
"""
_BOND_NETWORKS = f"""networks:
  mgmt: {{subnets: [10.100.0.0/16], vlan: {MANAGEMENT_VLAN}, gateway: {MANAGEMENT_PEER}, mtu: 1496}}
  prod: {{vlan: {GUEST_VLAN}, mtu: 1496}}
"""
_BOND_INTERFACES = f"""\
      eth0: {{mac: "{HOST_MAC}"}}
      eth1: {{mac: "{SECOND_MAC}"}}
      bond0: {{ports: [eth0, eth1]}}
      bond0.100: {{network: mgmt, addresses: [{MANAGEMENT_ADDRESS}], bridge: br0}}
      bond0.200: {{network: prod, bridge: br200}}
"""
_DHCP = f"""
nmcli connection add type bridge con-name br0 ifname br0 connection.zone trusted ipv4.method auto ipv6.method disabled \
  bridge.stp no bridge.mac-address {BRIDGE_MAC} ipv4.dhcp-client-id mac
nmcli connection add type bridge-slave con-name br0-slave-eth0 ifname eth0 master br0
nmcli --wait 30 connection up br0-slave-eth0
nmcli --wait 60 connection up br0
"""
_LEASED = f"      eth0: {{mac: {HOST_MAC}, network: lan, ipv4: dhcp, bridge: br0}}\n"
_RICH_PROFILE = f"""[connection]
id=uplink
uuid=5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e77
type=ethernet
autoconnect-priority=10
interface-name=eth0
lldp=1
llmnr=0
mdns=0
metered=1
stable-id=site-${{DEVICE}}
wait-device-timeout=30000
zone=trusted

[ethernet]
mtu=1400
wake-on-lan=64

[ethtool]
feature-gro=false

[tc]
qdisc.root=fq

[ipv4]
address1=10.1.255.254/16,{PEER_ADDRESS}
address2=192.168.77.1/24
dns={PEER_ADDRESS};
dns-options=timeout:1;attempts:2;rotate;
dns-search=lab.example.com;
may-fail=false
method=manual
route-metric=50
route1=10.99.0.0/16,10.1.1.2
route2=10.98.0.0/16,10.1.1.3,30
route3=0.0.0.0/0,10.1.1.9
route3_options=table=77
routing-rule1=priority 100 from 192.168.77.0/24 table 77

[ipv6]
addr-gen-mode=stable-privacy
ip6-privacy=2
method=auto

[user]
org.example.owner=netops

[proxy]
"""
_RICH = f"""
cat > {PROFILES}/eth0.nmconnection <<'X'
{_RICH_PROFILE}X
chmod 600 {PROFILES}/eth0.nmconnection
nmcli connection reload
nmcli --wait 30 connection up uplink
"""
_RICH_NETWORK = f"""networks:
  lan:
    subnets: [10.1.0.0/16]
    gateway: {PEER_ADDRESS}
    mtu: 1400
    dns: {{servers: [{PEER_ADDRESS}], search: [lab.example.com]}}
"""
HOSTS = {
    "br0": ExistingHost(_BR0, _definition(f"{_NIC}, bridge: br0}}\n"), guests=_TAPS),
    "options": ExistingHost(_BR0 + _OPTIONS, _definition(f"{_NIC}, bridge: br0}}\n"), guests=_TAPS),
    "bond": ExistingHost(
        _BOND,
        _definition(_BOND_INTERFACES, _BOND_NETWORKS),
        MANAGEMENT_ADDRESS,
        (("vnet0", "br200", "10.200.0.50/16"), ("vnet77", "br0", "10.100.0.77/16")),
    ),
    "dhcp": ExistingHost(_DHCP, _definition(_LEASED, "networks: {lan: {}}\n"), "", _TAPS[:1]),
    "rich": ExistingHost(
        _RICH,
        _definition(f"{_NIC}, ipv6: auto}}\n", _RICH_NETWORK),
        bridge="br-eth0",
        adopts=False,
    ),
    "replaced": ExistingHost(_BR0, _definition(f"{_NIC}}}\n"), guests=_TAPS, bridge="br-eth0"),
    "replaced, NIC renamed": ExistingHost(
        _BR0, _definition(f"{_NIC}}}\n", profile="rocks"), guests=_TAPS, bridge="eth0"
    ),
}


#: Undoes the renaming of a kind whose test has failed.
_NO_RENAME = """
rm -f /etc/systemd/network/00-kvmnet-* /run/systemd/network/00-kvmnet-*
if [ -e /sys/class/net/peth0 ]; then ip link set dev peth0 down && ip link set dev peth0 name eth0; fi
"""


def lay_out(host: Machine, kind: ExistingHost) -> str:
    """Set the host up as this kind, without kvmnet's files, and return its address."""
    host.run("rm -rf /var/lib/kvmnet")
    host.run(
        "nmcli -t -f UUID,TYPE connection show | grep -v :loopback | cut -d: -f1 |"
        " xargs -r nmcli --wait 30 connection delete",
        timeout=120,
    )
    host.run(_NO_RENAME)
    host.run("set -e\n" + kind.script, timeout=300)
    host.put("/root/cluster.yaml", kind.definition)
    host.run("sync")
    if kind.address:
        host.until(f"ip -o address show | grep -q ' {kind.address}/'", timeout=30)
        return kind.address
    host.until(f"ip -o -4 address show dev {kind.bridge} | grep -q inet", timeout=60)
    return picture.addresses(host, kind.bridge)[0].partition("/")[0]


def set_port_attributes(host: Machine, tap: str) -> None:
    """Put a guest's tap into VLAN 100, isolate it and keep unknown multicast away from it."""
    host.run(
        f"bridge vlan add dev {tap} vid 100 pvid untagged && bridge vlan del dev {tap} vid 1;"
        f"bridge link set dev {tap} isolated on mcast_flood off"
    )


def look(host: Machine) -> dict[str, Any]:
    """Return the picture of the host with everything that bridges have for their ports, and its routing rules."""
    ports = [
        {key: value for key, value in row.items() if key not in ("ifindex", "link", "flags", "mcast_n_groups")}
        for row in json.loads(host.out("bridge -d -j link show") or "[]")
    ]
    seen = picture.without_managers_taps(picture.without_metrics(picture.whole(host)))
    return {
        **seen,
        "ports": {row["ifname"]: row for row in ports},
        "vlans": {row["ifname"]: row["vlans"] for row in json.loads(host.out("bridge -j vlan show") or "[]")},
        "rules": host.out("ip rule; ip -6 rule").splitlines(),
    }
