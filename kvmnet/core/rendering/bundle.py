"""The bundle: everything that one host needs, and all that `apply` reads.

`render` writes a bundle as a folder. The transaction uses bundles only, so a committed bundle and a new definition are
applied in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import State
from kvmnet.core.base.probe import Probe

#: Version of the folder's format. kvmnet rejects a bundle with another version.
FORMAT = 1


@dataclass(frozen=True)
class Nic:
    """A physical NIC of the definition.

    `interface` is its key in the definition. `kernel_name` is the name from `match: {name: ...}`. `name` is the kernel
    name that it gets; it differs only if the naming policy renames NICs. `mac` is its permanent MAC address in lower
    case with colons. `bridge` is the bridge that it is a port of. `link_file` is the systemd.link(5) file that gives it
    its name at boot: if the naming policy renames NICs, every NIC with a known MAC address has one.
    """

    interface: str
    name: str
    kernel_name: Optional[str] = None
    mac: Optional[str] = None
    bridge: Optional[str] = None
    link_file: Optional[str] = None


@dataclass(frozen=True)
class Bundle:
    """The bundle of one host.

    `profile` is the name of its naming policy. `state` is its nmstate state, `guests` that of the devices that exist
    only while a guest runs. `links` are the .link files, name to text. `probes` are those of the definition.
    `profile_settings` is what nmstate has no key for: the settings of NetworkManager's connection profiles that kvmnet
    sets itself, by interface, named as in nmcli (`bridge.vlan-filtering`). `stated_macs` are the interfaces whose MAC
    address the definition states; another MAC address in the state is only the default for a new interface.
    `stated_stp` are the bridges whose spanning tree the definition states; elsewhere an adopted bridge keeps its own.
    `trusting` are the MAC addresses of guests' NICs whose macvtaps follow the filters of the guest. `digest` is
    "sha256:<hex>" of all this. Equal views give equal digests, with every version of kvmnet and Python.
    """

    cluster: str
    host: str
    profile: str
    nics: tuple[Nic, ...]
    state: State
    guests: Optional[State] = None
    links: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    probes: tuple[Probe, ...] = ()
    profile_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stated_macs: tuple[str, ...] = ()
    stated_stp: tuple[str, ...] = ()
    trusting: tuple[str, ...] = ()
