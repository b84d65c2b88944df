"""The rescue program's command line: signals, the lock, the terminal, and what each option does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmnet.rescue import __main__ as rescue
from kvmnet.rescue import comparison, repair_commands, rollback, watchdog
from kvmnet.system import clock, files, lock, units
from kvmnet.system.journal import Journal


def test_text_that_the_terminal_cannot_show_is_printed_escaped(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    Journal(tmp_path / "open").append("not-verified", differences=["n\udcff"])
    script = (
        f"import sys; from kvmnet.rescue import __main__ as rescue\n"
        "rescue._print_result = lambda state, code: print('n\\udcff')\n"
        "rescue.rollback.roll_back = lambda *_, **__: 4\n"
        "rescue.os.geteuid = lambda: 0\n"
        f"sys.argv[1:] = ['--state', {str(tmp_path)!r}]; sys.exit(rescue.main())"
    )
    env = {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (4, b"n\\udcff\n", b"")


@pytest.mark.parametrize("key", ["TSTP", "TTIN", "TTOU", "HUP", "INT", "TERM", "PIPE"])
def test_no_signal_of_a_terminal_stops_a_rollback(opened: Path, key: str) -> None:
    """Ctrl-Z would stop it for ever, with the lock held."""
    script = (
        f"import os, signal, sys; from kvmnet.rescue import __main__ as rescue\n"
        "os.setpgid(0, 0)  # with a parent in another group of the session: else nothing would stop it\n"
        f"rescue.rollback.roll_back = lambda *_, **__: os.kill(os.getpid(), signal.SIG{key}) or 3\n"
        "rescue.os.geteuid = lambda: 0\n"
        f"sys.argv[1:] = ['--state', {str(opened)!r}]; sys.exit(rescue.main())"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL) as process:
        try:
            assert process.wait(20) == 3
        finally:
            process.kill()


@contextlib.contextmanager
def run_while_locked(opened: Path) -> Iterator[tuple[subprocess.Popen[str], contextlib.ExitStack]]:
    """Yield the rescue program, which waits while this process holds the lock, and the lock."""
    script = (
        f"import sys; from kvmnet.rescue import __main__ as rescue\n"
        "rescue.os.geteuid = lambda: 0\n"
        "rescue.rollback.roll_back = lambda *_, **__: 3\n"
        f"sys.argv[1:] = ['--state', {str(opened)!r}]; sys.exit(rescue.main())"
    )
    command = [sys.executable, "-u", "-c", script]
    with contextlib.ExitStack() as held:
        held.enter_context(lock.hold_lock(opened))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert "which works on the transaction" in process.stdout.readline()
                assert "kvmnet rollback" in process.stdout.readline()
                yield process, held
            finally:
                process.kill()


def test_the_wait_for_the_lock_can_be_interrupted(opened: Path) -> None:
    with run_while_locked(opened) as (process, _):
        process.send_signal(signal.SIGTERM)  # SIGINT is ignored where these tests run in the background of a shell
        assert process.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize(("identity", "code"), [("T", 3), ("the next", 0)])
def test_after_the_wait_only_the_same_transaction_is_rolled_back(opened: Path, identity: str, code: int) -> None:
    with run_while_locked(opened) as (process, lock):
        text = json.dumps({"id": identity, "steps": []})
        files.write_file(str(opened / "open" / "transaction.json"), text.encode())
        lock.close()
        assert process.wait(20) == code


# ---- what each option does


class Program:
    """The rescue program on a state folder, as root; `calls` are its rollbacks as (reason, booting)."""

    def __init__(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state, self.monkeypatch, self.code = state, monkeypatch, 3
        self.calls: list[tuple[str, bool]] = []
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(rescue, "_ignore_signals", lambda: None)
        monkeypatch.setattr(rescue, "_accept_any_bytes", lambda: None)
        monkeypatch.setattr(rollback, "roll_back", self.roll_back)

    def roll_back(self, state: Path, why: str, booting: bool = False) -> int:
        assert state == self.state and lock.is_locked(state)
        self.calls.append((why, booting))
        return self.code

    def run(self, *options: str) -> int:
        self.monkeypatch.setattr(sys, "argv", ["rescue.pyz", "--state", str(self.state), *options])
        return rescue.main()

    def write_transaction(self, **keys: object) -> None:
        (self.state / "open" / "transaction.json").write_text(json.dumps({"id": "T", "steps": [], **keys}))


@pytest.fixture
def program(opened: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(opened, monkeypatch)


def test_without_options_the_open_transaction_is_rolled_back(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run() == 3 and program.calls == [("run by hand", False)]
    assert capsys.readouterr().out == "kvmnet: rolled back and verified: the host is as before the change\n"
    program.code = 0
    assert program.run("--why", "test") == 0 and program.calls[1:] == [("test", False)]
    assert capsys.readouterr().out == "kvmnet: nothing to roll back\n"


@pytest.mark.parametrize("option", [[], ["--status"], ["--boot"], ["--accept"]])
def test_without_an_open_transaction_nothing_is_done(
    program: Program, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(program.state / "open")
    assert program.run(*option) == 0 and program.calls == []
    assert capsys.readouterr().out == "kvmnet: no transaction is open\n"


def test_the_watchdog_of_a_closed_transaction_stops_its_timer(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(units, "stop_watchdog", stopped.append)
    monkeypatch.setattr(watchdog, "watch_over", lambda state, identity: 4 if identity == "T" else 0)
    assert program.run("--watchdog", "T") == 4 and stopped == []
    shutil.rmtree(program.state / "open")
    assert program.run("--watchdog", "T") == 0 and stopped == ["T"]


def test_the_journal_is_shown_to_every_user_and_only_root_can_roll_back(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    Journal(program.state / "open").append("begin")
    assert program.run("--status") == 0
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["begin"]
    for options in ([], ["--accept"], ["--watchdog", "T"]):
        assert program.run(*options) == 1 and program.calls == []
        assert "only root can roll back a transaction" in capsys.readouterr().err


def test_at_boot_before_networkmanager_nothing_is_reported(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run after NetworkManager verifies and reports."""
    program.code = 4
    assert program.run("--boot") == 0 and program.calls == [("run by hand", True)]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("boot", "calls"), [("another", [("run by hand", False)]), (clock.boot_id(), [])])
