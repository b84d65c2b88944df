"""Runs the lab's commands inside a machine. Standard library only, any Python 3.9 and up.

A serial line is the bell, a folder both sides see is the desk. A request is the file N.request (JSON), announced by
the line `N`; its answer is the file N.answer, announced by the line `N` back. The line works whatever the network
does, and nothing of any length goes over it, so that no buffer of a terminal is ever full.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
import tty
from pathlib import Path

SCRATCH = Path("/run/lab-agent")  # output is collected here: the shared folder is written once, when complete
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


class Agent:
    def __init__(self, desk: Path, line: int) -> None:
        self.desk = desk
        self.line = line
        self.ring = threading.Lock()
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def say(self, text: str) -> None:
        with self.ring:
            os.write(self.line, f"{text}\n".encode())

    def serve(self) -> None:
        self.say("ready")
        rest = b""
        while True:
            *lines, rest = (rest + os.read(self.line, 4096)).split(b"\n")
            for number in filter(None, (line.decode(errors="replace").strip() for line in lines)):
                threading.Thread(target=self.answer, args=(number,), daemon=True).start()

    def answer(self, number: str) -> None:
        try:
            request = json.loads((self.desk / f"{number}.request").read_text())
            result = getattr(self, "do_" + request.pop("do"))(number, **request)
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        (self.desk / f"{number}.answer").write_text(json.dumps(result))
        self.say(number)

    def do_run(self, number: str, argv: list[str], env: dict[str, str], stdin: bool) -> dict[str, object]:
        source = self.desk / f"{number}.stdin" if stdin else Path("/dev/null")
        out, err = SCRATCH / f"{number}.stdout", SCRATCH / f"{number}.stderr"
        with source.open("rb") as given, out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                argv,
                stdin=given,
                stdout=stdout,
                stderr=stderr,
                env={**ENVIRONMENT, **env},
                cwd="/root",
                start_new_session=True,
            )
        self.running[number] = process
        code = process.wait()
        self.show(number)
        del self.running[number]
        out.unlink()
        err.unlink()
        return {"code": code}

    def do_show(self, _number: str, job: str) -> dict[str, object]:
        """Brings what a running command has written so far to the desk."""
        if job in self.running:
            self.show(job)
        return {}

    def do_signal(self, _number: str, job: str, signum: int) -> dict[str, object]:
        """To the whole process group of a command: what it started must not be left."""
        process = self.running.get(job)
        if process:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(process.pid, signum)
        return {}

    def do_put(self, number: str, path: str, mode: int) -> dict[str, object]:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.desk / f"{number}.data", target)
        target.chmod(mode)
        with target.open("rb") as file:
            os.fsync(file.fileno())  # what a test itself wrote is there after its power cut
        return {}

    def do_get(self, number: str, path: str) -> dict[str, object]:
        shutil.copyfile(path, self.desk / f"{number}.data")
        return {}

    def show(self, job: str) -> None:
        for kind in ("stdout", "stderr"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(SCRATCH / f"{job}.{kind}", self.desk / f"{job}.{kind}")


def main() -> None:
    words = dict(word.partition("=")[::2] for word in Path("/proc/cmdline").read_text().split())
    SCRATCH.mkdir(exist_ok=True)
    line = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    Agent(Path("/out") / words["lab.desk"], line).serve()


if __name__ == "__main__":
    main()
