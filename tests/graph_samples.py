"""Definitions for the tests of pictures: a host with many VLANs and guests, and a large cluster, before and after."""

from __future__ import annotations

import json
from typing import Any


def large_host(vlans: int = 30, guests: int = 20) -> str:
    """Return a definition of one host with a bond, this many VLANs (every third one without a bridge) and guests."""
    networks: dict[str, Any] = {"servers": {"subnets": ["10.1.0.0/16"], "gateway": "10.1.0.1"}}
    interfaces: dict[str, Any] = {
        "ens1f0": {"description": "switch 1, port 7"},
        "ens1f1": {"description": "switch 2, port 7"},
        "bond0": {"ports": ["ens1f0", "ens1f1"], "mode": "802.3ad", "network": "servers", "addresses": ["10.1.1.1"]},
        "eno1": {"network": "management", "bridge": False, "ipv4": "dhcp"},
    }
    networks["management"] = {"subnets": ["10.3.0.0/24"], "default_route": False}
    for tag in range(100, 100 + vlans):
        name = f"tenant-{tag}"
        networks[name] = {"vlan": tag, "subnets": [f"10.{tag}.0.0/24"]}
        interfaces[f"bond0.{tag}"] = {"network": name}
        if tag % 3:
            interfaces[f"bond0.{tag}"]["bridge"] = True
        else:
            interfaces[f"bond0.{tag}"]["addresses"] = [f"10.{tag}.0.5"]
    all_guests = {}
    for number in range(guests):
        tags = [100 + (number * 7) % vlans] + ([100 + (number * 11 + 3) % vlans] if number % 4 == 0 else [])
        used = ["servers"] * (number % 5 == 0) + [f"tenant-{tag}" for tag in dict.fromkeys(tags)]
        nics = [{"network": n, "mac": f"52:54:00:00:{number:02x}:{i:02x}"} for i, n in enumerate(used)]
        all_guests[f"guest{number:02}.example.org"] = {"host": "hv1", "nics": nics}
    hosts = {"hv1": {"kvm": True, "interfaces": interfaces}}
    return _text({"cluster": "large", "networks": networks, "hosts": hosts, "guests": all_guests})


def large_cluster(hosts: int = 200, guests: int = 3, changed: bool = False) -> str:
    """Return a definition of this many hosts in three groups with this many guests each. `changed`: after a change."""
    networks: dict[str, Any] = {
        "servers": {"subnets": ["10.1.0.0/16", "2001:db8:1::/64"], "gateways": ["10.1.0.1", "2001:db8:1::1"]},
        "storage": {"subnets": ["10.5.0.0/16"], "vlan": 5, "mtu": 9000},
        "management": {"subnets": ["10.3.0.0/16"], "default_route": False},
        **{f"tenant-{tag}": {"vlan": tag, "over": "servers"} for tag in range(101, 109)},
    }
    bond = {"ports": ["ens1f0", "ens1f1"], "mode": "802.3ad", "network": "servers"}
    common: dict[str, Any] = {
        "compute": {"eno1": {"network": "management", "bridge": False}, "ens1f0": {}, "ens1f1": {}, "bond0": bond},
        "storage": {"eno1": {"network": "servers"}, "eno1.5": {"network": "storage"}},
        "edge": {"eno1": {"network": "servers"}, "eno2": {"network": "management", "bridge": False}},
    }
    if changed:
        networks["tenant-109"] = {"vlan": 109, "over": "servers"}
        del networks["tenant-108"]
        common["storage"]["eno1.5"] = {"network": "storage", "bridge": True}
    all_hosts: dict[str, Any] = {}
    all_guests: dict[str, Any] = {}
    for number in range(hosts):
        group = "compute" if number % 4 else "storage" if number % 8 else "edge"
        name = f"{group}-{number:03}"
        low = f"{number // 250}.{number % 250 + 2}"
        macs = [f"00:00:5e:{port:02x}:{number // 256:02x}:{number % 256:02x}" for port in range(3)]
        own: dict[str, Any] = {"eno1": {"mac": macs[0]}}
        if group == "compute":
            own["eno1"]["addresses"] = [f"10.3.{low}"]
            own.update({"ens1f0": {"mac": macs[1]}, "ens1f1": {"mac": macs[2]}})
            own["bond0"] = {"addresses": [f"10.1.{low}", f"2001:db8:1::{number + 2:x}"]}
        else:
            own["eno1"]["addresses"] = [f"10.1.{low}"]
            extra = ("eno1.5", f"10.5.{low}") if group == "storage" else ("eno2", f"10.3.{low}")
            own[extra[0]] = {"addresses": [extra[1]]}
        if not (changed and number == 9):
            all_hosts[name] = {"group": group, "interfaces": own}
        for guest in range(guests if group == "compute" and not (changed and number == 9) else 0):
            tag = 101 + (number + guest) % 7
            nics = [
                {"network": n, "mac": f"52:54:00:{i:x}{number // 256:x}:{number % 256:02x}:{guest:02x}"}
                for i, n in enumerate(["servers", f"tenant-{tag}"])
            ]
            all_guests[f"vm-{number:03}-{guest}"] = {"host": name, "nics": nics}
    if changed:
        all_hosts["compute-900"] = {"group": "compute", "interfaces": {"bond0": {"addresses": ["10.1.200.1"]}}}
        all_guests["new-vm"] = {"group": "compute", "nics": [{"network": "tenant-109", "mac": "52:54:00:ff:00:01"}]}
    groups = {name: {"kvm": True, "interfaces": interfaces} for name, interfaces in common.items()}
    data = {"cluster": "fleet", "networks": networks, "groups": groups, "hosts": all_hosts, "guests": all_guests}
    return _text(data)


def changed_bonded(text: str) -> str:
    """Return examples/bonded after a change: an address, a network, a VLAN, a guest and a NIC differ."""
    changes = (
        ("addresses: [10.5.0.11]", "addresses: [10.5.0.21]"),
        ("bond0.5: {network: storage}", "bond0.5: {network: storage, bridge: true}\n      bond0.7: {network: backup}"),
        ("  tenant-a: {vlan: 100", "  backup: {vlan: 7, subnets: [10.7.0.0/24]}\n  tenant-a: {vlan: 100"),
        (
            "mac: 52:54:00:00:00:02}]}",
            "mac: 52:54:00:00:00:03}]}\n  db: {host: hv1, nics: [{network: storage, mac: 52:54:00:00:00:09}]}",
        ),
        ("      eno1: {network: management, ipv4: dhcp, bridge: false}\n", ""),
    )
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    return text


def _text(data: dict[str, Any]) -> str:
    return json.dumps({"kvmnet": 1, "profile": "plain", **data}, indent=1) + "\n"
