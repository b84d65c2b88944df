"""The udev rule by which guests on macvtaps receive multicast frames.

A macvtap gets only the multicast frames of groups that the kernel knows. The kernel does not know the groups that a
guest joins, so neighbour solicitations, router advertisements, VRRP and mDNS do not reach the guest. With all-multicast
on the macvtap they do (macvlan_set_mac_lists in the kernel's drivers/net/macvlan.c).

It is a udev rule, because libvirt creates macvtaps at any time and calls no hook for those of running guests, and
NetworkManager, nmstate and systemd.link(5) have no key for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvmnet.core.base.nmstate import interfaces_of, port_names
from kvmnet.core.rendering.bundle import Bundle

RULES_FILE = "/etc/udev/rules.d/86-kvmnet-macvtaps.rules"

#: The event of a macvtap's character device, whose parent is the network device.
_EVENT = 'SUBSYSTEM=="macvtap", SUBSYSTEMS=="net"'
#: Finds the name of the macvtap's base interface by its index. The link lower_NAME in sysfs cannot be used: the kernel
#: creates it after the event.
_FIND_BASE = "/bin/sh -c 'grep -lx $attr{iflink} /sys/class/net/*/ifindex | cut -d/ -f5'"
#: %b is the macvtap. Twice: libvirt sets the macvtap up by reading all its flags and writing them back, which could
#: undo the first one.
_SET = "ip link set dev %b allmulticast on"
_RUN = f"/bin/sh -c 'PATH=/usr/sbin:/usr/bin; {_SET}; {_SET}'"
#: Characters of names in a line: udev ignores lines with more than 16,384 (UDEV_LINE_SIZE of systemd).
_LINE_LENGTH = 4000


def macvtap_bases(bundle: Bundle) -> list[str]:
    """Return the interfaces of the definition on which guests can have macvtaps: the kernel allows none on a port of a
    bridge or bond."""
    interfaces = [*interfaces_of(bundle.state), *interfaces_of(bundle.guests or {})]
    ports = {port for interface in interfaces for port in port_names(interface)}
    names = (i["name"] for i in interfaces if i["type"] != "mac-vtap" and i["name"] not in ports)
    return list(dict.fromkeys(names))


def macvtap_rule(bundle: Bundle) -> str:
    """Return the text of the rules file of a host."""
    lines = [
        "# Written by kvmnet. Guests on macvtaps over these interfaces receive all multicast frames (IPv6 neighbour",
        "# discovery, router advertisements, VRRP, mDNS).",
        f'{_EVENT}, ACTION!="remove", PROGRAM=="{_FIND_BASE}", ENV{{.KVMNET_BASE}}="%c"',
    ]
    for names in _split(macvtap_bases(bundle)):
        lines.append(f'{_EVENT}, ENV{{.KVMNET_BASE}}=="{"|".join(names)}", RUN+="{_RUN}"')
    return "\n".join(lines) + "\n"


def _split(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the names in parts that fit into a line."""
    part: list[str] = []
    for name in names:
        if sum(len(n) + 1 for n in part) + len(name) > _LINE_LENGTH:
            yield part
            part = []
        part.append(name)
    if part:
        yield part
