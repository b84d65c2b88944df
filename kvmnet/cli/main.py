"""The program: its commands, and the one place where an exception becomes a message and an exit code."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Optional

import typer

from kvmnet import __version__
from kvmnet.cli import exit_codes
from kvmnet.cli.help import CommandGroup
from kvmnet.core.base.errors import KvmnetError

#: The module of each command, in the order of --help. A module has `register(app)`. It imports typer and nothing heavy:
#: what a command needs is imported when it runs.
COMMANDS = {
    "init": "kvmnet.cli.init",
    "validate": "kvmnet.cli.validate",
    "explain": "kvmnet.cli.explain",
    "schema": "kvmnet.cli.schema",
    "render": "kvmnet.cli.render",
    "diff": "kvmnet.cli.diff",
    "graph": "kvmnet.cli.graph",
    "export": "kvmnet.cli.export",
    "plan": "kvmnet.cli.plan",
    "apply": "kvmnet.cli.apply",
    "pull": "kvmnet.cli.pull",
    "confirm": "kvmnet.cli.confirm",
    "rollback": "kvmnet.cli.rollback",
    "remove": "kvmnet.cli.remove",
    "doctor": "kvmnet.cli.doctor",
    "status": "kvmnet.cli.status",
    "history": "kvmnet.cli.history",
    "purge": "kvmnet.cli.purge",
    "remote": "kvmnet.cli.remote",
    "import": "kvmnet.cli.import_",
    "allocate": "kvmnet.cli.allocate",
    "guest": "kvmnet.cli.guest",
    "hook": "kvmnet.cli.hook",
    "fleet": "kvmnet.cli.fleet",
}

_HELP = """Configure the network of KVM hosts from one definition of the cluster.

kvmnet checks the definition, renders an nmstate state for each host, and applies it on the host as one transaction.
If a step fails or the host becomes unreachable, the host is rolled back."""

app = typer.Typer(
    name="kvmnet",
    cls=CommandGroup,
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\n".join(["\b", "Exit codes:", *(f"  {code}  {text}" for code, text in exit_codes.MEANINGS.items())]),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"kvmnet {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def register_commands(arguments: Sequence[str] = ()) -> None:
    """Give the program the command that the arguments begin with, or all of them (for help and completion)."""
    app.registered_commands.clear()
    app.registered_groups.clear()
    if list(arguments) == ["--version"]:
        return
    for name in arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS:
        importlib.import_module(COMMANDS[name]).register(app)


def run(arguments: Optional[list[str]] = None) -> None:
    """Run the program and end the process with its exit code. What it creates is never writable by others."""
    os.umask(os.umask(0o022) | 0o022)
    sys.exit(main(arguments))


def main(arguments: Optional[list[str]] = None) -> int:
    """Run the program and return its exit code. Every exception becomes a message.

    An error that the user can fix is one line, perhaps with a hint. A bug names a file that contains the traceback.
    """
    # A run is short and frees little: collecting garbage took a tenth of its time. What survives the first collection
    # is part of the definition, and stays.
    gc.set_threshold(100_000, 50, 100)
    try:
        register_commands(sys.argv[1:] if arguments is None else arguments)
        app(args=arguments)
        return exit_codes.DONE
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1 if end.code else 0
    except KvmnetError as error:
        first, *rest = error.lines()
        print_error(f"kvmnet: {first}", *rest)
        return error.exit_code
    except KeyboardInterrupt:
        print_error("kvmnet: interrupted")
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has ended. Python would complain about it when it flushes stdout at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.PROBLEMS
    except Exception as error:
        print_error(f"kvmnet: a bug in kvmnet: {type(error).__name__}: {error}", f"  traceback: {_write_traceback()}")
        return exit_codes.PROBLEMS


def print_error(*lines: str) -> None:
    """Print lines on stderr; control characters and characters that its encoding lacks are escaped."""
    from kvmnet.cli.console import escape_text

    encoding = sys.stderr.encoding or "utf-8"
    for line in lines:
        print(escape_text(line).encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


def _write_traceback() -> str:
    """Write the traceback to a new file that only the user can read. Return its name."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="kvmnet-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as log:
        log.write(f"kvmnet {__version__}, Python {sys.version}\n{sys.argv}\n\n{traceback.format_exc()}")
    return log.name
