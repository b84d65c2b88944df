"""What a plan depends on: saved with the plan, and compared before the saved plan is applied.

It leaves out what changes by itself and does not alter a plan: lifetimes, counters, indices, addresses from DHCP or a
router, ports that libvirt adds, interfaces that the definition does not contain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Optional

from kvmnet.core.base.nmstate import FAMILIES, State, dns_of, interfaces_of, routes_of
from kvmnet.core.base.profile_settings import PROFILE_SETTINGS
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.difference import is_automatic, projection, route_key
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.stored_profiles import find_stored_differences

Basis = dict[str, Any]


def basis_of(plan: Plan, live: Live, view: State) -> Basis:
    """Return what the plan was made from, as plain data for JSON. `view` is the live state after the renames."""
    bundle, own_names = plan.bundle, _names(plan)
    interfaces = {i["name"]: i for i in interfaces_of(view)}
    names = own_names | set(plan.new_names)
    basis: Basis = {
        "interfaces": {
            i["name"]: projection(i, interfaces[i["name"]]) if i["name"] in interfaces else None
            for i in interfaces_of(bundle.state)
        },
        "addresses": {name: _static_addresses(interfaces[name]) for name in own_names if name in interfaces},
        "routes": sorted(
            json.dumps(route_key(r)) for r in routes_of(view) if str(r.get("next-hop-interface")) in own_names
        ),
        "name servers": {key: list(dns_of(live.state).get(key, [])) for key in dns_of(bundle.state)},
        "links": {
            link.name: {
                **{"mac": link.mac, "kind": link.kind, "altnames": sorted(link.altnames), "master": link.master},
                **_live_settings(link),
            }
            for link in live.links.values()
            if link.name in names
            or set(link.altnames) & names
            or link.mac in {nic.mac for nic in bundle.nics if nic.mac}
        },
        "profiles": {device: _profile_settings(p) for device, p in live.profiles.items() if device in names},
        "zones": {n: z for n, z in live.zones.items() if n in names} if live.zones is not None else None,
        ".link files": dict(live.link_files),
        "settings": dict(live.settings),
        "applied bundle": live.applied,
        "owned": {name: asdict(owned) for name, owned in live.owned.items()},
    }
    if stored := find_stored_differences(plan.desired, live, plan.new_names):
        basis["connection profiles on disk"] = {name: [d.text for d in found] for name, found in stored.items()}
    if "hostname" in bundle.state:
        basis["hostname"] = live.state.get("hostname", {}).get("config")
    plain: Basis = json.loads(json.dumps(basis))
    return plain


def _names(plan: Plan) -> set[str]:
    states = (plan.bundle.state, plan.state)
    return {i["name"] for state in states for i in interfaces_of(state)} | {n.name for n in plan.bundle.nics}


def _profile_settings(profile: ConnectionProfile) -> dict[str, Any]:
    """Return the profile without the identifiers that are in use, which change with its leases, and without settings
    that have their default."""
    plain = {key: value for key, value in asdict(profile).items() if key not in ("client_id", "duid", "iaid")}
    values = {name: PROFILE_SETTINGS[name].from_nmcli(text) for name, text in plain.pop("settings").items()}
    settings = {name: value for name, value in values.items() if value != PROFILE_SETTINGS[name].default}
    return {**plain, **({"settings": settings} if settings else {})}


def _live_settings(link: Link) -> dict[str, Any]:
    """Return the live values of the settings that kvmnet sets itself, without those that have their default."""
    values = {name: row.from_kernel(link.options) for name, row in PROFILE_SETTINGS.items()}
    return {name: value for name, value in values.items() if value not in (None, PROFILE_SETTINGS[name].default)}


def _static_addresses(interface: Mapping[str, Any]) -> list[str]:
    """Return the static addresses, also those that the plan removes."""
    return sorted(
        f"{a['ip']}/{a['prefix-length']}"
        for family in FAMILIES
        for a in interface.get(family, {}).get("address", [])
        if not is_automatic(a)
    )


def digest_of(value: Any) -> str:
    """Return "sha256:<hex>" of plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def compare_bases(before: Any, now: Any) -> list[str]:
    """Return what differs between two bases, a line for each place: `interfaces eth0 mtu: 1500 -> 1400`."""
    return list(_compare(before, now, ""))


def _compare(before: Any, now: Any, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from _compare(before.get(key), now.get(key), f"{place} {key}".strip())
    elif before != now:
        yield f"{place}: {_short_text(before)} -> {_short_text(now)}"


def _short_text(value: Optional[Any]) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else text[:77] + "..."
