"""What `kvmnet remote --bring` carries."""

from __future__ import annotations

import re
from pathlib import Path

from kvmnet.remote import archive


def test_the_dependencies_are_those_of_the_project() -> None:
    text = Path("pyproject.toml").read_text(encoding="utf-8")
    listed = text.split("\ndependencies = [")[1].split("\n]")[0]
    assert re.findall(r'^  "([a-z-]+)', listed, re.MULTILINE) == list(archive.DEPENDENCIES)
