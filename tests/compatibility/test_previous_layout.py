"""A host with the previous layout (rescue.py and its boot units) is rolled back and upgraded without a gap."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.rescue import archive, rollback, snapshot, undo
from kvmnet.system import clock, files, networkmanager, programs, state_folder
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.transaction import safeguards
from tests.compatibility.simulated_host import MAC, PROFILE, CommandFailed, SimulatedHost

PREVIOUS = Path(__file__).parent / "previous_layout"


class Rescue(NamedTuple):
    """What both rescue programs have: they take a snapshot, write a journal and roll back."""

    take_snapshot: Callable[..., dict[str, Any]]
    journal: Callable[[Path], Any]
    roll_back: Callable[..., int]


@pytest.fixture(scope="module")
def previous() -> ModuleType:
    """The rescue program of the previous layout."""
    spec = importlib.util.spec_from_file_location("previous_rescue", PREVIOUS / "rescue.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, previous: ModuleType) -> SimulatedHost:
    """A host that both rescue programs see and change, instead of the real one."""
    simulated = SimulatedHost(tmp_path)

    def run_for(error: type[Exception]) -> Callable[..., str]:
        def run(*argv: str, timeout: float = 30.0, text: str = "") -> str:
            try:
                return simulated.run(*argv, timeout=timeout, text=text)
            except CommandFailed as failure:
                raise error(str(failure)) from failure

        return run

    folders = (str(simulated.keyfiles), str(tmp_path / "run"))
    values: list[tuple[Any, str, Any]] = [
        (programs, "run", run_for(HostError)),
        (networkmanager, "PROFILE_FOLDERS", folders),
        (networkmanager, "INTERN_FILE", str(tmp_path / "intern.conf")),
        (snapshot, "KERNEL_HOSTNAME_FILE", str(simulated.hostname_file)),
        (previous, "run", run_for(previous.Failed)),
        (previous, "PROFILE_DIRS", folders),
        (previous, "INTERN", str(tmp_path / "intern.conf")),
        (previous, "HOSTNAME", str(simulated.hostname_file)),
    ]
    for module, name, value in values:
        monkeypatch.setattr(module, name, value)
    ticks = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks) / 10)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return simulated


@pytest.fixture
def rescues(previous: ModuleType) -> dict[str, Rescue]:
    return {
        "previous": Rescue(previous.snapshot, previous.Journal, previous.undo),
        "present": Rescue(snapshot.take_snapshot, Journal, rollback.roll_back),
    }


def begin(state: Path, host: SimulatedHost, rescue: Rescue, boot: str) -> None:
    """Open a transaction, and make its change."""
    folder = state / "open"
    paths = [str(host.link_file)]
    before = rescue.take_snapshot(["eth0", "peth0"], [MAC], [PROFILE], paths)
    steps = host.steps()
    transaction = {"id": "T", "unit": "kvmnet-apply-T.service", "boot": boot, "steps": steps}
    files.write_file(str(folder / "snapshot.json"), json.dumps(before).encode())
    files.write_file(str(folder / "transaction.json"), json.dumps(transaction).encode())
    journal = rescue.journal(folder)
    journal.append("begin", until=clock.uptime() + 60)
    for number, step in enumerate(steps):
        journal.append("do", step=number, op=step["op"], until=clock.uptime() + 60)
    host.change()
    host.commands.clear()


def comparable_events(folder: Path) -> list[tuple[Any, ...]]:
    """The events of a journal without times and texts."""
    return [
        (e["event"], e.get("step"), e.get("op"), e.get("outcome"), e.get("verified")) for e in Journal(folder).events()
    ]


@pytest.mark.guarantee("G08")
@pytest.mark.parametrize("rebooted", [False, True])
@pytest.mark.parametrize("reader", ["previous", "present"])
@pytest.mark.parametrize("writer", ["previous", "present"])
def test_each_program_rolls_back_a_transaction_of_the_other(
    host: SimulatedHost, rescues: dict[str, Rescue], tmp_path: Path, writer: str, reader: str, rebooted: bool
) -> None:
    state, before = tmp_path / "state", host.state()
    begin(state, host, rescues[writer], "an earlier boot" if rebooted else clock.boot_id())
    assert host.state() != before
    if rebooted:
        assert rescues[reader].roll_back(state, "boot", booting=True) == 3
    assert rescues[reader].roll_back(state, "test") == 3
    assert host.state() == before
    assert (host.hostname_file.read_text(), (state / "open").exists()) == ("before", False)
    last = Journal(state / "history" / "T").events()[-1]
    assert (last["event"], last["outcome"], last["verified"]) == ("end", "rolled back", True)


@pytest.mark.parametrize(
    ("booting", "rejects_renames", "code"), [(False, False, 3), (True, False, 3), (False, True, 4), (True, True, 3)]
)
def test_both_programs_act_in_the_same_order(
    host: SimulatedHost, rescues: dict[str, Rescue], tmp_path: Path, booting: bool, rejects_renames: bool, code: int
) -> None:
    """The commands, the journal's events and the repair commands are the same; only texts differ."""
    results: list[tuple[Any, ...]] = []
    for name, rescue in rescues.items():
        state = tmp_path / name
        vars(host).update(vars(SimulatedHost(tmp_path)))
        host.link_file.unlink(missing_ok=True)
        begin(state, host, rescue, "an earlier boot" if booting else clock.boot_id())
        host.rejects_renames = rejects_renames
        result = rescue.roll_back(state, "test", booting=booting)
        folder = state / "open" if (state / "open").exists() else state / "history" / "T"
        repairs = [event.get("mends", []) for event in Journal(folder).events()]
        program = {"previous": "rescue.py ", "present": "rescue.pyz "}[name]
        repairs = json.loads(json.dumps(repairs).replace(str(state), "STATE").replace(program, "PROGRAM "))
        # both read the profiles with nmcli, in another format
        commands = [re.sub(r"^nmcli -t .* connection show$", "nmcli connection show", line) for line in host.commands]
        # the present one marks the end of hostnamectl's options
        commands = [line.replace(" -- ", " ") for line in commands]
        # the present one reads more of the kernel
        commands = [
            line
            for line in commands
            if not re.match("(ip|bridge) -.* show$|ip -.* table all$|bridge -j fdb show", line)
        ]
        if code == 4:  # while it waits, the present one activates profiles after everything else
            commands = sorted(set(commands))
        results.append((result, commands, comparable_events(folder), repairs))
    assert results[0] == results[1]
    assert (results[0][0], bool(results[0][3][-1])) == (code, code == 4)
    assert len(results[0][1]) >= 5


