"""Access to nmstate: by the system's Python binding if there is one, otherwise by its program nmstatectl."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional, Protocol

from kvmnet.core.base.nmstate import State
from kvmnet.host import trusted_files
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError
from kvmnet.system import programs


class NmstateError(Exception):
    """nmstate is not installed, or reported an error; `details` is its complete output."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class Backend(Protocol):
    """A way to call nmstate."""

    name: str

    def version(self) -> str:
        """Return nmstate's version."""

    def show(self, kernel_only: bool = False) -> State:
        """Return the live state; with `kernel_only` without the part that comes from NetworkManager."""

    def apply(
        self, state: State, timeout: int, log: Path, *, verify: bool = False, limit: Optional[float] = None
    ) -> None:
        """Apply a state in memory without committing it: NetworkManager rolls it back after `timeout` seconds.

        Without `verify` the caller must wait for the result and read it back. The line `Created checkpoint PATH` is
        appended to `log` as soon as nmstate has created the checkpoint. Raises NmstateError.
        """


class Nmstatectl:
    """The program `nmstatectl`. It works with every Python, also in a virtual environment."""

    name = "nmstatectl"

    def __init__(self, program: str) -> None:
        self._program = program

    def version(self) -> str:
        return self._run("--version").split()[-1]

    def show(self, kernel_only: bool = False) -> State:
        state: State = json.loads(self._run("show", "--json", *(["--kernel"] if kernel_only else [])))
        return state

    def apply(
        self, state: State, timeout: int, log: Path, *, verify: bool = False, limit: Optional[float] = None
    ) -> None:
        flags = ["--no-commit", "--memory-only", *([] if verify else ["--no-verify"])]
        command = [self._program, "apply", *flags, "--timeout", str(timeout), "-"]
        seconds = timeout + 60 if limit is None else limit
        with log.open("ab") as errors:
            start = errors.tell()
            # nmstatectl writes to the log itself: it has the checkpoint's path even if this process is killed.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
            try:
                # It may take longer than the timeout: it retries, and extends the checkpoint each time.
                process.communicate(json.dumps(state).encode(), timeout=seconds)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait()
                raise _as_timeout_error(seconds) from error
            except BaseException:  # cancelled, or nmstatectl hangs: the checkpoint is rolled back
                process.kill()
                process.wait()
                raise
        if process.returncode != 0:
            output = log.read_bytes()[start:].decode(errors="replace")
            reason = _find_reason(output) or f"nmstatectl failed with exit code {process.returncode}"
            raise NmstateError(reason, output)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([self._program, *arguments], capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise NmstateError(_find_reason(done.stderr) or f"nmstatectl {arguments[0]} failed", done.stderr)
        return done.stdout


def _find_reason(output: str) -> str:
    """Return the error in the output of nmstatectl: the first line with "error" that is not a log line, else the last
    one."""
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("[")]
    for line in lines:
        if "Error" in line or "error" in line:
            return line.strip()
    return lines[-1].strip() if lines else ""


