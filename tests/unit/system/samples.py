"""Set-up that tests of kvmnet/system and kvmnet/rescue share."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from kvmnet.system import programs
from kvmnet.system.errors import HostError

IP_LINKS: list[dict[str, Any]] = [
    {"ifname": "eth0", "address": "02:00:00:00:00:01", "link_type": "ether", "mtu": 1500, "flags": ["UP"]},
    {
        "ifname": "bond0",
        "address": "02:00:00:00:00:01",
        "linkinfo": {
            "info_kind": "bond",
            "info_data": {"mode": "active-backup", "miimon": 100, "active_slave": "eth0"},
        },
    },
    {
        "ifname": "eth0.5",
        "link": "eth0",
        "linkinfo": {"info_kind": "vlan", "info_data": {"protocol": "802.1Q", "id": 5, "flags": ["REORDER_HDR"]}},
    },
    {"ifname": "br0", "linkinfo": {"info_kind": "bridge", "info_data": {"stp_state": 0, "gc_timer": 7.1}}},
]


#: The attributes of a new port, by their names in `bridge -d -j link` (iproute2 6.15).
NEW_PORT: dict[str, Any] = {
    **{"priority": 32, "cost": 100, "hairpin": False, "guard": False, "root_block": False, "fastleave": False},
    **{"learning": True, "flood": True, "mcast_flood": True, "bcast_flood": True, "mcast_router": 1},
    **{"mcast_to_unicast": False, "neigh_suppress": False, "neigh_vlan_suppress": False, "vlan_tunnel": False},
    **{"isolated": False, "locked": False, "mab": False, "mcast_max_groups": 0, "proxy_arp": False},
    **{"proxy_arp_wifi": False, "group_fwd_mask": "0"},
}
#: Those that only `ip` shows, and those that only `bridge` shows.
BY_IP, BY_BRIDGE = ("proxy_arp", "proxy_arp_wifi", "group_fwd_mask"), ("mcast_max_groups",)
STATE_NUMBERS = ["disabled", "listening", "learning", "forwarding", "blocking"]
#: How `bridge` shows the flags of a VLAN that its arguments set.
VLAN_FLAGS = {"pvid": "PVID", "untagged": "Egress Untagged"}


class GuestPorts:
    """A kernel with a bridge and guests' devices, as far as `ip` and `bridge` show and change them.

    `refused` are attributes that it does not take. `log` is what each port had when a frame could have passed: its
    VLANs and whether it was isolated, whenever a command left it forwarding.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.commands: list[str] = []
        self.port_settings: dict[str, dict[str, Any]] = {}
        self.states: dict[str, str] = {}
        self.vlans: dict[str, dict[int, list[str]]] = {}
        self.entries: dict[str, list[dict[str, Any]]] = {}
        self.refused: set[str] = set()
        self.spanning_tree = 0
        self.log: list[tuple[str, tuple[int, ...], bool]] = []
        self.add("br0", 3, "bridge")
        self.vlans["br0"] = {1: ["PVID", "Egress Untagged"]}
        self.add("vnet0", 7, "tun", master="br0", isolated=True, learning=False)
        self.add("bond0.2", 4, "vlan")
        self.add("macvtap0", 8, "macvtap", link="bond0.2")

    def add(self, name: str, index: int, kind: str, *, master: str = "", link: str = "", **settings: Any) -> None:
        data = {"stp_state": self.spanning_tree} if kind == "bridge" else {}
        row: dict[str, Any] = {"ifname": name, "ifindex": index, "mtu": 1500, "flags": ["UP", "LOWER_UP"]}
        row["linkinfo"] = {"info_kind": kind, "info_data": data}
        self.rows[name] = {**row, **({"link": link} if link else {})}
        if master:
            self.attach(name, master, settings)

    def attach(self, name: str, master: str, settings: dict[str, Any]) -> None:
        self.port_settings[name] = {**NEW_PORT, **settings}
        self.states[name] = "forwarding"
        self.vlans[name] = {1: ["PVID", "Egress Untagged"]}
        self.entries[name] = []
        self.rows[name].update({"master": master})

    def detach(self, name: str) -> None:
        del self.rows[name]["master"]
        for part in (self.port_settings, self.states, self.vlans, self.entries):
            part.pop(name, None)

    def run_json(self, *argv: str) -> Any:
        if argv[0] == "bridge":
            show = {"link": self.show_ports, "vlan": self.show_vlans, "fdb": self.show_entries}
            return show[argv[argv.index("show") - 1]]()
        return [self.show_link(name) for name in self.rows if "dev" not in argv or name == argv[-1]]

    def show_link(self, name: str) -> dict[str, Any]:
        row = self.rows[name]
        if name not in self.port_settings:
            return row
        data = {k: v for k, v in self.port_settings[name].items() if k not in BY_BRIDGE}
        data["multicast_router"] = data.pop("mcast_router", 1)
        data.update({"state": self.states[name], "id": "0x8001", "hold_timer": 0.1})
        slave = {"info_slave_kind": "bridge", "info_slave_data": data}
        return {**row, "linkinfo": {**row["linkinfo"], **slave}}

    def show_ports(self) -> list[dict[str, Any]]:
        return [
            {
                **{"ifname": name, "ifindex": self.rows[name]["ifindex"], "mtu": 1500, "mcast_n_groups": 3},
                **{"master": self.rows[name]["master"], "state": self.states[name]},
                **{k: v for k, v in settings.items() if k not in BY_IP},
            }
            for name, settings in self.port_settings.items()
            if "master" in self.rows.get(name, {})
        ]

    def show_vlans(self) -> list[dict[str, Any]]:
        shown = []
        for name, vlans in self.vlans.items():
            rows: list[dict[str, Any]] = []
            for vid, flags in sorted(vlans.items()):
                last = rows[-1] if rows else {}
                is_next = last.get("vlanEnd", last.get("vlan")) == vid - 1
                if is_next and last.get("flags", []) == flags and "PVID" not in flags:
                    last["vlanEnd"] = vid
                else:
                    rows.append({"vlan": vid, **({"flags": list(flags)} if flags else {})})
            shown.append({"ifname": name, "vlans": rows})
        return shown

    def show_entries(self) -> list[dict[str, Any]]:
        return [
            {"mac": "33:33:00:00:00:01", "ifname": "vnet0", "flags": ["self"], "state": "permanent"},
            *({"ifname": name, **entry} for name, entries in self.entries.items() for entry in entries),
        ]

    def run(self, *argv: str, text: str = "", **_: Any) -> str:
        failures = []
        for words in [line.split() for line in text.splitlines()] if "-batch" in argv else [list(argv[1:])]:
            self.commands.append(" ".join([argv[0], *words]))
            try:
                self.run_one(argv[0], words)
            except HostError as error:
                failures.append(error)
            for name, state in self.states.items():
                if state == "forwarding":
                    self.log.append((name, tuple(self.vlans[name]), self.port_settings[name]["isolated"]))
        if failures:
            raise failures[0]
        return ""

    def run_one(self, program: str, words: list[str]) -> None:
        if words[:3] == ["link", "set", "dev"]:
            name, rest = words[3], words[4:]
            if rest[0] == "master":
                return self.attach(name, rest[1], {})
            if rest[0] == "mtu":
                return self.set_mtu(name, int(rest[1]))
            if rest[0] == "address":
                return None
            assert (rest[:2] == ["type", "bridge_slave"]) == (program == "ip"), words
            return self.set_attributes(name, rest[2:] if program == "ip" else rest)
        values = dict(zip(words, words[1:]))
        if words[0] == "vlan":
            return self.change_vlans(words, values["dev"], values["vid"])
        assert words[:2] == ["fdb", "replace"], words
        entry = {"mac": words[2], "flags": ["sticky"] if "sticky" in words else [], "master": "br0"}
        vlan = {"vlan": int(values["vlan"])} if "vlan" in values else {}
        self.entries[values["dev"]].append({**entry, **vlan, "state": "static"})
        return None

    def set_mtu(self, name: str, mtu: int) -> None:
        if mtu > self.rows.get(self.rows[name].get("link", ""), {}).get("mtu", mtu):
            raise HostError("RTNETLINK answers: Numerical result out of range")
        self.rows[name]["mtu"] = mtu

    def change_vlans(self, words: list[str], name: str, vids: str) -> None:
        assert ("self" in words) == (name not in self.port_settings), words
        first, _, last = vids.partition("-")
        vlans = self.vlans[name]
        for vid in range(int(first), int(last or first) + 1):
            if words[1] == "del":
                del vlans[vid]
                continue
            if "pvid" in words:
                assert not last
                vlans.update({v: [f for f in flags if f != "PVID"] for v, flags in vlans.items()})
            vlans[vid] = [flag for word, flag in VLAN_FLAGS.items() if word in words]

    def set_attributes(self, name: str, words: list[str]) -> None:
        """Set what the words say; nothing if one is refused."""
        settings, state = dict(self.port_settings[name]), self.states[name]
        words = [word for each in words for word in (["backup_port", "none"] if each == "nobackup_port" else [each])]
        for key, value in zip(words[::2], words[1::2]):
            if key in self.refused or (key == "state" and self.spanning_tree):
                raise HostError("RTNETLINK answers: Operation not supported")
            if key == "state":
                state = STATE_NUMBERS[int(value)]
            elif value == "none":
                settings.pop(key)
            else:
                kind = int if key == "backup_nhid" else type(settings.get(key, ""))
                settings[key] = value == "on" if kind is bool else kind(value)
        settings = {key: value for key, value in settings.items() if (key, value) != ("backup_nhid", 0)}
        if settings["mab"] and not settings["locked"]:
            raise HostError("Bridge port must be locked when MAB is enabled")
        self.port_settings[name], self.states[name] = settings, state


def install_program(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, prints: bytes) -> None:
    """Install a program with this name that prints these bytes."""
    (folder / "printed").write_bytes(prints)
    (folder / name).write_text(f"#!/bin/sh\nexec cat {folder}/printed\n")
    (folder / name).chmod(0o755)
    monkeypatch.setattr(programs, "PROGRAM_PATH", f"{folder}:{programs.PROGRAM_PATH}")


def raise_read_only(*_: Any) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def raise_disk_full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
