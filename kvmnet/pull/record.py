"""What pull mode remembers on this host: /var/lib/kvmnet/pull/record.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from kvmnet.core.base.errors import Refused
from kvmnet.system import files
from kvmnet.transaction.history import EndedTransaction

UP_TO_DATE, APPLIED, REFUSED, ROLLED_BACK = "up to date", "applied", "refused", "rolled back"
NOT_REACHABLE, FAILED = "not reachable", "failed"

#: How many bundles that were rolled back are remembered.
_MAX_ROLLED_BACK = 50


@dataclass(frozen=True)
class PullRecord:
    """What pull mode remembers.

    fetched: the commit that was fetched last. accepted: the last one that followed the one before and whose signature
        was valid, where that is required. applied: the last one whose bundle of this host was applied.
    result: how the last run ended (see the constants); reason: why, as text; code: that of a refusal.
    at: when it ended, in seconds since the epoch.
    rolled_back: the bundles that were rolled back, digest -> when and why.
    """

    fetched: Optional[str] = None
    accepted: Optional[str] = None
    applied: Optional[str] = None
    result: Optional[str] = None
    reason: Optional[str] = None
    code: Optional[str] = None
    at: float = 0.0
    rolled_back: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_behind(self) -> bool:
        """Whether this host does not have the fetched commit, or could not learn which one is the newest."""
        return self.fetched != self.applied or self.result not in (UP_TO_DATE, APPLIED)

    def to_json(self) -> dict[str, Any]:
        """Return the record for `kvmnet status --json`."""
        fields = dataclasses.asdict(self)
        return {**{name: fields[name] for name in fields if name != "rolled_back"}, "behind": self.is_behind}


def folder_of(state_dir: Path) -> Path:
    """Return the folder of pull mode."""
    return state_dir / "pull"


def read_record(state_dir: Path) -> PullRecord:
    """Return the record; an empty one before the first run. Raises Refused if the file is corrupt: without it a
    rewritten branch would not be noticed."""
    path = folder_of(state_dir) / "record.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in dataclasses.fields(PullRecord)}
        return PullRecord(**{name: value for name, value in data.items() if name in known})
    except FileNotFoundError:
        return PullRecord()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        hint = f"remove {path.parent}: the next `kvmnet pull` fetches everything again and trusts what it fetches"
        raise Refused(f"{path} is corrupt: {error}", hint, "KVN563") from error


def write_record(state_dir: Path, record: PullRecord) -> None:
    """Write the record. Raises OSError."""
    data = json.dumps(dataclasses.asdict(record), indent=1).encode()
    files.write_file(str(folder_of(state_dir) / "record.json"), data, 0o600)


def note_rollbacks(
    known: Mapping[str, Mapping[str, Any]], history: Sequence[EndedTransaction], digests: Mapping[str, str]
) -> dict[str, Mapping[str, Any]]:
    """Return the bundles that were rolled back, with those of the history: by a failed `apply`, and by a `rollback` or
    `remove` of what was applied. One that was kept later is not among them. `digests` has the digest of each
    transaction's bundle by the transaction's ID.

    The history and not the run of pull mode is asked, which may have been killed before its change ended."""
    rolled_back, applied = dict(known), ""
    for ended in history:
        digest = digests.get(ended.id, "")
        if ended.kept:
            if ended.operation != "apply" and applied:
                rolled_back[applied] = {"at": ended.at, "why": f"by `kvmnet {ended.operation}`"}
            if digest in rolled_back and rolled_back[digest]["at"] < ended.at and ended.operation != "remove":
                del rolled_back[digest]
            applied = "" if ended.operation == "remove" else digest
        elif ended.operation == "apply" and digest and ended.outcome == "rolled back":
            rolled_back[digest] = {"at": ended.at, "why": ended.why or "it was rolled back"}
    newest = sorted(rolled_back, key=lambda digest: float(rolled_back[digest]["at"]))[-_MAX_ROLLED_BACK:]
    return {digest: rolled_back[digest] for digest in newest}


def read_digests(state_dir: Path, history: Sequence[EndedTransaction]) -> dict[str, str]:
    """Return the digest of the bundle of each transaction in the history, by the transaction's ID."""
    paths = {ended.id: state_dir / "history" / ended.id / "transaction.json" for ended in history}
    return {identity: str(files.read_json(path).get("digest") or "") for identity, path in paths.items()}
