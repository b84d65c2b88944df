"""python3 -m tests.lab.demo: shows kvmnet's whole job on lab machines of both generations, and checks it.

Needs only the system's Python. Every check reads the machine's kernel, NetworkManager or firewalld without kvmnet. The
demo fails when a check fails. When no machine can be booted, it shows what needs none, and fails.
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
from tests.lab.demo_show import HOST, Show, is_complete, say, table
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
SIMILAR_TO = {"trixie": "like EL 10", "bookworm": "near EL 9"}

BEFORE, CHECKED = "before", "validated, rendered, planned"
BAD, APPLIED, CUT, REBOOT = "a bad change rolled back", "applied", "after a power cut", "after a reboot"
AGAIN, BAD_AGAIN = "a second apply", "a bad change rolled back again"
PARTS = (BEFORE, CHECKED, BAD, APPLIED, CUT, REBOOT, AGAIN, BAD_AGAIN)


def run(show: Show) -> None:
    """Show all parts on one host."""
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
    show.begin(BEFORE, "the host before kvmnet: its only NIC, eth0, has its address")
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
    show.check("the plan contains the rename", "rename eth0: to peth0" in plan)


def bad(show: Show) -> None:
    show.begin(BAD, "a bad change (10.2 instead of 10.1 in the networks) is rolled back", 25)
    earlier = _show_failing_change(show, "kvmnet apply bad.yaml")
    show.same(earlier)


def _show_failing_change(show: Show, line: str) -> dict[str, Any]:
    """Show a change that must fail, with the files on disk before and after. Return the machine as it was before."""
    earlier = picture.whole(show.host)
    files = show.command(FILES)
    show.watched(line, 3)
    show.check("sha256sum prints the same as before", show.command(FILES) == files)
    show.command("ip -br link; firewall-cmd --get-active-zones")
    return earlier


def applied(show: Show) -> None:
    show.begin(APPLIED, "the change; as soon as it is kept, the power is cut", 15)
    seen = show.apply_and_cut("kvmnet apply cluster.yaml", LOOK)
    show.picture(seen, reach=False)
    show.begin(CUT, "the host boots after the power cut", 25)
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
    show.begin(AGAIN, "the same definition again: nothing to do", 3)
    files = show.host.out(STATS)
    output = show.command("kvmnet apply cluster.yaml")
    show.check("kvmnet has nothing to do", "nothing to do" in output)
    show.check("the files keep their inodes and times", show.host.out(STATS) == files)
    show.begin(BAD_AGAIN, "a bad change of a host that is in the desired state is rolled back too", 25)
    earlier = _show_failing_change(show, "kvmnet apply bad.yaml")
    show.same(earlier)
    show.picture()


def _boot(host: Machine) -> None:
    host.boot()
    host.run("nm-online -s -q -t 60", check=False, timeout=90)


def start(generation: str, wire: Wire, stack: ExitStack) -> tuple[Machine, Machine]:
    """Boot a host before kvmnet, and its gateway, on one wire."""
    host, peer = stack.enter_context(host_and_peer(generation, wire))
    return seed_host(host, zone="trusted", default_zone="drop"), peer


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.lab.demo", description=__doc__)
    parser.add_argument("--generation", choices=roots.GENERATIONS, help="only this generation")
    chosen = parser.parse_args(argv).generation
    generations = [chosen] if chosen else list(roots.GENERATIONS)
    begin = time.monotonic()
    say(
        "kvmnet's whole job on lab machines: validate, render, plan, a bad change that is rolled back, apply,",
        "a power cut, a reboot, apply again. Lines that begin with `ok` are checks made without kvmnet.",
        "This takes about 10 minutes the first time, because the machines are built; later about 4.",
    )
    try:
        build.prepare(generations)
        shows = booted(generations)
    except (LabError, OSError) as error:
        return demo_offline.main(str(error))
    return summary(shows, generations, time.monotonic() - begin)


def booted(generations: Sequence[str]) -> list[Show]:
    """Run the shows of these generations at once, as they mostly wait; print one after the other."""
    names = " and ".join(f"{generation} ({SIMILAR_TO[generation]})" for generation in generations)
    say("", f"booting a host and its gateway, {names}: about 50 s")
    with ExitStack() as stack:
        wires = {generation: stack.enter_context(Wire()) for generation in generations}
        pool = stack.enter_context(ThreadPoolExecutor())
        boots = {generation: pool.submit(start, generation, wire, stack) for generation, wire in wires.items()}
        shows = [Show(generation, *boot.result()) for generation, boot in boots.items()]
        runs = [pool.submit(_guarded, show) for show in shows]
        for number, (show, ran) in enumerate(zip(shows, runs)):
            if number:
                say("", f"the same in {show.generation}; most of it ran at the same time")
            show.take_turn()
            ran.result()
    return shows


def _guarded(show: Show) -> None:
    """Run a show; an exception is a failed check, so that the other generation is shown too."""
    try:
        run(show)
    except Exception as error:
        show.check(f"the demo ran to its end ({type(error).__name__}: {error})", False)
    finally:
        show.host.power_cut()
        show.peer.power_cut()


def summary(shows: Sequence[Show], generations: Sequence[str], seconds: float) -> int:
    """Print a summary. Return 0 when all checks of all generations passed, else 1."""
    title = f"summary, after {seconds / 60:.1f} minutes"
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
    failed = [claim for show in shows for claim in show.failed]
    say("", *(f"FAILED {claim}" for claim in failed))
    passed = [show.generation for show in shows if is_complete(show, PARTS)]
    if passed != list(generations):
        say("the demo failed: not all checks passed")
        return 1
    say(f"all checks passed, in {' and '.join(passed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
