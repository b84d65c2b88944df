"""Tests of the console."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.cli import console
from kvmnet.cli import main as program
from kvmnet.cli.console import Console


def test_bytes_that_are_not_utf_8_are_escaped(capfdbinary: Any) -> None:
    Console(as_json=False).print_line("links n\udcff: gone")
    assert capfdbinary.readouterr()[0] == b"links n\\udcff: gone\n"


HOSTILE = "a\x1b[2J\u202eb\udcff [bold] [/nonsense]"
ESCAPED = "a\\u001b[2J\\u202eb\\udcff [bold] [/nonsense]"


@pytest.mark.guarantee("G92")
def test_every_text_is_escaped_and_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_text(f"{HOSTILE}\n{HOSTILE}")
    console.write_text(f"{HOSTILE}\n")
    Console(False).print_line(HOSTILE)
    console.write_stderr(f"{HOSTILE}\n")
    program.print_error(HOSTILE)
    out, err = capsys.readouterr()
    assert out.splitlines() == [ESCAPED] * 4 and err.splitlines() == [ESCAPED] * 2
    console.print_json({"name": HOSTILE})
    Console(True).print_event("x", name=HOSTILE)
    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[-1])["name"] == HOSTILE and out.isascii() and "\x1b" not in out


def test_brackets_in_the_label_of_the_spinner_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich would take them for markup: "[fe80::1]:22" became ":22", and "[/x]" was an error."""
    shown: list[Any] = []

    class Spinner:
        def __init__(self, label: Any) -> None:
            shown.append(label)

        def start(self) -> None:
            pass

        def update(self, label: Any) -> None:
            shown.append(label)

        def stop(self) -> None:
            pass

    monkeypatch.setattr("rich.console.Console.status", lambda _, label: Spinner(label))
    line = Console(False)
    line.is_terminal = True
    for label in ("probe tcp [fe80::1]:22 [/x]", "b\x1b", None):
        line.show_progress(label)
    assert list(dict.fromkeys(label.plain for label in shown)) == ["probe tcp [fe80::1]:22 [/x]", "b\\u001b"]


def test_commands_print_in_one_place_only() -> None:
    """So that nothing is printed without escaping it."""
    for path in (Path(console.__file__).parent).glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        names = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
        assert "print" not in names or path.name in ("console.py", "main.py"), path
