"""The mirror of pull mode, with real git: what is fetched, what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.git_remote import GitRemote
from kvmnet.host.git_client import run_git
from kvmnet.pull import mirror as mirror_module
from kvmnet.pull.mirror import NotReachable, require_continuation, require_signature
from tests.unit.pull.repositories import DEFINITION, Origin, allow_signer, make_key, mirror_of


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin")
    made.commit(DEFINITION)
    return made


@pytest.fixture
def signers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mirror_module, "find_other_writer", lambda path, owners: None)
    allow_signer(tmp_path / "allowed_signers", make_key(tmp_path, "admin"))
    return tmp_path / "allowed_signers"


def test_the_branch_is_fetched_into_a_private_bare_mirror(origin: Origin, tmp_path: Path) -> None:
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    assert mirror.fetch() == origin.git("rev-parse", "HEAD")
    assert (tmp_path / "mirror.git").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "mirror.git" / "HEAD").exists() and not (tmp_path / "mirror.git" / "hooks").exists()
    newest = origin.commit()
    assert mirror.fetch() == newest


def test_an_interrupted_creation_is_repeated(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "mirror.git" / "objects").mkdir(parents=True)
    assert mirror_of(origin, tmp_path / "mirror.git").fetch() == origin.git("rev-parse", "HEAD")


@pytest.mark.parametrize("pattern", ["objects/**/*", "HEAD", "refs/kvmnet/*", "objects/pack/*.idx"])
def test_a_mirror_that_a_power_cut_left_corrupt_is_created_again(origin: Origin, tmp_path: Path, pattern: str) -> None:
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    accepted = mirror.fetch()
    if "pack" in pattern:
        run_git("repack", "-a", "-d", "-q", folder=mirror.folder)
    for file in mirror.folder.glob(pattern):
        if file.is_file():
            file.chmod(0o600)
            file.write_bytes(b"")
    newest = origin.commit(DEFINITION.replace("10.1.0.1", "10.1.0.9"))
    assert mirror.fetch() == newest
    require_continuation(mirror, accepted, newest)


def test_a_lock_of_a_git_that_was_killed_is_removed(origin: Origin, tmp_path: Path) -> None:
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    mirror.fetch()
    for name in ("refs/kvmnet/fetched.lock", "packed-refs.lock", "config.lock"):
        (tmp_path / "mirror.git" / name).touch()
    created = (tmp_path / "mirror.git" / "HEAD").stat().st_ino
    newest = origin.commit()
    assert mirror.fetch() == newest
    assert (tmp_path / "mirror.git" / "HEAD").stat().st_ino == created, "it was not created again"


def test_a_server_that_is_gone_is_not_reachable(origin: Origin, tmp_path: Path) -> None:
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    mirror.fetch()
    origin.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(NotReachable) as error:
        mirror.fetch()
    assert (error.value.code, error.value.exit_code) == ("KVN575", 1)


def test_a_branch_that_does_not_exist_is_not_reachable(origin: Origin, tmp_path: Path) -> None:
    origin.git("branch", "--move", "other")
    with pytest.raises(NotReachable, match="the repository has no branch main"):
        mirror_of(origin, tmp_path / "mirror.git").fetch()


def test_another_protocol_than_that_of_the_setting_is_not_used(origin: Origin, tmp_path: Path) -> None:
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    other = mirror_module.Mirror(mirror.folder, GitRemote(mirror.remote.url, "ssh", "x", 22), "main")
    with pytest.raises(NotReachable, match="transport 'file' not allowed"):
        other.fetch()


@pytest.mark.guarantee("G100")
def test_a_commit_that_follows_is_accepted_and_a_forced_push_is_refused(origin: Origin, tmp_path: Path) -> None:
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    first = mirror.fetch()
    require_continuation(mirror, None, first)
    require_continuation(mirror, first, first)
    second = origin.commit()
    require_continuation(mirror, first, mirror.fetch())
    forced = origin.commit("", "--amend", "--message=forced")
    assert mirror.fetch() == forced
    with pytest.raises(Refused) as error:
        require_continuation(mirror, second, forced)
    assert error.value.code == "KVN570"
    assert f"kvmnet pull --accept {forced}" in str(error.value.hint)
    origin.git("reset", "--quiet", "--hard", first)
    with pytest.raises(Refused, match="was rewritten"):
        require_continuation(mirror, second, mirror.fetch())


def test_a_commit_that_the_mirror_does_not_have_any_more_is_not_followed(origin: Origin, tmp_path: Path) -> None:
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    with pytest.raises(Refused, match="was rewritten"):
        require_continuation(mirror, "1" * 40, mirror.fetch())


@pytest.mark.guarantee("G101")
def test_only_a_commit_that_a_signer_has_signed_counts(origin: Origin, tmp_path: Path, signers: Path) -> None:
    mirror = mirror_of(origin, tmp_path / "mirror.git")

    def refusal() -> str:
        commit = mirror.fetch()
        with pytest.raises(Refused) as error:
            require_signature(mirror, commit, str(signers))
        assert error.value.code == "KVN571"
        return error.value.message

    assert "it is not signed" in refusal()
    origin.commit(key=make_key(tmp_path, "other"))
    assert "the key that signed it is not in pull-signers" in refusal()
    origin.commit(key=str(tmp_path / "admin"))
    require_signature(mirror, mirror.fetch(), str(signers))
    origin.commit()
    assert "it is not signed" in refusal(), "an unsigned commit on top of a signed one"


def test_a_signature_of_another_commit_does_not_count(origin: Origin, tmp_path: Path, signers: Path) -> None:
    signed = origin.commit(key=str(tmp_path / "admin"))
    data = origin.git("cat-file", "commit", signed).replace("\n\nchange", "\n\nforged") + "\n"
    (tmp_path / "forged").write_text(data)
    forged = origin.git("hash-object", "-t", "commit", "-w", str(tmp_path / "forged"))
    origin.git("update-ref", "refs/heads/main", forged)
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    assert mirror.fetch() == forged
    assert "its signature is not valid" in str(mirror.find_signature_problem(forged, signers))


def test_a_signature_of_another_kind_does_not_count(origin: Origin, tmp_path: Path, signers: Path) -> None:
    """gpg would accept any key that is in the key ring of root."""
    data = origin.git("cat-file", "commit", "HEAD").replace(
        "\n\nchange", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\nchange", 1
    )
    (tmp_path / "forged").write_text(data + "\n")
    forged = origin.git("hash-object", "-t", "commit", "-w", str(tmp_path / "forged"))
    origin.git("update-ref", "refs/heads/main", forged)
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    mirror.fetch()
    assert "its signature is not valid" in str(mirror.find_signature_problem(forged, signers))


@pytest.mark.guarantee("G101")
def test_signers_that_others_could_write_do_not_count(origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "allowed_signers"
    allow_signer(file, make_key(tmp_path, "admin"))
    file.chmod(0o666)
    origin.commit(key=str(tmp_path / "admin"))
    mirror = mirror_of(origin, tmp_path / "mirror.git")
    problem = str(mirror.find_signature_problem(mirror.fetch(), file))
    assert "may be written by root only" in problem, os.geteuid()
    file.unlink()
    assert "No such file" in str(mirror.find_signature_problem(mirror.fetch(), file))
