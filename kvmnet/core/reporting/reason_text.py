"""The likely reasons of a failed change, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvmnet.core.base.enumeration import both_or_all, join_names
from kvmnet.core.effects import likely_reasons
from kvmnet.core.effects.likely_reasons import LikelyReason


def reason_text(reason: LikelyReason) -> str:
    """Return a reason in words: what is wrong, and what to do where that is known."""
    return _TEXTS[reason.kind](reason.subject, reason.values)


def explains_alone(reason: LikelyReason) -> bool:
    """Whether the reason explains more than nmstate's own message about it, which then only follows."""
    return reason.kind == likely_reasons.UNMANAGED


def reasons_to_json(reasons: Sequence[LikelyReason]) -> list[dict[str, Any]]:
    """Return reasons as plain data with their texts: programs read the kind, people the text."""
    return [{**reason.to_json(), "text": reason_text(reason)} for reason in reasons if reason.kind in _TEXTS]


def _unmanaged(name: str, values: Mapping[str, Any]) -> str:
    if not values.get("entry"):
        command = f"nmcli -f GENERAL.STATE,GENERAL.REASON device show {name}"
        return f"NetworkManager does not manage {name}: `{command}` shows the reason"
    return f"NetworkManager is configured to leave {name} unmanaged ({values['entry']}): {values['fix']}"


def _duplicate_address(ip: str, values: Mapping[str, Any]) -> str:
    names = values["interfaces"]
    return f"{join_names(names)} {both_or_all(names)} have the address {ip}: replies arrive at only one of them"


def _no_carrier(name: str, _: Mapping[str, Any]) -> str:
    return f"{name} has no carrier: check the cable and the switch port"


def _silent_lacp(name: str, _: Mapping[str, Any]) -> str:
    return f"the switch does not answer LACP on the ports of {name}: check that its ports are a link aggregation group"


def _no_route(target: str, _: Mapping[str, Any]) -> str:
    return f"this host had no route to {target} then"


def _no_neighbour(target: str, values: Mapping[str, Any]) -> str:
    hop, interface = values["neighbour"], values["interface"]
    whom = hop if hop == target else f"{hop}, the gateway to {target},"
    where = "check the cable, the VLAN and the switch port"
    return f"{whom} did not answer ARP or neighbour discovery on {interface}: {where}"


def _firewall_rule(name: str, values: Mapping[str, Any]) -> str:
    return f"the {values['what']} `{values['rule']}` names {name}, which {values['event']}"


_TEXTS = {
    likely_reasons.UNMANAGED: _unmanaged,
    likely_reasons.DUPLICATE_ADDRESS: _duplicate_address,
    likely_reasons.NO_CARRIER: _no_carrier,
    likely_reasons.SILENT_LACP: _silent_lacp,
    likely_reasons.NO_ROUTE: _no_route,
    likely_reasons.NO_NEIGHBOUR: _no_neighbour,
    likely_reasons.FIREWALL_RULE: _firewall_rule,
}
