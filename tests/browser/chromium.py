"""A headless Chromium, driven by the DevTools protocol over two pipes; it needs no network and no other package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell")
#: Characters of the keys that are pressed, by their names.
_KEYS = {"Enter": "\r", "Tab": "\t", "Escape": "\x1b"}


def find_browser() -> Optional[str]:
    """Return the path of a Chromium on this machine: that of $KVMNET_CHROMIUM, or the first one in $PATH."""
    return os.environ.get("KVMNET_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A page in a browser of its own."""

    def __init__(self, browser: str, folder: Path) -> None:
        to_browser, self._writer = os.pipe()
        self._reader, from_browser = os.pipe()
        options = ["--headless", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
        options += ["--no-first-run", "--disable-background-networking", "--hide-scrollbars"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses to run as root with its sandbox
        # The browser reads file descriptor 3 and writes 4. One of the pipes' own ends may have these numbers.
        script = "import fcntl, os, sys; ends = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]]; "
        script += "os.dup2(ends[0], 3); os.dup2(ends[1], 4); os.execv(sys.argv[3], sys.argv[3:])"
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(to_browser), str(from_browser), browser, *options, "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number = 0
        self._buffer = b""
        self._session: Optional[str] = None
        self.requests: list[str] = []
        """What the page has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Return the result of a command. Raises AssertionError if it fails."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            data = os.read(self._reader, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        self._last = message
        return message

    def open(self, path: Path, width: int = 1400, height: int = 900) -> None:
        """Open a file, and wait until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.requests.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while self._last.get("method") != "Page.loadEventFired":
            self._read()

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression. Raises AssertionError if it throws."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = _KEYS.get(key, key if len(key) == 1 else "")
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38}
        rest = {"windowsVirtualKeyCode": codes[key]} if key in codes else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **({"text": text} if text else {}), **rest)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **rest)

    def type(self, text: str) -> None:
        """Type a text, key by key."""
        for character in text:
            self.press(character)

    def set_scripts(self, are_enabled: bool) -> None:
        """Switch the scripts of pages on or off."""
        self.call("Emulation.setScriptExecutionDisabled", value=not are_enabled)

    def set_dark(self, is_dark: bool) -> None:
        """Switch the preference of a dark page on or off."""
        value = "dark" if is_dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def close(self) -> None:
        """End the browser."""
        os.close(self._writer)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._reader)
