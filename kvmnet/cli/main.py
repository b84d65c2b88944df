"""The program: its verbs, and the one place where every failure becomes a message and an exit code."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Optional

import typer

from kvmnet import __version__
from kvmnet.core.base.errors import KvmnetError

#: Modules of kvmnet.cli, in the order that --help lists them; each has `register(app)`. They import typer
#: and nothing heavy: what a verb needs it imports when it runs.
VERBS = (
    "validate",
    "explain",
    "schema",
    "render",
    "plan",
    "apply",
    "confirm",
    "rollback",
    "status",
    "guest",
    "hook",
)

app = typer.Typer(
    name="kvmnet",
    help="The network of KVM hosts: one definition, nmstate states, one transaction that undoes itself.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done or nothing to do; 1 problems, or failed with nothing changed; 2 usage; 3 rolled "
    "back and verified; 4 rolled back, not verified: a person is needed; 5 refused; 6 differences found.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"kvmnet {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _register(words: Sequence[str]) -> None:
    """Add the verb that a command line names; all of them where it names none (help, completion, a slip)."""
    app.registered_commands.clear()
    app.registered_groups.clear()
    verbs = words[:1] if words and words[0] in VERBS else () if list(words) == ["--version"] else VERBS
    for verb in verbs:
        importlib.import_module(f"kvmnet.cli.{verb}").register(app)


def run(arguments: Optional[list[str]] = None) -> None:
    """Run the program and end the process with its exit code."""
    sys.exit(main(arguments))


def main(arguments: Optional[list[str]] = None) -> int:
    """Run the program; every exception becomes a message and an exit code.

    A failure that a person can mend is one line and perhaps a hint; a bug names a file with the traceback.
    """
    gc.set_threshold(100_000)  # a run is short and drops little: looking for garbage was a tenth of its time
    try:
        _register(sys.argv[1:] if arguments is None else arguments)
        app(args=arguments)
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1 if end.code else 0
    except KvmnetError as error:
        first, *rest = error.lines()
        say(f"kvmnet: {first}", *rest)
        return error.exit_code
    except KeyboardInterrupt:
        say("kvmnet: interrupted")
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        say(f"kvmnet: a bug in kvmnet: {type(error).__name__}: {error}", f"  the traceback is in {_log()}")
        return 1


def say(*lines: str) -> None:
    """Lines for the person, on stderr, whatever stderr can encode."""
    encoding = sys.stderr.encoding or "utf-8"
    for line in lines:
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


def _log() -> str:
    """Write the traceback to a new file that only the caller can read. Returns its name."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="kvmnet-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as log:
        log.write(f"kvmnet {__version__}, Python {sys.version}\n{sys.argv}\n\n{traceback.format_exc()}")
    return log.name