#: nmstate's name of an error by the binding's class (libnmstate/clib_wrapper.py, 2.2.9 to 2.2.38).
_ERROR_KINDS = {
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
    """The Python binding of the distribution (`dnf install python3-libnmstate`)."""

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
                raise _as_nmstate_error(error) from error
        return state

    def apply(
        self, state: State, timeout: int, log: Path, *, verify: bool = False, limit: Optional[float] = None
    ) -> None:
        """Apply a state as `Backend.apply` describes.

        The library cannot be interrupted and reports its checkpoint only at its end. So it runs in a thread; this
        thread waits, receives signals, and records the checkpoint as soon as NetworkManager has it. A caller that
        stops waiting must end the process, which ends the thread: the worker becomes the rescue program.
        """
        failures: list[Exception] = []

        def work() -> None:
            try:
                options = {"verify_change": verify, "save_to_disk": False, "commit": False}
                self._module.apply(state, **options, rollback_timeout=timeout)
            except Exception as error:
                failures.append(error)

        with NetworkManager() as manager, _library_log(log):
            before = manager.checkpoints()
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            # it retries, and extends the checkpoint each time
            seconds = timeout + 60 if limit is None else limit
            end = time.monotonic() + seconds
            has_checkpoint = False
            while thread.is_alive() and time.monotonic() < end:
                thread.join(0.05 if not has_checkpoint else 0.5)
                has_checkpoint = has_checkpoint or _record_checkpoint(manager, before, log, timeout)
            if thread.is_alive():
                raise _as_timeout_error(seconds)
        if failures:
            raise _as_nmstate_error(failures[0]) from failures[0]


def _as_timeout_error(seconds: float) -> NmstateError:
    return NmstateError(f"nmstate did not finish within {seconds:.0f} s")


def _record_checkpoint(manager: NetworkManager, before: list[str], log: Path, timeout: int) -> bool:
    """Write nmstate's new checkpoint to the log, as nmstatectl does; return whether there is one.

    A new checkpoint with a shorter timeout is another tool's. (nmstate extends its own, so it may have a longer one.)
    """
    try:
        new = [path for path in manager.checkpoints() if path not in before]
        created = [path for path in new if manager.rollback_timeout(path) >= timeout]
    except NMError:  # tried again at the next call, and when the change is to be kept
        return False
    with log.open("a", encoding="utf-8") as file:
        file.writelines(f"Created checkpoint {path}\n" for path in created)
    return bool(created)


def _as_nmstate_error(error: Exception) -> NmstateError:
    """Return an error of the binding with the message that nmstatectl would print."""
    class_name, text = type(error).__name__, str(error).strip() or repr(error)
    # Without a class of its own, the text of the error begins with its kind.
    kind = [] if class_name == "NmstateError" else [_ERROR_KINDS.get(class_name, class_name)]
    return NmstateError(": ".join(["NmstateError", *kind, text.splitlines()[0]]), text)


@contextlib.contextmanager
def _library_log(log: Optional[Path]) -> Iterator[None]:
    """Write the library's log messages to `log`, as nmstatectl does, or discard them.

    The binding sends them to Python's root logger, which would print warnings on the terminal.
    """
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


def _is_nmstate_2(module: Any) -> bool:
    """Whether a module libnmstate is the binding of nmstate 2, which is written in Rust. The package on PyPI and that
    of EL 8 are older and written in Python."""
    return bool(getattr(module, "BASE_ON_RUST", False)) or hasattr(module, "clib_wrapper")


def find_nmstatectl() -> Optional[str]:
    """Return the absolute path of nmstatectl, or None: in the system's folders, otherwise in those of PATH (cargo
    installs it into a home). Root runs only a program that nobody else could have written. Raises NmstateError."""
    system_program = shutil.which("nmstatectl", path=programs.PROGRAM_PATH)
    program = system_program or shutil.which("nmstatectl")
    if program is None:
        return None
    path = Path(program).absolute()
    if os.geteuid() == 0 and (writer := trusted_files.find_other_writer(path, {0})):
        raise NmstateError(f"root cannot run {path}, because others could have written it: {writer}")
    return str(path)


def find_backend(wanted: Optional[str] = None) -> Backend:
    """Return the binding if the system has it, otherwise the program; `wanted` names one of them. Raises NmstateError
    with the packages to install if there is none."""
    if wanted in (None, "libnmstate"):
        try:
            import libnmstate
        except (ImportError, OSError):
            libnmstate = None
        if libnmstate is not None and _is_nmstate_2(libnmstate):
            return Libnmstate(libnmstate)
    if wanted in (None, "nmstatectl"):
        program = find_nmstatectl()
        if program:
            return Nmstatectl(program)
    raise NmstateError(
        f"{wanted or 'nmstate'} is not installed on this host: on EL run `dnf install python3-libnmstate nmstate`, "
        "on other systems `cargo install nmstatectl`"
    )
