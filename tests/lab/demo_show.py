"""How the demo shows a host: commands with what they say, claims read from the kernel, a table at the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, Optional

from tests.lab import picture
from tests.lab.machine import Machine
from tests.lab.outage import Connections, Pings, connections, pings, reachable
from tests.lab.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS

HOST = "vm-container-0-0"
LINK_FILE = "/etc/systemd/network/00-kvmnet-peth0.link"
UNDONE = (
    ("files", "profiles and .link files are the same, byte for byte"),
    ("links", "names, altnames, masters and flags are the same"),
    ("addresses", "addresses are the same"),
    ("routes", "routes are the same"),
    ("zones", "firewalld's zones are the same"),
    ("profiles", "NetworkManager has the same profiles, active where they were"),
    ("checkpoints", "no checkpoint is left"),
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
    """What the picture's claims are judged by, read at once: a power cut may follow right behind."""
    found: dict[str, Any] = json.loads(host.out(["/usr/bin/python3", "-I", "-c", _SEE]))
    return found


def claims(seen: dict[str, Any]) -> list[tuple[str, bool]]:
    """The manual's picture, claim by claim."""
    nic, bridge = seen["peth0"], seen["eth0"]
    about = bridge.get("linkinfo", {})
    trusted = all(zone == 's "trusted"' for zone in seen["zones"].values())
    return [
        ("peth0 is there, a port of eth0", nic.get("master") == "eth0"),
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
            f"eth0 has {HOST_ADDRESS}/16, peth0 no address",
            seen["addresses"].get("eth0") == [f"{HOST_ADDRESS}/16"] and seen["addresses"].get("peth0") == [],
        ),
        (f"the default route is by {PEER_ADDRESS} over eth0", seen["default"] == [[PEER_ADDRESS, "eth0"]]),
        (f"udev names the NIC by {LINK_FILE}", seen["udev"] == [f"ID_NET_LINK_FILE={LINK_FILE}"]),
        ("peth0 and eth0 are in firewalld's zone trusted", trusted),
    ]


class Show:
    """The show of one generation: what was claimed of each part, and whether it was so."""

    def __init__(self, generation: str, host: Machine, peer: Machine) -> None:
        self.generation, self.host, self.peer = generation, host, peer
        self.part = "the show"
        self.seen: dict[str, list[tuple[str, bool]]] = {}
        self.figures: dict[str, str] = {}
        self.looks: dict[str, str] = {}
        self._held: Optional[list[str]] = []
        self._lock = threading.Lock()

    def say(self, *lines: str) -> None:
        """Lines of this show: kept back until it is its turn, so that two shows at once can be read."""
        with self._lock:
            if self._held is None:
                say(*lines)
            else:
                self._held += lines

    def take_turn(self) -> None:
        """Say what was kept back; from now on every line at once."""
        with self._lock:
            say(*(self._held or ()))
            self._held = None

    def begin(self, part: str, text: str, expect: int = 0) -> None:
        """A part of the show, a row of the table at the end."""
        self.part = part
        span = f" (about {expect} s)" if expect else ""
        self.say(f"\n{self.generation}: {text}{span}", f"{'-' * (len(self.generation) + len(text) + len(span) + 2)}")

    def check(self, claim: str, true: bool) -> None:
        """A claim about the machine, read from it by other means than kvmnet's own."""
        self.seen.setdefault(self.part, []).append((claim, true))
        self.say(f"  {'ok    ' if true else 'FAILED'} {claim}")

    @property
    def wrong(self) -> list[str]:
        return [f"{self.generation}, {part}: {c}" for part, seen in self.seen.items() for c, true in seen if not true]

    def command(self, line: str, expect: int = 0, *, title: Optional[str] = None) -> str:
        """Run a command in the host, as a person would, and show it with all that it says."""
        self.say(f"\n{HOST}# {title or line}")
        result = self.host.run(f"cd /root; {line}", check=False, timeout=210)
        self.say(*(f"  {text}" for text in (result.stdout + result.stderr).splitlines()))
        if expect or result.code:
            other = "" if result.code == expect else f", not {result.code}"
            self.check(f"its exit code is {expect}{other}", result.code == expect)
        return result.stdout

    def watched(self, line: str, expect: int = 0) -> None:
        """A command during which the peer pings at ten a second and opens new connections at five."""
        with connections(self.peer) as tried, pings(self.peer) as seen:
            self.command(line, expect)
        self._tell(seen, tried)

    def apply_and_cut(self, line: str, look: str) -> dict[str, Any]:
        """A watched change; as soon as it has ended the machine is read, and its plug pulled."""
        with connections(self.peer) as tried, pings(self.peer, lead=0.5) as pinged:
            self.command(line)
            seen = see(self.host)
            self.looks["after"] = self.command(look)
        self.host.power_cut()
        self._tell(pinged, tried)
        self.check("the host was away for less than 5 s", pinged.longest < 5)
        return seen

    def _tell(self, seen: Pings, tried: Connections) -> None:
        figure = f"{seen.lost} of {seen.sent}, longest gap {seen.longest:.1f} s"
        self.figures[f"{self.part}: pings lost"] = figure
        answered = len(tried.attempts) - len(tried.failed)
        self.say(
            "",
            f"  seen from {PEER_ADDRESS}: pings lost (ten a second): {figure}",
            f"  new TCP connections meanwhile: {answered} of {len(tried.attempts)} answered",
        )
        ends = [tried.attempts[0], tried.attempts[-1]] if tried.attempts else [{"ok": False}]
        self.check("a new connection is answered before and after", all(attempt["ok"] for attempt in ends))

    def picture(self, seen: Optional[dict[str, Any]] = None, *, reach: bool = True) -> None:
        """The manual's picture, claim by claim."""
        for claim, true in claims(seen or see(self.host)):
            self.check(claim, true)
        if reach:
            self.check("a new connection from the peer is answered", reachable(self.peer))

    def same(self, before: dict[str, Any]) -> None:
        """Nothing is left of a change that was undone."""
        after = picture.whole(self.host)
        for part, words in UNDONE:
            self.check(words, after[part] == before[part])
        self.check("a new connection from the peer is answered", reachable(self.peer))


def table(shows: Sequence[Show], parts: Sequence[str]) -> list[str]:
    """A row for each part and figure, a column for each generation."""
    rows = [("", [show.generation for show in shows])]
    rows += [(part, [_word(show.seen.get(part, [])) for show in shows]) for part in parts]
    figures = list(dict.fromkeys(name for show in shows for name in show.figures))
    rows += [(name, [show.figures.get(name, "not seen") for show in shows]) for name in figures]
    first = max(len(name) for name, _ in rows)
    return [f"{name:{first}}  " + "".join(f"{cell:32}" for cell in cells).rstrip() for name, cells in rows]


def complete(show: Show, parts: Sequence[str]) -> bool:
    """Whether each part was seen, and all of it was so."""
    return not show.wrong and all(show.seen.get(part) for part in parts)


def _word(seen: list[tuple[str, bool]]) -> str:
    wrong = sum(not true for _, true in seen)
    if not seen:
        return "NOT SEEN"
    count = f"{len(seen)} check" + ("s" if len(seen) > 1 else "")
    return f"{wrong} of {len(seen)} FAILED" if wrong else f"yes, {count}"


def say(*lines: str) -> None:
    print("".join(f"{line}\n" for line in lines), end="", flush=True)
