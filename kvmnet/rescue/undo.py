"""Undoes steps of a transaction: one function for each kind of undo, in the table UNDO.

Each function gets the folder of the transaction and its specification (`spec`) from the step, and returns what it did.
It checks the host before it acts, because it may run more than once. It raises HostError when it fails.
"""

from __future__ import annotations

import base64
import contextlib
import errno
from pathlib import Path
from typing import Callable

from kvmnet.rescue import checkpoint, restore, snapshot
from kvmnet.system import clock, errors, files, firewalld, links, networkmanager, operations, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json


def restore_file_or_load(record: Json) -> bool:
    """Restore a recorded file; return whether it had to be changed. Raises OSError.

    A keyfile on a read-only disk is written to NetworkManager's folder in memory, which takes precedence. OSError is
    raised then too.
    """
    try:
        return files.restore_file(record)
    except OSError as error:
        path = Path(record["path"])
        if error.errno == errno.EROFS and str(path.parent) == networkmanager.PROFILE_FOLDERS[0] and "data" in record:
            files.write_file(
                f"{networkmanager.PROFILE_FOLDERS[1]}/{path.name}", base64.b64decode(record["data"]), record["mode"]
            )
        raise


def undo_profiles(folder: Path, spec: Json) -> str:
    """Delete the profiles that kvmnet created (UUID -> interface), and the virtual links that they created.

    One command deletes all of them: a host with hundreds of VLANs must be restored as soon as one with two.
    """
    created: dict[str, str] = spec["profiles"]
    before = files.read_json(folder / "snapshot.json")
    with contextlib.suppress(HostError):  # the links must be deleted also without NetworkManager
        new = {p["uuid"] for p in networkmanager.list_profiles()} - {p["uuid"] for p in before.get("profiles", [])}
        uuids = [uuid for uuid in reversed(list(created)) if uuid in new]
        if uuids:
            arguments = [argument for uuid in uuids for argument in ("uuid", uuid)]
            limit = len(uuids)
            programs.run("nmcli", "-w", f"{15 + limit}", "connection", "delete", *arguments, timeout=30 + limit)
    links_before = before.get("links", {})
    created_links = [name for name in created.values() if not links_before.get(name, {}).get("kind")]

    def remaining() -> list[str]:
        now = links.read_links()
        return [name for name in created_links if now.get(name, {}).get("kind")]

    if not clock.wait_until(lambda: not remaining(), 5):
        for name in reversed(remaining()):
            with contextlib.suppress(HostError):  # the kernel may delete it with the previous one
                programs.run("ip", "link", "delete", "dev", name)
        if remaining():
            raise HostError(f"not deleted: {', '.join(remaining())}")
    return f"{len(created)} deleted"


def undo_links(folder: Path, spec: Json) -> str:
    """Delete virtual links that were created by profiles from before the change, which were not active then. The
    profiles stay."""
    before, deleted = files.read_json(folder / "snapshot.json").get("links", {}), []
    for name in spec["names"]:
        if before.get(name, {}).get("kind") or not links.read_links().get(name, {}).get("kind"):
            continue
        with contextlib.suppress(HostError):  # the link must be deleted also without NetworkManager
            for uuid in [p["uuid"] for p in networkmanager.list_profiles() if p["device"] == name]:
                programs.run("nmcli", "-w", "20", "connection", "down", "uuid", uuid)
        if links.read_links().get(name, {}).get("kind"):
            programs.run("ip", "link", "delete", "dev", name)
        deleted.append(name)
    return f"{', '.join(deleted) or 'nothing'} deleted"


def undo_profile(folder: Path, spec: Json) -> str:
    """Delete one profile that kvmnet created, and the virtual link that it created."""
    return undo_profiles(folder, {"profiles": {spec["uuid"]: spec["interface"]}})


def undo_copy(folder: Path, spec: Json) -> str:
    """Activate the profile (`source`) that was copied for a NIC, if the copy is active, and delete the copy."""
    profiles = networkmanager.list_profiles()
    if all(p["uuid"] != spec["uuid"] for p in profiles):
        return "the copy does not exist"
    if any(p["uuid"] == spec["uuid"] and p["device"] for p in profiles):
        with contextlib.suppress(HostError):  # the comparison finds it, and activates the profile again
            source = ("uuid", spec["source"], "ifname", spec["interface"])
            programs.run("nmcli", "-w", "30", "connection", "up", *source, timeout=40)
    if any(p["uuid"] == spec["uuid"] for p in files.read_json(folder / "snapshot.json").get("profiles", [])):
        return "the copy is inactive, as before"
    programs.run("nmcli", "-w", "20", "connection", "delete", "uuid", spec["uuid"], timeout=30)
    return "the copy is deleted"


