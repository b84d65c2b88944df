"""When the kernel tells all of the live state that a plan asks for, and what NetworkManager adds to it then.

nmstate's `show` asks NetworkManager for every profile, active connection and device one by one, which on a host of
many takes five times as long as its reading of the kernel (64 interfaces in the lab: 4.7 s to 0.8). What comes from
there alone (nmstate 2.2.62, nm/show.rs) is whether an address is asked for by DHCP or from a router, what of its
answers is used, name servers, 802.1X, LLDP, and whether a device is NetworkManager's. Where all that is static, and a
definition asks for nothing else, the kernel's part and one look at all profiles say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.base.nmstate import FAMILIES, State, interfaces_of

#: What a state may say of a family for the kernel to be enough.
_STATIC = {"enabled", "dhcp", "autoconf", "address"}
#: NetworkManager's methods that ask nobody; a port has none.
_QUIET = {"manual", "disabled", ""}
#: NM_DEVICE_STATE_UNMANAGED; UNAVAILABLE and DISCONNECTED are down for nmstate
_UNMANAGED, _DOWN = 10, (20, 30)


@dataclass(frozen=True)
class Managed:
    """A device as NetworkManager has it: its state (NMDeviceState), the `methods` (ipv4, ipv6) of its active profile
    (None: it has none), and whether that only tells what others have set up (NM_ACTIVATION_STATE_FLAG_EXTERNAL)."""

    state: int
    methods: Optional[tuple[str, str]] = None
    external: bool = False

    @property
    def asks(self) -> tuple[str, ...]:
        """The methods by which NetworkManager gives it addresses."""
        return () if self.external or self.methods is None else self.methods


Devices = Mapping[str, Managed]


def asks_only_the_kernel(wanted: State) -> bool:
    """Whether a state says nothing but what the kernel shows, or what is static."""
    if wanted.get("dns-resolver"):
        return False
    for interface in interfaces_of(wanted):
        for family in FAMILIES:
            said = interface.get(family, {})
            if set(said) - _STATIC or said.get("dhcp") or said.get("autoconf"):
                return False
        if "balance_slb" in interface.get("link-aggregation", {}).get("options", {}):
            return False
    return True


def all_static(devices: Devices) -> bool:
    """Whether no device gets anything from others by NetworkManager; of what it only watches (libvirt's virbr0) `show`
    has the kernel's part alone."""
    methods = [m for name, held in devices.items() if name != "lo" for m in held.asks]
    return set(methods) <= _QUIET


def lasting(kernel: State) -> bool:
    """Whether no address in the kernel has an end, as one from DHCP or a router has."""
    held = [a for i in interfaces_of(kernel) for f in FAMILIES for a in i.get(f, {}).get("address", [])]
    return not any(key in address for address in held for key in ("valid-life-time", "valid-left"))


def with_manager(kernel: State, devices: Devices) -> State:
    """The kernel's state with what `show` has besides, on a host that is all static."""
    return {**kernel, "interfaces": [_managed(i, devices.get(i["name"])) for i in interfaces_of(kernel)]}


def _managed(interface: dict[str, Any], held: Optional[Managed]) -> dict[str, Any]:
    if held is None or interface["name"] == "lo":
        return interface
    new = dict(interface)
    if held.state <= _UNMANAGED:
        new["state"] = "ignore"
    else:
        new["state"] = "down" if held.state in _DOWN else "up"
    for family, method in zip(FAMILIES, held.asks):
        said = interface.get(family)
        if method == "manual" and isinstance(said, Mapping):
            more = {"dhcp": False} if family == "ipv4" else {"dhcp": False, "autoconf": False}
            new[family] = {**said, **more}
    return new
