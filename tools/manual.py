"""The manual pages: `python -m tools.manual DIR` writes them.

kvmnet(1) and a page for each command come from the program, kvmnet-definition(5) from the schema and its documentation,
kvmnet(7) from the explanation of the transaction.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from kvmnet import __version__
from kvmnet.cli.help import first_sentence
from tools import reference, roff

ROOT = reference.ROOT
MANUAL = "Network of KVM hosts"


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    commands = reference.commands()
    return {
        "kvmnet.1": _program_page(commands),
        **{f"{page_name(verb)}.1": _command_page(verb, command) for verb, command in commands.items()},
        "kvmnet-definition.5": _document_page(
            "kvmnet-definition", 5, "format of the definition of a cluster", ROOT / "docs/reference/definition.md"
        ),
        "kvmnet.7": _document_page(
            "kvmnet", 7, "how a change of a host's network runs", ROOT / "docs/explanation/transaction.md"
        ),
    }


def page_name(verb: str) -> str:
    """Return the name of a command's page: kvmnet-guest-xml for `guest xml`."""
    return f"kvmnet-{verb.replace(' ', '-')}"


def build_date() -> str:
    """Return the date of the pages: SOURCE_DATE_EPOCH if it is set (reproducible-builds.org), otherwise today."""
    seconds = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _start(name: str, section: int, purpose: str) -> list[str]:
    return [
        *roff.title(name, section, build_date(), f"kvmnet {__version__}", MANUAL),
        roff.heading("name"),
        f"{roff.escape(name)} \\- {roff.escape(purpose)}",
    ]


def _purpose(help_text: str) -> str:
    """Return the first sentence of a help text as the purpose of a page: without its full stop."""
    sentence = first_sentence(inspect.cleandoc(help_text)).rstrip(".").replace("`", "")
    return sentence[:1].lower() + sentence[1:]


def _program_page(commands: dict[str, Any]) -> str:
    from kvmnet.cli import main

    text = inspect.cleandoc(main.app.info.help or "")
    lines = [*_start("kvmnet", 1, _purpose(text)), roff.heading("synopsis")]
    lines += [".B kvmnet", "[\\fB\\-\\-version\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]", roff.heading("description")]
    lines += [part for block in text.split("\n\n") for part in roff.paragraph(block)]
    lines.append(roff.heading("commands"))
    for verb, command in commands.items():
        name = f"\\fB{roff.escape(page_name(verb))}\\fR(1)"
        lines += roff.term(name, first_sentence(inspect.cleandoc(command.help or "")))
    lines += _exit_status()
    lines += [roff.heading("see also"), "\\fBkvmnet\\-definition\\fR(5), \\fBkvmnet\\fR(7), \\fBnmstatectl\\fR(8),"]
    lines += ["\\fBNetworkManager\\fR(8), \\fBsystemd.link\\fR(5)"]
    return _text(lines)


def _command_page(verb: str, command: Any) -> str:
    help_text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    lines = [*_start(page_name(verb), 1, _purpose(help_text)), roff.heading("synopsis"), *_synopsis(verb, command)]
    lines.append(roff.heading("description"))
    lines += [part for block in help_text.split("\n\n") for part in roff.paragraph(block)]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name != "argument"]
    if arguments:
        lines.append(roff.heading("arguments"))
        for parameter in arguments:
            lines += roff.term(f"\\fI{roff.escape(_value_name(parameter))}\\fR", parameter.help or "")
    lines.append(roff.heading("options"))
    for parameter in options:
        lines += roff.term(_option(parameter), parameter.help or "")
    lines += roff.term("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show the help and exit.")
    _, _, examples = (command.epilog or "").partition("Examples:\n")
    if examples:
        lines += [roff.heading("examples"), *roff.literal(text.strip() for text in examples.splitlines())]
    lines += [
        *_exit_status(),
        roff.heading("see also"),
        "\\fBkvmnet\\fR(1), \\fBkvmnet\\-definition\\fR(5), \\fBkvmnet\\fR(7)",
    ]
    return _text(lines)


def _synopsis(verb: str, command: Any) -> list[str]:
    words = [f".B kvmnet {roff.escape(verb)}", "[\\fIOPTIONS\\fR]"]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = f"\\fI{roff.escape(_value_name(parameter))}\\fR"
            words.append(name if parameter.required else f"[{name}]")
    return words


def _value_name(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name).strip("{}[]").upper()


def _option(parameter: Any) -> str:
    """Return an option as a term: its names and the name of its value."""
    names = ", ".join(f"\\fB{roff.escape(name)}\\fR" for name in (*parameter.opts, *parameter.secondary_opts))
    if getattr(parameter, "is_flag", False):
        return names
    choices = getattr(parameter.type, "choices", None)
    value = "|".join(map(str, choices)) if choices else str(parameter.metavar or parameter.type.name).upper()
    return f"{names} \\fI{roff.escape(value)}\\fR"


def _exit_status() -> list[str]:
    lines = [roff.heading("exit status")]
    for code, meaning in reference.exit_codes():
        lines += roff.term(f"\\fB{code}\\fR", meaning)
    return lines


def _document_page(name: str, section: int, purpose: str, path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    begins_with_heading = bool(re.match(r"# [^\n]*\n+## ", text))
    lines = _start(name, section, purpose)
    lines += [] if begins_with_heading else [roff.heading("description")]
    lines += [*roff.markdown(text), roff.heading("see also"), "\\fBkvmnet\\fR(1)"]
    return _text(lines)


def _text(lines: list[str]) -> str:
    starts = (".SH", ".SS")  # a paragraph begins there anyway; mandoc warns of a .PP
    kept = (text for before, text in zip(["", *lines], lines) if text != ".PP" or not before.startswith(starts))
    return "".join(f"{text}\n" for text in kept)


def main(arguments: list[str]) -> int:
    """Write the pages below a folder: man1, man5 and man7."""
    if len(arguments) != 1:
        print("usage: python -m tools.manual DIR", file=sys.stderr)
        return 2
    for name, text in pages().items():
        path = Path(arguments[0]) / f"man{name[-1]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(pages())} manual pages written to {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
