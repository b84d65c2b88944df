"""When the kernel's part of the live state is enough, and what NetworkManager's part adds to it.

nmstate's `show` reads every profile, active connection and device from NetworkManager one by one. On a host with many
interfaces this takes five times as long as reading the kernel (64 interfaces in the lab: 4.7 s instead of 0.8 s). Only
this comes from NetworkManager (nmstate 2.2.62, nm/show.rs): whether an interface uses DHCP or a router's prefix and
what it accepts from them, name servers, 802.1X, LLDP, and whether NetworkManager manages a device. When everything is
static, and the definition wants nothing else, the kernel's part and one reading of all profiles contain the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.base.nmstate import FAMILIES, State, interfaces_of

#: The keys that an address family may have for the kernel's part to be enough.
_STATIC_KEYS = {"enabled", "dhcp", "autoconf", "address"}
#: NetworkManager's methods that use no server or router; a port has no method.
_STATIC_METHODS = {"manual", "disabled", ""}
#: NM_DEVICE_STATE_UNMANAGED; UNAVAILABLE and DISCONNECTED are "down" in nmstate.
_UNMANAGED, _DOWN = 10, (20, 30)


@dataclass(frozen=True)
class ManagedDevice:
    """A device in NetworkManager: its state (NMDeviceState), and the `methods` (ipv4, ipv6) of its active profile;
    None when it has none. `external`: the profile only mirrors what another program set up
    (NM_ACTIVATION_STATE_FLAG_EXTERNAL)."""

    state: int
    methods: Optional[tuple[str, str]] = None
    external: bool = False

    @property
    def asks(self) -> tuple[str, ...]:
        """The methods by which NetworkManager configures its addresses."""
        return () if self.external or self.methods is None else self.methods


Devices = Mapping[str, ManagedDevice]


def needs_only_kernel(wanted: State) -> bool:
    """Whether a state contains only what the kernel shows, or what is static."""
    if wanted.get("dns-resolver"):
        return False
    for interface in interfaces_of(wanted):
        for family in FAMILIES:
            settings = interface.get(family, {})
            if set(settings) - _STATIC_KEYS or settings.get("dhcp") or settings.get("autoconf"):
                return False
        if "lldp" in interface:
            return False
        if "balance_slb" in interface.get("link-aggregation", {}).get("options", {}):
            return False
    return True


def is_all_static(devices: Devices) -> bool:
    """Whether NetworkManager configures no device by DHCP or from a router. Devices that it only watches (libvirt's
    virbr0) do not count: `show` contains only the kernel's part of them."""
    methods = [method for name, device in devices.items() if name != "lo" for method in device.asks]
    return set(methods) <= _STATIC_METHODS


def has_no_lifetimes(kernel: State) -> bool:
    """Whether no address in the kernel has a lifetime, as addresses from DHCP or a router have."""
    addresses = [a for i in interfaces_of(kernel) for f in FAMILIES for a in i.get(f, {}).get("address", [])]
    return not any(key in address for address in addresses for key in ("valid-life-time", "valid-left"))


def add_networkmanager(kernel: State, devices: Devices) -> State:
    """Return the kernel's state with what `show` adds to it on a host where everything is static."""
    return {**kernel, "interfaces": [_add_device(i, devices.get(i["name"])) for i in interfaces_of(kernel)]}


def _add_device(interface: dict[str, Any], device: Optional[ManagedDevice]) -> dict[str, Any]:
    if device is None or interface["name"] == "lo":
        return interface
    result = dict(interface)
    if device.state <= _UNMANAGED:
        result["state"] = "ignore"
    else:
        result["state"] = "down" if device.state in _DOWN else "up"
    for family, method in zip(FAMILIES, device.asks):
        settings = interface.get(family)
        if method == "manual" and isinstance(settings, Mapping):
            static = {"dhcp": False} if family == "ipv4" else {"dhcp": False, "autoconf": False}
            result[family] = {**settings, **static}
    return result
