"""All read-only layers of a machine's root, the upper ones first."""

from __future__ import annotations

from pathlib import Path

from tests.lab import tools


def all_of(generation: str) -> list[Path]:
    return [tools.layer()]
