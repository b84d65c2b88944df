"""What a plan was made from, as far as it depends on it: saved with the plan, and compared before it is applied.

Not in it is what changes by itself and alters no plan: lifetimes, counters, indices, addresses that DHCP or a
router gave, the ports that libvirt adds, interfaces that the definition does not know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Optional

from kvmnet.core.base.nmstate import dns_of, interfaces_of, routes_of
from kvmnet.core.live.live_host import Live, Profile
from kvmnet.core.planning.difference import made_by_itself, projection, renamed, route_key
from kvmnet.core.planning.plan import Plan

Basis = dict[str, Any]


def basis_of(plan: Plan, live: Live) -> Basis:
    """Plain data, as JSON has it."""
    bundle, ours = plan.bundle, _names(plan)
    view = renamed(live.state, {r.old: r.new for r in plan.renames})
    there = {i["name"]: i for i in interfaces_of(view)}
    names = ours | {r.old for r in plan.renames}
    told: Basis = {
        "interfaces": {
            i["name"]: projection(i, there[i["name"]]) if i["name"] in there else None
            for i in interfaces_of(bundle.state)
        },
        "addresses": {name: _addresses(there[name]) for name in ours if name in there},
        "routes": sorted(json.dumps(route_key(r)) for r in routes_of(view) if _hop(r) in ours),
        "name servers": {key: list(dns_of(live.state).get(key, [])) for key in dns_of(bundle.state)},
        "links": {
            link.name: {"mac": link.mac, "kind": link.kind, "altnames": sorted(link.altnames), "master": link.master}
            for link in live.links.values()
            if link.name in names
            or set(link.altnames) & names
            or link.mac in {nic.mac for nic in bundle.nics if nic.mac}
        },
        "profiles": {device: _words(p) for device, p in live.profiles.items() if device in names},
        "zones": {n: z for n, z in live.zones.items() if n in names} if live.zones is not None else None,
        ".link files": dict(live.link_files),
        "settings": dict(live.settings),
        "applied bundle": live.applied,
        "owned": {name: asdict(owned) for name, owned in live.owned.items()},
    }
    if "hostname" in bundle.state:
        told["hostname"] = live.state.get("hostname", {}).get("config")
    plain: Basis = json.loads(json.dumps(told))
    return plain


def _names(plan: Plan) -> set[str]:
    states = (plan.bundle.state, plan.state)
    return {i["name"] for state in states for i in interfaces_of(state)} | {n.name for n in plan.bundle.nics}


def _words(profile: Profile) -> dict[str, Any]:
    """What a profile says; not by what it really asks for addresses, which comes and goes with its leases."""
    return {key: value for key, value in asdict(profile).items() if key not in ("client_id", "duid", "iaid")}


def _addresses(interface: Mapping[str, Any]) -> list[str]:
    """Static ones, also those that the definition takes away."""
    return sorted(
        f"{a['ip']}/{a['prefix-length']}"
        for family in ("ipv4", "ipv6")
        for a in interface.get(family, {}).get("address", [])
        if not made_by_itself(a)
    )


def _hop(route: Mapping[str, Any]) -> str:
    return str(route.get("next-hop-interface"))


def digest_of(value: Any) -> str:
    """ "sha256:<hex>" over plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def changed(before: Any, now: Any) -> list[str]:
    """What differs, a line for each place: `interfaces eth0 mtu: 1500 -> 1400`."""
    return list(_changed(before, now, ""))


def _changed(before: Any, now: Any, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from _changed(before.get(key), now.get(key), f"{place} {key}".strip())
    elif before != now:
        yield f"{place}: {_short(before)} -> {_short(now)}"


def _short(value: Optional[Any]) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else text[:77] + "..."
