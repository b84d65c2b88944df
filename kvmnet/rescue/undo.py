"""Undoes steps of a transaction: one function for each kind of undo, in the table UNDO."""

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
    """The same for an undo: a keyfile that a read-only disk does not take is given to NetworkManager for as long as it
    runs, ahead of the one on disk. Raises OSError then all the same."""
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
    """Delete profiles that we made (UUID -> interface), and the virtual links that they brought. All at once: a host
    of hundreds of VLANs must be back as soon as one of two."""
    made: dict[str, str] = spec["profiles"]
    held = files.read_json(folder / "snapshot.json")
    with contextlib.suppress(HostError):  # without NetworkManager the links must go all the same
        here = {p["uuid"] for p in networkmanager.list_profiles()} - {p["uuid"] for p in held.get("profiles", [])}
        there = [uuid for uuid in reversed(list(made)) if uuid in here]
        if there:
            words = [word for uuid in there for word in ("uuid", uuid)]
            programs.run("nmcli", "-w", f"{15 + len(there)}", "connection", "delete", *words, timeout=30 + len(there))
    before = held.get("links", {})
    brought = [name for name in made.values() if not before.get(name, {}).get("kind")]

    def left() -> list[str]:
        now = links.read_links()
        return [name for name in brought if now.get(name, {}).get("kind")]

    if not clock.wait_until(lambda: not left(), 5):
        for name in reversed(left()):
            with contextlib.suppress(HostError):  # it may go with the one before
                programs.run("ip", "link", "delete", "dev", name)
        if left():
            raise HostError(f"still there: {', '.join(left())}")
    return f"{len(made)} deleted"


def undo_links(folder: Path, spec: Json) -> str:
    """Take virtual links away that came by profiles which were there before, and were not active: the profiles stay."""
    before, gone = files.read_json(folder / "snapshot.json").get("links", {}), []
    for name in spec["names"]:
        if before.get(name, {}).get("kind") or not links.read_links().get(name, {}).get("kind"):
            continue
        with contextlib.suppress(HostError):  # without NetworkManager the link must go all the same
            for uuid in [p["uuid"] for p in networkmanager.list_profiles() if p["device"] == name]:
                programs.run("nmcli", "-w", "20", "connection", "down", "uuid", uuid)
        if links.read_links().get(name, {}).get("kind"):
            programs.run("ip", "link", "delete", "dev", name)
        gone.append(name)
    return f"{', '.join(gone) or 'nothing'} taken away"


def undo_profile(folder: Path, spec: Json) -> str:
    """The same for one."""
    return undo_profiles(folder, {"profiles": {spec["uuid"]: spec["interface"]}})


def undo_rename(folder: Path, spec: Json) -> str:
    """Give the NIC its old name back, and its old altnames. A temporary one only on the way: not to a NIC that has
    the name from before (`unless`) already."""
    if spec.get("unless") and links.find_nic(spec["mac"]) == spec["unless"]:
        return "already"
    how = links.rename_nic(spec["mac"], spec["to"])
    was = files.read_json(folder / "snapshot.json").get("links", {}).get(spec["to"], {})
    if was.get("up") and not links.read_links()[spec["to"]]["up"]:  # cut between its down and its up
        programs.run("ip", "link", "set", "dev", spec["to"], "up")
    with contextlib.suppress(HostError):  # udev's own renaming of things must be over before altnames are read
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
    """Give recorded files back, set keyfiles of `uuids` aside that were not there, have them read again. What fails,
    on one file system of several, keeps nothing else from it; raises Failed with all of it at the end."""
    before = files.read_json(folder / "snapshot.json")
    records = {r["path"]: r for r in before["files"]}
    uuids = spec.get("uuids", [])
    changed: list[str] = []
    aside: list[str] = []
    failed: list[str] = []
    for path in networkmanager.find_keyfiles(uuids):
        if path not in records:
            with errors.collect_failure(failed, path):
                place = files.move_aside(path, folder / files.ASIDE_FOLDER)
                aside.append(f"{path} was not there before, and is kept as {place.removeprefix(f'{folder}/')}")
    held = [
        path for path in records if uuids and path.startswith(networkmanager.PROFILE_FOLDERS)
    ]  # one that is gone names no uuid
    for path in dict.fromkeys([*spec.get("paths", []), *held]):
        with errors.collect_failure(failed, path):
            if restore_file_or_load(records[path]):
                changed.append(path)
    _reload(changed, bool(uuids), failed)
    told = "; ".join([f"{len(changed)} given back", *aside])
    if failed:
        raise HostError("; ".join([*failed, told]))
    return told


