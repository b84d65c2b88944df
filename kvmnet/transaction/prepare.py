"""From a bundle and this host to a transaction that could be opened: everything is read, nothing touched."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet import rescue
from kvmnet.core import emit
from kvmnet.core.bundle import Bundle
from kvmnet.core.confirmation import touches
from kvmnet.core.errors import Refused
from kvmnet.core.hook_record import HOOK_FILE, hook_text
from kvmnet.core.live import Live
from kvmnet.core.plan import Plan, make_plan
from kvmnet.core.probes import Probes, choose_probes
from kvmnet.host.caller import Connection, ssh_connection
from kvmnet.host.nm import NetworkManager, NMError
from kvmnet.host.nmstate import Backend, NmstateError, find_backend
from kvmnet.host.ping import answers
from kvmnet.host.read import read_live
from kvmnet.transaction.compile import Step, Terms, compile_steps

#: nmstate before it has no `identifier`, needed for profiles that are bound by MAC (EL 9.2 ships 2.2.9)
OLDEST_NMSTATE = (2, 2, 9)


#: Seconds for a word from outside, where the caller does not say how many.
CONFIRM_WITHIN = 120


@dataclass(frozen=True)
class Wishes:
    """What the caller asks for: `timeout`, the seconds that the trial may take before NetworkManager undoes
    it; `confirm`, the seconds to wait for `kvmnet confirm` then (0: do not; None: where the change touches the
    interface by which the caller's SSH connection comes in)."""

    timeout: int = 120
    confirm: Optional[int] = None


@dataclass(frozen=True)
class Prepared:
    """A plan for this host, what it was made from, and the steps to it (none where there is nothing to do);
    `confirm` is for how many seconds a word from outside is waited for."""

    plan: Plan
    live: Live
    steps: list[Step]
    backend: str
    probes: Probes
    confirm: int = 0


def prepare(bundle: Bundle, state_dir: Path, wishes: Wishes, tell: Callable[[str], None]) -> Prepared:
    """Read the host and plan. Raises Refused when this host cannot take the change."""
    try:
        backend = find_backend()
        with NetworkManager() as manager:
            tell("reading the live state")
            live = _read(backend, manager, state_dir)
            plan = make_plan(bundle, live)
            _refuse_unsafe(plan, live)
            if plan.empty:
                return Prepared(plan, live, [], backend.name, Probes((), (), None))
            tell("asking the gateways")
            connection = ssh_connection()
            callers = [connection.peer] if connection and connection.peer != connection.address else []
            probes = choose_probes(bundle.state, live.state, _answers, callers)
            confirm = _confirm(wishes, plan, live, connection)
            terms = Terms(
                wishes.timeout, probes.must, *_record(bundle, state_dir), backend.name == "libnmstate", confirm
            )
            steps = compile_steps(plan, live, manager.interface_profiles(), terms)
    except NmstateError as error:
        raise Refused(f"nmstate: {error}", error.details) from error
    except NMError as error:
        raise Refused(str(error), "kvmnet needs a running NetworkManager: systemctl status NetworkManager") from error
    except (rescue.Failed, subprocess.SubprocessError, OSError) as error:
        raise Refused(f"this host could not be read: {error}") from error
    return Prepared(plan, live, steps, backend.name, probes, confirm)


def _confirm(wishes: Wishes, plan: Plan, live: Live, connection: Optional[Connection]) -> int:
    if wishes.confirm is not None:
        return wishes.confirm
    return CONFIRM_WITHIN if connection and touches(plan, live.state, connection.address) else 0


def _read(backend: Backend, manager: NetworkManager, state_dir: Path) -> Live:
    manager.version()  # first: when NetworkManager does not run, nmstate's own message is of no help
    return read_live(backend, manager, state_dir)


def _refuse_unsafe(plan: Plan, live: Live) -> None:
    if live.checkpoints and not plan.empty:
        raise Refused(
            "another tool has a NetworkManager checkpoint open: " + ", ".join(live.checkpoints),
            "wait until it has ended, or end it: `nmstatectl commit CHECKPOINT` or `nmstatectl rollback CHECKPOINT`",
        )
    version = tuple(int(n) for n in live.nmstate.split(".")[:3] if n.isdigit())
    if version < OLDEST_NMSTATE:
        raise Refused(f"nmstate {live.nmstate} is too old", "kvmnet needs nmstate 2.2.9 or later (EL 9.2)")


def _answers(address: str) -> bool:
    if os.geteuid() != 0:  # a plan may be made by anyone; only root may ping by a raw socket
        return False
    return any(answers(address) for _ in range(2))


def _record(bundle: Bundle, state_dir: Path) -> tuple[Mapping[str, str], tuple[str, ...]]:
    folder = state_dir / "applied"
    files = {str(folder / name): text for name, text in emit.files_of(bundle).items()}
    files[str(folder / HOOK_FILE)] = hook_text(bundle)
    there: list[str] = []
    with contextlib.suppress(OSError):  # not there yet; or a plan made by somebody who may not look
        there = [str(p) for p in folder.iterdir()]
    return files, tuple(sorted(p for p in there if p not in files))
