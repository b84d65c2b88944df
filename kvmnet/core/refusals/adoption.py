"""Refusals about existing interfaces of other tools: they are taken over only with the operator's permission."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import KERNEL_KINDS, interfaces_of
from kvmnet.core.live.live_host import UNREADABLE
from kvmnet.core.planning.difference import Difference, interface_differences, value_text
from kvmnet.core.planning.ownership import belongs_to_kvmnet, find_created
from kvmnet.core.refusals import ADOPT_OPTION, Case, Refusal, refusal
from kvmnet.core.refusals.guests import find_macvtaps_on_taken_vlans
from kvmnet.core.refusals.others import describe_controller

_HINT = "run the command again with --adopt; `kvmnet plan --adopt` shows what would change"


@refusal("KVN524", "an interface that kvmnet did not create differs from the definition", allow=True)
def made_by_hand(case: Case) -> Iterator[Refusal]:
    """
    A bridge, bond, VLAN or macvtap of the definition already exists, kvmnet did not create it, and it differs from the
    definition. Either the interface or the definition may be wrong. Make them equal, or let kvmnet change the
    interface: `--adopt` permits this for all interfaces that would be adopted (see KVN536).
    """
    live_interfaces = {i["name"]: i for i in interfaces_of(case.view_after_renames)}
    used_by_guests = find_macvtaps_on_taken_vlans(case)  # KVN526 reports these
    for interface in interfaces_of(case.plan.desired):
        name, kind = interface["name"], KERNEL_KINDS.get(interface["type"])
        link = case.live.links.get(name)
        if kind is None or link is None or link.kind != kind:
            continue
        if name in used_by_guests or belongs_to_kvmnet(case.bundle.host, name, case.live):
            continue
        differences = [_difference_text(d) for d in interface_differences(interface, live_interfaces.get(name))]
        if differences:
            hint = "correct the definition or the interface, or let kvmnet change it: --adopt"
            if kind == "vlan" and live_interfaces.get(name, {}).get("state") == "ignore":
                hint = "correct the definition, or change or remove the interface"
                hint += "; if kvmnet's hook created it for a guest, `kvmnet hook reconcile` removes it"
            yield Refusal(
                "KVN524",
                f"the {kind} {name} was not created by kvmnet and differs from the definition "
                f"({'; '.join(differences)})",
                hint,
                adopt=name in case.plan.adopted,
            )


def _difference_text(difference: Difference) -> str:
    """Return a difference in words. Another MAC address has consequences outside of the host."""
    if difference.path != "mac-address":
        return difference.text
    change = f"{value_text(difference.live)} -> {value_text(difference.desired)}"
    consequence = "DHCP reservations and switch port security by MAC address will not match"
    return f"it would get another MAC address, {change}: {consequence}"


@refusal("KVN536", "interfaces of another tool would be adopted", option=ADOPT_OPTION)
def needs_permission(case: Case) -> Iterator[Refusal]:
    """
    A bridge, bond, VLAN or macvtap of the definition already exists, and another tool created it (nmcli, Cockpit, an
    installer, an administrator). kvmnet adopts it only with your permission: run `plan` and `apply` once with
    `--adopt`. A NIC under an ordinary connection profile needs no permission.

    An adopted interface stays where it is, with its ports (also taps of guests and links of containers), its MAC
    address, and every option that the definition does not state. Its connection profile is completed: what the
    definition states, and what the interface runs with, is written to it. Later changes of the definition apply to it.
    kvmnet does not remove an adopted interface that you delete from the definition, and `kvmnet remove` restores its
    connection profile from before the adoption. An interface that is already adopted needs no permission again.

    A bridge that the definition does not contain is replaced if a new bridge of the definition gets all its uplinks.
    The new bridge takes over its addresses, MAC address, firewalld zone and guests' ports. The old bridge is removed;
    `kvmnet remove` restores it. This needs the same permission. To keep the bridge instead, name it in the definition:
    `bridge: NAME`.

    A plan that `kvmnet plan --adopt -o FILE` saved contains the permission.
    """
    plan, live = case.plan, case.live
    if case.is_removal or live.applied == UNREADABLE:
        return
    if plan.adopted:
        names = ", ".join(f"{live.links[name].kind} {name}" for name in plan.adopted)
        message = f"another tool created these interfaces, and kvmnet would adopt them: {names}"
        yield Refusal("KVN536", message, _HINT, adopt=True)
    created = find_created(live)
    for old, new in plan.replaced.items():
        if old not in created:
            facts = ", ".join(describe_controller(case, old))
            yield Refusal(
                "KVN536",
                f"another tool created the bridge {old}: {new} would replace it and take over its addresses and "
                f"guests' ports{f' ({facts})' if facts else ''}",
                f"{_HINT}; to keep {old}, write `bridge: {old}` in the definition",
                adopt=True,
            )
