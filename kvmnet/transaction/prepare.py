"""From a bundle and this host to a transaction that could be opened: everything is read, nothing touched."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

from kvmnet.applied_record import read_live
from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import State
from kvmnet.core.base.probe import Probe
from kvmnet.core.effects.impact import Impact, impacts
from kvmnet.core.effects.operator_path import proving, touches
from kvmnet.core.effects.plan_notes import notes
from kvmnet.core.effects.probe_choice import Probes, choose_probes
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.ownership import OWNED_FILE, note_after, to_note
from kvmnet.core.planning.plan import Plan, link_files_go, make_plan
from kvmnet.core.refusals import GIVING_BACK, Refusal, judge
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.hook_record import HOOK_FILE, hook_text
from kvmnet.core.reporting.report import guest_lines
from kvmnet.host.connection_profiles import Manager, bound_profiles, read_manager
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.host.nmstate import Backend, NmstateError, find_backend
from kvmnet.host.operator_connection import Connection, ssh_connection
from kvmnet.host.probing import ask
from kvmnet.host.read_guests import read_running
from kvmnet.host.read_surroundings import read_surroundings
from kvmnet.system import files
from kvmnet.system.errors import HostError
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.original_host import Original, find_original
from kvmnet.transaction.removal_plan import given_back, plan_removal
from kvmnet.transaction.removal_steps import compile_removal
from kvmnet.transaction.step import Step

#: Seconds for a word from outside, where the caller does not say how many.
CONFIRM_WITHIN = 120


@dataclass(frozen=True)
class Wishes:
    """What the caller asks for: `timeout`, the seconds that the trial may take before NetworkManager undoes
    it; `confirm`, the seconds to wait for `kvmnet confirm` then (0: do not; None: where the change touches the
    interface by which the caller's SSH connection comes in); `allow`, the codes of refusals that a person
    overrides; `lose`, the guests that may be cut for good."""

    timeout: int = 120
    confirm: Optional[int] = None
    allow: Collection[str] = frozenset()
    lose: Collection[str] = frozenset()


@dataclass(frozen=True)
class Prepared:
    """A plan for this host, what it was made from, and the steps to it (none where there is nothing to do);
    `confirm` is for how many seconds a word from outside is waited for, `proving` by which interfaces it must come in
    (any, where there are none), `allowed` are the refusals that a person overrode, `original` is what a removal gives
    back."""

    plan: Plan
    live: Live
    steps: list[Step]
    backend: str
    probes: Probes
    confirm: int = 0
    proving: tuple[str, ...] = ()
    allowed: tuple[Refusal, ...] = ()
    original: Optional[Original] = None

    @cached_property
    def impacts(self) -> tuple[Impact, ...]:
        """What the plan does to each NIC of each running guest."""
        return tuple(impacts(self.plan, self.live)) if not self.plan.empty else ()

    @property
    def told(self) -> list[str]:
        """What beside the changes a person is told of them, a line each: notes, and what happens to guests."""
        return [f"note: {line}" for line in notes(self.plan, self.live)] + guest_lines(
            self.impacts, self.guests_unknown
        )

    @property
    def guests_unknown(self) -> str:
        """Why libvirt did not tell of its guests; empty when it did, or when there is none."""
        return self.live.surroundings.running.problem

    def to_json(self) -> dict[str, Any]:
        """The plan for machines, what a person allowed, who is asked, and what happens to guests."""
        told = [{"code": r.code, "reason": r.message} for r in self.allowed]
        asked = {"must": self.probes.must, "silent": self.probes.silent}
        probes = {key: [p.to_json() for p in found] for key, found in asked.items()}
        guests = {"guests": [i.to_json() for i in self.impacts], "guests_unknown": self.guests_unknown or None}
        more = {"notes": notes(self.plan, self.live), "allowed": told}
        return {**self.plan.to_json(), **more, "probes": probes, **guests}


def prepare(bundle: Bundle, state_dir: Path, wishes: Wishes, tell: Callable[[str], None]) -> Prepared:
    """Read the host and plan. Raises Refused when this host cannot take the change."""
    with told_or_refused():
        backend = find_backend()
        with NetworkManager() as manager:
            tell("reading the live state")
            held, live = _read(backend, manager, state_dir, bundle.state)
            plan = make_plan(bundle, live)
            if not plan.empty:
                live = _with_surroundings(live, manager, state_dir, plan)
            allowed = judged(plan, live, wishes)
            if plan.empty:
                return Prepared(plan, live, [], backend.name, Probes())
            tell("asking gateways, name servers and the definition's probes")
            connection = ssh_connection()
            probes = _probes(bundle.state, live, connection, bundle.probes)
            confirm = _confirm(wishes, plan, live, connection)
            record = _record(bundle, live, state_dir)
            terms = Terms(wishes.timeout, probes.must, *record, confirm)
            steps = compile_steps(plan, live, bound_profiles(held.profiles), terms)
            by = proving(plan, live.state, *_ends(connection))
            return Prepared(plan, live, steps, backend.name, probes, confirm, by, allowed)


def prepare_removal(bundle: Bundle, state_dir: Path, wishes: Wishes, tell: Callable[[str], None]) -> Prepared:
    """The same for giving the machine back; `bundle` is what is applied."""
    with told_or_refused():
        backend = find_backend()
        with NetworkManager() as manager:
            tell("reading the live state")
            _, live = _read(backend, manager, state_dir)
            original = find_original(state_dir)
            records = {r["path"]: files.record_file(r["path"]) for r in original.snapshot["files"]}
            plan = plan_removal(bundle, original, live, records)
            live = _with_surroundings(live, manager, state_dir, plan)
            allowed = judged(plan, live, wishes, GIVING_BACK)
            tell("asking the gateways")
            connection = ssh_connection()
            probes = _probes(_addressed(original), live, connection)
            confirm = wishes.confirm if wishes.confirm is not None else CONFIRM_WITHIN if connection else 0
            record = sorted(str(path) for path in (state_dir / "applied").iterdir())
            steps = compile_removal(plan, original, live, probes.must, record, confirm)
            address, peer = _ends(connection)
            by = proving(plan, live.state, address, peer, given_back(bundle, original))
            return Prepared(plan, live, steps, backend.name, probes, confirm, by, allowed, original)


def judged(plan: Plan, live: Live, wishes: Wishes, among: Optional[Collection[str]] = None) -> tuple[Refusal, ...]:
    """What a person has overridden. Raises Refused, which tells as well what the plan would do to guests."""
    try:
        return tuple(judge(plan, live, wishes.allow, among, wishes.lose))
    except Refused as error:
        found = [] if plan.empty else impacts(plan, live)
        unknown = live.surroundings.running.problem
        error.also = guest_lines(found, unknown)
        error.data = {"guests": [i.to_json() for i in found], "guests_unknown": unknown or None}
        raise


def drift(bundle: Bundle, state_dir: Path, tell: Callable[[str], None]) -> Plan:
    """What would make the host as `bundle` says again: nobody is asked, nothing speaks against it yet."""
    with told_or_refused(), NetworkManager() as manager:
        tell("reading the live state")
        return make_plan(bundle, _read(find_backend(), manager, state_dir, bundle.state)[1])


def _with_surroundings(live: Live, manager: NetworkManager, state_dir: Path, plan: Plan) -> Live:
    found = read_surroundings(manager, live.links, state_dir, link_files_go(plan, live))
    return dataclasses.replace(live, surroundings=dataclasses.replace(found, running=read_running(live.links)))


def _addressed(original: Original) -> State:
    """The addresses from before kvmnet, as a state: gateways outside of them need not answer then."""
    addresses = [a.partition("/") for held in original.snapshot["addresses"].values() for a in held]
    return {"interfaces": [{"ipv4": {"address": [{"ip": ip, "prefix-length": int(p)} for ip, _, p in addresses]}}]}


@contextlib.contextmanager
def told_or_refused() -> Iterator[None]:
    """What this host does not say becomes a refusal: nothing was touched."""
    try:
        yield
    except NmstateError as error:
        raise Refused(f"nmstate: {error}", error.details, "KVN505") from error
    except NMError as error:
        hint = "kvmnet needs a running NetworkManager: systemctl status NetworkManager"
        raise Refused(str(error), hint, "KVN504") from error
    except (HostError, subprocess.SubprocessError, OSError) as error:
        hint = "run what it names by hand, and mend what it complains of"
        raise Refused(f"this host could not be read: {error}", hint, "KVN512") from error


def _callers(connection: Optional[Connection]) -> list[str]:
    return [connection.peer] if connection and connection.peer != connection.address else []


def _confirm(wishes: Wishes, plan: Plan, live: Live, connection: Optional[Connection]) -> int:
    if wishes.confirm is not None:
        return wishes.confirm
    return CONFIRM_WITHIN if connection and touches(plan, live.state, *_ends(connection)) else 0


def _ends(connection: Optional[Connection]) -> tuple[str, str]:
    """Our address of the connection that this command came by, and the other end's; empty where there is none, or
    nobody says."""
    return (connection.address, connection.peer) if connection else ("", "")


def _read(
    backend: Backend, manager: NetworkManager, state_dir: Path, wanted: Optional[State] = None
) -> tuple[Manager, Live]:
    manager.version()  # first: when NetworkManager does not run, nmstate's own message is of no help
    try:
        held = read_manager()
    except HostError:
        manager.version()  # it may have gone meanwhile: that is the reason then
        raise
    return held, read_live(backend, manager, state_dir, held, wanted)


def _probes(desired: State, live: Live, connection: Optional[Connection], own: Sequence[Probe] = ()) -> Probes:
    """A plan may be made by anyone; only root may ask by raw sockets, and run what a definition names."""
    root = os.geteuid() == 0
    callers = _callers(connection)
    chosen = choose_probes(desired, live.state, lambda probes: ask(probes, 1.5) if root else [], callers, own)
    return dataclasses.replace(chosen, asked=root)


def _record(bundle: Bundle, live: Live, state_dir: Path) -> tuple[Mapping[str, str], tuple[str, ...]]:
    folder = state_dir / "applied"
    texts = {str(folder / name): text for name, text in bundle_files.files_of(bundle).items()}
    texts[str(folder / HOOK_FILE)] = hook_text(bundle)
    texts[str(folder / OWNED_FILE)] = json.dumps(to_note(note_after(bundle, live)), indent=1) + "\n"
    there: list[str] = []
    with contextlib.suppress(OSError):  # not there yet; or a plan made by somebody who may not look
        there = [str(p) for p in folder.iterdir()]
    return texts, tuple(sorted(p for p in there if p not in texts))
