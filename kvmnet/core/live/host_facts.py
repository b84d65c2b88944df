"""The facts of a host that `kvmnet doctor` examines, as plain data. host/read_doctor reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from kvmnet.core.boot.boot_files import BootFiles
from kvmnet.core.live.live_host import ConnectionProfile, Link
from kvmnet.core.live.surroundings import Surroundings


@dataclass(frozen=True)
class Service:
    """A unit of systemd: whether it is installed, active (or starting), and enabled at boot."""

    is_installed: bool = False
    is_active: bool = False
    is_enabled: bool = False


@dataclass(frozen=True)
class HostFacts:
    """What was read of a host. Empty or None is what could not be read.

    is_root: only root can read everything.
    package_manager: dnf or apt-get.
    python: path and version of this Python. binding_problem: why it cannot import libnmstate, empty if it can.
    nmstate, networkmanager, libvirt: versions; empty when the program is missing. networkmanager_problem: why
        NetworkManager does not answer.
    services: units by their name without `.service`.
    links: the kernel's links. profiles: NetworkManager's connection profiles; boot: the files of the next boot.
    checkpoints: NetworkManager's checkpoints of other tools.
    zones: firewalld's zones by interface, default_zone: its default zone; None when it does not run.
    selinux: whether SELinux enforces; None without SELinux. booleans: its booleans that matter, by name.
    bridge_filters: the settings of br_netfilter that send bridged frames through the firewall.
    has_kvm: whether /dev/kvm exists. has_hook: whether kvmnet's libvirt hook is installed.
    nmstate_files: files in /etc/nmstate that were not applied. ifcfg_files: profiles in the old format.
    known_nics: the MAC addresses of the NICs in the definition or the applied bundle, or the names of those without
        one; None without a definition and a bundle.
    open_transaction: whether one is open.
    is_time_synchronized: None if unknown.
    name_servers: those of /etc/resolv.conf; silent_servers: those of them that do not reply.
    options: those of the kernel command line.
    problems: what could not be read, with the reason.
    """

    is_root: bool = True
    package_manager: str = "dnf"
    python: str = ""
    binding_problem: str = ""
    nmstate: str = ""
    networkmanager: str = ""
    networkmanager_problem: str = ""
    libvirt: str = ""
    services: Mapping[str, Service] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    profiles: tuple[ConnectionProfile, ...] = ()
    boot: Optional[BootFiles] = None
    checkpoints: tuple[str, ...] = ()
    zones: Optional[Mapping[str, str]] = None
    default_zone: str = ""
    selinux: Optional[bool] = None
    booleans: Mapping[str, bool] = field(default_factory=dict)
    bridge_filters: tuple[str, ...] = ()
    has_kvm: bool = True
    has_hook: bool = False
    nmstate_files: tuple[str, ...] = ()
    ifcfg_files: tuple[str, ...] = ()
    known_nics: Optional[frozenset[str]] = None
    open_transaction: bool = False
    is_time_synchronized: Optional[bool] = None
    name_servers: tuple[str, ...] = ()
    silent_servers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    surroundings: Surroundings = field(default_factory=Surroundings)
    problems: tuple[str, ...] = ()

    @property
    def nics(self) -> list[Link]:
        """The physical NICs, by name."""
        return sorted((n for n in self.links.values() if n.mac and n.kind is None), key=lambda link: link.name)

    def service(self, name: str) -> Service:
        """Return a unit by its name without `.service`."""
        return self.services.get(name, Service())
