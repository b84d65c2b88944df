"""How --help is laid out: commands under headings, each with its whole first sentence, and examples.

typer has headings and whole sentences only with rich, whose import takes longer than the rest of the program's start.
"""

import re
from typing import Any

from typer.core import TyperGroup

DEFINITION, HOST, GUESTS, FLEET = "Definition", "This host", "Guests", "Other hosts"
"""The headings of the program's commands; typer calls them panels."""


class CommandGroup(TyperGroup):
    """A program or a group whose --help lists its commands under their headings."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order in which the commands were added; old versions of typer sort them."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each heading; a command without one is under "Commands"."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            heading = getattr(command, "rich_help_panel", None) or "Commands"
            sections.setdefault(heading, []).append((name, first_sentence(command.help or "")))
        width = max(len(name) for rows in sections.values() for name, _ in rows)
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), sentence) for name, sentence in rows])


def first_sentence(text: str) -> str:
    """Return the text up to the first full stop that ends a word, on one line."""
    return re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0]


def examples(*commands: str) -> str:
    """Return the end of a command's --help: these command lines, each on a line of its own."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])
