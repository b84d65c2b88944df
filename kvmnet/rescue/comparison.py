"""Compares the host with a snapshot: one line of text for each difference."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Callable, Optional

from kvmnet.rescue import difference_text, snapshot, whole_host
from kvmnet.system import bridge_ports, files, links, networkmanager
from kvmnet.system.errors import EXPECTED_ERRORS
from kvmnet.system.types import Json


def read_only_differences(before: Json) -> list[str]:
    """Return the files that differ from the snapshot and are on a read-only file system."""
    differences = []
    for record in before.get("files", []):
        folder = next(parent for parent in Path(record["path"]).parents if parent.is_dir())
        with contextlib.suppress(OSError):
            if files.is_read_only(folder) and files.record_file(record["path"]) != record:
                differences.append(f"file {record['path']}: differs, and its file system is read-only")
    return differences


#: The parts of a snapshot, in the order of their differences, and what words the differences of each.
_PARTS: dict[str, Callable[[Any, Any], list[str]]] = {
    "links": difference_text.compare_links,
    "addresses": difference_text.compare_addresses,
    "routes": difference_text.compare_routes,
    "zones": difference_text.compare_zones,
    "profiles": difference_text.compare_profiles,
    "dns": difference_text.compare_name_servers,
    "global dns": difference_text.compare_global_dns,
}


def find_differences(before: Json) -> list[str]:
    """Return how the host differs from the snapshot, one sentence each; empty when it is as before."""
    differences: list[str] = []
    try:
        differences += find_file_differences(before)
        kernel = links.read_kernel(before.get("virtual", ()))
        after = snapshot.read_host_state(before["names"], before["macs"], before["uuids"], kernel)
        differences += find_guest_differences(before, kernel.links)
        differences += whole_host.find_own_differences(before, kernel)
        if before.get("on disk"):
            after["profiles"] = [p for p in after["profiles"] if not p["file"].startswith("/run/")]
            differences = [line for line in differences if not line.startswith("file /run/")]
    except EXPECTED_ERRORS as error:
        return [*differences, f"the host cannot be read: {str(error) or repr(error)}"]
    before = {**before, "routes": without_shared_networks(before, before)} if "routes" in before else before
    after["routes"] = without_shared_networks(before, after)
    for part, compare in _PARTS.items():
        if part in before and before[part] != after[part]:
            differences += compare(before[part], after[part])
    return differences


def without_shared_networks(before: Json, state: Json) -> list[Json]:
    """Return the routes of a state, or of the snapshot itself, that do not come and go with a virtual address."""
    return links.leave_out_shared_networks(state["routes"], before.get("addresses", {}), before.get("virtual", ()))


def find_guest_differences(before: Json, rows: Optional[list[Json]] = None) -> list[str]:
    """Return the guests' ports that have lost their bridge or are not as they were, and the macvtaps that were removed
    with their base interface. `rows` are those of links.read_ip_links.

    A tap that does not exist any more was removed by libvirt with its guest, and one with another controller was moved
    by another tool: neither is an effect of the change. Raises HostError.
    """
    if not before.get("guests"):
        return []
    rows = links.read_ip_links() if rows is None else rows
    by_name = {row["ifname"]: row for row in rows}
    ports = bridge_ports.read_ports(rows, before["guests"])
    differences = []
    for name, was in before["guests"].items():
        now, base = by_name.get(name, {}), by_name.get(was["of"], {})
        is_same = now.get("ifindex") == was["index"]
        if was["kind"] != "macvtap":
            if is_same and now.get("master") in (None, was.get("from")):
                differences.append(f"{name} is not a port of {was['of']}")
            elif is_same and ports.get(name, {}).get("of") == was["of"]:
                differences += difference_text.compare_port(name, was, ports[name])
            continue
        is_recreated = now.get("link") == was["of"]  # its guest was restarted
        if not (is_same or is_recreated) and base.get("ifindex", was["of_index"]) != was["of_index"]:
            differences.append(f"{name} was removed when {was['of']} was recreated: restart its guest")
    return differences


def find_file_differences(before: Json) -> list[str]:
    """Return how the files differ from the snapshot."""
    differences = []
    for record in before["files"]:
        try:
            now = files.record_file(record["path"])
        except OSError as error:
            differences.append(f"file {record['path']}: cannot be read: {error}")
            continue
        if now != record:
            differences.append(f"file {record['path']}: {_describe_file_difference(record, now)}")
    known = {networkmanager.LOOPBACK_KEYFILE, *(r["path"] for r in before["files"])}
    new = [path for path in networkmanager.find_keyfiles(before["uuids"]) if path not in known]
    return [*differences, *(f"file {path}: did not exist before" for path in new)]


def _describe_file_difference(was: Json, now: Json) -> str:
    if now.get("absent"):
        return "no longer exists"
    if was.get("absent"):
        return "did not exist before"
    return "differs in " + ", ".join(k for k in ("data", "mode", "owner", "label", "link") if was.get(k) != now.get(k))
