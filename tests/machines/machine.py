"""A lab machine: a complete Linux system in a process, with its own kernel, systemd, NetworkManager and disk."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from tests.machines import local_programs, registers, roots, scratch, spawn
from tests.machines.agent_client import Desk, MachineGone, Request, Silent
from tests.machines.cache import LabError
from tests.machines.wire import Wire

Command = Union[str, Sequence[str]]
"""A string is for bash, a list is run as it is."""

INSIDE = Path(__file__).parent / "inside"
BOOT_LIMIT = 120.0
_all: weakref.WeakSet[Machine] = weakref.WeakSet()


@dataclass(frozen=True)
class Nic:
    mac: str
    wire: Wire


@dataclass(frozen=True)
class Result:
    code: int
    stdout: str
    stderr: str

    def __bool__(self) -> bool:
        return self.code == 0


class CommandFailed(LabError):
    def __init__(self, machine: str, command: Command, result: Result) -> None:
        super().__init__(
            f"on {machine}: {_text(command)}\nended with {result.code}\n"
            f"stdout:\n{_tail(result.stdout)}\nstderr:\n{_tail(result.stderr)}"
        )
        self.result = result


class CommandHangs(LabError):
    def __init__(self, machine: str, command: Command, seconds: float, so_far: Result) -> None:
        super().__init__(
            f"on {machine}: no end after {seconds:.0f} s: {_text(command)}\n"
            f"stdout so far:\n{_tail(so_far.stdout)}\nstderr so far:\n{_tail(so_far.stderr)}"
        )
        self.so_far = so_far


class Job:
    """A command that runs in a machine."""

    def __init__(self, machine: Machine, desk: Desk, request: Request, command: Command) -> None:
        self._machine, self._desk, self._request, self.command = machine, desk, request, command

    @property
    def running(self) -> bool:
        return not self._request.answered.is_set()

    def wait(self, timeout: float = 60, *, check: bool = False) -> Result:
        """Return the result at its end. Raises CommandHangs, and kills the command, if it does not end in time."""
        try:
            code = self._desk.result(self._request, timeout)["code"]
        except Silent:
            so_far = self.output()
            self.stop(signal.SIGKILL)
            raise CommandHangs(self._machine.name, self.command, timeout, so_far) from None
        result = self._collected(code)
        if check and result.code:
            raise CommandFailed(self._machine.name, self.command, result)
        return result

    def output(self) -> Result:
        """Return what it has written so far (code -1 while it runs)."""
        if not self.running:
            return self.wait()
        self._desk.ask("show", job=self._request.number)
        return self._collected(-1)

    def stop(self, signum: int = signal.SIGTERM, *, timeout: float = 15) -> Result:
        """Send a signal to all its processes, and return the result at its end."""
        if self.running:
            self._desk.ask("signal", job=self._request.number, signum=int(signum))
        return self._collected(self._desk.result(self._request, timeout)["code"])

    def _collected(self, code: int) -> Result:
        out, err = (self._desk.read(self._request, kind).decode(errors="replace") for kind in ("stdout", "stderr"))
        return Result(code, out, err)


class Machine:
    """One machine. `boot` starts it, `run` runs a command in it, `power_cut` ends it without a shutdown; use it as a
    context manager. With `disk`, its files persist; without, every boot starts from the root, and is a little
    quicker."""

    def __init__(
        self,
        generation: str,
        name: str = "host",
        nics: Sequence[Nic] = (),
        *,
        disk: bool = True,
        memory: str = "1G",
        variant: str = "plain",
        layers: Sequence[Path] = (),
    ) -> None:
        self.generation, self.name, self.nics = generation, name, tuple(nics)
        self.memory, self.variant, self.layers = memory, variant, tuple(layers)
        self.folder = scratch.make(name)
        self.console = self.folder / "console"
        self.console.touch()
        self.share = self.folder / "share"
        shutil.copytree(INSIDE, self.share / "inside")
        shutil.copy(registers.library(), self.share)
        self.disk: Optional[Path] = None
        if disk:
            self.disk = self.folder / "disk"
            local_programs.call(["truncate", "-s", "2G", self.disk])
            local_programs.call(
                ["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.disk]
            )
        self._boots = 0
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._desk: Optional[Desk] = None
        _all.add(self)

    def __enter__(self) -> Machine:
        if not self.running:
            self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- power

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def boot(self, *, settle: bool = True, limit: float = BOOT_LIMIT, late: bool = False) -> Machine:
        """Start it and wait for its agent; with `settle` also until systemd has nothing left to start. If its NICs
        are `late`, the kernel finds none (see `plug_in`)."""
        if self.running:
            raise LabError(f"{self.name} is on already")
        began = time.monotonic()
        self._start("late:" if late else "")
        assert self._desk is not None
        while not self._desk.ready.wait(0.2):
            late = time.monotonic() - began > limit
            if late or not self.running:
                self.power_cut()
                why = f"not up in {limit:.0f} s" if late else "its kernel ended"
                raise LabError(f"{self.name} ({self.generation}): {why}. Its console:\n{self.console_tail()}")
        if settle:
            self.run("systemctl is-system-running --wait", timeout=limit, check=False)
        return self

    def _start(self, when: str) -> None:
        self._boots += 1
        desk = self.share / f"boot{self._boots}"
        desk.mkdir()
        to_read, to_write = os.pipe(), os.pipe()
        nics = [f"{when}{nic.mac},{nic.wire.socket}" for nic in self.nics]
        kernel = [f"mem={self.memory}", f"umid={self.name}", f"ssl0=fd:{to_read[0]},fd:{to_write[1]}"]
        kernel += [f"lab.name={self.name}", f"lab.desk={desk.name}", "ssl1=null"]
        with self.console.open("ab") as console:
            console.write(f"==== boot {self._boots}\n".encode())
            console.flush()
            root = roots.root(self.generation, self.variant)
            places = [root, self.share, self.disk or "", ":".join(map(str, self.layers))]
            self._process = spawn.spawn(
                ["unshare", "-m", "-p", "-f", "--kill-child", INSIDE / "enter", *places, *nics, "--", *kernel],
                stdout=console,
                pass_fds=(to_read[0], to_write[1]),
            )
        spawn.close(to_read[0], to_write[1])
        process = self._process
        self._desk = Desk(desk, to_write[0], to_read[1], lambda: process.poll() is None)

    def at_console(self, command: str, *, timeout: float = 90) -> Result:
        """Run a command on a serial line of the machine, like a person at its console; its output is returned."""
        return self.run(f"setsid --ctty --wait {command} < /dev/ttyS1", check=False, timeout=timeout)

    def power_off(self, *, timeout: float = 90) -> None:
        """Shut it down. If it does not end in time, it is killed, and that is an error."""
        if not self.running:
            return
        assert self._process is not None
        self.start("systemctl poweroff")
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} does not shut down. Its console:\n{self.console_tail()}") from None
        finally:
            self.power_cut()

    def power_cut(self) -> None:
        """Cut the power: SIGKILL to the process of the machine's PID namespace, and so to all of it."""
        spawn.end(self._process)
        if self._desk is not None:
            self._desk.close()
            self._desk = None

    def plug_in(self, number: int = 0) -> None:
        """Add one of the NICs that were late at its boot, as a slow driver does."""
        self._ask_kernel("config", f"eth{number}=daemon,{self.nics[number].mac},unix,/mnt/wire{number}")

    def pull_out(self, number: int = 0) -> None:
        """Remove one of its NICs; it must be down."""
        self._ask_kernel("remove", f"eth{number}")

    def _ask_kernel(self, *words: str) -> None:
        """Run a command of the kernel's own console; its socket is in the machine's root (see `enter`)."""
        assert self._process is not None
        pid = self._process.pid
        [kernel] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        said = local_programs.call(["uml_mconsole", f"/proc/{kernel}/root/tmp/.uml/{self.name}/mconsole", *words])
        if "ERR" in said:
            raise LabError(f"{self.name}: {' '.join(words)}: {said}")

    def reboot(self) -> Machine:
        self.power_off()
        return self.boot()

    def close(self) -> None:
        self.power_cut()
        scratch.remove(self.folder)
        _all.discard(self)

    # ---- work

    def start(
        self, command: Command, *, env: Optional[Mapping[str, str]] = None, stdin: Union[str, bytes, None] = None
    ) -> Job:
        """Start a command in the background."""
        argv = ["/bin/bash", "-c", command] if isinstance(command, str) else list(command)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        desk = self._on()
        return Job(self, desk, desk.post("run", argv=argv, env=dict(env or {}), stdin=given), command)

    def run(
        self,
        command: Command,
        *,
        timeout: float = 60,
        check: bool = True,
        env: Optional[Mapping[str, str]] = None,
        stdin: Union[str, bytes, None] = None,
    ) -> Result:
        """Run a command to its end. With `check`, a failure raises; a hang always does."""
        return self.start(command, env=env, stdin=stdin).wait(timeout, check=check)

    def out(self, command: Command, *, timeout: float = 60) -> str:
        """Return what a command prints, without the last line's end."""
        return self.run(command, timeout=timeout).stdout.rstrip("\n")

    def put(self, path: str, content: Union[str, bytes], mode: int = 0o644) -> None:
        data = content.encode() if isinstance(content, str) else content
        self._on().ask("put", data=data, path=path, mode=mode)

    def get(self, path: str) -> bytes:
        desk = self._on()
        return desk.read(desk.ask("get", path=path), "data")

    def until(self, command: Command, *, timeout: float = 30, every: float = 0.5) -> Result:
        """Run a command again and again until it succeeds."""
        limit = time.monotonic() + timeout
        while not (result := self.run(command, check=False)):
            if time.monotonic() > limit:
                raise CommandFailed(self.name, command, result)
            time.sleep(every)
        return result

    def console_tail(self, lines: int = 40) -> str:
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])

    def _on(self) -> Desk:
        if self._desk is None or not self.running:
            raise MachineGone(f"{self.name} is off")
        return self._desk


def _text(command: Command) -> str:
    return command if isinstance(command, str) else shlex.join(command)


def _tail(text: str, lines: int = 40) -> str:
    return "\n".join(text.splitlines()[-lines:])


@atexit.register
def _close_all() -> None:
    for machine in list(_all):
        with contextlib.suppress(Exception):
            machine.close()
