"""A host in memory that takes plans: what nmstate, the kernel and kvmnet's other steps make of it.

It is written from the documentation of nmstate, without kvmnet.core.review, so that a plan on it can be compared with
what `kvmnet diff` says about the host.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kvmnet.core.base.nmstate import KERNEL_KINDS, NM_TYPES, State, interfaces_of, port_names, routes_of, rules_of
from kvmnet.core.base.profile_settings import PROFILE_SETTINGS, VLAN_FILTERING, ZONE
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.planning.difference import rename_interfaces, route_key
from kvmnet.core.planning.ownership import (
    make_ownership_record,
    ownership_record_from_json,
    ownership_record_to_json,
    profile_uuid,
)
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rule_changes import rule_key
from kvmnet.core.rendering.bundle import Nic
from kvmnet.core.rendering.hook_record import format_hook_record

Entry = dict[str, Any]
_FOLDER = "/etc/NetworkManager/system-connections"
_SECTIONS = ("vlan", "mac-vtap", "infiniband")


def new_host(name: str, nics: Mapping[str, str]) -> Live:
    """Return a host with these NICs (MAC address by name), as an installation without a network leaves it."""
    rows: list[Entry] = [{"name": "lo", "type": "loopback", "state": "up"}]
    rows += [_shown_nic(nic, mac) for nic, mac in nics.items()]
    links = {"lo": Link("lo", None, None), **{nic: Link(nic, mac, None) for nic, mac in nics.items()}}
    return Live(name, {"interfaces": rows}, links, {}, zones={}, hook=None)


def _shown_nic(name: str, mac: str) -> Entry:
    off = {"enabled": False}
    entry = {"name": name, "type": "ethernet", "state": "up", "mtu": 1500, "accept-all-mac-addresses": False}
    return {**entry, "mac-address": mac.upper(), "ipv4": dict(off), "ipv6": dict(off)}


def plug_in(live: Live, nics: Iterable[Nic]) -> Live:
    """Return the host with those of these NICs that it lacks: under their kernel names, where these are known."""
    for nic in nics:
        if live.find(nic) is None:
            mac = nic.mac or "00:16:00:00:00:" + f"{sum(map(ord, nic.name)) % 256:02x}"
            taken = {*live.links, *(i["name"] for i in interfaces_of(live.state))}
            wanted = [nic.kernel_name, nic.name if nic.link_file is None else None]
            name = next((n for n in wanted if n and n not in taken), "nic" + mac.replace(":", "")[-6:])
            state = {**live.state, "interfaces": [*interfaces_of(live.state), _shown_nic(name, mac)]}
            live = replace(live, links={**live.links, name: Link(name, mac, None)}, state=state)
    return live


def carry_out(plan: Plan, live: Live) -> Live:
    """Return the host after a plan was carried out and kept."""
    host = _Host(live)
    host.apply(plan.first)
    host.rename(plan.new_names)
    for name, options in plan.dropped.items():
        for option in options:
            host.rows[name]["link-aggregation"]["options"].pop(option, None)
    host.apply(plan.state)
    host.set_profiles(plan)
    files = {name: text for name, text in live.link_files.items() if name not in plan.stale_files}
    settings = {path: text for path, text in {**live.settings, **plan.settings}.items() if text is not None}
    record = make_ownership_record(plan.bundle, live)
    record = ownership_record_from_json(json.loads(json.dumps(ownership_record_to_json(record))))
    profiles = {
        name: replace(profile, uuid=record.owned[name].uuid or profile.uuid) if name in record.owned else profile
        for name, profile in host.profiles.items()
    }
    state = host.state()
    if plan.hostname is not None:
        state["hostname"] = {"config": plan.hostname}
    return replace(
        live,
        state=state,
        links=host.links,
        profiles=profiles,
        link_files={**files, **plan.link_files},
        zones=host.zones,
        applied=plan.bundle.digest,
        hook=format_hook_record(plan.bundle),
        settings=settings,
        owned=record.owned,
        applied_state=record.state,
        applied_settings=record.settings,
        first_names=record.first_names,
    )


class _Host:
    def __init__(self, live: Live) -> None:
        self.rest = {key: copy.deepcopy(part) for key, part in live.state.items() if key != "interfaces"}
        self.rows: dict[str, Entry] = {i["name"]: copy.deepcopy(i) for i in interfaces_of(live.state)}
        self.links = dict(live.links)
        self.profiles = dict(live.profiles)
        self.zones = dict(live.zones or {})
        self.host = live.hostname

    def state(self) -> State:
        return {**self.rest, "interfaces": list(self.rows.values())}

    def rename(self, new_names: Mapping[str, str]) -> None:
        """Rename NICs, all at once: what refers to them in the state is renamed too."""
        state = rename_interfaces(self.state(), new_names)
        self.rows = {i["name"]: i for i in interfaces_of(state)}
        self.rest = {key: part for key, part in state.items() if key != "interfaces"}
        links = {}
        for link in self.links.values():
            name = new_names.get(link.name, link.name) if link.kind is None else link.name
            base = new_names.get(link.base, link.base) if link.base else None
            links[name] = replace(link, name=name, base=base)
        self.links = links
        self.profiles = {new_names.get(n, n): replace(p, device=new_names.get(n, n)) for n, p in self.profiles.items()}
        self.zones = {new_names.get(n, n): zone for n, zone in self.zones.items()}

    def apply(self, state: State) -> None:
        """Apply a state: interfaces merge key by key, routes and rules are added, what is absent is removed."""
        for entry in interfaces_of(state):
            if entry["state"] == "absent":
                self._remove(entry["name"])
        for entry in interfaces_of(state):
            if entry["state"] == "up":
                self._set(entry)
            elif entry["state"] == "down":
                self.rows[entry["name"]] = dict(entry)
                self.profiles.pop(entry["name"], None)
        self._connect()
        self._route(state)
        if "dns-resolver" in state:
            self.rest["dns-resolver"] = state["dns-resolver"]

    def _remove(self, name: str) -> None:
        for part in (self.rows, self.links, self.profiles, self.zones):
            part.pop(name, None)

    def _set(self, entry: Entry) -> None:
        name, kind = entry["name"], KERNEL_KINDS.get(entry["type"])
        old = self.rows.get(name, {})
        if old.get("type") not in (None, entry["type"]):
            old = {}
        merged = _merge(old, copy.deepcopy(entry))
        merged.pop("controller", None)
        for key in ("ipv4", "ipv6"):
            if merged.get(key) and not merged[key].get("enabled"):
                merged[key] = {"enabled": False}
        if entry.get("link-aggregation", {}).get("mode") != old.get("link-aggregation", {}).get("mode") and old:
            merged["link-aggregation"] = copy.deepcopy(entry["link-aggregation"])
        base = next((merged[key]["base-iface"] for key in _SECTIONS if merged.get(key, {}).get("base-iface")), None)
        if entry["type"] not in ("infiniband", "loopback"):
            merged.setdefault("mtu", self.rows.get(base or "", {}).get("mtu", 1500))
        self.rows[name] = merged
        if name not in self.links:
            address = str(entry.get("mac-address", "")).lower()
            options = {"vlan_filtering": 0} if kind == "bridge" else {}
            link = Link(name, None, kind or "ipoib", address=address, options=options, allmulticast=kind == "macvtap")
            self.links[name] = link
        self.links[name] = replace(self.links[name], base=base)
        self._save(name, entry["type"])

    def _save(self, name: str, kind: str) -> None:
        old, link = self.profiles.get(name), self.links[name]
        nm_type = NM_TYPES[kind]
        if old is None or old.type != nm_type:
            uuid, file = profile_uuid(self.host, name), f"{_FOLDER}/{name}.nmconnection"
            old = ConnectionProfile(uuid, name, nm_type, name, file, name)
        mac = self.rows[name].get("mac-address", "") if kind in ("linux-bridge", "bond") else ""
        settings = {ZONE.name: "", VLAN_FILTERING.name: "no", **old.settings}
        if mac:
            settings["802-3-ethernet.cloned-mac-address"] = mac
        self.profiles[name] = replace(old, mac=link.mac or "", settings=settings)

    def _connect(self) -> None:
        """Set the controllers: those of the bridges and bonds that have the interface as a port."""
        controllers = {port: row["name"] for row in self.rows.values() for port in port_names(row)}
        self.links = {name: replace(link, master=controllers.get(name)) for name, link in self.links.items()}

    def _route(self, state: State) -> None:
        routes = {route_key(r): r for r in routes_of(self.rest)}
        for route in routes_of(state):
            if route.get("state") == "absent":
                fits = [
                    k for k, r in routes.items() if all(r.get(n) == v for n, v in route.items() if n not in _IGNORED)
                ]
                for key in fits:
                    del routes[key]
        for route in routes_of(state):
            if route.get("state") != "absent":
                routes[route_key(route)] = route
        kept = [r for r in routes.values() if self._has_family(r["next-hop-interface"], ":" in r["destination"])]
        self.rest["routes"] = {"config": kept, **({"running": learned} if (learned := self._learned()) else {})}
        rules = {rule_key(r): r for r in rules_of(self.rest)}
        for rule in rules_of(state):
            if rule.get("state") == "absent":
                rules.pop(rule_key(rule), None)
        rules.update({rule_key(r): r for r in rules_of(state) if r.get("state") != "absent"})
        self.rest["route-rules"] = {"config": list(rules.values())}
        self._hold_rules(state)

    def _learned(self) -> list[Entry]:
        """The default routes that interfaces get from servers and routers, with words for the unknown gateways."""
        learned = []
        for name, row in self.rows.items():
            four, six = row.get("ipv4", {}), row.get("ipv6", {})
            if four.get("dhcp") and four.get("auto-gateway") is not False:
                learned.append({"destination": "0.0.0.0/0", "next-hop-interface": name, "next-hop-address": "DHCP"})
            if six.get("autoconf") and six.get("auto-gateway") is not False:
                via = "router advertisements"
                learned.append({"destination": "::/0", "next-hop-interface": name, "next-hop-address": via})
        return learned

    def _has_family(self, name: str, is_ipv6: bool) -> bool:
        return bool(self.rows.get(name, {}).get("ipv6" if is_ipv6 else "ipv4", {}).get("enabled"))

    def _hold_rules(self, state: State) -> None:
        """Write each rule into a profile: of the incoming interface, else of one that has a route in its table, else
        of the first one with addresses."""
        texts: dict[tuple[str, str], list[str]] = {}
        names = list(dict.fromkeys([*(i["name"] for i in interfaces_of(state)), *self.rows]))  # in the state's order
        for rule in rules_of(self.rest):
            family = str(rule["family"])
            enabled = [n for n in names if n in self.profiles and self.rows[n].get(family, {}).get("enabled")]
            table = rule.get("route-table") or 254
            routed = [
                r["next-hop-interface"]
                for r in routes_of(self.rest)
                if r.get("table-id") == table and (":" in r["destination"]) == (family == "ipv6")
            ]
            holder = next((n for n in (rule.get("iif"), *routed, *enabled) if n in enabled), None)
            if holder is not None:
                texts.setdefault((holder, family), []).append(_nmcli_rule(rule))
        for name, profile in self.profiles.items():
            four, six = (", ".join(texts.get((name, f), ())) for f in ("ipv4", "ipv6"))
            self.profiles[name] = replace(profile, rules4=four, rules6=six)

    def set_profiles(self, plan: Plan) -> None:
        """Set what kvmnet sets itself in connection profiles: the kernel and firewalld follow."""
        for name, settings in plan.profile_settings.items():
            for key, value in settings.items():
                row = PROFILE_SETTINGS[key]
                text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
                self.profiles[name] = replace(self.profiles[name], settings={**self.profiles[name].settings, key: text})
                if row.kernel is not None:
                    options = {**self.links[name].options, row.kernel: row.to_kernel(value)}
                    self.links[name] = replace(self.links[name], options=options)
                if row is ZONE:
                    self.zones[name] = str(value)


_IGNORED = ("state", "metric")


def _merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _merge(old.get(key), value) for key, value in new.items()}}


def _nmcli_rule(rule: Mapping[str, Any]) -> str:
    parts = [f"priority {rule['priority']}"]
    for key, word in (("ip-from", "from"), ("ip-to", "to"), ("iif", "iif"), ("fwmark", "fwmark")):
        if rule.get(key):
            parts.append(f"{word} {rule[key]}")
    parts.append(rule["action"] if rule.get("action") else f"table {rule.get('route-table') or 254}")
    return " ".join(parts)
