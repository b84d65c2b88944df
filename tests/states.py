"""Generated host states: hosts as administrators leave them are adopted, rebooted and given back.

    python -m tests.states [--generation G] [--count N] [--seed N]

Each state has a management interface (a NIC, a bond or a VLAN, with or without a bridge), a connection profile that
finds its NIC by name, by MAC address, by a pattern or by nothing, a second NIC that is a port of the bond or belongs to
another tool, and guests' taps, some in a VLAN. kvmnet must adopt the host or refuse it, the next boot must bring what
was adopted, and `kvmnet remove` must leave the whole host as it was. What another tool's interface has never changes.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.lab.transactions import online
from tests.machines import existing_hosts, host_kinds, neighbour, picture, roots, tap_guest
from tests.machines.existing_hosts import ExistingHost, look
from tests.machines.host_kinds import SECOND_MAC
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable, until_reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS

#: Parts of the picture that a boot does not change. Without guests.
ON_DISK = ("addresses", "routes", "settings", "resolv.conf", "hostname", "open", "rules")
FOREIGN_ADDRESS = "172.30.1.1/24"
#: How the profile of a NIC finds it: keys of `nmcli connection add`.
BINDINGS: Mapping[str, str] = {
    "name": "ifname {name}",
    "mac": "ifname '*' 802-3-ethernet.mac-address {mac}",
    "pattern": "ifname '*' match.interface-name {name}",
    "none": "ifname '*'",
    "wide pattern": "ifname '*' match.interface-name eth*",
    "both": "ifname {name} 802-3-ethernet.mac-address {mac}",
}
_ADDRESS = f"ipv4.method manual ipv4.addresses {{address}}/16 ipv4.gateway {PEER_ADDRESS} ipv6.method disabled"
_NO_IP = "ipv4.method disabled ipv6.method disabled"


@dataclass(frozen=True)
class State:
    """A generated host. `words` describe it; `foreign` is the interface of another tool, or empty."""

    number: int
    words: str
    host: ExistingHost
    foreign: str
    tagged: bool


def generate(seed: int, number: int) -> State:
    """Return a state; the same for the same numbers."""
    choose = random.Random(f"{seed}/{number}")
    lower = choose.choice(["nic", "nic", "bond", "vlan"])
    bridged = choose.random() < 0.75
    filtering = bridged and choose.random() < 0.5
    binding, second_binding = choose.choice(list(BINDINGS)), choose.choice(list(BINDINGS))
    second = "port" if lower == "bond" else choose.choice(["profile", "bridge", "none"])
    taps = choose.randint(0, 2) if bridged else 0
    mtu = choose.choice([1500, 1400])
    stp = choose.choice(["no", "yes bridge.forward-delay 2"])
    uplink = {"nic": "eth0", "bond": "bond0", "vlan": f"eth0.{existing_hosts.MANAGEMENT_VLAN}"}[lower]
    address = existing_hosts.MANAGEMENT_ADDRESS if lower == "vlan" else HOST_ADDRESS
    gateway = existing_hosts.MANAGEMENT_PEER if lower == "vlan" else PEER_ADDRESS
    ip = _ADDRESS.format(address=address).replace(PEER_ADDRESS, gateway)
    script = [
        *_lower_commands(lower, uplink, binding, second_binding, "br0" if bridged else "", mtu, "" if bridged else ip),
        *(_bridge_commands(ip, filtering, mtu, stp) if bridged else []),
        *_second_commands(second, second_binding),
        "nmcli connection reload",
        *_activations(lower, bridged, second),
    ]
    guests = tuple((f"vnet{n}", "br0", f"{address.rsplit('.', 2)[0]}.0.{50 + n}/16") for n in range(taps))
    host = ExistingHost(
        "\n".join(script),
        _definition(lower, uplink, address, gateway, "br0" if bridged else "", mtu),
        address,
        guests,
        "br0" if bridged else uplink,
        adopts=bridged or lower != "nic",
    )
    words = [lower, f"profile by {binding}", f"mtu {mtu}", f"second NIC: {second} by {second_binding}"]
    words += (
        [f"bridge{' with VLAN filtering' if filtering else ''}, stp {stp[:3].strip()}, {taps} taps"] if bridged else []
    )
    foreign = {"profile": "eth1", "bridge": "br9", "none": "eth1"}.get(second, "")
    return State(number, ", ".join(words), host, foreign, filtering and taps > 0)


def _lower_commands(
    lower: str, uplink: str, binding: str, second_binding: str, controller: str, mtu: int, ip: str
) -> list[str]:
    """Return the commands for what carries the management address: `ip` are its settings without a bridge."""
    size = f"802-3-ethernet.mtu {mtu}" if mtu != 1500 else ""
    first = BINDINGS[binding].format(name="eth0", mac=HOST_MAC)
    joins = f"master {controller} slave-type bridge" if controller else f"connection.zone trusted {ip}"
    if lower == "nic":
        return [f"nmcli connection add type ethernet con-name uplink {first} {size} {joins}"]
    if lower == "bond":
        other = BINDINGS[second_binding].format(name="eth1", mac=SECOND_MAC)
        return [
            (
                "nmcli connection add type bond con-name uplink ifname bond0 bond.options mode=active-backup,miimon=100"
                f" {size} {joins}"
            ),
            f"nmcli connection add type ethernet con-name port1 {first} {size} master bond0 slave-type bond",
            f"nmcli connection add type ethernet con-name port2 {other} {size} master bond0 slave-type bond",
        ]
    return [
        f"nmcli connection add type ethernet con-name base {first} {_NO_IP}",
        (
            f"nmcli connection add type vlan con-name uplink ifname {uplink} dev eth0"
            f" id {existing_hosts.MANAGEMENT_VLAN} 802-3-ethernet.mtu {min(mtu, 1496)} {joins}"
        ),
    ]


def _bridge_commands(ip: str, filtering: bool, mtu: int, stp: str) -> list[str]:
    more = "bridge.vlan-filtering yes" if filtering else ""
    size = f"802-3-ethernet.mtu {mtu}" if mtu != 1500 else ""
    return [
        (
            f"nmcli connection add type bridge con-name br0 ifname br0 bridge.stp {stp} connection.zone trusted"
            f" {more} {size} {ip}"
        )
    ]


def _second_commands(second: str, binding: str) -> list[str]:
    """Return the commands for the second NIC: an address of its own, or a bridge of another tool."""
    found = BINDINGS[binding].format(name="eth1", mac=SECOND_MAC)
    address = f"ipv4.method manual ipv4.addresses {FOREIGN_ADDRESS} ipv6.method disabled"
    if second == "profile":
        return [f"nmcli connection add type ethernet con-name theirs {found} {address}"]
    if second == "bridge":
        return [
            f"nmcli connection add type bridge con-name theirs ifname br9 bridge.stp no {address}",
            f"nmcli connection add type ethernet con-name theirs-port {found} master br9 slave-type bridge",
        ]
    return []


def _activations(lower: str, bridged: bool, second: str) -> list[str]:
    names = {"nic": [], "bond": ["port1", "port2"], "vlan": ["base"]}[lower]
    names = [*(["br0"] if bridged else []), *(["uplink"] if lower != "bond" else ["uplink", *names])]
    if lower == "vlan":
        names.insert(0, "base")
    names += {"profile": ["theirs"], "bridge": ["theirs", "theirs-port"]}.get(second, [])
    return [f"nmcli --wait 30 connection up {name}" for name in names]


def _definition(lower: str, uplink: str, address: str, gateway: str, bridge: str, mtu: int) -> str:
    bridge_key = f"bridge: {bridge or 'false'}"
    tag = f", vlan: {existing_hosts.MANAGEMENT_VLAN}" if lower == "vlan" else ""
    size = f", mtu: {min(mtu, 1496) if lower == 'vlan' else mtu}" if mtu != 1500 or lower == "vlan" else ""
    subnet = f"{address.rsplit('.', 2)[0]}.0.0/16"
    holder = f"network: lan, addresses: [{address}], {bridge_key}"
    if lower == "nic":
        interfaces = [f"eth0: {{mac: {HOST_MAC}, {holder}}}"]
    elif lower == "bond":
        interfaces = [f"eth0: {{mac: {HOST_MAC}}}", f"eth1: {{mac: {SECOND_MAC}}}"]
        interfaces += [f"bond0: {{ports: [eth0, eth1], {holder}}}"]
    else:
        interfaces = [f"eth0: {{mac: {HOST_MAC}}}", f"{uplink}: {{{holder}}}"]
    lines = ["kvmnet: 1", "cluster: site", "profile: plain", "networks:"]
    lines += [f"  lan: {{subnets: [{subnet}], gateway: {gateway}{tag}{size}}}"]
    lines += ["hosts:", "  kvm1:", "    kvm: true", "    interfaces:", *(f"      {line}" for line in interfaces)]
    return "\n".join(lines) + "\n"


def prepare_peer(peer: Machine) -> None:
    """Give the peer the address of the management VLAN."""
    neighbour.speak(peer, {f"eth0.{existing_hosts.MANAGEMENT_VLAN}": [f"{existing_hosts.MANAGEMENT_PEER}/16"]})


def check(host: Machine, peer: Machine, state: State) -> str:
    """Adopt a host in this state, reboot it and give it back; return "adopted", or "refused" with its code. Raises
    AssertionError."""
    existing_hosts.lay_out(host, state.host)
    until_reachable(peer, state.host.address)
    with _running(host, state):
        before, foreign = look(host), _look_at(host, state.foreign)
        result = _apply(host)
        if result.code == 5:
            _same(look(host), before)
            return f"refused: {result.stderr.split()[1] if result.stderr.split() else ''}"
        assert result.code == 0, result
        adopted = look(host)
        assert reachable(peer, state.host.address)
        assert _look_at(host, state.foreign) == foreign, "an interface of another tool has changed"
        _guests_as_before(adopted, before, state)
        again = _apply(host)
        assert again.code == 0 and "nothing to do" in again.stdout, again
    host.run("sync")
    host.power_cut()
    host.boot()
    online(host)
    host.until(f"ip -o address show | grep -q ' {state.host.address}/'", timeout=60)
    _same(look(host), adopted, ("addresses", "hostname", "open", "rules"), leave_out=state)
    assert host.run("kvmnet status --exit-code", check=False).code == 0
    until_reachable(peer, state.host.address)
    assert _look_at(host, state.foreign) == foreign, "an interface of another tool is not as before after the boot"
    removed = host.run("kvmnet remove --yes", check=False, timeout=240)
    assert removed.code == 0, removed
    _same(look(host), before, ON_DISK, leave_out=state)
    assert reachable(peer, state.host.address)
    assert _look_at(host, state.foreign) == foreign
    return "adopted"


def _running(host: Machine, state: State) -> ExitStack:
    """Start the guests; the last one is in a VLAN where the bridge filters VLANs."""
    stack = ExitStack()
    for tap, bridge, address in state.host.guests:
        stack.enter_context(tap_guest.guest(host, tap, bridge, address))
    if state.tagged:
        existing_hosts.set_port_attributes(host, state.host.guests[-1][0])
    return stack


def _apply(host: Machine) -> Result:
    return host.run("kvmnet apply --yes --adopt /root/cluster.yaml", check=False, timeout=240)


def _look_at(host: Machine, name: str) -> Any:
    """Return what an interface of another tool has; None without one."""
    if not name:
        return None
    link = {key: value for key, value in picture.link(host, name).items() if key not in ("ifindex", "txqlen")}
    kept = {key: link.get(key) for key in ("address", "mtu", "master", "operstate")}
    return kept, picture.addresses(host, name), host.out(f"nmcli -g GENERAL.CONNECTION device show {name}")


def _same(
    now: dict[str, Any], before: dict[str, Any], parts: Sequence[str] = (), leave_out: State | None = None
) -> None:
    """Check that two pictures are the same in these parts. With `leave_out` without the guests, which a boot ends."""
    taps = {tap for tap, _, _ in leave_out.host.guests} if leave_out else set()
    seen = [_without(one, taps) for one in (now, before)]
    assert not (found := picture.differences(seen[0], seen[1], parts or list(before))), "\n".join(found)


def _without(seen: dict[str, Any], taps: set[str]) -> dict[str, Any]:
    result = dict(seen)
    result["addresses"] = {name: value for name, value in seen["addresses"].items() if name not in taps}
    result["routes"] = [route for route in seen["routes"] if not taps & set(route.split())]
    for part in ("settings", "files"):
        paths = seen[part].items()
        result[part] = {p: f for p, f in paths if not any(p.endswith(f"/{tap}.nmconnection") for tap in taps)}
    return result


def _guests_as_before(now: dict[str, Any], before: dict[str, Any], state: State) -> None:
    for tap, _, _ in state.host.guests:
        assert now["ports"][tap] == before["ports"][tap], tap
        assert now["vlans"].get(tap) == before["vlans"].get(tap), tap


def run(generation: str, count: int, seed: int) -> int:
    """Check this many states in one generation; return how many failed."""
    failed = 0
    states = [generate(seed, number) for number in range(count)]
    while states:
        with host_kinds.host_and_peer(generation) as (host, peer):
            prepare_peer(peer)
            while states:
                state = states.pop(0)
                try:
                    ended = check(host, peer, state)
                except Exception as error:
                    failed += 1
                    print(f"{generation:8} | FAILED | {state.number}: {state.words}: {error}", flush=True)
                    break  # the next state gets new machines
                print(f"{generation:8} | {ended} | {state.number}: {state.words}", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.states", description=__doc__)
    parser.add_argument("--generation", choices=roots.GENERATIONS, action="append")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    generations = options.generation or roots.GENERATIONS
    with ThreadPoolExecutor() as pool:
        failed = sum(pool.map(lambda generation: run(generation, options.count, options.seed), generations))
    print(f"{options.count} states in {len(generations)} generations, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
