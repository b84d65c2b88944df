"""Refusals about the names of interfaces: missing NICs, names in use, and interfaces that kvmnet did not create."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kvmnet.core.base.nmstate import GUEST_KINDS, KERNEL_KINDS, NM_ETHERNET, interfaces_of, port_names
from kvmnet.core.effects.topology import plain
from kvmnet.core.planning.adoption import find_uplinks
from kvmnet.core.refusals import ALWAYS, Case, Refusal, refusal


@refusal("KVN520", "a NIC of the definition is missing", when=ALWAYS)
def missing_nic(case: Case) -> Iterator[Refusal]:
    """
    kvmnet finds a NIC by its permanent MAC address (`mac:`), or by its kernel name if the definition has no MAC
    address. This host has no such NIC. Correct the definition, or check the hardware. `ip -d link` lists the NICs of
    this host.
    """
    for nic in case.bundle.nics:
        if nic.mac is None and case.live.find(nic) is None:
            yield Refusal(
                "KVN520",
                f"NIC {nic.interface} is missing: no interface is named {nic.name}",
                "set `mac:` of the NIC in the definition, or check the hardware",
            )
        elif nic.mac is not None and case.live.nic(nic.mac) is None:
            nics = ", ".join(f"{name} {mac}" for mac, name in sorted(case.live.macs().items()))
            yield Refusal(
                "KVN520",
                f"NIC {nic.interface} is missing: no NIC has the permanent MAC {nic.mac}",
                f"correct the definition, or check the hardware; the NICs of this host: {nics}",
            )


@refusal("KVN521", "a NIC has another name, and the naming policy does not rename NICs", when=ALWAYS)
def other_name(case: Case) -> Iterator[Refusal]:
    """
    With a naming policy that does not rename NICs (`plain`), the key of a NIC in the definition must be its kernel
    name. Change the key, or select a naming policy that renames NICs. If kvmnet has renamed the NIC, the key can also
    be the NIC's original name: kvmnet then restores that name.
    """
    renaming = {r.old for r in case.plan.renames}
    for nic, link in case.nics:
        if link.name != nic.name and nic.link_file is None and link.name not in renaming:
            yield Refusal(
                "KVN521",
                f"NIC {nic.interface} ({nic.mac}) is named {link.name}, and the naming policy does not rename NICs",
                f"change its key in the definition to {link.name}, or select a naming policy that renames NICs",
            )


@refusal("KVN522", "a name is already in use")
def taken_name(case: Case) -> Iterator[Refusal]:
    """
    An interface of the definition needs a name that another interface has, as its name or as an alternative name. The
    kernel accepts each name only once. (A NIC may get one of its own alternative names.) Rename or remove the other
    interface, remove its alternative name (`ip link property del dev DEV altname NAME`), or choose another name.
    """
    released_names = {r.old for r in case.plan.renames} | case.plan.removed_first
    macs = {nic.mac for nic in case.bundle.nics}
    new_names = {r.new: None for r in case.plan.renames}
    interfaces = interfaces_of(case.bundle.state)
    new_names.update({i["name"]: KERNEL_KINDS[i["type"]] for i in interfaces if i["type"] in KERNEL_KINDS})
    for name, kind in new_names.items():
        for link in case.live.links.values():
            if link.name == name and name not in released_names and (kind is None or link.kind != kind):
                yield Refusal(
                    "KVN522",
                    f"the name {name} is already used by a {link.kind or 'NIC'}",
                    f"rename or remove it, or use a naming policy that does not need the name {name}",
                )
            if name in link.altnames and link.mac not in macs:
                yield Refusal(
                    "KVN522",
                    f"the name {name} is already an alternative name of {link.name}",
                    f"remove it: ip link property del dev {link.name} altname {name}",
                )


@refusal("KVN523", "nmstate would confuse two interfaces")
def name_trap(case: Case) -> Iterator[Refusal]:
    """
    A NIC's connection profile is bound to a MAC address, and its ID is the name of another interface of the
    definition. nmstate 2.2.10 and later then confuses that interface with the NIC. kvmnet changes such IDs for the
    NICs of the definition, but not for other NICs. Change the ID: `nmcli connection modify UUID connection.id OTHER`.
    """
    own_nics = {link.name for _, link in case.nics} | {nic.name for nic in case.bundle.nics}
    names = {i["name"] for i in interfaces_of(case.bundle.state)}
    for profile in case.live.profiles.values():
        is_bound_by_mac = profile.type == NM_ETHERNET and not profile.interface_name
        if is_bound_by_mac and profile.id in names and profile.device not in own_nics:
            yield Refusal(
                "KVN523",
                f"the connection profile of {profile.device} has the ID {profile.id}, which is the name of an "
                "interface of the definition: nmstate would confuse the two",
                f"change the ID: nmcli connection modify {profile.uuid} connection.id {profile.device}",
            )


@refusal("KVN525", "an interface that would be removed or changed is in use", allow=True)
def in_use(case: Case) -> Iterator[Refusal]:
    """
    kvmnet would remove an interface that it has created, because the definition no longer contains it or because you
    ran `kvmnet remove`. But an interface that kvmnet does not know uses it. This other interface can be a port, a
    VLAN, a container's link, or a bridge that has the removed interface as a port. The other interface would lose its
    network.

    kvmnet also reports this code if it would change a bridge or bond that has an unknown port: a port with a
    connection profile that is not in the definition. nmstate would remove this port. The same is true for an interface
    that has to be recreated, for example a bond that gets another mode: the unknown VLANs on it would be removed.

    Remove the other interface first, or add it to the definition. For guests' taps and macvtaps see KVN527.
    """
    known = {i["name"] for state in (case.bundle.state, case.plan.state) for i in interfaces_of(state)}
    known |= case.plan.touched
    for name in case.plan.leaving:
        if name in case.plan.replaced:
            continue  # its ports go to another bridge
        users = [n.name for n in case.live.links.values() if name in (n.master, n.base) and n.kind not in GUEST_KINDS]
        controller = case.live.links[name].master if name in case.live.links else None
        users += [controller] if controller else []
        if unknown := sorted(set(users) - known):
            yield Refusal(
                "KVN525",
                f"{name} would be removed but is in use by {', '.join(unknown)}",
                f"remove what uses {name}, or add it to the definition",
            )
    for interface in interfaces_of(case.plan.state):
        name, ports = interface["name"], {case.current_name(port) for port in port_names(interface)}
        if interface.get("type") not in ("linux-bridge", "bond") or interface.get("state") != "up":
            continue
        live_ports = {link.name for link in find_uplinks(name, case.live)}
        if unknown := sorted((live_ports & set(case.live.profiles)) - ports - known - set(case.live.owned)):
            yield Refusal(
                "KVN525",
                f"{name} would be changed, but its port {', '.join(unknown)} is not in the definition",
                f"add the port to the definition, or remove it from {name}",
            )
    yield from _find_users_of_recreated(case, known)


def _find_users_of_recreated(case: Case, known: Collection[str]) -> Iterator[Refusal]:
    """Yield the interfaces that would be recreated below one that kvmnet does not know: it would be removed. KVN530
    reports the controllers of their own."""
    for device, reason in case.topologies.recreated.items():
        name = plain(device)
        users = [n.name for n in case.live.links.values() if n.base == name and n.kind not in GUEST_KINDS]
        if name not in case.plan.leaving and (unknown := sorted(set(users) - set(known))):
            yield Refusal(
                "KVN525",
                f"{reason}, but is in use by {', '.join(unknown)}",
                f"remove what uses {name}, or add it to the definition",
            )


@refusal("KVN528", "a NIC that would be renamed has a VLAN that is not in the definition", allow=True)
def stands_on_renamed(case: Case) -> Iterator[Refusal]:
    """
    A VLAN (or a macvlan with a connection profile) that is not in the definition is on a NIC that would be renamed. Its
    connection profile refers to the NIC's old name. At the next boot this name belongs to a bridge, or to nothing.

    Add the VLAN to the definition, and delete the existing VLAN (`nmcli connection delete NAME`). `kvmnet remove`
    restores the NIC's old name. Before you run it, change the VLAN's profile to that name
    (`nmcli connection modify NAME vlan.parent eth0`), and override this refusal. A VLAN that kvmnet's hook has created
    disappears when its guests are stopped. Such a VLAN does not prevent `kvmnet remove`.
    """
    known = {i["name"] for i in interfaces_of(case.bundle.state)} | set(case.plan.leaving)
    for rename in case.plan.renames:
        for link in case.live.links.values():
            if link.base != rename.old or link.name in known:
                continue
            profile = case.live.profiles.get(link.name)
            if profile or (link.kind == "vlan" and not case.is_removal):
                hint = "add it to the definition and delete it, or stop the guests that use it"
                if profile and case.is_removal:
                    setting = "vlan" if link.kind == "vlan" else "macvlan"
                    hint = f"nmcli connection modify {profile.uuid} {setting}.parent {rename.new}, and --allow KVN528"
                yield Refusal(
                    "KVN528",
                    f"{link.kind} {link.name} is on {rename.old}, which would be renamed to {rename.new}, and is not "
                    "in the definition",
                    hint,
                )


@refusal("KVN529", "a VLAN with this VLAN ID exists under another name")
def taken_tag(case: Case) -> Iterator[Refusal]:
    """
    The kernel allows one VLAN device for each VLAN ID on an interface. An existing VLAN that kvmnet did not create has
    the same VLAN ID as a VLAN of the definition, but another name. Delete it (`nmcli connection delete NAME`) shortly
    before you apply. Or select a naming policy that gives the name of the existing VLAN to the VLAN of the definition:
    kvmnet then adopts the existing VLAN.
    """
    leaving = set(case.plan.leaving)
    live_vlans = {
        (i["vlan"].get("base-iface"), i["vlan"].get("id")): i["name"]
        for i in interfaces_of(case.live.state)
        if "vlan" in i and i["name"] not in leaving
    }
    for interface in interfaces_of(case.bundle.state):
        if interface["type"] == "vlan":
            base, vlan_id = case.current_name(interface["vlan"]["base-iface"]), interface["vlan"]["id"]
            name = live_vlans.get((base, vlan_id), interface["name"])
            if name != interface["name"]:
                yield Refusal(
                    "KVN529",
                    f"{name} already has VLAN ID {vlan_id} on {base}, so {interface['name']} cannot be created",
                    f"delete it: nmcli connection delete {name}",
                )
