"""The action of boot_steps: read the files on disk and compute what the next boot gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kvmnet.core.boot.boot_files import BootFiles
from kvmnet.core.boot.outcome import NOTHING, PROFILE, BootOutcome, compute_outcomes, describe_doubts
from kvmnet.core.boot.stored_profile import StoredProfile
from kvmnet.host import networkmanager_objects
from kvmnet.host.read_boot import read_boot_files
from kvmnet.host.read_live import read_links
from kvmnet.transaction.action_context import Context, StepFailed
from kvmnet.transaction.step import Step


def verify_boot(context: Context, step: Step) -> str:
    """Compare what the files on disk give at the next boot with what was foreseen. Returns how many interfaces were
    compared."""
    active = networkmanager_objects.active(networkmanager_objects.read_objects())
    files = read_boot_files(read_links(), active, context.manager.version())
    problems = list(find_boot_problems(files, step, active))
    if problems:
        raise StepFailed("the files on disk would not give the right network at the next boot: " + "; ".join(problems))
    return f"{len(step['own']) + len(step['expect'])} interfaces as expected"


def find_boot_problems(files: BootFiles, step: Step, active: Mapping[str, str]) -> Iterator[str]:
    """Yield what differs from a step's expectation. `active` are the UUIDs of the devices' active profiles."""
    regenerated = tuple(StoredProfile.from_json(row) for row in step["regenerated"])
    stored = tuple(profile for profile in files.profiles if not profile.regenerated)
    files = replace(files, profiles=(*stored, *regenerated), active={**files.active, **step["active"]})
    outcomes = compute_outcomes(files)
    by_mac = {outcome.mac: outcome for outcome in outcomes.values() if outcome.mac}
    nics = {nic.mac for nic in files.nics}
    for expected in map(BootOutcome.from_json, step["expect"]):
        if expected.mac and expected.mac not in nics:
            continue  # gone meanwhile, as a virtual function that a guest gets: no file on disk is about it
        outcome = by_mac.get(expected.mac) if expected.mac else outcomes.get(expected.interface)
        outcome = outcome or BootOutcome(expected.interface, NOTHING)
        if outcome.identity != expected.identity:
            yield f"{expected.interface} would get {outcome.text}, not {expected.text}{describe_doubts(outcome)}"
    for row in step["own"]:
        name = row["interface"]
        outcome = outcomes.get(name, BootOutcome(name, NOTHING))
        is_own = outcome.kind == PROFILE and outcome.uuid == active.get(name, row["uuid"])
        if not is_own or outcome.controller != row["controller"]:
            port = f" as a port of {row['controller']}" if row["controller"] else ""
            yield f"{name} would not get its own connection profile{port}, but {outcome.text}{describe_doubts(outcome)}"
