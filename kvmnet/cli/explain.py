"""kvmnet explain: what a problem means."""

from typing import Annotated, Optional

import typer

from kvmnet.cli.common import out


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("explain")(explain)


def explain(
    code: Annotated[Optional[str], typer.Argument(help="A code such as KVN110.", show_default=False)] = None,
) -> None:
    """Say what a problem means and how to mend it; without a code list all."""
    from kvmnet.core import catalogue
    from kvmnet.core.base.errors import Usage
    from kvmnet.core.base.problem import did_you_mean

    known = {entry.code: entry for entry in catalogue.all_codes()}
    if code is None:
        out("".join(f"{entry.code}  {entry.title}\n" for entry in known.values()))
        return
    entry = known.get(code.upper())
    if entry is None:
        raise Usage(f"there is no code {code!r}", did_you_mean(code.upper(), known))
    out(f"{entry.code}: {entry.title}\n\n{entry.page}\n")
