"""What each interface gets at the next boot. The cases of tests/boot_cases.py are also what NetworkManager does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvmnet.core.boot.outcome import BootOutcome, compute_outcomes
from kvmnet.core.live.live_host import Link
from kvmnet.host.read_boot import read_boot_files
from tests import boot_cases
from tests.boot_cases import CASES, MACS, NAMES, BootCase, uuid_of

LINKS = {name: Link(name, mac, None) for name, mac in zip(NAMES, MACS)}
KINDS = {"created": boot_cases.CREATED, "nothing": boot_cases.NOTHING, "unmanaged": boot_cases.UNMANAGED}


def write_case(root: Path, case: BootCase) -> None:
    """Write the files of a case below a root folder."""
    for name, text in case.profiles.items():
        path = root / (name if name.startswith("/") else f"{boot_cases.ETC}/{name}").lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644 if name in case.insecure else 0o600)
    for name, text in case.files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in case.links.items():
        (root / name.lstrip("/")).symlink_to(target)
    state = root / "var/lib/NetworkManager"
    state.mkdir(parents=True, exist_ok=True)
    rows = [f"{uuid_of(name)}={seconds}" for name, seconds in case.timestamps.items()]
    (state / "timestamps").write_text("[timestamps]\n" + "\n".join(rows) + "\n")


def words_of(outcome: BootOutcome) -> str:
    """Return an outcome in the notation of the cases."""
    return f"{outcome.id}/{outcome.controller}".removesuffix("/") if outcome.kind == "profile" else KINDS[outcome.kind]


@pytest.mark.skipif(os.geteuid() != 0, reason="NetworkManager reads only files of root")
@pytest.mark.parametrize("version", ["1.42.4", "1.52.1"])
@pytest.mark.parametrize("name", CASES)
def test_the_computed_outcome_is_what_networkmanager_does(tmp_path: Path, name: str, version: str) -> None:
    case = CASES[name]
    write_case(tmp_path, case)
    outcomes = compute_outcomes(read_boot_files(LINKS, {}, version, tmp_path))
    expect = {**case.expect, **(case.old if version < "1.46" else {})}
    assert {name: words_of(outcomes[name]) for name in expect} == expect
