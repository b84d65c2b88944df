"""NICs that get a copy of their connection profile: the profile serves other NICs too, or finds its NIC by a pattern.

Binding such a profile to one NIC would take it away from the others, or, after a rename, from the NIC itself. The copy
is bound to the MAC address. Its autoconnect-priority is one above that of its source, so the next boot activates the
copy on this NIC (NetworkManager prefers the highest: nm-settings-connection.c). The source is not changed.

A source that may be active on one NIC only (`multi-connect` single, the default) is free once the copy is active.
NetworkManager would then activate it on another NIC that it fits and that has no profile, with the same addresses. In
this case the source is bound to its NIC instead, as a profile that is bound to its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from kvmnet.core.base.nmstate import ETHERNET, State, dns_of, interfaces_of, routes_of
from kvmnet.core.boot.matching import matches_patterns
from kvmnet.core.live.live_host import MULTIPLE, ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.dhcp_identity import Identity, find_present_identity
from kvmnet.core.planning.ownership import find_owned_after
from kvmnet.core.planning.rename_order import Rename
from kvmnet.core.rendering.bundle import Bundle

#: NetworkManager's highest autoconnect-priority.
MAX_PRIORITY = 999


@dataclass(frozen=True)
class ProfileCopy:
    """A copy of a connection profile for one NIC.

    nic: the NIC's name now; mac: its permanent MAC address.
    source: the profile that is active on it; uuid: that of the copy.
    priority: the copy's autoconnect-priority.
    identity: how the NIC identifies itself to DHCP servers and routers now; the copy keeps it.
    """

    nic: str
    mac: str
    source: ConnectionProfile
    uuid: str
    priority: int
    identity: Identity


def find_profile_copies(
    bundle: Bundle, state: State, renames: Collection[Rename], live: Live
) -> dict[str, ProfileCopy]:
    """Return the copies that a change needs, by the NICs' names after the change. `state` is what nmstate is given: it
    changes the profiles of the interfaces in it, and those that get routes and name servers, which it chooses."""
    copies = {}
    owned: Mapping[str, Owned] = {}
    for name, link in _find_changed_nics(bundle, state, renames, live):
        profile = live.profiles.get(link.name)
        if profile is None or not is_shared(profile, live) or find_next_nic(profile, live) is not None:
            continue
        owned = owned or find_owned_after(bundle, live)
        priority = min(profile.priority + 1, MAX_PRIORITY)
        identity = find_present_identity(link.name, live)
        copies[name] = ProfileCopy(link.name, str(link.mac), profile, owned[name].uuid, priority, identity)
    return copies


def is_shared(profile: ConnectionProfile, live: Live) -> bool:
    """Whether the profile of a NIC serves another NIC too, or finds its NIC by a pattern."""
    return profile.finds_nic_by_pattern or len(_find_devices(profile, live)) > 1


def _find_devices(profile: ConnectionProfile, live: Live) -> list[str]:
    return [p.device for p in live.profiles.values() if p.uuid == profile.uuid]


def _find_changed_nics(
    bundle: Bundle, state: State, renames: Collection[Rename], live: Live
) -> Iterator[tuple[str, Link]]:
    """Yield the NICs whose profiles the change would change, with their names after it."""
    changed = {i["name"] for i in interfaces_of(state) if i["state"] == "up"} | {rename.new for rename in renames}
    if routes_of(state) or dns_of(state):
        changed |= {i["name"] for i in interfaces_of(bundle.state)}
    ethernets = {i["name"] for i in interfaces_of(bundle.state) if i["type"] == ETHERNET and i["state"] == "up"}
    for nic in bundle.nics:
        link = live.find(nic)
        if link is not None and link.mac and nic.name in changed & ethernets:
            yield nic.name, link


def find_next_nic(profile: ConnectionProfile, live: Live) -> str | None:
    """Return the NIC on which NetworkManager would activate a profile once it is active on no NIC; None if there is
    none. A condition on the driver or the path of a NIC counts as fulfilled."""
    if profile.multi_connect == MULTIPLE or not profile.autoconnect or len(_find_devices(profile, live)) > 1:
        return None
    patterns = profile.match.replace(",", " ").split()
    for link in live.links.values():
        is_idle = bool(link.mac) and link.kind is None and link.name not in live.profiles
        is_other = profile.interface_name not in ("", link.name) or profile.mac not in ("", link.mac)
        if is_idle and not is_other and matches_patterns(patterns, link.name):
            return link.name
    return None
