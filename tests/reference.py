"""docs/reference.md, from the schemas, the program and the codes: `python -m tests.reference` writes it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from kvmnet import resources
from kvmnet.cli import main
from kvmnet.core import catalogue
from kvmnet.core.definition.schema import resolve

PAGE = Path(__file__).parents[1] / "docs/reference.md"

HEAD = """\
# Reference
Generated from the schemas and the program by `python -m tests.reference`; a test holds it current. How the keys work \
together is in [definition.md](definition.md).

- [Commands](#commands), [exit codes](#exit-codes)
- [The definition](#the-definition), [profiles](#profiles), [states](#states)
- [Problems](#problems), [refusals](#refusals)

## In an editor
An editor with the YAML language server (VS Code, Neovim, Emacs, Helix) completes keys, shows what each means, and \
marks what is wrong. Write the schema beside the definition, and name it in the definition's first line:
```sh
kvmnet schema cluster > kvmnet.schema.json
```
```yaml
# yaml-language-server: $schema=kvmnet.schema.json
kvmnet: 1
```
The schema knows the form; `kvmnet validate` knows the cluster (addresses, names, tags).
"""

SCHEMAS = {
    "cluster": ("The definition", "`kvmnet schema cluster`. Keys that begin with `x-` are free at every level."),
    "profile": (
        "Profiles",
        "`kvmnet schema profile`. The files in profiles/; a definition's own are under `profiles`.",
    ),
    "state": ("States", "`kvmnet schema state`: exactly the keys of nmstate that kvmnet writes."),
}


def page() -> str:
    """The whole page."""
    parts = [HEAD, *_commands(), *_exit_codes()]
    for name, (heading, words) in SCHEMAS.items():
        parts.append(f"## {heading}\n{words}\n")
        parts += _Keys(name).sections()
    of_definitions = catalogue.definition_codes()
    refusals = [entry for entry in catalogue.all_codes() if entry not in of_definitions]
    parts.append("## Problems\n`kvmnet explain CODE` prints the same.\n")
    parts += [f"### {entry.code}\n**{entry.title}.** {_flowing(entry.page)}\n" for entry in of_definitions]
    parts.append("## Refusals\nWhy a host is refused, before anything is touched (exit code 5).\n")
    parts += [f"### {entry.code}\n**{entry.title}.** {_flowing(entry.page)}\n" for entry in refusals]
    return "\n".join(parts)


def _flowing(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _table(*columns: str) -> list[str]:
    return ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def commands() -> dict[str, Any]:
    """The program's commands by name, those of a group with the group's before theirs."""
    main._register([])
    program: Any = typer.main.get_command(main.app)
    found: dict[str, Any] = {}
    for verb, command in program.commands.items():  # a module may register more than the verb of its name
        if hasattr(command, "commands"):
            found.update({f"{verb} {name}": one for name, one in command.commands.items()})
        else:
            found[verb] = command
    return found


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    for verb, command in commands().items():
        rows = []
        for parameter in command.params:
            names = [str(parameter.name).upper()] if parameter.param_type_name == "argument" else parameter.opts
            rows.append(_row(", ".join(f"`{name}`" for name in names), parameter.help or ""))
        table = "\n".join(["", *_table("argument", "means"), *rows]) if rows else ""
        yield f"### kvmnet {verb}\n{_flowing(inspect.cleandoc(command.help or ''))}\n{table}\n"


def exit_codes() -> list[tuple[str, str]]:
    """The program's exit codes and what they mean, as --help has them."""
    words = str(main.app.info.epilog).partition(": ")[2].rstrip(".")
    return [(part.split(" ", 1)[0], part.split(" ", 1)[1]) for part in re.split(r"; (?=[0-9])", words)]


def _exit_codes() -> Iterator[str]:
    rows = [_row(code, words) for code, words in exit_codes()]
    yield "## Exit codes\n" + "\n".join([*_table("code", "means"), *rows]) + "\n"


class _Keys:
    """The tables of one schema: one for each kind of mapping."""

    def __init__(self, name: str) -> None:
        self.name, self.root = name, resources.read_schema(name)
        self.waiting: list[tuple[str, dict[str, Any]]] = [(name, self.root)]
        self.done: set[str] = set()

    def sections(self) -> Iterator[str]:
        while self.waiting:
            title, schema = self.waiting.pop(0)
            if title not in self.done:
                self.done.add(title)
                yield self.section(title, schema)

    def section(self, title: str, schema: dict[str, Any]) -> str:
        needed = schema.get("required", [])
        rows = []
        for key, part in schema["properties"].items():
            kind, words = self.kind(f"{title} {key}", part), part["description"]
            rows.append(_row(f"`{key}`" + (" *" if key in needed else ""), kind, words))
        about = schema.get("description", "") if schema is not self.root else ""
        head = f"### {title}\n" + (f"{about}\n" if about else "") + ("Keys with * are needed.\n" if needed else "")
        return head + "\n" + "\n".join([*_table("key", "is", "means"), *rows]) + "\n"

    def kind(self, title: str, schema: dict[str, Any]) -> str:
        """What a value is, in words; mappings with keys of their own get a table."""
        while "$ref" in schema:
            title = f"{self.name} {schema['$ref'].rsplit('/', 1)[1]}"
            schema = resolve(schema["$ref"], self.root)
        if "properties" in schema:
            self.waiting.append((title, schema))
            return f"[{title}](#{title.lower().replace(' ', '-')})"
        if schema.get("type") == "object":
            return f"names to {self.kind(title, schema['additionalProperties'])}"
        if schema.get("type") == "array":
            return f"list of: {self.kind(title, schema['items'])}"
        if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        if "const" in schema:
            return f"`{schema['const']}`"
        words = {"boolean": "true or false", "integer": "a whole number", "string": "text"}
        types = schema.get("type", [])
        kinds = [words[kind] for kind in ([types] if isinstance(types, str) else types)]
        return str(schema.get("title", " or ".join(kinds)))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE} is written")
