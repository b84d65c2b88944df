"""Refusals about running guests that the change would disconnect."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.effects.impact import DISCONNECTED, Impact
from kvmnet.core.refusals import Case, Refusal, refusal


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
