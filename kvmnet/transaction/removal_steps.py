"""The steps of `kvmnet remove`: restore the host from before kvmnet, as a transaction like any other.

The steps call the undo functions of the rescue program, on the snapshots of the transactions that first took each part
of the host over (original_host). The undo of a step restores the current state.
"""

from __future__ import annotations

from kvmnet.core.base.nmstate import FAMILIES, LOOPBACK, interfaces_of
from kvmnet.core.base.probe import Probe
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.difference import is_link_local
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.rename_order import order_renames
from kvmnet.core.rendering.macvtap_rule import macvtap_bases
from kvmnet.rescue import restore
from kvmnet.system import networkmanager, operations
from kvmnet.transaction import boot_steps, verification_steps
from kvmnet.transaction.adoption_steps import hand_over_ports
from kvmnet.transaction.naming_steps import undo_rename
from kvmnet.transaction.original_host import HOSTNAME_FILE, OldNic, Original
from kvmnet.transaction.removal_plan import static_hostname
from kvmnet.transaction.saving_steps import undo_activation
from kvmnet.transaction.step import STEP_LIMIT, Step, step, undo_spec


def compile_removal(
    plan: Plan, original: Original, live: Live, probes: tuple[Probe, ...], record: list[str], confirm: int
) -> list[Step]:
    """The steps of a removal, in order. `record` are the files that record what is applied, `confirm` are the seconds
    to wait for `kvmnet confirm` (0: no confirmation)."""
    created = [i["name"] for i in plan.state["interfaces"]]
    created_profiles = _created_nic_profiles(plan, original, live)
    comparison = _compare(plan, original, live, created, created_profiles)
    return [
        *_restore_files(original),
        *_restore_multicast(plan, original),
        *_delete_profiles_of_down_interfaces(plan, live),
        *_remove_interfaces(created, live),
        *_restore_names(plan, original, live),
        _restore_profiles(original, created_profiles),
        *_restore_loopback(plan, original),
        *_restore_zones(plan, original, live, created),
        *_restore_global_dns(original),
        *_restore_hostname(original, live),
        _activate_profiles(original, live, created),
        *hand_over_ports(plan, live),
        comparison,
        *verification_steps.probe(probes),
        *verification_steps.wait_for_confirmation(confirm),
        *([{**comparison, "title": f"{comparison['title']} again"}] if confirm else []),
        *boot_steps.verify_boot_after_removal(plan, original, live, _removed_profiles(plan, live, created_profiles)),
        step(
            operations.WRITE_FILES,
            "delete the record of the applied bundle",
            [undo_spec(operations.UNDO_FILES, paths=record)],
            files={},
            remove=record,
        ),
    ]


def _give_back(title: str, specs: list[Step], undo: list[Step], limit: int = STEP_LIMIT) -> Step:
    """A step that does what the undo `specs` do, on the original's snapshot."""
    return step(operations.GIVE_BACK, title, undo, specs=specs, limit=limit)


def _restore_files(original: Original) -> list[Step]:
    """All files, above all the `.link` files, but not connection profiles and the hostname: these need more than their
    files."""
    paths = sorted(
        record["path"]
        for record in original.snapshot["files"]
        if not record["path"].startswith(networkmanager.PROFILE_FOLDERS) and record["path"] != HOSTNAME_FILE
    )
    if not paths:
        return []
    files = undo_spec(operations.UNDO_FILES, paths=paths)
    return [_give_back("restore the .link files and settings from before kvmnet", [files], [files])]


def _restore_multicast(plan: Plan, original: Original) -> list[Step]:
    """Only macvtaps that have existed since before kvmnet: their guests have been running all the time."""
    if not original.snapshot.get("macvtaps"):
        return []
    spec = undo_spec(operations.UNDO_MULTICAST, bases=macvtap_bases(plan.bundle), exempt=list(plan.bundle.trusting))
    return [_give_back("restore which multicast frames the macvtaps from before kvmnet receive", [spec], [spec])]


def _delete_profiles_of_down_interfaces(plan: Plan, live: Live) -> list[Step]:
    """This comes before all other steps that NetworkManager notices, so it is undone last, when nothing that is
    restored can activate these profiles. A link that has one of the names now does not belong to them."""
    if not plan.down:
        return []
    uuids = sorted(plan.down.values())
    return [
        _give_back(
            "delete the connection profiles of " + ", ".join(plan.down),
            [undo_spec(operations.UNDO_PROFILES, profiles=dict.fromkeys(uuids, ""))],
            [undo_spec(operations.UNDO_FILES, uuids=uuids), *undo_activation(plan, live)],
            limit=STEP_LIMIT + len(uuids),
        )
    ]


