"""Set-up that tests of kvmnet/rescue share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import rollback, snapshot, undo
from kvmnet.system import clock, files, firewalld, links, networkmanager, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json
from tests.unit.system.samples import GuestPorts


def roll_back_noted(state: Path, monkeypatch: pytest.MonkeyPatch, fail: int = -1) -> tuple[int, list[int]]:
    """Roll the fixture `opened` back; return the exit code and the steps in the order of their undo.

    The undo of step `fail` raises HostError.
    """
    undone: list[int] = []

    def note(folder: Path, spec: dict[str, Any]) -> str:
        undone.append(spec["n"])
        if spec["n"] == fail:
            raise HostError("not now")
        return "noted"

    monkeypatch.setitem(undo.UNDO, "note", note)
    return rollback.roll_back(state, "test"), undone


def fake_checkpoints(monkeypatch: pytest.MonkeyPatch, created: dict[str, Any]) -> list[str]:
    """NetworkManager has these checkpoints: path -> creation time in ms, or None when it does not report one.

    Returns the list of the paths that are rolled back. All last as long as a trial, except `/C/others`.
    """
    calls: list[str] = []

    def run(*argv: str, **_: Any) -> str:
        if "CheckpointRollback" in argv:
            calls.append(argv[-1])
        elif created[argv[3]] is None:
            raise HostError("no such object")
        return f"x {created.get(argv[3])}\nu {60 if argv[3] == '/C/others' else 125}\n"

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(networkmanager, "list_checkpoints", lambda: list(created))
    return calls


GLOBAL = {
    "searches": {"type": "as", "data": ["a.org"]},
    "domains": {
        "type": "a{sv}",
        "data": {"*": {"type": "a{sv}", "data": {"servers": {"type": "as", "data": ["10.1.1.1", "10.1.1.2"]}}}},
    },
}


class GlobalDns:
    """NetworkManager's property of global name servers, and its file."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Json, accepts: bool = True) -> None:
        self.value, self.accepts, self.set = value, accepts, [""]
        file = tmp_path / "intern.conf"
        file.write_text("# NetworkManager's\n[.intern.global-dns-domain-*]\nservers=10.1.1.1\n")
        monkeypatch.setattr(networkmanager, "INTERN_FILE", str(file))
        monkeypatch.setattr(networkmanager, "is_running", lambda: True)
        monkeypatch.setattr(programs, "run_json", lambda *_: {"type": "a{sv}", "data": self.value})
        monkeypatch.setattr(programs, "run", self.run)

    def run(self, *argv: str, **_: Any) -> str:
        self.set = list(argv[argv.index("GlobalDnsConfiguration") + 1 :])
        if self.accepts:
            self.value = {} if self.set == ["a{sv}", "0"] else GLOBAL
        return ""


class BondedNics:
    """A bond and its ports, and the commands that were run. The bond's MAC cannot change while its ports are up."""

    def __init__(self, address: str, busy: bool) -> None:
        self.address, self.busy, self.commands = address, busy, list[str]()

    def links(self) -> dict[str, Any]:
        ports = {
            f"eth{n}": {"kind": None, "master": "bond0", "mac": f"02::{n}", "address": self.address} for n in (0, 1)
        }
        return {"bond0": {"kind": "bond", "master": None, "mac": None, "address": self.address}, **ports}

    def run(self, *argv: str) -> str:
        self.commands.append(" ".join(argv))
        self.busy = self.busy and "down" not in argv
        if self.busy and "set" in argv:
            raise HostError("RTNETLINK answers: Device or resource busy")
        return ""


class ProfilesAndLinks:
    """Profiles and links of a host. While NetworkManager runs, a virtual link is deleted with its profile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, devices: dict[str, str], running: bool = True) -> None:
        self.devices, self.running = dict(devices), running
        self.links = {"eth0": {"kind": None}, **{name: {"kind": "bridge"} for name in devices.values()}}
        self.calls: list[str] = []
        monkeypatch.setattr(programs, "run", self.run)
        monkeypatch.setattr(networkmanager, "list_profiles", self.profiles)
        monkeypatch.setattr(links, "read_links", lambda: dict(self.links))
        monkeypatch.setattr(clock, "wait_until", lambda condition, *_: condition())

    def profiles(self) -> list[dict[str, Any]]:
        if not self.running:
            raise HostError("nmcli: NetworkManager is not running")
        return [{"uuid": uuid} for uuid in self.devices]

    def run(self, *argv: str, timeout: float = 30) -> str:
        self.calls.append(" ".join(argv))
        if argv[0] == "nmcli":
            for uuid in argv[argv.index("uuid") + 1 :: 2]:
                del self.links[self.devices.pop(uuid)]
        else:
            del self.links[argv[-1]]
        return ""


def make_snapshot(state: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot with this state of the host."""
    return {"names": [], "macs": [], "uuids": [], "files": [], **json.loads(json.dumps(state))}


