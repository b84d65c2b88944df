"""Errors of programs and files on the host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class HostError(Exception):
    """A program or a file did not do what was asked; the text says which and why."""


#: What a part of an undo may fail with (what programs and files say may be other than ever seen): the other parts are
#: done all the same.
EXPECTED_ERRORS = (HostError, OSError, ValueError, LookupError, TypeError, AttributeError)


@contextlib.contextmanager
def collect_failure(failed: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except EXPECTED_ERRORS as error:
        failed.append(f"{what}: {str(error) or repr(error)}")
