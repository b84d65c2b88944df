"""The actions of saving_steps: what is in memory is written to disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from kvmnet.system import clock, files, links, networkmanager, programs, state_folder
from kvmnet.system.errors import HostError
from kvmnet.transaction.action_context import Context, StepFailed
from kvmnet.transaction.step import Step

#: Seconds that macvtaps have until all of them receive all multicast frames.
MULTICAST_SECONDS = 5


def write_rebound_profile(context: Context, step: Step) -> str:
    """Write a profile that is bound to the NIC's MAC address to disk, without NetworkManager, which has its own version
    in memory: from now on a power cut finds a profile that serves the NIC under either name."""
    text = (context.folder / f"{step['uuid']}{state_folder.REBOUND_SUFFIX}").read_bytes()
    record = files.record_file(step["path"])
    if record.get("absent"):
        files.write_file(step["path"], text, 0o600)
    else:
        files.write_file(step["path"], text, record["mode"], (record["owner"][0], record["owner"][1]))
    return str(step["path"])


def set_hostname(context: Context, step: Step) -> str:
    """Set the static hostname (hostnamed writes /etc/hostname)."""
    programs.run("hostnamectl", "set-hostname", "--static", "--transient", "--", step["name"])
    if os.uname().nodename != step["name"]:
        raise StepFailed(f"the hostname is {os.uname().nodename}, not {step['name']}")
    files.sync_files(["/etc/hostname"])
    return str(step["name"])


def keep_down(context: Context, step: Step) -> str:
    """Turn off autoconnect in inactive profiles, on disk."""
    for uuid in step["uuids"]:
        context.manager.change_in_memory(uuid, {"connection": {"autoconnect": ("b", False)}})
    saved = context.manager.save(step["uuids"])
    files.sync_files(saved)
    return ", ".join(saved)


def save_profiles(context: Context, step: Step) -> str:
    """Write the profiles from memory to disk, group by group, without touching a device (Save()). Of the interfaces
    that `perhaps` were changed only those are saved whose profiles are in memory.

    NetworkManager does not sync what it writes: without a sync, a power cut within seconds loses it (seen with
    NetworkManager 1.42 and 1.52).
    """
    profiles = context.manager.active([name for group in step["interfaces"] for name in group])
    perhaps = [name for name in step["perhaps"] if name in profiles]
    current_files = dict(zip(perhaps, context.manager.files([profiles[name] for name in perhaps])))
    unchanged = {name for name in step["perhaps"] if not is_in_memory(current_files.get(name, ""))}
    written: list[str] = []
    for group in step["interfaces"]:
        names = [name for name in group if name not in unchanged]
        if inactive := [name for name in names if name not in profiles]:
            raise StepFailed(f"{', '.join(inactive)}: no active connection profile")
        saved = context.manager.save([profiles[name] for name in names])
        for name, file in zip(names, saved):
            if is_in_memory(file):
                raise StepFailed(f"NetworkManager did not write the connection profile of {name} to disk")
            if not file.startswith(networkmanager.PROFILE_FOLDERS):
                raise StepFailed(f"NetworkManager wrote the connection profile of {name} to {file}, not to a keyfile")
        files.sync_files(saved)
        written += saved
    return ", ".join(written)


def is_in_memory(file: str) -> bool:
    """Whether a profile in this file is lost at the next boot."""
    return file.startswith("/run/")


def delete_profiles(context: Context, step: Step) -> str:
    """Delete the profiles of interfaces that left the definition. The interfaces are removed already."""
    for uuid in step["uuids"]:
        file = context.manager.delete(uuid)
        if file:
            files.sync_folder(Path(file).parent)
    return f"{len(step['uuids'])} deleted"


def let_multicast_through(context: Context, step: Step) -> str:
    """Let the macvtaps over the host's interfaces receive all multicast frames, and read that back."""
    bases, exempt = step["bases"], step["exempt"]

    def is_complete() -> bool:
        for name in links.select_filtered_macvtaps(links.read_macvtaps(), bases, exempt):
            with contextlib.suppress(HostError):  # its guest has just stopped
                links.set_all_multicast(name, True)
        return not links.select_filtered_macvtaps(links.read_macvtaps(), bases, exempt)

    if not clock.wait_until(is_complete, MULTICAST_SECONDS):
        filtered = links.select_filtered_macvtaps(links.read_macvtaps(), bases, exempt)
        raise StepFailed(f"{', '.join(filtered)}: the kernel does not let all multicast frames through")
    return ", ".join(name for name, m in links.read_macvtaps().items() if m["over"] in bases) or "no macvtap"
