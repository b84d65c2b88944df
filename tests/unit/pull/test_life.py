"""The life of a repository made by `kvmnet init`: from an edit of the definition through real git and pre-commit to the
bundle that a host pulls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kvmnet import pipeline
from kvmnet.core.base.git_remote import GitRemote
from kvmnet.core.live.pull_settings import PullSettings
from kvmnet.pull.mirror import Mirror
from kvmnet.pull.update import Identity, PullRun
from tests.unit.cli.init_repository import NEEDS_PROGRAMS, Repository
from tests.unit.cli.samples import run


@NEEDS_PROGRAMS
def test_a_commit_that_passes_the_checks_is_what_the_host_pulls(tmp_path: Path, capfdbinary: Any) -> None:
    assert run("init", str(tmp_path / "site")) == 0
    repository = Repository(tmp_path / "site")
    repository.run("git", "branch", "-M", "main")
    repository.run("pre-commit", "install")
    repository.run("git", "commit", "-q", "-m", "begin")
    repository.run("git", "init", "-q", "--bare", str(tmp_path / "server.git"))
    repository.run("git", "remote", "add", "origin", str(tmp_path / "server.git"))
    repository.run("git", "push", "-q", "origin", "main")
    wanted = pipeline.load(str(tmp_path / "site" / "cluster.yaml")).bundles()[0]
    identity = Identity({str(nic.mac).lower(): nic.interface for nic in wanted.nics if nic.mac}, wanted.host)
    (tmp_path / "state" / "pull").mkdir(parents=True)
    remote = GitRemote(f"file://{tmp_path}/server.git", "file", "localhost", 0)
    host = PullRun(tmp_path / "state", PullSettings(), Mirror(tmp_path / "mirror.git", remote, "main"))

    def pulled() -> str:
        folders = host.write_bundles(host.fetch(), identity)
        return next(pipeline.read_bundle_folder(f).digest for f in folders if f.name == wanted.host)

    assert pulled() == wanted.digest
    repository.edit("10.1.0.11", "10.1.0.13")
    assert "stale: " in repository.run("git", "commit", "-q", "-m", "states forgotten", code=1)
    repository.run("kvmnet", "render", "-o", "states")
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-q", "-m", "another address")
    repository.run("kvmnet", "render", "-o", "states", "--check")
    assert pulled() == wanted.digest, "not pushed yet"
    repository.run("git", "push", "-q", "origin", "main")
    changed = pipeline.load(str(tmp_path / "site" / "cluster.yaml")).bundles()[0]
    assert pulled() == changed.digest != wanted.digest
