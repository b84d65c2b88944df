"""The settings of `kvmnet pull` in this host's configuration: the lines that begin with `pull-`."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kvmnet.core.base.git_remote import is_branch_name, parse_remote

_CODE = re.compile(r"KVN[0-9]{3}\Z")
_GUEST = re.compile(r"[^\s,=#]{1,128}\Z")
_INTERVAL = re.compile(r"([1-9][0-9]{0,3})(min|h)\Z")


@dataclass(frozen=True)
class PullSettings:
    """The settings of pull mode.

    repository: the URL of the git repository, empty when pull mode is not configured; branch: its branch.
    path: the folder in the repository that contains the rendered states, a folder for each host.
    signers: the file of ssh-keygen's ALLOWED SIGNERS format with who may sign commits; empty: signatures are not
        verified.
    adopt, allow, allow_guest_loss: what `kvmnet apply` has as options.
    interval: minutes between two runs of the timer.
    """

    repository: str = ""
    branch: str = "main"
    path: str = "states"
    signers: str = ""
    adopt: bool = False
    allow: tuple[str, ...] = ()
    allow_guest_loss: tuple[str, ...] = ()
    interval: int = 30

    def find_conflict(self) -> str:
        """Return what is wrong with the settings together; empty if nothing is."""
        if not self.repository:
            return "pull- settings need pull-repository" if self != PullSettings() else ""
        if not parse_remote(self.repository).is_authenticated and not self.signers:
            return (
                "this protocol does not authenticate the server: use ssh or https, or set pull-signers so that commits "
                "must be signed"
            )
        return ""


def _read_repository(text: str) -> str:
    return parse_remote(text).url


def _read_branch(text: str) -> str:
    if not is_branch_name(text):
        raise ValueError("not the name of a branch")
    return text


def _read_path(text: str) -> str:
    parts = text.split("/")
    is_plain = text == "." or (posixpath.normpath(text) == text and ".." not in parts)
    if not is_plain or not text.isprintable() or text.startswith(("/", ":", "-")) or set(text) & set("*?[\\"):
        raise ValueError("not a folder in the repository, such as states or .")
    return text


def _read_signers(text: str) -> str:
    if not text.startswith("/") or posixpath.normpath(text) != text or not text.isprintable():
        raise ValueError("not an absolute path of a file")
    return text


def _read_yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("expected yes or no")
    return text == "yes"


def _read_list(pattern: re.Pattern[str], kind: str) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        values = tuple(re.split(r"[,\s]+", text.strip()))
        if not all(pattern.match(value) for value in values):
            raise ValueError(f"expected {kind}, with commas between them")
        return values

    return read


def _read_interval(text: str) -> int:
    match = _INTERVAL.match(text)
    minutes = int(match[1]) * (60 if match[2] == "h" else 1) if match else 0
    if not 1 <= minutes <= 7 * 24 * 60:
        raise ValueError("expected minutes or hours, such as 30min or 2h, of at most a week")
    return minutes


#: The lines of the configuration: key -> the field, and what reads its value (raises ValueError with the reason).
PULL_KEYS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "pull-repository": ("repository", _read_repository),
    "pull-branch": ("branch", _read_branch),
    "pull-path": ("path", _read_path),
    "pull-signers": ("signers", _read_signers),
    "pull-adopt": ("adopt", _read_yes),
    "pull-allow": ("allow", _read_list(_CODE, "codes such as KVN520")),
    "pull-allow-guest-loss": ("allow_guest_loss", _read_list(_GUEST, "names of guests")),
    "pull-interval": ("interval", _read_interval),
}


def make_pull_settings(values: Mapping[str, Any]) -> PullSettings:
    """Return the settings of values that were read with `PULL_KEYS`, by their keys; other keys are ignored."""
    fields = {PULL_KEYS[key][0]: value for key, value in values.items() if key in PULL_KEYS}
    return dataclasses.replace(PullSettings(), **fields)
