"""Where the installed program starts: what a shell asks at every Tab is answered before anything heavy is imported."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the program and end the process with its exit code."""
    if sys.argv[1:2] == ["complete"]:
        from kvmnet.completion import main

        sys.exit(main(sys.argv[2:]))
    from kvmnet.cli.main import run as run_command

    run_command()
