"""Run lab tests on both generations at once, with a pytest for each: python -m tests.machines.side_by_side PATH...

Machines wait most of the time, so two generations on two cores take little longer than one. Each line is printed at
once, with its generation before it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.machines.roots import GENERATIONS

#: pytest's code when all was well; with nothing to run (5) nothing was shown, so that is a failure too
PASSED = 0


def run(generation: str, arguments: list[str]) -> int:
    """Run the tests of one generation; return the exit code of its pytest."""
    command = [sys.executable, "-u", "-m", "pytest", "-vv", "--no-header", "--generation", generation, *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        print(f"{generation:8} | {line.rstrip()}", flush=True)
    return process.wait()


def main() -> int:
    with ThreadPoolExecutor() as pool:
        codes = dict(zip(GENERATIONS, pool.map(lambda g: run(g, sys.argv[1:]), GENERATIONS)))
    for generation, code in codes.items():
        print(f"lab: {generation}: {'passed' if code == PASSED else f'FAILED (pytest ended with {code})'}")
    return 0 if set(codes.values()) == {PASSED} else 1


if __name__ == "__main__":
    sys.exit(main())
