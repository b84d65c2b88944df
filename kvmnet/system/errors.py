"""Errors of programs and files on the host, and how a rollback collects them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class HostError(Exception):
    """A program or a file operation failed. The text names it and gives the reason."""


#: Errors that must not stop the rest of a rollback. Programs and files may contain text of any form, so errors of
#: parsing are among them.
EXPECTED_ERRORS = (HostError, OSError, ValueError, LookupError, TypeError, AttributeError)


@contextlib.contextmanager
def collect_failure(failures: list[str], subject: str) -> Iterator[None]:
    """Add an expected error of the block to `failures`, after the name of its subject, instead of raising it."""
    try:
        yield
    except EXPECTED_ERRORS as error:
        failures.append(f"{subject}: {str(error) or repr(error)}")