def undo_rename(folder: Path, spec: Json) -> str:
    """Restore the name and the altnames of a NIC; return how it was renamed.

    A temporary name (`to`) is not set when the NIC already has its final one (`unless`).
    """
    if spec.get("unless") and links.find_nic(spec["mac"]) == spec["unless"]:
        return "already"
    how = links.rename_nic(spec["mac"], spec["to"])
    was = files.read_json(folder / "snapshot.json").get("links", {}).get(spec["to"], {})
    if was.get("up") and not links.read_links()[spec["to"]]["up"]:  # interrupted between down and up
        programs.run("ip", "link", "set", "dev", spec["to"], "up")
    with contextlib.suppress(HostError):  # udev must have set its altnames before they are read
        programs.run("udevadm", "settle", "--timeout=5")
    altnames = spec["altnames"]
    for name in links.read_links()[spec["to"]]["altnames"]:
        if name not in altnames:
            programs.run("ip", "link", "property", "del", "dev", spec["to"], "altname", name)
    for name in altnames:
        if name not in links.read_links()[spec["to"]]["altnames"]:
            programs.run("ip", "link", "property", "add", "dev", spec["to"], "altname", name)
    return how


def undo_files(folder: Path, spec: Json) -> str:
    """Restore recorded files, move keyfiles of `uuids` that did not exist before aside, and have the files read again.

    A failure, on one of several file systems, does not stop the rest. Raises HostError with all failures at the end.
    """
    before = files.read_json(folder / "snapshot.json")
    records = {r["path"]: r for r in before["files"]}
    uuids = spec.get("uuids", [])
    changed: list[str] = []
    aside: list[str] = []
    failures: list[str] = []
    for path in networkmanager.find_keyfiles(uuids):
        if path not in records:
            with errors.collect_failure(failures, path):
                new_path = files.move_aside(path, folder / files.ASIDE_FOLDER)
                aside.append(f"{path} did not exist before, moved to {new_path.removeprefix(f'{folder}/')}")
    # all recorded keyfiles: one that was deleted names no UUID
    keyfiles = [path for path in records if uuids and path.startswith(networkmanager.PROFILE_FOLDERS)]
    for path in dict.fromkeys([*spec.get("paths", []), *keyfiles]):
        with errors.collect_failure(failures, path):
            if restore_file_or_load(records[path]):
                changed.append(path)
    _reload(changed, bool(uuids), failures)
    result = "; ".join([f"{len(changed)} restored", *aside])
    if failures:
        raise HostError("; ".join([*failures, result]))
    return result


def _reload(changed: list[str], keyfiles: bool, failures: list[str]) -> None:
    """Have changed files read again; keyfiles always, because an earlier try may have restored them and then failed."""
    if keyfiles and networkmanager.is_running():  # otherwise it reads them when it starts
        with errors.collect_failure(failures, "keyfiles"):
            programs.run("nmcli", "connection", "reload")
    if any("/systemd/network/" in path or path.startswith(files.RULES_FOLDER) for path in changed):
        with errors.collect_failure(failures, "udev's files"):
            programs.run("udevadm", "control", "--reload")
    if any("/NetworkManager/conf.d/" in path for path in changed) and networkmanager.is_running():
        with errors.collect_failure(failures, "NetworkManager's configuration"):
            networkmanager.reload_settings()


def undo_unbind_name(folder: Path, spec: Json) -> str:
    """Remove the interface name from a profile, in memory, because its NIC is renamed next."""
    if spec["uuid"] not in {p["uuid"] for p in networkmanager.list_profiles()}:
        return "the profile does not exist"
    programs.run("nmcli", "connection", "modify", "--temporary", "uuid", spec["uuid"], "connection.interface-name", "")
    return "unbound"


def undo_zone(folder: Path, spec: Json) -> str:
    """Bind an interface to the firewalld zone that it had, or to none."""
    if not firewalld.is_running():
        return "firewalld is not running"
    now, was = firewalld.read_zone(spec["interface"]), spec["zone"]
    if was and now != was:
        firewalld.call("changeZoneOfInterface", was, spec["interface"])
    elif now and not was:
        firewalld.call("removeInterface", now, spec["interface"])
    return was or "none"


