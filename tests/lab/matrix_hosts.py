"""The machines that the fault matrix is run on, and what each is before and after the change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from tests.lab import picture, ways
from tests.lab.machine import Machine
from tests.lab.seed import HOST_ADDRESS, PEER_ADDRESS, host_and_peer, seed_host
from tests.lab.wire import Wire

DEFINITION = Path(__file__).parents[2] / "examples" / "rocks" / "cluster.yaml"
SEED = "the seed's host"
#: The steps of the seed's change, by number: what `pause` needs. `test_faults` holds it against the real journal.
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
    "write NetworkManager's settings for guests' devices",
    "record the applied bundle",
)
#: The critical places of a change: after the last step of this kind (its op, or the beginning of its title).
PLACES = {
    "the re-binding": "rebind",
    "the rename": "rename",
    "the seeding": "seed",
    "the trial": "apply",
    "the commit": "commit",
    "the .link files": "write the .link files to /etc (permanent)",
    "the saving": "save",
}
RENAMES = ("the re-binding", "the rename", "the trial", "the commit", "the .link files")
#: The same moments of a change that renames nothing: before nmstate, in the trial, in the keeping.
NO_RENAME = ("the seeding", "the trial", "the commit", "the .link files", "the saving")
#: Hosts besides the seed's, each by its way in, and their critical places. The seed's own host has a profile that
#: kvmnet did not write, bound by name, and firewalld with default zone drop; the others have the latter too.
OTHERS = {
    "a bond becomes a port of a bridge": NO_RENAME,
    "a VLAN becomes a port of a bridge": NO_RENAME,
    ways.DHCP: RENAMES,
    "IPv6 alone": RENAMES,
}


@dataclass(frozen=True)
class Bench:
    """A host and its peer, and what the host is before and after the change. `places` are the numbers of the steps
    that the critical places come after, `look` makes a picture of a machine, `silence` is how the peer stops to answer,
    `wake` how its NIC comes up again with what it had."""

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
        """The command that makes the change."""
        return f"exec kvmnet apply --yes --timeout 30 {self.allow} {options} /root/cluster.yaml"


@contextlib.contextmanager
def bench_of(generation: str, kind: str = SEED) -> Iterator[Bench]:
    """Machines of this kind, prepared."""
    if kind == SEED:
        with Wire() as wire, host_and_peer(generation, wire) as (host, peer):
            yield prepare(seed_host(host, zone="trusted", default_zone="drop"), peer)
        return
    with ways.host_and_peer(generation) as (host, peer):
        way = ways.lay_out(host, peer, ways.WAYS[kind])
        peer_has = "ip -6 address replace fd00:1::1/64 dev eth0 nodad; ip link set eth0.5 up"
        wake = f"{Bench.wake}; {peer_has}; ip address replace {ways.VLAN_PEER}/16 dev eth0.5"
        before, after, places = both_ends(host, way.allow, ways.whole)
        assert tuple(p for p in places if p in OTHERS[kind]) == OTHERS[kind], places
        silence = Bench.silence
        if kind == ways.DHCP:  # as a gateway that is silent; without the server there is no address to come back
            silence = "sysctl -q net.ipv4.conf.all.arp_ignore=8 net.ipv4.icmp_echo_ignore_all=1"
            wake = "sysctl -q net.ipv4.conf.all.arp_ignore=0 net.ipv4.icmp_echo_ignore_all=0"
        yield Bench(host, peer, before, after, places, way.address, way.allow, ways.whole, silence, wake)


def prepare(host: Machine, peer: Machine) -> Bench:
    """The seed's host."""
    host.put("/root/cluster.yaml", DEFINITION.read_bytes())
    bench = Bench(host, peer, *both_ends(host, "", picture.whole))
    assert tuple(bench.places[place] for place in RENAMES) == (2, 4, 6, 9, 11)
    return bench


def both_ends(
    host: Machine, allow: str, look: Callable[[Machine], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    """Make the change once and give it back: so both ends are known, and where its critical places are."""
    before = look(host)
    host.run(f"kvmnet apply --yes {allow} /root/cluster.yaml", timeout=240)
    after = look(host)
    steps = json.loads(host.out("cat /var/lib/kvmnet/history/*/transaction.json"))["steps"]
    host.run("kvmnet remove --yes", timeout=240)
    given_back = look(host)
    assert given_back == before, picture.differences(given_back, before, before)
    host.run("sync")  # a power cut is not to take what the lab itself wrote
    places: dict[str, int] = {}
    for place, word in PLACES.items():
        number = _last(steps, word)
        if number is not None:
            places[place] = number
    return before, after, places


def _last(steps: list[dict[str, Any]], word: str) -> Optional[int]:
    found = [n for n, step in enumerate(steps) if step["op"] == word or step["title"] == word]
    return found[-1] if found else None
