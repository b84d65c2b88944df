"""What `apply` and its like do while a transaction runs: tell of it, and undo it at Ctrl-C."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

from kvmnet.cli.host import Console


def follow_to_end(
    console: Console, state_dir: Path, identity: str, *, watch: Optional[str] = None, on_cancel: bool = True
) -> int:
    """Tell what the worker does until the transaction has ended; its exit code. Ctrl-C asks for the undo, and
    waits for it (without `on_cancel` it only ends the telling); so does a dropped session."""
    from kvmnet.core.report import confirm_text, event_text, outcome_text
    from kvmnet.transaction.launch import cancel, follow, rescue_now, wait_closed

    titles: list[str] = []
    end: dict[str, Any] = {}

    def tell(event: dict[str, Any]) -> None:
        titles.extend(event.get("steps", []))
        if "away" in event:
            end["away"] = event["away"]
        with suppress(OSError):  # whoever listened is gone: the exit code still tells the truth
            console.event(**event)
            if event["event"] == "do":
                if event.get("op") == "confirm":
                    console.line(confirm_text(event["seconds"]))
                console.waiting(event["title"])
            text = event_text(event, titles)
            if text:
                console.waiting(None)
                console.line(text)

    seen = state_dir / "open" / "journal.jsonl"
    if not seen.exists():  # it was quicker than we
        seen = state_dir / "history" / identity / "journal.jsonl"
    code: Optional[int] = None
    with seen.open(encoding="utf-8") as journal:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = follow(journal, identity, tell)
        except KeyboardInterrupt:
            if not on_cancel:
                raise
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            console.waiting(None)
            console.line("cancelled: undoing (this cannot be interrupted)")
            cancel(identity)
            code = follow(journal, identity, tell)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if code is None:
            console.line("the worker is gone; undoing from here")
            rescue_now(state_dir)
            code = follow(journal, identity, tell)
    console.waiting(None)
    code = 4 if code is None else code
    wait_closed(state_dir, code)
    with suppress(OSError):
        console.event("result", exit=code, away=end.get("away"))
        console.line(outcome_text(code, end.get("away"), watch))
    return code
