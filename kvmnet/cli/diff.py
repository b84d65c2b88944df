"""`kvmnet diff`: what a change of the definition does to each host, before any of them is touched."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import count_text, print_json, write_stderr, write_stdout
from kvmnet.cli.help import DEFINITION, examples
from kvmnet.cli.progress import Progress

if TYPE_CHECKING:
    from kvmnet.review_input import Side

_OLD_HELP = (
    "What is applied now: a definition, a folder of rendered states, or a git revision. "
    "With --rev: the path of both sides."
)
_NEW_HELP = (
    "What will be applied. With a git revision as OLD, the path of both sides. "
    "Default: cluster.yaml, or else cluster.d, in the current folder."
)
_REV_HELP = "Compare git revisions: A..B; A...B from their last common commit; or A with the files in the working tree."
_FORMAT_HELP = "text for reading (the default), json for programs, markdown for a comment in a pull or merge request."
_LIMIT_HELP = (
    "Length of the output at most; what is cut is named at its end. 0: no limit. "
    "Default: 65536 for markdown, which a comment on GitHub may have; otherwise 0."
)


class Format(str, Enum):
    """Formats of a review."""

    text = "text"
    json = "json"
    markdown = "markdown"


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples(
        "kvmnet diff HEAD", "kvmnet diff old/cluster.yaml cluster.yaml", "kvmnet diff --rev main...HEAD states"
    )
    app.command("diff", rich_help_panel=DEFINITION, epilog=end)(diff)


def diff(
    old: Annotated[Optional[str], typer.Argument(metavar="OLD", help=_OLD_HELP, show_default=False)] = None,
    new: Annotated[Optional[str], typer.Argument(metavar="NEW", help=_NEW_HELP, show_default=False)] = None,
    rev: Annotated[Optional[str], typer.Option("--rev", metavar="REVISIONS", help=_REV_HELP)] = None,
    format: Annotated[Format, typer.Option("--format", help=_FORMAT_HELP, show_default=False)] = Format.text,
    limit: Annotated[
        Optional[int], typer.Option("--limit", metavar="CHARS", min=0, help=_LIMIT_HELP, show_default=False)
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with code 6 if something differs.")] = False,
) -> None:
    """Show what a change of the definition does to each host and its guests.

    It lists what `kvmnet plan` would list on each host that has OLD applied. No host is read or changed. Hosts with
    the same change are listed together.
    """
    from kvmnet.core.base.errors import Usage
    from kvmnet.review_input import compare_sides

    if limit is not None and limit and (format is Format.json or limit < _SMALLEST_LIMIT):
        raise Usage(f"--limit needs at least {_SMALLEST_LIMIT} characters, and is not for json")
    with Progress() as progress:
        sides = read_sides(old, new, rev, progress)
    require_valid(*sides)
    with Progress() as progress:
        review = compare_sides(*sides, progress.follow)
    if format is Format.json:
        from kvmnet.core.reporting.review_json import review_to_json

        print_json({"old": sides[0].label, "new": sides[1].label, **review_to_json(review)})
    else:
        from kvmnet.core.reporting.review_text import COMMENT_LIMIT, format_review, format_review_markdown

        if format is Format.markdown:
            write_stdout(format_review_markdown(review, COMMENT_LIMIT if limit is None else limit))
        else:
            write_stdout(format_review(review, limit or 0))
    if exit_code and not review.is_empty:
        raise typer.Exit(exit_codes.DIFFERENT)


_SMALLEST_LIMIT = 2000


def read_sides(old: Optional[str], new: Optional[str], rev: Optional[str], progress: Progress) -> "tuple[Side, Side]":
    """Return both sides. Raises Usage or KvmnetError."""
    from kvmnet.core.base.errors import KvmnetError, Usage
    from kvmnet.git_files import GitError, NoSuchRevision, split_range
    from kvmnet.review_input import read_path, read_revision

    if rev is None and old is None:
        raise Usage("nothing to compare with", "give OLD: a path or a git revision, such as HEAD")
    if rev is None and old is not None and Path(old).exists():
        return read_path(old, progress.follow), read_path(new, progress.follow)
    if rev is not None and new is not None:
        raise Usage("with --rev, only one path can be given", "kvmnet diff --rev main..HEAD cluster.yaml")
    path = old if rev is not None else new
    first, second, from_common = split_range(rev or old or "")
    if second is None:
        try:
            return read_revision(first, path), read_path(path, progress.follow)
        except (GitError, NoSuchRevision) as error:
            if rev is not None:
                raise
            raise KvmnetError(f"{old} is no file or folder, and as a revision: {error.message}", error.hint) from None
    return read_revision(first, path, second if from_common else None), read_revision(second, path)


def require_valid(old: "Optional[Side]", new: "Side") -> None:
    """Print the problems of the new definition, and end the program with exit code 1 if one side has errors."""
    from kvmnet.core.base import problem

    if new.definition is not None and new.definition.problems:
        write_stderr(problem.as_text(problem.fold(new.definition.problems), new.definition.sources))
    if new.definition is not None and not new.definition.ok:
        raise typer.Exit(exit_codes.PROBLEMS)
    if old is not None and old.definition is not None and not old.definition.ok:
        errors = [p for p in old.definition.problems if p.is_error]
        write_stderr(problem.as_text(errors[:1], old.definition.sources))
        write_stderr(
            f"kvmnet: {old.label} has {count_text(len(errors), 'error')}, so it cannot have been applied\n"
            "  hint: compare with an earlier revision, or with rendered states\n"
        )
        raise typer.Exit(exit_codes.PROBLEMS)