def snapshot_keyfiles(keyfiles: Path, monkeypatch: pytest.MonkeyPatch, **stems: str) -> dict[str, Any]:
    """Write and return the snapshot of a host where each of these files (stem -> UUID) is a connection profile."""
    rows = [{"uuid": u, "device": None, "file": str(keyfiles / f"{f}.nmconnection"), "id": f} for f, u in stems.items()]
    monkeypatch.setattr(snapshot, "read_host_state", lambda *_: {"profiles": rows})
    before = snapshot.take_snapshot([], [], sorted(stems.values()), [])
    files.write_file(str(keyfiles.parent / "open" / "snapshot.json"), json.dumps(before).encode())
    return before


RULES = {
    "4": "0:\tfrom all lookup local\n100:\tfrom 10.1.1.5 lookup 77 proto static\n",
    "6": "0:\tfrom all lookup local\n",
}


class Host(GuestPorts):
    """A host whose bridge br0 is the transaction's, with a VLAN of another tool over it, and a NIC of nobody's."""

    def __init__(self, keyfiles: Path) -> None:
        super().__init__()
        self.rules = {family: text.splitlines() for family, text in RULES.items()}
        self.keyfiles = keyfiles
        self.addresses = {"br0": ["10.1.1.5"], "br0.50": ["10.50.0.1"], "eth7": ["10.7.0.1"]}
        self.routes: list[dict[str, Any]] = [{"dst": "10.7.0.0/24", "dev": "eth7"}]
        self.dynamic: set[str] = set()
        self.has_local_route = True
        self.add("eth0", 2, "", master="br0")
        self.add("br0.50", 20, "vlan", link="br0")
        self.add("eth7", 30, "")
        for name in ("eth0", "eth7"):
            del self.rows[name]["linkinfo"]["info_kind"]
            self.rows[name].update(address=f"02::{name[-1]}", link_type="ether")

    def run_json(self, *argv: str) -> Any:
        if argv[:3] == ("ip", "-j", "address"):
            return [
                {
                    "ifname": name,
                    "addr_info": [
                        {"local": a, "prefixlen": 24, **({"dynamic": True} if a in self.dynamic else {})} for a in found
                    ],
                }
                for name, found in self.addresses.items()
            ]
        if argv[-2:] == ("table", "local"):
            return [{"type": "local", "dst": "127.0.0.0/8", "dev": "lo"}] if self.has_local_route else []
        if "route" in argv:
            return self.routes if "-4" in argv else []
        return super().run_json(*argv) if argv[0] in ("ip", "bridge") else []

    def run(self, *argv: str, text: str = "", **_: Any) -> str:
        if argv[:2] == ("ip", "address"):  # ip address VERB ADDRESS/24 dev NAME
            address, found = argv[3].partition("/")[0], self.addresses[argv[5]]
            found.append(address) if argv[2] == "add" else found.remove(address)
            return ""
        if argv[:5] == ("ip", "route", "replace", "local", "127.0.0.0/8"):
            self.has_local_route = True
            return ""
        if argv[2:4] == ("route", "del"):
            self.routes.remove({"dst": argv[4], "dev": argv[6]})
            return ""
        if argv[2:3] != ("rule",):
            return super().run(*argv, text=text)
        if argv[1] == "-6" and not Path(links.SYSCTL, "ipv6").exists():
            raise HostError("RTNETLINK answers: Address family not supported by protocol\nDump terminated")
        rules = self.rules[argv[1][1:]]
        if argv[3] == "show":
            return "\n".join(rules) + "\n"
        rule = f"{argv[5]}:\t{' '.join(argv[6:])}"
        self.commands.append(" ".join(argv))
        rules.append(rule) if argv[3] == "add" else rules.remove(rule)
        return ""

    def write_keyfile(self, name: str, text: str) -> None:
        (self.keyfiles / f"{name}.nmconnection").write_text(text)


def simulate_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a host that programs read and change. Its firewalld does not run."""
    (tmp_path / "profiles").mkdir()
    made = Host(tmp_path / "profiles")
    (tmp_path / "sysctl" / "ipv6").mkdir(parents=True)
    monkeypatch.setattr(links, "SYSCTL", str(tmp_path / "sysctl"))
    monkeypatch.setattr(networkmanager, "PROFILE_FOLDERS", (str(tmp_path / "profiles"),))
    monkeypatch.setattr(networkmanager, "list_profiles", list)
    monkeypatch.setattr(networkmanager, "read_name_servers", dict)
    monkeypatch.setattr(networkmanager, "read_global_dns", dict)
    monkeypatch.setattr(firewalld, "is_running", lambda: False)
    monkeypatch.setattr(programs, "run_json", made.run_json)
    monkeypatch.setattr(programs, "run", made.run)
    made.write_keyfile("eth7", "[connection]\nuuid=u-7\ninterface-name=eth7\n")
    return made
