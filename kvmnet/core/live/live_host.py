"""The live host as plain data: read by kvmnet/host, compared with the definition by the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Optional

from kvmnet.core.base.nmstate import NM_ETHERNET, State, interfaces_of
from kvmnet.core.boot.boot_files import BootFiles
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.live.virtual_addresses import Claim, VirtualAddress, with_virtual
from kvmnet.core.rendering.bundle import Nic

#: Values of connection.multi-connect: the profile may be active on several devices, the first only by hand.
MANUAL_MULTIPLE, MULTIPLE = 2, 3
#: Stands for what the user may not read.
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Link:
    """A link of the kernel. `mac` is the permanent MAC address of a NIC (lower case), None for virtual links; `kind` is
    rtnetlink's (bridge, vlan, macvtap …), None for a NIC; `master` is its controller, `base` its base interface;
    `options` are those settings of its kind that kvmnet compares, as `ip -d -j link` shows them.
    `address` is the MAC address in use; `allmulticast`: it receives all multicast frames."""

    name: str
    mac: Optional[str]
    kind: Optional[str]
    altnames: tuple[str, ...] = ()
    master: Optional[str] = None
    base: Optional[str] = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    address: str = ""
    allmulticast: bool = False


@dataclass(frozen=True)
class ConnectionProfile:
    """A connection profile of NetworkManager.

    device: the device on which it is active, empty when it is inactive.
    file: its keyfile; under /run when the profile is only in memory.
    zone: its firewalld zone, empty for the default zone.
    interface_name, mac, match: the interface name, the permanent MAC address or the name patterns
        (match.interface-name) that it is bound to; empty where it is not.
    autoconnect, priority: whether it is activated at boot, and its autoconnect-priority (the highest wins).
    multi_connect: on how many devices it may be active at the same time (NMConnectionMultiConnect: 2 and 3 are more
        than one; 2 only if somebody activates it there).
    controller: the name or profile UUID of the controller of which it makes its interface a port.
    dhcp4_…, dhcp6_…: its settings for DHCP identifiers; empty where NetworkManager chooses.
    rules4, rules6: its routing rules, as nmcli prints them.
    settings: the values of base/profile_settings, as nmcli prints them; those that were not read are missing.
    client_id (DHCPv4), duid, iaid (DHCPv6): the identifiers in use, as bytes (`ff:2b:…`); empty when NetworkManager
        does not report them, as long as no server has replied.
    """

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
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    multi_connect: int = 0

    @property
    def finds_nic_by_pattern(self) -> bool:
        """Whether the profile of a NIC is not bound to one NIC permanently: it fits several, or it may not fit its NIC
        under another name, or netplan writes it again at each boot, without a binding that kvmnet has added."""
        if self.type != NM_ETHERNET:
            return False
        is_bound = bool(self.interface_name or self.mac)
        is_shared = self.multi_connect in (MANUAL_MULTIPLE, MULTIPLE)
        return not is_bound or bool(self.match) or is_shared or self.is_netplans

    @property
    def is_netplans(self) -> bool:
        """Whether netplan writes the profile at each boot."""
        return self.file.startswith("/run/NetworkManager/system-connections/netplan-")

    @property
    def saved(self) -> bool:
        """Whether the profile would survive a reboot."""
        return bool(self.file) and not self.file.startswith("/run/")


@dataclass(frozen=True)
class Owned:
    """An interface of the bundle that was applied last: its nmstate `type`; whether kvmnet created it (otherwise it is
    a NIC, or was adopted); the UUID of the profile that kvmnet creates for it."""

    type: str
    made: bool
    uuid: str = ""


@dataclass(frozen=True)
class Live:
    """A reading of the host.

    state: nmstate's `show`, without virtual addresses.
    links: the kernel's links by name.
    profiles: the active connection profiles by device; idle: the inactive ones.
    link_files: kvmnet's files in /etc/systemd/network, text by name.
    zones: firewalld's zones by interface; None when firewalld does not run.
    applied: the digest of the bundle that was applied last; None when there is none, UNREADABLE for other users
        than root.
    hook: the text of the file that lists what libvirt's hook may create; None and UNREADABLE as above.
    checkpoints: NetworkManager's checkpoints.
    nmstate, networkmanager: their versions.
    settings: kvmnet's files about guests' devices among the settings of NetworkManager and udev, text by path.
    owned: the interfaces of the applied bundle by name; applied_state: its state, with the MAC addresses that were
        chosen on this host; applied_settings: its settings of connection profiles.
    first_names: the kernel names that NICs had before kvmnet, by permanent MAC address.
    surroundings: what else matters; read only when a plan has changes.
    temporary: the temporary IPv6 addresses (RFC 8981).
    virtual: the virtual addresses that interfaces have now; claims: all that services of this host claim.
    boot: the files that the next boot reads; None for other users than root, who may not read connection profiles.
    """

    hostname: str
    state: State
    links: Mapping[str, Link]
    profiles: Mapping[str, ConnectionProfile]
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
    idle: tuple[ConnectionProfile, ...] = ()
    temporary: tuple[str, ...] = ()
    virtual: tuple[VirtualAddress, ...] = ()
    claims: tuple[Claim, ...] = ()
    applied_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    boot: Optional[BootFiles] = None

    def nic(self, mac: str) -> Optional[Link]:
        """Return the NIC with this permanent MAC address."""
        return next((n for n in self.links.values() if n.mac == mac.lower()), None)

    def find(self, nic: Nic) -> Optional[Link]:
        """Return the link of a definition's NIC: by its permanent MAC address; a NIC without one by its kernel name,
        which it has now or had before kvmnet."""
        if nic.mac is not None:
            return self.nic(nic.mac)
        link = self.links.get(nic.name)
        if link is not None and link.kind is None:
            return link
        return next(
            (link for mac, name in self.first_names.items() if name == nic.name and (link := self.nic(mac))), None
        )

    def with_recorded_macs(self, macs: Mapping[str, str]) -> Live:
        """Return the host as if the last apply had recorded these MAC addresses of bridges and bonds, by name."""
        interfaces = [
            {**i, "mac-address": macs[i["name"]]} if i["name"] in macs else i for i in interfaces_of(self.applied_state)
        ]
        return replace(self, applied_state={**self.applied_state, "interfaces": interfaces}) if macs else self

    @property
    def state_with_virtual(self) -> State:
        """The state with the virtual addresses: an operator may have come in by one."""
        return with_virtual(self.state, self.virtual)

    @property
    def virtual_ips(self) -> tuple[str, ...]:
        """All virtual addresses, whether this host has them now or not, without prefix."""
        return tuple(sorted({v.ip for v in self.virtual} | {claim.ip for claim in self.claims}))

    def macs(self) -> dict[str, str]:
        """Return the kernel names of the NICs by permanent MAC address."""
        return {n.mac: n.name for n in self.links.values() if n.mac}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Live:
        """Return the reading from its JSON form, to make plans away from the host."""
        links = {
            n["name"]: Link(
                n["name"],
                n["mac"],
                n["kind"],
                tuple(n["altnames"]),
                n["master"],
                n.get("base"),
                n.get("options", {}),
                n.get("address", ""),
                n.get("allmulticast", False),
            )
            for n in data["links"]
        }
        return cls(
            hostname=data["hostname"],
            state=data["state"],
            links=links,
            profiles={p["device"]: ConnectionProfile(**p) for p in data["profiles"]},
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
            idle=tuple(ConnectionProfile(**p) for p in data.get("idle", ())),
            temporary=tuple(data.get("temporary", ())),
            virtual=tuple(VirtualAddress(**v) for v in data.get("virtual", ())),
            claims=tuple(Claim(**c) for c in data.get("claims", ())),
            applied_settings=data.get("applied_settings", {}),
            boot=BootFiles.from_json(data["boot"]) if data.get("boot") else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the reading as plain data for JSON."""
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
                    "options": dict(n.options),
                    "address": n.address,
                    "allmulticast": n.allmulticast,
                }
                for n in self.links.values()
            ],
            "profiles": [asdict(p) for p in self.profiles.values()],
            "idle": [asdict(p) for p in self.idle],
            "temporary": list(self.temporary),
            "virtual": [asdict(v) for v in self.virtual],
            "claims": [asdict(c) for c in self.claims],
            "boot": self.boot.to_json() if self.boot is not None else None,
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
            "applied_settings": {name: dict(settings) for name, settings in self.applied_settings.items()},
            "first_names": dict(self.first_names),
            "surroundings": self.surroundings.to_json(),
        }


def version_of(text: str) -> tuple[int, ...]:
    """Return a program's version as numbers that can be compared; empty when it is unknown."""
    numbers = []
    for part in text.split("-", maxsplit=1)[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers[:3])
