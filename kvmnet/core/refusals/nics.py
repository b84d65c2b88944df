"""NICs that could not be given back, or not become what they are to become."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import NM_TYPES, interfaces_of, port_names
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.refusals import Case, Refusal, refusal


@refusal("KVN530", "a NIC is the port of something strange")
def strange_controller(case: Case) -> Iterator[Refusal]:
    """
    A NIC of the definition is the port of a bridge or bond that a person or another tool made and that the
    definition does not know. Write it into the definition as it is (it is adopted then), take the NIC out of
    it, or remove it.
    """
    known = {i["name"] for i in interfaces_of(case.bundle.state)} | set(case.plan.leaving)
    for _, link in case.nics:
        if link.master is not None and link.master not in known:
            yield Refusal(
                "KVN530",
                f"NIC {link.name} is a port of {link.master}, which the definition does not know",
                f"take it out (nmcli connection modify … controller ''), or remove {link.master}",
            )


@refusal("KVN531", "NetworkManager does not manage a NIC")
def not_managed(case: Case) -> Iterator[Refusal]:
    """
    NetworkManager leaves a NIC of the definition alone (`unmanaged-devices`, `NM_CONTROLLED=no`, a rule of udev),
    or the NIC has addresses that NetworkManager did not give it: they could not be given back. Let it manage the
    NIC: `nmcli device set NIC managed yes`, and a connection profile that says what the NIC has.
    """
    addressed = {
        i["name"]
        for i in interfaces_of(case.live.state)
        if any(not is_link_local(a["ip"]) for f in ("ipv4", "ipv6") for a in i.get(f, {}).get("address", []))
    }
    managed = {i["name"] for i in interfaces_of(case.bundle.state)}
    for nic, link in case.nics:
        hint = f"let NetworkManager manage it: nmcli device set {link.name} managed yes, and a connection profile"
        if link.name in case.live.surroundings.unmanaged and nic.name in managed:
            yield Refusal("KVN531", f"NetworkManager does not manage NIC {link.name}", hint)
        elif link.name not in case.live.profiles and link.name in addressed:
            words = f"NIC {link.name} has addresses that NetworkManager did not give it: they could not be given back"
            yield Refusal("KVN531", words, hint)


@refusal("KVN532", "a NIC's profile is not a keyfile")
def not_a_keyfile(case: Case) -> Iterator[Refusal]:
    """
    The snapshot holds NetworkManager's keyfiles (/etc/NetworkManager/system-connections). A profile that is
    elsewhere, in an ifcfg file of EL 9 for one, could not be given back byte for byte. `nmcli connection
    migrate UUID` (NetworkManager 1.38 and later) makes a keyfile of it.
    """
    folders = ("/etc/NetworkManager/system-connections/", "/run/NetworkManager/system-connections/")
    wanted = {i["name"]: NM_TYPES.get(i["type"]) for i in interfaces_of(case.bundle.state)}
    names = [link.name for _, link in case.nics] + [case.now(name) for name in wanted] + list(case.plan.leaving)
    found = {name: p for name in names if (p := case.live.profiles.get(name)) is not None}
    # of what is not there nmstate takes an inactive one
    idle = [p for p in case.live.idle if wanted.get(p.interface_name, "") == p.type]
    for profile in idle:
        name = profile.interface_name
        active = case.live.profiles.get(case.now(name))
        if active is None or active.type != profile.type:
            found[name] = profile
    for name, profile in found.items():
        if not profile.file.startswith(folders):
            yield Refusal(
                "KVN532",
                f"the connection profile of {name} is in {profile.file or 'no file'}, which kvmnet could not give back",
                f"make it a keyfile: nmcli connection migrate {profile.uuid} (NetworkManager 1.38 or later)",
            )


@refusal("KVN533", "two NICs share a profile")
def shared_profile(case: Case) -> Iterator[Refusal]:
    """
    One connection profile is active on two NICs of the definition; kvmnet binds a NIC's profile to its MAC, and
    can bind it to one only. Give each NIC a profile of its own: `nmcli connection clone`.
    """
    devices: dict[str, str] = {}
    for _, link in case.nics:
        profile = case.live.profiles.get(link.name)
        if profile is not None and devices.setdefault(profile.uuid, link.name) != link.name:
            yield Refusal(
                "KVN533",
                f"{link.name} and {devices[profile.uuid]} share the connection profile {profile.id}",
                "give each NIC a profile of its own: nmcli connection clone",
            )


@refusal("KVN534", "a macvtap stands on what is to become a port")
def macvtap_under_port(case: Case) -> Iterator[Refusal]:
    """
    A device has one receive handler: what carries a macvtap, macvlan or ipvlan cannot become the port of a bridge or
    bond (EBUSY). Stop the guest that uses it, or move it to the bridge (`kvmnet plan` again after that).
    """
    ports = {port: i["name"] for i in interfaces_of(case.bundle.state) for port in port_names(i)}
    for port, controller in ports.items():
        name = case.now(port)
        kinds = {n.name: n.kind for n in case.live.links.values() if n.base == name and n.kind in _ONE_HANDLER}
        if kinds:
            users = [f"{kind} {case.users([user])}" for user, kind in sorted(kinds.items())]
            yield Refusal(
                "KVN534",
                f"{name} is to become a port of {controller}, but carries {', '.join(users)}",
                "stop the guests that use it, or remove it: one device cannot serve both",
            )


@refusal("KVN535", "the next boot would take another profile first", allow=True)
def rival_profile(case: Case) -> Iterator[Refusal]:
    """
    A second connection profile fits an interface of the definition, autoconnects, and has a higher
    autoconnect-priority than the one that is active there: at the next boot NetworkManager takes that one. A bridge
    or bond that comes up afterwards takes its NIC back; but a NIC that comes after its bridge (a slow driver, a card
    that is plugged in) is lost to it, and one that is nobody's port in any case (NetworkManager 1.42). It fits a NIC
    when it is of type 802-3-ethernet and bound to the NIC's MAC, to the name that the NIC has by then, or to nothing;
    a bridge, bond or VLAN when it is of that type and has its name. One that makes it a port of the same bridge or
    bond does not count, nor of one that is not there, nor one that is only in memory. `match.interface-name` is
    looked at where it is a plain pattern, what else narrows a profile (match.driver, match.path, a list of denied
    MACs) is not. See that it does not autoconnect (`nmcli connection modify UUID connection.autoconnect no`), or
    delete it.
    At equal priority NetworkManager prefers the profile that was active last, which is the one that is active now:
    nothing is refused then, `plan` and `apply` name the other one in a note. It would have the interface at the boots
    after somebody has activated it. With a lower priority it is asked only when the first has failed.
    """
    for rival in case.rivals:
        if rival.wins:
            profile = rival.profile
            yield Refusal(
                "KVN535",
                f"the connection profile {profile.id} ({profile.uuid}) fits {', '.join(rival.names)} too, and is taken "
                f"first at the next boot: its autoconnect-priority {profile.priority} is the higher one",
                f"keep it out: {rival.cure}",
            )


_ONE_HANDLER = ("macvtap", "macvlan", "ipvlan", "ipvtap")
