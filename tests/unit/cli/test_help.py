"""Tests of --help: headings, sentences, examples."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import typer

from kvmnet.cli import main as program
from kvmnet.cli.help import DEFINITION, FLEET, GUESTS, HOST, CommandGroup, examples, first_sentence
from tests.unit.cli.samples import run
from tools.reference import commands


def test_help_shows_every_command_with_its_whole_first_sentence(
    capfdbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """typer alone cuts sentences that do not fit on a line."""
    monkeypatch.setenv("COLUMNS", "80")
    run("--help")
    output = capfdbinary.readouterr()[0].decode()
    assert max(map(len, output.splitlines())) <= 80 and "..." not in output.replace("[ARGS]...", "")
    text = " ".join(output.split())
    for heading in ("Definition:", "This host:", "Guests:"):
        assert f" {heading} " in text
    for name, command in commands().items():
        if " " not in name:
            assert f" {name} {first_sentence(command.help)}" in text
            assert first_sentence(command.help).endswith(".")


def test_help_lists_commands_in_the_order_of_the_table_with_their_headings() -> None:
    program.register_commands()
    group = typer.main.get_command(program.app)
    names = list(group.commands)  # type: ignore[attr-defined]
    assert names == list(program.COMMANDS)
    headings = [group.commands[name].rich_help_panel for name in names]  # type: ignore[attr-defined]
    hosts = [HOST] * 10 + [FLEET]
    assert headings == [DEFINITION] * 8 + hosts + [DEFINITION] * 2 + [GUESTS] * 2 + [FLEET]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Print it.", "Print it."),
        ("Print it. Then end.", "Print it."),
        ("Print it\non one line.\n\nMore.", "Print it on one line."),
        ("Print cluster.yaml and 1.5 s. More.", "Print cluster.yaml and 1.5 s."),
        ("No full stop", "No full stop"),
        ("", ""),
    ],
)
def test_a_sentence_ends_at_the_first_full_stop_after_a_word(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_examples_are_printed_on_lines_of_their_own(capfdbinary: Any) -> None:
    assert examples("kvmnet a", "kvmnet b") == "\b\nExamples:\n  kvmnet a\n  kvmnet b"
    run("apply", "--help")
    assert "\n  Examples:\n    kvmnet apply cluster.yaml\n" in capfdbinary.readouterr()[0].decode()


def test_a_command_without_a_heading_is_under_commands(capfd: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer(cls=CommandGroup, rich_markup_mode=None)

    @app.command("zeta", rich_help_panel="This host")
    def zeta() -> None:
        """Do the first. Not shown."""

    @app.command("al")
    def al() -> None:
        """Do the second."""

    with pytest.raises(SystemExit):
        app(["--help"])
    lines = [line.strip() for line in capfd.readouterr().out.splitlines()]
    assert lines[lines.index("This host:") + 1].split() == ["zeta", "Do", "the", "first."]
    assert lines[lines.index("Commands:") + 1].split() == ["al", "Do", "the", "second."]
    assert lines.index("This host:") < lines.index("Commands:"), "the order in which they were added"


def test_annotations_of_commands_are_not_text() -> None:
    """typer on Python 3.9 does not read annotations that `from __future__ import annotations` made text."""
    program.register_commands()
    root = typer.main.get_command(program.app)
    groups = {name: command for name, command in root.commands.items() if hasattr(command, "commands")}  # type: ignore[attr-defined]
    for name, command in {"kvmnet": root, **groups, **commands()}.items():
        function = inspect.unwrap(command.callback) if command.callback is not None else None
        assert not [n for n, a in getattr(function, "__annotations__", {}).items() if isinstance(a, str)], name
