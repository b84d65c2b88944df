"""Tests of `kvmnet init`, and of the repository that it makes with the real git and pre-commit."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from kvmnet.cli import init
from kvmnet.core.live.running_guests import Running
from kvmnet.host import read_guests
from tests.unit.cli.init_repository import NEEDS_PROGRAMS, Repository
from tests.unit.cli.samples import ROOT, run
from tests.unit.from_host.samples import GUESTS, br0_host


def test_a_valid_definition_is_written_with_its_states(tmp_path: Path, capfdbinary: Any) -> None:
    folder = tmp_path / "new"
    assert run("init", str(folder)) == 0
    out = capfdbinary.readouterr()[0].decode()
    assert f"new: {folder / 'cluster.yaml'}\n" in out and "next: edit cluster.yaml" in out
    assert run("validate", str(folder / "cluster.yaml")) == 0
    assert capfdbinary.readouterr()[1] == b"no problem in 2 hosts\n"
    assert run("render", str(folder / "cluster.yaml"), "-o", str(folder / "states"), "--check") == 0


def test_nothing_is_written_over(tmp_path: Path, capfdbinary: Any) -> None:
    (tmp_path / "README.md").write_text("ours")
    assert run("init", str(tmp_path)) == 2
    assert b"README.md exists already" in capfdbinary.readouterr()[1]
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, capfdbinary: Any) -> None:
    (tmp_path / "file").write_text("")
    assert run("init", str(tmp_path / "file" / "new")) == 1
    assert b"cannot be written: Not a directory" in capfdbinary.readouterr()[1]


@pytest.fixture
def this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is a host with br0 over eth0 and guests."""
    (tmp_path / "site").mkdir()
    monkeypatch.setattr(init, "_read_live", lambda: br0_host(tmp_path / "site"))
    monkeypatch.setattr(read_guests, "read_running", lambda links: GUESTS)


@pytest.mark.usefixtures("this_host")
def test_this_host_becomes_a_definition_with_its_states(tmp_path: Path, capfdbinary: Any) -> None:
    folder = tmp_path / "new"
    assert run("init", "--from-host", str(folder)) == 0
    out, err = capfdbinary.readouterr()
    assert b"next: kvmnet validate, then kvmnet plan" in out and b"zone work of br0 stays" in err
    assert "bridge: br0" in (folder / "cluster.yaml").read_text() and (folder / "states" / "kvm1").is_dir()
    assert run("validate", str(folder / "cluster.yaml")) == 0
    assert run("init", "--from-host", str(folder)) == 2, "nothing is written over"


@pytest.mark.usefixtures("this_host")
def test_this_host_is_added_to_a_definition(tmp_path: Path, capfdbinary: Any) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("# ours\nkvmnet: 1\ncluster: c\nprofile: rocks\nhosts: {}\n")
    file.chmod(0o640)
    assert run("init", "--from-host", "--naming", "rocks", "--append", str(file)) == 0
    out, err = capfdbinary.readouterr()
    assert b"changed: " in out and b"rename eth0: to peth0" in err
    text = file.read_text()
    assert (
        text.startswith("# ours\nkvmnet: 1\n") and "  kvm1:\n    kvm: true\n" in text and "profile: plain" not in text
    )
    assert file.stat().st_mode & 0o777 == 0o640
    assert run("init", "--from-host", "--append", str(file)) == 2 and file.read_text() == text
    assert run("init", "--from-host", "--append", str(tmp_path / "nowhere")) == 2


@pytest.mark.usefixtures("this_host")
def test_what_is_missing_fails_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    monkeypatch.setattr(read_guests, "read_running", lambda links: Running(problem="no answer"))
    assert run("init", "--from-host", str(tmp_path / "new")) == 1
    assert b"this host: the guests may be incomplete: no answer" in capfdbinary.readouterr()[1]
    assert (tmp_path / "new" / "cluster.yaml").exists()


@pytest.mark.parametrize(
    "arguments", [("--naming", "rocks"), ("--append", "x"), ("--from-host", "--append", "x", "folder")]
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], capfdbinary: Any) -> None:
    assert run("init", *arguments) == 2


def test_only_root_can_read_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: Any) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("init", "--from-host", str(tmp_path / "new")) == 5
    assert b"KVN500" in capfdbinary.readouterr()[1] and not (tmp_path / "new").exists()


@pytest.fixture
def repository(tmp_path: Path, capfdbinary: Any) -> Repository:
    assert run("init", str(tmp_path / "site")) == 0
    return Repository(tmp_path / "site")


@NEEDS_PROGRAMS
def test_pre_commit_refuses_an_invalid_definition_and_stale_states(repository: Repository) -> None:
    repository.run("pre-commit", "install")
    repository.run("git", "commit", "-q", "-m", "begin")
    repository.edit("10.1.0.11", "10.9.0.11")
    assert "KVN110" in repository.run("git", "commit", "-q", "-m", "wrong", code=1)
    repository.edit("10.9.0.11", "10.1.0.13")
    assert "stale: " in repository.run("git", "commit", "-q", "-m", "states forgotten", code=1)
    repository.run("kvmnet", "render", "-o", "states")
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-q", "-m", "right")


@NEEDS_PROGRAMS
def test_the_hooks_of_this_repository_work_in_another(repository: Repository) -> None:
    """Without the installation of kvmnet, which takes a minute: pre-commit's own environment is replaced by ours."""
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text().replace("language: python", "language: system")
    source = repository.folder.parent / "kvmnet"
    source.mkdir()
    (source / ".pre-commit-hooks.yaml").write_text(hooks)
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "hooks")):
        subprocess.run(["git", *command], cwd=source, env=repository.environment, check=True)
    for hook in ("kvmnet-validate", "kvmnet-render-check"):
        repository.run("pre-commit", "try-repo", str(source), hook, "--all-files")
    repository.edit("10.1.0.11", "10.1.0.13")
    assert "stale: " in repository.run(
        "pre-commit", "try-repo", str(source), "kvmnet-render-check", "--all-files", code=1
    )
    output = repository.run("pre-commit", "try-repo", str(source), "kvmnet-render", "--all-files", code=1)
    assert "files were modified by this hook" in output and "changed: " in output
    repository.run("git", "add", "-A")
    repository.run("pre-commit", "try-repo", str(source), "kvmnet-render-check", "--all-files")
