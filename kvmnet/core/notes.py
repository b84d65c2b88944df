"""What a person should know of a plan before it is made, and what nothing is refused for."""

from __future__ import annotations

from kvmnet.core.difference import is_link_local, made_by_itself
from kvmnet.core.live import UNREADABLE, Live
from kvmnet.core.plan import Plan
from kvmnet.core.rivals import rivals


def notes(plan: Plan, live: Live) -> list[str]:
    """A line each."""
    return [*_not_seen(live), *_addresses_that_change(plan, live), *_equal_profiles(plan, live)]


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
