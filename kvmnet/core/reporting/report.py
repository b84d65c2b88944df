"""What a person or a machine is told of a plan and of a transaction's events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from kvmnet.core.effects.impact import UNTOUCHED, Impact
from kvmnet.core.effects.probe_choice import Probes
from kvmnet.core.planning.changes import Change
from kvmnet.core.planning.plan import Plan
from kvmnet.core.refusals import Refusal
from kvmnet.core.reporting.change_text import detail_texts

_SIGNS = {"add": "+", "remove": "-", "change": "~", "rename": ">", "file": "+", "save": "~", "record": "~"}


def plan_text(plan: Plan, told: Sequence[str] = ()) -> str:
    """The plan in plain lines: `+` comes, `-` goes, `~` changes, `>` gets another name; then what more is told
    (core/effects/plan_notes, `guest_lines`)."""
    if plan.empty:
        return "".join(line + "\n" for line in [_nothing(plan, told), *told])
    lines = [f"{plan.bundle.host}: {_count(len(plan.changes))} to make"]
    lines += [line for change in plan.changes for line in change_lines(change)]
    lines += told
    return "".join(line + "\n" for line in lines)


def guest_lines(impacts: Sequence[Impact], unknown: str = "") -> list[str]:
    """What happens to running guests, a line for each NIC that is cut, one for all that are untouched; `unknown` is
    why libvirt did not tell of them."""
    lines = []
    for impact in impacts:
        if impact.how != UNTOUCHED:
            nobody = "whose it is libvirt does not tell" if unknown else "no libvirt domain's"
            who = f"guest {impact.guest}, {impact.device}" if impact.guest else f"{impact.device} ({nobody})"
            lines.append(f"{who} on {impact.over}: {impact.how}: {impact.why}")
    cut = {impact.name for impact in impacts if impact.how != UNTOUCHED}
    if names := [name for name in dict.fromkeys(i.name for i in impacts) if name not in cut]:
        lines.append(f"guests that it does not touch: {', '.join(names)}")
    if unknown:
        known = "its notes of them (/run/libvirt/qemu)" if any(i.guest for i in impacts) else "their devices alone"
        lines.append(f"note: libvirt does not tell what runs here ({unknown}): guests are known by {known}")
    return lines


def allowed_text(allowed: Sequence[Refusal]) -> str:
    """The reasons against the plan that a person overrode, a line each."""
    return "".join(f"note: allowed, {reason.code}: {reason.message}\n" for reason in allowed)


def probes_text(probes: Probes) -> str:
    """Who must answer after the change, and who need not, since nobody answers there now; a line each."""
    return "".join(line + "\n" for line in probe_lines(probes))


def probe_lines(probes: Probes) -> list[str]:
    """The same, line by line."""
    if not probes.asked:
        return ["note: whom to ask after the change only root can find out"]
    must = ", ".join(probe.text for probe in probes.must)
    lines = [f"after the change must answer: {must}"] if must else []
    if not must:
        lines.append("note: nobody answers now, so nobody will be asked after the change")
    for probe in probes.silent:
        who = f"the gateway {probe.text}" if probe.kind == "gateway" else probe.text
        lines.append(f"note: {who} does not answer now, so it is not asked after the change")
    return lines


def change_lines(change: Change) -> list[str]:
    """A change and its details, indented."""
    details = detail_texts(change)
    if len(details) == 1:
        return [f"  {_SIGNS[change.kind]} {change.kind} {change.name}: {details[0]}"]
    return [f"  {_SIGNS[change.kind]} {change.kind} {change.name}", *(f"      {d}" for d in details)]


def plan_markdown(
    plan: Plan, allowed: Sequence[Refusal] = (), probes: Optional[Probes] = None, told: Sequence[str] = ()
) -> str:
    """The plan for a pull request or a ticket: a table of the changes, the state that would be applied."""
    from kvmnet.core.rendering.yaml_writer import to_yaml

    if plan.empty:
        lines = [f"### {_nothing(plan, told)}", *([""] if told else []), *(f"- {line}" for line in told)]
        return "".join(line + "\n" for line in lines)
    lines = [f"### {plan.bundle.host}: {_count(len(plan.changes))} to make", ""]
    lines += ["| | what | name | details |", "| --- | --- | --- | --- |"]
    for change in plan.changes:
        cells = (f"`{_SIGNS[change.kind]}`", change.kind, change.name, "; ".join(detail_texts(change)))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if told:
        lines += ["", *(f"- {line}" for line in told)]
    if allowed:
        lines += ["", *(f"- allowed, {reason.code}: {reason.message}" for reason in allowed)]
    if probes is not None:
        lines += ["", *(f"- {line}" for line in probe_lines(probes))]
    if plan.state:
        state = to_yaml(plan.state).rstrip("\n")
        lines += ["", "<details><summary>the nmstate state that is applied</summary>", "", "```yaml", state, "```"]
        lines += ["", "</details>"]
    return "".join(line + "\n" for line in lines)


def _nothing(plan: Plan, told: Sequence[str]) -> str:
    """An empty plan; what is told beside one is what could not be seen, so it promises no more than that."""
    known = ", as far as can be seen" if told else ", the host is as defined"
    return f"{plan.bundle.host}: nothing to do{known}"


def _count(number: int) -> str:
    return f"{number} change" + ("" if number == 1 else "s")


#: What closes a transaction that was undone, where the machine can never be wholly as it was.
ACCEPT = "/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz --accept"


def event_text(event: Mapping[str, Any], steps: list[str]) -> Optional[str]:
    """One line for an event of the journal, or None for one that a person need not see."""
    kind = event["event"]
    if kind == "done":
        return f"ok   {steps[event['step']]} ({event['seconds']:.1f} s)"
    if kind == "failed":
        return f"FAIL {event['error']}"
    if kind == "undo":
        return "undoing what was done"
    if kind == "undone":
        return f"undo {steps[event['step']]}: {event['result']}"
    if kind == "named":
        return f"note: {', '.join(event['nics'])} had another name, and has its own again"
    if kind == "woken":
        return "note: NetworkManager did not answer for 10 s: it was killed, and started anew"
    if kind == "undo-failed":
        return f"undo {steps[event['step']]} FAILED: {event['error']}"
    if kind == "undo-broke":
        return f"FAIL the undo broke off, and will be begun anew: {event['error']}"
    if kind == "lost":
        return f"note: start their guests anew, which held the ones that went: {', '.join(event['devices'])}"
    if kind == "verified":
        return "ok   the machine is as it was before"
    if kind == "not-verified":
        lines = ["FAIL the machine is not as it was before:", *(f"       {d}" for d in event["differences"])]
        if event.get("mends"):
            lines += ["     what would mend it:", *(f"       {command}" for command in event["mends"])]
        return "\n".join([*lines, f"     or, if it is right as it is: {ACCEPT}"])
    return None


def confirm_text(seconds: int) -> str:
    """What the operator must do now."""
    return (
        f"     open a new connection to this host and run `kvmnet confirm` within {seconds} s, or this is undone\n"
        "     (this session proves nothing: it was there before the change)"
    )


def patience_text(seconds: int) -> str:
    """Why the probes may take long."""
    return f"     a link went down, and a switch may be silent for 30 s after that: asking for up to {seconds} s"


def outcome_text(
    code: int, away: Optional[float], probe: Optional[str], removed: bool = False, at_most: Optional[float] = None
) -> str:
    """The last line: how it ended, for how long the gateway did not answer, and, where that does not tell all, for how
    long the host's addresses were away `at_most`."""
    words = {
        0: "kept: the host is as defined, and will be after a reboot",
        3: "rolled back: the host is as it was before, read back and compared",
        4: "rolled back, but the host is not as it was before: look at it now",
    }[code]
    if code == 0 and removed:
        words = "given back: the host is as it was before kvmnet, read back and compared"
    found = []
    if away is not None and probe:
        what = f"for {away:.1f} s at most" if code == 0 else f"for {away:.1f} s before the undo began"
        found.append(f"{probe} was out of reach {what}")
    if at_most is not None and not (found and code == 0):
        found.append(f"the host's addresses were away for {at_most:.1f} s at most")
    return f"{words} ({'; '.join(found)})" if found else words
