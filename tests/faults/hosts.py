"""The hosts of the fault matrix, and the state of each before and after the change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from tests.machines import existing_hosts, host_kinds, picture, tap_guest
from tests.machines.machine import Machine
from tests.machines.seed import HOST_ADDRESS, PEER_ADDRESS, host_and_peer, seed_host
from tests.machines.wire import Wire

DEFINITION = Path(__file__).parents[2] / "examples" / "rocks" / "cluster.yaml"
SEED = "the example host"
#: The steps of the example host's change, by number, as `pause` needs them. A run of a point checks them.
STEPS = (
    "write the .link files to /run (until the next boot)",
    "check which .link files udev uses",
    "bind the connection profile of eth0 to its MAC address",
    "bind peth0 to zone trusted",
    "rename eth0 to peth0",
    "prepare a connection profile for eth0",
    "apply peth0, eth0 as a trial",
    "read the kernel state back",
    "probe 10.1.1.1",
    "commit the trial",
    "bind the connection profile of eth0 to its MAC address on disk",
    "write the .link files to /etc (permanent)",
    "check again which .link files udev uses",
    "save the connection profiles to disk: eth0, peth0",
    "write the settings for guests' devices",
    "verify what each interface gets at the next boot",
    "record the applied bundle",
)
#: The critical places of a change: after the last step with this op or title.
PLACES = {
    "the re-binding": "rebind",
    "the rename": "rename",
    "the seeding": "seed",
    "the settings": "set settings",
    "the trial": "apply",
    "the commit": "commit",
    "the .link files": "write the .link files to /etc (permanent)",
    "the saving": "save",
}
RENAMES = ("the re-binding", "the rename", "the trial", "the commit", "the .link files")
#: The critical places of a change without renames: before nmstate, in the trial, while the change is kept.
NO_RENAME = ("the seeding", "the trial", "the commit", "the .link files", "the saving")
#: The critical places of an adoption: nothing is created.
ADOPTION = ("the settings", "the trial", "the commit", "the saving")
ADOPTED = "br0 with running guests is adopted"
#: Further hosts, each with another management interface, and their critical places. The example host has a profile that
#: another tool created, bound by name. All but the last have firewalld with default zone drop.
OTHERS = {
    "a bond becomes a port of a bridge": NO_RENAME,
    "a VLAN becomes a port of a bridge": NO_RENAME,
    host_kinds.DHCP: RENAMES,
    "IPv6 alone": RENAMES,
    ADOPTED: ADOPTION,
}


@dataclass(frozen=True)
class Bench:
    """A host and its peer, and the state of the host before and after the change.

    `places` are the numbers of the steps before the critical places, `look` takes a picture of a machine. `silence` is
    the command that makes the peer stop replying, `wake` the one that ends this.
    """

    host: Machine
    peer: Machine
    before: dict[str, Any]
    after: dict[str, Any]
    places: dict[str, int]
    address: str = HOST_ADDRESS
    allow: str = ""
    look: Callable[[Machine], dict[str, Any]] = picture.whole
    silence: str = "ip link set eth0 down"
    wake: str = f"ip link set eth0 up; ip address replace {PEER_ADDRESS}/16 dev eth0"

    def apply(self, options: str = "") -> str:
        """Return the command that makes the change."""
        return f"exec kvmnet apply --yes --timeout 30 {self.allow} {options} /root/cluster.yaml"


@contextlib.contextmanager
def bench_of(generation: str, kind: str = SEED) -> Iterator[Bench]:
    """Yield prepared machines of this kind."""
    if kind == SEED:
        with Wire() as wire, host_and_peer(generation, wire) as (host, peer):
            yield prepare(seed_host(host, zone="trusted", default_zone="drop"), peer)
        return
    if kind == ADOPTED:
        with host_kinds.host_and_peer(generation) as (host, peer):
            yield _prepare_adoption(host, peer)
        return
    with host_kinds.host_and_peer(generation) as (host, peer):
        way = host_kinds.lay_out(host, peer, host_kinds.WAYS[kind])
        peer_has = "ip -6 address replace fd00:1::1/64 dev eth0 nodad; ip link set eth0.5 up"
        wake = f"{Bench.wake}; {peer_has}; ip address replace {host_kinds.VLAN_PEER}/16 dev eth0.5"
        before, after, places = both_ends(host, way.allow, host_kinds.whole)
        assert tuple(p for p in places if p in OTHERS[kind]) == OTHERS[kind], places
        silence = Bench.silence
        if (
            kind == host_kinds.DHCP
        ):  # a gateway that does not reply; its DHCP server must stay, or the address would not be restored
            silence = "sysctl -q net.ipv4.conf.all.arp_ignore=8 net.ipv4.icmp_echo_ignore_all=1"
            wake = "sysctl -q net.ipv4.conf.all.arp_ignore=0 net.ipv4.icmp_echo_ignore_all=0"
        yield Bench(host, peer, before, after, places, way.address, way.allow, host_kinds.whole, silence, wake)


def prepare(host: Machine, peer: Machine) -> Bench:
    """Prepare the example host."""
    host.put("/root/cluster.yaml", DEFINITION.read_bytes())
    bench = Bench(host, peer, *both_ends(host, "", picture.whole))
    assert tuple(bench.places[place] for place in RENAMES) == (2, 4, 6, 9, 11)
    return bench


def _prepare_adoption(host: Machine, peer: Machine) -> Bench:
    """Prepare a host with br0, which filters VLANs, and two guests, of which one is in VLAN 100."""
    kind = existing_hosts.HOSTS["options"]
    existing_hosts.lay_out(host, kind)
    guests = _Guests(kind)
    before, after, places = both_ends(host, "--adopt", guests.look)
    assert tuple(p for p in places if p in ADOPTION) == ADOPTION, places
    return Bench(host, peer, before, after, places, kind.address, "--adopt", guests.look)


class _Guests:
    """The guests of a host. A boot ends them, so they are started again after one; a tap that is lost without a boot
    stays lost."""

    def __init__(self, kind: existing_hosts.ExistingHost) -> None:
        self.kind, self.boot = kind, ""

    def look(self, host: Machine) -> dict[str, Any]:
        """Return the picture of the host and its guests' taps."""
        boot = host.out("cat /proc/sys/kernel/random/boot_id")
        if boot != self.boot:
            host.until(f"ip -o address show | grep -q ' {self.kind.address}/'", timeout=60)
            for tap, bridge, address in self.kind.guests:
                tap_guest.start(host, tap, bridge, address)
            existing_hosts.set_port_attributes(host, self.kind.guests[-1][0])
            self.boot = boot
        return existing_hosts.look(host)


def both_ends(
    host: Machine, allow: str, look: Callable[[Machine], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    """Make the change once and remove it; return the states before and after, and the critical places."""
    before = look(host)
    host.run(f"kvmnet apply --yes {allow} /root/cluster.yaml", timeout=240)
    after = look(host)
    steps = json.loads(host.out("cat /var/lib/kvmnet/history/*/transaction.json"))["steps"]
    host.run("kvmnet remove --yes", timeout=240)
    restored = look(host)
    assert restored == before, picture.differences(restored, before, before)
    host.run("sync")  # a power cut must not remove what the lab itself wrote
    places: dict[str, int] = {}
    for place, name in PLACES.items():
        number = _last(steps, name)
        if number is not None:
            places[place] = number
    return before, after, places


def _last(steps: list[dict[str, Any]], name: str) -> Optional[int]:
    numbers = [n for n, step in enumerate(steps) if step["op"] == name or step["title"] == name]
    return numbers[-1] if numbers else None
