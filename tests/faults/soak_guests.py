"""Twenty guests come and go at random while libvirt is killed, NetworkManager restarted, the machine rebooted:
python3 -m tests.faults.soak_guests [--generation G] [--minutes M] [--seed N]. The VLAN devices must always be
those that running guests need."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

from tests.machines import build, guests, layers, roots
from tests.machines.cache import LabError
from tests.machines.machine import Machine, Nic
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, seed_host
from tests.machines.wire import Wire

TAGS = (2, 3, 4, 5, 6)
#: A guest and its tags: some have two NICs on one tag, some one on each of two.
GUESTS = {f"guest-{n}": [TAGS[n % 5], TAGS[(n + n % 3) % 5]] for n in range(20)}
AT_BOOT = ("guest-3", "guest-7")
MOST = 8
"""Guests that run at once: the lab machine has little memory."""
PATIENCE = 20.0
"""Seconds until the VLAN devices must be correct: 5 are enough on an idle machine, and this one may be busy."""


def definition() -> str:
    networks = "".join(f"  net-{tag}: {{vlan: {tag}, over: private}}\n" for tag in TAGS)
    macs = iter(f"36:77:6e:c0:01:{n:02x}" for n in range(256))
    rows = "".join(
        f"  {name}:\n    host: soak\n    nics:\n"
        + "".join(f'      - {{network: net-{tag}, mac: "{next(macs)}"}}\n' for tag in tags)
        for name, tags in GUESTS.items()
    )
    return (
        "kvmnet: 1\ncluster: soak\nprofile: rocks\nnetworks:\n  private: {subnets: [10.1.0.0/16]}\n"
        f"{networks}hosts:\n  soak:\n    kvm: true\n    interfaces:\n"
        f"      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}\nguests:\n{rows}"
    )


class Soak:
    """One machine and what is done to it."""

    def __init__(self, machine: Machine, rng: random.Random) -> None:
        self.machine, self.rng, self.events, self.slowest = machine, rng, 0, 0.0

    def prepare(self) -> None:
        seed_host(self.machine)
        guests.start_libvirt(self.machine)
        self.machine.put("/root/cluster.yaml", definition())
        self.machine.run("kvmnet apply --yes /root/cluster.yaml", timeout=240)
        self.machine.run("kvmnet hook install", timeout=240)
        for name in GUESTS:
            guests.define(self.machine, name, "/root/cluster.yaml")
        for name in AT_BOOT:
            self.machine.run(["virsh", "--quiet", "autostart", name], timeout=60)

    def running(self) -> list[str]:
        return sorted(self.machine.out("virsh list --name", timeout=120).split())

    def rest(self, what: str) -> None:
        """Wait until the VLAN devices are those that are needed. Raises LabError if this does not happen in time."""
        self.events += 1
        began = time.monotonic()
        while True:
            running = self.running()
            needed = sorted(f"peth0.{tag}" for tag in {tag for name in running for tag in GUESTS[name]})
            there = sorted(self.machine.out("ls /proc/net/vlan | grep -v config || true").split())
            took = time.monotonic() - began
            if there == needed:
                self.slowest = max(self.slowest, took)
                words = f"{len(running)} run, {', '.join(there) or 'no device'}"
                print(f"{self.events:4} {what}: {words} (after {took:.1f} s)", flush=True)
                return
            if took > PATIENCE:
                words = f"after {what}: {', '.join(running)} run and need {needed}, but there are {there}"
                raise LabError(f"{words}\n{self.machine.out('kvmnet hook status; ip -br link')}")
            time.sleep(0.3)

    def start(self) -> None:
        running = self.running()
        names = [name for name in GUESTS if name not in running]
        chosen = self.rng.sample(names, min(self.rng.choice([1, 1, 3]), max(0, MOST - len(running))))
        jobs = [self.machine.start(["virsh", "--quiet", "start", name]) for name in chosen]
        for job in jobs:
            job.wait(180, check=True)
        self.rest(f"start {', '.join(chosen)}")

    def stop(self) -> None:
        running = self.running()
        chosen = self.rng.sample(running, min(self.rng.choice([1, 1, 3]), len(running)))
        jobs = [self.machine.start(["virsh", "--quiet", "destroy", name]) for name in chosen]
        for job in jobs:
            job.wait(180, check=True)
        self.rest(f"stop {', '.join(chosen)}")

    def crash(self) -> None:
        running = self.running()
        if running:
            name = self.rng.choice(running)
            self.machine.run(f"kill -KILL $(cat /run/libvirt/qemu/{name}.pid)")
            self.machine.until(f"! virsh list --name | grep -qx {name}", timeout=60)
            self.rest(f"crash {name}")

    def kill_libvirt(self) -> None:
        """Kill libvirt while it starts one guest and another one ends."""
        running = self.running()
        off = [name for name in GUESTS if name not in running]
        job = self.machine.start(["virsh", "--quiet", "start", self.rng.choice(off)])
        time.sleep(self.rng.uniform(0, 2))
        self.machine.run("systemctl kill -s KILL libvirtd", check=False)
        if running:
            self.machine.run(f"kill -KILL $(cat /run/libvirt/qemu/{self.rng.choice(running)}.pid)", check=False)
        job.wait(180)
        self.machine.until("virsh list", timeout=120)
        self.rest("libvirtd killed")

    def restart_networkmanager(self) -> None:
        self.machine.run("systemctl restart NetworkManager && nm-online -s -q -t 60", timeout=120)
        self.rest("NetworkManager restarted")

    def reboot(self) -> None:
        self.machine.reboot()
        for name in AT_BOOT:
            self.machine.until(f"virsh list --name | grep -qx {name}", timeout=180)
        self.rest("reboot")

    def go(self, seconds: float) -> None:
        acts: list[Callable[[], None]] = [self.start] * 5 + [self.stop] * 3 + [self.crash] * 2
        acts += [self.kill_libvirt] * 2 + [self.restart_networkmanager]
        for half in range(2):
            end = time.monotonic() + seconds / 2
            while time.monotonic() < end:
                self.rng.choice(acts)()
            self.reboot()
            print(f"     {'half of it' if half == 0 else 'all of it'} is done", flush=True)


def soak(generation: str, minutes: float, seed: int) -> None:
    print(f"soak: {generation}, {minutes:g} min, seed {seed}", flush=True)
    with Wire() as wire:
        nics = [Nic(HOST_MAC, wire)]
        layer = layers.all_of(generation)
        with Machine(generation, "soak", nics, memory="3G", variant="guests", layers=layer) as machine:
            run = Soak(machine, random.Random(seed))
            run.prepare()
            run.go(minutes * 60)
            words = f"after each the devices were those needed, at the latest after {run.slowest:.1f} s"
            print(f"soak: {generation}: {run.events} events, {words}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.soak_guests", description=__doc__)
    parser.add_argument("--generation", choices=roots.GENERATIONS)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--seed", type=int, default=None, help="a run again")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    try:
        chosen = [given.generation] if given.generation else list(roots.GENERATIONS)
        build.prepare(chosen, ("plain", "guests"))
        for generation in chosen:
            soak(generation, given.minutes, seed)
    except LabError as error:
        print(f"soak: FAILED: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
