"""What a host is right now, as plain data: read by the shell, compared by the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import State
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.rendering.bundle import Nic

UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Link:
    """One network interface as the kernel has it. `mac` is the permanent MAC of a NIC (lower case), None
    for virtual links; `kind` is rtnetlink's (bridge, vlan, macvtap …), None for a NIC."""

    name: str
    mac: Optional[str]
    kind: Optional[str]
    altnames: tuple[str, ...] = ()
    master: Optional[str] = None
    base: Optional[str] = None


@dataclass(frozen=True)
class Profile:
    """A NetworkManager connection profile that is active on `device`, or on none (empty). `file` is its keyfile: under
    /run while it is only in memory. `zone` is its firewalld zone, empty for the default zone. It is bound to an
    `interface_name`, a permanent `mac` or names that `match` (its match.interface-name), each empty where it is not,
    and makes what it is on a port of `controller` (a name or a profile's UUID). At boot those that `autoconnect` are
    asked, the highest `priority` first. What begins with `dhcp` is by what it asks for an address, each empty where
    that is left to NetworkManager. `rules4` and `rules6` are its routing rules, in nmcli's words. `client_id` (DHCPv4),
    `duid` and `iaid` (DHCPv6) are by what it asks in truth, as bytes (`ff:2b:…`), each empty where NetworkManager does
    not tell: while no server has answered."""

    uuid: str
    id: str
    type: str
    device: str
    file: str
    interface_name: str = ""
    zone: str = ""
    autoconnect: bool = True
    priority: int = 0
    mac: str = ""
    match: str = ""
    controller: str = ""
    dhcp4_client_id: str = ""
    dhcp4_iaid: str = ""
    dhcp6_duid: str = ""
    dhcp6_iaid: str = ""
    rules4: str = ""
    rules6: str = ""
    client_id: str = ""
    duid: str = ""
    iaid: str = ""

    @property
    def saved(self) -> bool:
        """Whether the profile would survive a reboot."""
        return bool(self.file) and not self.file.startswith("/run/")


@dataclass(frozen=True)
class Owned:
    """An interface of the bundle that was applied last: nmstate's `type`, whether kvmnet made it (else it was
    there before, a NIC or what a person made), the UUID of the profile that kvmnet makes for it."""

    type: str
    made: bool
    uuid: str = ""


@dataclass(frozen=True)
class Live:
    """The whole reading. `state` is nmstate's `show`; `profiles` are the active ones by device, `idle` those that are
    active on none; `link_files` are kvmnet's own files in
    /etc/systemd/network by name; `zones` are firewalld's by interface (None: firewalld does not run);
    `settings` are kvmnet's files among NetworkManager's own settings by path;
    `applied` is the digest of the bundle that was applied last, `hook` the text of what libvirt's hook may make by it
    (None: there is none), both UNREADABLE for one who may not look; `owned` are its interfaces by name,
    `applied_state` its state; `first_names` are the kernel names that NICs had before kvmnet, by permanent MAC;
    `temporary` are the IPv6 addresses that the kernel changes by and by (RFC 8981)."""

    hostname: str
    state: State
    links: Mapping[str, Link]
    profiles: Mapping[str, Profile]
    link_files: Mapping[str, str] = field(default_factory=dict)
    zones: Optional[Mapping[str, str]] = None
    applied: Optional[str] = None
    hook: Optional[str] = UNREADABLE
    checkpoints: tuple[str, ...] = ()
    nmstate: str = ""
    networkmanager: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    owned: Mapping[str, Owned] = field(default_factory=dict)
    applied_state: State = field(default_factory=dict)
    first_names: Mapping[str, str] = field(default_factory=dict)
    surroundings: Surroundings = field(default_factory=Surroundings)
    idle: tuple[Profile, ...] = ()
    temporary: tuple[str, ...] = ()

    def nic(self, mac: str) -> Optional[Link]:
        """The NIC of this permanent MAC."""
        return next((n for n in self.links.values() if n.mac == mac.lower()), None)

    def find(self, nic: Nic) -> Optional[Link]:
        """The link of a definition's NIC: by its permanent MAC; without one by its kernel name, which a NIC has or
        had before kvmnet."""
        if nic.mac is not None:
            return self.nic(nic.mac)
        link = self.links.get(nic.name)
        if link is not None and link.kind is None:
            return link
        return next(
            (here for mac, name in self.first_names.items() if name == nic.name and (here := self.nic(mac))), None
        )

    def macs(self) -> dict[str, str]:
        """Kernel names of the NICs by permanent MAC."""
        return {n.mac: n.name for n in self.links.values() if n.mac}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Live:
        """A recorded reading (`to_json`): for plans made away from the host."""
        links = {
            n["name"]: Link(n["name"], n["mac"], n["kind"], tuple(n["altnames"]), n["master"], n.get("base"))
            for n in data["links"]
        }
        return cls(
            hostname=data["hostname"],
            state=data["state"],
            links=links,
            profiles={p["device"]: Profile(**p) for p in data["profiles"]},
            link_files=data["link_files"],
            zones=data["zones"],
            applied=data["applied"],
            hook=data.get("hook", UNREADABLE),
            checkpoints=tuple(data["checkpoints"]),
            nmstate=data["nmstate"],
            networkmanager=data["networkmanager"],
            settings=data.get("settings", {}),
            owned={name: Owned(**row) for name, row in data.get("owned", {}).items()},
            applied_state=data.get("applied_state", {}),
            first_names=data.get("first_names", {}),
            surroundings=Surroundings.from_json(data.get("surroundings", {})),
            idle=tuple(Profile(**p) for p in data.get("idle", ())),
            temporary=tuple(data.get("temporary", ())),
        )

    def to_json(self) -> dict[str, Any]:
        """The reading as plain data that JSON takes."""
        return {
            "hostname": self.hostname,
            "state": self.state,
            "links": [
                {
                    "name": n.name,
                    "mac": n.mac,
                    "kind": n.kind,
                    "altnames": list(n.altnames),
                    "master": n.master,
                    "base": n.base,
                }
                for n in self.links.values()
            ],
            "profiles": [asdict(p) for p in self.profiles.values()],
            "idle": [asdict(p) for p in self.idle],
            "temporary": list(self.temporary),
            "link_files": dict(self.link_files),
            "zones": dict(self.zones) if self.zones is not None else None,
            "applied": self.applied,
            "hook": self.hook,
            "checkpoints": list(self.checkpoints),
            "nmstate": self.nmstate,
            "networkmanager": self.networkmanager,
            "settings": dict(self.settings),
            "owned": {name: asdict(owned) for name, owned in self.owned.items()},
            "applied_state": self.applied_state,
            "first_names": dict(self.first_names),
            "surroundings": self.surroundings.to_json(),
        }


def version_of(text: str) -> tuple[int, ...]:
    """A program's version as numbers that can be compared; empty when it is not known."""
    numbers = []
    for part in text.split("-", maxsplit=1)[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers[:3])
