"""A connection profile as its keyfile stores it: what decides where NetworkManager activates it, and its addresses."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.core.boot.keyfile import Groups, parse_boolean, parse_keyfile, parse_number, split_list, unescape

#: Values of connection.multi-connect: NMConnectionMultiConnect.
MULTIPLE = 3
#: NetworkManager before 1.46 knows only the old names of these keys, and ignores the new ones.
NEW_KEYS_SINCE = (1, 46)

#: The groups that are kept. Groups with passwords (802-1x, vpn, wifi-security …) are not among them.
KEPT_GROUPS = frozenset(
    {"connection", "ethernet", "bridge", "bridge-port", "bond", "bond-port", "vlan", "macvlan", "match"}
    | {"ipv4", "ipv6", "vrf", "vxlan", "ip-tunnel", "infiniband"}
)
_GROUP_ALIASES = {NM_ETHERNET: "ethernet"}
#: Types whose device NetworkManager creates: they need a name.
VIRTUAL_TYPES = frozenset(
    {"bridge", "bond", "team", "vlan", "macvlan", "dummy", "vrf", "vxlan", "ip-tunnel", "macsec", "tun", "veth"}
    | {"wireguard", "ovs-bridge", "ovs-port", "ovs-interface", "hsr", "ipvlan"}
)
#: The types that have a setting of their own name, in the order in which a missing type is derived.
_BASE_GROUPS = ("ethernet", "bridge", "bond", "vlan", "macvlan", "vrf", "vxlan", "ip-tunnel", "infiniband")
_PORT_GROUPS = {"bridge-port": "bridge", "bond-port": "bond", "team-port": "team"}
#: The namespace of UUIDs that NetworkManager derives from a file's path (nm_uuid_ns_1, nm-uuid.c).
_UUID_NAMESPACE = uuid.UUID("b425e9fb-7598-44b4-9e3b-5a2e3aaa4905")
_MAC = re.compile(r"[0-9A-Fa-f]{1,2}([:-][0-9A-Fa-f]{1,2}){5}\Z")


@dataclass(frozen=True)
class StoredProfile:
    """A connection profile in a keyfile.

    file: the keyfile's path. groups: its raw values. mtime: when it was written, in ns. regenerated: another program
    writes it again at each boot (netplan, an initramfs), so it is there although its folder is not on disk.
    """

    file: str
    groups: Groups
    mtime: int = 0
    regenerated: bool = False
    knows_new_keys: bool = True

    def _raw(self, group: str, key: str) -> str:
        return self.groups.get(group, {}).get(key, "")

    def value(self, group: str, *keys: str) -> str:
        """Return the value of the first of these keys that is set, as text; empty without any."""
        return next((unescape(raw) for key in keys if (raw := self._raw(group, key))), "")

    def _list(self, group: str, *keys: str) -> tuple[str, ...]:
        return next((tuple(split_list(raw)) for key in keys if (raw := self._raw(group, key))), ())

    def _new_and_old(self, new: str, *old: str) -> tuple[str, ...]:
        """Return the keys to look for: NetworkManager before 1.46 does not read the new one."""
        return (new, *old) if self.knows_new_keys else old

    @cached_property
    def uuid(self) -> str:
        """The UUID; a keyfile without one gets one that is derived from its path (nm_keyfile_read_ensure_uuid)."""
        return self.value("connection", "uuid").lower() or _derive_uuid(self.file)

    @cached_property
    def id(self) -> str:
        """The id; NetworkManager takes the file's name when there is none."""
        return self.value("connection", "id") or self.file.rpartition("/")[2].removesuffix(".nmconnection")

    @cached_property
    def type(self) -> str:
        """NetworkManager's type, such as 802-3-ethernet or bridge."""
        kind = self.value("connection", "type") or next((g for g in _BASE_GROUPS if g in self.groups), "")
        return NM_ETHERNET if kind == "ethernet" else kind

    @cached_property
    def is_virtual(self) -> bool:
        """Whether NetworkManager creates the device."""
        return self.type in VIRTUAL_TYPES

    @cached_property
    def interface_name(self) -> str:
        """The interface name that it is bound to, or that its device gets; empty where it is bound to none. The old
        place of the key is the group of the type. A VLAN without a name is called PARENT.ID."""
        name = self.value("connection", "interface-name") or self.value(self.type, "interface-name")
        if not name and self.type == "vlan" and self.parent and self.value("vlan", "id"):
            name = f"{self.parent}.{self.value('vlan', 'id')}"
        return name

    @cached_property
    def mac(self) -> str:
        """The permanent MAC address that it is bound to, or empty."""
        return normalize_mac(self.value("ethernet", "mac-address"))

    @cached_property
    def denied_macs(self) -> tuple[str, ...]:
        """The permanent MAC addresses of NICs that it does not fit."""
        keys = self._new_and_old("mac-address-denylist", "mac-address-blacklist")
        return tuple(normalize_mac(mac) for mac in self._list("ethernet", *keys))

    @cached_property
    def match(self) -> Mapping[str, tuple[str, ...]]:
        """The patterns of the [match] group by key (interface-name, driver, path, kernel-command-line)."""
        return {key: tuple(split_list(raw)) for key, raw in self.groups.get("match", {}).items() if raw}

    @cached_property
    def autoconnect(self) -> bool:
        """Whether NetworkManager activates it by itself. A profile that only some users may use is not: at boot none
        has logged in."""
        is_restricted = bool(self._raw("connection", "permissions"))
        return parse_boolean(self._raw("connection", "autoconnect"), True) and not is_restricted

    @cached_property
    def priority(self) -> int:
        """The autoconnect-priority: the highest wins."""
        return parse_number(self._raw("connection", "autoconnect-priority"), 0)

    @cached_property
    def may_be_shared(self) -> bool:
        """Whether it may be activated on several devices at boot (multi-connect=multiple)."""
        return parse_number(self._raw("connection", "multi-connect"), 0) == MULTIPLE

    @cached_property
    def controller(self) -> str:
        """The name or profile UUID of its controller, or empty."""
        return self.value("connection", *self._new_and_old("controller", "master"))

    @cached_property
    def port_type(self) -> str:
        """The type of its controller: bridge, bond, …"""
        kind = self.value("connection", *self._new_and_old("port-type", "slave-type"))
        return kind or next((kind for group, kind in _PORT_GROUPS.items() if group in self.groups), "")

    @cached_property
    def activates_ports(self) -> Optional[bool]:
        """Whether its activation also activates its ports; None: as NetworkManager is configured."""
        keys = self._new_and_old("autoconnect-ports", "autoconnect-slaves")
        return {"1": True, "0": False, "true": True, "false": False}.get(self.value("connection", *keys))

    @cached_property
    def parent(self) -> str:
        """The base interface of a VLAN or macvtap: a name, a profile's UUID or a MAC address; empty for others."""
        return self.value(self.type, "parent")

    @cached_property
    def ipv4(self) -> str:
        """The IPv4 method, with its addresses: `manual 10.1.1.1/24`."""
        return self._addressing("ipv4")

    @cached_property
    def ipv6(self) -> str:
        """The IPv6 method, with its addresses."""
        return self._addressing("ipv6")

    def method(self, family: str) -> str:
        """Return the method of `ipv4` or `ipv6`. A port has no addresses."""
        if self.controller:
            return "disabled"
        return self.value(family, "method") or ("manual" if self.addresses(family) else "auto")

    def addresses(self, family: str) -> tuple[str, ...]:
        """Return the addresses of `ipv4` or `ipv6`, as ADDRESS/PREFIX."""
        return tuple(re.split("[,;]", value)[0] for _, value in self.numbered(family, ("address", "addresses")))

    def gateway(self, family: str) -> str:
        """Return the gateway: the key of that name, or the first one that follows an address."""
        gateways = (re.split("[,;]", value)[1:2] for _, value in self.numbered(family, ("address", "addresses")))
        return self.value(family, "gateway") or next((g[0] for g in gateways if g and g[0]), "")

    def numbered(self, group: str, words: tuple[str, ...]) -> list[tuple[str, str]]:
        """Return the keys WORD, WORD0, WORD1 … and their values, in the order of their numbers."""
        pattern = re.compile(f"({'|'.join(words)})([0-9]*)\\Z")
        matches = [(key, match) for key in self.groups.get(group, {}) if (match := pattern.match(key))]
        matches.sort(key=lambda pair: int(pair[1][2] or -1))
        return [(key, value) for key, _ in matches if (value := self.value(group, key))]

    def _addressing(self, family: str) -> str:
        method = self.method(family)
        return " ".join([method, *self.addresses(family)]) if method in ("manual", "auto", "shared") else method

    def changed(self, settings: Mapping[str, Mapping[str, Optional[str]]]) -> StoredProfile:
        """Return the profile with other raw values, by group and key; None removes a key."""
        groups = {name: dict(keys) for name, keys in self.groups.items()}
        for name, keys in settings.items():
            target = groups.setdefault(name, {})
            for key, value in keys.items():
                if value is None:
                    target.pop(key, None)
                else:
                    target[key] = value
        return StoredProfile(self.file, groups, self.mtime, self.regenerated, self.knows_new_keys)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoredProfile:
        """Return the profile from its JSON form."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as plain data for JSON."""
        return {
            "file": self.file,
            "groups": {name: dict(keys) for name, keys in self.groups.items()},
            "mtime": self.mtime,
            "regenerated": self.regenerated,
            "knows_new_keys": self.knows_new_keys,
        }


