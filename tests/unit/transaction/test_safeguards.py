"""What rolls a transaction back when its worker cannot: the rescue program, its boot units, its watchdog."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.rescue import archive
from kvmnet.system import files, programs
from kvmnet.system.errors import HostError
from kvmnet.transaction import safeguards
from kvmnet.transaction.prepare import Prepared
from tests.unit.transaction.samples import PROGRAM, raising


def test_systemd_reloads_its_units_only_when_one_has_changed(
    tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a host with many interfaces this takes seconds, in which systemd does not answer."""
    asked: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *words, **_: asked.append(" ".join(words[:3])) or "")
    wants = tmp_path / "units" / "multi-user.target.wants"

    def install() -> list[str]:
        safeguards.install(tmp_path, PROGRAM)
        calls = [words for words in asked if words.startswith("systemctl")]
        asked.clear()
        return calls

    assert install() == ["systemctl --root=/ enable"]
    for name in safeguards.UNITS:
        (wants / name).symlink_to(tmp_path / "units" / name)
    assert install() == []
    (tmp_path / "units" / name).write_text("of an older kvmnet")
    assert install() == ["systemctl daemon-reload"]


def settings(unit: str) -> dict[str, str]:
    text = safeguards.UNITS[unit].format(state="/var/lib/kvmnet", python=programs.SYSTEM_PYTHON)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_a_boot_tries_a_limited_number_of_times() -> None:
    """Exit code 4 is a failure, 3 a verified rollback. systemd gives a try that takes too long 90 s to end, and counts
    only the tries that began within the interval."""
    verify = settings("kvmnet-boot-verify.service")
    assert (verify["Type"], verify["Restart"], verify["SuccessExitStatus"]) == ("oneshot", "on-failure", "3")
    tries, hours = int(verify["StartLimitBurst"]), verify["StartLimitIntervalSec"]
    longest = int(verify["TimeoutStartSec"]) + 90 + int(verify["RestartSec"])
    assert tries == 10 and hours.endswith("h") and tries * longest < 3600 * int(hours[:-1])


def test_before_networkmanager_there_is_one_try() -> None:
    """The boot waits for it, and the unit after it repeats everything."""
    assert "Restart" not in settings("kvmnet-boot-undo.service")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name, text in safeguards.UNITS.items():
        (tmp_path / name).write_text(text.format(state="/var/lib/kvmnet", python=sys.executable))
    words = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "kvmnet-boot" in line]
    assert ours == [], done.stderr


# ---- the rescue program


def test_a_current_program_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building one takes as long as several starts."""
    builds: list[str] = []
    build = archive.build_by
    monkeypatch.setattr(archive, "build_by", lambda python: builds.append(python) or build(python))
    monkeypatch.setattr(safeguards, "SYSTEM_PYTHON", sys.executable)
    first = safeguards.try_rescue_program(tmp_path)
    assert len(builds) == 1 and not list(tmp_path.iterdir()), "nothing is written before the plan is accepted"
    (tmp_path / "rescue.pyz").write_bytes(first)
    assert safeguards.try_rescue_program(tmp_path) == first
    assert len(builds) == 1
    (tmp_path / "rescue.pyz").write_bytes(first[:-10])
    assert safeguards.try_rescue_program(tmp_path) == first
    assert len(builds) == 2


def test_a_program_without_fitting_byte_code_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of the system's Python."""
    data = archive.build_by(sys.executable)
    with zipfile.ZipFile(tmp_path / "rescue.pyz", "w") as target:
        for name, source in archive.read_sources().items():
            target.writestr(name, source)
    monkeypatch.setattr(safeguards, "SYSTEM_PYTHON", sys.executable)
    assert safeguards.try_rescue_program(tmp_path) == data


def test_a_program_that_does_not_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise HostError("python3: too old")

    monkeypatch.setattr(programs, "run", fail)
    with pytest.raises(Refused, match="the rescue program does not run on this host: python3: too old"):
        safeguards.try_rescue_program(tmp_path)


