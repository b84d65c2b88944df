"""Tests of kvmnet/host/nmstate.py: the Python binding with a simulated library, and nmstatectl as a script."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, ClassVar

import pytest

from kvmnet.host import nmstate, trusted_files
from kvmnet.host.networkmanager_dbus import NMError
from kvmnet.host.nmstate import Libnmstate, Nmstatectl, NmstateError, find_backend, find_nmstatectl
from kvmnet.system import programs

STATE: dict[str, Any] = {"interfaces": []}


class NmstateValueError(Exception):
    """An error of the binding."""


class Manager:
    """A NetworkManager whose checkpoints the test sets."""

    checkpoints_now: ClassVar[list[str]] = []
    silent = False

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def checkpoints(self) -> list[str]:
        if Manager.silent:
            raise NMError("no reply")
        return list(Manager.checkpoints_now)

    def rollback_timeout(self, path: str) -> int:
        return 15 if path == "/Checkpoint/other" else 30


@pytest.fixture(autouse=True)
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(nmstate, "NetworkManager", Manager)
    Manager.checkpoints_now, Manager.silent = ["/Checkpoint/1"], False
    handlers = list(logging.getLogger().handlers)
    yield
    assert logging.getLogger().handlers == handlers


def binding(apply: Callable[[], None]) -> tuple[Libnmstate, list[dict[str, Any]]]:
    calls: list[dict[str, Any]] = []

    def applied(state: Any, **options: Any) -> None:
        calls.append({"state": state, **options})
        apply()

    return Libnmstate(SimpleNamespace(apply=applied, show=lambda: STATE, __version__="2.2.38")), calls


def test_the_binding_applies_in_memory_and_records_its_checkpoint_during_the_call(tmp_path: Path) -> None:
    log = tmp_path / "log"
    seen: list[str] = []

    def work() -> None:
        Manager.checkpoints_now.append("/Checkpoint/other")
        Manager.checkpoints_now.append("/Checkpoint/2")
        end = time.monotonic() + 10
        while time.monotonic() < end and not seen:
            seen.extend(log.read_text().splitlines() if log.exists() else [])
        logging.info("a message at the end")
        logging.debug("a message of a lower level")

    memory = {"verify_change": False, "save_to_disk": False, "commit": False}
    library, calls = binding(work)
    library.apply(STATE, 30, log)
    assert calls == [{**memory, "state": STATE, "rollback_timeout": 30}]
    assert seen == ["Created checkpoint /Checkpoint/2"]
    assert log.read_text().splitlines() == [*seen, "[INFO] a message at the end"]


def test_an_error_of_the_binding_has_the_message_of_nmstatectl(tmp_path: Path) -> None:
    def work() -> None:
        raise NmstateValueError("unknown field `colour`\nat line 1")

    with pytest.raises(NmstateError, match=r"^NmstateError: InvalidArgument: unknown field `colour`$") as raised:
        binding(work)[0].apply(STATE, 30, tmp_path / "log")
    assert "line 1" in raised.value.details


def test_an_error_without_its_own_class_has_its_kind_only_once(tmp_path: Path) -> None:
    class NmstateError(Exception):
        pass

    def work() -> None:
        raise NmstateError("b'PluginFailure': b'no bus'")

    with pytest.raises(nmstate.NmstateError, match=r"^NmstateError: b'PluginFailure': b'no bus'$"):
        binding(work)[0].apply(STATE, 30, tmp_path / "log")


def test_the_apply_continues_while_networkmanager_does_not_reply(tmp_path: Path) -> None:
    def work() -> None:
        Manager.silent = True
        time.sleep(0.2)
        Manager.silent = False
        Manager.checkpoints_now.append("/Checkpoint/2")
        time.sleep(0.2)

    binding(work)[0].apply(STATE, 30, tmp_path / "log")
    assert "Checkpoint/2" in (tmp_path / "log").read_text()


def test_a_library_that_hangs_is_an_error_after_the_timeout(tmp_path: Path) -> None:
    with pytest.raises(NmstateError, match="nmstate did not finish within 0 s"):
        binding(lambda: time.sleep(5))[0].apply(STATE, -60, tmp_path / "log")


def test_a_signal_interrupts_the_wait_for_the_library(tmp_path: Path) -> None:
    class Cancelled(BaseException):
        pass

    def cancel(*_: object) -> None:
        raise Cancelled

    before = signal.signal(signal.SIGALRM, cancel)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(Cancelled):
            binding(lambda: time.sleep(5))[0].apply(STATE, 30, tmp_path / "log")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("module", "is_usable"),
    [
        (SimpleNamespace(BASE_ON_RUST=True), True),
        (SimpleNamespace(clib_wrapper=object()), True),
        (SimpleNamespace(generate_configurations=object(), __version__="2.0.0"), False),
    ],
)
def test_an_old_libnmstate_without_rust_is_not_used(module: Any, is_usable: bool) -> None:
    assert nmstate._is_nmstate_2(module) is is_usable


def program(folder: Path, *lines: str) -> str:
    file = folder / "nmstatectl"
    file.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    file.chmod(0o755)
    return str(file)


def test_the_error_is_found_in_the_log_of_nmstatectl(tmp_path: Path) -> None:
    ctl = Nmstatectl(
        program(tmp_path, "echo '[x INFO y] begun' >&2", "echo 'NmstateError: Verification: no' >&2", "exit 1")
    )
    with pytest.raises(NmstateError, match=r"^NmstateError: Verification: no$") as raised:
        ctl.apply({}, 5, tmp_path / "log")
    assert "begun" in raised.value.details


def test_a_hanging_nmstatectl_is_killed(tmp_path: Path) -> None:
    ctl = Nmstatectl(program(tmp_path, "exec sleep 60"))
    with pytest.raises(NmstateError, match="nmstate did not finish within 1 s"):
        ctl.apply({}, -59, tmp_path / "log")


def test_a_missing_nmstate_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(NmstateError, match="dnf install python3-libnmstate"):
        find_backend("nmstatectl")


@pytest.mark.guarantee("G93")
def test_root_runs_only_an_nmstatectl_that_nobody_else_could_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Path(program(tmp_path, "exit 0")).rename(tmp_path / "nmstatectl")
    monkeypatch.setattr(programs, "PROGRAM_PATH", "/nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert find_nmstatectl() == str(found)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found.chmod(0o777)
    with pytest.raises(NmstateError, match="others could have written it"):
        find_nmstatectl()
    monkeypatch.setattr(programs, "PROGRAM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", ".")
    monkeypatch.setattr(trusted_files, "find_other_writer", lambda path, owners: None)
    assert find_nmstatectl() == str(found), "the system's folders come first"


def test_a_program_in_a_relative_folder_of_path_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(program(tmp_path, "exit 0")).rename(tmp_path / "nmstatectl")
    monkeypatch.setattr(programs, "PROGRAM_PATH", "/nowhere")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".")
    assert Path(find_nmstatectl() or "").is_absolute()
