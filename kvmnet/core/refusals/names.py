"""Names that links are to get, and what stands in their way."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import GUEST_KINDS, KERNEL_KINDS, interfaces_of, port_names
from kvmnet.core.planning.difference import interface_differences
from kvmnet.core.planning.ownership import is_ours
from kvmnet.core.refusals import ALWAYS, Case, Refusal, refusal
from kvmnet.core.refusals.guests import lent


@refusal("KVN520", "a NIC of the definition is not here", when=ALWAYS)
def missing_nic(case: Case) -> Iterator[Refusal]:
    """
    A NIC is found by its permanent MAC (`mac:`), else by its kernel name. Correct the definition, or look at
    the hardware: `ip -d link` shows what is here.
    """
    for nic in case.bundle.nics:
        if nic.mac is None and case.live.find(nic) is None:
            yield Refusal(
                "KVN520",
                f"NIC {nic.interface} is not here: no interface is named {nic.name}",
                "name the NIC by `mac:` in the definition, or check the hardware",
            )
        elif nic.mac is not None and case.live.nic(nic.mac) is None:
            yield Refusal(
                "KVN520",
                f"NIC {nic.interface} is not here: no NIC has the permanent MAC {nic.mac}",
                "the NICs of this machine: "
                + ", ".join(f"{name} {mac}" for mac, name in sorted(case.live.macs().items())),
            )


@refusal("KVN521", "a NIC has another name, and the profile renames none", when=ALWAYS)
def other_name(case: Case) -> Iterator[Refusal]:
    """
    Under a profile that renames nothing (`plain`) a NIC's key in the definition must be the name that the
    kernel gives it. Call the interface by that name, or choose a profile that renames. A NIC that kvmnet renamed
    may be called what it was called before: it gets that name back.
    """
    renaming = {r.old for r in case.plan.renames}
    for nic, link in case.nics:
        if link.name != nic.name and nic.link_file is None and link.name not in renaming:
            yield Refusal(
                "KVN521",
                f"NIC {nic.interface} ({nic.mac}) is named {link.name} here, and the profile does not rename",
                f"call the interface {link.name} in the definition, or choose a profile that renames",
            )


@refusal("KVN522", "a name is taken")
def taken_name(case: Case) -> Iterator[Refusal]:
    """
    An interface of the definition is to get a name that another link has, or has as an alternative name: the
    kernel knows no difference between the two. A NIC's own alternative names are no obstacle. Rename or remove
    the other one (`ip link property del dev DEV altname NAME`), or choose another name.
    """
    leaving = {r.old for r in case.plan.renames} | case.plan.goes_first
    ours = {nic.mac for nic in case.bundle.nics}
    wanted = {r.new: None for r in case.plan.renames}
    interfaces = interfaces_of(case.bundle.state)
    wanted.update({i["name"]: KERNEL_KINDS[i["type"]] for i in interfaces if i["type"] in KERNEL_KINDS})
    for name, kind in wanted.items():
        for link in case.live.links.values():
            if link.name == name and name not in leaving and (kind is None or link.kind != kind):
                yield Refusal(
                    "KVN522",
                    f"the name {name} is taken by a {link.kind or 'NIC'}",
                    f"rename or remove it, or choose another name for {name} in the profile",
                )
            if name in link.altnames and link.mac not in ours:
                yield Refusal(
                    "KVN522",
                    f"the name {name} is an alternative name of {link.name}",
                    f"take it away: ip link property del dev {link.name} altname {name}",
                )


@refusal("KVN523", "nmstate would take one interface for another")
def name_trap(case: Case) -> Iterator[Refusal]:
    """
    nmstate (2.2.10 and later) takes a desired interface for the NIC whose connection profile is bound by MAC
    and has that interface's name as its id. The profiles of the definition's own NICs get another id; another
    NIC's is not kvmnet's to change: `nmcli connection modify UUID connection.id OTHER`.
    """
    ours = {link.name for _, link in case.nics} | {nic.name for nic in case.bundle.nics}
    names = {i["name"] for i in interfaces_of(case.bundle.state)}
    for profile in case.live.profiles.values():
        bound_by_mac = profile.type == "802-3-ethernet" and not profile.interface_name
        if bound_by_mac and profile.id in names and profile.device not in ours:
            yield Refusal(
                "KVN523",
                f"the connection profile of {profile.device} has the id {profile.id}, the name of an interface to "
                "come: nmstate would take one for the other",
                f"give it another: nmcli connection modify {profile.uuid} connection.id {profile.device}",
            )


@refusal("KVN524", "an interface that a person made says something else", allow=True)
def made_by_hand(case: Case) -> Iterator[Refusal]:
    """
    A bridge, bond, VLAN or macvtap of the definition is there already, and kvmnet did not make it. When it says
    the same as the definition it is adopted: the definition changes it from then on, and when it leaves the
    definition it stays. When it says something else, one of the two is wrong: make them equal, or let kvmnet
    change it with --allow.
    """
    there = {i["name"]: i for i in interfaces_of(case.view_after_renames)}
    told = lent(case)  # KVN526 is about those
    for interface in interfaces_of(case.bundle.state):
        name, kind = interface["name"], KERNEL_KINDS.get(interface["type"])
        link = case.live.links.get(name)
        if (
            name in told
            or kind is None
            or link is None
            or link.kind != kind
            or is_ours(case.bundle.host, name, case.live)
        ):
            continue
        details = [d.text for d in interface_differences(interface, there.get(name))]
        if details:
            hint = "make the definition say what it is, or remove it"
            if kind == "vlan" and there.get(name, {}).get("state") == "ignore":
                hint += "; one that libvirt's hook made for a guest goes by `kvmnet hook reconcile`"
            yield Refusal(
                "KVN524",
                f"the {kind} {name} was not made by kvmnet and is not as defined ({'; '.join(details)})",
                hint,
            )


@refusal("KVN525", "something of others' stands on what would go", allow=True)
def in_use(case: Case) -> Iterator[Refusal]:
    """
    An interface that kvmnet made is to go, since it left the definition or all is given back, but what a person or
    another program made is on it: a port, a VLAN, a container's link, or a bridge that it is a port of. It would lose
    its network. So would what somebody made a port of a bridge or bond that is to be changed, by a connection profile:
    nmstate takes out what the definition does not know. Take it out first, or write it into the definition. Guests'
    taps and macvtaps are told apart, with their guests: KVN527.
    """
    mine = {i["name"] for state in (case.bundle.state, case.plan.state) for i in interfaces_of(state)}
    mine |= case.plan.touched
    for name in case.plan.leaving:
        users = [n.name for n in case.live.links.values() if name in (n.master, n.base) and n.kind not in GUEST_KINDS]
        over = case.live.links[name].master if name in case.live.links else None
        users += [over] if over else []
        if users := sorted(set(users) - mine):
            yield Refusal(
                "KVN525",
                f"{name} is to go, but {', '.join(users)} would lose its network with it",
                "take out what was added by hand, or what another program added",
            )
    for interface in interfaces_of(case.plan.state):
        name, wanted = interface["name"], {case.now(port) for port in port_names(interface)}
        if interface.get("type") not in ("linux-bridge", "bond") or interface.get("state") != "up":
            continue
        ports = {n.name for n in case.live.links.values() if n.master == name and n.kind not in GUEST_KINDS}
        if others := sorted((ports & set(case.live.profiles)) - wanted - mine - set(case.live.owned)):
            yield Refusal(
                "KVN525",
                f"{name} is to be changed, but has the port {', '.join(others)}, which the definition does not know",
                "write it into the definition, or take it out",
            )


@refusal("KVN528", "something stands on a NIC that is to be renamed", allow=True)
def stands_on_renamed(case: Case) -> Iterator[Refusal]:
    """
    A VLAN device (or a macvlan with a connection profile) that the definition does not know is on a NIC that gets
    another name. Its profile names what is below by the NIC's old name: at the next boot that is a bridge, or nothing.
    Write it into the definition and remove it (`nmcli connection delete NAME`); before `kvmnet remove`, by which the
    NIC gets its old name back, let its profile say that name (`nmcli connection modify NAME vlan.parent eth0`) and
    allow it. One that libvirt's hook made is gone when the guests on it are stopped, and speaks against no removal.
    """
    known = {i["name"] for i in interfaces_of(case.bundle.state)} | set(case.plan.leaving)
    for rename in case.plan.renames:
        for link in case.live.links.values():
            if link.base != rename.old or link.name in known:
                continue
            profile = case.live.profiles.get(link.name)
            if profile or (link.kind == "vlan" and not case.gives_back):
                hint = "write it into the definition and remove it, or stop the guests that use it"
                if profile and case.gives_back:
                    setting = "vlan" if link.kind == "vlan" else "macvlan"
                    hint = f"nmcli connection modify {profile.uuid} {setting}.parent {rename.new}, and --allow KVN528"
                yield Refusal(
                    "KVN528",
                    f"{link.kind} {link.name} stands on {rename.old}, which is to become {rename.new}, and the "
                    "definition does not know it",
                    hint,
                )


@refusal("KVN529", "a VLAN of this tag is there under another name")
def taken_tag(case: Case) -> Iterator[Refusal]:
    """
    The kernel has one VLAN device of a tag over a device. One that kvmnet did not make has the tag of a VLAN of the
    definition, under another name than the definition's profile gives it: remove it (`nmcli connection delete NAME`)
    in the same hour as you apply, or choose a profile whose pattern gives it that name, so that it is adopted.
    """
    going = set(case.plan.leaving)
    there = {
        (i["vlan"].get("base-iface"), i["vlan"].get("id")): i["name"]
        for i in interfaces_of(case.live.state)
        if "vlan" in i and i["name"] not in going
    }
    for interface in interfaces_of(case.bundle.state):
        if interface["type"] == "vlan":
            base, tag = case.now(interface["vlan"]["base-iface"]), interface["vlan"]["id"]
            name = there.get((base, tag), interface["name"])
            if name != interface["name"]:
                yield Refusal(
                    "KVN529",
                    f"{name} has tag {tag} over {base} already; the definition's {interface['name']} could not be made",
                    f"remove {name}: nmcli connection delete {name}",
                )