def _remove_interfaces(created: list[str], live: Live) -> list[Step]:
    """One step for all interfaces, and one after it for those that carry the host's addresses and what these are based
    on: NetworkManager needs a second for each of many, and the host would be away meanwhile."""
    carriers = _with_lower_devices(_addressed(live), live)
    steps = []
    for names in ([n for n in created if n not in carriers], [n for n in created if n in carriers]):
        if names:
            profiles = {live.owned[name].uuid or name: name for name in reversed(names)}  # undo_profiles reverses them
            steps.append(
                _give_back(
                    f"remove {', '.join(names)}",
                    [undo_spec(operations.UNDO_PROFILES, profiles=profiles)],
                    [undo_spec(operations.UNDO_FILES, uuids=list(profiles))],
                    limit=STEP_LIMIT + 2 * len(names),
                )
            )
    return steps


def _addressed(live: Live) -> set[str]:
    """The interfaces that have an address by which the host can be reached."""
    names = set()
    for interface in interfaces_of(live.state):
        addresses = [a for family in FAMILIES for a in interface.get(family, {}).get("address", [])]
        if any(not is_link_local(str(address["ip"])) for address in addresses):
            names.add(interface["name"])
    return names


def _with_lower_devices(names: set[str], live: Live) -> set[str]:
    """These interfaces with their ports and base interfaces, and those of these, and so on."""
    devices: set[str] = set()
    added = set(names)
    while added:
        devices |= added
        bases = {link.base for link in live.links.values() if link.name in added and link.base}
        added = (bases | {link.name for link in live.links.values() if link.master in added}) - devices
    return devices


def _restore_names(plan: Plan, original: Original, live: Live) -> list[Step]:
    """The NICs' names, in an order in which each is free, and the alternative names of NICs that keep their names."""
    nics = {nic.mac: nic for nic in original.nics}
    remaining = set(live.links) - {i["name"] for i in plan.state["interfaces"]}
    steps = []
    for hop in order_renames(plan.renames, remaining):
        nic = nics[hop.rename.mac]
        altnames = list(nic.altnames) if hop.last else []
        spec = undo_spec(operations.UNDO_RENAME, mac=nic.mac, to=hop.new, altnames=altnames)
        undo = [undo_rename(hop)]
        if live.zones is not None:
            names = (hop.new, hop.old)
            zones = live.zones
            undo = [*(undo_spec(operations.UNDO_ZONE, interface=n, zone=zones.get(n)) for n in names), *undo]
        steps.append(_give_back(f"rename {hop.old} to {hop.new}", [spec], undo))
    for nic in original.nics:
        link = live.nic(nic.mac)
        if link is not None and link.name == nic.name:
            spec = undo_spec(operations.UNDO_RENAME, mac=nic.mac, to=nic.name, altnames=list(nic.altnames))
            title = f"restore the alternative names of {nic.name}"
            steps.append(_give_back(title, [spec], [{**spec, "altnames": list(link.altnames)}]))
    return steps


def _created_nic_profiles(plan: Plan, original: Original, live: Live) -> list[str]:
    """The UUIDs of the profiles that kvmnet created for NICs that had none."""
    uuids = {_created_profile(plan.bundle.host, nic, live) for nic in original.nics}
    return sorted({*(uuids - set(original.snapshot["uuids"])), *original.seeded})


def _created_profile(host: str, nic: OldNic, live: Live) -> str:
    link = live.nic(nic.mac)
    name = link.name if link is not None else nic.name
    owned = live.owned.get(name)
    return owned.uuid if owned is not None and owned.uuid else profile_uuid(host, name)


def _restore_profiles(original: Original, created_profiles: list[str]) -> Step:
    uuids = list(original.snapshot["uuids"])
    return _give_back(
        "restore the connection profiles",
        [
            *(undo_spec(operations.UNDO_PROFILE, uuid=uuid, interface="") for uuid in created_profiles),
            undo_spec(operations.UNDO_FILES, uuids=uuids),
        ],
        [undo_spec(operations.UNDO_FILES, uuids=sorted({*uuids, *created_profiles}), paths=list(original.leftovers))],
    )


