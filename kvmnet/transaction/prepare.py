"""Reads the host and makes a plan and its steps: everything that comes before a transaction. It changes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

from kvmnet.applied_record import read_host
from kvmnet.core.assessment import Assessment, assess, assess_removal
from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import State, interfaces_of
from kvmnet.core.base.probe import Probe
from kvmnet.core.effects.holdings import Facts
from kvmnet.core.effects.host_effects import HostEffects, find_host_effects
from kvmnet.core.effects.impact import Impact
from kvmnet.core.effects.operator_path import affects_operator, find_confirming_interfaces
from kvmnet.core.effects.probe_choice import Probes, choose_probes
from kvmnet.core.live.live_host import Live, version_of
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.carried_settings import profiles_to_read
from kvmnet.core.planning.ownership import OWNERSHIP_FILE, make_ownership_record, ownership_record_to_json
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.refusals import Refusal, require_allowed
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.hook_record import HOOK_FILE, format_hook_record
from kvmnet.core.reporting.assessment_text import assessment_to_json
from kvmnet.core.reporting.report import format_guests
from kvmnet.host.connection_profiles import ManagerState, group_bound_profiles, read_manager_state
from kvmnet.host.libvirt import read_version
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.host.nmstate import Backend, NmstateError, find_backend
from kvmnet.host.operator_connection import SshConnection, find_ssh_connection
from kvmnet.host.probing import find_replies
from kvmnet.host.read_guests import read_running
from kvmnet.host.read_surroundings import read_surroundings
from kvmnet.system import files
from kvmnet.system.errors import HostError
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.fetch_confirmation import FETCH_SECONDS, FetchConfirmation, choose_fetch
from kvmnet.transaction.original_host import Original, find_original
from kvmnet.transaction.removal_plan import find_restored_interfaces, plan_removal
from kvmnet.transaction.removal_steps import compile_removal
from kvmnet.transaction.step import Step
from kvmnet.transaction.zone_choice import choose_zone

#: Seconds to wait for `kvmnet confirm`, when the user does not set them.
CONFIRM_WITHIN = 120
#: Seconds to wait for the replies of probes before the change.
_PROBE_TIMEOUT = 1.5


@dataclass(frozen=True)
class ChangeOptions:
    """The user's options for a change.

    timeout: seconds that the trial may take before NetworkManager rolls it back.
    confirm: seconds to wait for `kvmnet confirm` afterwards; 0: do not wait; None: wait when the change affects the
        interface of the user's SSH connection.
    allow: codes of refusals that are overridden; lose: guests that may be disconnected.
    adopt: whether interfaces of other tools may be adopted, and their bridges replaced.
    macs: the MAC addresses to which bridges and bonds return (`kvmnet rollback`), unless the bundle states others.
    fetch: pull mode's repository, of which a new fetch confirms the change in place of `kvmnet confirm`.
    """

    timeout: int = 120
    confirm: Optional[int] = None
    allow: Collection[str] = frozenset()
    lose: Collection[str] = frozenset()
    adopt: bool = False
    macs: Mapping[str, str] = field(default_factory=dict)
    fetch: Optional[FetchConfirmation] = None


@dataclass(frozen=True)
class Prepared:
    """A change of this host that can be started.

    steps: none when there is nothing to do.
    backend: the access to nmstate.
    confirm: seconds to wait for a confirmation, 0: none is needed; proving: the interfaces through which it must come
        in, empty for any.
    allowed: the refusals that were overridden; adopt: whether the user permits adopting interfaces.
    original: what a removal of kvmnet restores.
    facts: what the effects on the host are computed from, besides plan and live host.
    operator: this host's address and the other end's address of the operator's SSH connection; empty without one.
    operation: the command: "apply", "rollback" or "remove".
    """

    assessment: Assessment
    backend: str
    steps: list[Step] = field(default_factory=list)
    probes: Probes = field(default_factory=Probes)
    confirm: int = 0
    proving: tuple[str, ...] = ()
    allowed: tuple[Refusal, ...] = ()
    adopt: bool = False
    original: Optional[Original] = None
    facts: Facts = field(default_factory=Facts)
    operator: tuple[str, str] = ("", "")
    operation: str = "apply"

    @cached_property
    def host_effects(self) -> Optional[HostEffects]:
        """What the plan does to the host itself; None when it changes nothing but files."""
        if self.plan.empty:
            return None
        view, topologies = self.assessment.view_after_renames, self.assessment.topologies
        return find_host_effects(self.plan, self.live, view, self.facts, topologies)

    @property
    def plan(self) -> Plan:
        """What is to be done."""
        return self.assessment.plan

    @property
    def live(self) -> Live:
        """The host that the plan was made for."""
        return self.assessment.live

    @property
    def impacts(self) -> Sequence[Impact]:
        """What the plan does to the NICs of running guests."""
        return self.assessment.impacts

    def to_json(self) -> dict[str, Any]:
        """Return the change as plain data, for `plan --json`."""
        probes = {"must": self.probes.must, "silent": self.probes.silent, "commands": self.probes.commands}
        return {
            **assessment_to_json(self.assessment),
            "this_host": self.host_effects.to_json() if self.host_effects is not None else None,
            "allowed": [{"code": r.code, "reason": r.message} for r in self.allowed],
            "probes": {
                **{key: [p.to_json() for p in targets] for key, targets in probes.items()},
                "through_guests": [{**p.to_json(), "port": port} for p, port in self.probes.through_guests],
            },
        }


def prepare(
    bundle: Bundle,
    state_dir: Path,
    wishes: ChangeOptions,
    report: Callable[[str], None],
    operation: str = "apply",
) -> Prepared:
    """Prepare the change that makes this host match a bundle. `report` shows progress, `operation` is the command.
    Raises Refused when this host cannot take the change."""
    with refuse_unreadable_host():
        backend = find_backend()
        with NetworkManager() as manager:
            report("reading the live state")
            readings, live = _read(backend, manager, state_dir, bundle.state)
            assessment = assess(bundle, live.with_recorded_macs(wishes.macs))
            if assessment.plan.empty:
                return Prepared(assessment, backend.name, allowed=check_refusals(assessment, wishes))
            assessment = assessment.with_surroundings(_read_surroundings(assessment, manager, state_dir))
            allowed = check_refusals(assessment, wishes)
            plan, live = assessment.plan, assessment.live
            report("probing gateways, name servers and the definition's targets")
            connection = find_ssh_connection()
            probes = _probe(bundle.state, live, connection, _permitted_probes(bundle, live))
            fetch = choose_fetch(wishes.fetch, plan, live) if wishes.fetch is not None else None
            confirm = 0 if fetch else _seconds_to_confirm(wishes, plan, live, connection)
            record = _make_record(plan, live, state_dir)
            wait = FETCH_SECONDS if fetch else confirm
            terms = Terms(wishes.timeout, (*probes.must, *probes.commands), *record, wait, fetch)
            return Prepared(
                assessment=assessment,
                backend=backend.name,
                steps=compile_steps(plan, live, group_bound_profiles(readings.profiles), terms),
                probes=probes,
                confirm=confirm,
                proving=find_confirming_interfaces(plan, live.state_with_virtual, *_ends(connection)),
                allowed=allowed,
                facts=Facts(_ends(connection)[0], _renames_while_up(), _choose_zones(plan, live)),
                operator=_ends(connection),
                adopt=wishes.adopt,
                operation=operation,
            )


def prepare_removal(bundle: Bundle, state_dir: Path, wishes: ChangeOptions, report: Callable[[str], None]) -> Prepared:
    """Prepare the change that restores this host from before kvmnet; `bundle` is the one that is applied. Raises
    Refused when this host cannot take the change."""
    with refuse_unreadable_host():
        backend = find_backend()
        with NetworkManager() as manager:
            report("reading the live state")
            _, live = _read(backend, manager, state_dir)
            original = find_original(state_dir).without_virtual(live.virtual_ips)
            records = {r["path"]: files.record_file(r["path"]) for r in original.snapshot["files"]}
            plan = plan_removal(bundle, original, live, records)
            assessment = assess_removal(plan, live)
            assessment = assessment.with_surroundings(_read_surroundings(assessment, manager, state_dir))
            live = assessment.live
            allowed = check_refusals(assessment, wishes)
            report("probing gateways and name servers")
            connection = find_ssh_connection()
            probes = _probe(original.to_state(), live, connection)
            confirm = wishes.confirm if wishes.confirm is not None else CONFIRM_WITHIN if connection else 0
            record = sorted(str(path) for path in (state_dir / "applied").iterdir())
            address, peer = _ends(connection)
            return Prepared(
                assessment=assessment,
                backend=backend.name,
                steps=compile_removal(plan, original, live, probes.must, record, confirm),
                probes=probes,
                confirm=confirm,
                proving=find_confirming_interfaces(
                    plan, live.state_with_virtual, address, peer, find_restored_interfaces(bundle, original)
                ),
                allowed=allowed,
                original=original,
                facts=Facts(address, _renames_while_up(), restored=original.snapshot["addresses"]),
                operator=(address, peer),
                operation="remove",
            )


def check_refusals(assessment: Assessment, wishes: ChangeOptions) -> tuple[Refusal, ...]:
    """Return the refusals that the user overrides, without those that the permission to adopt covers: the plan shows
    the adoption. Raises Refused when others remain; the error also reports what the plan would do to guests."""
    try:
        require_allowed(assessment.refusals, wishes.allow, wishes.lose, wishes.adopt)
    except Refused as error:
        error.also = format_guests(assessment.impacts, assessment.guests_unknown)
        error.data = assessment.guests_to_json()
        raise
    return tuple(reason for reason in assessment.refusals if not (reason.adopt and wishes.adopt))


def find_drift(bundle: Bundle, state_dir: Path, report: Callable[[str], None]) -> Plan:
    """Return the plan that makes the host match `bundle`, without refusals and probes."""
    with refuse_unreadable_host(), NetworkManager() as manager:
        report("reading the live state")
        return make_plan(bundle, _read(find_backend(), manager, state_dir, bundle.state)[1])


def _read_surroundings(assessment: Assessment, manager: NetworkManager, state_dir: Path) -> Surroundings:
    plan, live = assessment.plan, assessment.live
    surroundings = read_surroundings(manager, live.links, state_dir, plan.changes_link_files(live))
    if plan.bundle.tagged_guests:
        surroundings = dataclasses.replace(surroundings, libvirt=read_version())
    settings = manager.plain_settings(profiles_to_read(plan, live))
    return dataclasses.replace(surroundings, running=read_running(live.links), profile_settings=settings)


@contextlib.contextmanager
def refuse_unreadable_host() -> Iterator[None]:
    """Turn the errors of reading the host into refusals: nothing was changed."""
    try:
        yield
    except NmstateError as error:
        raise Refused(f"nmstate: {error}", error.details, "KVN505") from error
    except NMError as error:
        hint = "kvmnet needs a running NetworkManager: systemctl status NetworkManager"
        raise Refused(str(error), hint, "KVN504") from error
    except (HostError, subprocess.SubprocessError, OSError) as error:
        hint = "run the command that the message names, and fix the error that it reports"
        raise Refused(f"this host could not be read: {error}", hint, "KVN512") from error


def _permitted_probes(bundle: Bundle, live: Live) -> list[Probe]:
    """Return the definition's probes, without commands where this host does not permit them."""
    permits = live.surroundings.configuration.allows_commands
    return [probe for probe in bundle.probes if permits or probe.kind != "command"]