def test_after_a_boot_only_a_transaction_from_before_it_is_rolled_back(
    program: Program, boot: str, calls: list[tuple[str, bool]]
) -> None:
    """One of this boot has a worker and a watchdog."""
    program.write_transaction(boot=boot)
    assert program.run("--booted") == (3 if calls else 0)
    assert program.calls == calls


def test_the_end_of_the_worker_is_followed_by_one_rollback(program: Program) -> None:
    assert program.run("--after-worker") == 3 and program.calls == [("the worker was killed", False)]
    Journal(program.state / "open").append("not-verified", differences=["x"])
    assert program.run("--after-worker") == 4 and len(program.calls) == 1
    assert program.run() == 3 and len(program.calls) == 2, "an administrator may try again"


def test_a_failed_verification_is_reported_with_differences_and_repair_commands(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program.code = 4
    monkeypatch.setattr(comparison, "find_differences", lambda before: ["eth0 has no address"])
    monkeypatch.setattr(repair_commands, "find_repair_commands", lambda before, state: ["ip addr add x"])
    assert program.run() == 4
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "kvmnet: rolled back, but verification failed: manual action required",
        "Differences from the state before the change:",
        "  eth0 has no address",
        "Repair commands:",
        "  ip addr add x",
        "Fix the differences, then run this command again. To keep the host as it is, add --accept.",
    ]
    (program.state / "open" / "snapshot.json").unlink()
    assert program.run() == 4
    assert capsys.readouterr().err.count("\n") == 1, "closed: after a boot nothing more can be restored"


def test_the_sources_are_extracted_only_from_an_archive(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    program.monkeypatch.chdir(program.state)
    assert program.run("--extract", str(program.state / "source")) == 1
    assert "rescue.pyz is not an archive" in capsys.readouterr().err
    assert not (program.state / "source").exists()
