"""Tests of kvmnet/cli/this_host.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer

from kvmnet.cli.console import Console
from kvmnet.cli.this_host import bundle_of_this_host, match_this_host, read_saved_plan
from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.system import links
from kvmnet.system.errors import HostError


def test_links_that_cannot_be_read_are_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise HostError("ip -d -j link show: no such program")

    monkeypatch.setattr(links, "read_ip_links", fails)
    with pytest.raises(Refused, match=r"this host could not be read: ip -d") as refused:
        match_this_host([], None)
    assert (refused.value.code, refused.value.exit_code) == ("KVN512", 5)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """This user is root, and his files are root's."""
    real = os.geteuid()
    monkeypatch.setattr("kvmnet.host.trusted_files.trusted_owners", lambda: {0, real})
    monkeypatch.setattr("os.geteuid", lambda: 0)


@pytest.mark.guarantee("G93")
@pytest.mark.parametrize("kind", ["definition", "folder of a definition", "bundle", "plan"])
def test_root_refuses_what_others_could_have_changed(as_root: None, tmp_path: Path, kind: str) -> None:
    """Unless the user vouches for it with --allow KVN517."""
    folder = tmp_path / "d"
    folder.mkdir()
    file = folder / ("bundle.json" if kind == "bundle" else "a.yaml")
    file.write_text("{}")
    (folder if kind == "folder of a definition" else file).chmod(0o777)

    def use(allow: tuple[str, ...]) -> None:
        if kind == "plan":
            read_saved_plan(str(file), allow)
        elif kind == "bundle":
            bundle_of_this_host(Console(False), None, None, str(folder), allow)
        else:
            bundle_of_this_host(Console(False), str(folder), None, None, allow)

    with pytest.raises(Refused, match="can be written by every user") as refused:
        use(())
    assert refused.value.code == "KVN517" and refused.value.allow
    with pytest.raises((KvmnetError, typer.Exit)) as other:  # the content is not valid either
        use(("KVN517",))
    assert getattr(other.value, "code", None) != "KVN517"


@pytest.mark.guarantee("G93")
def test_links_are_not_followed_for_bundles_and_plans(tmp_path: Path) -> None:
    """They may lead to a file that only root can read: no part of it may be in the error."""
    secret = tmp_path / "shadow"
    secret.write_text("root:$6$secret:19000\n")
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in ("bundle.json", "nmstate.yml"):
        (folder / name).symlink_to(secret)
    (tmp_path / "linked").symlink_to(folder)
    (tmp_path / "change.plan").symlink_to(secret)
    for path in (folder, tmp_path / "linked"):
        with pytest.raises(KvmnetError, match="a symbolic link") as error:
            bundle_of_this_host(Console(False), None, None, str(path), ("KVN517",))
        assert "secret" not in "".join(error.value.lines())
    with pytest.raises(KvmnetError, match="a symbolic link"):
        read_saved_plan(str(tmp_path / "change.plan"), ("KVN517",))


def test_a_path_that_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, message in (("file", "not a folder"), ("none", "bundle.json is missing")):
        with pytest.raises(KvmnetError, match=message):
            bundle_of_this_host(Console(False), None, None, str(tmp_path / name), ("KVN517",))
