"""Guests that run on what the change is about."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.effects.impact import DISCONNECTED, Impact
from kvmnet.core.refusals import Case, Refusal, refusal


def lent(case: Case) -> dict[str, list[str]]:
    """VLAN devices that are to become the host's own while macvtaps of guests, which libvirt made, lie over them
    (libvirt's hook made the devices, NetworkManager does not manage them): the macvtaps by device."""
    state = {i["name"]: i for i in interfaces_of(case.live.state)}
    ours = {i["name"] for i in interfaces_of(case.bundle.state)}
    found = {}
    for interface in interfaces_of(case.plan.state):
        name = interface["name"]
        if interface["type"] == "vlan" and state.get(name, {}).get("state") == "ignore":
            over = [n.name for n in case.live.links.values() if n.base == name and n.kind == "macvtap"]
            if strange := sorted(set(over) - ours):
                found[name] = strange
    return found


@refusal("KVN526", "guests run on a VLAN device that is to be there from boot")
def guests_on_demand(case: Case) -> Iterator[Refusal]:
    """
    The definition now attaches guests from boot (`attach: always`) where running ones attach on demand: their
    VLAN device and the macvtaps on it are libvirt's as long as they run. The kernel allows one macvtap of a MAC on
    a device, so theirs are in the way of those to come; and while NetworkManager takes the device over it is down.
    Stop these guests (or move them away), apply, give them their new XML (`kvmnet guest xml`), start them.
    """
    for name, over in lent(case).items():
        yield Refusal(
            "KVN526",
            f"{name} is to be there from boot, but running guests are on it by {case.users(over)}",
            "stop them first; `kvmnet hook status` names them",
        )


@refusal("KVN527", "a running guest would lose its network", option="--allow-guest-loss GUEST")
def guest_loss(case: Case) -> Iterator[Refusal]:
    """
    The change takes away for good what a NIC of a running guest is plugged into, or the last way out of it: its bridge
    or VLAN device goes or is made anew under its macvtap, leads to another VLAN, is taken down, or the NIC below it is.
    Stop the guest, or move it to another host first (`kvmnet guest can-move`). `kvmnet plan` shows what happens to each
    guest. Taps and macvtaps that are no libvirt domain's are called by the device. Where libvirt does not answer all of
    them are.
    """
    lost: dict[str, list[Impact]] = {}
    for impact in case.impacts:
        if impact.how == DISCONNECTED and impact.refusal == "KVN527":
            lost.setdefault(impact.name, []).append(impact)
    for name, found in lost.items():
        unknown = case.live.surroundings.running.problem
        nobody = "whose guest libvirt does not tell" if unknown else "which is no libvirt domain's"
        what = f"the guest {name}" if found[0].guest else f"{name}, {nobody},"
        nics = "; ".join(f"{i.device} on {i.over}: {i.why}" for i in found)
        hint = f"stop it or move it away first; --allow-guest-loss {name} goes on all the same"
        yield Refusal("KVN527", f"{what} would lose its network for good ({nics})", hint, name)
