"""What else on a host decides whether a change is safe. host/read_surroundings reads it, core/refusals judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from kvmnet.core.live.pull_settings import PullSettings
from kvmnet.core.live.running_guests import Running


@dataclass(frozen=True)
class LinkFile:
    """A systemd.link(5) file that kvmnet did not write, with its drop-ins: its [Match] section, and the keys that it
    sets besides names (`WakeOnLan`, `MTUBytes` …)."""

    path: str
    match: Mapping[str, str]
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamingRule:
    """A udev rule that assigns a name (`NAME=`), with its file."""

    file: str
    text: str


@dataclass(frozen=True)
class NetworkDisk:
    """A disk that the host needs and that comes over the network: `use` is a mount point or `swap …`, `kind` the
    protocol; `server` and the `interface` that leads to it are None when they are unknown."""

    use: str
    kind: str
    server: Optional[str] = None
    interface: Optional[str] = None


@dataclass(frozen=True)
class Room:
    """The free space in a folder that kvmnet writes to: bytes, and files (None when the file system does not count
    them)."""

    path: str
    bytes: int
    files: Optional[int] = None


@dataclass(frozen=True)
class ConfigFile:
    """A file of NetworkManager's configuration, with its text."""

    path: str
    text: str


@dataclass(frozen=True)
class UnmanagedRule:
    """A udev rule that makes NetworkManager leave interfaces alone (`NM_UNMANAGED`): its file, and the name patterns
    and device types (DEVTYPE) of the interfaces; empty for any."""

    file: str
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


#: What a use of an interface's name by a libvirt network is called; its text is the network's name.
LIBVIRT_NETWORK = "libvirt network"


@dataclass(frozen=True)
class NameUse:
    """A place in the configuration of another tool that names interfaces: what it is (`iptables rule`), its text, and
    the existing interfaces that it names."""

    what: str
    text: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class HostConfiguration:
    """The settings of /etc/kvmnet/kvmnet.conf: whether commands of definitions may run on this host, and those of pull
    mode. `problem` is the reason why the file cannot be used; every setting has its default then."""

    allows_commands: bool = False
    problem: str = ""
    pull: PullSettings = field(default_factory=PullSettings)


def _configuration_from_json(data: Mapping[str, Any]) -> HostConfiguration:
    pull: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.get("pull", {}).items()
    }
    return HostConfiguration(data.get("allows_commands", False), data.get("problem", ""), PullSettings(**pull))


@dataclass(frozen=True)
class Surroundings:
    """What else on the host matters for a change.

    unmanaged: NICs that NetworkManager does not manage.
    link_files: other tools' `.link` files, in the order in which udev reads them; naming_rules: udev's rules.
    cloud_init: what shows that cloud-init configures the network, empty when it does not.
    boot_network: what shows that an initramfs configures the network.
    initramfs: the images that contain a `.link` file of kvmnet, or may contain one; read only when one of these files
        is removed or changes.
    network_disks: disks that come over the network.
    cluster: active services that may fence this node.
    room: free space.
    running: the running guests.
    profile_settings: connection profiles by interface, as NetworkManager's D-Bus API has them without defaults: setting
        -> key -> [signature, value]. Only those that core/planning/carried_settings needs.
    manager_files: NetworkManager's configuration, in the order in which it reads the files.
    unmanaged_rules: udev's rules by which NetworkManager leaves interfaces alone.
    networkd: the interfaces that systemd-networkd has configured, each with its file (empty if unknown).
    ifupdown: the interfaces that ifupdown would configure, each with the file that names it.
    read_only: the folders, of those that kvmnet writes to, in which no file can be written.
    name_uses: what names interfaces in the configuration of other tools, above all firewall rules.
    configuration: kvmnet's own configuration of this host.
    zone_names: firewalld's zones; None when firewalld does not run, or was not asked.
    libvirt: the version of libvirt, empty if it is not installed; read only for guests on VLANs of a bridge.
    """

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
    profile_settings: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    manager_files: tuple[ConfigFile, ...] = ()
    unmanaged_rules: tuple[UnmanagedRule, ...] = ()
    networkd: Mapping[str, str] = field(default_factory=dict)
    ifupdown: Mapping[str, str] = field(default_factory=dict)
    read_only: tuple[str, ...] = ()
    name_uses: tuple[NameUse, ...] = ()
    configuration: HostConfiguration = field(default_factory=HostConfiguration)
    zone_names: Optional[tuple[str, ...]] = None
    libvirt: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Surroundings:
        """Return the object from its JSON form. Facts that an older recording lacks are empty."""
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
            profile_settings=dict(data.get("profile_settings", {})),
            manager_files=tuple(ConfigFile(**f) for f in data.get("manager_files", ())),
            unmanaged_rules=tuple(
                UnmanagedRule(r["file"], tuple(r["names"]), tuple(r["types"])) for r in data.get("unmanaged_rules", ())
            ),
            networkd=dict(data.get("networkd", {})),
            ifupdown=dict(data.get("ifupdown", {})),
            read_only=tuple(data.get("read_only", ())),
            name_uses=tuple(NameUse(u["what"], u["text"], tuple(u["names"])) for u in data.get("name_uses", ())),
            configuration=_configuration_from_json(data.get("configuration", {})),
            zone_names=tuple(data["zone_names"]) if data.get("zone_names") is not None else None,
            libvirt=data.get("libvirt", ""),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object as plain data for JSON."""
        data: dict[str, Any] = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}
