"""python3 -m tests.lab.shell GENERATION [-- COMMAND…]: one machine for one command, or for a session typed in."""

from __future__ import annotations

import argparse
import shlex
import sys

from tests.lab import layers, roots
from tests.lab.machine import Machine, Nic
from tests.lab.seed import HOST_MAC, seed_host
from tests.lab.wire import Wire


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.lab.shell", description=__doc__)
    parser.add_argument("generation", choices=roots.GENERATIONS)
    parser.add_argument("--bare", action="store_true", help="no profile for eth0")
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    with Wire() as wire:
        with Machine(given.generation, "host", [Nic(HOST_MAC, wire)], layers=layers.all_of(given.generation)) as host:
            if not given.bare:
                seed_host(host)
            if given.command:
                return show(host, shlex.join(given.command) if len(given.command) > 1 else given.command[0])
            for line in iter(lambda: prompt(given.generation), None):
                show(host, line)
    return 0


def prompt(generation: str) -> str | None:
    try:
        return input(f"{generation}# " if sys.stdin.isatty() else "")
    except EOFError:
        return None


def show(machine: Machine, command: str) -> int:
    result = machine.run(command, timeout=600, check=False)
    sys.stdout.write(result.stdout)
    sys.stderr.write(result.stderr)
    return result.code


if __name__ == "__main__":
    sys.exit(main())
