"""Tests of tools/manual.py and tools/roff.py: the manual pages."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kvmnet.cli import main as program
from tools import manual, reference, roff

PAGES = manual.pages()
COMMANDS = reference.commands()


def plain(text: str) -> str:
    """Return the text of a page without the marks of roff."""
    text = re.sub(r"\\\[u([0-9A-F]{4})\]", lambda match: chr(int(match[1], 16)), text)
    text = re.sub(r"\\f[BIR]", "", text).replace("\\-", "-").replace("\\&", "").replace("\\(aq", "'")
    return text.replace("\\(dq", '"').replace("\\e", "\\").replace("\\(ti", "~").replace("\\(ha", "^")


def test_there_is_a_page_for_the_program_each_command_the_definition_and_the_transaction() -> None:
    expected = {"kvmnet.1", "kvmnet.7", "kvmnet-definition.5"}
    expected |= {f"kvmnet-{verb.replace(' ', '-')}.1" for verb in COMMANDS}
    assert set(PAGES) == expected


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_argument_and_option_of_a_command_is_in_its_page(verb: str) -> None:
    page = plain(PAGES[f"{manual.page_name(verb)}.1"])
    for parameter in COMMANDS[verb].params:
        names = parameter.opts if parameter.param_type_name != "argument" else [manual._value_name(parameter)]
        for name in names:
            assert re.search(rf"(?m)^(?:.*, )?{re.escape(name)}( |,|$)", page), name
        assert " ".join((parameter.help or "").replace("`", "").split()) in page.replace("\\(ga", ""), parameter.name


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_page_of_a_command_has_its_help_and_its_examples(verb: str) -> None:
    page = plain(PAGES[f"{manual.page_name(verb)}.1"])
    _, _, examples = (COMMANDS[verb].epilog or "").partition("Examples:\n")
    for line in examples.splitlines():
        assert line.strip() in page
    assert ".SH NAME" in page and ".SH EXIT STATUS" in page


def test_the_program_page_lists_every_command() -> None:
    page = plain(PAGES["kvmnet.1"])
    assert all(f"{manual.page_name(verb)}(1)" in page for verb in COMMANDS)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("name", PAGES)
def test_groff_reads_each_page_without_a_warning(name: str) -> None:
    command = ["groff", "-man", "-Tutf8", "-Kutf8", "-wall", "-P-c"]
    result = subprocess.run(command, input=PAGES[name], capture_output=True, text=True, check=True)
    assert result.stderr == "" and "KVMNET" in result.stdout


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
@pytest.mark.parametrize("name", PAGES)
def test_mandoc_reads_each_page_without_a_warning(name: str) -> None:
    command = ["mandoc", "-Tlint", "-Wwarning"]
    result = subprocess.run(command, input=PAGES[name], capture_output=True, text=True, check=False)
    assert (result.stdout + result.stderr, result.returncode) == ("", 0)


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
@pytest.mark.parametrize("verb", COMMANDS)
def test_the_page_as_it_is_shown_has_the_options_of_help_and_no_others(verb: str, capsys: Any) -> None:
    page = PAGES[f"{manual.page_name(verb)}.1"]
    shown = subprocess.run(["mandoc", "-Tutf8"], input=page, capture_output=True, text=True, check=True).stdout
    shown = re.sub(".\b", "", shown)  # bold and underlined letters
    assert program.main([*verb.split(), "--help"]) == 0
    help_text = capsys.readouterr().out
    in_page = options_of(shown.partition("\nOPTIONS\n")[2].partition("\nEXIT STATUS\n")[0])
    assert in_page == options_of(help_text.partition("Options:")[2].partition("Examples:")[0])
    assert "--help" in in_page


def options_of(text: str) -> set[str]:
    """Return the options of a page or of --help; their descriptions are indented more."""
    terms = re.findall(r"(?m)^ {1,8}(--?[a-z][a-z-]*(?:(?:, | / )--?[a-z][a-z-]*)*)", text)
    return {name for term in terms for name in re.split(", | / ", term)}


def test_the_pages_are_the_same_for_the_same_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert manual.pages() == manual.pages()
    assert '"2001\\-09\\-09"' in manual.pages()["kvmnet.1"] or '"2001-09-09"' in manual.pages()["kvmnet.1"]


def test_pages_are_written_into_the_folders_of_their_sections(tmp_path: Path, capsys: Any) -> None:
    assert manual.main([str(tmp_path)]) == 0
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert written == {f"man{name[-1]}/{name}" for name in PAGES}
    assert f"{len(PAGES)} manual pages written" in capsys.readouterr().out
    assert manual.main([]) == 2


def test_text_never_becomes_a_request_or_loses_a_character() -> None:
    assert roff.line(".start") == "\\&.start" and roff.line("'quote") == "\\&'quote"
    assert roff.escape("a\\b-c~^'\"é") == "a\\eb\\-c\\(ti\\(ha\\(aq\\(dq\\[u00E9]"
    assert roff.literal([".x", "", "y"])[3:6] == ["\\&.x", "\\&", "y"]


def test_markdown_becomes_macros() -> None:
    text = "# T\n\nOne `code`\nand [link](a.md).\n\n## Part\n- a\n  b\n- **c**\n\n| k | v | w |\n| --- | --- | --- |\n"
    text += "| `x` | y \\| z | |\n\n### Sub\n```sh\n.run -x\n```\n"
    assert list(roff.markdown(text)) == [
        ".PP", "One \\fBcode\\fR and link.",
        ".SH PART",
        ".IP \\(bu 2", "a b", ".IP \\(bu 2", "\\fBc\\fR",  # codespell:ignore bu
        ".TP", "\\fBx\\fR", "\\fIv\\fR: y | z",
        ".SS Sub",
        ".PP", ".nf", ".RS 4", "\\&.run \\-x", ".RE", ".fi",
    ]  # fmt: skip