def _restore_loopback(plan: Plan, original: Original) -> list[Step]:
    """NetworkManager leaves the addresses and routes when it no longer has a profile for the loopback interface. It may
    still have one when the loopback interface has left the definition."""
    if LOOPBACK not in original.snapshot["addresses"]:
        return []
    spec = undo_spec(operations.UNDO_LOOPBACK, addresses=_find_added_loopback_addresses(plan, original))
    return [_give_back("restore the addresses of the loopback interface", [spec], [spec])]


def _find_added_loopback_addresses(plan: Plan, original: Original) -> list[str]:
    """The addresses of the loopback interface in the applied bundle that it did not have before kvmnet."""
    applied = [
        f"{address['ip']}/{address['prefix-length']}"
        for interface in interfaces_of(plan.bundle.state)
        if interface["name"] == LOOPBACK
        for family in FAMILIES
        for address in interface.get(family, {}).get("address", [])
    ]
    return [address for address in applied if address not in original.snapshot["addresses"].get(LOOPBACK, [])]


def _restore_zones(plan: Plan, original: Original, live: Live, created: list[str]) -> list[Step]:
    if live.zones is None:
        return []
    names = [*created, *sorted({hop.old for hop in order_renames(plan.renames, set(live.links) - set(created))})]
    zones = {**dict.fromkeys(names), **{n.name: original.snapshot["zones"].get(n.name) for n in original.nics}}
    current_zones = {name: live.zones.get(name) for name in zones}
    return [
        _give_back(
            "restore the firewalld zones",
            [undo_spec(operations.UNDO_ZONES, zones=zones)],
            [undo_spec(operations.UNDO_ZONES, zones=current_zones)],
            limit=STEP_LIMIT + 2 * len(zones),
        )
    ]


def _restore_global_dns(original: Original) -> list[Step]:
    if "global dns" not in original.snapshot:
        return []
    spec = undo_spec(operations.UNDO_GLOBAL_DNS)
    return [_give_back("restore the global name servers", [spec], [spec])]


def _restore_hostname(original: Original, live: Live) -> list[Step]:
    old_name, current_name = original.hostname, static_hostname(live)
    if old_name is None:
        return []
    file = undo_spec(operations.UNDO_FILES, paths=[HOSTNAME_FILE])
    return [
        _give_back(
            "restore the hostname",
            [undo_spec(operations.UNDO_HOSTNAME, name=old_name), file],
            [undo_spec(operations.UNDO_HOSTNAME, name=current_name, running=live.hostname), file],
        )
    ]


def _activate_profiles(original: Original, live: Live, created: list[str]) -> Step:
    """The step that activates the original profiles. `again` are the interfaces that stay active meanwhile, so that
    their profiles must be reapplied: neither those to be removed nor the ports of one."""
    active = dict(original.active)
    again = [n.name for n in original.nics if (link := live.nic(n.mac)) and link.name == n.name]
    again += [name for name in active if name not in created and (link := live.links.get(name)) and link.kind]
    again = [name for name in again if not live.links[name].master]
    return step(
        operations.ACTIVATE,
        "activate " + ", ".join(sorted(active)),
        limit=STEP_LIMIT + 70 * len(active),
        profiles=active,
        again=again,
    )


def _removed_profiles(plan: Plan, live: Live, created_profiles: list[str]) -> set[str]:
    """The UUIDs of the profiles that must not exist any more: of the interfaces that are removed, and of NICs that had
    none before kvmnet."""
    created = {i["name"] for i in plan.state["interfaces"]}
    return {uuid for name in created if (uuid := live.owned[name].uuid)} | {*plan.down.values(), *created_profiles}


def _compare(plan: Plan, original: Original, live: Live, created: list[str], created_profiles: list[str]) -> Step:
    """The step that compares the host with the original. `gone` lists the profiles and `removed` the interfaces that
    must not exist any more, `released` the addresses that the loopback interface must not have, `rules` the routing
    rules that must exist (`missing` since kvmnet) or must not (`new`)."""
    return step(
        operations.AS_BEFORE,
        "compare the host with the one before kvmnet",
        limit=STEP_LIMIT + restore.SETTLE_SECONDS,
        gone=sorted(_removed_profiles(plan, live, created_profiles)),
        removed=created,
        released=_find_added_loopback_addresses(plan, original),
        rules=dict(original.rules),
    )
