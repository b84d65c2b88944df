"""Refusals about NICs and connection profiles that could not be restored, or could not get their new role."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import NM_TYPES, interfaces_of, port_names
from kvmnet.core.live.live_host import ConnectionProfile
from kvmnet.core.planning.profile_copies import find_next_nic
from kvmnet.core.refusals import Case, Refusal, refusal

_KEYFILE_FOLDERS = ("/etc/NetworkManager/system-connections/", "/run/NetworkManager/system-connections/")
#: Kinds of interfaces that use the one receive handler of their base interface.
_RECEIVE_HANDLER_KINDS = ("macvtap", "macvlan", "ipvlan", "ipvtap")


@refusal("KVN532", "a connection profile is not a keyfile")
def not_a_keyfile(case: Case) -> Iterator[Refusal]:
    """
    The snapshot contains NetworkManager's keyfiles (/etc/NetworkManager/system-connections). If a connection profile
    is stored elsewhere, for example in an ifcfg file of EL 9, a rollback could not restore it exactly.
    `nmcli connection migrate UUID` (NetworkManager 1.38 and later) converts it to a keyfile. A connection profile that
    serves several NICs may be stored anywhere, because kvmnet does not change it.
    """
    copied = {copy.nic for copy in case.plan.copies.values()}
    for name, profile in _find_profiles(case).items():
        if name not in copied and not profile.file.startswith(_KEYFILE_FOLDERS):
            yield Refusal(
                "KVN532",
                f"the connection profile of {name} is in {profile.file or 'no file'}, which kvmnet could not restore",
                f"convert it to a keyfile: nmcli connection migrate {profile.uuid} (NetworkManager 1.38 or later)",
            )


def _find_profiles(case: Case) -> dict[str, ConnectionProfile]:
    """Return the connection profiles that nmstate may change, by the name of their interface."""
    types = {i["name"]: NM_TYPES.get(i["type"]) for i in interfaces_of(case.bundle.state)}
    names = [link.name for _, link in case.nics] + [case.current_name(name) for name in types]
    names += list(case.plan.leaving)
    profiles = {name: p for name in names if (p := case.live.profiles.get(name)) is not None}
    for profile in case.live.idle:  # nmstate uses an inactive profile of an interface that has no active one
        name = profile.interface_name
        if types.get(name, "") != profile.type:
            continue
        active = case.live.profiles.get(case.current_name(name))
        if active is None or active.type != profile.type:
            profiles[name] = profile
    return profiles


@refusal("KVN533", "a connection profile would move to another NIC")
def moving_profile(case: Case) -> Iterator[Refusal]:
    """
    The connection profile of a NIC does not name the NIC: it matches by a pattern (`match.interface-name`), or fits
    every NIC. kvmnet gives the NIC a copy of the profile, which is bound to the NIC's MAC address. Then the profile is
    free, and NetworkManager would activate it on another NIC that it fits and that has no profile: that NIC would get
    the addresses of the first one. kvmnet prevents this by binding the profile to its NIC. But here the file of the
    profile is written again at each boot (netplan), so the binding would be lost.

    Let the profile name its NIC: in the file of netplan (/etc/netplan), write `match: {macaddress: …}`, and run
    `netplan apply`. Or disconnect or disable the other NIC.

    A profile that may be active on several NICs (`multi-connect`) is no problem: each NIC of the definition gets a copy
    of its own, and the other NICs keep the profile.
    """
    for nic, link in case.nics:
        profile = case.live.profiles.get(link.name)
        if profile is None or profile.saved or not profile.finds_nic_by_pattern or nic.name not in case.plan.touched:
            continue
        other = find_next_nic(profile, case.live)
        if other is not None and profile.is_netplans:
            yield Refusal(
                "KVN533",
                f"the connection profile {profile.id} of {link.name} also fits {other}, and would be activated there",
                f"bind it to {link.name}: in /etc/netplan, write `match: {{macaddress: {link.mac}}}`",
            )


@refusal("KVN534", "an interface with a macvtap would become a port")
def macvtap_under_port(case: Case) -> Iterator[Refusal]:
    """
    The kernel allows only one receive handler on a device. Therefore the base interface of a macvtap, macvlan or
    ipvlan cannot become a port of a bridge or bond (EBUSY). Stop the guest that uses the macvtap, or connect the guest
    to the bridge instead. Then run `kvmnet plan` again.
    """
    ports = {port: i["name"] for i in interfaces_of(case.bundle.state) for port in port_names(i)}
    for port, controller in ports.items():
        name = case.current_name(port)
        kinds = {n.name: n.kind for n in case.live.links.values() if n.base == name}
        users = [
            f"{kind} {case.describe_devices([user])}"
            for user, kind in sorted(kinds.items())
            if kind in _RECEIVE_HANDLER_KINDS
        ]
        if users:
            yield Refusal(
                "KVN534",
                f"{name} would become a port of {controller}, but is the base interface of {', '.join(users)}",
                "stop the guests that use it, or remove it: a port cannot be a base interface too",
            )


@refusal("KVN535", "the next boot would activate another connection profile", allow=True)
def rival_profile(case: Case) -> Iterator[Refusal]:
    """
    A second connection profile matches an interface of the definition. It autoconnects, and its autoconnect-priority
    is higher than that of the active profile. At the next boot, NetworkManager would activate it instead. If the NIC
    is a port of a bridge or bond that comes up later, the bridge or bond activates its ports again, with the right
    profiles. But a NIC that is not a port keeps the wrong profile (NetworkManager 1.42). The same is true for a NIC
    that appears after its bridge, for example because its driver is slow.

    A profile of type 802-3-ethernet matches a NIC if it is bound to the NIC's MAC address, to the NIC's name at the
    next boot, or to nothing. A profile of a bridge, bond or VLAN matches the interface of its type and name. kvmnet
    ignores profiles that make the NIC a port of the same bridge or bond, or of one that does not exist. It also
    ignores profiles that are only in memory. As root, kvmnet also evaluates the conditions of the [match] group and
    denied MAC addresses as NetworkManager does. If a NIC's driver or path is not known, it assumes that the profile
    matches.

    Disable autoconnect of the other profile (`nmcli connection modify UUID connection.autoconnect no`), or delete it.

    If both profiles have the same priority, NetworkManager prefers the profile that was active last, which is the
    current one. kvmnet does not refuse this. But `plan` and `apply` print a note, because the other profile would be
    used at boot once someone has activated it. A profile with a lower priority is used only if the first one fails.
    """
    for rival in case.rivals:
        if rival.wins:
            profile = rival.profile
            yield Refusal(
                "KVN535",
                f"the connection profile {profile.id} ({profile.uuid}) also matches {', '.join(rival.names)} and would "
                f"be activated at the next boot: it has the higher autoconnect-priority ({profile.priority})",
                f"prevent this: {rival.commands}",
            )