def _reload(changed: list[str], keyfiles: bool, failed: list[str]) -> None:
    """Have files read again that were given back: keyfiles in any case, as a try before this one may have given them
    back and got no further."""
    if keyfiles and networkmanager.is_running():  # else it reads them when it starts
        with errors.collect_failure(failed, "keyfiles"):
            programs.run("nmcli", "connection", "reload")
    if any("/systemd/network/" in path for path in changed):
        with errors.collect_failure(failed, ".link files"):
            programs.run("udevadm", "control", "--reload")
    if any("/NetworkManager/conf.d/" in path for path in changed) and networkmanager.is_running():
        with errors.collect_failure(failed, "NetworkManager's settings"):
            networkmanager.reload_settings()


def undo_unbind_name(folder: Path, spec: Json) -> str:
    """Take the interface's name out of a profile, in memory: the NIC is going to be renamed under it."""
    if spec["uuid"] not in {p["uuid"] for p in networkmanager.list_profiles()}:
        return "the profile is gone"
    programs.run("nmcli", "connection", "modify", "--temporary", "uuid", spec["uuid"], "connection.interface-name", "")
    return "unbound"


def undo_zone(folder: Path, spec: Json) -> str:
    """Bind an interface to the zone it had, or to none."""
    if not firewalld.is_running():
        return "firewalld does not run"
    now, was = firewalld.read_zone(spec["interface"]), spec["zone"]
    if was and now != was:
        firewalld.call("changeZoneOfInterface", was, spec["interface"])
    elif now and not was:
        firewalld.call("removeInterface", now, spec["interface"])
    return was or "none"


def undo_zones(folder: Path, spec: Json) -> str:
    """Bind many interfaces to the zones that they had (name -> zone or nothing), asking firewalld once: a call for each
    of sixty takes half a minute. What is not there, and was in the default zone, NetworkManager binds as it comes."""
    if not firewalld.is_running():
        return "firewalld does not run"
    here, default = links.read_links(), firewalld.call("getDefaultZone", interface=firewalld.BUS_NAME)
    wanted = {name: zone for name, zone in spec["zones"].items() if not zone or zone != default or name in here}
    return ", ".join(firewalld.bind_zones(wanted)) or "all as before"


def undo_bond_option(folder: Path, spec: Json) -> str:
    """Give a bond an option back."""
    return links.set_bond_option(spec["interface"], spec["option"], spec["value"])


def undo_hostname(folder: Path, spec: Json) -> str:
    """Give the machine its old static hostname, and see that the kernel has it; the file itself is given back after
    it. One that had none has a name from elsewhere, as from DHCP."""
    running = str(spec["name"] or spec.get("running") or "localhost")
    with contextlib.suppress(HostError):  # early at boot nobody answers it
        programs.run("hostnamectl", "set-hostname", "--static", "--transient", spec["name"])
        if not spec["name"]:
            programs.run("hostnamectl", "set-hostname", "--transient", running)
    kernels = Path(snapshot.KERNEL_HOSTNAME_FILE)
    if kernels.read_text(encoding="utf-8").strip() != running:
        kernels.write_text(running, encoding="utf-8")
    return running


def undo_global_dns(folder: Path, spec: Json) -> str:
    """Give NetworkManager its global name servers back, or take those away that came: while it runs by its property,
    else in its file, before it starts. Raises Failed when it does not take them."""
    return restore.restore_global_dns(files.read_json(folder / "snapshot.json"))


def undo_ports(folder: Path, spec: Json) -> str:
    """Give bridges the guests' taps back that lost them in the trial."""
    return ", ".join(restore.restore_guest_ports(files.read_json(folder / "snapshot.json"))) or "none was lost"


UNDO: dict[str, Callable[[Path, Json], str]] = {
    operations.UNDO_PORTS.name: undo_ports,
    operations.UNDO_CHECKPOINT.name: checkpoint.undo_checkpoint,
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
}

#: The kinds of undo that also run at boot, before NetworkManager starts.
AT_BOOT = tuple(kind.name for kind in operations.UNDO_KINDS.values() if kind.runs_before_networkmanager)
