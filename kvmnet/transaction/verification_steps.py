"""The steps that verify a change: read back, probe, confirm. They change nothing, so they have no undo."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Optional

from kvmnet.core.base.probe import Probe
from kvmnet.system import operations
from kvmnet.transaction.step import STEP_LIMIT, Step, step

#: For how many seconds targets are probed, and for how many when a link went down.
PROBE_SECONDS, PROBE_SECONDS_AFTER_LINK_LOSS = 15, 60
#: How many seconds of the trial are reserved for reading back and for the last try of a probe.
TRIAL_RESERVE = 30


def probe(probes: Sequence[Probe], trial_timeout: Optional[int] = None) -> list[Step]:
    """The step that probes; none without targets.

    A link that went down may need long: a switch's port with spanning tree and without portfast forwards nothing for
    30 s, LACP or a slow PHY may add to that. `trial_timeout` are the seconds after which NetworkManager ends the trial;
    the probes leave room for the reading back and the last try."""
    if not probes:
        return []
    patience = PROBE_SECONDS_AFTER_LINK_LOSS
    if trial_timeout is not None:
        patience = min(patience, max(PROBE_SECONDS, trial_timeout - TRIAL_RESERVE))
    return [
        step(
            operations.PROBE,
            _probe_title(probes),
            limit=patience + STEP_LIMIT,
            targets=[probe.to_json() for probe in probes],
            seconds=PROBE_SECONDS,
            patience=patience,
        )
    ]


def _probe_title(probes: Sequence[Probe]) -> str:
    return "probe " + ", ".join(probe.text for probe in probes)


def without_targets(steps: Sequence[Step], removed: Collection[Probe]) -> list[Step]:
    """Return the steps without these targets of probes, and without a step that would have none."""
    remaining: list[Step] = []
    for each in steps:
        if each["op"] != operations.PROBE.name:
            remaining.append(each)
            continue
        targets = [probe for row in each["targets"] if (probe := Probe.from_json(row)) not in removed]
        if targets:
            remaining.append({**each, "title": _probe_title(targets), "targets": [t.to_json() for t in targets]})
    return remaining


def wait_for_confirmation(seconds: int) -> list[Step]:
    """The step that waits for `kvmnet confirm`; none for 0 seconds."""
    if not seconds:
        return []
    return [
        step(
            operations.CONFIRM,
            "wait for `kvmnet confirm` from a new SSH connection",
            limit=seconds + STEP_LIMIT // 2,
            seconds=seconds,
        )
    ]


def read_back(
    expect: list[dict[str, Any]],
    sent: list[str],
    dns: Any,
    zones: dict[str, str],
    rules: Sequence[dict[str, Any]] = (),
    with_own_vlans: Sequence[str] = (),
) -> Step:
    """The step that compares the kernel and NetworkManager with what was applied: `expect` is what the kernel must
    show (core/planning/expected_readback), `sent` the devices that NetworkManager must have activated, `dns` the name
    servers it must use, `zones` the firewalld zones by interface, `rules` the routing rules, `with_own_vlans` the
    bridges that keep the VLANs that they have themselves."""
    optional: dict[str, Any] = {"rules": list(rules), "with_own_vlans": list(with_own_vlans)}
    return step(
        operations.READ_BACK,
        "read the kernel state back",
        limit=STEP_LIMIT + len(expect),
        expect=expect,
        sent=sent,
        dns=dns,
        zones=zones,
        **{key: value for key, value in optional.items() if value},
    )


def read_back_again(first: Step) -> Step:
    """The same step once more, after the confirmation: much may happen while the administrator decides."""
    return {**first, "title": "read the kernel state back again"}
