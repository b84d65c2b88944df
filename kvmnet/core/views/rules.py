"""The routing rules of a host."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.definition.model import Host, Interface
from kvmnet.core.views.host_view import RuleView
from kvmnet.core.views.routing import Carriers
from kvmnet.core.views.stack import Stack

#: The priority of the first rule without one; nmstate begins with the same. Those of the kernel are above.
FIRST_PRIORITY = 30000


def build_rules(host: Host, stack: Stack, carriers: Carriers) -> Iterator[RuleView]:
    """Yield the rules of a host, each once: without the invalid ones, which the checks report, and without those of a
    family in which the host has no address. No connection profile could contain them."""
    versions = {version for version in (4, 6) for interface, _ in carriers if _is_enabled(interface, version)}
    devices = {interface.name: stack.top(interface) for interface in stack.active}
    seen: set[RuleView] = set()
    next_priority = FIRST_PRIORITY
    for rule in host.rules:
        priority = rule.priority or next_priority
        next_priority += rule.priority is None
        families = {subnet.version for subnet in (rule.source, rule.destination) if subnet is not None}
        is_complete = rule.table is not None or rule.action is not None
        if rule.version not in versions or not is_complete or families - {rule.version}:
            continue
        view = RuleView(
            family=f"ipv{rule.version}",
            source=str(rule.source) if rule.source is not None and rule.source.prefixlen else None,
            destination=str(rule.destination) if rule.destination is not None and rule.destination.prefixlen else None,
            incoming=devices.get(rule.incoming, rule.incoming) if rule.incoming is not None else None,
            fwmark=rule.fwmark,
            table=rule.table if rule.action is None else None,
            action=rule.action,
            priority=priority,
            mark=rule.place.mark,
        )
        if view not in seen:
            seen.add(view)
            yield view


def _is_enabled(interface: Interface, version: int) -> bool:
    """Whether an interface has addresses of a family, or gets them."""
    has_static = any(placed.ip.version == version for placed in interface.addresses)
    return interface.is_loopback or interface.source(version) not in ("none", "static") or has_static
