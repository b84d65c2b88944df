"""A host for rollbacks in tests: links, connection profiles and firewalld zones, changed and read by command lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAC = "02:00:00:00:00:01"
PROFILE, BRIDGE_PROFILE = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"


class CommandFailed(Exception):
    """A command that the simulated host rejects."""


class SimulatedHost:
    """A host with one NIC, eth0. `change` makes the NIC peth0, the port of a bridge eth0; a rollback reverts it."""

    def __init__(self, folder: Path) -> None:
        self.commands: list[str] = []
        self.rejects_renames = False
        self.keyfiles = folder / "system-connections"
        self.link_file = folder / "network" / "00-kvmnet-peth0.link"
        self.hostname_file = folder / "hostname"
        for path in (self.keyfiles, self.link_file.parent, folder / "run"):
            path.mkdir(parents=True, exist_ok=True)
        (self.keyfiles / "eth0.nmconnection").write_text(f"[connection]\nuuid={PROFILE}\ninterface-name=eth0\n")
        self.hostname_file.write_text("before\n")
        self.links: dict[str, dict[str, Any]] = {"eth0": self._nic("eth0")}
        self.profiles = {PROFILE: {"id": "eth0", "device": "eth0", "file": str(self.keyfiles / "eth0.nmconnection")}}
        self.zones = {"eth0": "trusted"}

    @staticmethod
    def _nic(name: str) -> dict[str, Any]:
        return {"ifname": name, "ifindex": 2, "address": MAC, "link_type": "ether", "mtu": 1500, "flags": ["UP"]}

    def change(self) -> None:
        """Make the change, as its steps would."""
        nic = {**self.links.pop("eth0"), "ifname": "peth0", "master": "eth0", "altnames": ["eth0"]}
        bridge = {**self._nic("eth0"), "ifindex": 9, "linkinfo": {"info_kind": "bridge", "info_data": {"stp_state": 0}}}
        self.links = {"peth0": nic, "eth0": bridge}
        bridge_file = self.keyfiles / "bridge.nmconnection"
        bridge_file.write_text(f"[connection]\nuuid={BRIDGE_PROFILE}\n")
        self.profiles[PROFILE]["device"] = "peth0"
        self.profiles[BRIDGE_PROFILE] = {"id": "bridge", "device": "eth0", "file": str(bridge_file)}
        (self.keyfiles / "eth0.nmconnection").write_text(f"[connection]\nuuid={PROFILE}\ncontroller=eth0\n")
        self.link_file.write_text("[Match]\n")
        self.zones = {"peth0": "trusted", "eth0": "drop"}
        self.hostname_file.write_text("after\n")

    def steps(self) -> list[dict[str, Any]]:
        """The steps of the change with the undo of each, and one that cannot be undone."""
        undo: dict[str, list[dict[str, Any]]] = {
            "name the NIC": [{"op": "files", "paths": [str(self.link_file)]}],
            "bind the profile to the MAC": [{"op": "unbind name", "uuid": PROFILE}],
            "rename": [{"op": "rename", "mac": MAC, "to": "eth0", "altnames": []}],
            "create the bridge's profile": [{"op": "profile", "uuid": BRIDGE_PROFILE, "interface": "eth0"}],
            "apply": [
                {"op": "ports"},
                {"op": "checkpoint", "log": "nmstate.log"},
                {"op": "profiles", "profiles": {BRIDGE_PROFILE: "eth0"}},
                {"op": "links", "names": ["br9"]},
                {"op": "global dns"},
            ],
            "set a bond option": [{"op": "bond option", "interface": "kvmnet-none0", "option": "miimon", "value": "1"}],
            "set the hostname": [{"op": "hostname", "name": "before", "running": "before"}],
            "bind zones": [
                {"op": "zone", "interface": "peth0", "zone": None},
                {"op": "zones", "zones": {"eth0": "trusted", "peth0": None}},
            ],
            "save": [{"op": "files", "uuids": [PROFILE, BRIDGE_PROFILE]}],
        }
        return [{"title": title, "op": title, "timeout": 60, "undo": specs} for title, specs in undo.items()]

    def state(self) -> dict[str, Any]:
        """All that a rollback has to restore."""
        files = {p.name: p.read_text() for p in [*self.keyfiles.iterdir(), *self.link_file.parent.iterdir()]}
        links = {name: {k: v for k, v in link.items() if v or k == "ifname"} for name, link in self.links.items()}
        profiles = {uuid: profile["device"] for uuid, profile in self.profiles.items()}
        return {"files": files, "links": links, "profiles": profiles, "zones": self.zones}

    def run(self, *argv: str, timeout: float = 30.0, text: str = "") -> str:
        """Run a command: change the host, or return what the real program would print."""
        self.commands.append(" ".join(argv))
        answer = getattr(self, "_" + argv[0])(*argv[1:])
        return str(answer or "")

    def _ip(self, *argv: str) -> str:
        if argv[:4] == ("-d", "-j", "link", "show"):
            return json.dumps([link for link in self.links.values() if "dev" not in argv or link["ifname"] == argv[-1]])
        if argv[:3] == ("-j", "address", "show"):
            address = [{"local": "10.1.0.5", "prefixlen": 16}]
            return json.dumps([{"ifname": n, "addr_info": address if n == "eth0" else []} for n in self.links])
        if argv[1:] == ("rule", "show"):
            return "0:\tfrom all lookup local\n"
        if argv[1:4] == ("-j", "route", "show"):
            return json.dumps([{"dst": "default", "gateway": "10.1.0.1", "dev": "eth0"}] if argv[0] == "-4" else [])
        if argv[:3] == ("link", "set", "dev") and argv[4] == "name":
            if argv[5] in self.links or self.rejects_renames:
                raise CommandFailed("RTNETLINK answers: File exists")
            link = self.links.pop(argv[3])
            self.links[argv[5]] = {**link, "ifname": argv[5]}
            self.profiles[PROFILE]["device"] = argv[5]
        elif argv[:3] == ("link", "property", "del"):
            self.links[argv[4]]["altnames"].remove(argv[6])
        elif argv[:2] == ("link", "delete"):
            del self.links[argv[-1]]
        else:
            raise AssertionError(argv)
        return ""

    def _bridge(self, *argv: str) -> str:
        assert "-j" in argv and "show" in argv
        return "[]"

    def _nmcli(self, *argv: str) -> str:
        if argv[-2:] == ("connection", "show"):
            fields = argv[argv.index("-f") + 1].split(",")
            rows = [
                {"UUID": uuid, "DEVICE": profile["device"], "FILENAME": profile["file"], "NAME": profile["id"]}
                for uuid, profile in self.profiles.items()
            ]
            if "multiline" in argv:
                return "".join(f"{field}:{row[field]}\n" for row in rows for field in fields)
            return "".join(":".join(row[field] for field in fields) + "\n" for row in rows)
        if "delete" in argv:
            for uuid in argv[argv.index("uuid") + 1 :: 2]:
                profile = self.profiles.pop(uuid)
                Path(profile["file"]).unlink(missing_ok=True)
                del self.links[profile["device"]]
                for link in self.links.values():
                    if link.get("master") == profile["device"]:
                        del link["master"]
        return ""

    def _busctl(self, *argv: str) -> str:
        if "getActiveZones" in argv:
            names = {zone: [n for n, z in self.zones.items() if z == zone] for zone in self.zones.values()}
            return json.dumps({"data": [{zone: {"interfaces": interfaces} for zone, interfaces in names.items()}]})
        if "getZoneOfInterface" in argv:
            return f's "{self.zones.get(argv[-1], "")}"'
        if "changeZoneOfInterface" in argv:
            self.zones[argv[-1]] = argv[-2]
        if "removeInterface" in argv:
            del self.zones[argv[-1]]
        if "getDefaultZone" in argv:
            return 's "drop"'
        if "Checkpoints" in argv:
            return "ao 0"
        return json.dumps({"data": []}) if "--json=short" in argv else ""

    def _systemctl(self, *argv: str) -> str:
        return "active" if argv[0] == "is-active" else "inactive"

    def _hostnamectl(self, *argv: str) -> str:
        return ""

    def _udevadm(self, *argv: str) -> str:
        return ""
