"""One run of pull mode up to the change: fetches the branch, judges the commit, and finds this host's bundle in it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.core.base.problem import printable
from kvmnet.core.live.pull_settings import PullSettings
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pull import record as pull_record
from kvmnet.pull.bundle_choice import write_own_bundles
from kvmnet.pull.mirror import Mirror, NotReachable, require_continuation, require_signature
from kvmnet.pull.record import folder_of, note_rollbacks, read_digests, read_record, write_record
from kvmnet.system import lock
from kvmnet.transaction.history import read_history
from kvmnet.transaction.safeguards import not_written


@dataclass(frozen=True)
class Identity:
    """What identifies this host: its NICs' permanent MAC addresses (MAC -> name) and its name."""

    macs: Mapping[str, str]
    hostname: str


class PullRun:
    """One run: its steps, and the record of how far it came."""

    def __init__(self, state_dir: Path, settings: PullSettings, mirror: Mirror) -> None:
        self.state_dir, self.settings, self.mirror = state_dir, settings, mirror
        self.record = read_record(state_dir)

    def fetch(self, accept: Optional[str] = None, is_dry: bool = False) -> str:
        """Fetch the branch and return its commit, if it may be applied. `accept` is the commit that the operator
        accepts although it does not follow the one before; a run that `is_dry` does not record that. Raises
        NotReachable and Refused."""
        commit = self.mirror.fetch()
        self._remember(fetched=commit)
        if accept is None:
            require_continuation(self.mirror, self.record.accepted, commit)
        elif accept != commit:
            message = f"the branch is at {commit}, not at {printable(accept)}"
            raise Refused(message, "review the states of that commit, and accept it by its whole ID", "KVN577")
        if self.settings.signers:
            require_signature(self.mirror, commit, self.settings.signers)
        if not is_dry:
            self._remember(accepted=commit)
            self.mirror.keep(commit)
        return commit

    def write_bundles(self, commit: str, identity: Identity) -> list[Path]:
        """Write the bundles of the commit that may be this host's to private folders, and return them."""
        target = folder_of(self.state_dir) / "bundles"
        try:
            return write_own_bundles(
                self.mirror.folder, commit, self.settings.path, identity.macs, identity.hostname, target
            )
        except OSError as error:
            raise not_written(target, error) from error

    def require_untried(self, bundle: Bundle, commit: str) -> None:
        """Raise Refused if this bundle was rolled back on this host."""
        history = read_history(self.state_dir)
        known = note_rollbacks(self.record.rolled_back, history, read_digests(self.state_dir, history))
        self._remember(rolled_back=known)
        if bundle.digest not in known:
            return
        why = known[bundle.digest]["why"]
        message = f"the bundle of {bundle.host} in commit {commit[:12]} was rolled back on this host: {why}"
        hint = "commit a correction; or, when the reason is gone, try the same bundle again: kvmnet pull --retry"
        raise Refused(message, hint, "KVN573")

    def finish(self, result: str, commit: Optional[str] = None, reason: str = "", code: Optional[str] = None) -> None:
        """Record how the run ended; `commit` is the one that this host has now."""
        changes = {"applied": commit} if commit is not None else {}
        self._remember(result=result, reason=reason or None, code=code, at=round(time.time(), 1), **changes)

    @contextlib.contextmanager
    def recording_failures(self) -> Iterator[None]:
        """Record the error that ends the block, and raise it again."""
        try:
            yield
        except NotReachable as error:
            self.finish(pull_record.NOT_REACHABLE, reason=error.message, code=error.code)
            raise
        except KvmnetError as error:
            result = pull_record.REFUSED if isinstance(error, Refused) else pull_record.FAILED
            self.finish(result, reason=error.message, code=error.code)
            raise
        except Exception as error:
            self.finish(pull_record.FAILED, reason=str(error) or repr(error))
            raise

    def _remember(self, **changes: object) -> None:
        self.record = dataclasses.replace(self.record, **changes)  # type: ignore[arg-type]
        try:
            write_record(self.state_dir, self.record)
        except OSError as error:
            raise not_written(folder_of(self.state_dir), error) from error


@contextlib.contextmanager
def open_run(state_dir: Path, settings: PullSettings, make_mirror: Callable[[Path], Mirror]) -> Iterator[PullRun]:
    """Yield a run of pull mode, which is the only one on this host. `make_mirror` returns the mirror in a folder.
    Raises Refused when another one runs, or the folder cannot be created."""
    folder = folder_of(state_dir)
    with contextlib.ExitStack() as stack:
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            stack.enter_context(lock.hold_lock(folder, wait_for=False))
        except BlockingIOError as error:
            raise Refused(
                "another `kvmnet pull` is running on this host", "wait until it has ended", "KVN501"
            ) from error
        except OSError as error:
            raise not_written(folder, error) from error
        yield PullRun(state_dir, settings, make_mirror(folder / "mirror.git"))
