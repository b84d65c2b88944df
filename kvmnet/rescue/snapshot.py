"""The snapshot: the host as it is before a transaction, as far as the transaction may change it."""

from __future__ import annotations

from kvmnet.system import files, firewalld, links, networkmanager
from kvmnet.system.types import Json

#: The name that the kernel goes by (proc_sys_kernel(5)).
KERNEL_HOSTNAME_FILE = "/proc/sys/kernel/hostname"


def take_snapshot(
    names: list[str], macs: list[str], uuids: list[str], written_files: list[str], lost: tuple[str, ...] = ()
) -> Json:
    """What the machine is before anything is touched, as far as the transaction may touch it.

    `names`: every interface name that is there before or after; `macs`: the permanent MACs of its NICs;
    `uuids`: profiles that may be changed; `written_files`: further files that may be written; `lost`: the taps and
    macvtaps of guests that may be disconnected.
    """
    seen = read_host_state(sorted(names), sorted(m.lower() for m in macs), sorted(uuids))
    # by NetworkManager's own word too: a keyfile need not say which profile it holds
    held = {p["file"] for p in seen["profiles"] if p["file"].startswith(networkmanager.PROFILE_FOLDERS)}
    paths = sorted({*written_files, *held, *networkmanager.find_keyfiles(uuids)})
    return {
        "names": sorted(names),
        "macs": sorted(m.lower() for m in macs),
        "uuids": sorted(uuids),
        "files": [files.record_file(path) for path in paths],
        "guests": {
            name: port
            for name, port in links.read_guest_ports().items()
            if name in lost or (name not in names and port["of"] in names)
        },
        "intern": files.record_file(networkmanager.INTERN_FILE),
        "above": links.read_upper_devices(names),
        **seen,
    }


def read_host_state(names: list[str], macs: list[str], uuids: list[str]) -> Json:
    """The live half of a snapshot, and what is compared with it after an undo."""
    here = {n: link for n, link in links.read_links().items() if n in names or link["mac"] in macs}
    bound = firewalld.read_zones() if firewalld.is_running() else None
    return {
        "links": here,
        "addresses": {n: a for n, a in links.read_addresses().items() if n in here},
        "routes": [r for r in links.rank_routes(links.read_routes()) if r["dev"] in names],
        "zones": {n: bound.get(n) for n in names} if bound is not None else None,
        "profiles": [p for p in networkmanager.list_profiles() if p["uuid"] in uuids or p["device"] in here],
        "dns": {n: held for n, held in networkmanager.read_name_servers().items() if n in here},
        "global dns": networkmanager.read_global_dns(),
    }


def snapshot_after_boot(before: Json, renamed: set[str]) -> Json:
    """The snapshot without what was in memory alone: after a boot it cannot be there. So are altnames: udev gives
    them at boot, by the `.link` files; those of NICs that were `renamed` (MACs) the undo has given back. What somebody
    had taken down (`nmcli connection down`) a boot brings up; profiles in memory are NetworkManager's own, or an undo's
    that gave them back."""
    here = links.read_links()
    active = {p["uuid"]: p["device"] for p in networkmanager.list_profiles()}
    kept = {
        name: link if link["mac"] in renamed else {**link, "altnames": here.get(name, link)["altnames"]}
        for name, link in before["links"].items()
    }
    return {
        **before,
        "on disk": True,
        "guests": {},  # they stopped with the machine
        "links": kept,
        "files": [r for r in before["files"] if not r["path"].startswith("/run/")],
        "profiles": [
            {**p, "device": p["device"] or active.get(p["uuid"])}
            for p in before["profiles"]
            if not p["file"].startswith("/run/")
        ],
    }


def disconnected_macvtaps(before: Json, lost: list[str]) -> Json:
    """The macvtaps whose guests a person gave up: nothing can give a guest back the one that it had open. That it is
    gone is told, and is no reason to keep the transaction open."""
    return {n: port for n, port in before.get("guests", {}).items() if n in lost and port["kind"] == "macvtap"}
