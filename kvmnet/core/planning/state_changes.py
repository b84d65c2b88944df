"""The part of a plan that nmstate applies: interfaces, routes and name servers that differ from the live state."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvmnet.core.base.nmstate import ETHERNET, FAMILIES, LOOPBACK, State, dns_of, interfaces_of, port_names, routes_of
from kvmnet.core.base.profile_settings import CLONED_MAC
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.adoption import (
    find_adopted,
    find_completed,
    find_replaced,
    with_live_options,
)
from kvmnet.core.planning.changes import (
    Adopted,
    Change,
    Detail,
    JoinsController,
    LeftDefinition,
    OptionReset,
    Reason,
    Replaced,
    RouteDetail,
)
from kvmnet.core.planning.defaults import complete_with_defaults, find_dropped_options, find_left_ethtool
from kvmnet.core.planning.dhcp_identity import Identity, find_identities, find_moves, with_identity
from kvmnet.core.planning.difference import Difference, interface_differences, rename_interfaces, route_key
from kvmnet.core.planning.ownership import find_leaving
from kvmnet.core.planning.profile_changes import NO_DIFFERENCES, ProfileComparison, SettingDifference
from kvmnet.core.planning.rename_order import apply_first_state, make_first_state
from kvmnet.core.planning.rule_changes import compare_rules
from kvmnet.core.planning.stored_profiles import MAC, ROUTES, StoredDifference, find_stored_differences, states_bond
from kvmnet.core.rendering.bundle import Bundle

_ROUTE_KEYS = ("destination", "next-hop-address", "next-hop-interface", "table-id", "metric")


@dataclass(frozen=True)
class StateComparison:
    """What of the bundle's state the host does not have. `state`: what to send to nmstate; `sent`: the names of its
    interfaces. The other values are those of `Plan`, but for `leaving`: nmstate types by name."""

    state: State
    sent: Collection[str]
    first: State
    desired: State
    leaving: Mapping[str, str]
    dropped: Mapping[str, tuple[str, ...]]
    identities: Mapping[str, Identity]
    adopted: tuple[str, ...]
    replaced: Mapping[str, str]
    moves: Mapping[str, str]
    interface_changes: list[Change]
    routing_changes: list[Change]


def compare_state(
    bundle: Bundle, live: Live, new_names: Mapping[str, str], profiles: ProfileComparison = NO_DIFFERENCES
) -> StateComparison:
    """Compare the bundle's state with the live one as it will read after the renames (old name to new).

    Interfaces of which settings of `profiles` differ from the kernel are sent too: nmstate activates their profiles.
    """
    leaving = find_leaving(bundle, live)
    first = make_first_state(bundle, new_names, leaving, live)
    gone_first = leaving if first else {}
    adopted = find_adopted(bundle, live)
    replaced = find_replaced(bundle, live, new_names, gone_first)
    desired = complete_with_defaults(bundle.state, live.applied_state)
    dropped = find_dropped_options(bundle.state, live.applied_state)
    view = rename_interfaces(apply_first_state(live.state, first), new_names)
    going = {**leaving, **dict.fromkeys(replaced, "linux-bridge")}  # with bridges that another tool created
    identities = find_identities(desired, new_names, going, live)

    live_interfaces = {i["name"]: i for i in interfaces_of(view)}
    differences = {i["name"]: interface_differences(i, live_interfaces.get(i["name"])) for i in interfaces_of(desired)}
    stored = find_stored_differences(desired, live, new_names)
    routes, route_changes = _compare_routes(bundle.state, view, replaced, _find_stored_routes(stored))
    dns, dns_changes = _compare_dns(desired, view)
    always_sent: dict[str, Detail] = {
        **dict.fromkeys(_find_ports_with_new_vlans(desired, live_interfaces, differences), Reason.PORT_VLANS),
        **dict.fromkeys(_find_interfaces_with_left_ethtool(bundle.state, live.applied_state), Reason.ETHTOOL_LEFT),
        **_find_always_sent(desired, differences, first, going, new_names, live),
    }
    completed = find_completed(bundle, adopted, live_interfaces)
    completion = _find_completion(completed, adopted, live, new_names)
    complete = {i["name"]: completion[i["name"]] for i in interfaces_of(desired) if _is_complete(i, adopted, live)}
    always_sent.update({name: reason for name, reason in completion.items() if name not in complete})
    always_sent.update(_find_virtual_holders(routes, dns, new_names, live))
    rules = compare_rules(bundle.state, live, new_names, going)
    always_sent.update({name: Reason.HOLDS_RULES for name in rules.holders if name not in always_sent})
    interfaces, changes = _compare_interfaces(
        desired, live_interfaces, differences, stored, dropped, always_sent, profiles, complete
    )
    interfaces = [_with_live_options(i, completed, replaced, live_interfaces) for i in interfaces]
    interfaces = [with_identity(i, identities.get(i["name"], Identity())) for i in interfaces]
    released = _find_released_nics(bundle, live, leaving)
    interfaces += [_released_entry(name) for name in released]
    loopback = _find_released_loopback(bundle, live)
    interfaces += loopback
    interfaces += [
        {"name": name, "type": kind, "state": "absent"} for name, kind in going.items() if name not in gone_first
    ]
    changes += [Change("change", name, (Reason.NIC_RELEASED,)) for name in released]
    changes += [Change("change", i["name"], (Reason.LOOPBACK_RELEASED,)) for i in loopback]
    changes += [Change("remove", name, (LeftDefinition(kind),)) for name, kind in leaving.items()]
    changes += [Change("remove", old, (Replaced(new),)) for old, new in replaced.items() if old not in leaving]
    return StateComparison(
        state=_make_state(interfaces, routes, rules.rules, dns),
        sent={i["name"] for i in interfaces},
        first=first,
        desired=desired,
        leaving=going,
        dropped=dropped,
        identities=identities,
        adopted=adopted,
        replaced=replaced,
        moves=find_moves(desired, new_names, going, live),
        interface_changes=changes,
        routing_changes=[*route_changes, *rules.changes, *dns_changes],
    )


def _with_live_options(
    interface: Mapping[str, Any],
    completed: Collection[str],
    replaced: Mapping[str, str],
    live_interfaces: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the interface with the options that it has now, or that the bridge which it replaces has, and that the
    definition does not state."""
    name = interface["name"]
    source = next((old for old, new in replaced.items() if new == name), name if name in completed else None)
    return with_live_options(interface, live_interfaces.get(source, {})) if source else dict(interface)


