"""Which existing interfaces of other tools a change takes over: adopted under their names, or replaced.

An interface of the definition that another tool created is adopted: it stays where it is, with its ports and with
every option that the definition does not state. A bridge that the definition does not contain is replaced when all its
uplinks become ports of one new bridge: that bridge takes over its guests' ports. Both need the operator's permission
(`--adopt`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kvmnet.core.base.nmstate import ETHERNET, KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.live.live_host import UNREADABLE, Link, Live
from kvmnet.core.planning.complete_bundle import ChosenMac, MacSource
from kvmnet.core.planning.ownership import belongs_to_kvmnet
from kvmnet.core.rendering.bundle import Bundle

Interface = Mapping[str, Any]

#: Kinds of links that libvirt and container tools attach to bridges. nmstate is never given them.
_GUEST_PORT_KINDS = ("tun", "veth", "macvtap")
#: The kernel's and NetworkManager's defaults of a bridge's options, in nmstate's words (nm-settings(5),
#: Documentation/networking/bridge.rst). An option with its default need not be stated.
_OPTION_DEFAULTS: Mapping[str, Any] = {
    "group-forward-mask": 0,
    "mac-ageing-time": 300,
    "multicast-last-member-count": 2,
    "multicast-last-member-interval": 100,
    "multicast-membership-interval": 26000,
    "multicast-querier": False,
    "multicast-querier-interval": 25500,
    "multicast-query-interval": 12500,
    "multicast-query-response-interval": 1000,
    "multicast-query-use-ifaddr": False,
    "multicast-router": "auto",
    "multicast-snooping": True,
    "multicast-startup-query-count": 2,
    "multicast-startup-query-interval": 3125,
}
#: The same of spanning tree, with the range that NetworkManager accepts: a bridge without spanning tree may have
#: another value (`bridge_fd 0`), which has no effect.
_STP_DEFAULTS: Mapping[str, tuple[int, range]] = {
    "forward-delay": (15, range(2, 31)),
    "hello-time": (2, range(1, 11)),
    "max-age": (20, range(6, 41)),
    "priority": (32768, range(65536)),
}
#: Options whose live value differs from the default by rounding of the kernel's clock.
_ROUNDED = {"multicast-startup-query-interval": (3124, 3125)}
#: Options that with spanning tree are not the bridge's own: the root bridge's timers, and an ageing time that the
#: kernel changes for a while after a topology change.
_TIMERS = ("forward-delay", "hello-time", "max-age", "mac-ageing-time")
_DEFAULT_MTU = 1500


def find_adopted(bundle: Bundle, live: Live) -> tuple[str, ...]:
    """Return the interfaces of the bundle that another tool created, in the bundle's order. A user who may not read
    what belongs to kvmnet gets none."""
    if live.applied == UNREADABLE:
        return ()
    live_interfaces = {i["name"]: i for i in interfaces_of(live.state)}
    adopted = []
    for interface in interfaces_of(bundle.state):
        name, kind = interface["name"], KERNEL_KINDS.get(interface["type"])
        link = live.links.get(name)
        if kind is None or link is None or link.kind != kind or belongs_to_kvmnet(bundle.host, name, live):
            continue
        if kind in ("vlan", "macvtap") and live_interfaces.get(name, {}).get("state") == "ignore":
            continue  # libvirt's hook created it for a guest
        adopted.append(name)
    return tuple(adopted)


def find_uplinks(bridge: str, live: Live) -> list[Link]:
    """Return the ports of a bridge that lead out of the host: NICs, bonds, VLANs and the like, but not the taps and
    veths of guests and containers."""
    return [link for link in live.links.values() if link.master == bridge and not _is_guest_port(link, live)]


def _is_guest_port(link: Link, live: Live) -> bool:
    """Whether a port belongs to a guest or container. One with a saved connection profile belongs to the host."""
    profile = live.profiles.get(link.name)
    return link.kind in _GUEST_PORT_KINDS and not (profile is not None and profile.saved)


def find_replaced(
    bundle: Bundle, live: Live, new_names: Mapping[str, str], removed_first: Collection[str] = ()
) -> dict[str, str]:
    """Return the bridges that a new bridge of the bundle replaces, each with the new one: all uplinks of the old one
    become ports of the new one. `new_names` are those of renamed NICs by their old names; `removed_first` are bridges
    that are gone before the new ones exist."""
    wanted = {i["name"]: i for i in interfaces_of(bundle.state)}
    controllers = {port: i["name"] for i in wanted.values() for port in port_names(i)}
    replaced: dict[str, str] = {}
    for link in live.links.values():
        if link.kind != "bridge" or link.name in removed_first or link.options.get("vlan_filtering"):
            continue  # the new bridge would not filter: guests would get into other VLANs
        if wanted.get(link.name, {}).get("type") == "linux-bridge" or not _can_be_restored(link.name, live):
            continue
        uplinks = find_uplinks(link.name, live)
        successors = {controllers.get(_name_after(uplink, new_names)) for uplink in uplinks}
        name = successors.pop() if len(successors) == 1 else None
        if name is None or wanted[name]["type"] != "linux-bridge" or _exists(name, live) or name in replaced.values():
            continue
        if not any(other.base == link.name for other in live.links.values()):
            replaced[link.name] = name
    return replaced


def find_replaced_macs(bundle: Bundle, live: Live, new_names: Mapping[str, str]) -> dict[str, ChosenMac]:
    """Return the MAC address of each bridge that replaces another one: it has the other's, so that DHCP leases and the
    neighbours' caches stay valid, unless the definition states one."""
    macs = {i["name"]: str(i.get("mac-address", "")).lower() for i in interfaces_of(live.state)}
    return {
        new: ChosenMac(macs[old], MacSource.REPLACED)
        for old, new in find_replaced(bundle, live, new_names).items()
        if macs.get(old) and new not in bundle.stated_macs
    }


