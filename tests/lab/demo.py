"""python3 -m tests.lab.demo: kvmnet's whole job on real machines of both generations, shown and checked.

Needs only the system's Python. What is said to be so was read from the machine's kernel by other means than kvmnet's
own; what is not so is named, and the demo fails. Where no machine can be booted it shows what needs none, and fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Optional

from tests.lab import build, demo_offline, picture, roots
from tests.lab.cache import LabError
from tests.lab.demo_show import HOST, Show, complete, say, table
from tests.lab.machine import Machine
from tests.lab.seed import HOST_ADDRESS, host_and_peer, seed_host
from tests.lab.wire import Wire

ROOT = Path(__file__).parents[2]
DEFINITION = ROOT / "examples" / "rocks" / "cluster.yaml"
LOOK = (
    r"ip -br link; ip -o link | sed -n 's/^.: \(\S*\) .*altname/\1 altname/p'; ip -br -4 address; ip route; bridge link"
)
FILES = "cd /etc; sha256sum NetworkManager/system-connections/* systemd/network/*.link 2>/dev/null; true"
ZONES = "firewall-cmd --get-default-zone; firewall-cmd --get-active-zones"
STATS = "stat -c '%n %i %Y' /etc/NetworkManager/system-connections/* /etc/systemd/network/*"
STANDS_FOR = {"trixie": "as EL 10", "bookworm": "near EL 9"}

BEFORE, CHECKED = "before", "validated, rendered, planned"
BAD, APPLIED, CUT, REBOOT = "a bad change undone", "applied", "after a power cut", "after a reboot"
AGAIN, BAD_AGAIN = "a second apply", "a bad change undone again"
PARTS = (BEFORE, CHECKED, BAD, APPLIED, CUT, REBOOT, AGAIN, BAD_AGAIN)


def run(show: Show) -> None:
    """The whole story on one host."""
    definition = DEFINITION.read_text(encoding="utf-8")
    show.host.put("/root/cluster.yaml", definition)
    show.host.put("/root/bad.yaml", definition.replace("10.1.", "10.2."))
    before(show)
    checked(show)
    bad(show)
    applied(show)
    rebooted(show)
    again(show)


def before(show: Show) -> None:
    show.begin(BEFORE, "the host before: its only NIC eth0 carries its address")
    show.looks["before"] = show.command(LOOK)
    zones = show.command(ZONES)
    show.check(f"eth0 has {HOST_ADDRESS}/16", picture.addresses(show.host, "eth0") == [f"{HOST_ADDRESS}/16"])
    show.check("firewalld's default zone is drop, eth0 is in trusted", zones.split()[:2] == ["drop", "trusted"])


def checked(show: Show) -> None:
    show.begin(CHECKED, "the definition is validated, rendered to nmstate, and planned", 6)
    show.command("kvmnet validate cluster.yaml")
    show.command("kvmnet render cluster.yaml -o states")
    for name in ("nmstate.yml", "guests.yml", "00-kvmnet-peth0.link"):
        show.command(f"cat states/{HOST}/{name}")
    plan = show.command("kvmnet plan cluster.yaml")
    show.check("the plan tells of the rename", "rename eth0: to peth0" in plan)


def bad(show: Show) -> None:
    show.begin(BAD, "a bad change (networks mistyped: 10.2 for 10.1) undoes itself", 25)
    earlier = _around(show, "kvmnet apply bad.yaml")
    show.same(earlier)


def _around(show: Show, line: str) -> dict[str, Any]:
    """A change that must fail, shown with what lies on disk before and after it; what the machine was before."""
    earlier = picture.whole(show.host)
    files = show.command(FILES)
    show.watched(line, 3)
    show.check("sha256sum says the same as before", show.command(FILES) == files)
    show.command("ip -br link; firewall-cmd --get-active-zones")
    return earlier


def applied(show: Show) -> None:
    show.begin(APPLIED, "the change; as soon as it is kept, the plug is pulled", 15)
    seen = show.apply_and_cut("kvmnet apply cluster.yaml", LOOK)
    show.picture(seen, reach=False)
    show.begin(CUT, "the power was cut; the host boots again", 25)
    _boot(show.host)
    show.looks["after the power cut"] = show.command(LOOK)
    show.picture()


def rebooted(show: Show) -> None:
    show.begin(REBOOT, "a reboot", 30)
    show.host.power_off()
    _boot(show.host)
    show.looks["after the reboot"] = show.command(LOOK)
    show.command(ZONES)
    show.picture()


def again(show: Show) -> None:
    show.begin(AGAIN, "the same definition once more: nothing to do", 3)
    files = show.host.out(STATS)
    said = show.command("kvmnet apply cluster.yaml")
    show.check("kvmnet has nothing to do", "nothing to do" in said)
    show.check("files keep inode and time", show.host.out(STATS) == files)
    show.begin(BAD_AGAIN, "the bad change of a host that is as defined undoes itself too", 25)
    earlier = _around(show, "kvmnet apply bad.yaml")
    show.same(earlier)
    show.picture()


def _boot(host: Machine) -> None:
    host.boot()
    host.run("nm-online -s -q -t 60", check=False, timeout=90)


def start(generation: str, wire: Wire, stack: ExitStack) -> tuple[Machine, Machine]:
    """A host before kvmnet and its gateway on one wire."""
    host, peer = stack.enter_context(host_and_peer(generation, wire))
    return seed_host(host, zone="trusted", default_zone="drop"), peer


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.lab.demo", description=__doc__)
    parser.add_argument("--generation", choices=roots.GENERATIONS, help="this one alone")
    chosen = parser.parse_args(argv).generation
    generations = [chosen] if chosen else list(roots.GENERATIONS)
    begin = time.monotonic()
    say(
        "kvmnet's whole job on real machines: validate, render, plan, a bad change that undoes itself, apply,",
        "power cut, reboot, apply again; every line that begins with `ok` was read from the machine's kernel.",
        "The first time about 10 minutes, most of it to build the machines; then about 4.",
    )
    try:
        build.prepare(generations)
        shows = booted(generations)
    except (LabError, OSError) as error:
        return demo_offline.main(str(error))
    return summary(shows, generations, time.monotonic() - begin)


def booted(generations: Sequence[str]) -> list[Show]:
    """The shows of these generations, at once, since the machines wait most of the time; told one after the other."""
    names = " and ".join(f"{generation} ({STANDS_FOR[generation]})" for generation in generations)
    say("", f"booting a host and its gateway, {names}: about 50 s")
    with ExitStack() as stack:
        wires = {generation: stack.enter_context(Wire()) for generation in generations}
        pool = stack.enter_context(ThreadPoolExecutor())
        boots = {generation: pool.submit(start, generation, wire, stack) for generation, wire in wires.items()}
        shows = [Show(generation, *boot.result()) for generation, boot in boots.items()]
        runs = [pool.submit(_guarded, show) for show in shows]
        for number, (show, ran) in enumerate(zip(shows, runs)):
            if number:
                say("", f"the same in {show.generation}; most of it has happened meanwhile")
            show.take_turn()
            ran.result()
    return shows


def _guarded(show: Show) -> None:
    """An accident of one generation must not hide the other's show."""
    try:
        run(show)
    except Exception as error:
        show.check(f"the show came to its end ({type(error).__name__}: {error})", False)
    finally:
        show.host.power_cut()
        show.peer.power_cut()


def summary(shows: Sequence[Show], generations: Sequence[str], seconds: float) -> int:
    """What was seen, in a few lines; 0 when all of it was as it should be."""
    title = f"what was seen, in {seconds / 60:.1f} minutes"
    say("", title, "-" * len(title))
    for show in shows:
        last = ""
        for when, look in show.looks.items():
            same = " the same" if look == last else ""
            say("", f"{show.generation} {when}:{same}")
            last = look
            if not same:
                say(*(f"  {text}" for text in look.splitlines() if not text.startswith("lo ")))
    say("", *table(shows, PARTS))
    wrong = [claim for show in shows for claim in show.wrong]
    say("", *(f"FAILED {claim}" for claim in wrong))
    seen = [show.generation for show in shows if complete(show, PARTS)]
    well = seen == list(generations)
    say(f"all of it was seen, in {' and '.join(seen)}" if well else "not all of it was seen: the demo failed")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