def _find_completion(
    completed: Collection[str], adopted: Collection[str], live: Live, new_names: Mapping[str, str]
) -> dict[str, Detail]:
    """Return why each interface is sent whose connection profile is to state everything after an adoption."""
    old_names = {new: old for old, new in new_names.items()}
    reasons: dict[str, Detail] = {}
    for name in completed:
        profile = live.profiles.get(old_names.get(name, name))
        is_adopted = name in adopted
        reasons[name] = Adopted(profile.id if profile else "") if is_adopted else Reason.PROFILE_COMPLETED
    return reasons


def _is_complete(interface: Mapping[str, Any], adopted: Collection[str], live: Live) -> bool:
    """Whether an adopted interface is a bond whose profile states everything. It is not sent for the adoption alone:
    NetworkManager (1.42 to 1.54) cannot reapply the profile that nmstate writes, which has Ethernet settings, and
    activates the bond again. All its ports leave it then."""
    return interface["name"] in adopted and interface["type"] == "bond" and states_bond(interface, live)


def _make_state(
    interfaces: list[dict[str, Any]], routes: list[dict[str, Any]], rules: list[dict[str, Any]], dns: dict[str, Any]
) -> State:
    """Return the state to send to nmstate, without the parts that have no difference."""
    state: State = {}
    if interfaces:
        state["interfaces"] = interfaces
    if routes:
        state["routes"] = {"config": routes}
    if rules:
        state["route-rules"] = {"config": rules}
    if dns:
        state["dns-resolver"] = {"config": dns}
    return state


def _compare_interfaces(
    desired: State,
    live_interfaces: Mapping[str, Mapping[str, Any]],
    differences: Mapping[str, Sequence[Difference]],
    stored: Mapping[str, Sequence[StoredDifference]],
    dropped: Mapping[str, tuple[str, ...]],
    always: Mapping[str, Detail],
    profiles: ProfileComparison,
    complete: Mapping[str, Detail],
) -> tuple[list[dict[str, Any]], list[Change]]:
    """Return the interfaces to send to nmstate, and the changes.

    All arguments are by the interface's name: `live_interfaces` as they read after the renames, their `differences`,
    those of the profiles on disk (`stored`), the options that left each bond (`dropped`). Interfaces in `always` are
    sent even without a difference, for the reason that is given there. Of `profiles`, differences of the profile alone
    are no reason to send an interface. Those in `complete` are changes for the reason there, and sent only with a
    difference.
    """
    to_send, changes = [], []
    for interface in interfaces_of(desired):
        name = interface["name"]
        live = live_interfaces.get(name)
        details: list[Detail] = list(differences[name])
        if live is not None:
            options = live.get("link-aggregation", {}).get("options", {})
            details += [OptionReset(option, options.get(option)) for option in dropped.get(name, ())]
            details += profiles.live.get(name, ())
        reason = always.get(name)
        if reason is not None and (not details or isinstance(reason, Adopted)):
            details.insert(0, reason)
        if not details:
            details = list(_without_missing_mac(stored.get(name, ()), profiles.stored.get(name, ())))
        if details:
            to_send.append(interface)
        if name in complete:
            details.insert(0, complete[name])
        if details:
            if live is not None:
                details += profiles.stored.get(name, ())
            changes.append(Change("change" if live else "add", name, tuple(details)))
    return to_send, changes


