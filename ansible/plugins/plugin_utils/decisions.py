# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What to do next in a change of a host, by what kvmnet has printed there. Pure.

The collection works without kvmnet's package on the control node, so this is its own copy of the rules of
kvmnet/remote/decisions.py; kvmnet's tests compare both.
"""

import json

DONE, PROBLEMS, ROLLED_BACK, NOT_VERIFIED, DIFFERENT = 0, 1, 3, 4, 6
ENDED, LOOK, REFUSED, UNREACHABLE = "ended", "look", "refused", "unreachable"
NOT_WAITING = "KVN560"


def parse_events(text):
    """Return the events of kvmnet's output, one a line; other lines are left out."""
    events = []
    for line in text.splitlines():
        if line.startswith('{"event"'):
            try:
                events.append(json.loads(line))
            except ValueError:
                continue  # torn, because the connection was lost
    return events


def parse_document(text, default):
    """Return the JSON document in a text whose other lines are events; the default if there is none of its type."""
    lines = [line for line in text.splitlines() if not line.startswith('{"event"')]
    try:
        document = json.loads("\n".join(lines))
    except ValueError:
        return default
    return document if isinstance(document, type(default)) else default


def find_transaction(events):
    """Return the ID of the transaction that has begun; None if none has."""
    return next((event["id"] for event in events if event.get("event") == "begin"), None)


def find_end(events):
    """Return the exit code of a change that has ended; None if it has not."""
    ends = [e["exit"] for e in events if e.get("event") in ("result", "failed", "problems") and "exit" in e]
    return ends[-1] if ends else None


def find_reason(events, errors):
    """Return why a command has failed, with its code and hint."""
    for event in reversed(events):
        if event.get("event") == "failed" and "reason" in event:
            code = "%s: " % event["code"] if event.get("code") else ""
            hint = " (hint: %s)" % event["hint"] if event.get("hint") else ""
            return code + event["reason"] + hint
        if event.get("event") == "failed" and "error" in event:
            return event["error"]
    return errors.strip()


def judge_try(code, events):
    """Return what a try to confirm has shown, and the exit code of the change where it has ended."""
    for event in reversed(events):
        if event.get("event") == "result" and "exit" in event:
            return ENDED, event["exit"]
    failed = [event for event in events if event.get("event") == "failed" and "exit" in event]
    if failed:
        return (LOOK if failed[-1].get("code") == NOT_WAITING else REFUSED), code
    return (UNREACHABLE if code == 255 or not events else LOOK), code


def find_outcome(history, transaction):
    """Return the exit code of a transaction by `kvmnet history --json`; None if it has not ended."""
    for row in history:
        if row.get("id") == transaction:
            if row.get("outcome") == "kept":
                return DONE
            if row.get("outcome") == "nothing was begun":
                return PROBLEMS
            return ROLLED_BACK if row.get("verified") else NOT_VERIFIED
    return None


def format_changes(changes):
    """Return the changes of a plan as text, for Ansible's diff."""
    lines = []
    for change in changes:
        details = "; ".join(str(detail) for detail in change.get("details", []))
        lines.append("%s %s%s" % (change.get("what"), change.get("name"), ": " + details if details else ""))
    return "".join(line + "\n" for line in lines)