def _can_be_restored(name: str, live: Live) -> bool:
    """Whether a rollback can create the bridge again: it has a saved connection profile."""
    profile = live.profiles.get(name)
    return profile is not None and profile.saved


def _name_after(link: Link, new_names: Mapping[str, str]) -> str:
    return new_names.get(link.name, link.name) if link.kind is None else link.name


def _exists(bridge: str, live: Live) -> bool:
    link = live.links.get(bridge)
    return link is not None and link.kind is not None


def with_live_options(interface: Interface, live: Interface) -> dict[str, Any]:
    """Return the entry of an adopted interface, completed with what it runs with and the definition does not state: an
    MTU and options of a bridge that are no defaults. Its connection profile then states them too, so that they do not
    depend on who set them. `live` is the interface in nmstate's live state."""
    result = dict(interface)
    if "mtu" not in result and live.get("mtu", _DEFAULT_MTU) != _DEFAULT_MTU:
        result["mtu"] = live["mtu"]
    if "bridge" in result:
        result["bridge"] = _with_bridge_options(result["bridge"], live.get("bridge", {}).get("options", {}))
    return result


def _with_bridge_options(section: Interface, live_options: Interface) -> dict[str, Any]:
    stated = section.get("options", {})
    live_stp, stp = live_options.get("stp", {}), {}
    if live_stp.get("enabled"):
        live_options = {key: value for key, value in live_options.items() if key not in _TIMERS}
        live_stp = {key: value for key, value in live_stp.items() if key not in _TIMERS}
    options = {
        key: value
        for key, default in _OPTION_DEFAULTS.items()
        if (value := live_options.get(key)) is not None and value != default and value not in _ROUNDED.get(key, ())
    }
    for key, (default, accepted) in _STP_DEFAULTS.items():
        value = live_stp.get(key)
        if isinstance(value, int) and value != default and value in accepted:
            stp[key] = value
    merged = {**options, **stated}
    if stp or "stp" in stated:
        merged["stp"] = {**stp, **stated.get("stp", {})}
    return {**section, "options": merged}


def find_completed(bundle: Bundle, adopted: Collection[str], live_interfaces: Mapping[str, Interface]) -> set[str]:
    """Return the interfaces whose connection profiles are to state everything after an adoption: the adopted ones, and
    the NICs that are their ports and have another MTU than the default. `live_interfaces` are nmstate's, by the names
    after the renames.

    Other ports are not sent: nmstate names the controller in a port's profile by its UUID, NetworkManager (1.42 to
    1.54) cannot reapply that, and the port leaves its controller for a moment.
    """
    ports = {port for i in interfaces_of(bundle.state) if i["name"] in adopted for port in port_names(i)}
    nics = {i["name"] for i in interfaces_of(bundle.state) if i["type"] == ETHERNET and "mtu" not in i}
    resized = {name for name in nics if live_interfaces.get(name, {}).get("mtu", _DEFAULT_MTU) != _DEFAULT_MTU}
    return {*adopted, *(ports & resized)}
