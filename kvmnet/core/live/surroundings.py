"""What else on a host decides whether a change is safe: read by host/read_surroundings, judged by core/refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from kvmnet.core.live.running_guests import Running


@dataclass(frozen=True)
class LinkFile:
    """A systemd.link(5) file that is not ours, drop-ins included: its [Match] section, and which keys it sets
    beyond names (`WakeOnLan`, `MTUBytes` …)."""

    path: str
    match: Mapping[str, str]
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamingRule:
    """A rule of udev that assigns a name (`NAME=`), with its file."""

    file: str
    text: str


@dataclass(frozen=True)
class NetworkDisk:
    """What the machine cannot run without and that comes over a network: `use` is a mount point or `swap …`,
    `kind` the protocol; `server` and the `interface` on the way to it where they could be found."""

    use: str
    kind: str
    server: Optional[str] = None
    interface: Optional[str] = None


@dataclass(frozen=True)
class Room:
    """What is free where kvmnet writes: bytes, and files (None where a file system does not count them)."""

    path: str
    bytes: int
    files: Optional[int] = None


@dataclass(frozen=True)
class Surroundings:
    """`unmanaged` are NICs that NetworkManager leaves alone, `link_files` in the order that udev takes them,
    `cloud_init` what shows that cloud-init configures the network (empty: it does not), `boot_network` what
    shows that an initramfs does, `initramfs` the images that have a .link file of ours, or may have one (asked where
    one goes or changes), `cluster` the active services that may fence this node, `running` the guests."""

    unmanaged: tuple[str, ...] = ()
    link_files: tuple[LinkFile, ...] = ()
    naming_rules: tuple[NamingRule, ...] = ()
    cloud_init: str = ""
    boot_network: tuple[str, ...] = ()
    initramfs: tuple[str, ...] = ()
    network_disks: tuple[NetworkDisk, ...] = ()
    cluster: tuple[str, ...] = ()
    room: tuple[Room, ...] = field(default_factory=tuple)
    running: Running = field(default_factory=Running)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Surroundings:
        """What `to_json` gave; a recording from before a fact was read has none of it."""
        return cls(
            unmanaged=tuple(data.get("unmanaged", ())),
            link_files=tuple(
                LinkFile(f["path"], dict(f["match"]), tuple(f["sets"])) for f in data.get("link_files", ())
            ),
            naming_rules=tuple(NamingRule(**r) for r in data.get("naming_rules", ())),
            cloud_init=data.get("cloud_init", ""),
            boot_network=tuple(data.get("boot_network", ())),
            initramfs=tuple(data.get("initramfs", ())),
            network_disks=tuple(NetworkDisk(**d) for d in data.get("network_disks", ())),
            cluster=tuple(data.get("cluster", ())),
            room=tuple(Room(**r) for r in data.get("room", ())),
            running=Running.from_json(data.get("running", {})),
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data that JSON takes."""
        found: dict[str, Any] = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}
