"""The rescue program's command line: signals, the lock, the terminal."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmnet.system import files, lock
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
