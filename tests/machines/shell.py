"""python3 -m tests.machines.shell GENERATION [-- COMMAND…]: a machine for one command, or for an interactive
session."""

from __future__ import annotations

import argparse
import shlex
import sys

from tests.machines import layers, roots
from tests.machines.cache import LabError
from tests.machines.machine import Machine, Nic
from tests.machines.seed import HOST_MAC, seed_host
from tests.machines.wire import Wire


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.machines.shell", description=__doc__)
    parser.add_argument("generation", choices=roots.GENERATIONS)
    parser.add_argument("--bare", action="store_true", help="no profile for eth0")
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    try:
        return session(given.generation, given.command, given.bare)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 125


def session(generation: str, words: list[str], bare: bool) -> int:
    below = layers.all_of(generation)
    with Wire() as wire, Machine(generation, "host", [Nic(HOST_MAC, wire)], layers=below) as host:
        if not bare:
            seed_host(host)
        if words:
            return show(host, shlex.join(words) if len(words) > 1 else words[0])
        for line in iter(lambda: prompt(generation), None):
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
