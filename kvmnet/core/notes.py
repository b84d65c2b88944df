"""What a person should know of a plan before it is made, and what nothing is refused for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kvmnet.core.bundle import port_names
from kvmnet.core.difference import is_link_local, made_by_itself
from kvmnet.core.live import UNREADABLE, Live, Profile
from kvmnet.core.plan import Plan
from kvmnet.core.rivals import rivals


def notes(plan: Plan, live: Live) -> list[str]:
    """A line each."""
    changing = [*_addresses_that_change(plan, live), *_leases_that_change(plan, live)]
    return [*_not_seen(live), *changing, *_equal_profiles(plan, live)]


def _not_seen(live: Live) -> list[str]:
    """Whoever may not look at what is applied does not see what left the definition since, nor what is kvmnet's."""
    if live.applied != UNREADABLE:
        return []
    return ["what has left the definition is not in this plan, as only root may read what is applied: run it with sudo"]


def _addresses_that_change(plan: Plan, live: Live) -> list[str]:
    """An address from a router's prefix and a secret of the connection profile (RFC 7217) is another one once nmstate
    has made the profile: by its default it is from the prefix and the MAC (nmstate 2.2.62)."""
    sent = [i for i in plan.state.get("interfaces", []) if i.get("state") == "up"]
    if not any(i.get("ipv6", {}).get("autoconf") for i in sent):
        return []
    found = []
    for interface in live.state.get("interfaces", []):
        ipv6 = interface.get("ipv6", {})
        if interface["name"] not in plan.touched or ipv6.get("addr-gen-mode") != "stable-privacy":
            continue
        for address in ipv6.get("address", []):
            if made_by_itself(address) and not is_link_local(str(address["ip"])):
                how = f"{interface['name']} has it by addr-gen-mode=stable-privacy, and will have one from its MAC"
                found.append(f"the address {address['ip']} may change: {how}")
    return found


#: NetworkManager's words for the MAC. A bridge has the MAC of its NIC, the permanent one.
_BY_MAC = ("mac", "perm-mac")
_HOW_TO_KEEP = "reserve the address for the MAC at the DHCP server before, or give it in the definition"


def _leases_that_change(plan: Plan, live: Live) -> Iterator[str]:
    """Whoever asks a DHCP server as somebody else gets another address. nmstate has every profile that it makes or
    changes ask by the MAC: client id, DUID and IAID (2.2.62); NetworkManager's own DUID is the machine's, its IAID the
    interface's name's."""
    sent = {i["name"]: i for i in plan.state.get("interfaces", []) if i.get("state") == "up"}
    controllers = {port: i["name"] for i in plan.bundle.state.get("interfaces", []) for port in port_names(i)}
    new = {r.old: r.new for r in plan.renames}
    for interface in live.state.get("interfaces", []):
        name, profile = interface["name"], live.profiles.get(interface["name"])
        if profile is None or name not in plan.touched:
            continue
        place = new.get(name, name)
        while place in controllers:
            place = controllers[place]
        for family, word, asked in (("ipv4", "DHCP", _asked_by), ("ipv6", "DHCPv6", _asked_by_6)):
            how = asked(profile, interface)
            if how and interface.get(family, {}).get("dhcp") and sent.get(place, {}).get(family, {}).get("dhcp"):
                words = f"the address that {name} has from {word} may change: it asks by {how}, {place} will by its MAC"
                yield f"{words}; to keep it {_HOW_TO_KEEP}"


def _asked_by(profile: Profile, interface: Mapping[str, Any]) -> str:
    """What of DHCPv4 is not by the MAC; empty: nothing, as by NetworkManager's default."""
    said = {"ipv4.dhcp-client-id": profile.dhcp4_client_id, "ipv4.dhcp-iaid": profile.dhcp4_iaid}
    # 01 is Ethernet; a client id from the MAC has no IAID in it
    if profile.dhcp4_client_id in _BY_MAC or _is_mac(profile.dhcp4_client_id, "01", interface):
        said = {}
    return ", ".join(f"{key}={value}" for key, value in said.items() if value)


def _asked_by_6(profile: Profile, interface: Mapping[str, Any]) -> str:
    """The same of DHCPv6, of which nothing is by the MAC where the profile does not say so: told then where the
    interface has such an address."""
    said = {}
    if profile.dhcp6_duid != "ll" and not _is_mac(profile.dhcp6_duid, "00030001", interface):
        said["ipv6.dhcp-duid"] = profile.dhcp6_duid
    if profile.dhcp6_iaid not in _BY_MAC:
        said["ipv6.dhcp-iaid"] = profile.dhcp6_iaid
    own = ", ".join(f"{key}={value}" for key, value in said.items() if value)
    leased = any(_is_lease(address) for address in interface.get("ipv6", {}).get("address", []))
    return own or ("a DUID and an IAID of NetworkManager's choice" if said and leased else "")


def _is_mac(identity: str, prefix: str, interface: Mapping[str, Any]) -> bool:
    """Whether an identity, written as bytes, is the MAC with what goes before it."""
    return identity.replace(":", "").lower() == prefix + str(interface.get("mac-address")).replace(":", "").lower()


def _is_lease(address: Mapping[str, Any]) -> bool:
    """An address from a router's prefix has the prefix's length."""
    ends, alone = made_by_itself(address), int(address["prefix-length"]) == 128
    return ends and alone and not is_link_local(str(address["ip"]))


def _equal_profiles(plan: Plan, live: Live) -> list[str]:
    """A profile that fits as well, at the same autoconnect-priority (one of a higher is refused, KVN535)."""
    if not plan.touches:
        return []
    found = []
    for rival in [r for r in rivals(plan, live) if not r.wins]:
        profile = rival.profile
        when = "once somebody has activated it NetworkManager takes it at boot, as the one that was active last"
        if profile.device:
            when = f"it is active on {profile.device}, and at boot NetworkManager may take it for either"
        who = f"the connection profile {profile.id} ({profile.uuid}) fits {', '.join(rival.names)} too"
        found.append(f"{who}: {when}; keep it out: {rival.cure}")
    return found
