"""python -m benchmarks.core: the processor time that the core takes, compared with netplan: complete processes in one
run, as ratios. Processor time (user and system) varies less than wall time when the machine has other work.

The hosts have a NIC and N VLANs, each VLAN with a bridge. One `kvmnet render -o DIR`, which validates, is compared with
netplan's own generator, one process for each host, with NetworkManager as renderer. netplan is unpacked from the
distribution's packages into the user's cache directory and never installed. Then 10,000 hosts: the first render, one of
the same definition, one after the change of one host, and `kvmnet diff` of a change of all. Prints the table of
docs/benchmarks.md. Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable, NamedTuple, Optional

_KVMNET = (sys.executable, "-m", "kvmnet")
PACKAGES = ("netplan.io", "libnetplan0", "libnetplan1", "netplan-generator")


class Run(NamedTuple):
    """The seconds of processor time that one or more processes took, and the memory of the largest one in MB."""

    seconds: float
    megabytes: float


class Row(NamedTuple):
    """A line of the table. `goal` is the largest accepted ratio (or MB)."""

    what: str
    ours: str
    theirs: str
    ratio: float
    goal: float

    @property
    def good(self) -> bool:
        return self.ratio <= self.goal


def kvmnet(hosts: int, vlans: int, long: bool) -> str:
    """Return a definition; `long`: without a group, with every host written out."""
    lines = ["kvmnet: 1", "cluster: bench", "profile: rocks", "networks:"]
    lines += ["  private: {subnets: [10.0.0.0/8], gateway: 10.0.0.1}"]
    lines += [f"  vlan-{tag}: {{vlan: {tag}}}" for tag in range(1, vlans + 1)]
    template = ["eth0: {network: private}"]
    template += [f"eth0.{tag}: {{network: vlan-{tag}, bridge: true}}" for tag in range(1, vlans + 1)]
    if not long:
        lines += ["groups:", "  vm:", "    kvm: true", "    interfaces:", *(f"      {line}" for line in template)]
    lines.append("hosts:")
    for number in range(hosts):
        own = f"mac: 00:14:4f:{mac(number)}, addresses: [{address(number)}]"
        if long:
            lines += [f"  host-{number}:", "    kvm: true", "    interfaces:"]
            lines += [f"      eth0: {{network: private, {own}}}", *(f"      {line}" for line in template[1:])]
        else:
            lines += [f"  host-{number}: {{group: vm, interfaces: {{eth0: {{{own}}}}}}}"]
    return "\n".join(lines) + "\n"


def netplan(number: int, vlans: int) -> str:
    """Return the netplan file of one host. netplan does not rename the NIC of a bridge, so the bridge has another
    name."""
    lines = ["network:", "  version: 2", "  renderer: NetworkManager", "  ethernets:"]
    lines += [f"    eth0: {{match: {{macaddress: '00:14:4f:{mac(number)}'}}, accept-ra: false}}", "  vlans:"]
    lines += [f"    eth0.{tag}: {{id: {tag}, link: eth0}}" for tag in range(1, vlans + 1)]
    route = "routes: [{to: default, via: 10.0.0.1, metric: 100}]"
    parameters = "parameters: {stp: false}"
    lines += ["  bridges:", f"    br0: {{interfaces: [eth0], addresses: [{address(number)}/8], {route}, {parameters}}}"]
    lines += [f"    br{tag}: {{interfaces: [eth0.{tag}], {parameters}}}" for tag in range(1, vlans + 1)]
    return "\n".join(lines) + "\n"


def mac(number: int) -> str:
    return ":".join(f"{number:06x}"[i : i + 2] for i in (0, 2, 4))


def address(number: int) -> str:
    return f"10.{1 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def run(*commands: Sequence[object], env: Optional[dict[str, str]] = None) -> Run:
    """Run commands one after the other, each to its end. Raises RuntimeError when one fails. Python programs keep their
    compiled modules, as installed ones do."""
    env = {key: value for key, value in (env or os.environ).items() if key != "PYTHONDONTWRITEBYTECODE"}
    most, seconds = 0, 0.0
    with tempfile.TemporaryFile() as said:
        for command in commands:
            words = [str(word) for word in command]
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=said, env=env)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise RuntimeError(f"{words} ended with {process.returncode}: {said.read().decode()}")
            most = max(most, usage.ru_maxrss)
            seconds += usage.ru_utime + usage.ru_stime
        return Run(seconds, most / 1024)


def unpacked() -> Path:
    """Return the folder of netplan's packages, which are downloaded once."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvmnet-bench"
    folder = base / "netplan"
    if not folder.is_dir():
        print("core: netplan's packages are fetched and unpacked aside", file=sys.stderr)
        part = base / "netplan.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for package in PACKAGES:  # which of them there are depends on the distribution's age
            subprocess.run(["apt-get", "download", package], cwd=part, capture_output=True, check=False)
        for file in part.glob("*.deb"):
            subprocess.run(["dpkg", "-x", file, part], check=True)
        part.rename(folder)
    return folder


