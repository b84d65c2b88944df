"""Notes on a plan: what an administrator should know before the change, and what is no reason to refuse it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Optional

from kvmnet.core.base.nmstate import interfaces_of, port_names, rules_of
from kvmnet.core.base.profile_settings import ZONE
from kvmnet.core.boot.outcome import describe_doubts
from kvmnet.core.effects.boot_rivals import Rival
from kvmnet.core.effects.name_uses import note_name_uses, note_stopped_guests
from kvmnet.core.effects.next_boot import NextBoot, find_present_differences
from kvmnet.core.effects.profile_notes import note_profiles
from kvmnet.core.live.live_host import UNREADABLE, Live
from kvmnet.core.planning.complete_bundle import MacSource
from kvmnet.core.planning.dhcp_identity import AtRisk, Identity, LeaseAtRisk
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rule_changes import RuleKey, parse_profile_rules, rule_key

#: Kinds of ports that belong to guests and containers.
PORT_KINDS = ("tun", "veth")
_KEEP_ADDRESS = "reserve it for this MAC address on the DHCP server first, or define it as a static address"
_KEEP_RULES = "to keep them, write them into the definition (`rules`)"


def find_notes(plan: Plan, live: Live, rivals: Sequence[Rival], next_boot: Optional[NextBoot] = None) -> list[str]:
    """Return the notes, a line each."""
    return [
        *_note_unreadable(live),
        *_note_macs(plan),
        *_note_identities(plan),
        *note_profiles(plan, live),
        *_note_routing_rules(plan, live),
        *_note_domains(plan, live),
        *_note_equal_rivals(plan, rivals),
        *_note_copies(plan, live),
        *note_name_uses(plan, live),
        *note_stopped_guests(plan, live),
        *_note_zones(plan, live),
        *_note_present_differences(plan, live, next_boot),
    ]


def _note_unreadable(live: Live) -> list[str]:
    """Only root can read the applied bundle, which shows what left the definition and what belongs to kvmnet."""
    if live.applied != UNREADABLE:
        return []
    return ["this plan does not show interfaces that are no longer in the definition: run as root to see them"]


def _note_macs(plan: Plan) -> Iterator[str]:
    """Name the MAC addresses that are not those of the definition or of a port's NIC."""
    rendered = {i["name"]: str(i.get("mac-address", "")).lower() for i in interfaces_of(plan.rendered.state)}
    for interface in interfaces_of(plan.state):
        name = interface["name"]
        if name not in plan.macs or interface["state"] != "up":
            continue
        mac, source = plan.macs[name].mac, plan.macs[name].source
        if source is MacSource.GENERATED:
            yield f"{name} has no port: its MAC address {mac} is generated from the host's and the bridge's name"
        elif source in (MacSource.RECORDED, MacSource.LIVE) and rendered.get(name) not in (None, "", mac):
            yield f"{name} keeps its MAC address {mac}: a new one would get {rendered[name]}"


def _note_identities(plan: Plan) -> Iterator[str]:
    """Name what is carried over for DHCP and routers, and the addresses that may change."""
    for interface in interfaces_of(plan.state):
        identity = plan.identities.get(interface["name"])
        if identity is not None:
            if carried := _carried_over(identity):
                yield f"{interface['name']} keeps its identity for DHCP and IPv6: {', '.join(carried)}"
            yield from map(_at_risk_text, identity.at_risk)


def _carried_over(identity: Identity) -> list[str]:
    values = {
        "DHCP client id": identity.client_id,
        "DHCPv6 DUID": identity.duid,
        "DHCPv6 IAID": identity.iaid,
        "IPv6 token": identity.token,
    }
    return [f"{name} {value}" for name, value in values.items() if value]


def _at_risk_text(at_risk: AtRisk) -> str:
    if isinstance(at_risk, LeaseAtRisk):
        settings = at_risk.settings or "a DUID and an IAID that NetworkManager chose"
        return (
            f"the {at_risk.protocol} address of {at_risk.interface} may change: {at_risk.interface} identifies itself "
            f"by {settings}; after the change, {at_risk.successor} will identify itself by its MAC address; "
            f"to keep the address, {_KEEP_ADDRESS}"
        )
    return (
        f"the address {at_risk.address} of {at_risk.interface} may change: it was generated with "
        f"addr-gen-mode={at_risk.mode}, but the new one will be generated from the MAC address"
    )


