"""Errors that a user can fix. The command line prints them as messages; any other exception is a bug."""

from __future__ import annotations

from typing import Any, Optional


class KvmnetError(Exception):
    """An error that the command line prints as `kvmnet: MESSAGE` with its hint below, and exits with `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, hint: Optional[str] = None, code: Optional[str] = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code

    def lines(self) -> list[str]:
        """Return the lines to print: the message with its code, the hint, and the command that explains the code."""
        lines = [f"{self.code}: {self.message}" if self.code else self.message]
        lines += [f"  hint: {self.hint}"] if self.hint else []
        return [*lines, f"  more: kvmnet explain {self.code}"] if self.code else lines


class Refused(KvmnetError):
    """A refusal: kvmnet has changed nothing, and the user must act first.

    `code` has a page that `kvmnet explain` prints. `allow`: `--allow CODE` overrides this refusal. `more`: further
    refusals that apply at the same time. `also`: additional lines to print. `data`: the same information for JSON
    output.
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        hint: Optional[str] = None,
        code: Optional[str] = None,
        *,
        allow: bool = False,
        additional: tuple[Refused, ...] = (),
    ) -> None:
        super().__init__(message, hint, code)
        self.allow, self.additional = allow, additional
        self.also: list[str] = []
        self.data: dict[str, Any] = {}

    def lines(self) -> list[str]:
        """Return the lines to print: every refusal with its hint, then the additional lines."""
        lines = super().lines()
        if self.allow:
            lines[-1] += f"; to override: --allow {self.code}"
        return lines + [line for other in self.additional for line in other.lines()] + self.also


class Usage(KvmnetError):
    """The command line is not valid: options that cannot be combined, or an argument that does not exist."""

    exit_code = 2
