"""What each step does. Its undo is in kvmnet/rescue/undo.py, which needs nothing of this."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Optional

from kvmnet.core.base.probe import Probe
from kvmnet.host.networkmanager_dbus import NetworkManager, NMError, Settings
from kvmnet.host.nmstate import Backend, NmstateError
from kvmnet.host.probing import ask
from kvmnet.rescue import checkpoint, comparison, restore, undo
from kvmnet.system import clock, files, firewalld, links, networkmanager, programs, state_folder
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json
from kvmnet.transaction.readback import late, missing, unknown_servers, wrong_zones
from kvmnet.transaction.step import Step

#: NetworkManager's numbers for what nmstate calls a macvtap's mode (NMSettingMacvlanMode)
MACVLAN_MODES = {"vepa": 1, "bridge": 2, "private": 3, "passthru": 4}


#: How a NIC was renamed whose kernel renames none that is up (rescue.rename)
DOWN_UP = "down-up"


class StepFailed(Exception):
    """A step did not do what it should: the transaction is undone."""


@dataclass(frozen=True)
class Context:
    """What the steps work with. `folder` is the open transaction's."""

    folder: Path
    backend: Backend
    manager: NetworkManager
    carriers: Mapping[str, int] = field(default_factory=dict)
    taken_down: set[str] = field(default_factory=set)

    def links_went_down(self) -> bool:
        """Whether we took a NIC down, or the kernel has counted a change of one's carrier since the beginning."""
        return bool(self.taken_down) or any(self.carriers.get(i, n) != n for i, n in carriers().items())


def carriers() -> dict[str, int]:
    """How often each NIC's carrier has changed, by the NIC's index, which a renaming does not alter."""
    found = {}
    for link in Path("/sys/class/net").glob("*/device"):
        with contextlib.suppress(OSError, ValueError):
            index, changes = ((link.parent / name).read_text("ascii") for name in ("ifindex", "carrier_changes"))
            found[index.strip()] = int(changes)
    return found


def write_files(context: Context, step: Step) -> str:
    """Write some files, then remove some; mode 0644, as udev and a reader of the bundle need them."""
    for path, text in step["files"].items():
        files.write_file(path, text.encode())
    for path in step.get("remove", []):
        files.remove_file(path)
    if step.get("reload") == "udev":
        programs.run("udevadm", "control", "--reload")
    if step.get("reload") == "NetworkManager":
        networkmanager.reload_settings()
    return f"{len(step['files'])} written"


def check_links(context: Context, step: Step) -> str:
    """udev takes the first .link file that matches (systemd.link(5)): it must be ours."""
    for mac, file in step["macs"].items():
        nic = links.find_nic(mac)
        said = programs.run("udevadm", "test-builtin", "net_setup_link", f"/sys/class/net/{nic}")
        wins = [line.partition("=")[2] for line in said.splitlines() if line.startswith("ID_NET_LINK_FILE=")]
        if not wins or Path(wins[0]).name != file:
            raise StepFailed(f"udev names {nic} by {wins[0] if wins else 'no file'}, not by our {file}")
    return "ours"


def rebind(context: Context, step: Step) -> str:
    """Bind a profile to its NIC's MAC, in memory: it serves the NIC under either name then."""
    mac = bytes(int(part, 16) for part in step["mac"].split(":"))
    context.manager.change_in_memory(
        step["uuid"],
        {
            "connection": {"id": ("s", step["id"]), "interface-name": None},
            "802-3-ethernet": {"mac-address": ("ay", mac)},
        },
    )
    held = context.manager.profile_file(step["uuid"])
    if held:  # for the keeping: the same profile as NetworkManager writes it
        text = without_meta(Path(held).read_text(encoding="utf-8", errors="surrogateescape"))
        data = text.encode(errors="surrogateescape")
        files.write_file(str(context.folder / f"{step['uuid']}{state_folder.REBOUND_SUFFIX}"), data, 0o600)
    return held


def bind_name(context: Context, step: Step) -> str:
    """Bind a profile to an interface's name, in memory, beside what it is bound to."""
    context.manager.change_in_memory(step["uuid"], {"connection": {"interface-name": ("s", step["interface"])}})
    return str(step["interface"])


