"""The boot units: when systemd reloads them, and how often a boot tries again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvmnet.system import programs
from kvmnet.transaction import (
    safeguards,
)
from kvmnet.transaction.prepare import Prepared
from tests.unit.transaction.samples import PROGRAM


def test_systemd_reloads_its_units_only_when_one_has_changed(
    tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a host with many interfaces this takes seconds, in which systemd does not answer."""
    asked: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *words, **_: asked.append(" ".join(words[:3])) or "")
    wants = tmp_path / "units" / "multi-user.target.wants"

    def install() -> list[str]:
        safeguards.install(tmp_path, PROGRAM)
        calls = [words for words in asked if words.startswith("systemctl")]
        asked.clear()
        return calls

    assert install() == ["systemctl enable --no-reload"]
    for name in safeguards.UNITS:
        (wants / name).symlink_to(tmp_path / "units" / name)
    assert install() == []
    (tmp_path / "units" / name).write_text("of an older kvmnet")
    assert install() == ["systemctl daemon-reload"]


def settings(unit: str) -> dict[str, str]:
    text = safeguards.UNITS[unit].format(state="/var/lib/kvmnet", python=programs.SYSTEM_PYTHON)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_a_boot_tries_a_limited_number_of_times() -> None:
    """Exit code 4 is a failure, 3 a verified rollback. systemd gives a try that takes too long 90 s to end, and counts
    only the tries that began within the interval."""
    verify = settings("kvmnet-boot-verify.service")
    assert (verify["Type"], verify["Restart"], verify["SuccessExitStatus"]) == ("oneshot", "on-failure", "3")
    tries, hours = int(verify["StartLimitBurst"]), verify["StartLimitIntervalSec"]
    longest = int(verify["TimeoutStartSec"]) + 90 + int(verify["RestartSec"])
    assert tries == 10 and hours.endswith("h") and tries * longest < 3600 * int(hours[:-1])


def test_before_networkmanager_there_is_one_try() -> None:
    """The boot waits for it, and the unit after it repeats everything."""
    assert "Restart" not in settings("kvmnet-boot-undo.service")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name, text in safeguards.UNITS.items():
        (tmp_path / name).write_text(text.format(state="/var/lib/kvmnet", python=sys.executable))
    words = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "kvmnet-boot" in line]
    assert ours == [], done.stderr