def test_the_current_program_has_every_undo_operation_of_the_previous_one(previous: ModuleType) -> None:
    assert set(undo.UNDO) >= set(previous.UNDO)
    assert set(undo.AT_BOOT) >= set(previous.AT_BOOT)


# ---- the upgrade of the files


class Layout(NamedTuple):
    """The state folder and the folder of systemd's units, with the previous layout."""

    state: Path
    units: Path

    def programs(self) -> set[str]:
        return {path.name for path in self.state.glob("rescue.*")}

    def assert_bootable(self) -> None:
        """Each boot unit is complete and enabled, and the program that it runs exists."""
        for name in safeguards.UNITS:
            assert (self.units / "multi-user.target.wants" / name).exists()
            text = (self.units / name).read_text()
            match = re.search(r"^ExecStart=\S+ -I (\S+)", text, re.MULTILINE)
            assert match and Path(match[1]).exists(), f"{name} runs a program that does not exist"
            assert text.endswith("WantedBy=multi-user.target\n")


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    found = Layout(tmp_path / "state", tmp_path / "units")
    (found.units / "multi-user.target.wants").mkdir(parents=True)
    found.state.mkdir()
    shutil.copy(PREVIOUS / "rescue.py", found.state)
    for name in safeguards.UNITS:
        text = (PREVIOUS / name).read_text().replace("/var/lib/kvmnet", str(found.state))
        (found.units / name).write_text(text)
        (found.units / "multi-user.target.wants" / name).symlink_to(found.units / name)
    monkeypatch.setattr(safeguards, "UNIT_DIR", found.units)
    monkeypatch.setattr(programs, "run", lambda *argv, **_: "")
    found.assert_bootable()
    return found


