"""Which settings of an <interface> are lost when a guest's NIC is connected in another way: the table SETTINGS.

libvirt refuses some settings on some types of connections: when the domain is defined, or only when it starts. Others
it ignores silently. Settings that are not in the table are kept: mac, model, driver of a virtio NIC, link, boot, rom,
address, alias, acpi, tune, bandwidth, teaming, guest, backenddomain.

The sources were read in libvirt 9.0 and 11.3; tests/lab/test_guest_xml.py tries the result with both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Callable

from kvmnet.core.guests.domain_text import Change, Element, remove_attribute, remove_element
from kvmnet.core.guests.guest_xml import connection_type
from kvmnet.core.views.host_view import GuestPortView

BRIDGE, DIRECT, ETHERNET = "bridge", "direct", "ethernet"
MACVTAP = (DIRECT, ETHERNET)
ALL = (BRIDGE, DIRECT, ETHERNET)

#: Types of NICs that are implemented by a program in user space, which also gives them addresses.
_USER_TYPES = ("user", "vhostuser")
#: The models whose driver reports its filters to libvirt (virDomainNetIsVirtioModel).
VIRTIO_MODELS = ("", "virtio", "virtio-transitional", "virtio-non-transitional")
TRUST = "trustGuestRxFilters"

Condition = Callable[[Element, Element, GuestPortView], bool]
"""Whether an element has the setting: the element, its <interface>, and the port that the NIC is connected to."""
Removal = Callable[[bytes, Element], Sequence[Change]]


def _always(element: Element, interface: Element, port: GuestPortView) -> bool:
    return True


def _remove(text: bytes, element: Element) -> Sequence[Change]:
    return [remove_element(text, element)]


@dataclass(frozen=True)
class Setting:
    """A setting that is lost on some connections.

    name: as messages call it. element: the child of <interface> that has it; empty for an attribute of <interface>.
    lost_on: the types of connection that it is lost on.
    reason: why, for an administrator. source: where libvirt's rule is.
    has_it: whether an element has the setting.
    remove: the changes that remove it.
    protects: it protects other guests or the network from this guest; it is lost only if the user allows it.
    of_connection: it belongs to what the NIC was connected to, so it is lost only if that changes.
    exception: when it is kept nevertheless, for the documentation.
    stays: it is not lost, and only noted.
    """

    name: str
    element: str
    lost_on: tuple[str, ...]
    reason: str
    source: str
    has_it: Condition = _always
    remove: Removal = _remove
    protects: bool = False
    of_connection: bool = False
    exception: str = ""
    stays: bool = False


def find_lost_settings(
    interface: Element, port: GuestPortView, connection_changes: bool
) -> Iterator[tuple[Setting, Element]]:
    """Yield the settings of an <interface> that are lost on its new connection, each with its element."""
    target = connection_type(port)
    for setting in SETTINGS:
        if target not in setting.lost_on or (setting.of_connection and not connection_changes):
            continue
        for element in interface.children if setting.element else [interface]:
            if element.name == (setting.element or "interface") and setting.has_it(element, interface, port):
                yield setting, element


# ---- conditions


def _is_isolated(element: Element, interface: Element, port: GuestPortView) -> bool:
    return element.attributes.get("isolated") == "yes"


def _is_of_another_switch(element: Element, interface: Element, port: GuestPortView) -> bool:
    """Whether a <vlan> is that of another switch: libvirt 11.0 and later accept it on a Linux bridge too, if that has
    VLAN filtering. On a bridge that is VLAN-aware in the definition, only the VLANs of the definition are right."""
    if port.is_on_aware_bridge:
        return not has_vlans_of(element, port)
    is_of_bridge = interface.attributes["type"] == BRIDGE and interface.child("virtualport") is None
    return not is_of_bridge or connection_type(port) != BRIDGE


def has_vlans_of(vlan: Element, port: GuestPortView) -> bool:
    """Whether a <vlan> element has the VLANs of a port: those without a tag, and those with one."""
    tags = [child for child in vlan.children if child.name == "tag"]
    is_trunk = len(tags) > 1 or vlan.attributes.get("trunk") == "yes" or any("nativeMode" in t.attributes for t in tags)
    tagged = {t.attributes.get("id") for t in tags if is_trunk and "nativeMode" not in t.attributes}
    untagged = {t.attributes.get("id") for t in tags} - tagged
    modes = {t.attributes.get("nativeMode", "untagged") for t in tags}
    wanted = {str(port.untagged)} if port.untagged is not None else set()
    return modes <= {"untagged"} and (tagged, untagged) == ({str(tag) for tag in port.trunk}, wanted)


def _was_hostdev(element: Element, interface: Element, port: GuestPortView) -> bool:
    return interface.attributes["type"] == "hostdev"


def _has_rom_file_of_hostdev(element: Element, interface: Element, port: GuestPortView) -> bool:
    return "file" in element.attributes and _was_hostdev(element, interface, port)


def _has_usb_address_of_hostdev(element: Element, interface: Element, port: GuestPortView) -> bool:
    return element.attributes.get("type") == "usb" and _was_hostdev(element, interface, port)


def _was_user(element: Element, interface: Element, port: GuestPortView) -> bool:
    return interface.attributes["type"] in _USER_TYPES


def _is_passt(element: Element, interface: Element, port: GuestPortView) -> bool:
    return element.attributes.get("type") == "passt"


def _has_tap(element: Element, interface: Element, port: GuestPortView) -> bool:
    return "tap" in element.attributes and not _is_passt(element, interface, port)


def _has_floor(element: Element, interface: Element, port: GuestPortView) -> bool:
    return "floor" in _inbound_of(element).attributes


def _has_different_rates(element: Element, interface: Element, port: GuestPortView) -> bool:
    inbound, outbound = (
        {key: value for key, value in child.attributes.items() if key != "floor"} if child is not None else {}
        for child in (element.child("inbound"), element.child("outbound"))
    )
    return inbound != outbound


def _has_portgroup(element: Element, interface: Element, port: GuestPortView) -> bool:
    return "portgroup" in element.attributes


def _has_host_addresses(element: Element, interface: Element, port: GuestPortView) -> bool:
    return any(child.name in ("ip", "route") for child in element.children)


def is_virtio(interface: Element) -> bool:
    """Whether a NIC is a virtio NIC, or becomes one because it has no model."""
    return interface.attribute_of("model", "type") in VIRTIO_MODELS


def _trusts_guest_unasked(element: Element, interface: Element, port: GuestPortView) -> bool:
    if interface.attributes.get(TRUST) != "yes":
        return False
    if connection_type(port) != DIRECT or port.trusts_guest is False or not is_virtio(interface):
        return True
    return port.trusts_guest is None and interface.attributes["type"] != DIRECT


# ---- removals


def _inbound_of(bandwidth: Element) -> Element:
    return bandwidth.child("inbound") or Element("inbound", {}, 0)


def _remove_floor(text: bytes, bandwidth: Element) -> Sequence[Change]:
    """An <inbound> needs an average or a floor, and a <bandwidth> without rates has no meaning."""
    inbound = _inbound_of(bandwidth)
    if "average" in inbound.attributes:
        return [remove_attribute(text, inbound, "floor")]
    return [remove_element(text, inbound if len(bandwidth.children) > 1 else bandwidth)]


def _remove_tap(text: bytes, backend: Element) -> Sequence[Change]:
    if len(backend.attributes) > 1:
        return [remove_attribute(text, backend, "tap")]
    return [remove_element(text, backend)]


def _remove_trust(text: bytes, interface: Element) -> Sequence[Change]:
    return [remove_attribute(text, interface, TRUST)]


def _leave(text: bytes, element: Element) -> Sequence[Change]:
    """It stays, or goes with the <source>, which is replaced."""
    return []


# ---- the table

SETTINGS = (
    Setting(
        "<filterref>",
        "filterref",
        MACVTAP,
        "libvirt's filters see only frames that pass a bridge, and not those of a macvtap",
        "domain_conf.c virDomainNetDefParseXML (direct: ignored), nwfilter_ebiptables_driver.c (ethernet: no effect)",
        protects=True,
    ),
    Setting(
        "<port isolated='yes'>",
        "port",
        MACVTAP,
        "libvirt isolates ports of a bridge only",
        "domain_validate.c virDomainNetDefValidatePortOptions (refused when defined)",
        has_it=_is_isolated,
        protects=True,
    ),
    Setting(
        "<mtu>",
        "mtu",
        (DIRECT,),
        "libvirt sets no MTU on a macvtap that it creates: set it in the guest",
        "qemu_domain.c qemuDomainNetSupportsMTU (refused when defined)",
    ),
    Setting(
        "<coalesce>",
        "coalesce",
        MACVTAP,
        "libvirt sets it on ports of a bridge only",
        "qemu_validate.c qemuValidateNetSupportsCoalesce (refused when defined)",
    ),
    Setting(
        "<inbound floor>",
        "bandwidth",
        ALL,
        "only a libvirt network can guarantee a bandwidth",
        "netdev_bandwidth_conf.c virNetDevBandwidthParseRate (refused when defined)",
        has_it=_has_floor,
        remove=_remove_floor,
    ),
    Setting(
        "<bandwidth>",
        "bandwidth",
        (ETHERNET,),
        "libvirt 9.0 exchanges inbound and outbound of a macvtap that exists from boot (11.3 does not)",
        "domain_conf.c virDomainNetTypeSharesHostView",
        has_it=_has_different_rates,
        remove=_leave,
        of_connection=True,
        stays=True,
    ),
    Setting(
        "<backend tap>",
        "backend",
        MACVTAP,
        "a macvtap has a device of its own (/dev/tapN)",
        "qemu_domain.c qemuDomainValidateActualNetDef (direct: refused at start), qemuInterfaceEthernetConnect "
        "(ethernet: ignored)",
        has_it=_has_tap,
        remove=_remove_tap,
    ),
    Setting(
        f"{TRUST}='yes'",
        "",
        MACVTAP,
        "it lets the guest change the MAC address of a macvtap that libvirt creates: only for a virtio NIC that has "
        "trust_guest_rx_filters: true in the definition",
        "qemu_domain.c qemuDomainSyncRxFilter (ethernet: ignored)",
        has_it=_trusts_guest_unasked,
        exception="stays on direct if the NIC was on direct and the definition does not have the key",
        remove=_remove_trust,
    ),
    Setting(
        "<virtualport>",
        "virtualport",
        ALL,
        "it is for another switch",
        "domain_conf.c virDomainNetDefParseXML (ethernet: refused when defined), virnetdevtap.c (bridge: Open vSwitch)",
    ),
    Setting(
        "<vlan>",
        "vlan",
        ALL,
        "the VLAN is that of the network in the definition",
        "domain_validate.c virDomainActualNetDefValidate (refused at start)",
        has_it=_is_of_another_switch,
        exception="stays on a bridge if the NIC was on a bridge without <virtualport>: libvirt 11.0 and later; on a "
        "VLAN-aware bridge of the definition, it is replaced by that of the network",
    ),
    Setting(
        "<source portgroup>",
        "source",
        ALL,
        "what the portgroup of the libvirt network sets (bandwidth, VLAN) is no longer set",
        "formatdomain.html",
        has_it=_has_portgroup,
        remove=_leave,
        of_connection=True,
    ),
    Setting(
        "addresses and routes of the host in <source>",
        "source",
        ALL,
        "kvmnet's devices for guests have no address",
        "domain_validate.c virDomainNetDefValidate (bridge and direct: refused when defined)",
        has_it=_has_host_addresses,
        remove=_leave,
        of_connection=True,
    ),
    Setting(
        "<script>",
        "script",
        ALL,
        "it configured what the NIC was connected to",
        "qemu_command.c qemuBuildHostNetProps (bridge and direct: refused at start)",
        of_connection=True,
    ),
    Setting(
        "<downscript>",
        "downscript",
        ALL,
        "it configured what the NIC was connected to",
        "qemu_process.c (bridge and direct: ignored)",
        of_connection=True,
    ),
    Setting(
        "<backend type='passt'>",
        "backend",
        ALL,
        "passt is for NICs of type user",
        "domain_validate.c virDomainNetDefValidate (refused when defined)",
        has_it=_is_passt,
    ),
    Setting(
        "<portForward>",
        "portForward",
        ALL,
        "only passt forwards ports",
        "domain_validate.c virDomainNetDefValidate (refused when defined)",
    ),
    Setting(
        "<ip>",
        "ip",
        ALL,
        "the guest gets its addresses from its network",
        "qemu_validate.c qemuValidateDomainDeviceDefNetwork (refused when defined)",
        has_it=_was_user,
    ),
    Setting(
        "<route>",
        "route",
        ALL,
        "the guest gets its routes from its network",
        "qemu_validate.c qemuValidateDomainDeviceDefNetwork (refused when defined)",
        has_it=_was_user,
    ),
    Setting(
        "<driver> of the PCI device",
        "driver",
        ALL,
        "the NIC is no longer a PCI device of the host",
        "domaincommon.rng (hostdevDriver)",
        has_it=_was_hostdev,
    ),
    Setting(
        "<rom file>",
        "rom",
        ALL,
        "it is the boot ROM of the PCI device of the host",
        "formatdomain.html",
        has_it=_has_rom_file_of_hostdev,
    ),
    Setting(
        "<address type='usb'>",
        "address",
        ALL,
        "the NIC is no longer a USB device of the host",
        "qemu_domain_address.c (refused when defined)",
        has_it=_has_usb_address_of_hostdev,
    ),
)
