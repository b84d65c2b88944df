"""The hosts of the examples, applied one after the other to the same machine, in every order and without `remove` in
between. At the end the machine is restored.

After each change the kernel must match the rendered state: each interface of the definition exists with its kind,
controller, MAC, MTU, addresses and routes, and kvmnet has created no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.guest_settings import SETTINGS_FILE
from kvmnet.pipeline import load
from tests.faults import injection
from tests.machines import neighbour, picture
from tests.machines.machine import Machine, Nic
from tests.machines.outage import reachable
from tests.machines.seed import HOST_MAC, keyfile, seed_host, two_machines
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

EXAMPLES = Path(__file__).parents[2] / "examples"
MACS = [HOST_MAC, "00:14:4f:80:de:01", "00:14:4f:80:de:02"]
PROFILES = "/etc/NetworkManager/system-connections"
KINDS = {"linux-bridge": "bridge", "bond": "bond", "vlan": "vlan", "mac-vtap": "macvtap", "ethernet": None}

FIT = {
    "rocks": {},
    "bonded": {
        # the lab machine's NICs; a tagged interface has an MTU of 1496 or less on its wires; 10.1.1.1 is the gateway
        # of the other example, and one machine is the gateway of both
        "      eno1: {network": "      eno1: {match: {name: eth2}, network",
        "      ens1f0: {}": "      ens1f0: {match: {name: eth0}}",
        "      ens1f1: {}": "      ens1f1: {match: {name: eth1}}",
        # the lab's NICs have neither speed nor duplex, which a bond with LACP needs for its carrier
        "        mode: 802.3ad\n": "",
        "        options: {lacp_rate: fast, xmit_hash_policy: layer3+4}\n": "",
        "mtu: 9000": "mtu: 1496",
        "addresses: [10.1.1.1,": "addresses: [10.1.2.1,",
    },
}
"""What is written otherwise in an example so that the lab machine fits it."""


def definition(name: str) -> str:
    text = (EXAMPLES / name / "cluster.yaml").read_text(encoding="utf-8")
    for old, new in FIT[name].items():
        assert text.count(old) == 1, f"{name} has not {old!r}"
        text = text.replace(old, new)
    return text


def all_hosts() -> list[tuple[str, str]]:
    """Return (example, host) for each host of the examples that fit one machine and can follow each other.

    `takeover` describes a host that has its VLANs before kvmnet: on this one they would be new, and so in the default
    zone, which is `drop`. `start` has nothing that the others lack.
    """
    return [(name, host) for name in FIT for host in load(str(EXAMPLES / name / "cluster.yaml")).hosts]


def in_every_order(things: list[Any]) -> list[Any]:
    """Return a sequence in which each host follows directly after each other host."""
    left = {(a, b) for a in things for b in things if a != b}
    walk = [things[0]]
    while left:
        here = walk[-1]
        steps = [b for a, b in sorted(left) if a == here]
        if not steps:
            walk.append(sorted(left)[0][0])
        else:  # to the one with the most steps left
            walk.append(max(steps, key=lambda b: sum(1 for a, _ in left if a == b)))
        left.discard((here, walk[-1]))
    return walk


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    """A host with three NICs: two on the wire of both gateways, one on a wire with a DHCP server."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire()) for _ in range(2)]
        nics = [Nic(mac, wires[number // 2]) for number, mac in enumerate(MACS)]
        doors = [Nic(f"00:14:4f:80:ee:0{number + 1}", wire) for number, wire in enumerate(wires)]
        with two_machines(generation, nics, doors) as (host, peer):
            neighbour.speak(
                peer,
                {
                    "eth0": ["10.1.0.1/16", "10.1.0.3/16", "2001:db8:1::1/64"],
                    "eth0.5": ["10.5.0.1/24"],
                    "eth1": ["10.3.0.1/24"],
                },
            )
            neighbour.serve_leases(peer, "eth1", "10.3.0.100", "10.3.0.200")
            leased = keyfile("eth2", uuid="5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e12", zone="trusted")
            leased = re.sub(r"address1=.*\nmethod=manual", "method=auto", leased).replace(
                "method=auto\n\n[proxy]", "method=disabled\n\n[proxy]"
            )
            host.put(f"{PROFILES}/eth2.nmconnection", leased, mode=0o600)
            seed_host(host, zone="trusted", default_zone="drop")
            host.run("nmcli --wait 30 connection up eth2", timeout=60)
            yield host, peer


@pytest.fixture(scope="module")
def before(machines: tuple[Machine, Machine]) -> dict[str, Any]:
    return whole(machines[0])


def whole(host: Machine) -> dict[str, Any]:
    """Return the picture without NetworkManager's counters and the times at which profiles were last used."""
    return picture.without_metrics(picture.whole(host))


def as_defined(host: Machine, bundle: Bundle) -> None:
    """Check that links, addresses and routes in the kernel match the state."""
    links = {link["ifname"]: link for link in json.loads(host.out("ip -d -j link show"))}
    addresses = picture.all_addresses(host)
    masters: dict[str, str] = {}
    for interface in bundle.state["interfaces"]:
        name, link = interface["name"], links[interface["name"]]
        assert link.get("linkinfo", {}).get("info_kind") == KINDS[interface["type"]], name
        assert "UP" in link["flags"], name
        if "mtu" in interface:
            assert link["mtu"] == interface["mtu"], name
        if "mac-address" in interface:
            assert link["address"] == interface["mac-address"].lower(), name
        assert ("PROMISC" in link["flags"]) == interface.get("accept-all-mac-addresses", False), name
        ports = interface.get("bridge", {}).get("port", []) or interface.get("link-aggregation", {}).get("port", [])
        masters.update({port["name"] if isinstance(port, dict) else port: name for port in ports})
        if "vlan" in interface:
            assert (link["link"], link["linkinfo"]["info_data"]["id"]) == tuple(
                interface["vlan"][key] for key in ("base-iface", "id")
            )
        if "link-aggregation" in interface:
            mode = host.out(f"cat /sys/class/net/{name}/bonding/mode").split()[0]
            assert mode == interface["link-aggregation"]["mode"], name
        wanted = sorted(
            f"{a['ip']}/{a['prefix-length']}" for f in ("ipv4", "ipv6") for a in interface[f].get("address", [])
        )
        if interface["ipv4"].get("dhcp"):
            host.until(f"ip -4 address show dev {name} | grep -q 10.3.0.", timeout=30)
        else:
            assert sorted(addresses[name]) == wanted, name
    assert {name: link["master"] for name, link in links.items() if "master" in link} == masters
    virtual = {name for name, link in links.items() if KINDS_OF_OURS & {link.get("linkinfo", {}).get("info_kind")}}
    assert virtual == {i["name"] for i in bundle.state["interfaces"] if i["type"] != "ethernet"}
    for nic in bundle.nics:
        assert nic.name in links, nic
    there = {
        (route["dst"].replace("default", "::/0" if family == "-6" else "0.0.0.0/0"), route["gateway"], route["dev"])
        for family in ("-4", "-6")
        for route in json.loads(host.out(f"ip {family} -j route show"))
        if "gateway" in route and route.get("protocol") == "static"
    }
    assert there == {
        (r["destination"], r["next-hop-address"], r["next-hop-interface"]) for r in bundle.state["routes"]["config"]
    }
    files = host.out("ls /etc/systemd/network/00-kvmnet-* 2>/dev/null; true").split()
    assert [Path(file).name for file in files] == sorted(bundle.links)
    assert host.run(f"test -e {SETTINGS_FILE}", check=False).code == 0, "guests run on each of them"


KINDS_OF_OURS = {"bridge", "bond", "vlan", "macvtap"}


def address_of(bundle: Bundle) -> str:
    """Return the host's own address in the network of its gateway."""
    (device,) = {r["next-hop-interface"] for r in bundle.state["routes"]["config"] if r["destination"] == "0.0.0.0/0"}
    interface = next(i for i in bundle.state["interfaces"] if i["name"] == device)
    return str(interface["ipv4"]["address"][0]["ip"])


def test_the_walk_has_every_pair() -> None:
    hosts = all_hosts()
    walk = in_every_order(hosts)
    assert {(a, b) for a in hosts for b in hosts if a != b} <= set(zip(walk, walk[1:]))
    assert {name for name, _ in hosts} == set(FIT), "a new example needs an entry in FIT"


def check_failed_changes(host: Machine, command: str) -> None:
    """Check that two failed changes are rolled back: nmstate fails after the NIC was renamed; the power is lost when
    half of the change is on disk."""
    before = whole(host)
    second = 'test -e /run/once || { touch /run/once; exec $REAL "$@"; }; echo "NmstateError: not today" >&2; exit 1'
    with injection.nmstatectl(host, second):
        result = host.run(command, check=False, timeout=300)
    assert (result.code, "ok   rename peth0 to eth0" in result.stdout) == (3, True), result
    assert picture_differences(whole(host), before) == [], "after a fault"
    steps = json.loads(host.out(command.replace("apply --yes", "plan --json")))["steps"]
    saving = next(number for number, title in enumerate(steps) if title.startswith("save the connection profiles"))
    injection.pause(host, saving, event="done")
    injection.wait_paused(host, host.start(f"exec {command}"), timeout=200)
    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60", timeout=90)
    host.until("! test -e /var/lib/kvmnet/open", timeout=90)
    # NetworkManager records in a profile's file when it was last used. An interface that it activates before firewalld
    # runs, as may happen at boot, is not a member of the default zone.
    now = {**bound(whole(host)), "files": before["files"]}
    assert picture_differences(now, bound(before)) == [], "after a power cut"


def bound(seen: dict[str, Any]) -> dict[str, Any]:
    """Return the picture with only those zone members that are not in the default zone."""
    return {**seen, "zones": {zone: names for zone, names in seen["zones"].items() if zone != "drop"}}


def picture_differences(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Return one line for each difference of two pictures."""
    found = []
    for key, was in before.items():
        if isinstance(was, dict) and isinstance(now[key], dict):
            names = sorted({*was, *now[key]})
            found += [f"{key} {n}: {was.get(n)} -> {now[key].get(n)}" for n in names if was.get(n) != now[key].get(n)]
        elif was != now[key]:
            found.append(f"{key}: {was} -> {now[key]}")
    return found


@pytest.mark.guarantee("G44")
def test_each_definition_is_applied_after_each_other_one(
    machines: tuple[Machine, Machine], before: dict[str, Any], tmp_path: Path
) -> None:
    host, peer = machines
    assert before["links"].keys() >= {"eth0", "eth1", "eth2"}
    for name in FIT:
        host.put(f"/root/{name}.yaml", definition(name))
        (tmp_path / f"{name}.yaml").write_text(definition(name), encoding="utf-8")
    told = "nobody"
    for name, wanted in in_every_order(all_hosts()):
        bundle = load(str(tmp_path / f"{name}.yaml")).bundle(wanted)
        if (told, wanted) == ("vm-container-0-0", "hv1"):
            check_failed_changes(host, f"kvmnet apply --yes --host {wanted} /root/{name}.yaml")
        result = host.run(f"kvmnet apply --yes --host {wanted} /root/{name}.yaml", check=False, timeout=300)
        assert result.code == 0, f"{wanted} after {told}: {result.stdout}\n{result.stderr}"
        try:
            as_defined(host, bundle)
        except AssertionError as error:
            raise AssertionError(f"{wanted} after {told}: {error}") from error
        assert reachable(peer, address_of(bundle)), f"{wanted} after {told}"
        again = host.run(f"kvmnet apply --yes --host {wanted} /root/{name}.yaml", check=False, timeout=120)
        assert again.stdout == f"{wanted}: nothing to do: the host matches the definition\n", (
            f"{wanted} after {told}: {again}"
        )
        told = wanted
    result = host.run("kvmnet remove --yes", check=False, timeout=200)
    assert result.code == 0, result
    host.until("ip -4 route show default | grep -q 10.3.0.1", timeout=30)
    assert picture_differences(whole(host), before) == []
    assert reachable(peer)
