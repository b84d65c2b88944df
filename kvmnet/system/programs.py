"""Runs programs of the host and reads the JSON that they print."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from kvmnet.system.errors import HostError

SYSTEM_PYTHON = "/usr/bin/python3"
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*argv: str, timeout: float = 30.0, text: str = "") -> str:
    """Run a program, with `text` as its input, and return its output. Raises HostError, with the program's error text,
    when it fails or takes longer than `timeout` seconds.

    The alias or an altname of a link may contain any bytes. Bytes that are not UTF-8 become surrogates, and become the
    same bytes again in arguments. The locale is one in which nmcli prints file names completely.
    """
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            check=False,
            input=text,
            env={"PATH": PROGRAM_PATH, "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise HostError(f"{argv[0]}: not found") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{' '.join(argv)}: no answer within {timeout:.0f} s") from error
    except (OSError, ValueError) as error:  # no memory for a process; a null byte in an argument
        raise HostError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise HostError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def run_json(*argv: str) -> Any:
    """Run a program and return the JSON that it prints; an empty list when it prints nothing, as `ip -j` does. Raises
    HostError when it fails or prints no JSON.

    iproute2 before 6.1 escapes the apostrophe, which JSON does not allow. No version escapes every control character.
    """
    text = re.sub(r"\\(.)", lambda pair: "'" if pair[1] == "'" else pair[0], run(*argv).strip() or "[]")
    try:
        return json.loads(text, strict=False)
    except ValueError as error:
        raise HostError(f"{' '.join(argv)}: {error}") from error
