"""`kvmnet explain`: what a problem means and how to fix it."""

from typing import Annotated, Optional

import typer

from kvmnet.cli.console import write_stdout
from kvmnet.cli.help import DEFINITION, examples

_CODE_HELP = "A code from an error, a warning or a refusal, such as KVN110. Default: list all codes."


def register(app: typer.Typer) -> None:
    """Add the command."""
    end = examples("kvmnet explain KVN110", "kvmnet explain | grep -i mtu")
    app.command("explain", rich_help_panel=DEFINITION, epilog=end)(explain)


def explain(
    code: Annotated[Optional[str], typer.Argument(metavar="CODE", help=_CODE_HELP, show_default=False)] = None,
) -> None:
    """Explain a KVN code: what is wrong and how to fix it."""
    from kvmnet.core import catalogue
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.base.problem import did_you_mean

    entries = {entry.code: entry for entry in catalogue.all_codes()}
    if code is None:
        write_stdout("".join(f"{entry.code}  {entry.title}\n" for entry in entries.values()))
        return
    entry = entries.get(code.upper())
    if entry is None:
        raise Usage(f"there is no code {code!r}", did_you_mean(code.upper(), entries))
    write_stdout(f"{entry.code}: {entry.title}\n\n{entry.page}\n")