def undo_zones(folder: Path, spec: Json) -> str:
    """Bind interfaces to the firewalld zones that they had (name -> zone or None).

    firewalld is asked once: one call for each of sixty interfaces takes half a minute. A missing interface that was in
    the default zone is left out, because NetworkManager binds it when it is created.
    """
    if not firewalld.is_running():
        return "firewalld is not running"
    existing, default = links.read_links(), firewalld.call("getDefaultZone", interface=firewalld.BUS_NAME)
    wanted = {name: zone for name, zone in spec["zones"].items() if not zone or zone != default or name in existing}
    return ", ".join(firewalld.bind_zones(wanted)) or "unchanged"


def undo_bond_option(folder: Path, spec: Json) -> str:
    """Restore an option of a bond."""
    return links.set_bond_option(spec["interface"], spec["option"], spec["value"])


def undo_hostname(folder: Path, spec: Json) -> str:
    """Restore the static hostname and the kernel's hostname; return the latter. /etc/hostname is restored afterwards.

    A host without a static hostname has one from another source, such as DHCP (`running`).
    """
    running = str(spec["name"] or spec.get("running") or "localhost")
    with contextlib.suppress(HostError):  # early at boot systemd-hostnamed is not available
        programs.run("hostnamectl", "set-hostname", "--static", "--transient", "--", spec["name"])
        if not spec["name"]:
            programs.run("hostnamectl", "set-hostname", "--transient", "--", running)
    kernel_file = Path(snapshot.KERNEL_HOSTNAME_FILE)
    if kernel_file.read_text(encoding="utf-8").strip() != running:
        kernel_file.write_text(running, encoding="utf-8")
    return running


def undo_global_dns(folder: Path, spec: Json) -> str:
    """Restore NetworkManager's global name servers."""
    return restore.restore_global_dns(files.read_json(folder / "snapshot.json"))


def undo_multicast(folder: Path, spec: Json) -> str:
    """Let the macvtaps over the base interfaces (`bases`) receive all multicast frames only if they did so before.

    Macvtaps that were created since, and those with the MAC addresses in `exempt`, are left alone.
    """
    before = files.read_json(folder / "snapshot.json").get("macvtaps", {})

    def find_changed() -> dict[str, bool]:
        return {
            name: before[name]["allmulticast"]
            for name, now in links.read_macvtaps().items()
            if now["over"] in spec["bases"]
            and now["address"] not in spec["exempt"]
            and before.get(name, {}).get("index") == now["index"]
            and before[name]["allmulticast"] != now["allmulticast"]
        }

    changed = find_changed()
    for name, was_on in changed.items():
        with contextlib.suppress(HostError):  # its guest has just stopped
            links.set_all_multicast(name, was_on)
    if remaining := find_changed():
        raise HostError(f"all-multicast not restored: {', '.join(remaining)}")
    return f"{len(changed)} restored"


def undo_loopback(folder: Path, spec: Json) -> str:
    """Restore the loopback interface: its addresses, and of the new ones remove only `addresses`."""
    restored = restore.restore_loopback(files.read_json(folder / "snapshot.json"), spec["addresses"])
    return f"restored {', '.join(restored)}" if restored else "unchanged"


def undo_ports(folder: Path, spec: Json) -> str:
    """Attach the taps of guests that lost their bridge in the trial."""
    return ", ".join(restore.restore_guest_ports(files.read_json(folder / "snapshot.json"))) or "no port was missing"


UNDO: dict[str, Callable[[Path, Json], str]] = {
    operations.UNDO_PORTS.name: undo_ports,
    operations.UNDO_CHECKPOINT.name: checkpoint.undo_checkpoint,
    operations.UNDO_COPY.name: undo_copy,
    operations.UNDO_PROFILE.name: undo_profile,
    operations.UNDO_PROFILES.name: undo_profiles,
    operations.UNDO_LINKS.name: undo_links,
    operations.UNDO_RENAME.name: undo_rename,
    operations.UNDO_FILES.name: undo_files,
    operations.UNDO_UNBIND_NAME.name: undo_unbind_name,
    operations.UNDO_ZONE.name: undo_zone,
    operations.UNDO_ZONES.name: undo_zones,
    operations.UNDO_BOND_OPTION.name: undo_bond_option,
    operations.UNDO_HOSTNAME.name: undo_hostname,
    operations.UNDO_GLOBAL_DNS.name: undo_global_dns,
    operations.UNDO_MULTICAST.name: undo_multicast,
    operations.UNDO_LOOPBACK.name: undo_loopback,
}

#: The kinds of undo that also run at boot, before NetworkManager starts.
AT_BOOT = tuple(kind.name for kind in operations.UNDO_KINDS.values() if kind.runs_before_networkmanager)