def test_the_previous_units_are_those_of_the_fixture() -> None:
    for name, text in safeguards.UNITS.items():
        previous_text = (PREVIOUS / name).read_text()
        assert "/var/lib/kvmnet/rescue.py " in previous_text
        order = [line for line in previous_text.splitlines() if line.startswith(("After=", "Before=", "Wants="))]
        assert order == [line for line in text.splitlines() if line.startswith(("After=", "Before=", "Wants="))]


def test_an_install_replaces_the_units_and_removes_the_previous_program(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *argv, **_: commands.append(" ".join(argv)) or "")
    safeguards.install(layout.state, b"PK")
    assert layout.programs() == {"rescue.pyz"}
    assert commands == ["systemctl daemon-reload"]
    layout.assert_bootable()
    for name in safeguards.UNITS:
        text = (layout.units / name).read_text()
        assert "rescue.pyz" in text and "rescue.py " not in text


class Interrupted(BaseException):
    """Power is lost here."""


#: What an install does, in its order: it writes the program and the units, reloads systemd, removes the old program.
OPERATIONS = 5


@pytest.mark.guarantee("G22")
@pytest.mark.parametrize("error", [OSError("broken"), Interrupted()], ids=["an error", "power loss"])
@pytest.mark.parametrize("number", range(OPERATIONS + 1))
def test_an_interrupted_install_leaves_boot_units_that_work(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException
) -> None:
    count = 0

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count > number:
                raise HostError("broken") if function is run and isinstance(error, OSError) else error
            return function(*arguments, **options)

        return call

    run = programs.run
    with monkeypatch.context() as patch:
        for module, name in ((files, "write_file"), (files, "remove_file"), (programs, "run")):
            patch.setattr(module, name, failing(getattr(module, name)))
        if number < OPERATIONS:
            with pytest.raises((Refused, Interrupted)):
                safeguards.install(layout.state, b"PK")
        else:
            safeguards.install(layout.state, b"PK")
    assert count == min(number + 1, OPERATIONS)
    layout.assert_bootable()
    assert ("rescue.py" in layout.programs()) is (number < OPERATIONS), "it is removed last"
    safeguards.install(layout.state, b"PK")
    assert layout.programs() == {"rescue.pyz"}
    layout.assert_bootable()


def test_the_upgraded_program_runs_where_the_previous_one_did(layout: Layout) -> None:
    """The commands of both boot units find no open transaction."""
    safeguards.install(layout.state, archive.build_by(sys.executable))
    for name in safeguards.UNITS:
        line = next(line for line in (layout.units / name).read_text().splitlines() if line.startswith("ExecStart="))
        command = f"{sys.executable} {line.partition(' ')[2]}"
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, cwd="/")
        assert (done.returncode, done.stdout) == (0, "kvmnet: no transaction is open\n"), done.stderr


def test_the_commands_name_the_previous_program_where_only_that_exists(layout: Layout) -> None:
    command = state_folder.rescue_command(layout.state, "--after-worker")
    expected = ["/usr/bin/python3", "-I", f"{layout.state}/rescue.py", "--state", str(layout.state), "--after-worker"]
    assert command == expected
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=False, env=os.environ)
    assert (done.returncode, done.stdout) == (0, "kvmnet: no transaction is open\n")