def without_meta(text: str) -> str:
    """A keyfile without the group in which NetworkManager notes what a file under /run stands in for."""
    kept, skip = [], False
    for line in text.splitlines(keepends=True):
        if line.startswith("["):
            skip = line.strip() == "[.nmmeta]"
        if not skip:
            kept.append(line)
    return "".join(kept).rstrip("\n") + "\n"


def zone(context: Context, step: Step) -> str:
    """Bind an interface name to a zone in firewalld's running configuration; the name need not exist yet."""
    firewalld.call("changeZoneOfInterface", step["zone"], step["interface"])
    now = firewalld.read_zone(step["interface"])
    if now != step["zone"]:
        raise StepFailed(f"firewalld has {step['interface']} in zone {now or 'none'}, not {step['zone']}")
    return str(step["zone"])


def unbind_zone(context: Context, step: Step) -> str:
    """Take a name out of whatever zone it is in."""
    was = firewalld.read_zone(step["interface"])
    if was:
        firewalld.call("removeInterface", was, step["interface"])
    return was or "none"


def rename(context: Context, step: Step) -> str:
    """Rename the NIC; then NetworkManager must have it up again under the new name."""
    how = links.rename_nic(step["mac"], step["to"], tuple(step["free"]))
    if links.find_nic(step["mac"]) != step["to"]:
        raise StepFailed(f"the NIC {step['mac']} is still named {links.find_nic(step['mac'])}")
    if how == DOWN_UP:
        context.taken_down.add(step["mac"])
    if step["active"] and not clock.wait_until(lambda: context.manager.activated(step["to"]), 50, 0.02):
        raise StepFailed(f"NetworkManager did not bring {step['to']} up within 50 s of its renaming")
    return how


def clear(context: Context, step: Step) -> str:
    """What is in the way of names to come goes, in memory; its checkpoint ends here, since the next is over the same
    devices. NetworkManager may need a moment to remove a device."""
    apply(context, step)
    if not clock.wait_until(lambda: not missing(step["expect"]), 15):
        raise StepFailed("there is no room: " + "; ".join(missing(step["expect"])))
    return commit(context, step)


def drop_options(context: Context, step: Step) -> str:
    """Take options out of a bond's profile, in memory."""
    context.manager.drop_in_memory(step["uuid"], "bond", "options", step["options"])
    return ", ".join(step["options"])


def bond_option(context: Context, step: Step) -> str:
    """Set an option of a bond that runs."""
    return links.set_bond_option(step["interface"], step["option"], step["value"])


def seed(context: Context, step: Step) -> str:
    """Give nmstate profiles to find (see compile)."""
    context.manager.add_in_memory([_profile(row) for row in step["profiles"]])
    return f"{len(step['profiles'])} made"


def _profile(row: Step) -> Settings:
    """A profile that says little more than whose it is: the rest is nmstate's."""
    settings: Settings = {
        "connection": {
            "id": ("s", row["interface"]),
            "uuid": ("s", row["uuid"]),
            "type": ("s", row["type"]),
            "interface-name": ("s", row["interface"]),
            "autoconnect": ("b", False),
            "zone": ("s", row["zone"]),
        },
        "ipv4": {"method": ("s", "disabled")},
        "ipv6": {"method": ("s", "disabled")},
    }
    if row["type"] == "bridge":
        settings["bridge"] = {"stp": ("b", False)}
    if row["type"] == "vlan":
        settings["vlan"] = {"id": ("u", row["over"]["id"]), "parent": ("s", row["over"]["base-iface"])}
    if row["type"] == "macvlan":
        mode = MACVLAN_MODES[row["over"]["mode"]]
        parent = row["over"]["base-iface"]
        settings["macvlan"] = {"parent": ("s", parent), "mode": ("u", mode), "tap": ("b", True)}
    if row["type"] == "802-3-ethernet":
        settings["802-3-ethernet"] = {}
    if row["type"] == "bond":
        settings["bond"] = {}
    return settings


