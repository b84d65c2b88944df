"""Reads text files that may be missing, and files with sections."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """Return the text of a file; empty if it does not exist or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def absolute(root: Path, path: Path) -> str:
    """Return the path as it is on the host whose root is `root`."""
    return f"/{path.relative_to(root)}"


def parse_sections(text: str) -> dict[str, dict[str, str]]:
    """Return the `Key=Value` lines of each [Section]. A repeated key adds to its value; an empty value clears it."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in (row.strip() for row in text.replace("\\\n", " ").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], {})
        elif line and line[0] not in "#;" and "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            current[key] = " ".join([*current.get(key, "").split(), *value.split()]) if value else ""
    return sections
