"""Refusals about who manages interfaces: NetworkManager and its configuration, systemd-networkd, ifupdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional

from kvmnet.core.base.nmstate import ETHERNET, FAMILIES, NM_TYPES, interfaces_of
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.management import Obstacle, find_other_store, find_unmanaged_reason
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.refusals import Case, Refusal, refusal

#: The drivers of virtual interfaces, as NetworkManager reports them, by nmstate's types.
_DRIVERS = {
    "linux-bridge": "bridge",
    "bond": "bonding",
    "vlan": "802.1Q VLAN Support",
    "mac-vtap": "macvlan",
    "dummy": "dummy",
}
#: What is done at the console, because the host may be disconnected meanwhile.
_CONSOLE = "at the console of the host, create a connection profile"


@refusal("KVN531", "NetworkManager does not manage an interface")
def not_managed(case: Case) -> Iterator[Refusal]:
    """
    NetworkManager does not manage an interface of the definition, or the interface has addresses that NetworkManager
    did not set. kvmnet could not restore it in a rollback. The reason can be NetworkManager's configuration
    (`unmanaged-devices`), a udev rule, or another program that configures the interface: systemd-networkd or ifupdown.

    If another program configures the interface, move the configuration to a connection profile of NetworkManager
    first: create the profile, remove the interface from the files of the other program, and activate the profile. Do
    this at the console, because the host may be disconnected meanwhile. The same is true for an interface that has an
    address or is a port of a bridge or bond: when NetworkManager begins to manage it, it may take the interface away.
    Otherwise let NetworkManager manage the interface: `nmcli device set NIC managed yes`, and create a connection
    profile with its addresses.
    """
    addressed = {i["name"] for i in interfaces_of(case.live.state) if _has_address(i)}
    own_names = {i["name"] for i in interfaces_of(case.bundle.state)}
    for nic, link in case.nics:
        is_unmanaged = link.name in case.live.surroundings.unmanaged and nic.name in own_names
        has_strange_address = link.name not in case.live.profiles and link.name in addressed
        if not is_unmanaged and not has_strange_address:
            continue
        reason = f"NetworkManager does not manage NIC {link.name}"
        if not is_unmanaged:
            reason = f"NIC {link.name} has addresses that NetworkManager did not set: they could not be restored"
        other = _find_other_program(case, link.name)
        yield other or Refusal("KVN531", reason, _find_hint(case, link, link.name in addressed))
    for name in sorted(own_names - {link.name for _, link in case.nics}):
        if _is_created_by_other(case, name) and (other := _find_other_program(case, name)) is not None:
            yield other


def _has_address(interface: Mapping[str, Any]) -> bool:
    addresses = [a for family in FAMILIES for a in interface.get(family, {}).get("address", [])]
    return any(not is_link_local(address["ip"]) for address in addresses)


def _is_created_by_other(case: Case, name: str) -> bool:
    """Whether another program has created an interface that is no NIC. The files of ifupdown may be leftovers: with
    a saved connection profile, NetworkManager has created the interface."""
    profile = case.live.profiles.get(name)
    is_saved = profile is not None and profile.saved
    return name in case.live.surroundings.networkd or (name in case.live.links and not is_saved)


def _find_other_program(case: Case, name: str) -> Optional[Refusal]:
    """Return the refusal of an interface that another program configures."""
    surroundings = case.live.surroundings
    for program, files in (("systemd-networkd", surroundings.networkd), ("ifupdown", surroundings.ifupdown)):
        if name in files:
            place = f" ({files[name]})" if files[name] else ""
            return Refusal(
                "KVN531",
                f"{program} configures {name}{place}, and NetworkManager does not manage it",
                f"{_CONSOLE} for {name}, remove {name} from {files[name] or f'the files of {program}'}, and activate "
                "the profile",
            )
    return None


def _find_hint(case: Case, link: Link, has_address: bool) -> str:
    """Return how NetworkManager can manage a NIC. When it begins to manage a NIC in use, it may take it from its
    controller, or activate another profile on it: that is for the console."""
    obstacle = find_unmanaged_reason(BootDevice(link.name, mac=link.mac or ""), case.live.surroundings)
    is_in_use = has_address or link.master or any(link.name == other.base for other in case.live.links.values())
    if is_in_use and obstacle is not None:
        return f"the reason is {obstacle.reason}: {_CONSOLE} for {link.name}, {obstacle.fix}, and activate the profile"
    if is_in_use:
        return f"{_CONSOLE} for {link.name}, and activate the profile"
    if obstacle is not None:
        return f"the reason is {obstacle.reason}: {obstacle.fix}"
    return f"let NetworkManager manage it: nmcli device set {link.name} managed yes, and create its connection profile"


@refusal("KVN538", "NetworkManager is configured to leave an interface unmanaged")
def will_be_unmanaged(case: Case) -> Iterator[Refusal]:
    """
    The change creates or renames an interface, and NetworkManager is configured to leave interfaces of that name
    unmanaged: NetworkManager could not activate its connection profile. A common reason is advice for container
    software, whose bridges are called `br-…`.

    kvmnet evaluates `unmanaged-devices` and the `[device…]` sections with `managed=0` of NetworkManager's
    configuration (NetworkManager.conf(5), with all drop-ins), and udev rules that set NM_UNMANAGED by the name or the
    type of an interface. On Debian, NetworkManager also leaves the interfaces of /etc/network/interfaces unmanaged.

    The message names the file. Exclude the interface there, and reload NetworkManager.
    """
    for name, obstacle in find_unmanaged_interfaces(case).items():
        message = f"NetworkManager is configured to leave {name} unmanaged ({obstacle.reason})"
        yield Refusal("KVN538", message, obstacle.fix)


def find_unmanaged_interfaces(case: Case) -> dict[str, Obstacle]:
    """Return the interfaces that the change creates or renames and that NetworkManager would leave alone, each with
    the reason. NICs that it leaves alone already are not among them (KVN531)."""
    drivers = {nic.mac: nic.driver for nic in case.live.boot.nics} if case.live.boot is not None else {}
    macs = {nic.name: link.mac or "" for nic, link in case.nics}
    renamed = {rename.new for rename in case.plan.renames}
    unmanaged = {}
    for interface in interfaces_of(case.plan.desired):
        name, kind = interface["name"], interface["type"]
        is_new = name in renamed or (kind != ETHERNET and name not in case.live.profiles)
        if not is_new or interface.get("state") != "up" or kind not in NM_TYPES:
            continue
        mac = macs.get(name, "") if kind == ETHERNET else ""
        device = BootDevice(name, NM_TYPES[kind], mac, drivers.get(mac) if mac else _DRIVERS.get(kind))
        obstacle = find_unmanaged_reason(device, case.live.surroundings)
        if obstacle is not None and case.current_name(name) not in case.live.surroundings.unmanaged:
            unmanaged[name] = obstacle
    return unmanaged


@refusal("KVN514", "NetworkManager stores connection profiles elsewhere")
def other_store(case: Case) -> Iterator[Refusal]:
    """
    NetworkManager is configured to store new connection profiles in another folder (`path=` in the section [keyfile])
    or in another format (`plugins=` with ifcfg-rh before keyfile). kvmnet saves and restores the keyfiles in
    /etc/NetworkManager/system-connections. The rollback and the next boot would not find profiles in another place.

    Change the configuration, restart NetworkManager, and move the profiles: `nmcli connection migrate`.
    """
    obstacle = find_other_store(case.live.surroundings)
    if obstacle is not None:
        yield Refusal(
            "KVN514",
            "NetworkManager does not store new connection profiles in /etc/NetworkManager/system-connections "
            f"({obstacle.reason})",
            obstacle.fix,
        )