def apply(context: Context, step: Step) -> str:
    """The trial: in memory, uncommitted; NetworkManager undoes it by itself when nobody commits."""
    log = context.folder / step["log"]
    log.touch(mode=0o600)
    context.backend.apply(step["state"], step["timeout"], log, verify=step.get("verify", False))
    with contextlib.suppress(HostError):  # a guest that stops in this moment; reading back tells
        restore.restore_guest_ports(_guests(context))
    path = _checkpoint(context, log)
    if path is None:
        raise StepFailed("NetworkManager does not hold the checkpoint of the trial")
    note = {"path": path, "created": context.manager.created(path)}
    files.write_file(str(checkpoint.checkpoint_note_file(log)), json.dumps(note).encode(), 0o600)
    return path


def associations(context: Context, step: Step) -> str:
    """Give profiles that nmstate has made ask DHCPv6 with an IAID from the MAC the IAID that is to be, in memory, and
    have their devices ask anew."""
    profiles = context.manager.active(step["interfaces"])
    changed = []
    for name, iaid in step["interfaces"].items():
        if name not in profiles:
            raise StepFailed(f"no active connection profile has {name}")
        if context.manager.value(profiles[name], "ipv6", "dhcp-iaid") == "mac":
            context.manager.change_in_memory(profiles[name], {"ipv6": {"dhcp-iaid": ("s", iaid)}})
            context.manager.reapply(name)
            changed.append(f"{name} {iaid}")
    return ", ".join(changed) or "none by the MAC"


def _checkpoint(context: Context, log: Path) -> Optional[str]:
    """The trial's checkpoint, if NetworkManager still has it: not one of the same path that another tool made of a
    NetworkManager which was started anew since."""
    made = checkpoint.checkpoints_in_log(log)[-1:]
    if not made or made[0] not in context.manager.checkpoints():
        return None
    note = files.read_json(checkpoint.checkpoint_note_file(log))
    return made[0] if not note or context.manager.created(made[0]) == note["created"] else None


def read_back(context: Context, step: Step) -> str:
    """The kernel must show what was asked for, and guests' taps as ports of what stays; NetworkManager must have
    brought up what it was sent. Addresses and ports may take a moment, of many interfaces more than one: NetworkManager
    is asked of one device until that is up, then of all, and of some of those that were not up, since the processor is
    what it needs itself."""
    before = _guests(context)
    waited_for, number = list(step["sent"]), 1

    def not_up() -> list[str]:
        nonlocal waited_for, number
        waited_for, number = late(context.manager, step["sent"]), number * 4
        return [f"NetworkManager has not brought {name} up" for name in waited_for]

    def lacking() -> list[str]:
        return missing(step["expect"]) + comparison.guest_differences(before)

    def left() -> list[str]:
        try:
            found = not_up() or lacking() or wrong_zones(step.get("zones", {}))
        except NMError as error:
            return [str(error)]
        return found or unknown_servers(context.manager, step["dns"])

    def came_up() -> bool:
        with contextlib.suppress(HostError):
            restore.restore_guest_ports(before)
        with contextlib.suppress(NMError):
            return not late(context.manager, waited_for[:number])
        return False

    patience = 10 + len(step["expect"]) / 2
    if not clock.wait_until(lambda: came_up() and not left(), patience):
        raise StepFailed("what was applied is not there: " + "; ".join(lacking() or left()))
    guests = f", {len(before['guests'])} guests' ports as before" if before["guests"] else ""
    return f"{len(step['expect'])} interfaces as defined{guests}"


def _guests(context: Context) -> Json:
    """The taps and macvtaps of the snapshot, less those of guests that a person gave up."""
    lost = files.read_json(context.folder / "transaction.json").get("lost", [])
    ports = files.read_json(context.folder / "snapshot.json").get("guests", {})
    return {"guests": {name: port for name, port in ports.items() if name not in lost}}


def probe(context: Context, step: Step) -> str:
    """Whoever must answer is asked again and again, since a link may need a moment; one that went down much longer."""
    probes = [Probe.from_json(row) for row in step["targets"]]
    answered = ask(probes, step["patience"] if context.links_went_down() else step["seconds"])
    silent = [p.text for p in probes if p not in answered]
    if silent:
        raise StepFailed(f"no answer from {', '.join(silent)} after the change")
    return ", ".join(p.text for p in probes) + " answered"