def read_stored_profile(
    file: str, text: str, *, mtime: int = 0, regenerated: bool = False, version: tuple[int, ...] = ()
) -> StoredProfile:
    """Return the profile of a keyfile, without the groups that may hold passwords. `version` is NetworkManager's.
    Raises KeyfileError if NetworkManager would not load the file."""
    groups: dict[str, dict[str, str]] = {}
    for name, keys in parse_keyfile(text).items():
        group = _GROUP_ALIASES.get(name, name)
        if group in KEPT_GROUPS:
            groups.setdefault(group, {}).update(keys)
    return StoredProfile(file, groups, mtime, regenerated, not version or version >= NEW_KEYS_SINCE)


def find_fault(profile: StoredProfile) -> str:
    """Return why NetworkManager would not load a profile although its file can be parsed; empty if it would. Only what
    an administrator easily does is checked (nm_connection_normalize has more)."""
    if not profile.type:
        return "it has no type"
    if profile.is_virtual and not profile.interface_name:
        return f"a {profile.type} needs an interface-name"
    for family in ("ipv4", "ipv6"):
        if not profile.controller and profile.method(family) == "manual" and not profile.addresses(family):
            return f"{family}.method=manual needs an address"
    return ""


def normalize_mac(text: str) -> str:
    """Return a MAC address in lower case with colons; empty for text that is none. Old keyfiles have a list of numbers
    (`0;20;79;128;222;0;`)."""
    numbers = [part for part in text.split(";") if part]
    if len(numbers) == 6 and all(part.isdigit() and int(part) < 256 for part in numbers):
        return ":".join(f"{int(part):02x}" for part in numbers)
    if not _MAC.match(text):
        return ""
    return ":".join(f"{int(part, 16):02x}" for part in re.split("[:-]", text))


def _derive_uuid(file: str) -> str:
    """Return the UUID that NetworkManager derives from the path (nm_uuid_generate_from_strings_old, nm-uuid.h)."""
    return str(uuid.uuid3(_UUID_NAMESPACE, f"keyfile\0{file}\0"))
