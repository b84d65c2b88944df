"""Refusals about NICs and connection profiles that could not be restored, or could not get their new role."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import FAMILIES, NM_TYPES, interfaces_of, port_names
from kvmnet.core.live.live_host import ConnectionProfile
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.refusals import Case, Refusal, refusal

_KEYFILE_FOLDERS = ("/etc/NetworkManager/system-connections/", "/run/NetworkManager/system-connections/")
#: Kinds of interfaces that use the one receive handler of their base interface.
_RECEIVE_HANDLER_KINDS = ("macvtap", "macvlan", "ipvlan", "ipvtap")


@refusal("KVN530", "a NIC is a port of an interface that is not in the definition")
def strange_controller(case: Case) -> Iterator[Refusal]:
    """
    A NIC of the definition is a port of a bridge or bond that is not in the definition and was not created by kvmnet.
    There are three ways to fix this: add the bridge or bond to the definition as it is (kvmnet then adopts it), remove
    the NIC from it, or delete it.
    """
    known = {i["name"] for i in interfaces_of(case.bundle.state)} | set(case.plan.leaving)
    for _, link in case.nics:
        if link.master is not None and link.master not in known:
            yield Refusal(
                "KVN530",
                f"NIC {link.name} is a port of {link.master}, which the definition does not contain",
                f"remove it from {link.master} (nmcli connection modify … controller ''), or delete {link.master}",
            )


@refusal("KVN531", "NetworkManager does not manage a NIC")
def not_managed(case: Case) -> Iterator[Refusal]:
    """
    NetworkManager does not manage a NIC of the definition (`unmanaged-devices`, `NM_CONTROLLED=no`, a udev rule), or
    the NIC has addresses that NetworkManager did not set. kvmnet could not restore such a NIC in a rollback. Let
    NetworkManager manage the NIC: `nmcli device set NIC managed yes`, and a connection profile with its addresses.
    """
    addressed = {
        i["name"]
        for i in interfaces_of(case.live.state)
        if any(not is_link_local(a["ip"]) for f in FAMILIES for a in i.get(f, {}).get("address", []))
    }
    own_names = {i["name"] for i in interfaces_of(case.bundle.state)}
    for nic, link in case.nics:
        hint = (
            f"let NetworkManager manage it: nmcli device set {link.name} managed yes, and create its connection profile"
        )
        if link.name in case.live.surroundings.unmanaged and nic.name in own_names:
            yield Refusal("KVN531", f"NetworkManager does not manage NIC {link.name}", hint)
        elif link.name not in case.live.profiles and link.name in addressed:
            message = f"NIC {link.name} has addresses that NetworkManager did not set: they could not be restored"
            yield Refusal("KVN531", message, hint)


@refusal("KVN532", "a connection profile is not a keyfile")
def not_a_keyfile(case: Case) -> Iterator[Refusal]:
    """
    The snapshot contains NetworkManager's keyfiles (/etc/NetworkManager/system-connections). If a connection profile
    is stored elsewhere, for example in an ifcfg file of EL 9, a rollback could not restore it exactly.
    `nmcli connection migrate UUID` (NetworkManager 1.38 and later) converts it to a keyfile.
    """
    for name, profile in _find_profiles(case).items():
        if not profile.file.startswith(_KEYFILE_FOLDERS):
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


@refusal("KVN533", "two NICs share a connection profile")
def shared_profile(case: Case) -> Iterator[Refusal]:
    """
    One connection profile is active on two NICs of the definition. kvmnet binds a connection profile to the MAC
    address of one NIC, so two NICs cannot share it. Create a profile for each NIC: `nmcli connection clone`.
    """
    devices: dict[str, str] = {}
    for _, link in case.nics:
        profile = case.live.profiles.get(link.name)
        if profile is not None and devices.setdefault(profile.uuid, link.name) != link.name:
            yield Refusal(
                "KVN533",
                f"{link.name} and {devices[profile.uuid]} share the connection profile {profile.id}",
                "create a connection profile for each NIC: nmcli connection clone",
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
