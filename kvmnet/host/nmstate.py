"""The two ways to nmstate: its program, or the system's Python binding where there is one."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional, Protocol

from kvmnet.core.base.nmstate import State
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError


class NmstateError(Exception):
    """nmstate is not there, or said no; `details` is the whole of what it said."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class Backend(Protocol):
    """What kvmnet asks of nmstate."""

    name: str

    def version(self) -> str:
        """nmstate's version."""

    def show(self, kernel_only: bool = False) -> State:
        """The live state; with `kernel_only` without what NetworkManager is asked for."""

    def apply(self, state: State, timeout: int, log: Path, *, verify: bool = False) -> None:
        """Apply in memory only, uncommitted: NetworkManager undoes it after `timeout` seconds. Without `verify` what
        came of it is for the caller to wait for and to read back. The line `Created checkpoint PATH` is in `log`
        (appended to) as soon as nmstate has made it."""


class Nmstatectl:
    """The program `nmstatectl`: works from any venv."""

    name = "nmstatectl"

    def __init__(self, program: str) -> None:
        self._program = program

    def version(self) -> str:
        return self._run("--version").split()[-1]

    def show(self, kernel_only: bool = False) -> State:
        state: State = json.loads(self._run("show", "--json", *(["--kernel"] if kernel_only else [])))
        return state

    def apply(self, state: State, timeout: int, log: Path, *, verify: bool = False) -> None:
        flags = ["--no-commit", "--memory-only", *([] if verify else ["--no-verify"])]
        command = [self._program, "apply", *flags, "--timeout", str(timeout), "-"]
        with log.open("ab") as errors:
            start = errors.tell()
            # The log goes to the file directly: the checkpoint's path is there even if we are killed.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
            try:
                # It tries more than once, and re-arms the checkpoint each time: longer than one timeout.
                process.communicate(json.dumps(state).encode(), timeout=timeout + 60)
            except BaseException:  # cancelled, or it hangs: the checkpoint undoes what it did
                process.kill()
                process.wait()
                raise
        if process.returncode != 0:
            said = log.read_bytes()[start:].decode(errors="replace")
            raise NmstateError(_reason(said) or f"nmstatectl ended with {process.returncode}", said)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([self._program, *arguments], capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise NmstateError(_reason(done.stderr) or f"nmstatectl {arguments[0]} failed", done.stderr)
        return done.stdout


def _reason(said: str) -> str:
    """The error of a log: the last line that is not a log line of a lower level."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("[")]
    for line in lines:
        if "Error" in line or "error" in line:
            return line.strip()
    return lines[-1].strip() if lines else ""


#: What the binding calls an error that nmstate gives another name (libnmstate/clib_wrapper.py, 2.2.9 to 2.2.38).
_KINDS = {
    "NmstateVerificationError": "VerificationError",
    "NmstateValueError": "InvalidArgument",
    "NmstateInternalError": "Bug",
    "NmstatePluginError": "PluginFailure",
    "NmstateNotImplementedError": "NotImplementedError",
    "NmstateKernelIntegerRoundedError": "KernelIntegerRoundedError",
    "NmstateNotSupportedError": "NotSupportedError",
    "NmstateDependencyError": "DependencyError",
    "NmstatePermissionError": "PermissionError",
}


class Libnmstate:
    """The Python binding that the distribution ships (`dnf install python3-libnmstate`)."""

    name = "libnmstate"

    def __init__(self, module: Any) -> None:
        self._module = module

    def version(self) -> str:
        return str(self._module.__version__)

    def show(self, kernel_only: bool = False) -> State:
        with _library_log(None):
            try:
                state: State = self._module.show(kernel_only=kernel_only)
            except Exception as error:
                raise _told(error) from error
        return state

    def apply(self, state: State, timeout: int, log: Path, *, verify: bool = False) -> None:
        """The library tells what it did at its end and cannot be interrupted: it works in a thread, while this one
        waits where a signal reaches it, and writes the checkpoint down as soon as NetworkManager has it. Whoever
        gives up waiting must end the process, and the thread with it: the worker becomes the rescue program."""
        failures: list[Exception] = []

        def work() -> None:
            try:
                how = {"verify_change": verify, "save_to_disk": False, "commit": False}
                self._module.apply(state, **how, rollback_timeout=timeout)
            except Exception as error:
                failures.append(error)

        with NetworkManager() as manager, _library_log(log):
            before = manager.checkpoints()
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            end = time.monotonic() + timeout + 60  # it tries more than once, and re-arms the checkpoint each time
            told = False
            while thread.is_alive() and time.monotonic() < end:
                thread.join(0.05 if not told else 0.5)
                told = told or _note_checkpoint(manager, before, log, timeout)
            if thread.is_alive():
                raise NmstateError(f"libnmstate has not ended within {timeout + 60} s")
        if failures:
            raise _told(failures[0]) from failures[0]


def _note_checkpoint(manager: NetworkManager, before: list[str], log: Path, timeout: int) -> bool:
    """Write down which checkpoint came, in the words of nmstate's own log; whether there is one. One that does not last
    for as long as was asked for is another tool's (nmstate renews its own, so it may last longer)."""
    try:
        came = [path for path in manager.checkpoints() if path not in before]
        made = [path for path in came if manager.lasts(path) >= timeout]
    except NMError:  # it is asked again, and at the end by who wants to keep the change
        return False
    with log.open("a", encoding="utf-8") as file:
        file.writelines(f"Created checkpoint {path}\n" for path in made)
    return bool(made)


def _told(error: Exception) -> NmstateError:
    """An error of the binding in the words of the program: both say the same of one mistake."""
    kind, text = type(error).__name__, str(error).strip() or repr(error)
    words = [] if kind == "NmstateError" else [_KINDS.get(kind, kind)]  # where it knows no class the kind is told
    return NmstateError(": ".join(["NmstateError", *words, text.splitlines()[0]]), text)


@contextlib.contextmanager
def _library_log(log: Optional[Path]) -> Iterator[None]:
    """The binding gives what the library says to Python's root logger, which writes warnings to the terminal where
    nobody listens: into `log`, as the program's are, or nowhere."""
    root = logging.getLogger()
    level = root.level
    handler: logging.Handler = logging.FileHandler(log, encoding="utf-8") if log else logging.NullHandler()
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def _on_the_library(module: Any) -> bool:
    """Whether this libnmstate is a binding of nmstate 2.x, written in Rust: PyPI's package of that name is an old
    one in Python, as is EL 8's."""
    return bool(getattr(module, "BASE_ON_RUST", False)) or hasattr(module, "clib_wrapper")


def find_backend(wanted: Optional[str] = None) -> Backend:
    """The binding where the system has it, else the program; `wanted` names one. Raises NmstateError when
    there is neither, with how to get one."""
    if wanted in (None, "libnmstate"):
        try:
            import libnmstate
        except (ImportError, OSError):
            libnmstate = None
        if libnmstate is not None and _on_the_library(libnmstate):
            return Libnmstate(libnmstate)
    if wanted in (None, "nmstatectl"):
        program = shutil.which("nmstatectl")
        if program:
            return Nmstatectl(program)
    raise NmstateError(
        f"{wanted or 'nmstate'} is not on this machine: on EL `dnf install python3-libnmstate nmstate`, "
        "elsewhere `cargo install nmstatectl`"
    )
