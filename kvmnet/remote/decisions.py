"""What to do next in a change of a remote host, by the events that it has printed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Optional

Event = Mapping[str, Any]

#: Exit codes of kvmnet, as in kvmnet/cli/exit_codes.py; a test compares them.
DONE, PROBLEMS, ROLLED_BACK, NOT_VERIFIED = 0, 1, 3, 4
#: ssh's own exit code: the connection failed or was lost.
SSH_FAILED = 255
#: The refusals of `kvmnet confirm`: nothing waits (any more, or not yet); this connection cannot confirm.
NOT_WAITING, CANNOT_CONFIRM = "KVN560", "KVN561"


@dataclass(frozen=True)
class Progress:
    """What is known of the change: its transaction's ID once it has begun, whether it waits for the confirmation, and
    the exit code once it has ended."""

    transaction: Optional[str] = None
    waits: bool = False
    exit: Optional[int] = None


class Next(Enum):
    """What to do next."""

    FOLLOW = "read further events"
    CONFIRM = "confirm over a new connection, or find out there how the change has ended"
    CHECK = "the change was kept without a confirmation: find out whether a new connection reaches the host"
    END = "the change has ended, and its exit code is known"
    NOT_BEGUN = "the connection was lost before a transaction began"


class Verdict(Enum):
    """What one try to confirm has shown."""

    ENDED = "the change has ended"
    LOOK = "nothing waits for a confirmation: look whether the change has ended"
    REFUSED = "the host was reached, but this connection cannot confirm"
    UNREACHABLE = "the host was not reached"


def after_event(progress: Progress, event: Event) -> Progress:
    """Return the progress after one more event of the host."""
    kind = event.get("event")
    if kind == "begin":
        return replace(progress, transaction=str(event["id"]))
    if isinstance(event.get("exit"), int) and kind in ("result", "failed", "problems"):
        return replace(progress, exit=int(event["exit"]), waits=False)
    if kind == "do":
        return replace(progress, waits=event.get("op") == "confirm")
    return progress


def next_step(progress: Progress, is_lost: bool) -> Next:
    """Return what to do next. `is_lost`: the connection over which the change was started has ended."""
    if progress.exit is not None:
        return Next.CHECK if progress.exit == DONE and progress.transaction else Next.END
    if progress.waits:
        return Next.CONFIRM
    if is_lost:
        return Next.CONFIRM if progress.transaction else Next.NOT_BEGUN
    return Next.FOLLOW


def judge_try(code: int, events: Iterable[Event]) -> tuple[Verdict, int]:
    """Return what a try to confirm has shown, and the exit code of the change where it has ended."""
    events = list(events)
    for event in reversed(events):
        if event.get("event") == "result" and isinstance(event.get("exit"), int):
            return Verdict.ENDED, int(event["exit"])
    failed = next((e for e in reversed(events) if e.get("event") == "failed" and "exit" in e), None)
    if failed is not None:
        return Verdict.LOOK if failed.get("code") == NOT_WAITING else Verdict.REFUSED, code
    # without a result: the connection was lost, or kvmnet is not there, so the history shows the end
    return (Verdict.UNREACHABLE if code == SSH_FAILED or not events else Verdict.LOOK), code


def find_outcome(history: Sequence[Event], transaction: str) -> Optional[int]:
    """Return the exit code of a transaction by `kvmnet history --json`; None if it has not ended."""
    ended = next((row for row in history if row.get("id") == transaction), None)
    if ended is None:
        return None
    if ended.get("outcome") == "kept":
        return DONE
    if ended.get("outcome") == "nothing was begun":
        return PROBLEMS
    return ROLLED_BACK if ended.get("verified") else NOT_VERIFIED


def is_stuck(status: Event, transaction: str) -> bool:
    """Whether a transaction is open and nothing works on it any more, by `kvmnet status --json`."""
    opened = status.get("open") or {}
    return opened.get("id") == transaction and not opened.get("works", True)


def order_addresses(tried: Optional[str], planned: Sequence[str]) -> list[Optional[str]]:
    """Return the addresses at which the host may answer after the change, in the order in which to try them: the one at
    which it answered before (None: where ssh itself finds it), then those that the definition gives it."""
    return [tried, *(address for address in dict.fromkeys(planned) if address != tried)]
