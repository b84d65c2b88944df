"""python3 -m tests.lab.demo: kvmnet's whole job on real machines of both generations, shown and checked.

Needs only the system's Python. What is said to be so was read from the machine's kernel by other means than kvmnet's
own; what is not so is named, and the demo fails. Where no machine can be booted it shows what needs none, and fails.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab import build, demo_offline, layers, picture, roots
from tests.lab.cache import LabError
from tests.lab.machine import Machine, Nic
from tests.lab.outage import connections, pings, reachable
from tests.lab.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, peer_machine, seed_host, seed_peer
from tests.lab.wire import Wire

ROOT = Path(__file__).parents[2]
DEFINITION = ROOT / "examples" / "rocks" / "cluster.yaml"
LOOK = "ip -br link; ip -br -4 address; ip route; bridge link; firewall-cmd --get-active-zones"


class Show:
    """The show of one generation: what was seen, and what was not as it should be."""

    def __init__(self, generation: str, host: Machine, peer: Machine) -> None:
        self.generation, self.host, self.peer = generation, host, peer
        self.wrong: list[str] = []
        self.figures: dict[str, str] = {}
        self.looks: dict[str, str] = {}

    def heading(self, text: str) -> None:
        print(f"\n--- {self.generation}: {text}", flush=True)

    def command(self, line: str, expect: int = 0) -> str:
        """Run a command in the host, as a person would, and show it with all that it says."""
        print(f"\nvm-container-0-0# {line}", flush=True)
        result = self.host.run(line, check=False, timeout=150)
        print("".join(f"  {text}\n" for text in (result.stdout + result.stderr).splitlines()), end="", flush=True)
        if result.code != expect:
            self.check(f"`{line}` ends with {expect}, not with {result.code}", False)
        return result.stdout

    def check(self, claim: str, true: bool) -> None:
        """A claim that was read from the machine."""
        print(f"  {'ok    ' if true else 'FAILED'} {claim}", flush=True)
        if not true:
            self.wrong.append(f"{self.generation}: {claim}")

    def watched(self, line: str, expect: int = 0) -> None:
        """A command during which the peer pings at ten a second and opens new connections."""
        with connections(self.peer) as tried, pings(self.peer) as seen:
            self.command(line, expect)
        self.figures[line] = f"{seen.lost} of {seen.sent} pings lost (about {seen.lost / 10:.1f} s)"
        print(f"  the peer's pings, ten a second: {self.figures[line]}")
        if expect == 0:
            self.check("the host was away for less than 5 s", seen.lost < 50)
        print(f"  new connections from the peer: {len(tried.attempts)} tried, {len(tried.failed)} not answered")

    def seed_picture(self, title: str) -> None:
        """The manual's picture, from the kernel."""
        there = self.host.run("ip link show dev peth0 && ip link show dev eth0", check=False).code == 0
        self.check(f"{title}: there are peth0 and eth0", there)
        if not there:
            return
        nic, bridge = picture.link(self.host, "peth0"), picture.link(self.host, "eth0")
        udev = self.host.out("udevadm test-builtin net_setup_link /sys/class/net/peth0 2>&1")
        self.check(f"{title}: peth0 is a port of eth0", nic.get("master") == "eth0")
        self.check(
            f"{title}: peth0 is PROMISC, promiscuity {nic['promiscuity']} (a port alone has 1)",
            "PROMISC" in nic["flags"] and nic["promiscuity"] == 2,
        )
        self.check(
            f"{title}: eth0 is a bridge with STP off and the NIC's MAC {bridge['address']}",
            bridge["linkinfo"].get("info_kind") == "bridge"
            and bridge["linkinfo"]["info_data"]["stp_state"] == 0
            and bridge["address"] == HOST_MAC,
        )
        self.check(f"{title}: eth0 has {HOST_ADDRESS}/16", f"{HOST_ADDRESS}/16" in picture.addresses(self.host, "eth0"))
        self.check(
            f"{title}: the default route is over eth0", (PEER_ADDRESS, "eth0", 100) in picture.default_routes(self.host)
        )
        self.check(
            f"{title}: udev names the NIC by our .link file",
            "ID_NET_LINK_FILE=/etc/systemd/network/00-kvmnet-peth0.link" in udev,
        )
        self.check(f"{title}: a new connection from the peer is answered", reachable(self.peer))

    def same(self, title: str, before: dict[str, Any]) -> None:
        """Nothing is left of a change that was undone."""
        after = picture.whole(self.host)
        for part, words in (
            ("files", "profiles and .link files are the same, byte for byte"),
            ("links", "names, altnames, masters and flags are the same"),
            ("addresses", "addresses are the same"),
            ("routes", "routes are the same"),
            ("zones", "firewalld's zones are the same"),
            ("checkpoints", "no checkpoint is left"),
        ):
            self.check(f"{title}: {words}", after[part] == before[part])
        self.check(f"{title}: a new connection from the peer is answered", reachable(self.peer))


