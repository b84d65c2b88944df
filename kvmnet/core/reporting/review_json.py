"""A review as plain data."""

from __future__ import annotations

import json
from typing import Any

from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED
from kvmnet.core.reporting.change_text import changes_to_json
from kvmnet.core.reporting.review_lines import fold_hosts
from kvmnet.core.review.host_review import CHANGED, NEW, REMOVED, HostReview
from kvmnet.core.review.review import Review


def review_to_json(review: Review) -> dict[str, Any]:
    """Return a review as plain data for JSON: totals, the groups of hosts with the same change, every host, and the
    guests that differ in the definition."""
    return {
        "totals": {
            "hosts": review.total,
            **{event: review.count(event) for event in (CHANGED, NEW, REMOVED)},
            "guests_disconnected": review.count_guests(DISCONNECTED),
            "guests_interrupted": review.count_guests(INTERRUPTED),
        },
        "groups": [{"hosts": [host.host for host in e.hosts], "flags": e.flags} for e in fold_hosts(review.hosts)],
        "hosts": [_host_to_json(host) for host in review.hosts],
        "guests": [{"guest": g.name, "event": g.event, "details": list(g.details)} for g in review.guests],
    }


def _host_to_json(host: HostReview) -> dict[str, Any]:
    data = {
        "host": host.host,
        "event": host.event,
        "old_name": host.old_name,
        "changes": changes_to_json(host.changes),
        "this_host": host.effects.to_json() if host.effects is not None else None,
        "guests": [{"guest": g.guest, "mac": g.mac, "over": g.over, "how": g.how, "why": g.why} for g in host.guests],
        "refusals": [{"code": r.code, "reason": r.message, "hint": r.hint} for r in host.refusals],
        "recorded": list(host.recorded),
        "assumed_names": dict(host.assumed),
        "flags": {
            "default_route": host.default_route_interfaces,
            "renamed": host.renamed_nics,
            "seconds_away_at_most": None if host.is_lost else host.seconds_away,
            "management_address_lost": host.is_lost,
        },
    }
    plain: dict[str, Any] = json.loads(host.hide_invented_macs(json.dumps(data)))
    return plain
