"""Reads the schemas, the naming policies and the definition of `kvmnet init`: data files inside the wheel, or in a
checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    inside = _HERE / name
    return inside if inside.is_dir() else _HERE.parent / name


def schema_text(name: str) -> str:
    """Return the text of a JSON Schema: "bundle", "cluster", "plan", "profile" or "state"."""
    return (_folder("schemas") / f"{name}.schema.json").read_text(encoding="utf-8")


def read_schema(name: str) -> dict[str, Any]:
    """Return a JSON Schema as plain data."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


def schema_names() -> list[str]:
    """Return the names of all schemas."""
    return sorted(path.name.split(".")[0] for path in _folder("schemas").glob("*.schema.json"))


def read_starter() -> dict[str, str]:
    """Return the files that `kvmnet init` writes, text by name."""
    inside = _HERE / "start"
    folder = inside if inside.is_dir() else _HERE.parent / "examples" / "start"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def read_naming_policies() -> dict[str, str]:
    """Return the text of each naming policy of kvmnet by its file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(_folder("profiles").glob("*.yaml"))}


def read_data_files() -> dict[str, bytes]:
    """Return the data files of the wheel by their paths in the package: of a checkout, from where they are there."""
    starter = _HERE / "start" if (_HERE / "start").is_dir() else _HERE.parent / "examples" / "start"
    folders = {"schemas": _folder("schemas"), "profiles": _folder("profiles"), "start": starter}
    return {
        f"{name}/{path.name}": path.read_bytes()
        for name, folder in folders.items()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }
