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


@refusal("KVN531", "NetworkManager does not manage an interface")
def not_managed(case: Case) -> Iterator[Refusal]:
    """
    NetworkManager does not manage an interface of the definition, or the interface has addresses that NetworkManager
    did not set. kvmnet could not restore it in a rollback. The reason can be NetworkManager's configuration
    (`unmanaged-devices`), a udev rule, or another program that configures the interface: systemd-networkd or ifupdown.

    If another program configures the interface, move the configuration to a connection profile of NetworkManager
    first: create the profile, remove the interface from the files of the other program, and activate the profile. Do
    this at the console, because the host may be disconnected meanwhile. Otherwise let NetworkManager manage the
    interface: `nmcli device set NIC managed yes`, and create a connection profile with its addresses.
    """
    addressed = {i["name"] for i in interfaces_of(case.live.state) if _has_address(i)}
    own_names = {i["name"] for i in interfaces_of(case.bundle.state)}
    for nic, link in case.nics:
        is_unmanaged = link.name in case.live.surroundings.unmanaged and nic.name in own_names
        has_strange_address = link.name not in case.live.profiles and link.name in addressed
        if not is_unmanaged and not has_strange_address:
            continue
        other = _find_other_program(case, link.name)
        if other is not None:
            yield other
        elif is_unmanaged:
            hint = _find_hint(case, link)
            yield Refusal("KVN531", f"NetworkManager does not manage NIC {link.name}", hint)
        else:
            message = f"NIC {link.name} has addresses that NetworkManager did not set: they could not be restored"
            yield Refusal("KVN531", message, _find_hint(case, link))
    nics = {link.name for _, link in case.nics}
    for name in sorted((own_names & set(case.live.surroundings.networkd)) - nics):
        if (other := _find_other_program(case, name)) is not None:
            yield other


def _has_address(interface: Mapping[str, Any]) -> bool:
    addresses = [a for family in FAMILIES for a in interface.get(family, {}).get("address", [])]
    return any(not is_link_local(address["ip"]) for address in addresses)


def _find_other_program(case: Case, name: str) -> Optional[Refusal]:
    """Return the refusal of an interface that another program configures."""
    surroundings = case.live.surroundings
    for program, files in (("systemd-networkd", surroundings.networkd), ("ifupdown", surroundings.ifupdown)):
        if name in files:
            place = f" ({files[name]})" if files[name] else ""
            return Refusal(
                "KVN531",
                f"{program} configures {name}{place}, and NetworkManager does not manage it",
                f"at the console of the host, create a connection profile for {name}, remove {name} from "
                f"{files[name] or f'the files of {program}'}, and activate the profile",
            )
    return None


def _find_hint(case: Case, link: Link) -> str:
    obstacle = find_unmanaged_reason(BootDevice(link.name, mac=link.mac or ""), case.live.surroundings)
    manage = (
        f"let NetworkManager manage it: nmcli device set {link.name} managed yes, and create its connection profile"
    )
    return f"the reason is {obstacle.reason}: {obstacle.fix}" if obstacle is not None else manage


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
