"""What of kvmnet can be shown without a machine: validation, states, a plan against a recorded live state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "recorded" / "seed-trixie.json"
_PLAN = """
import json, sys
from kvmnet.core.live import Live
from kvmnet.core.plan import make_plan
from kvmnet.core.report import plan_text
from kvmnet.pipeline import load
live = Live.from_json(json.load(open(sys.argv[2])))
print(plan_text(make_plan(load(sys.argv[1]).bundle("vm-container-0-0"), live)), end="")
"""


def main(reason: str) -> int:
    """Show it; always 1, since it is not what was asked for."""
    print(f"\nNO MACHINE CAN BE BOOTED HERE: {reason}\nWhat needs none:")
    python = _python()
    example = str(ROOT / "examples" / "rocks" / "cluster.yaml")
    shown = [
        _run("the definition is valid", [python, "-m", "kvmnet", "validate", example]),
        _run("the states of its hosts", [python, "-m", "kvmnet", "render", example]),
        _run("the plan for a host that was recorded", [python, "-c", _PLAN, example, str(RECORDED)]),
    ]
    if not all(shown):
        print("some of it could not be shown either: `make check` sets up what kvmnet needs")
    print(
        "\nNOT SHOWN: the change applied, the picture in the kernel, the reboot, the power cut, the rollback.\n"
        f"The reason: {reason}"
    )
    return 1


def _python() -> str:
    """The environment of `make check` where there is one: kvmnet needs its dependencies."""
    venv = ROOT / ".venv" / "bin" / "python"
    return str(venv) if venv.exists() else sys.executable


def _run(title: str, command: list[str]) -> bool:
    print(f"\n--- {title}", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    print("".join(f"  {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="")
    return done.returncode == 0


def recorded() -> dict[str, object]:
    """The recorded reading."""
    found: dict[str, object] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found
