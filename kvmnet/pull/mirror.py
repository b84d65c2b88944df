"""The bare mirror of the repository on this host: fetches the branch, compares commits, verifies signatures."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.core.base.git_remote import GitRemote
from kvmnet.host.git_client import GitFailed, ask_for_branch, is_object_id, run_git
from kvmnet.host.trusted_files import find_other_writer

#: The refs of the mirror: what was fetched last, and what was accepted last (so that git keeps its objects).
FETCHED, ACCEPTED = "refs/kvmnet/fetched", "refs/kvmnet/accepted"
#: Seconds that a fetch may take.
FETCH_LIMIT = 300.0
#: Seconds for the question whether the server replies at all.
ASK_LIMIT = 30.0


class NotReachable(KvmnetError):
    """The repository or its branch could not be fetched. Nothing was changed."""

    def __init__(self, url: str, reason: str) -> None:
        hint = "check the repository, the branch, and the host's key and credentials for it (git ls-remote, as root)"
        super().__init__(f"{url} could not be fetched: {reason}", hint, "KVN575")


@dataclass(frozen=True)
class Mirror:
    """The bare mirror in `folder` of one branch of a repository."""

    folder: Path
    remote: GitRemote
    branch: str

    def fetch(self) -> str:
        """Fetch the branch and return its commit. Raises NotReachable.

        A power cut can leave a mirror that git does not read any more. When the server replies and the fetch fails all
        the same, the mirror is created again; the accepted commit is recorded elsewhere."""
        try:
            if not (self.folder / "HEAD").exists():
                self._create()
            self._remove_stale_locks()
            try:
                return self._fetch()
            except GitFailed:
                ask_for_branch(self.remote, self.branch, ASK_LIMIT)
            self._create()
            return self._fetch()
        except GitFailed as error:
            raise NotReachable(self.remote.url, str(error)) from error

    def _fetch(self) -> str:
        refspec = f"+refs/heads/{self.branch}:{FETCHED}"
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        command = ("fetch", *options, "--", self.remote.url, refspec)
        self._run(*command, protocol=self.remote.protocol, seconds=FETCH_LIMIT)
        return self._run("rev-parse", "--verify", f"{FETCHED}^{{commit}}").strip()

    def _remove_stale_locks(self) -> None:
        """Remove the lock files of a git that was killed. The caller holds the lock of pull mode, so none runs."""
        for path in (self.folder, *self.folder.glob("refs/**/")):
            for stale in path.glob("*.lock"):
                stale.unlink()

    def _create(self) -> None:
        """Create the mirror, in place of an existing one or of what an interrupted creation left."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)
        self.folder.mkdir(mode=0o700, parents=True)
        run_git("init", "--quiet", "--bare", "--template=", str(self.folder))

    def continues(self, old: str, new: str) -> bool:
        """Whether a commit is another one or follows it: the branch was not rewritten in between."""
        try:
            self._run("merge-base", "--is-ancestor", old, new)
        except GitFailed:  # not an ancestor, or the mirror does not have it any more
            return False
        return True

    def keep(self, commit: str) -> None:
        """Keep the objects of a commit that was accepted."""
        with contextlib.suppress(GitFailed):
            self._run("update-ref", ACCEPTED, commit)

    def _run(self, *arguments: str, protocol: str = "none", seconds: float = 60) -> str:
        return run_git(*arguments, folder=self.folder, protocol=protocol, seconds=seconds)

    def find_signature_problem(self, commit: str, signers: Path) -> Optional[str]:
        """Return why the signature of a commit does not count; None when one of the signers has signed it.

        The commit's tree is what is applied, and its signature covers this tree and all commits before it."""
        if not is_object_id(commit):
            return "it is not a commit"
        try:
            if writer := find_other_writer(signers, trusted_owners()):
                return f"{signers} may be written by root only, but {writer}"
            signature = self._run("cat-file", "commit", commit).partition("\n\n")[0]
        except OSError as error:
            return f"{signers}: {error.strerror}"
        except GitFailed as error:
            return str(error)
        if "\ngpgsig" not in signature:
            return "it is not signed"
        try:
            setting = f"gpg.ssh.allowedSignersFile={signers}"
            text = run_git("-c", setting, "verify-commit", commit, folder=self.folder, errors_too=True)
        except GitFailed as error:
            return _explain(error.text)
        return None if 'Good "git" signature for ' in text else _explain(text)


def trusted_owners() -> frozenset[int]:
    """Return the user IDs that may own the file of signers: root alone."""
    return frozenset({0})


def _explain(text: str) -> str:
    if "No principal matched" in text or 'Good "git" signature with' in text:
        return "the key that signed it is not in pull-signers"
    lines = [line for line in text.splitlines() if line.strip()]
    return f"its signature is not valid{f' ({lines[-1].strip()})' if lines else ''}"


def require_continuation(mirror: Mirror, accepted: Optional[str], fetched: str) -> None:
    """Raise Refused if the branch was rewritten: the fetched commit does not follow the one that was accepted last."""
    if accepted is None or mirror.continues(accepted, fetched):
        return
    message = (
        f"branch {mirror.branch} of {mirror.remote.url} was rewritten: {fetched[:12]} does not follow {accepted[:12]}, "
        "which this host has accepted"
    )
    hint = f"if this was intended, review the states of that commit, then run: kvmnet pull --accept {fetched}"
    raise Refused(message, hint, "KVN570")


def require_signature(mirror: Mirror, commit: str, signers: str) -> None:
    """Raise Refused unless one of the signers has signed the commit."""
    if problem := mirror.find_signature_problem(commit, Path(signers)):
        message = f"commit {commit[:12]} of {mirror.remote.url} is not applied: {problem}"
        hint = f"the last commit of the branch must be signed by a key of {signers} (git commit -S, gpg.format=ssh)"
        raise Refused(message, hint, "KVN571")