def _operators_host(connection: Optional[SshConnection]) -> list[str]:
    """Return the address from which the operator connected, unless it is this host itself."""
    return [connection.peer] if connection and connection.peer != connection.address else []


def _seconds_to_confirm(wishes: ChangeOptions, plan: Plan, live: Live, connection: Optional[SshConnection]) -> int:
    if wishes.confirm is not None:
        return wishes.confirm
    return CONFIRM_WITHIN if connection and affects_operator(plan, live.state_with_virtual, *_ends(connection)) else 0


def _ends(connection: Optional[SshConnection]) -> tuple[str, str]:
    """Return this host's address and the other end's address of the connection by which this command came in; both
    empty when there is none, or when they are unknown."""
    return (connection.address, connection.peer) if connection else ("", "")


def _renames_while_up() -> bool:
    """Whether this kernel renames a NIC that is up."""
    return version_of(os.uname().release) >= (6, 2)


def _choose_zones(plan: Plan, live: Live) -> dict[str, str]:
    """Return the firewalld zones of the interfaces that the plan changes, after the change."""
    names = [str(i["name"]) for i in interfaces_of(plan.state) if i["state"] == "up"]
    return {name: choose_zone(name, plan, live) for name in names} if live.zones is not None else {}


def _read(
    backend: Backend, manager: NetworkManager, state_dir: Path, wanted: Optional[State] = None
) -> tuple[ManagerState, Live]:
    """Return NetworkManager's part and the whole reading; `wanted` is the state to compare with, if there is one."""
    manager.version()  # first: nmstate's own message does not name a stopped NetworkManager as the cause
    try:
        readings = read_manager_state()
    except HostError:
        manager.version()  # NetworkManager may have stopped meanwhile: then that is the reason
        raise
    return readings, read_host(backend, manager, state_dir, readings, wanted)


