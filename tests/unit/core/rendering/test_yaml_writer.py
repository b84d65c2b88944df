"""kvmnet's YAML writer: every YAML parser reads the same data."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kvmnet.core.rendering import yaml_writer


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_yaml_parsers_read_back_what_was_written(loader: Any) -> None:
    data = {
        "strings": [
            "no",
            "Yes",
            "null",
            "y",
            "on",
            "~",
            "",
            " a",
            "a ",
            "a: b",
            "- a",
            "#",
            "1:30",
            "1_000",
            "0x1f",
            "1e3",
        ],
        "more strings": [
            "2001-01-01",
            ".5",
            "10.1.1.1",
            "10.1.0.0/16",
            "::/0",
            "00:14:4F:80:DE:00",
            "é\n\t\u2028",
            "=",
            "<<",
            "%",
        ],
        "nested": [{"a": [{"b": 1}, {"c": {}}]}, [], {}, [[1, [True, False]]], {"no": 0}],
        "number": -1,
    }
    assert yaml.load(yaml_writer.to_yaml(data), Loader=loader) == data
