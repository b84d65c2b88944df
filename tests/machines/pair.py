"""A host and its peer that keep running: python3 -m tests.machines.pair up GENERATION, then run, cut, boot, down.

A background process has the machines and listens on a Unix socket in --dir. Every other command calls it, so each can
come from another shell. `--dir` (default: KVMNET_PAIR_DIR) selects the pair: two pairs need two folders.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.machines import layers, nmstate_builds, roots, venv
from tests.machines.cache import LabError
from tests.machines.machine import Machine, Nic
from tests.machines.seed import HOST_MAC, peer_machine, seed_host, seed_peer
from tests.machines.wire import Wire

DEFAULT_DIR = Path(os.environ.get("KVMNET_PAIR_DIR", f"/tmp/kvmnet-pair-{os.getuid()}"))
IDLE_LIMIT = 4 * 3600
"""Seconds without a call after which a forgotten pair ends by itself."""


class Pair:
    """The background process; each command is a method."""

    def __init__(self, generation: str, firewall: bool, bare: bool, guests: bool) -> None:
        self.wire = Wire()
        below = _layers(generation)
        options: dict[str, Any] = {"variant": "guests", "memory": "2G"} if guests else {}
        host = Machine(generation, "host", [Nic(HOST_MAC, self.wire)], layers=below, **options)
        self.machines = {"host": host, "peer": peer_machine(generation, self.wire)}
        with ThreadPoolExecutor() as pool:
            list(pool.map(Machine.boot, self.machines.values()))
        seed_peer(self.machines["peer"])
        if not bare:
            zones: dict[str, Any] = {"default_zone": "drop", "zone": "trusted"} if firewall else {}
            seed_host(host, **zones)
        self.ended = threading.Event()

    def run(self, machine: str, command: str, timeout: float) -> dict[str, Any]:
        result = self.machines[machine].run(command, timeout=timeout, check=False)
        return {"code": result.code, "stdout": result.stdout, "stderr": result.stderr}

    def put(self, machine: str, source: str, target: str) -> dict[str, Any]:
        file = Path(source)
        self.machines[machine].put(target, file.read_bytes(), file.stat().st_mode & 0o777)
        return {"code": 0}

    def install(self) -> dict[str, Any]:
        venv.refresh(self.machines["host"])
        return {"code": 0}

    def cut(self) -> dict[str, Any]:
        self.machines["host"].power_cut()
        return {"code": 0}

    def off(self) -> dict[str, Any]:
        self.machines["host"].power_off()
        return {"code": 0}

    def boot(self) -> dict[str, Any]:
        self.machines["host"].boot()
        return {"code": 0}

    def console(self) -> dict[str, Any]:
        return {"code": 0, "stdout": self.machines["host"].console_tail(200) + "\n"}

    def down(self) -> dict[str, Any]:
        self.ended.set()
        return {"code": 0}

    def close(self) -> None:
        for machine in self.machines.values():
            machine.close()
        self.wire.close()


def _layers(generation: str) -> list[Path]:
    """Return the layers of the machines. If the checkout cannot be built now, they start without kvmnet; run
    `install` later."""
    try:
        return layers.all_of(generation)
    except LabError as error:
        print(f"without kvmnet: {error}", file=sys.stderr)
        return [nmstate_builds.layer()]


def serve(folder: Path, generation: str, firewall: bool, bare: bool, guests: bool) -> None:
    pair = Pair(generation, firewall, bare, guests)
    path = folder / "socket"
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(0.5)
            called = time.monotonic()
            while not pair.ended.is_set() and time.monotonic() - called < IDLE_LIMIT:
                try:
                    caller, _ = listener.accept()
                except TimeoutError:
                    continue
                called = time.monotonic()
                threading.Thread(target=_answer, args=(pair, caller), daemon=True).start()
            time.sleep(0.2)
    finally:
        path.unlink(missing_ok=True)
        pair.close()


def _answer(pair: Pair, caller: socket.socket) -> None:
    with caller, caller.makefile("rw") as stream:
        try:
            request = json.loads(stream.readline())
            answer = getattr(pair, request.pop("verb"))(**request)
        except Exception as error:
            answer = {"code": 125, "stderr": f"{type(error).__name__}: {error}\n"}
        stream.write(json.dumps(answer))


def ask(folder: Path, verb: str, **fields: Any) -> int:
    with socket.socket(socket.AF_UNIX) as call:
        call.connect(str(folder / "socket"))
        with call.makefile("rw") as stream:
            stream.write(json.dumps({"verb": verb, **fields}) + "\n")
            stream.flush()
            answer = json.loads(stream.read())
    sys.stdout.write(answer.get("stdout", ""))
    sys.stderr.write(answer.get("stderr", ""))
    return int(answer["code"])


def shell(folder: Path, machine: str) -> int:
    """Run each line of the standard input on a machine, in /root; return the exit code of the last one."""
    code = 0
    while True:
        try:
            line = input(f"{machine}# " if sys.stdin.isatty() else "")
        except EOFError:
            return code
        code = ask(folder, "run", machine=machine, command=f"cd /root; {line}", timeout=300)


def up(folder: Path, words: list[str]) -> int:
    """Start the background process and wait until both machines run."""
    if (folder / "socket").exists():
        raise LabError(f"a pair is up in {folder} (or its socket is left from a killed one: remove it)")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.machines.pair", "serve", "--dir", str(folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    (folder / "pid").write_text(f"{process.pid}\n")
    while not (folder / "socket").exists():
        if process.poll() is not None:
            raise LabError(f"it did not come up:\n{log.read_text()}")
        time.sleep(0.2)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.machines.pair", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "serve", "run", "shell", "put", "install", "cut", "off", "boot", "console", "down"):
        one = verbs.add_parser(verb)
        one.add_argument(
            "--dir", type=Path, default=os.environ.get("KVMNET_PAIR_DIR", f"/tmp/kvmnet-pair-{os.getuid()}")
        )
        if verb in ("up", "serve"):
            one.add_argument("generation", choices=roots.GENERATIONS)
            one.add_argument("--firewall", action="store_true", help="firewalld: default drop, the profile's trusted")
            one.add_argument("--bare", action="store_true", help="no profile for eth0")
            one.add_argument("--guests", action="store_true", help="a host with libvirt and qemu")
        if verb in ("run", "shell", "put"):
            one.add_argument("machine", choices=["host", "peer"])
        if verb == "run":
            one.add_argument("command")
            one.add_argument("--timeout", type=float, default=300)
        if verb == "put":
            one.add_argument("source")
            one.add_argument("target")
    given = vars(parser.parse_args())
    folder, verb = given.pop("dir").resolve(), given.pop("verb")
    try:
        if verb == "serve":
            serve(folder, **given)
            return 0
        if verb == "up":
            flags = [f"--{name}" for name in ("firewall", "bare", "guests") if given[name]]
            return up(folder, [given["generation"], *flags])
        if verb == "shell":
            return shell(folder, **given)
        return ask(folder, verb, **given)
    except (LabError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 125


if __name__ == "__main__":
    sys.exit(main())