def run(show: Show) -> None:
    """The whole story on one host."""
    host, definition = show.host, DEFINITION.read_text(encoding="utf-8")
    host.put("/root/cluster.yaml", definition)
    host.put("/root/bad.yaml", definition.replace("10.1.", "10.2."))
    show.heading("the host before: eth0 carries its address, default zone drop")
    show.looks["before"] = show.command(LOOK)
    before = picture.whole(host)
    show.heading("the definition is validated, rendered, planned")
    show.command(
        "cd /root && kvmnet validate && kvmnet render -o states && cat states/*/nmstate.yml states/*/guests.yml"
    )
    show.command("cd /root && kvmnet plan")
    show.heading("a bad change (a mistyped network) undoes itself (about 30 s)")
    show.watched("cd /root && kvmnet apply bad.yaml", 3)
    show.command("sha256sum /etc/NetworkManager/system-connections/*; ip -br link; firewall-cmd --get-active-zones")
    show.same("undone", before)
    show.heading("the change (about 10 s)")
    show.watched("cd /root && kvmnet apply")
    show.command(LOOK)
    show.seed_picture("applied")
    show.heading("the power is cut, and the host boots (about 20 s)")
    host.power_cut()
    _boot(host)
    show.seed_picture("after the cut")
    show.heading("a reboot (about 25 s)")
    host.power_off()
    _boot(host)
    show.looks["after, and after a power cut and a reboot"] = show.command(LOOK)
    show.seed_picture("after the reboot")
    show.heading("once more: nothing to do; and a bad change of a host that is as defined undoes itself too")
    show.command("cd /root && kvmnet apply")
    before = picture.whole(host)
    show.watched("cd /root && kvmnet apply --yes bad.yaml", 3)
    show.same("undone again", before)
    show.seed_picture("still")


def _boot(host: Machine) -> None:
    host.boot()
    host.run("nm-online -s -q -t 60", check=False, timeout=90)


def start(generation: str, wire: Wire) -> tuple[Machine, Machine]:
    """A host before kvmnet and its gateway on one wire."""
    host = Machine(generation, "host", [Nic(HOST_MAC, wire)], layers=layers.all_of(generation))
    peer = peer_machine(generation, wire)
    with ThreadPoolExecutor() as pool:
        list(pool.map(Machine.boot, (host, peer)))
    seed_peer(peer)
    return seed_host(host, zone="trusted", default_zone="drop"), peer


def main() -> int:
    begin = time.monotonic()
    print("kvmnet on real machines of two generations: about 10 minutes the first time, then about 5.")
    try:
        build.prepare()
    except LabError as error:
        return demo_offline.main(str(error))
    print("booting a host and its gateway, trixie (as EL 10) and bookworm (near EL 9): about 50 s", flush=True)
    shows: list[Show] = []
    with ThreadPoolExecutor() as pool, Wire() as one, Wire() as two:
        wires: dict[str, Wire] = dict(zip(roots.GENERATIONS, (one, two)))
        boots: dict[str, Future[tuple[Machine, Machine]]] = {
            generation: pool.submit(start, generation, wire) for generation, wire in wires.items()
        }
        for generation, boot in boots.items():
            host, peer = boot.result()
            show = Show(generation, host, peer)
            shows.append(show)
            _guarded(show, run)
            host.close()
            peer.close()
    return summary(shows, time.monotonic() - begin)


def _guarded(show: Show, story: Callable[[Show], None]) -> None:
    """An accident of one generation must not hide the other's show."""
    try:
        story(show)
    except Exception as error:
        show.check(f"the show came to its end ({type(error).__name__}: {error})", False)


def summary(shows: list[Show], seconds: float) -> int:
    """What was seen, in a few lines; 0 when all of it was as it should be."""
    print(f"\n=== {seconds / 60:.0f} minutes")
    for show in shows:
        for when, look in show.looks.items():
            print(f"{show.generation} {when}:")
            print("".join(f"    {text}\n" for text in look.splitlines() if not text.startswith("lo ")), end="")
        print(f"{show.generation}: {'all as it should be' if not show.wrong else f'{len(show.wrong)} FAILED'}")
        for line, figure in show.figures.items():
            print(f"    {line.removeprefix('cd /root && '):28} {figure}")
    wrong = [claim for show in shows for claim in show.wrong]
    print("".join(f"FAILED {claim}\n" for claim in wrong), end="")
    return 1 if wrong or len(shows) != len(roots.GENERATIONS) else 0


if __name__ == "__main__":
    sys.exit(main())
