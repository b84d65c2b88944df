"""The changes of a plan in words, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvmnet.core.base.profile_settings import ZONE
from kvmnet.core.planning.changes import (
    Adopted,
    Change,
    Detail,
    FileRestored,
    InactiveProfile,
    JoinsController,
    LeftDefinition,
    NewName,
    OptionReset,
    Reason,
    Replaced,
    Restored,
    RuleDetail,
)
from kvmnet.core.planning.difference import Difference, route_text, value_text
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.profile_changes import Place, SettingDifference
from kvmnet.core.planning.rule_changes import rule_text

_REASONS = {
    Reason.LINK_FILE_NEEDED: "names the NIC at boot",
    Reason.LINK_FILE_UNUSED: "no longer names a NIC",
    Reason.TAKES_OVER_ADDRESSES: "keeps the addresses of the interface that is removed",
    Reason.NIC_RELEASED: "no longer in the definition: removed from its controller, no addresses",
    Reason.ONLY_IN_MEMORY: "its connection profile is only in memory",
    Reason.GUEST_DEVICES: "NetworkManager does not manage guests' devices",
    Reason.NO_GUESTS: "no guest can run on this host any more",
    Reason.MACVTAP_RULE: "guests on macvtaps receive multicast (IPv6 neighbour discovery, VRRP, mDNS)",
    Reason.ALL_MULTICAST: "the guest on this macvtap receives multicast",
    Reason.NOT_RECORDED: "the host matches the definition; only kvmnet's record is written",
    Reason.CREATED_BY_KVMNET: "created by kvmnet",
    Reason.PROFILE_COMPLETED: "its connection profile is completed, because its controller is adopted",
    Reason.PROFILE_RESTORED: "its connection profile from before kvmnet is restored",
    Reason.HOLDS_RULES: "its connection profile gets routing rules",
    Reason.LOOPBACK_RELEASED: "no longer in the definition: its own addresses only",
    Reason.PORT_VLANS: "its VLANs on the bridge change",
    Reason.ETHTOOL_LEFT: "settings of ethtool left the definition: the driver's own values return",
    Reason.KEEPS_VIRTUAL_OUT: "applied again, so that no virtual address gets into its connection profile",
}

_PLACES = {
    Place.KERNEL: "",
    Place.FIREWALL: "",
    Place.PROFILE: "in its connection profile, ",
    Place.KEYFILE: "connection profile on disk: ",
}


def detail_text(detail: Detail) -> str:
    """Return a detail of a change in words."""
    if isinstance(detail, Difference):
        return detail.text
    if isinstance(detail, Reason):
        return _REASONS[detail]
    if isinstance(detail, NewName):
        return f"to {detail.name}, the NIC with MAC {detail.mac}"
    if isinstance(detail, JoinsController):
        return f"becomes a port of {detail.controller}"
    if isinstance(detail, OptionReset):
        return f"{detail.option}: {value_text(detail.live)} -> its default"
    if isinstance(detail, LeftDefinition):
        return f"the {detail.type} is no longer in the definition"
    if isinstance(detail, InactiveProfile):
        reason = "no longer in the definition" if detail.left_definition else "was created by kvmnet"
        return f"the connection profile of {detail.interface}, which is inactive and {reason}"
    if isinstance(detail, Adopted):
        profile = f"its connection profile {detail.profile}" if detail.profile else "its new connection profile"
        return f"adopted: it was created by another tool and stays; {profile} will state all that the definition states"
    if isinstance(detail, Replaced):
        return f"replaced by {detail.successor}, which takes over its uplinks, addresses and guests' ports"
    if isinstance(detail, Restored):
        return f"restored; it takes back the guests' ports of {detail.successor}"
    if isinstance(detail, FileRestored):
        return f"restored to its content of {detail.day}" if detail.existed else f"did not exist on {detail.day}"
    if isinstance(detail, SettingDifference):
        return _PLACES[detail.place] + _setting_text(detail)
    return rule_text(detail.rule) if isinstance(detail, RuleDetail) else route_text(detail.route)


def _setting_text(detail: SettingDifference) -> str:
    if detail.name == ZONE.name:
        return "firewalld zone: " + " -> ".join(
            str(zone) or "the default zone" for zone in (detail.live, detail.desired)
        )
    live, desired = (value_text(None if value == "" else value) for value in (detail.live, detail.desired))
    return f"{detail.name}: {live} -> {desired}"


def detail_texts(change: Change) -> list[str]:
    """Return all details of a change in words."""
    return [detail_text(detail) for detail in change.details]


def changes_to_json(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Return changes as plain data, with their details in words."""
    return [{"what": c.kind, "name": c.name, "details": detail_texts(c)} for c in changes]


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data, for `plan --json` and saved plans."""
    return {
        "host": plan.bundle.host,
        "digest": plan.bundle.digest,
        "empty": plan.empty,
        "changes": changes_to_json(plan.changes),
        "state": plan.state,
        **({"first": plan.first} if plan.first else {}),
        **({"adopted": list(plan.adopted)} if plan.adopted else {}),
        **({"replaced": dict(plan.replaced)} if plan.replaced else {}),
        **({"descriptions": dict(plan.bundle.descriptions)} if plan.bundle.descriptions else {}),
    }
