"""The two ways to nmstate: its program, or the system's Python binding where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Optional, Protocol

from kvmnet.core.bundle import State


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

    def show(self) -> State:
        """The live state."""

    def apply(self, state: State, timeout: int, log: Path) -> None:
        """Apply in memory only, uncommitted: NetworkManager undoes it after `timeout` seconds. The line
        `Created checkpoint PATH` is in `log` (appended to) as soon as nmstate has made it."""


class Nmstatectl:
    """The program `nmstatectl`: works from any venv."""

    name = "nmstatectl"

    def __init__(self, program: str) -> None:
        self._program = program

    def version(self) -> str:
        return self._run("--version").split()[-1]

    def show(self) -> State:
        state: State = json.loads(self._run("show", "--json"))
        return state

    def apply(self, state: State, timeout: int, log: Path) -> None:
        command = [self._program, "apply", "--no-commit", "--memory-only", "--timeout", str(timeout), "-"]
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


class Libnmstate:
    """The Python binding that the distribution ships (`dnf install python3-libnmstate`)."""

    name = "libnmstate"

    def __init__(self, module: Any) -> None:
        self._module = module

    def version(self) -> str:
        return str(self._module.__version__)

    def show(self) -> State:
        try:
            state: State = self._module.show()
        except Exception as error:  # the binding's own classes
            raise NmstateError(str(error).splitlines()[0] if str(error) else repr(error), str(error)) from error
        return state

    def apply(self, state: State, timeout: int, log: Path) -> None:
        from kvmnet.host.nm import NetworkManager

        with NetworkManager() as manager:
            before = manager.checkpoints()
            try:
                self._module.apply(state, save_to_disk=False, commit=False, rollback_timeout=timeout)
            except Exception as error:  # NmstateError and its kin: the binding's own classes
                raise NmstateError(str(error).splitlines()[0] if str(error) else repr(error), str(error)) from error
            made = [c for c in manager.checkpoints() if c not in before]
        with log.open("a", encoding="utf-8") as file:
            file.writelines(f"Created checkpoint {path}\n" for path in made)


def find_backend(wanted: Optional[str] = None) -> Backend:
    """The binding where the system has it, else the program; `wanted` names one. Raises NmstateError when
    there is neither, with how to get one."""
    if wanted in (None, "libnmstate"):
        try:
            import libnmstate
        except (ImportError, OSError):
            libnmstate = None
        # PyPI's old package of that name has no library behind it and another interface
        if libnmstate is not None and hasattr(libnmstate, "generate_configurations"):
            return Libnmstate(libnmstate)
    if wanted in (None, "nmstatectl"):
        program = shutil.which("nmstatectl")
        if program:
            return Nmstatectl(program)
    raise NmstateError(
        f"{wanted or 'nmstate'} is not on this machine: on EL `dnf install python3-libnmstate nmstate`, "
        "elsewhere `cargo install nmstatectl`"
    )