def _probe(desired: State, live: Live, connection: Optional[SshConnection], own: Sequence[Probe] = ()) -> Probes:
    """Choose the targets. Any user can make a plan; only root can use raw sockets."""
    is_root = os.geteuid() == 0
    through_guests: dict[Probe, str] = {}

    def ask(probes: Sequence[Probe]) -> Sequence[Probe]:
        if not is_root:
            return []
        replies = find_replies(probes, _PROBE_TIMEOUT)
        through_guests.update(replies.through_guests)
        return replies.replied

    chosen = choose_probes(desired, live.state, ask, _operators_host(connection), own)
    return dataclasses.replace(chosen.without_guests(through_guests), known=is_root)


def _make_record(plan: Plan, live: Live, state_dir: Path) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the files that record the bundle as applied (text by path), and the files of an earlier one to remove."""
    folder = state_dir / "applied"
    texts = {str(folder / name): text for name, text in bundle_files.format_bundle(plan.rendered).items()}
    texts[str(folder / HOOK_FILE)] = format_hook_record(plan.bundle)
    texts[str(folder / OWNERSHIP_FILE)] = (
        json.dumps(ownership_record_to_json(make_ownership_record(plan.bundle, live)), indent=1) + "\n"
    )
    existing: list[str] = []
    with contextlib.suppress(OSError):  # the folder does not exist yet, or the user may not read it
        existing = [str(p) for p in folder.iterdir()]
    return texts, tuple(sorted(p for p in existing if p not in texts))
