"""A change of a remote host: start it, confirm it over a new connection, find out how it has ended."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional

from kvmnet.remote import command_lines, connection, decisions
from kvmnet.remote.command_lines import Target
from kvmnet.remote.connection import Answer
from kvmnet.remote.decisions import Next, Progress, Verdict

#: Seconds between two rounds of tries.
_PAUSE = 1.0
#: A host that boots, or whose switch port forwards again, needs this long beyond the change's own limits.
_GRACE = 300


class ReachedConfirmation(Exception):
    """The change waits for its confirmation: the connection that started it is of no further use."""


@dataclass(frozen=True)
class Outcome:
    """How a change has ended: its exit code, its transaction, the address at which the host answered last (None: the
    one at which it was reached first), and what else the user must know."""

    exit: int
    transaction: Optional[str]
    address: Optional[str] = None
    message: str = ""


@dataclass
class RemoteChange:
    """A change that runs on a host.

    places: the addresses that the definition gives the host. wait: for how many seconds to look for it afterwards.
    show: called with every event once.
    """

    target: Target
    places: Sequence[str]
    show: Callable[[dict[str, Any]], None]
    wait: float = 240.0 + _GRACE
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    progress: Progress = field(default_factory=Progress)
    folder: str = ""
    _seen: set[str] = field(default_factory=set)
    _reason: str = ""

    def start(self, words: Sequence[str], archive: bytes = b"") -> Outcome:
        """Start the change by this remote command and return how it has ended."""
        try:
            return self._start(words, archive)
        except KeyboardInterrupt:
            return self.cancel()

    def _start(self, words: Sequence[str], archive: bytes) -> Outcome:
        code = decisions.SSH_FAILED
        with contextlib.suppress(ReachedConfirmation):
            code = connection.run(self.target, words, archive, show_event=self._receive_first).code
        step = decisions.next_step(self.progress, is_lost=True)
        if step is Next.NOT_BEGUN:
            if code == decisions.SSH_FAILED and self._seen:  # a change may be open, and its ID is not known
                return Outcome(decisions.NOT_VERIFIED, None, None, "the connection was lost while the change began")
            return Outcome(code, None)
        if step is Next.END:
            is_lost = code == decisions.SSH_FAILED and self.progress.exit is not None
            return Outcome(self.progress.exit or 0 if is_lost else code, self.progress.transaction)
        return self._follow_elsewhere(confirm=step is Next.CONFIRM)

    def _receive_first(self, event: dict[str, Any]) -> None:
        self._receive(event)
        if decisions.next_step(self.progress, is_lost=False) is Next.CONFIRM:
            raise ReachedConfirmation

    def _receive(self, event: dict[str, Any]) -> None:
        """Take an event: `kvmnet confirm` prints those from the beginning again, which are not shown twice."""
        if event.get("event") == "folder":
            self.folder = str(event["path"])
            return
        key = json.dumps([event.get(name) for name in ("event", "at", "up", "step")])
        if "at" in event and key in self._seen:
            return
        self._seen.add(key)
        self.progress = decisions.after_event(self.progress, event)
        self.show(event)

    def _follow_elsewhere(self, confirm: bool) -> Outcome:
        """Look for the host over new connections, confirm the change if it waits for that, and return its end."""
        transaction = self.progress.transaction or ""
        until = self.now() + self.wait
        while True:
            for address in decisions.order_addresses(self.target.address, self.places):
                exit_code = self._try(transaction, address, confirm)
                if exit_code is not None:
                    return Outcome(exit_code, transaction, address)
            if self.now() >= until:
                message = f"no new connection has shown how transaction {transaction} ended"
                reason = f": {self._reason}" if self._reason else ""
                return Outcome(decisions.NOT_VERIFIED, transaction, None, message + reason)
            self.sleep(_PAUSE)

    def _try(self, transaction: str, address: Optional[str], confirm: bool) -> Optional[int]:
        """Try once at an address. Return the exit code of the change if it has ended."""
        if confirm:
            answer = self._run(["confirm", "--transaction", transaction, "--json"], address)
            verdict, code = decisions.judge_try(answer.code, answer.events)
            if verdict is Verdict.ENDED:
                return code
            if verdict is not Verdict.LOOK:
                self._reason = _find_reason(answer)
                return None
        return self._look(transaction, address)

    def _look(self, transaction: str, address: Optional[str]) -> Optional[int]:
        answer = self._run(["history", "--json"], address)
        if answer.code != 0:
            self._reason = _find_reason(answer)
            return None
        exit_code = decisions.find_outcome(_parse(answer.text, []), transaction)
        if exit_code is None and decisions.is_stuck(self._read_status(address), transaction):
            return decisions.NOT_VERIFIED
        return exit_code

    def _read_status(self, address: Optional[str]) -> dict[str, Any]:
        status: dict[str, Any] = _parse(self._run(["status", "--json"], address).text, {})
        return status

    def _run(self, words: Sequence[str], address: Optional[str]) -> Answer:
        """Run kvmnet on the host over a new connection, without its error text."""
        program = command_lines.brought_program(self.folder) if self._is_brought else self.target.program
        return connection.run(
            self.target, [*program, *words], address=address, show_event=self._receive_again, quiet=True
        )

    @property
    def _is_brought(self) -> bool:
        return not self.target.program

    def _receive_again(self, event: dict[str, Any]) -> None:
        if event.get("event") not in ("failed", "problems") or "exit" not in event:  # a try may fail
            self._receive(event)

    def cancel(self) -> Outcome:
        """Roll back the change if it is open, after Ctrl-C."""
        transaction = self.progress.transaction
        if transaction is None:
            return Outcome(130, None, None, "interrupted before a transaction began")
        for address in decisions.order_addresses(self.target.address, self.places):
            opened = self._read_status(address).get("open") or {}
            if opened.get("id") == transaction:
                code = self._run(["rollback", "--yes", "--json"], address).code
                return Outcome(decisions.ROLLED_BACK if code == 0 else code, transaction, address)
        message = f"interrupted; the host was not asked to roll back transaction {transaction}"
        return Outcome(decisions.NOT_VERIFIED, transaction, None, message)

    def clean_up(self, address: Optional[str]) -> None:
        """Remove the folder of the change from the host."""
        if self.folder:
            connection.run(self.target, command_lines.remove_folder(self.folder), address=address, quiet=True)


def seconds_to_look(confirm_within: Optional[int], timeout: int) -> float:
    """Return for how long to look for a host after its change: it has decided by then, also if it was rebooted."""
    return (120 if confirm_within is None else confirm_within) + timeout + _GRACE


def with_program(target: Target, brought: bool) -> Target:
    """Return the target whose kvmnet is the one that is brought along, or the one that is there."""
    return replace(target, program=()) if brought else target


def _find_reason(answer: Answer) -> str:
    """Return why a try has failed, on one line."""
    failed = next((event for event in answer.events if event.get("event") == "failed" and "reason" in event), None)
    lines = answer.error.splitlines()
    return str(failed["reason"]) if failed else lines[-1] if lines else f"exit code {answer.code}"


def _parse(text: str, default: Any) -> Any:
    try:
        parsed = json.loads(text)
    except ValueError:
        return default
    return parsed if isinstance(parsed, type(default)) else default
