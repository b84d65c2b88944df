"""python3 -m benchmarks.lab: the time of kvmnet on a host of many VLAN bridges, compared with bare nmstatectl.

In each lab machine, in turn and in one run, both apply the same states: no change, compared with `nmstatectl show`; the
first apply of all bridges, with trial, probes and saving, compared with `nmstatectl apply`; one more bridge on a host
that has the others, compared with `nmstatectl apply` of all. The naming policy is `plain`, which renames nothing, so
that bare nmstatectl can do the same; firewalld runs.

With --library, kvmnet uses nmstate's library, as on EL, and not its program, which reads the whole host once more for
the difference that it prints. Times are measured inside the machine, where programs are several times slower than
outside: only the ratio matters. Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from typing import NamedTuple

from tests.machines import build, nmstate_library, picture, roots
from tests.machines.machine import Machine
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PROFILE, host_and_peer, seed_host
from tests.machines.wire import Wire

DEFINITION, MORE, STATE, MORE_STATE, LESS_STATE = (
    f"/root/{name}" for name in ("cluster.yaml", "more.yaml", "state.json", "more.json", "less.json")
)
#: Removes everything that either tool created.
CLEAR = """
nmcli -t -f UUID,TYPE connection show | grep -v :loopback | cut -d: -f1 | xargs -r nmcli --wait 60 connection delete
rm -rf /var/lib/kvmnet /etc/systemd/network/00-kvmnet-* /etc/NetworkManager/conf.d/90-kvmnet-*
"""
#: Waits until less than a tenth of the processor is used, so that the previous command does not affect the measurement:
#: NetworkManager works for a minute after sixty interfaces were deleted, and does not answer meanwhile.
QUIET = """
busy() { awk '/^cpu / {print $2 + $3 + $4}' /proc/stat; }
for _ in $(seq 60); do a=$(busy); sleep 2; test $(($(busy) - a)) -lt 20 && exit; done; exit 1
"""


class Row(NamedTuple):
    """Seconds of each round, of kvmnet and of the other tool; `goal` is the largest accepted ratio of the medians."""

    what: str
    ours: list[float]
    theirs: list[float]
    goal: float

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.theirs)


def definition(vlans: int) -> str:
    lines = ["kvmnet: 1", "cluster: bench", "profile: plain", "networks:"]
    lines += ["  private: {subnets: [10.1.0.0/16], gateway: 10.1.1.1}"]
    lines += [f"  vlan-{tag}: {{vlan: {tag}, mtu: 1496}}" for tag in range(2, 2 + vlans)]
    lines += ["hosts:", "  host:", "    kvm: true", "    interfaces:"]
    lines += [f"      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}"]
    lines += [f"      eth0.{tag}: {{network: vlan-{tag}, bridge: true}}" for tag in range(2, 2 + vlans)]
    return "\n".join(lines) + "\n"


class Bench:
    """A host, and the same changes by kvmnet and by nmstatectl alone."""

    def __init__(self, host: Machine, vlans: int) -> None:
        self.host, self.vlans = host, vlans
        self.longest: list[tuple[float, str]] = []
        self.before = picture.whole(host)
        self.profile = host.get(PROFILE)
        for path, text in ((DEFINITION, definition(vlans)), (MORE, definition(vlans + 1))):
            host.put(path, text)
        for path, target in ((DEFINITION, STATE), (MORE, MORE_STATE)):
            host.put(target, json.dumps(self._state(path)))
        gone = {f"{prefix}eth0.{vlans + 2}" for prefix in ("br-", "")}
        absent = [i for i in self._state(MORE)["interfaces"] if i["name"] in gone]
        assert len(absent) == len(gone), absent
        rows = [{"name": i["name"], "type": i["type"], "state": "absent"} for i in absent]
        host.put(LESS_STATE, json.dumps({"interfaces": rows}))

    def _state(self, path: str) -> dict[str, list[dict[str, str]]]:
        """Return the state that kvmnet renders, as JSON."""
        self.host.run(f"rm -rf /root/states && kvmnet render {path} -o /root/states", timeout=120)
        state: dict[str, list[dict[str, str]]] = json.loads(
            self.host.out(
                [
                    *("/opt/kvmnet/bin/python", "-c"),
                    "import json, yaml; print(json.dumps(yaml.safe_load(open('/root/states/host/nmstate.yml'))))",
                ]
            )
        )
        return state

    def timed(self, command: str) -> float:
        """Return the seconds that a command takes on the idle machine, by its own clock."""
        self.host.run(QUIET, timeout=240)
        timed = f"b=$EPOCHREALTIME; {command} >/root/output 2>&1; c=$?; echo $b $EPOCHREALTIME $c"
        begin, end, code = self.host.out(timed, timeout=1200).split()
        assert code == "0", f"{command}: {self.host.out('tail -n 30 /root/output')}"
        return float(end) - float(begin)

    def clear(self) -> None:
        """Restore the host as it was before both."""
        for _ in range(2):  # nmcli stops waiting for a busy NetworkManager, which continues
            self.host.run(CLEAR, timeout=600)
            self.host.run(QUIET, timeout=240)
        self.host.put(PROFILE, self.profile, mode=0o600)
        self.host.run("ip link set dev eth0 promisc off mtu 1500")  # NetworkManager does not reset it
        self.host.run("nmcli connection reload && nmcli --wait 60 connection up eth0", timeout=120)
        self.host.until("test $(ls /sys/class/net | grep -c eth0) = 1", timeout=120)
        self.host.run("nm-online -s -q -t 60; udevadm settle; sync", timeout=120)
        now = picture.whole(self.host)
        parts = ("links", "addresses", "routes", "zones")
        assert [now[part] for part in parts] == [self.before[part] for part in parts], now

    def check(self, vlans: int) -> None:
        """Check that the complete change was made."""
        ports = {link["ifname"]: link.get("master") for link in json.loads(self.host.out("ip -j link show"))}
        wanted = {f"eth0.{tag}": f"br-eth0.{tag}" for tag in range(2, 2 + vlans)}
        assert {name: master for name, master in ports.items() if name.startswith("eth0.")} == wanted
        saved = "ls /etc/NetworkManager/system-connections | grep -c eth0"
        assert int(self.host.out(saved)) == 2 * vlans + 2, self.host.out("ls /etc/NetworkManager/system-connections")

    def first(self) -> tuple[float, float]:
        """Measure the apply of all bridges to the host before both; at the end it has those of kvmnet."""
        self.clear()
        theirs = self.timed(f"nmstatectl apply --timeout 900 {STATE}")
        self.check(self.vlans)
        self.clear()
        ours = self.timed(f"kvmnet apply --yes --timeout 900 {DEFINITION}")
        self.longest = self.steps()[:6]
        self.check(self.vlans)
        return ours, theirs

    def nothing(self) -> tuple[float, float]:
        """Measure an apply to a host that is in the desired state."""
        ours = self.timed(f"kvmnet apply --yes --timeout 900 {DEFINITION}")
        assert "nothing to do" in self.host.out("cat /root/output")
        return ours, self.timed("nmstatectl show")

    def one_more(self) -> tuple[float, float]:
        """Measure the apply of one more bridge, and remove it."""
        ours = self.timed(f"kvmnet apply --yes --timeout 900 {MORE}")
        self.longest = self.steps()[:6]
        self.check(self.vlans + 1)
        self.timed(f"kvmnet apply --yes --timeout 900 {DEFINITION}")
        self.check(self.vlans)
        theirs = self.timed(f"nmstatectl apply --timeout 900 {MORE_STATE}")
        self.check(self.vlans + 1)
        self.timed(f"nmstatectl apply --timeout 900 {LESS_STATE}")
        self.check(self.vlans)
        return ours, theirs

    def steps(self) -> list[tuple[float, str]]:
        """Return how long the steps of the last transaction took, the longest first."""
        journal = self.host.out("cat $(ls -d /var/lib/kvmnet/history/* | tail -n 1)/journal.jsonl").splitlines()
        events = [json.loads(line) for line in journal]
        titles = next(e["steps"] for e in events if e["event"] == "begin")
        return sorted(((e["seconds"], titles[e["step"]]) for e in events if e["event"] == "done"), reverse=True)


def measure(generation: str, rounds: int, vlans: int, by_library: bool, tell: Callable[[str], None]) -> list[Row]:
    """Return the three rows of a generation."""
    with Wire() as wire, host_and_peer(generation, wire) as (host, _):
        bench = Bench(seed_host(host, zone="trusted", default_zone="drop"), vlans)
        if by_library:
            nmstate_library.install(host)
        first = Row(f"first apply of {vlans} VLAN bridges, `nmstatectl apply`", [], [], 1.15)
        nothing = Row("nothing to do, `nmstatectl show`", [], [], 1.2)
        more = Row("one VLAN bridge more, `nmstatectl apply` of all", [], [], 0.8)
        for number in range(rounds):
            for row, way in ((first, bench.first), (nothing, bench.nothing), (more, bench.one_more)):
                for _ in range(3 if row is nothing else 1):
                    ours, theirs = way()
                    row.ours.append(ours)
                    row.theirs.append(theirs)
                if row is not nothing and number == rounds - 1:
                    longest = ", ".join(f"{title[:40]} {seconds:.1f}" for seconds, title in bench.longest)
                    tell(f"{generation}: the longest steps: {longest}")
                told = f"{row.ours[-1]:.1f} s by kvmnet, {row.theirs[-1]:.1f} s beside it"
                tell(f"{generation}: round {number + 1}: {row.what}: {told}")
        return [first, nothing, more]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vlans", type=int, default=30)
    parser.add_argument("--generation", choices=roots.GENERATIONS)
    parser.add_argument("--library", action="store_true", help="kvmnet by nmstate's library")
    options = parser.parse_args()
    chosen = [options.generation] if options.generation else list(roots.GENERATIONS)
    build.prepare(chosen)
    lines, good = [], True
    for generation in chosen:
        for row in measure(
            generation, options.rounds, options.vlans, options.library, lambda words: print(words, flush=True)
        ):
            medians = [f"{statistics.median(seconds):.2f} s" for seconds in (row.ours, row.theirs)]
            missed = "" if row.ratio <= row.goal else " missed"
            good = good and not missed
            cells = (generation, row.what, *medians, f"{row.ratio:.2f}", f"{row.goal:g}{missed}")
            lines.append(f"| {' | '.join(cells)} |")
    print("\n| machine | what, beside | kvmnet | beside it | ratio | goal |\n| --- | --- | --- | --- | --- | --- |")
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
