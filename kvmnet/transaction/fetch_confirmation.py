"""The step that confirms a change of pull mode: a new fetch from the repository. It changes nothing, so it has no undo.

The worker does it, so it belongs to this transaction and happens after the change.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.git_remote import GitRemote, parse_remote
from kvmnet.core.effects.operator_path import affects_operator, find_confirming_interfaces
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan
from kvmnet.host.git_client import GitFailed, ask_for_branch
from kvmnet.host.repository_path import find_flaw, find_paths
from kvmnet.system import operations
from kvmnet.transaction.action_context import Context, StepFailed
from kvmnet.transaction.step import STEP_LIMIT, Step, step

#: For how many seconds the fetch is tried again: a switch's port may forward nothing for 30 s after a link went down.
FETCH_SECONDS = 90
#: Seconds that one try may take, and between two tries.
TRY_SECONDS, PAUSE = 15.0, 1.0


@dataclass(frozen=True)
class FetchConfirmation:
    """How a fetch confirms a change: the repository and its branch; whether it must leave by an interface of `proving`
    (empty: by any), or only reply because the change does not affect the way to it (`is_proof` is false)."""

    remote: GitRemote
    branch: str
    proving: tuple[str, ...] = ()
    is_proof: bool = True


def choose_fetch(wanted: FetchConfirmation, plan: Plan, live: Live) -> FetchConfirmation:
    """Return how a fetch confirms this plan. When the plan leaves the way to the repository alone, the fetch
    cannot confirm the change but must still succeed. Raises Refused when no fetch can confirm it."""
    paths = find_paths(wanted.remote)
    state = live.state_with_virtual
    affected = [path for path in paths if affects_operator(plan, state, path.address, path.peer)]
    if paths and not affected and find_flaw(paths) is None:
        return dataclasses.replace(wanted, is_proof=False)
    flaw = find_flaw(paths)
    if flaw is None and len(affected) < len(paths):
        kept = next(path for path in paths if path not in affected)
        flaw = (
            f"it has several addresses, and {kept.peer} is reached by {kept.device}, which the change does not affect"
        )
    if flaw is not None:
        message = f"a fetch from {wanted.remote.url} cannot confirm the change: {flaw}"
        raise Refused(message, "apply the bundle by hand: kvmnet apply --bundle DIR", "KVN576")
    names = {name for path in affected for name in find_confirming_interfaces(plan, state, path.address, path.peer)}
    return dataclasses.replace(wanted, proving=tuple(sorted(names)))


def confirm_by_fetch(fetch: FetchConfirmation, seconds: int) -> Step:
    """The step that fetches again, for at most these seconds."""
    purpose = "confirm by a new fetch" if fetch.is_proof else "fetch again (the change does not affect the way there)"
    return step(
        operations.FETCH,
        f"{purpose} from {fetch.remote.url}",
        limit=seconds + STEP_LIMIT,
        repository=fetch.remote.url,
        branch=fetch.branch,
        proving=list(fetch.proving),
        is_proof=fetch.is_proof,
        seconds=seconds,
    )


def fetch_again(context: Context, step: Step) -> str:
    """Ask the git server for the branch over new connections until one counts. Returns what replied, and how it was
    reached."""
    remote, end = parse_remote(step["repository"]), time.monotonic() + step["seconds"]
    while True:
        silent = False
        try:
            commit = ask_for_branch(remote, step["branch"], min(TRY_SECONDS, max(1.0, end - time.monotonic())))
            paths = find_paths(remote)
            problem = find_flaw(paths, step["proving"]) if step["is_proof"] else None
        except GitFailed as error:
            silent, problem = True, str(error)
        if problem is None:
            devices = ", ".join(dict.fromkeys(path.device for path in paths)) or "an unknown interface"
            return f"{remote.host} replied by {devices}; {step['branch']} is {commit[:12]}"
        if time.monotonic() + PAUSE > end:
            peers = [path.peer for path in find_paths(remote)] if silent else []
            raise StepFailed(f"no new fetch from {step['repository']} confirmed the change: {problem}", peers)
        time.sleep(PAUSE)