class Netplan:
    """netplan's generator, without the Python program around it that only starts it."""

    def __init__(self) -> None:
        folder = unpacked()
        found = [p for p in folder.rglob("generate") if p.is_file() and os.access(p, os.X_OK)]
        libraries = [p.parent for p in folder.rglob("libnetplan.so*")]
        if not found or not libraries:
            raise SystemExit(f"core: {folder} holds no netplan: remove it, and see that apt-get download works")
        self.program = found[0]
        self.env = {**os.environ, "LD_LIBRARY_PATH": str(libraries[0])}

    def generate(self, work: Path, hosts: int, vlans: int) -> Callable[[], Run]:
        """Return a function that runs one process for each host, each with its own root."""
        roots = [work / f"netplan-{hosts}x{vlans}" / str(number) for number in range(hosts)]
        for number, root in enumerate(roots):
            (root / "etc/netplan").mkdir(parents=True)
            file = root / "etc/netplan/bench.yaml"
            file.write_text(netplan(number, vlans), encoding="utf-8")
            file.chmod(0o600)
        commands = [[self.program, "--root-dir", root] for root in roots]
        return lambda: run(*commands, env=self.env)


def render(work: Path, hosts: int, vlans: int, long: bool = False) -> Callable[[], Run]:
    """Return a function that renders all hosts into a new folder."""
    file = work / f"{hosts}x{vlans}{'-long' if long else ''}.yaml"
    file.write_text(kvmnet(hosts, vlans, long), encoding="utf-8")

    def measure() -> Run:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            return run([*_KVMNET, "render", file, "-o", folder])

    return measure


def medians(rounds: int, *ways: Callable[[], Run]) -> list[Run]:
    """Return the median of each measurement. They are made in turn, so a disturbance affects all of them."""
    rows: list[list[Run]] = [[] for _ in ways]
    for number in range(rounds):
        order = range(len(ways)) if number % 2 == 0 else range(len(ways) - 1, -1, -1)
        for way in order:
            rows[way].append(ways[way]())
    return [Run(statistics.median(r.seconds for r in row), max(r.megabytes for r in row)) for row in rows]


def shown(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def rows(rounds: int, large: bool, work: Path) -> Iterator[Row]:
    python = [sys.executable]
    ours, theirs = medians(
        2 * rounds + 1,
        lambda: run([*_KVMNET, "--version"]),
        lambda: run([*python, "-c", "import typer"]),
    )
    yield Row(
        "`--version`, `import typer`", shown(ours.seconds), shown(theirs.seconds), ours.seconds / theirs.seconds, 1.2
    )
    peer = Netplan()
    for hosts, vlans, goal in ((100, 10, 0.18), (1, 500, 1.8)):
        generate = peer.generate(work, hosts, vlans)
        for long in (False, True):
            ours, theirs = medians(rounds, render(work, hosts, vlans, long), generate)
            what = f"{hosts} x {vlans}, {'every host written out' if long else 'groups'}"
            yield Row(what, shown(ours.seconds), shown(theirs.seconds), ours.seconds / theirs.seconds, goal)
    if large:
        yield from large_rows(work)


def large_rows(work: Path) -> Iterator[Row]:
    """Yield the rows of 10,000 hosts."""
    less = medians(3, render(work, 1000, 10))[0]
    text = kvmnet(10_000, 10, long=False)
    old, new, changed, states = (work / name for name in ("old.yaml", "new.yaml", "changed.yaml", "states"))
    old.write_text(text, encoding="utf-8")
    new.write_text(text.replace(f"addresses: [{address(7)}]", "addresses: [10.9.9.9]"), encoding="utf-8")
    every = text.replace("gateway: 10.0.0.1", "gateway: 10.0.0.2").replace("{vlan: 10}", "{vlan: 10, mtu: 1400}")
    changed.write_text(every, encoding="utf-8")
    first, again, one = (run([*_KVMNET, "render", file, "-o", states]) for file in (old, old, new))
    diff = run([*_KVMNET, "diff", old, changed, "--format", "markdown"])
    what = "10,000 hosts x 10"
    yield Row(f"{what}, 1,000 hosts", shown(first.seconds), shown(less.seconds), first.seconds / less.seconds, 11)
    yield Row(f"{what}, seconds", shown(first.seconds), "10 s", first.seconds / 10, 1)
    yield Row(f"{what}, memory", f"{first.megabytes:.0f} MB", "400 MB", first.megabytes / 400, 1)
    yield Row(f"{what} unchanged", shown(again.seconds), shown(first.seconds), again.seconds / first.seconds, 0.35)
    yield Row(f"{what}, one changed", shown(one.seconds), shown(first.seconds), one.seconds / first.seconds, 0.4)
    yield Row(f"`diff` of {what}, seconds", shown(diff.seconds), "40 s", diff.seconds / 40, 1)
    yield Row(f"`diff` of {what}, memory", f"{diff.megabytes:.0f} MB", "600 MB", diff.megabytes / 600, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="without the 1,000 and 10,000 hosts")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}, {time.strftime('%Y-%m-%d')}")
    print("| hosts x VLANs | kvmnet | beside it | ratio | goal |\n| --- | --- | --- | --- | --- |")
    good = True
    with tempfile.TemporaryDirectory(prefix="kvmnet-bench-") as folder:
        for row in rows(options.rounds, not options.small, Path(folder)):
            good = good and row.good
            missed = "" if row.good else " missed"
            cells = (row.what, row.ours, row.theirs, f"{row.ratio:.2f}", f"{row.goal:g}{missed}")
            print(f"| {' | '.join(cells)} |", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