def _without_missing_mac(
    stored: Sequence[StoredDifference], in_profile: Sequence[SettingDifference]
) -> Iterator[StoredDifference]:
    """Yield the differences of a profile on disk, without the MAC address if the profile in memory lacks it too: it is
    written into both without nmstate."""
    is_missing = any(difference.name == CLONED_MAC.name for difference in in_profile)
    yield from (difference for difference in stored if not (is_missing and difference.path == MAC))


def _find_always_sent(
    desired: State,
    differences: Mapping[str, Sequence[Difference]],
    first: State,
    leaving: Collection[str],
    new_names: Mapping[str, str],
    live: Live,
) -> dict[str, Detail]:
    """Return the interfaces that are sent even without a difference, with the reason, by their new names: those that
    took over addresses in `first`, and ports that join a bridge or bond that is sent.

    nmstate changes the profiles of such ports even when they are not sent, but only the profiles of what is sent are
    saved.
    """
    carriers = [new_names.get(i["name"], i["name"]) for i in interfaces_of(first) if i["state"] == "up"]
    controllers = {new_names.get(n.name, n.name): n.master for n in live.links.values() if n.master not in leaving}
    always: dict[str, Detail] = dict.fromkeys(carriers, Reason.TAKES_OVER_ADDRESSES)
    for interface in interfaces_of(desired):
        name = interface["name"]
        if differences[name]:
            always.update({p: JoinsController(name) for p in port_names(interface) if controllers.get(p) != name})
    return always


def _find_ports_with_new_vlans(
    desired: State, live_interfaces: Mapping[str, Mapping[str, Any]], differences: Mapping[str, Sequence[Difference]]
) -> Iterator[str]:
    """Yield the ports of bridges of which the VLANs change. They are in the ports' connection profiles, of which only
    those are saved that are sent."""
    for interface in interfaces_of(desired):
        name = interface["name"]
        if name not in live_interfaces or not any(d.path == "bridge.port" for d in differences[name]):
            continue
        live = {port["name"]: port for port in live_interfaces[name].get("bridge", {}).get("port", [])}
        for port in interface["bridge"]["port"]:
            if "vlan" in port and interface_differences(port, live.get(port["name"])):
                yield port["name"]


def _find_interfaces_with_left_ethtool(desired: State, applied: State) -> list[str]:
    """Return the interfaces of which settings of ethtool left the definition: these have no default to compare with."""
    before = {i["name"]: i for i in interfaces_of(applied)}
    return [i["name"] for i in interfaces_of(desired) if find_left_ethtool(i, before.get(i["name"]))]


def _find_virtual_holders(
    routes: Sequence[Mapping[str, Any]], dns: Mapping[str, Any], new_names: Mapping[str, str], live: Live
) -> dict[str, Detail]:
    """Return the interfaces with a virtual address into whose profiles nmstate may put routes or name servers.

    For such an interface that is not sent, nmstate writes the profile with all addresses of the kernel (2.2.62,
    nm/route.rs and nm/dns.rs): a virtual address would be on this host after the next boot, wherever it is then. Sent,
    the interface has the definition's addresses only. nmstate chooses itself which interfaces get name servers.
    """
    next_hops = {route.get("next-hop-interface") for route in routes}
    names = [new_names.get(one.interface, one.interface) for one in live.virtual]
    return {name: Reason.KEEPS_VIRTUAL_OUT for name in names if dns or name in next_hops}


def _find_released_nics(bundle: Bundle, live: Live, leaving: Mapping[str, str]) -> list[str]:
    """Return the NICs that left the definition together with their bridge or bond."""
    known_names = {i["name"] for i in interfaces_of(bundle.state)} | {nic.name for nic in bundle.nics}
    known_macs = {link.mac for nic in bundle.nics if (link := live.find(nic))}
    return sorted(
        link.name
        for link in live.links.values()
        if link.master in leaving
        and link.kind is None
        and link.name not in known_names
        and link.mac not in known_macs
        and link.name in live.owned
    )


