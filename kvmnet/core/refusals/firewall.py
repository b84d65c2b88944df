"""Refusals about the firewall."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.base.problem import did_you_mean
from kvmnet.core.base.profile_settings import ZONE
from kvmnet.core.refusals import Case, Refusal, refusal


@refusal("KVN518", "firewalld does not know a zone")
def unknown_zone(case: Case) -> Iterator[Refusal]:
    """
    The definition sets a zone that firewalld of this host does not have. NetworkManager would activate the interface
    all the same, and it would be in the default zone. Correct `zone`, or create the zone: `firewall-cmd --permanent
    --new-zone=ZONE`, its services, then `firewall-cmd --reload`.
    """
    known = case.live.surroundings.zone_names
    if known is None or case.is_removal:
        return
    up = {i["name"] for i in interfaces_of(case.bundle.state) if i.get("state") == "up"}
    for name, settings in case.bundle.profile_settings.items():
        zone = settings.get(ZONE.name)
        if zone is not None and zone not in known and name in up:
            hint = did_you_mean(str(zone), known) or "correct zone in the definition, or create the zone"
            yield Refusal("KVN518", f"firewalld has no zone {zone}, which the definition sets for {name}", hint)
