"""Failures that a person can do something about. The command line prints them; everything else is a bug."""

from __future__ import annotations

from typing import Any, Optional


class KvmnetError(Exception):
    """Told as `kvmnet: MESSAGE` with the hint under it; the process ends with `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, hint: Optional[str] = None, code: Optional[str] = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code

    def lines(self) -> list[str]:
        """What a person is told: the message with its code, the hint, where to read on."""
        told = [f"{self.code}: {self.message}" if self.code else self.message]
        told += [f"  hint: {self.hint}"] if self.hint else []
        return [*told, f"  more: kvmnet explain {self.code}"] if self.code else told


class Refused(KvmnetError):
    """Nothing was touched, and nothing will be until a person has looked.

    `code` has a page that `kvmnet explain` prints; `allow` says whether `--allow CODE` goes on all the same;
    `more` are further reasons, found at the same time; `also` is what a person is told besides, a line each, and
    `data` the same for machines.
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        hint: Optional[str] = None,
        code: Optional[str] = None,
        *,
        allow: bool = False,
        more: tuple[Refused, ...] = (),
    ) -> None:
        super().__init__(message, hint, code)
        self.allow, self.more = allow, more
        self.also: list[str] = []
        self.data: dict[str, Any] = {}

    def lines(self) -> list[str]:
        """Every reason with its hint."""
        told = super().lines()
        if self.allow:
            told[-1] += f"; --allow {self.code} goes on all the same"
        return told + [line for other in self.more for line in other.lines()] + self.also


class Usage(KvmnetError):
    """The command line asks for something that does not go together or is not there."""

    exit_code = 2