def _note_routing_rules(plan: Plan, live: Live) -> Iterator[str]:
    """Routing rules (`ip rule`) belong to no interface, but NetworkManager sets and removes them with the profile that
    contains them. The profile of a port contains none. Those of the definition get into another profile."""
    ports = {port for interface in interfaces_of(plan.desired) for port in port_names(interface)}
    wanted = {rule_key(rule) for rule in rules_of(plan.desired)}
    for name, profile in live.profiles.items():
        texts = {"ipv4": profile.rules4, "ipv6": profile.rules6}
        rules = ", ".join(text for family, text in texts.items() if _has_other_rules(family, text, wanted))
        becomes_port = name in plan.touched and plan.new_names.get(name, name) in ports
        if rules and (becomes_port or name in plan.leaving):
            event = "becomes a port" if becomes_port else "is removed"
            note = (
                f"{name} {event}, so the routing rules of its connection profile are removed ({rules}): {_KEEP_RULES}"
            )
            yield f"{note}; or leave the NIC out of the definition" if becomes_port else note


def _has_other_rules(family: str, text: str, wanted: Collection[RuleKey]) -> bool:
    """Whether the rules of a profile are others than those of the definition."""
    rules = set(parse_profile_rules(family, text))
    return bool(text) and (not rules or not rules <= set(wanted))


def _note_domains(plan: Plan, live: Live) -> Iterator[str]:
    """Name the guests whose domain XML names a bridge that is replaced, and the libvirt networks that do so for their
    guests: libvirt does not start a guest without its bridge."""
    running = live.surroundings.running
    guests = (*running.guests, *running.stopped)
    for old, new in plan.replaced.items():
        ports = sorted(link.name for link in live.links.values() if link.master == old and link.kind in PORT_KINDS)
        if ports:
            yield f"{new} takes over the guests' ports of {old}: {', '.join(ports)}"
        if direct := sorted({g.name for g in guests if any(n.source == old and not n.network for n in g.nics)}):
            yield (
                f"the domain XML of {', '.join(direct)} names {old}: change it to {new} before the next start "
                "(`virsh dumpxml --inactive GUEST | kvmnet guest xml GUEST --domain - > FILE; virsh define FILE`)"
            )
        for network in sorted(name for name, bridge in running.bridges.items() if bridge == old):
            users = sorted({guest.name for guest in guests if any(n.network == network for n in guest.nics)})
            moment = f"the next start of {', '.join(users)}" if users else "a guest in it starts"
            yield (
                f"the libvirt network {network} names {old}: change it to {new} before {moment} "
                f"(`virsh net-edit {network}; virsh net-destroy {network}; virsh net-start {network}`)"
            )


def _note_zones(plan: Plan, live: Live) -> Iterator[str]:
    """Name the zones of changed interfaces if firewalld does not run: they are only in the connection profiles then."""
    if live.zones is not None:
        return
    zones = {name: settings[ZONE.name] for name, settings in plan.profile_settings.items() if settings.get(ZONE.name)}
    if zones:
        names = ", ".join(f"{name} ({zone})" for name, zone in zones.items())
        yield f"firewalld does not run: the zone of {names} has an effect only once it runs"


def _note_equal_rivals(plan: Plan, rivals: Sequence[Rival]) -> Iterator[str]:
    """Name the profiles that also match, with the same autoconnect-priority. One of a higher priority is refused
    (KVN535)."""
    if not plan.changes_host:
        return
    for rival in rivals:
        if rival.wins:
            continue
        profile = rival.profile
        effect = "once it has been activated, NetworkManager prefers it at the next boot"
        if profile.device:
            effect = (
                f"it is active on {profile.device}, and at boot NetworkManager may use it for any of these interfaces"
            )
        name = f"the connection profile {profile.id} ({profile.uuid}) also matches {', '.join(rival.names)}"
        yield f"{name}: {effect}; to prevent this: {rival.commands}"


def _note_copies(plan: Plan, live: Live) -> Iterator[str]:
    """Name the NICs that get a connection profile of their own."""
    for copy in plan.copies.values():
        others = [p.device for p in live.profiles.values() if p.uuid == copy.source.uuid and p.device != copy.nic]
        reason = f"also serves {', '.join(sorted(others))}" if others else "is not bound to this NIC"
        yield (
            f"the connection profile {copy.source.id} of {copy.nic} {reason}: {copy.nic} gets a copy of it, and "
            f"{copy.source.id} is not changed"
        )


def _note_present_differences(plan: Plan, live: Live, next_boot: Optional[NextBoot]) -> Iterator[str]:
    """Name the interfaces that lose at the next boot what they have now, with or without the change."""
    if next_boot is None or not plan.changes_host:
        return
    for change in next_boot.changes:
        if change.is_usual:
            nic = change.after.interface
            yield (
                f"{nic} has no connection profile: at the next boot NetworkManager creates one for it (DHCP); "
                f"to prevent this, set no-auto-default for {nic}"
            )
    foreign = {name: next_boot.before[name] for name in next_boot.foreign}
    for profile, outcome in find_present_differences(live, foreign):
        yield (
            f"{outcome.interface} has the connection profile {profile} now, but gets {outcome.text} at the next boot; "
            f"the change does not alter this{describe_doubts(outcome)}"
        )
