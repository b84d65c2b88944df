"""Runs the commands of a definition before a change. The user has agreed to the change; nothing is changed yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from kvmnet.core.base.probe import Probe
from kvmnet.host.probing import find_replying
from kvmnet.transaction.prepare import Prepared
from kvmnet.transaction.verification_steps import without_targets


def run_commands(prepared: Prepared, report: Callable[[str], None]) -> tuple[Prepared, tuple[Probe, ...]]:
    """Run each command of a change once, all at the same time. Return the change without those that fail, and these: if
    they failed after the change too, that would not be its fault. `report` shows progress."""
    commands = prepared.probes.commands
    if not commands:
        return prepared, ()
    report("running the definition's commands")
    succeeded = find_replying(commands, 0.0)
    failed = tuple(probe for probe in commands if probe not in succeeded)
    probes = dataclasses.replace(prepared.probes, commands=tuple(succeeded))
    return dataclasses.replace(prepared, probes=probes, steps=without_targets(prepared.steps, failed)), failed
