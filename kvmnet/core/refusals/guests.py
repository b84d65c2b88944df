"""Refusals about running guests that the change would disconnect."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.effects.impact import DISCONNECTED, Impact
from kvmnet.core.live.live_host import version_of
from kvmnet.core.refusals import WRITING, Case, Refusal, refusal


def find_macvtaps_on_taken_vlans(case: Case) -> dict[str, list[str]]:
    """Return the VLANs that kvmnet would take over while guests use them, each with the macvtaps of the guests.

    libvirt's hook created these VLANs, so NetworkManager does not manage them. libvirt created the macvtaps.
    """
    live_interfaces = {i["name"]: i for i in interfaces_of(case.live.state)}
    own_names = {i["name"] for i in interfaces_of(case.bundle.state)}
    macvtaps = {}
    for interface in interfaces_of(case.plan.state):
        name = interface["name"]
        if interface["type"] == "vlan" and live_interfaces.get(name, {}).get("state") == "ignore":
            on_vlan = {n.name for n in case.live.links.values() if n.base == name and n.kind == "macvtap"}
            if of_guests := sorted(on_vlan - own_names):
                macvtaps[name] = of_guests
    return macvtaps


@refusal("KVN526", "running guests use a VLAN that would become permanent")
def guests_on_demand(case: Case) -> Iterator[Refusal]:
    """
    The definition now has `attach: always`: VLAN device and macvtaps exist from boot. But running guests still use
    devices that were created on demand: libvirt created their macvtaps, and kvmnet's hook created the VLAN device
    below them. kvmnet cannot create its own macvtaps at the same time, because on one device the kernel allows only
    one macvtap with a MAC address. In addition, the VLAN goes down for a moment when NetworkManager starts to manage
    it.

    Stop these guests, or migrate them to another host. Then run `kvmnet apply`, update the guests' XML
    (`kvmnet guest xml`), and start them.
    """
    for name, macvtaps in find_macvtaps_on_taken_vlans(case).items():
        users = case.describe_devices(macvtaps)
        yield Refusal(
            "KVN526",
            f"{name} would become a permanent VLAN, but running guests use it: {users}",
            "stop these guests first; `kvmnet hook status` lists them",
        )


@refusal("KVN527", "a running guest would be disconnected", option="--allow-guest-loss GUEST")
def guest_loss(case: Case) -> Iterator[Refusal]:
    """
    The change would permanently disconnect a NIC of a running guest. Its bridge or VLAN is removed or taken down, gets
    another VLAN ID, or loses its last uplink. Or the base interface of its macvtap is recreated, which removes the
    macvtap. Stop the guest, or migrate it to another host first (`kvmnet guest can-move` checks whether that host can
    run it). `kvmnet plan` shows the effect on each guest.

    A tap or macvtap that does not belong to a libvirt domain is listed by its device name. If libvirt is not
    available, kvmnet may list all of them by device name.
    """
    lost: dict[str, list[Impact]] = {}
    for impact in case.impacts:
        if impact.how == DISCONNECTED and impact.refusal == "KVN527":
            lost.setdefault(impact.name, []).append(impact)
    for name, impacts in lost.items():
        is_unknown = bool(case.live.surroundings.running.problem)
        owner = "guest unknown: libvirt is not available" if is_unknown else "not a device of a libvirt domain"
        subject = f"guest {name}" if impacts[0].guest else f"{name} ({owner})"
        nics = "; ".join(f"{i.device} on {i.over}: {i.why}" for i in impacts)
        hint = f"stop or migrate it first, or override this: --allow-guest-loss {name}"
        yield Refusal("KVN527", f"{subject} would be disconnected permanently ({nics})", hint, name)


#: The first libvirt that sets the VLANs of a port of a Linux bridge (virNetDevBridgeSetupVlans).
VLANS_OF_PORTS = (11, 0, 0)


@refusal("KVN546", "libvirt is too old for guests on VLANs of a bridge", when=WRITING, allow=True)
def old_libvirt(case: Case) -> Iterator[Refusal]:
    """
    A guest of this host is connected to a tagged network by a VLAN-aware bridge: its XML contains `<vlan>`. libvirt
    sets the VLANs of a port of a Linux bridge from version 11.0.0 on. An older one, such as that of EL 9 and Debian 12,
    refuses the guest, but only when it starts.

    Use one bridge for each VLAN instead: `eth0.20: {network: vlan20, bridge: true}` connects guests of network vlan20
    to bridge br-eth0.20, and they need no `<vlan>`. A guest that has a trunk gets a NIC for each network then. Or
    update libvirt. If the guest runs on another host only, override this refusal.
    """
    guests, version = case.bundle.tagged_guests, case.live.surroundings.libvirt
    if guests and version and version_of(version) < VLANS_OF_PORTS:
        names = ", ".join(guests[:3]) + (f" and {len(guests) - 3} more" if len(guests) > 3 else "")
        yield Refusal(
            "KVN546",
            f"libvirt {version} cannot set VLANs of guests on a bridge (11.0.0 can), which {names} would need",
            "use one bridge for each VLAN (eth0.20: {network: …, bridge: true}), or update libvirt",
        )
