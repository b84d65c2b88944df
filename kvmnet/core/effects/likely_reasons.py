"""Likely reasons of a failed change: what of the host, at the moment of the failure or before the change, explains it.

In: facts of the host (host/failure_facts) and the failed step. Out: reasons as data; core/reporting/reason_text words
them. A reason is likely and not proven: all that are found are listed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kvmnet.core.effects.name_uses import find_role_changes
from kvmnet.core.live.failure_facts import FailureFacts
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan

#: The kinds of reasons.
UNMANAGED = "unmanaged"
DUPLICATE_ADDRESS = "duplicate address"
NO_CARRIER = "no carrier"
SILENT_LACP = "silent lacp"
NO_ROUTE = "no route"
NO_NEIGHBOUR = "no neighbour"
FIREWALL_RULE = "firewall rule"

#: How many firewall rules are named for each interface.
_MOST_RULES = 3

#: The states of a neighbour that has not replied (`ip neighbour`).
_SILENT_STATES = {"FAILED", "INCOMPLETE"}


@dataclass(frozen=True)
class LikelyReason:
    """A reason: its kind, the interface or target that it is about, and the values for its text."""

    kind: str
    subject: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the reason as plain data, for the journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LikelyReason:
        """Return the reason from its JSON form."""
        return cls(str(data["kind"]), str(data["subject"]), data.get("values", {}))


def find_reasons(
    facts: FailureFacts, expected: Sequence[Mapping[str, Any]], silent_before: Collection[str] = ()
) -> Iterator[LikelyReason]:
    """Yield the reasons that the facts give. `expected` are the entries of core/planning/expected_readback;
    `silent_before`: the NICs that had no carrier before the change either."""
    for name, (entry, fix) in facts.unmanaged.items():
        yield LikelyReason(UNMANAGED, name, {"entry": entry, "fix": fix})
    yield from _find_duplicates(facts, expected)
    for name in facts.without_carrier:
        if name not in silent_before:
            yield LikelyReason(NO_CARRIER, name)
    for name in facts.silent_bonds:
        yield LikelyReason(SILENT_LACP, name)
    for target, device in facts.routes.items():
        hop, state = facts.neighbours.get(target, ("", ""))
        if not device:
            yield LikelyReason(NO_ROUTE, target)
        elif state in _SILENT_STATES:
            yield LikelyReason(NO_NEIGHBOUR, target, {"neighbour": hop, "interface": device})


def _find_duplicates(facts: FailureFacts, expected: Sequence[Mapping[str, Any]]) -> Iterator[LikelyReason]:
    """Yield the addresses of the definition that several interfaces have."""
    holders: dict[str, list[str]] = {}
    for name, addresses in facts.addresses.items():
        for address in addresses:
            holders.setdefault(_ip(address), []).append(name)
    wanted = dict.fromkeys(_ip(a) for entry in expected for a in entry.get("addresses", ()))
    for ip in wanted:
        if len(set(holders.get(ip, ()))) > 1:
            yield LikelyReason(DUPLICATE_ADDRESS, ip, {"interfaces": sorted(set(holders[ip]))})


def _ip(address: str) -> str:
    return str(ipaddress.ip_interface(address).ip)


def find_plan_reasons(plan: Plan, live: Live) -> Iterator[LikelyReason]:
    """Yield what is known before the change and explains that a target or the operator does not reply after it. It is
    recorded with the transaction, because the watchdog, which ends a step that hangs, does not read the host."""
    for name, change in find_role_changes(plan, live).items():
        rules = [u for u in live.surroundings.name_uses if name in u.names and "rule" in u.what]
        for rule in rules[:_MOST_RULES]:
            yield LikelyReason(FIREWALL_RULE, name, {"what": rule.what, "rule": rule.text, "event": change.text})
