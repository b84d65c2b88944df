"""Refusals about what belongs to other tools: bridges and bonds that would lose a port, and addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvmnet.core.base.enumeration import join_names
from kvmnet.core.base.nmstate import FAMILIES, KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.running_guests import find_guests_on
from kvmnet.core.planning.adoption import find_uplinks
from kvmnet.core.planning.difference import is_automatic, is_link_local
from kvmnet.core.refusals import Case, Refusal, refusal


@refusal("KVN530", "an interface is a port of a bridge or bond that is not in the definition")
def foreign_controller(case: Case) -> Iterator[Refusal]:
    """
    An interface of the definition (a NIC, a bond or a VLAN) is a port of a bridge, bond, team, Open vSwitch bridge or
    VRF that is not in the definition and was not created by kvmnet. The change would take the port away. A bridge
    without its last uplink disconnects its guests, also those that are stopped now and start later. If the bridge
    carries the address of this host, the host would have the address twice.

    The message names the addresses that the bridge carries and the guests that use it. Stopped guests are found in
    libvirt's definitions (/etc/libvirt/qemu), by the name of the bridge or of a libvirt network that names it.

    A bridge is not refused if a new bridge of the definition can replace it (KVN536): it has a saved connection
    profile, all its uplinks become ports of the new bridge, nothing is based on it (a VLAN, a macvlan), and it does not
    filter VLANs.

    There are two ways to fix this. To keep the bridge, add it to the definition as it is: `bridge: NAME` for its only
    port, or an interface NAME with `type: bridge` and all its ports. kvmnet then adopts it. Or remove the bridge from
    this host first. If it carries the address of this host, do this at the console.
    """
    for controller, ports in _find_foreign_controllers(case).items():
        is_last = not {uplink.name for uplink in find_uplinks(controller, case.live)} - set(ports)
        loss = [f"{controller} would lose its last uplink"] if is_last else []
        facts = ", ".join([*loss, *describe_controller(case, controller)])
        one_of_several = f"{join_names(ports)} {'is a port' if len(ports) == 1 else 'are ports'} of {controller}"
        yield Refusal(
            "KVN530",
            f"{one_of_several}, which the definition does not contain" + (f": {facts}" if facts else ""),
            _find_fix(case, controller, ports),
        )


def _find_foreign_controllers(case: Case) -> dict[str, list[str]]:
    """Return the controllers that are not in the definition, each with the ports that it may lose."""
    known = {i["name"] for i in interfaces_of(case.bundle.state)} | set(case.plan.leaving)
    taken: dict[str, list[str]] = {}
    for link in _find_ports(case):
        if link.master is not None and link.master not in known:
            taken.setdefault(link.master, []).append(link.name)
    return taken


def _find_ports(case: Case) -> Iterator[Link]:
    """Yield the links of the definition that a controller of another tool may lose: NICs, and other interfaces that the
    change takes away from their controller. An interface that is sent to nmstate without that stays a port."""
    yield from (link for _, link in case.nics)
    controllers = {port: i["name"] for i in interfaces_of(case.plan.desired) for port in port_names(i)}
    recreated = case.topologies.recreated
    for interface in interfaces_of(case.plan.state):
        name, link = interface["name"], case.live.links.get(interface["name"])
        kind = KERNEL_KINDS.get(interface["type"])
        if interface.get("state") != "up" or kind is None or link is None or link.kind != kind or not link.master:
            continue
        master = case.live.links.get(link.master)
        has_addresses = any(interface.get(family, {}).get("enabled") for family in FAMILIES)
        loses_place = has_addresses and (master is None or master.kind != "vrf")  # a port of a VRF has addresses
        if controllers.get(name, link.master) != link.master or loses_place or name in recreated:
            yield link


def describe_controller(case: Case, controller: str) -> Iterator[str]:
    """Yield what the controller has: addresses, guests."""
    upper = [link.name for link in case.live.links.values() if link.base == controller]
    for name in (controller, *upper):
        if addresses := _find_addresses(case, name):
            noun = "address" if len(addresses) == 1 else "addresses"
            yield f"{name} carries this host's {noun} {join_names(addresses)}"
    running = case.live.surroundings.running
    on_taps = {i.guest or i.device for i in case.impacts if i.over == controller}
    guests = sorted(on_taps | set(find_guests_on(controller, running.guests, running)))
    if guests:
        yield f"its guests: {', '.join(guests)}"
    if stopped := sorted(find_guests_on(controller, running.stopped, running)):
        yield f"its stopped guests: {', '.join(stopped)}"


def _find_addresses(case: Case, name: str) -> list[str]:
    return [str(a["ip"]) for i in interfaces_of(case.live.state) if i["name"] == name for a in _addresses_of(i)]


def _addresses_of(interface: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the addresses of an interface that are not link-local."""
    for family in FAMILIES:
        yield from (a for a in interface.get(family, {}).get("address", []) if not is_link_local(str(a["ip"])))


