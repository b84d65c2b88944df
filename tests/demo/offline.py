"""The part of the demo that needs no machine: validation, states, and a plan for a recorded live state."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "recorded" / "seed-trixie.json"
"""A lab machine before kvmnet, as `Live.to_json` returns it."""
_PLAN = """
import json, sys
from pathlib import Path
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.reporting.report import format_plan
from kvmnet.pipeline import load
live = Live.from_json(json.loads(Path(sys.argv[2]).read_text()))
print(format_plan(make_plan(load(sys.argv[1]).bundle("vm-container-0-0"), live)), end="")
"""


def main(reason: str) -> int:
    """Show this part. Return 1, always: the demo needs machines."""
    reason = reason.removeprefix("the lab cannot run here: ")
    print(f"\nNO MACHINE CAN BE BOOTED HERE: {reason}\nThe following needs none:")
    python, example = interpreter(), str(ROOT / "examples" / "rocks" / "cluster.yaml")
    shown = [
        _run("the definition is validated", [*python, "-m", "kvmnet", "validate", example]),
        _show_rendering(python, example),
        _run(f"the plan for the host recorded in {RECORDED.name}", [*python, "-c", _PLAN, example, str(RECORDED)]),
    ]
    if not all(shown):
        print("\nNot all of it could be shown: run `make check`, which installs what kvmnet needs.")
    print(
        "\nNOT SHOWN: the change, its result in the kernel, the rollback, the power cut, the reboot.\n"
        f"Reason: {reason}",
        flush=True,
    )
    return 1


def interpreter() -> list[str]:
    """Return the Python of `make check` if it exists, because kvmnet needs its dependencies."""
    venv = ROOT / ".venv" / "bin" / "python"
    return [str(venv) if venv.exists() else sys.executable]


def _show_rendering(python: list[str], example: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        succeeded = _run(
            "its host is rendered to an nmstate state", [*python, "-m", "kvmnet", "render", example, "-o", folder]
        )
        for file in sorted(Path(folder).glob("*/*")):
            if file.suffix in (".yml", ".link"):
                print(f"\n  {file.relative_to(folder)}:")
                print(textwrap.indent(file.read_text(encoding="utf-8"), "    "), end="")
    return succeeded


def _run(title: str, command: list[str]) -> bool:
    print(f"\n{title}\n{'-' * len(title)}", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    print("".join(f"  {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="")
    return done.returncode == 0
