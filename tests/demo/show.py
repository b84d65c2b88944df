"""How the demo shows a host: commands with their output, checks of the kernel, a table at the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, Optional

from tests.machines import picture
from tests.machines.machine import Machine
from tests.machines.outage import Connections, Pings, connections, pings, reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS

HOST = "vm-container-0-0"
LINK_FILE = "/etc/systemd/network/00-kvmnet-peth0.link"
ROLLED_BACK = (
    ("files", "connection profiles and .link files are the same, byte for byte"),
    ("links", "names, altnames, controllers and flags are the same"),
    ("addresses", "addresses are the same"),
    ("routes", "routes are the same"),
    ("zones", "firewalld's zones are the same"),
    ("profiles", "NetworkManager has the same connection profiles, active on the same interfaces"),
    ("checkpoints", "no checkpoint exists"),
    ("open", "no transaction is open"),
)
_SEE = r"""
import json, subprocess
def said(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout
def of(name):
    return [l for l in links if l["ifname"] == name] or [{}]
links = json.loads(said("ip", "-d", "-j", "link", "show"))
path = "/org/fedoraproject/FirewallD1"
zones = {n: said("busctl", "call", path[1:].replace("/", "."), path, "org.fedoraproject.FirewallD1.zone",
                 "getZoneOfInterface", "s", n).strip() for n in ("eth0", "peth0")}
print(json.dumps({
    "peth0": of("peth0")[0], "eth0": of("eth0")[0], "zones": zones,
    "addresses": {e["ifname"]: [a["local"] + "/" + str(a["prefixlen"]) for a in e["addr_info"]
                                if a.get("scope") == "global"]
                  for e in json.loads(said("ip", "-j", "address", "show")) if "ifname" in e},
    "default": [[r.get("gateway"), r["dev"]] for r in json.loads(said("ip", "-j", "route", "show", "default") or "[]")],
    "udev": [l for l in said("udevadm", "test-builtin", "net_setup_link", "/sys/class/net/peth0").splitlines()
             if l.startswith("ID_NET_LINK_FILE=")],
}))
"""


def see(host: Machine) -> dict[str, Any]:
    """Read what the checks need in one call, because a power cut may follow at once."""
    reading: dict[str, Any] = json.loads(host.out(["/usr/bin/python3", "-I", "-c", _SEE]))
    return reading


def claims(seen: dict[str, Any]) -> list[tuple[str, bool]]:
    """Return the statements of the README's picture, and whether each is true."""
    nic, bridge = seen["peth0"], seen["eth0"]
    about = bridge.get("linkinfo", {})
    trusted = all(zone == 's "trusted"' for zone in seen["zones"].values())
    return [
        ("peth0 exists and is a port of eth0", nic.get("master") == "eth0"),
        (f"peth0 is the NIC {HOST_MAC}", nic.get("address") == HOST_MAC and "linkinfo" in nic),
        (
            f"peth0 has PROMISC in its flags, promiscuity {nic.get('promiscuity')} (every port has 1)",
            "PROMISC" in nic.get("flags", []) and nic.get("promiscuity") == 2,
        ),
        (
            f"eth0 is a bridge with the NIC's MAC {bridge.get('address')}",
            about.get("info_kind") == "bridge" and bridge.get("address") == HOST_MAC,
        ),
        ("STP is off", about.get("info_data", {}).get("stp_state") == 0),
        (
            f"eth0 has {HOST_ADDRESS}/16, peth0 has no address",
            seen["addresses"].get("eth0") == [f"{HOST_ADDRESS}/16"] and seen["addresses"].get("peth0") == [],
        ),
        (f"the default route is via {PEER_ADDRESS} on eth0", seen["default"] == [[PEER_ADDRESS, "eth0"]]),
        (f"udev names the NIC by {LINK_FILE}", seen["udev"] == [f"ID_NET_LINK_FILE={LINK_FILE}"]),
        ("peth0 and eth0 are in firewalld's zone trusted", trusted),
    ]


class Show:
    """The show of one generation: the checks of each part, and whether they passed."""

    def __init__(self, generation: str, host: Machine, peer: Machine) -> None:
        self.generation, self.host, self.peer = generation, host, peer
        self.part = "the demo"
        self.seen: dict[str, list[tuple[str, bool]]] = {}
        self.figures: dict[str, str] = {}
        self.looks: dict[str, str] = {}
        self._waiting_lines: Optional[list[str]] = []
        self._lock = threading.Lock()

    def say(self, *lines: str) -> None:
        """Print lines, or keep them until this show has its turn: two shows run at once."""
        with self._lock:
            if self._waiting_lines is None:
                say(*lines)
            else:
                self._waiting_lines += lines

    def take_turn(self) -> None:
        """Print the lines that were kept; from now on, lines are printed at once."""
        with self._lock:
            say(*(self._waiting_lines or ()))
            self._waiting_lines = None

    def begin(self, part: str, text: str, expect: int = 0) -> None:
        """Begin a part of the show, a row of the table at the end. `expect` is how many seconds it takes."""
        self.part = part
        span = f" (about {expect} s)" if expect else ""
        self.say(f"\n{self.generation}: {text}{span}", f"{'-' * (len(self.generation) + len(text) + len(span) + 2)}")

    def check(self, claim: str, true: bool) -> None:
        """Record and print a check of the machine, which was made without kvmnet."""
        self.seen.setdefault(self.part, []).append((claim, true))
        self.say(f"  {'ok    ' if true else 'FAILED'} {claim}")

    @property
    def failed(self) -> list[str]:
        """Return the failed checks, with generation and part."""
        return [f"{self.generation}, {part}: {c}" for part, seen in self.seen.items() for c, true in seen if not true]

    def command(self, line: str, expect: int = 0, *, title: Optional[str] = None) -> str:
        """Run a command in the host, as you would, and show it with its output. `expect` is its exit code."""
        self.say(f"\n{HOST}# {title or line}")
        result = self.host.run(f"cd /root; {line}", check=False, timeout=210)
        self.say(*(f"  {text}" for text in (result.stdout + result.stderr).splitlines()))
        if expect or result.code:
            other = "" if result.code == expect else f", not {result.code}"
            self.check(f"the exit code is {expect}{other}", result.code == expect)
        return result.stdout

    def watched(self, line: str, expect: int = 0) -> None:
        """Run a command while the peer sends ten pings a second and opens five new connections a second."""
        with connections(self.peer) as tried, pings(self.peer) as pinged:
            self.command(line, expect)
        self._print_outage(pinged, tried)

    def apply_and_cut(self, line: str, look: str) -> dict[str, Any]:
        """Run a watched change. As soon as it has ended, read the machine and cut its power. Return the reading."""
        with connections(self.peer) as tried, pings(self.peer, lead=0.5) as pinged:
            self.command(line)
            seen = see(self.host)
            self.looks["after"] = self.command(look)
        self.host.power_cut()
        self._print_outage(pinged, tried)
        self.check("the host was unreachable for less than 5 s", pinged.longest < 5)
        return seen

    def _print_outage(self, pinged: Pings, tried: Connections) -> None:
        figure = f"{pinged.lost} of {pinged.sent}, longest gap {pinged.longest:.1f} s"
        self.figures[f"{self.part}: pings lost"] = figure
        answered = len(tried.attempts) - len(tried.failed)
        self.say(
            "",
            f"  from {PEER_ADDRESS}, ten pings a second; lost: {figure}",
            f"  new TCP connections meanwhile: {answered} of {len(tried.attempts)} succeeded",
        )
        ends = [tried.attempts[0], tried.attempts[-1]] if tried.attempts else [{"ok": False}]
        self.check("a new connection succeeds before and after", all(attempt["ok"] for attempt in ends))

    def picture(self, seen: Optional[dict[str, Any]] = None, *, reach: bool = True) -> None:
        """Check each statement of the README's picture."""
        for claim, true in claims(seen or see(self.host)):
            self.check(claim, true)
        if reach:
            self.check("a new connection from the peer succeeds", reachable(self.peer))

    def same(self, before: dict[str, Any]) -> None:
        """Check that the host is as it was before the change that was rolled back."""
        after = picture.whole(self.host)
        for part, claim in ROLLED_BACK:
            self.check(claim, after[part] == before[part])
        self.check("a new connection from the peer succeeds", reachable(self.peer))


def table(shows: Sequence[Show], parts: Sequence[str]) -> list[str]:
    """Return a table: a row for each part and measurement, a column for each generation."""
    rows = [("", [show.generation for show in shows])]
    rows += [(part, [_result_text(show.seen.get(part, [])) for show in shows]) for part in parts]
    figures = list(dict.fromkeys(name for show in shows for name in show.figures))
    rows += [(name, [show.figures.get(name, "not measured") for show in shows]) for name in figures]
    first = max(len(name) for name, _ in rows)
    return [f"{name:{first}}  " + "".join(f"{cell:32}" for cell in cells).rstrip() for name, cells in rows]


def is_complete(show: Show, parts: Sequence[str]) -> bool:
    """Return whether every part has checks, and all of them passed."""
    return not show.failed and all(show.seen.get(part) for part in parts)


def _result_text(checks: list[tuple[str, bool]]) -> str:
    failed = sum(not passed for _, passed in checks)
    if not checks:
        return "NOT CHECKED"
    count = f"{len(checks)} check" + ("s" if len(checks) > 1 else "")
    return f"{failed} of {len(checks)} FAILED" if failed else f"yes, {count}"


def say(*lines: str) -> None:
    """Print lines at once, also into a pipe."""
    print("".join(f"{line}\n" for line in lines), end="", flush=True)
