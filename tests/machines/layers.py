"""The read-only layers above a machine's root, the uppermost first."""

from __future__ import annotations

from pathlib import Path

from tests.machines import nmstate_builds, venv


def all_of(generation: str) -> list[Path]:
    return [venv.layer(generation), nmstate_builds.layer()]
