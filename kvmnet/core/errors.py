"""Failures that a person can do something about. The command line prints them; everything else is a bug."""

from __future__ import annotations

from typing import Optional


class KvmnetError(Exception):
    """Told as `kvmnet: MESSAGE` with the hint under it; the process ends with `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Refused(KvmnetError):
    """Nothing was touched, and nothing will be until a person has looked."""

    exit_code = 5


class Usage(KvmnetError):
    """The command line asks for something that does not go together or is not there."""

    exit_code = 2
