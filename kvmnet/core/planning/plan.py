"""The plan: what of a bundle this host does not have yet, and in which words to say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.nmstate import State, dns_of, interfaces_of, port_names, routes_of
from kvmnet.core.live.live_host import UNREADABLE, Live
from kvmnet.core.planning.defaults import completed, dropped_options
from kvmnet.core.planning.dhcp_identity import Identity, identified, identities
from kvmnet.core.planning.difference import interface_differences, renamed, route_key, route_text
from kvmnet.core.planning.ownership import leaving, left_down
from kvmnet.core.planning.rename_order import Rename, cleared, clearing
from kvmnet.core.rendering.bundle import Bundle, Nic
from kvmnet.core.rendering.guest_settings import guest_settings
from kvmnet.core.rendering.hook_record import hook_text


@dataclass(frozen=True)
class Change:
    """One line of the plan. `what` is add, change, remove, rename, file or save."""

    what: str
    name: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be done on this host: `state` holds only what differs. `leaving` are the interfaces that go
    with it, `down` those that are down already, of which the profiles go (name to UUID), `stale_files` our .link files
    that go, `settings` our files among NetworkManager's settings (path to text; None: it goes). `first` is a state
    that is applied before the NICs are renamed, where something is in the way of what comes; `desired` the bundle's
    state with the defaults of what left it, `dropped` the options that left a bond, `identities` by what those that ask
    for addresses do so, whether they are sent or not."""

    bundle: Bundle
    renames: tuple[Rename, ...]
    link_files: Mapping[str, str]
    state: State
    unsaved: tuple[str, ...]
    hostname: Optional[str]
    settings: Mapping[str, Optional[str]]
    record: bool
    changes: tuple[Change, ...]
    stale_files: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    first: State = field(default_factory=dict)
    desired: State = field(default_factory=dict)
    dropped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    identities: Mapping[str, Identity] = field(default_factory=dict)
    down: Mapping[str, str] = field(default_factory=dict)

    @property
    def goes_first(self) -> set[str]:
        """The interfaces that are removed before the NICs are renamed."""
        return {i["name"] for i in interfaces_of(self.first) if i["state"] == "absent"}

    @property
    def touched(self) -> set[str]:
        """Every interface that is changed, by its names before and after."""
        states = [i["name"] for state in (self.state, self.first) for i in interfaces_of(state)]
        return {*states, *self.leaving, *(name for r in self.renames for name in (r.old, r.new))}

    @property
    def empty(self) -> bool:
        """Whether the host already is as the bundle says, on disk too."""
        return not self.changes

    @property
    def touches(self) -> bool:
        """Whether more is to be done than a note of what is applied."""
        return any(change.what != "record" for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """For `plan --json`."""
        return {
            "host": self.bundle.host,
            "digest": self.bundle.digest,
            "empty": self.empty,
            "changes": [{"what": c.what, "name": c.name, "details": list(c.details)} for c in self.changes],
            "state": self.state,
            **({"first": self.first} if self.first else {}),
        }


def make_plan(bundle: Bundle, live: Live) -> Plan:
    """Compare a bundle with a live reading. Whether the host can take it is for core/refusals to say."""
    renames = tuple(r for nic in bundle.nics for r in _rename(nic, live))
    left = leaving(bundle, live)
    first = clearing(bundle, renames, left, live)
    desired = completed(bundle.state, live.applied_state)
    dropped = dropped_options(bundle.state, live.applied_state)
    view = renamed(cleared(live.state, first), {r.old: r.new for r in renames})
    changes = [Change("rename", r.old, (f"to {r.new}, the NIC with MAC {r.mac}",)) for r in renames]

    link_files = {name: text for name, text in bundle.links.items() if live.link_files.get(name) != text}
    changes += [Change("file", f"/etc/systemd/network/{name}", ("names the NIC at boot",)) for name in link_files]

    stale = _stale_files(bundle, live)
    changes += [Change("remove", f"/etc/systemd/network/{name}", ("it names no NIC any more",)) for name in stale]

    new_names = {r.old: r.new for r in renames}
    carriers = {new_names.get(i["name"], i["name"]) for i in interfaces_of(first) if i["state"] == "up"}
    anew = dict.fromkeys(carriers, "keeps the address that it has got from what goes")
    masters = {new_names.get(n.name, n.name): n.master for n in live.links.values() if n.master not in left}
    anew.update(_joining(desired, view, masters))
    interfaces, more = _interfaces(desired, view, dropped, anew)
    changes += more
    who = identities(desired, renames, left, live)
    interfaces = [identified(i, who.get(i["name"], Identity())) for i in interfaces]
    released = _released(bundle, live, left)
    interfaces += [_free(name) for name in released]
    if not first:
        interfaces += [{"name": name, "type": kind, "state": "absent"} for name, kind in left.items()]
    changes += [Change("change", name, ("left the definition: no port of anything, no address",)) for name in released]
    changes += [Change("remove", name, (f"the {kind} left the definition",)) for name, kind in left.items()]
    down = left_down(bundle, live)
    changes += [
        Change("remove", profile.file, (f"the profile of {name}, which is down and left the definition",))
        for name, profile in down.items()
    ]
    routes, more = _routes(bundle.state, view, {i["name"] for i in interfaces_of(bundle.state)})
    changes += more
    dns, more = _dns(desired, view)
    changes += more
    parts = {"interfaces": interfaces, "routes": {"config": routes}, "dns-resolver": {"config": dns}}
    state: State = {key: part for key, part in parts.items() if part not in ([], {"config": []}, {"config": {}})}

    sent = {i["name"] for i in interfaces}
    unsaved = tuple(
        i["name"]
        for i in interfaces_of(bundle.state)
        if i["name"] not in sent and i["name"] in live.profiles and not live.profiles[i["name"]].saved
    )
    changes += [Change("save", name, ("its connection profile is only in memory",)) for name in unsaved]
    hostname = _hostname(bundle.state, live.state)
    if hostname is not None:
        changes.append(Change("change", "hostname", (f"{_now_named(live.state)} -> {hostname}",)))
    # a NIC that is only renamed was re-bound in memory: its profile is to be saved too
    unsaved += tuple(r.new for r in renames if r.new not in {*sent, *unsaved} and r.old in live.profiles)
    settings, more = _settings(bundle, live)
    changes += more
    # what libvirt's hook reads may be lost or damaged, while the host is as defined
    noted = live.applied == bundle.digest and live.hook in (hook_text(bundle), UNREADABLE)
    record = live.applied != UNREADABLE and not noted
    if record and not changes:
        changes.append(Change("record", bundle.host, ("the host already is as defined; kvmnet takes note of it",)))
    return Plan(
        bundle,
        renames,
        link_files,
        state,
        unsaved,
        hostname,
        settings,
        record,
        tuple(changes),
        tuple(stale),
        tuple(left),
        first,
        desired,
        dropped,
        who,
        {name: profile.uuid for name, profile in down.items()},
    )


def _settings(bundle: Bundle, live: Live) -> tuple[dict[str, Optional[str]], list[Change]]:
    """Our files among NetworkManager's settings that are to be written, or to go (None)."""
    wanted = guest_settings(bundle)
    new: dict[str, Optional[str]] = {p: text for p, text in wanted.items() if live.settings.get(p) != text}
    old: dict[str, Optional[str]] = {p: None for p in live.settings if p not in wanted}
    changes = [Change("file", path, ("NetworkManager leaves guests' devices alone",)) for path in new]
    changes += [Change("remove", path, ("no guest can run here any more",)) for path in old]
    return {**new, **old}, changes


def _rename(nic: Nic, live: Live) -> list[Rename]:
    """None where the NIC is not here or may not be renamed: that is refused (KVN520, KVN521). Under a profile that
    renames nothing it may get the name back that it had before kvmnet."""
    link = live.find(nic)
    if link is None or link.name == nic.name:
        return []
    if nic.link_file is None and live.first_names.get(link.mac or "") != nic.name:
        return []
    return [Rename(link.mac or "", link.name, nic.name, link.altnames)]


def _released(bundle: Bundle, live: Live, left: Mapping[str, str]) -> list[str]:
    """NICs that left the definition and are ports of what leaves with them: free they are, without address."""
    known = {i["name"] for i in interfaces_of(bundle.state)} | {nic.name for nic in bundle.nics}
    here = {link.mac for nic in bundle.nics if (link := live.find(nic))}
    return sorted(
        link.name
        for link in live.links.values()
        if link.master in left
        and link.kind is None
        and link.name not in known
        and link.mac not in here
        and link.name in live.owned
    )


def _stale_files(bundle: Bundle, live: Live) -> list[str]:
    """Our .link files that name no NIC any more: of a NIC that the definition names otherwise, or that is
    neither in the definition nor in this machine. One of a NIC that left the definition and is still here
    stays: another name at the next boot is nothing that anybody asked for. `kvmnet remove` takes it back."""
    known, here = {link.mac for nic in bundle.nics if (link := live.find(nic))}, live.macs()
    stale = []
    for name, text in live.link_files.items():
        mac = _LINK_MAC.search(text)
        if name not in bundle.links and mac and (mac[1].lower() in known or mac[1].lower() not in here):
            stale.append(name)
    return stale


def link_files_go(plan: Plan, live: Live) -> bool:
    """Whether a .link file of ours goes, or is another one from then on."""
    gives_back = not plan.desired and bool(live.link_files)
    return gives_back or bool(plan.stale_files) or bool(set(plan.link_files) & set(live.link_files))


_LINK_MAC = re.compile(r"^# Written by kvmnet.*^PermanentMACAddress=([0-9A-Fa-f:]{17})$", re.MULTILINE | re.DOTALL)


def _free(name: str) -> dict[str, Any]:
    off = {"enabled": False}
    return {
        "name": name,
        "type": "ethernet",
        "state": "up",
        "accept-all-mac-addresses": False,
        "ipv4": dict(off),
        "ipv6": dict(off),
    }


def _interfaces(
    desired: State, view: State, dropped: Mapping[str, tuple[str, ...]], anew: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[Change]]:
    there = {i["name"]: i for i in interfaces_of(view)}
    send, changes = [], []
    for interface in interfaces_of(desired):
        live: Optional[dict[str, Any]] = there.get(interface["name"])
        details = interface_differences(interface, live)
        if live is not None:
            said = live.get("link-aggregation", {}).get("options", {})
            details += [f"{o}: {said.get(o)} -> its default" for o in dropped.get(interface["name"], ())]
        if not details and interface["name"] in anew:
            details = [anew[interface["name"]]]
        if details:
            send.append(interface)
            changes.append(Change("change" if live else "add", interface["name"], tuple(details)))
    return send, changes


def _joining(desired: State, view: State, masters: Mapping[str, Optional[str]]) -> dict[str, str]:
    """Ports that come to a bridge or bond which is sent: nmstate changes their profiles whether they are sent or not,
    and only of what is sent the profile is saved."""
    there = {i["name"]: i for i in interfaces_of(view)}
    found = {}
    for interface in interfaces_of(desired):
        name = interface["name"]
        ports = port_names(interface)
        if ports and interface_differences(interface, there.get(name)):
            found.update({p: f"becomes a port of {name}" for p in ports if masters.get(p) != name})
    return found


def _routes(desired: State, view: State, ours: set[str]) -> tuple[list[dict[str, Any]], list[Change]]:
    """Routes to add, and static routes over our interfaces that the definition does not know: nmstate
    appends routes, so what must go has to be said."""
    wanted = {route_key(r): r for r in routes_of(desired)}
    there = {route_key(r): r for r in routes_of(view)}
    send: list[dict[str, Any]] = []
    changes = []
    for key, route in there.items():
        name = str(route.get("next-hop-interface"))
        if key in wanted or name not in ours:
            continue
        # of an interface that loses its addresses nmstate removes the routes by itself
        if _has_ip(desired, name):
            send.append({"state": "absent", **{k: v for k, v in route.items() if k in _ROUTE_KEYS}})
        elif any((key[0], key[3]) == (other[0], other[3]) for other in wanted):
            continue  # of this destination and table one moves with the address
        changes.append(Change("remove", "route", (route_text(route),)))
    for key, route in wanted.items():
        if key not in there:
            send.append(route)
            changes.append(Change("add", "route", (route_text(route),)))
    return send, changes


_ROUTE_KEYS = ("destination", "next-hop-address", "next-hop-interface", "table-id", "metric")


def _has_ip(desired: State, name: str) -> bool:
    for interface in interfaces_of(desired):
        if interface["name"] == name:
            return any(interface.get(f, {}).get("enabled") for f in ("ipv4", "ipv6"))
    return False


def _hostname(desired: State, live: State) -> Optional[str]:
    """The static hostname to set; None when it is so, or when the definition does not say. It is a step of
    its own: an apply of nmstate's in memory leaves the hostname alone (nmstate 2.2)."""
    wanted = desired.get("hostname", {}).get("config")
    return str(wanted) if wanted is not None and wanted != _now_named(live) else None


def _now_named(live: State) -> str:
    return str(live.get("hostname", {}).get("config") or "none")


def _dns(desired: State, view: State) -> tuple[dict[str, Any], list[Change]]:
    wanted = dns_of(desired)
    there = dns_of(view)
    details = [
        f"{key}: {', '.join(there.get(key, [])) or 'none'} -> {', '.join(wanted[key]) or 'none'}"
        for key in wanted
        if list(wanted[key]) != list(there.get(key, []))
    ]
    return (dict(wanted), [Change("change", "name servers", tuple(details))]) if details else ({}, [])