def _released_entry(name: str) -> dict[str, Any]:
    """Return the nmstate entry of a released NIC: no addresses, not promiscuous."""
    return {
        "name": name,
        "type": ETHERNET,
        "state": "up",
        "accept-all-mac-addresses": False,
        "ipv4": {"enabled": False},
        "ipv6": {"enabled": False},
    }


def _find_released_loopback(bundle: Bundle, live: Live) -> list[dict[str, Any]]:
    """Return the nmstate entry of the loopback interface with its own addresses only, if it left the definition."""
    if any(i["name"] == LOOPBACK for i in interfaces_of(bundle.state)) or LOOPBACK not in live.owned:
        return []
    own = {"ipv4": ("127.0.0.1", 8), "ipv6": ("::1", 128)}
    released = {
        family: {"enabled": True, "address": [{"ip": ip, "prefix-length": prefix}]}
        for family, (ip, prefix) in own.items()
    }
    return [{"name": LOOPBACK, "type": "loopback", "state": "up", **released}]


def _find_stored_routes(stored: Mapping[str, Sequence[StoredDifference]]) -> set[str]:
    """Return the interfaces whose profiles on disk have other routes than the definition."""
    return {name for name, found in stored.items() if any(difference.path == ROUTES for difference in found)}


def _compare_routes(
    desired: State, view: State, replaced: Collection[str], sent_again: Collection[str]
) -> tuple[list[dict[str, Any]], list[Change]]:
    """Return the routes to send to nmstate, and the changes: routes to add, and static routes on the definition's
    interfaces, or on bridges that are replaced, that the definition lacks. nmstate only adds routes, so the others must
    be removed explicitly. Those of the interfaces `sent_again` are sent although they are there: their profiles on disk
    lack them."""
    own_names = {*(i["name"] for i in interfaces_of(desired)), *replaced}
    wanted = {route_key(r): r for r in routes_of(desired)}
    live_routes = {route_key(r): r for r in routes_of(view)}
    to_send: list[dict[str, Any]] = []
    changes = []
    for key, route in live_routes.items():
        name = str(route.get("next-hop-interface"))
        if key in wanted or name not in own_names or _leads_to_next_hop(key, wanted):
            continue
        if _has_ip(desired, name):
            to_send.append({"state": "absent", **{k: v for k, v in route.items() if k in _ROUTE_KEYS}})
        # nmstate itself removes the routes of an interface that loses its addresses
        elif any((key[0], key[3]) == (other[0], other[3]) for other in wanted):
            continue  # a route to the same destination in the same table moves with the address
        changes.append(Change("remove", "route", (RouteDetail(route),)))
    for key, route in wanted.items():
        if key in live_routes and route.get("next-hop-interface") in sent_again:
            to_send.append(route)
        elif key not in live_routes:
            to_send.append(route)
            changes.append(Change("add", "route", (RouteDetail(route),)))
        elif any(_removes(absent, key) for absent in to_send if absent.get("state") == "absent"):
            to_send.append(route)
    return to_send, changes


def _leads_to_next_hop(key: tuple[Any, ...], wanted: Collection[tuple[Any, ...]]) -> bool:
    """Whether a live route is one that NetworkManager adds itself: to a next hop that is on no subnet of the host."""
    address, _, prefix = str(key[0]).partition("/")
    is_host_route = key[1] is None and prefix in ("32", "128")
    return is_host_route and any(other[1] == address and other[2:4] == key[2:4] for other in wanted)


def _removes(absent: Mapping[str, Any], key: tuple[Any, ...]) -> bool:
    """Whether the removal of a route removes another one too: nmstate ignores the metric, and a missing next hop fits
    every next hop."""
    other = route_key(absent)
    return (other[0], *other[2:4]) == (key[0], *key[2:4]) and other[1] in (None, key[1])


def _has_ip(desired: State, name: str) -> bool:
    interface: Mapping[str, Any] = next((i for i in interfaces_of(desired) if i["name"] == name), {})
    return any(interface.get(family, {}).get("enabled") for family in FAMILIES)


def _compare_dns(desired: State, view: State) -> tuple[dict[str, Any], list[Change]]:
    """Return the name servers and search domains to send to nmstate (all of them when one differs), and the change."""
    wanted, live = dns_of(desired), dns_of(view)
    details = tuple(
        Difference(key, list(live.get(key, [])), list(wanted[key]))
        for key in wanted
        if list(wanted[key]) != list(live.get(key, []))
    )
    return (dict(wanted), [Change("change", "name servers", details)]) if details else ({}, [])
