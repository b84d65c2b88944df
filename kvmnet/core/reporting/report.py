"""The texts of plans, of their effects on guests, of probes, and of the events and outcomes of transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Optional

from kvmnet.core.base.probe import Probe
from kvmnet.core.base.problem import printable
from kvmnet.core.effects.impact import UNTOUCHED, Impact
from kvmnet.core.effects.likely_reasons import LikelyReason
from kvmnet.core.effects.probe_choice import Probes
from kvmnet.core.planning.changes import Change
from kvmnet.core.planning.plan import Plan
from kvmnet.core.refusals import Refusal
from kvmnet.core.reporting.change_text import detail_texts
from kvmnet.core.reporting.reason_text import explains_alone, reason_text

_SIGNS = {"add": "+", "remove": "-", "change": "~", "rename": ">", "file": "+", "save": "~", "record": "~"}
#: The command that closes a transaction if the host cannot be restored completely, but is correct as it is.
ACCEPT_COMMAND = "/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz --accept"


def format_plan(plan: Plan, notes: Sequence[str] = ()) -> str:
    """Return a plan as text: a line for each change, then the notes (of effects.plan_notes and `guest_lines`).

    The signs mean: `+` is added, `-` is removed, `~` changes, `>` is renamed.
    """
    if plan.empty:
        return _join_lines([_describe_empty_plan(plan, notes), *notes])
    lines = [f"{plan.bundle.host}: {_count_changes(plan)} to make"]
    lines += [line for change in plan.changes for line in format_change(change, plan.bundle.descriptions)]
    return _join_lines([*lines, *notes])


def format_change(change: Change, descriptions: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return the lines of one change: its details follow on the same line, or indented if there are several.

    `descriptions` are those of interfaces: the description follows the name.
    """
    details, name = detail_texts(change), _with_description(change.name, descriptions)
    if len(details) == 1:
        return [f"  {_SIGNS[change.kind]} {change.kind} {name}: {details[0]}"]
    return [f"  {_SIGNS[change.kind]} {change.kind} {name}", *(f"      {d}" for d in details)]


def _with_description(name: str, descriptions: Mapping[str, str]) -> str:
    return f"{name} ({descriptions[name]})" if name in descriptions else name


def format_descriptions(descriptions: Mapping[str, str]) -> list[str]:
    """Return the descriptions of interfaces, a line each below a heading; nothing without any. An interface and its
    bridge, which have the same one, share a line."""
    names: dict[str, list[str]] = {}
    for name, text in descriptions.items():
        names.setdefault(text, []).append(name)
    lines = [f"  {', '.join(devices)}: {text}" for text, devices in names.items()]
    return ["interfaces:", *lines] if lines else []


def format_plan_markdown(
    plan: Plan, allowed: Sequence[Refusal] = (), probes: Optional[Probes] = None, notes: Sequence[str] = ()
) -> str:
    """Return a plan as Markdown for a pull request or ticket: a table of the changes, and the state to be applied."""
    from kvmnet.core.rendering.yaml_writer import to_yaml

    if plan.empty:
        empty_line = [""] if notes else []
        listed = [f"- {_escape_markdown(line)}" for line in notes]
        return _join_lines([f"### {_describe_empty_plan(plan, notes)}", *empty_line, *listed])
    lines = [f"### {plan.bundle.host}: {_count_changes(plan)} to make", ""]
    lines += ["| | change | name | details |", "| --- | --- | --- | --- |"]
    for change in plan.changes:
        name = _with_description(change.name, plan.bundle.descriptions)
        cells = (f"`{_SIGNS[change.kind]}`", change.kind, name, "; ".join(detail_texts(change)))
        lines.append("| " + " | ".join(_escape_markdown(cell).replace("|", "\\|") for cell in cells) + " |")
    if notes:
        lines += ["", *(f"- {_escape_markdown(line)}" for line in notes)]
    if allowed:
        lines += ["", *(f"- overridden: {refusal.code} {_escape_markdown(refusal.message)}" for refusal in allowed)]
    if probes is not None:
        lines += ["", *(f"- {_escape_markdown(line)}" for line in list_probes(probes))]
    if plan.state:
        state = to_yaml(plan.state).rstrip("\n")
        lines += ["", "<details><summary>nmstate state to be applied</summary>", "", "```yaml", state, "```"]
        lines += ["", "</details>"]
    return _join_lines(lines)


def _escape_markdown(text: str) -> str:
    """Return text of one line in which other tools' names are no HTML, link or image."""
    return printable(text).replace("<", "&lt;").replace("](", "]\\(")