def confirm(context: Context, step: Step) -> str:
    """`kvmnet confirm` leaves a file beside the journal; whether its caller may is judged there."""
    file = context.folder / "confirmed.json"
    if not clock.wait_until(file.exists, step["seconds"]):
        raise StepFailed(f"nobody confirmed within {step['seconds']} s")
    return str(files.read_json(file).get("by", ""))


def give_back(context: Context, step: Step) -> str:
    """What an undo does, from the snapshot of the machine before kvmnet that lies beside the journal."""
    before = context.folder / "original"
    told = [undo.UNDO[spec["op"]](before, spec) for spec in step["specs"]]
    context.taken_down.update(spec["mac"] for spec, how in zip(step["specs"], told) if how == DOWN_UP)
    return "; ".join(told)


def activate(context: Context, step: Step) -> str:
    """Activate profiles that are not: by name of the device -> UUID. One that stands on another, a VLAN on a bond,
    fails before that one is there: it is tried again as long as any other succeeds. A profile that was active all the
    time (`again`) is not applied by being read again; where a person has activated another since, that is not the one
    to be applied."""
    todo, again = dict(step["profiles"]), set(step["again"])

    def is_active(name: str, uuid: str) -> bool:
        return context.manager.activated(name) and context.manager.active([name]).get(name) == uuid

    for name in [name for name, uuid in todo.items() if name in again and is_active(name, uuid)]:
        with contextlib.suppress(HostError):  # it may need more than that
            programs.run("nmcli", "-w", "30", "device", "reapply", name, timeout=40)
            del todo[name]
    while todo:
        failures = {}
        for name, uuid in todo.items():
            if name not in again and clock.wait_until(partial(is_active, name, uuid), 0.3):
                continue
            # a virtual device that is gone comes with its profile, and cannot be named before
            place = ["ifname", name] if name in links.read_links() else []
            try:
                programs.run("nmcli", "-w", "60", "connection", "up", "uuid", uuid, *place, timeout=70)
            except HostError as error:
                failures[name] = error
        if len(failures) == len(todo):
            raise StepFailed("; ".join(str(error) for error in failures.values()))
        todo = {name: todo[name] for name in failures}
    return ", ".join(step["profiles"])


def as_before(context: Context, step: Step) -> str:
    """Links (names, altnames, controllers, MTU, …) and files must be those from before kvmnet, and no keyfile left of
    the profiles that kvmnet made: the next boot would bring up what they say. Addresses are not compared: the profile
    that gives them is, byte for byte, and the probes ask whether they serve."""
    before = files.read_json(context.folder / "original" / "snapshot.json")

    def left() -> list[str]:
        restore.restore_macs(before)
        restore.restore_link_settings(before)
        links_now = links.read_links()
        unlike = [
            f"{name}: was {was}, is {links_now.get(name)}"
            for name, was in before["links"].items()
            if _unlike(links_now.get(name), was)
        ]
        made = [
            f"file {path}: kvmnet made it, and it is still there" for path in networkmanager.find_keyfiles(step["gone"])
        ]
        return comparison.file_differences(before) + unlike + made

    if not clock.wait_until(lambda: not left(), restore.SETTLE_SECONDS, 0.5):
        raise StepFailed("the machine is not as before kvmnet: " + "; ".join(left()))
    return f"{len(before['links'])} NICs, {len(before['files'])} files as before"


def _unlike(link: Optional[Json], was: Json) -> bool:
    """Whether a link differs in what an earlier kvmnet noted of it."""
    return link is None or any(link.get(key) != value for key, value in was.items())


def commit(context: Context, step: Step) -> str:
    """Keep the trial; its checkpoint must still be there, else NetworkManager has undone it already."""
    path = _checkpoint(context, context.folder / step["log"])
    if path is None:
        raise StepFailed(
            "the trial's checkpoint is gone: its time was over and NetworkManager has undone it, or NetworkManager was "
            "started anew"
        )
    context.manager.destroy_checkpoint(path)
    return path


