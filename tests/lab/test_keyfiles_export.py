"""A machine that boots from the files of `kvmnet export keyfiles`, and has never had kvmnet, is in the same state as a
machine on which `kvmnet apply` has made the change and which was booted since.

The first machine gets the files as an image build copies them: over its root folder, in place of its profiles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kvmnet.exporters import EXPORTERS
from kvmnet.pipeline import load
from tests.lab.transactions import online
from tests.machines import picture
from tests.machines.machine import Machine, Nic
from tests.machines.outage import reachable
from tests.machines.seed import HOST_MAC, PEER_ADDRESS, seed_host, two_machines
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

#: A bond of two NICs with a VLAN beside it, a bridge over a VLAN, a VLAN-aware bridge, another routing table.
LAYERS = f"""kvmnet: 1
cluster: layers
profile: plain
hostname: true
networks:
  servers:
    subnets: [10.1.0.0/16, "2001:db8:1::/64"]
    gateway: {PEER_ADDRESS}
    dns: {{servers: [10.1.1.9], search: [example.org]}}
    zone: trusted
  storage: {{subnets: [10.5.0.0/24], vlan: 5, mtu: 1400, zone: internal}}
  lab: {{subnets: [10.6.0.0/24], vlan: 6, mtu: 1496, zone: internal}}
  tenants: {{subnets: [10.7.0.0/24], default_route: false, gateway: 10.7.0.1, zone: trusted}}
  v20: {{vlan: 20, over: tenants}}
hosts:
  layered:
    kvm: true
    routes: [{{to: 0.0.0.0/0, via: 10.7.0.1, table: 100}}]
    rules: [{{from: 10.7.0.2/32, table: 100, priority: 1000}}]
    interfaces:
      eth0: {{mac: "{HOST_MAC}"}}
      eth1: {{mac: "00:14:4f:80:de:01"}}
      bond0:
        mode: active-backup
        ports: [eth0, eth1]
        network: servers
        addresses: [10.1.255.254, "2001:db8:1::11"]
        bridge: false
      bond0.5: {{network: storage, bridge: false, addresses: [10.5.0.11]}}
      bond0.6: {{network: lab, bridge: {{name: br-lab, stp: true, priority: 4096}}, addresses: [10.6.0.11]}}
      eth2:
        mac: "00:14:4f:80:de:02"
        network: tenants
        addresses: [10.7.0.2]
        description: port 7 of switch 2
        trunk: [v20, 300-310]
        bridge: br2
"""
#: What the kernel and the daemons have, read without kvmnet.
PARTS = ("links", "addresses", "routes", "rules", "tables", "vlans", "zones", "servers", "hostname")
FOLDERS = "/etc/NetworkManager/system-connections /etc/systemd/network"


def definitions(example: str) -> dict[str, str]:
    """Return the definitions by name: the example with the seed's host, and that of many layers, also without the MAC
    addresses of NICs: then a bond or bridge gets that of its port from the kernel."""
    return {"rocks": example, "layers": LAYERS, "unknown": re.sub(r'mac: "[0-9a-f:]*"(?=}|$)', "", LAYERS, flags=re.M)}


@pytest.fixture(scope="module")
def wires() -> Iterator[list[Wire]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Wire()) for _ in range(2)]


def nics_on(wires: list[Wire]) -> list[Nic]:
    """Return three NICs, of which two are on the wire of the gateway."""
    macs = [HOST_MAC, "00:14:4f:80:de:01", "00:14:4f:80:de:02"]
    return [Nic(mac, wires[number // 2]) for number, mac in enumerate(macs)]


def state_of(machine: Machine) -> dict[str, Any]:
    """Return the state of a machine that was booted, once NetworkManager has nothing left to do."""
    online(machine)
    machine.until("! nmcli -g STATE device | grep -q 'connecting\\|deactivating'", timeout=60)
    machine.until("! ip -6 address show | grep -q tentative", timeout=30)
    seen = picture.whole(machine)
    # NetworkManager chooses the metrics of the subnets' routes in the order in which it activates the devices
    routes = sorted(re.sub(r"(proto kernel .*)metric \d+", r"\1", route) for route in seen["routes"])
    rules = [json.loads(machine.out(f"ip {family} -j rule show")) for family in ("-4", "-6")]
    tables = machine.run("ip -4 route show table 100", check=False).stdout.splitlines()  # fails without the table
    vlans = json.loads(machine.out("bridge -j vlan show"))
    ports = {name for name, link in seen["links"].items() if link["master"]}  # their zones have no effect
    zones = {zone: sorted({*names} - ports) for zone, names in seen["zones"].items() if zone != "drop"}  # the default
    return {
        **seen,
        "routes": routes,
        "rules": rules,
        "tables": tables,
        "vlans": {row["ifname"]: row["vlans"] for row in vlans},
        "zones": zones,
    }


def exported_state(generation: str, wires: list[Wire], path: Path, host: str) -> dict[str, Any]:
    """Return the state of a machine without kvmnet that was booted from the exported files of a host."""
    files = EXPORTERS.find("keyfiles").export([load(str(path)).bundle(host)])
    with Machine(generation, "host", nics_on(wires)) as machine:
        assert machine.run("command -v kvmnet || command -v nmstatectl", check=False).code != 0
        seed_host(machine, zone="trusted", default_zone="drop")
        machine.run(f"rm -f $(find {FOLDERS} -type f)")
        for name, file in files.items():
            machine.run(["mkdir", "-p", str(Path(f"/{name.partition('/')[2]}").parent)])
            machine.put(f"/{name.partition('/')[2]}", file.text, mode=file.mode)
        machine.run("sync")
        machine.reboot()
        return state_of(machine)


def applied_state(generation: str, wires: list[Wire], path: Path, host: str) -> dict[str, Any]:
    """Return the state of a machine on which a definition was applied, after a boot."""
    with two_machines(generation, nics_on(wires), [Nic("00:14:4f:80:ee:01", wires[0])]) as (machine, peer):
        seed_host(machine, zone="trusted", default_zone="drop")
        machine.put("/root/cluster.yaml", path.read_text(encoding="utf-8"))
        machine.run(f"kvmnet apply --yes --host {host} /root/cluster.yaml", timeout=300)
        assert reachable(peer)
        machine.reboot()
        return state_of(machine)


@pytest.mark.parametrize(
    ("name", "host"), [("rocks", "vm-container-0-0"), ("layers", "layered"), ("unknown", "layered")]
)
def test_a_machine_boots_from_exported_files_as_after_an_apply(
    lab: None, generation: str, wires: list[Wire], definition: str, name: str, host: str, tmp_path: Path
) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(definitions(definition)[name], encoding="utf-8")
    applied = applied_state(generation, wires, path, host)
    exported = exported_state(generation, wires, path, host)
    assert len(exported["links"]) > 2 and exported["routes"]
    parts = PARTS if name != "rocks" else [part for part in PARTS if part != "zones"]
    # without a zone in the definition, `apply` lets a bridge keep the zone that its NIC had
    assert picture.differences(exported, applied, parts) == []
