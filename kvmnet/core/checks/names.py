"""Kernel names of interfaces."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import Mark, Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.rendering.guest_settings import PREFIXES
from kvmnet.core.views.host_view import HostView

#: IFNAMSIZ of linux/if.h is 16 with the closing NUL.
MAX_NAME = 15
#: Names that are taken: "all" and "default" are folders of /proc/sys/net/ipv4/conf beside the interfaces'
#: (sysctl_dev_name_is_allowed), "bonding_masters" is a file of /sys/class/net beside them.
_REFUSED = (".", "..", "all", "default", "lo", "bonding_masters")


def _names(view: HostView) -> Iterator[tuple[str, str, Mark]]:
    """Every kernel name that a host gets, what it is, and the place it comes from."""
    for nic in view.nics:
        yield nic.name, f"NIC {nic.interface}", nic.mark
    for bond in view.bonds:
        yield bond.name, "the bond", bond.mark
    for vlan in view.vlans:
        yield vlan.name, "the VLAN", vlan.mark
    for bridge in view.bridges:
        yield bridge.name, f"the bridge over {bridge.port}", bridge.mark
    for logical in view.guest_vlans:
        yield logical.name, "the logical VLAN", logical.mark
    for macvtap in view.macvtaps:
        yield macvtap.name, f"the macvtap of guest {macvtap.guest}", macvtap.mark


@check("KVN150", "an interface name that the kernel refuses")
def refused(context: Context) -> Iterator[Problem]:
    """
    An interface's name has at most 15 characters (IFNAMSIZ). Some names are taken: all, default, lo and
    bonding_masters. One of digits alone is refused by udev, since programs take it for an interface's index.
    (The kernel refuses blanks, slashes and colons too; the definition's form has none in a name.) On a host that
    may run guests names that begin with vnet or macvtap are libvirt's, and NetworkManager leaves them alone. Mind
    what the profile adds: under rocks a NIC gets a p before its name, a VLAN a dot and its tag.
    """
    told: set[tuple[str, Mark]] = set()
    for view in context.views.values():
        for_guests = bool(view.bridges or view.macvtaps)
        for name, what, mark in _names(view):
            if (name, mark) in told:  # the same name of a template on 200 hosts is one mistake
                continue
            told.add((name, mark))
            if len(name) > MAX_NAME:
                words = f"{view.host}: {what} would be named {name}: {len(name)} characters, {MAX_NAME} at most"
                yield Problem("KVN150", words, mark)
            elif name in _REFUSED or name.isdigit():
                yield Problem("KVN150", f"{view.host}: {what} cannot be named {name}", mark)
            elif for_guests and name.startswith(PREFIXES):  # NetworkManager is told to leave those alone
                words = f"{view.host}: {what} cannot be named {name}: names that begin so are libvirt's"
                yield Problem("KVN150", words, mark)


@check("KVN151", "two interfaces with one name")
def shared(context: Context) -> Iterator[Problem]:
    """
    Two interfaces of a host get the same kernel name: by their keys, or by what the profile makes of them.
    A bridge named eth0 and a NIC peth0 that is its port leave no room for another peth0.
    """
    for view in context.views.values():
        first: dict[str, tuple[str, Mark]] = {}
        for name, what, mark in _names(view):
            if name in first:
                other, place = first[name]
                yield Problem(
                    "KVN151",
                    f"{view.host}: {what} and {other} would both be named {name}",
                    mark,
                    related=(Related(place, "the first one is here"),),
                )
            else:
                first[name] = what, mark


@check("KVN152", "two interfaces find one NIC")
def same_kernel_name(context: Context) -> Iterator[Problem]:
    """Two interfaces of a host match one kernel name (`match: {name: …}`): there is one NIC of that name."""
    for host in context.cluster.hosts.values():
        first: dict[str, tuple[str, Mark]] = {}
        for interface in host.interfaces.values():
            if not interface.is_nic or (interface.mac is not None and interface.kernel_name is None):
                continue
            name = interface.kernel_name or interface.name
            mark = interface.place.at("match", "name")
            if name in first:
                other, place = first[name]
                words = f"{host.name}: {interface.name} and {other} both find the NIC {name}"
                yield Problem("KVN152", words, mark, related=(Related(place, "the first one is here"),))
            else:
                first[name] = interface.name, mark