def write_profile(context: Context, step: Step) -> str:
    """Bind the NIC's profile to its MAC on disk as well, behind NetworkManager's back (it holds its own in
    memory): from here on a power cut finds a profile that serves the NIC under either name."""
    text = (context.folder / f"{step['uuid']}{state_folder.REBOUND_SUFFIX}").read_bytes()
    record = files.record_file(step["path"])
    files.write_file(step["path"], text, record["mode"], (record["owner"][0], record["owner"][1]))
    return str(step["path"])


def hostname(context: Context, step: Step) -> str:
    """Set the static hostname (hostnamed writes /etc/hostname)."""
    programs.run("hostnamectl", "set-hostname", "--static", "--transient", step["name"])
    if os.uname().nodename != step["name"]:
        raise StepFailed(f"the hostname is {os.uname().nodename}, not {step['name']}")
    files.sync_files(["/etc/hostname"])
    return str(step["name"])


def save(context: Context, step: Step) -> str:
    """Move the profiles from memory to disk, without touching a device (Save()), one kind after the other; of those
    that `perhaps` were changed the ones that are in memory.

    NetworkManager does not sync what it writes: without ours a power cut within seconds loses it (seen in
    both generations, NetworkManager 1.42 and 1.52).
    """
    profiles = context.manager.active([name for kind in step["interfaces"] for name in kind])
    perhaps = [name for name in step["perhaps"] if name in profiles]
    held = dict(zip(perhaps, context.manager.files([profiles[name] for name in perhaps])))
    unchanged = {name for name in step["perhaps"] if not in_memory(held.get(name, ""))}
    written: list[str] = []
    for kind in step["interfaces"]:
        names = [name for name in kind if name not in unchanged]
        if lacking := [name for name in names if name not in profiles]:
            raise StepFailed(f"no active connection profile has {', '.join(lacking)}")
        saved = context.manager.save([profiles[name] for name in names])
        for name, file in zip(names, saved):
            if in_memory(file):
                raise StepFailed(f"NetworkManager did not write the profile of {name} to disk")
            if not file.startswith(networkmanager.PROFILE_FOLDERS):
                raise StepFailed(f"NetworkManager wrote the profile of {name} to {file}: none of its keyfiles")
        files.sync_files(saved)
        written += saved
    return ", ".join(written)


def stay_down(context: Context, step: Step) -> str:
    """Have profiles that are not active start by themselves no more, on disk."""
    for uuid in step["uuids"]:
        context.manager.change_in_memory(uuid, {"connection": {"autoconnect": ("b", False)}})
    saved = context.manager.save(step["uuids"])
    files.sync_files(saved)
    return ", ".join(saved)


def in_memory(file: str) -> bool:
    """Whether a profile that this file holds is gone with the next boot."""
    return file.startswith("/run/")


def forget(context: Context, step: Step) -> str:
    """Delete the profiles of what left the definition; their interfaces are gone already."""
    for uuid in step["uuids"]:
        file = context.manager.delete(uuid)
        if file:
            files.sync_folder(Path(file).parent)
    return f"{len(step['uuids'])} deleted"


DO: dict[str, Callable[[Context, Step], str]] = {
    "write files": write_files,
    "check links": check_links,
    "rebind": rebind,
    "bind name": bind_name,
    "zone": zone,
    "unbind zone": unbind_zone,
    "rename": rename,
    "clear": clear,
    "drop options": drop_options,
    "bond option": bond_option,
    "seed": seed,
    "apply": apply,
    "associations": associations,
    "read back": read_back,
    "probe": probe,
    "confirm": confirm,
    "give back": give_back,
    "activate": activate,
    "as before": as_before,
    "commit": commit,
    "write profile": write_profile,
    "hostname": hostname,
    "stay down": stay_down,
    "save": save,
    "forget": forget,
}

#: What a step may fail with; anything else is a bug of ours, and undone all the same.
ERRORS = (StepFailed, HostError, NMError, NmstateError, OSError, subprocess.SubprocessError)