@pytest.mark.usefixtures("prepared")
def test_the_program_is_written_once_and_only_root_can_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "rescue.pyz"
    safeguards.install(tmp_path, PROGRAM)
    assert target.read_bytes() == PROGRAM and target.stat().st_mode & 0o777 == 0o700
    written: list[str] = []
    write_file = files.write_file
    monkeypatch.setattr(files, "write_file", lambda path, *rest: written.append(path) or write_file(path, *rest))
    safeguards.install(tmp_path, PROGRAM)
    assert written == []
    safeguards.install(tmp_path, b"PK of the next version")
    assert written == [str(target)] and target.read_bytes() == b"PK of the next version"


@pytest.mark.usefixtures("prepared")
def test_a_disk_that_loses_the_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write_file", lambda path, data, *_: Path(path).write_bytes(data[:-1]))
    with pytest.raises(Refused, match=r"rescue\.pyz differs from what was written to it") as refused:
        safeguards.install(tmp_path, PROGRAM)
    assert refused.value.code == "KVN509"


@pytest.mark.usefixtures("prepared")
def test_the_program_of_the_previous_layout_is_removed_after_its_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boot units of that layout call it."""
    previous = tmp_path / "rescue.py"
    previous.touch()
    monkeypatch.setattr(programs, "run", raising(HostError("systemctl: timed out")))
    with pytest.raises(Refused, match="systemd cannot enable the boot units: systemctl: timed out") as refused:
        safeguards.install(tmp_path, PROGRAM)
    assert refused.value.code == "KVN509" and previous.exists()
    monkeypatch.setattr(programs, "run", lambda *_: "")
    safeguards.install(tmp_path, PROGRAM)
    assert not previous.exists()


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (errno.ENOSPC, "KVN510", "not enough disk space for a transaction in {folder}: "),
        (errno.EDQUOT, "KVN510", "not enough disk space for a transaction in {folder}: "),
        (errno.EROFS, "KVN509", "rollback cannot be prepared: {folder} cannot be written: "),
    ],
)
@pytest.mark.parametrize("folder", ["", "units"])
def test_a_folder_that_cannot_be_written_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, message: str, folder: str
) -> None:
    write_file = files.write_file

    def fail(path: str, *rest: Any) -> None:
        if Path(path).parent == tmp_path / folder:
            raise OSError(number, "x")
        write_file(path, *rest)

    monkeypatch.setattr(files, "write_file", fail)
    with pytest.raises(Refused) as refused:
        safeguards.install(tmp_path, PROGRAM)
    assert refused.value.code == code
    assert refused.value.message.startswith(message.format(folder=tmp_path / folder))
    assert (refused.value.hint == "free 10 MB") is (code == "KVN510")


# ---- the boot units and the watchdog


@pytest.mark.usefixtures("prepared")
def test_all_units_are_removed_although_systemd_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safeguards.install(tmp_path, PROGRAM)
    calls: list[tuple[str, ...]] = []

    def fail(*words: str) -> NoReturn:
        calls.append(words)
        raise HostError("systemctl: timed out")

    monkeypatch.setattr(programs, "run", fail)
    safeguards.uninstall()
    assert [path.name for path in (tmp_path / "units").iterdir()] == ["multi-user.target.wants"]
    assert calls == [
        *(("systemctl", "--root=/", "disable", name) for name in safeguards.UNITS),
        ("systemctl", "daemon-reload"),
    ]


def test_the_watchdog_is_started_by_a_timer_and_started_again_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(programs, "run", lambda *words: calls.append(words) or "")
    safeguards.arm(tmp_path, "T")
    (command,) = calls
    assert command[0] == "systemd-run"
    assert {"--unit=kvmnet-watchdog-T", "--on-active=5", "--on-unit-inactive=5", "--collect"} <= set(command)
    program = [programs.SYSTEM_PYTHON, "-I", str(tmp_path / "rescue.pyz"), "--state", str(tmp_path)]
    assert list(command[-7:]) == [*program, "--watchdog", "T"]
    monkeypatch.setattr(programs, "run", raising(HostError("systemd-run: no bus")))
    with pytest.raises(Refused, match="systemd cannot start the watchdog: systemd-run: no bus") as refused:
        safeguards.arm(tmp_path, "T")
    assert refused.value.code == "KVN509"
