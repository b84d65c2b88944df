"""NetworkManager's connection profiles, firewalld's zones, and files of other formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.matching import profile_fits
from kvmnet.core.doctor import ERROR, NOTE, WARNING, Finding, examination
from kvmnet.core.live.host_facts import HostFacts
from kvmnet.core.live.management import find_other_store

_CLOSED_ZONES = ("drop", "block")


@examination("KVN602", "several connection profiles fit a NIC")
def find_competing_profiles(facts: HostFacts) -> Iterator[Finding]:
    """
    Several connection profiles with autoconnect fit one NIC, and none of them has a higher autoconnect-priority. At
    boot NetworkManager activates the one that was active last. When somebody activates another one by hand, for example
    by `nmcli device connect`, the next boot uses that one. Often the other profile is a leftover of the installer, such
    as `Wired connection 1`. kvmnet refuses a change after which another profile would win (KVN550 and later).

    Delete the profiles that you do not need, or disable their autoconnect.
    """
    if facts.boot is None:
        return
    profiles = [p for p in facts.boot.effective.values() if p.autoconnect and p.type == NM_ETHERNET]
    devices: Mapping[str, BootDevice] = {nic.mac: nic for nic in facts.boot.nics}
    active = {profile.uuid for profile in facts.profiles if profile.device}
    for nic in facts.nics:
        device = devices.get(nic.mac or "", BootDevice(nic.name, mac=nic.mac or ""))
        fitting = [p for p in profiles if profile_fits(p, device, facts.boot.options)]
        highest = max((p.priority for p in fitting), default=0)
        rivals = sorted((p for p in fitting if p.priority == highest), key=lambda p: (p.uuid not in active, p.id))
        if len(rivals) > 1:
            names = ", ".join(profile.id for profile in rivals)
            message = f"NIC {nic.name} has {len(rivals)} connection profiles of one priority: {names}"
            yield Finding(
                "KVN602", WARNING, message, f"nmcli connection modify {rivals[1].uuid} connection.autoconnect no"
            )


@examination("KVN603", "NetworkManager ignores a connection profile")
def find_ignored_profiles(facts: HostFacts) -> Iterator[Finding]:
    """
    A file in a folder of connection profiles is not loaded by NetworkManager. The message has the reason: wrong owner
    or mode (it must belong to root and have mode 0600), an error in its format, or a missing address. After the next
    reload or boot its interface has no configuration. Fix or remove the file, then run `nmcli connection reload`.
    """
    for problem in facts.boot.problems if facts.boot is not None else ():
        yield Finding("KVN603", WARNING, problem, "nmcli connection reload, after the file is fixed")


@examination("KVN604", "connection profiles in the format ifcfg")
def find_ifcfg_files(facts: HostFacts) -> Iterator[Finding]:
    """
    /etc/sysconfig/network-scripts has files of the old format (ifcfg-NAME). NetworkManager reads them only with its
    plugin ifcfg-rh: EL 9 has it, EL 10 does not, where these files have no effect. kvmnet writes keyfiles only. Convert
    files that are in use, and delete the others. `kvmnet import ifcfg` makes a definition of them.
    """
    if facts.ifcfg_files:
        stored = facts.boot.effective.values() if facts.boot is not None else ()
        used = any("network-scripts" in profile.file for profile in stored)
        state = "in use" if used else "without effect: NetworkManager does not read them"
        message = f"{len(facts.ifcfg_files)} files in /etc/sysconfig/network-scripts ({state})"
        fix = "nmcli connection migrate" if used else f"rm {' '.join(facts.ifcfg_files[:3])}"
        yield Finding("KVN604", WARNING if used else NOTE, message, fix)


@examination("KVN605", "the default zone of firewalld rejects everything")
def find_closed_zones(facts: HostFacts) -> Iterator[Finding]:
    """
    The default zone of firewalld is drop or block, and an interface with a connection profile is in no other zone. New
    connections to the host over this interface are not accepted. During a change, kvmnet keeps the zone that the
    profile of an interface has (`connection.zone`). An interface that is bound to its zone only in firewalld may get
    the default zone when it gets another name. Set the zone in the profile.
    """
    if facts.zones is None or facts.default_zone not in _CLOSED_ZONES:
        return
    for profile in sorted(facts.profiles, key=lambda profile: profile.device):
        if profile.device and not profile.zone and not profile.controller and profile.type != "loopback":
            zone = facts.zones.get(profile.device, facts.default_zone)
            message = (
                f"{profile.device} has no zone in its connection profile; the default zone is {facts.default_zone}"
            )
            name = zone if zone not in _CLOSED_ZONES else "ZONE"
            yield Finding("KVN605", WARNING, message, f"nmcli connection modify {profile.uuid} connection.zone {name}")


@examination("KVN606", "states in /etc/nmstate that were not applied")
def find_unapplied_states(facts: HostFacts) -> Iterator[Finding]:
    """
    nmstate.service applies the files *.yml of /etc/nmstate at boot, each as a change of its own. A file that was
    applied is renamed or copied to one with the suffix `.applied`. The files of the message have no such copy: the next
    boot applies them, or they failed at the last one. They may change interfaces of the definition, and kvmnet would
    report that as drift. Add their contents to the definition, and delete them.
    """
    service = facts.service("nmstate")
    for path in facts.nmstate_files:
        message = f"{path} was not applied" + (": the next boot applies it" if service.is_enabled else "")
        yield Finding("KVN606", WARNING if service.is_enabled else NOTE, message, f"mv {path} /root")


@examination()
def find_other_profile_folders(facts: HostFacts) -> Iterator[Finding]:
    obstacle = find_other_store(facts.surroundings)
    if obstacle is not None:
        message = f"NetworkManager stores connection profiles in another folder or format ({obstacle.reason})"
        yield Finding("KVN514", ERROR, message, obstacle.fix)