def _join_lines(lines: Sequence[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _describe_empty_plan(plan: Plan, notes: Sequence[str]) -> str:
    """Return the line for a plan without changes. Notes on such a plan are about what kvmnet could not check."""
    reason = ", but kvmnet could not check everything" if notes else ": the host matches the definition"
    return f"{plan.bundle.host}: nothing to do{reason}"


def _count_changes(plan: Plan) -> str:
    return f"{len(plan.changes)} change" + ("" if len(plan.changes) == 1 else "s")


def format_guests(impacts: Sequence[Impact], unknown: str = "") -> list[str]:
    """Return the effects on running guests: a line for each NIC that is not untouched, and one for all others.

    `unknown` is the reason why libvirt is not available; empty if it is.
    """
    lines = []
    for impact in impacts:
        if impact.how != UNTOUCHED:
            owner = "guest unknown: libvirt is not available" if unknown else "not a device of a libvirt domain"
            nic = f"guest {impact.guest}, {impact.device}" if impact.guest else f"{impact.device} ({owner})"
            lines.append(f"{nic} on {impact.over}: {impact.how}: {impact.why}")
    affected = {impact.name for impact in impacts if impact.how != UNTOUCHED}
    if names := [name for name in dict.fromkeys(i.name for i in impacts) if name not in affected]:
        lines.append(f"untouched guests: {', '.join(names)}")
    if unknown:
        source = "read from /run/libvirt/qemu" if any(i.guest for i in impacts) else "listed by device name"
        lines.append(f"note: libvirt is not available ({unknown}): running guests are {source}")
    return lines


def format_overridden_refusals(allowed: Sequence[Refusal]) -> str:
    """Return the refusals that the user has overridden, a line each."""
    return _join_lines([f"note: overridden: {refusal.code} {refusal.message}" for refusal in allowed])


def format_probes(probes: Probes) -> str:
    """Return the lines of `probe_lines` as text."""
    return _join_lines(list_probes(probes))


def list_probes(probes: Probes) -> list[str]:
    """Return which targets must reply after the change, which need not because they do not reply now, and which
    commands run."""
    return [*_list_targets(probes), *_list_commands(probes.commands)]


def _list_commands(commands: Sequence[Probe]) -> list[str]:
    how = "runs as root after you agree, and again after the change if it succeeds"
    return [f"{probe.text}: {how}" for probe in commands]


def _list_targets(probes: Probes) -> list[str]:
    if not probes.known:
        return ["note: run as root to see which targets will be probed"]
    if probes.must:
        lines = [f"targets that must reply after the change: {', '.join(probe.text for probe in probes.must)}"]
    elif probes.silent or probes.through_guests:
        lines = ["note: no target replies now, so none will be probed after the change"]
    else:
        lines = ["note: no gateway and no name server is known for the host after the change, so none will be probed"]
    for probe in probes.silent:
        target = f"the gateway {probe.text}" if probe.kind == "gateway" else probe.text
        lines.append(f"note: {target} does not reply now, so it will not be probed after the change")
    for probe, port in probes.through_guests:
        target = f"the gateway {probe.text}" if probe.kind == "gateway" else probe.text
        lines.append(
            f"note: {target} is reached through {port}, the port of a guest of this host: it shows nothing about the "
            "way to the outside, so it will not be probed after the change"
        )
    return lines


def format_failed_commands(failed: Sequence[Probe]) -> list[str]:
    """Return the lines about the commands that fail before the change, so that they do not run after it."""
    return [f"note: {probe.text} fails now, so it will not run after the change" for probe in failed]


def format_event(event: Mapping[str, Any], steps: list[str]) -> Optional[str]:
    """Return the text of an event of the journal, or None if the user need not see it. `steps` are their titles."""
    kind = event["event"]
    if kind == "done":
        return f"ok   {steps[event['step']]} ({event['seconds']:.1f} s)"
    if kind == "failed":
        return _format_failure(event)
    if kind == "undo":
        why = f" ({event['why']})" if event.get("likely") else ""
        return "\n".join([f"rolling back{why}", *_likely_lines(event)])
    if kind == "undone":
        return f"undo {steps[event['step']]}: {event['result']}"
    if kind == "undo-failed":
        return f"undo {steps[event['step']]} FAILED: {event['error']}"
    if kind == "undo-broke":
        return f"FAIL the rollback was interrupted and will start again: {event['error']}"
    if kind == "verified":
        return "ok   verified: the host is as before the change"
    if kind == "not-verified":
        return _format_differences(event)
    return _format_note(event)


def _format_note(event: Mapping[str, Any]) -> Optional[str]:
    """Return the text of an event that is only a note, or None if the user need not see it."""
    kind = event["event"]
    if kind == "named":
        return f"note: NIC {', '.join(event['nics'])} had another name; its name was restored"
    if kind == "corrupt":
        return f"note: corrupt lines in the journal: {event['lines']}; every step that may have begun is undone"
    if kind == "woken":
        return "note: NetworkManager did not respond for 10 s; it was killed and restarted"
    if kind == "aside":
        files = ", ".join(event["files"])
        return f"note: moved to the folder aside/ of the transaction, because they did not exist before: {files}"
    if kind == "lost":
        return f"note: restart the guests that used these devices, because they were recreated: {_join_devices(event)}"
    return _format_other_changes(event) if kind == "notes" else None


def _format_other_changes(event: Mapping[str, Any]) -> str:
    """Return the text of what differs without being the transaction's: what other tools changed while it ran, and what
    a removal cannot restore (`unrestored`)."""
    lines = [f"note: {line}" for line in event.get("unrestored", ())]
    if event["lines"]:
        lines += ["note: other tools changed this meanwhile:", *(f"       {line}" for line in event["lines"])]
    return "\n".join(lines)


def _format_failure(event: Mapping[str, Any]) -> str:
    """Return the text of a failed step, with its likely reasons. A reason that explains more than nmstate replaces its
    message."""
    reasons = [LikelyReason.from_json(row) for row in event.get("likely", ())]
    explaining = next((reason for reason in reasons if explains_alone(reason)), None)
    if explaining is None or not str(event["error"]).startswith("NmstateError"):
        return "\n".join([f"FAIL {event['error']}", *_likely_lines(event)])
    others = [row for row in event["likely"] if row.get("text") != reason_text(explaining)]
    error = f"     nmstate reported: {event['error']}"
    return "\n".join([f"FAIL {reason_text(explaining)}", error, *_likely_lines({"likely": others})])


def _likely_lines(event: Mapping[str, Any]) -> list[str]:
    return [f"     likely reason: {row['text']}" for row in event.get("likely", ()) if row.get("text")]


def _join_devices(event: Mapping[str, Any]) -> str:
    return ", ".join(event["devices"])


def _format_differences(event: Mapping[str, Any]) -> str:
    """Return the text of a rollback that could not be verified: the differences and the commands that may fix them."""
    lines = ["FAIL the host is not as before the change:", *(f"       {d}" for d in event["differences"])]
    if event.get("mends"):
        lines += ["     commands that may fix them:", *(f"       {command}" for command in event["mends"])]
    return "\n".join([*lines, f"     if the host is correct as it is: {ACCEPT_COMMAND}"])


def format_confirmation_request(seconds: int) -> str:
    """Return what the operator must do to keep the change."""
    return (
        f"     run `kvmnet confirm` from a new SSH connection within {seconds} s, or the change is rolled back\n"
        "     (this session was opened before the change and cannot confirm it)"
    )


def format_long_probing(seconds: int) -> str:
    """Return why the probes may take long."""
    return f"     a link went down; the switch may need 30 s to forward frames again: probing for up to {seconds} s"


def format_outcome(
    code: int,
    away: Optional[float],
    probe: Optional[str],
    removed: bool = False,
    at_most: Optional[float] = None,
    is_complete: bool = True,
) -> str:
    """Return the last line of a transaction: its outcome, and how long the host could not be reached.

    `code` is the exit code. `away`: seconds without a reply of the gateway `probe`. `at_most`: seconds for which the
    host's addresses were missing at most; it is omitted if it is 0, or if `away` is known for a kept change. `removed`:
    whether the transaction was that of `kvmnet remove`, and `is_complete` whether it has restored everything.
    """
    outcome = {
        0: "kept: the host matches the definition, also after a reboot",
        3: "rolled back and verified: the host is as before the change",
        4: "rolled back, but verification failed: manual action required (see `kvmnet status`)",
    }[code]
    if code == 0 and removed:
        outcome = "removed and verified: the host is as before kvmnet"
        if not is_complete:
            outcome = "removed: the host is as before kvmnet, except for what the notes above list"
    outages = []
    if away is not None and probe:
        duration = f"for at most {away:.1f} s" if code == 0 else f"for {away:.1f} s before the rollback"
        outages.append(f"{probe} did not reply {duration}")
    if at_most and not (outages and code == 0):
        outages.append(f"the host's addresses were missing for at most {at_most:.1f} s")
    return f"{outcome} ({'; '.join(outages)})" if outages else outcome
