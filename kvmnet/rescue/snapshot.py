"""Takes the snapshot: the state of the host before a transaction, as far as the transaction may change it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Optional

from kvmnet.rescue import whole_host
from kvmnet.system import files, firewalld, links, networkmanager
from kvmnet.system.links import Kernel
from kvmnet.system.types import Json

#: The file with the kernel's hostname (proc_sys_kernel(5)).
KERNEL_HOSTNAME_FILE = "/proc/sys/kernel/hostname"


def take_snapshot(
    names: list[str],
    macs: list[str],
    uuids: list[str],
    written_files: list[str],
    lost: tuple[str, ...] = (),
    virtual: Collection[str] = (),
) -> Json:
    """Return the snapshot for a transaction, taken before its first step. Raises HostError and OSError.

    `names`: every interface name that exists before or after the change; `macs`: the permanent MAC addresses of the
    NICs; `uuids`: connection profiles that may be changed; `written_files`: further files that may be written; `lost`:
    taps and macvtaps of guests that may be disconnected; `virtual`: addresses that another service moves between hosts
    (without prefix).
    """
    kernel = links.read_kernel(virtual)
    state = read_host_state(sorted(names), sorted(m.lower() for m in macs), sorted(uuids), kernel)
    # also the files that NetworkManager reports: a keyfile may contain no UUID
    reported = [p["file"] for p in state["profiles"] if p["file"].startswith(networkmanager.PROFILE_FOLDERS)]
    keyfiles = {*reported, *networkmanager.find_keyfiles(uuids)} - {networkmanager.LOOPBACK_KEYFILE}
    paths = sorted({*written_files, *keyfiles})
    return {
        "names": sorted(names),
        "macs": sorted(m.lower() for m in macs),
        "uuids": sorted(uuids),
        "files": [files.record_file(path) for path in paths],
        "guests": _select_guest_ports(names, lost, kernel),
        "intern": files.record_file(networkmanager.INTERN_FILE),
        "above": links.read_upper_devices(names, kernel.links),
        "host": whole_host.read_whole_host(kernel),
        "macvtaps": links.read_macvtaps(kernel.links),
        "virtual": sorted(virtual),
        **state,
    }


def _select_guest_ports(names: list[str], lost: tuple[str, ...], kernel: Kernel) -> Json:
    """Return the guests' devices on the transaction's interfaces: every port that the transaction does not name. A NIC,
    bond or VLAN whose connection profile on disk makes it a port is no guest's: whether it stays a port is
    NetworkManager's."""
    ports = {
        name: port
        for name, port in links.read_guest_ports(kernel.links).items()
        if name in lost or (name not in names and port["of"] in names)
    }
    if any(port["kind"] == "port" for port in ports.values()):
        on_disk = networkmanager.PROFILE_FOLDERS[0]
        managed = {p["device"] for p in networkmanager.list_profiles() if p["file"].startswith(on_disk)}
        ports = {name: port for name, port in ports.items() if port["kind"] != "port" or name not in managed}
    return ports


def read_current_state(before: Json) -> Json:
    """Return the live part of the host now, to compare it with a snapshot. Raises HostError."""
    return read_host_state(before["names"], before["macs"], before["uuids"], None, before.get("virtual", ()))


def read_host_state(
    names: list[str],
    macs: list[str],
    uuids: list[str],
    kernel: Optional[Kernel] = None,
    virtual: Collection[str] = (),
) -> Json:
    """Return the live part of a snapshot; after a rollback it is read again and compared. Raises HostError.

    `kernel` is a reading of the kernel; without it, it is read without the addresses `virtual`.
    """
    kernel = links.read_kernel(virtual) if kernel is None else kernel
    our_links = {n: link for n, link in links.read_links(kernel.links).items() if n in names or link["mac"] in macs}
    zones = firewalld.read_zones() if firewalld.is_running() else None
    return {
        "links": our_links,
        "addresses": {n: a for n, a in links.read_addresses(kernel.addresses).items() if n in our_links},
        "routes": [r for r in kernel.routes if r["dev"] in names],
        "zones": {n: zones.get(n) for n in names} if zones is not None else None,
        "profiles": [
            p
            for p in networkmanager.list_profiles()
            if (p["uuid"] in uuids or p["device"] in our_links) and p["file"] != networkmanager.LOOPBACK_KEYFILE
        ],
        "dns": {n: servers for n, servers in networkmanager.read_name_servers().items() if n in our_links},
        "global dns": networkmanager.read_global_dns(),
    }


def adapt_snapshot_to_boot(before: Json, renamed_macs: set[str]) -> Json:
    """Return the snapshot as it can be expected after a boot, without the state that was in memory only.

    udev sets the altnames at boot, from the `.link` files; those of renamed NICs were restored by the rollback. A boot
    activates profiles that had been deactivated (`nmcli connection down`). A profile in memory is now either
    NetworkManager's own or one that the rollback restored. Raises HostError.
    """
    current_links = links.read_links()
    active = {p["uuid"]: p["device"] for p in networkmanager.list_profiles()}
    expected_links = {
        name: link if link["mac"] in renamed_macs else {**link, "altnames": current_links.get(name, link)["altnames"]}
        for name, link in before["links"].items()
    }
    # whether an interface of another tool comes back at boot is that tool's
    host = {"host": {**before["host"], "links": {}}} if "host" in before else {}
    return {
        **before,
        **host,
        "on disk": True,
        "guests": {},  # they stopped with the host
        "links": expected_links,
        "files": [r for r in before["files"] if not r["path"].startswith("/run/")],
        "profiles": [
            {**p, "device": p["device"] or active.get(p["uuid"])}
            for p in before["profiles"]
            if not p["file"].startswith("/run/")
        ],
    }


def select_given_up_macvtaps(before: Json, lost: list[str]) -> Json:
    """Return the macvtaps of guests that the change was allowed to disconnect.

    A guest cannot get back the device that it had open. The loss is reported, and does not keep the transaction open.
    """
    return {n: port for n, port in before.get("guests", {}).items() if n in lost and port["kind"] == "macvtap"}
