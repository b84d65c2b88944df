"""Schemas and naming policies: data files, in the wheel inside the package, in a checkout at the top."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    inside = _HERE / name
    return inside if inside.is_dir() else _HERE.parent / name


def schema_text(name: str) -> str:
    """The JSON Schema "cluster", "profile" or "state" as it is written."""
    return (_folder("schemas") / f"{name}.schema.json").read_text(encoding="utf-8")


def read_schema(name: str) -> dict[str, Any]:
    """The same as plain data."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


def schema_names() -> list[str]:
    """What `read_schema` takes."""
    return sorted(path.name.split(".")[0] for path in _folder("schemas").glob("*.schema.json"))


def read_naming_policies() -> dict[str, str]:
    """Return the text of every naming policy that comes with kvmnet, by the name of its file."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(_folder("profiles").glob("*.yaml"))}