def _find_fix(case: Case, controller: str, taken: Sequence[str]) -> str:
    """Return how the controller can stay, or can be removed."""
    link = case.live.links.get(controller)
    kind = link.kind if link is not None else None
    file = case.live.surroundings.networkd.get(controller)
    at_the_console = ", at the console of the host" if _find_addresses(case, controller) else ""
    remove = f"remove {controller} from this host first{at_the_console}"
    if file is not None:
        place = f" ({file})" if file else ""
        return (
            f"systemd-networkd configures {controller}{place}: configure it with NetworkManager instead, at the "
            f"console of the host, and add it to the definition; or {remove}"
        )
    uplinks = [uplink.name for uplink in find_uplinks(controller, case.live)]
    keep = f"to keep {controller}, add it to the definition as it is: "
    if kind == "bridge" and len(uplinks) == 1:
        return f"{keep}`bridge: {controller}` for {taken[0]}; or {remove}"
    if kind == "bridge":
        return f"{keep}`{controller}: {{type: bridge, ports: [{', '.join(uplinks)}]}}`; or {remove}"
    if kind == "bond":
        return f"{keep}`{controller}: {{ports: [{', '.join(uplinks)}]}}`; or {remove}"
    return f"remove {join_names(taken)} from {controller} first{at_the_console}, or from the definition"


@refusal("KVN537", "an address of the definition is on another interface")
def address_elsewhere(case: Case) -> Iterator[Refusal]:
    """
    The change would give an interface an address that another interface of this host has, and keeps. The host would
    have the address twice: which of the two interfaces answers is then undefined. Typical causes are a VLAN or bridge
    of another tool that the definition replaces under another name, and an address that has moved in the definition
    but not on the host. An address in another VRF is accepted.

    Remove the address from the other interface first, or add that interface to the definition.
    """
    reported = set(_find_foreign_controllers(case))  # by KVN530
    desired = {i["name"]: i for i in interfaces_of(case.plan.desired) if i.get("state") == "up"}
    holders: dict[str, list[str]] = {}
    for interface in interfaces_of(case.view_after_renames):
        for address in _addresses_of(interface):
            if interface["name"] not in reported and _keeps(case, interface, address, desired):
                holders.setdefault(str(address["ip"]), []).append(str(interface["name"]))
    for interface in interfaces_of(case.plan.state):
        for address in _addresses_of(interface) if interface.get("state") == "up" else ():
            ip, name = str(address["ip"]), str(interface["name"])
            for holder in holders.get(ip, ()):
                if holder != name and _find_vrf(case, holder) == _find_vrf(case, name):
                    current = case.current_name(holder)
                    yield Refusal(
                        "KVN537",
                        f"{name} would get the address {ip}, but the address is on {current}",
                        f"remove {ip} from {current} first (nmcli -f NAME,DEVICE connection show), or add {current} to "
                        "the definition",
                    )


def _find_vrf(case: Case, name: str) -> str:
    """Return the VRF of an interface (by its name after the renames), empty without one. Addresses of a VRF answer
    only in it. A definition has no VRFs: its interfaces stay in theirs, unless they become ports of another
    controller."""
    link = case.live.links.get(case.current_name(name))
    if link is None or any(name in port_names(i) for i in interfaces_of(case.plan.desired)):
        return ""
    if link.kind == "vrf":
        return link.name
    master = case.live.links.get(link.master) if link.master else None
    return master.name if master is not None and master.kind == "vrf" else ""


def _keeps(case: Case, interface: Mapping[str, Any], address: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether an interface (by its name after the renames) still has an address after the change."""
    name = interface["name"]
    if case.current_name(name) in {*case.plan.leaving, *case.plan.removed_first} and name not in desired:
        return False
    wanted = desired.get(name)
    if wanted is None:
        return True
    if any(name in port_names(other) for other in desired.values()):
        return False  # a port has no addresses
    if is_automatic(address):
        return any(wanted.get(family, {}).get(key) for family in FAMILIES for key in ("dhcp", "autoconf"))
    return any(str(a["ip"]) == str(address["ip"]) for a in _addresses_of(wanted))
