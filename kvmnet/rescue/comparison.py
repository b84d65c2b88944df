"""Compares the host with a snapshot: one line of text for each difference."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from kvmnet.rescue import snapshot
from kvmnet.system import files, links, networkmanager
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


def find_differences(before: Json) -> list[str]:
    """Return how the host differs from the snapshot; empty when it is as before."""
    differences: list[str] = []
    try:
        differences += find_file_differences(before)
        after = snapshot.read_current_state(before)
        differences += find_guest_differences(before)
        if before.get("on disk"):
            after["profiles"] = [p for p in after["profiles"] if not p["file"].startswith("/run/")]
            differences = [line for line in differences if not line.startswith("file /run/")]
    except EXPECTED_ERRORS as error:
        return [*differences, f"the host cannot be read: {str(error) or repr(error)}"]
    for part in ("links", "addresses", "routes", "zones", "profiles", "dns", "global dns"):
        was, now = before.get(part), after[part]
        if was == now or part not in before:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            for key in sorted({*was, *now}):
                if was.get(key) != now.get(key):
                    differences.append(f"{part} {key}: was {_format(was.get(key))}, is {_format(now.get(key))}")
        elif isinstance(was, list) and isinstance(now, list):
            differences += [f"{part}: missing {_format(x)}" for x in was if x not in now]
            differences += [f"{part}: new {_format(x)}" for x in now if x not in was]
        else:
            differences.append(f"{part}: was {_format(was)}, is {_format(now)}")
    return differences


def find_guest_differences(before: Json) -> list[str]:
    """Return the taps that have lost their bridge, and the macvtaps that were removed with their base interface.

    A tap that does not exist any more was removed by libvirt with its guest, and one with another controller was moved
    by another tool: neither is an effect of the change. Raises HostError.
    """
    if not before.get("guests"):
        return []
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    differences = []
    for name, was in before["guests"].items():
        now, base = rows.get(name, {}), rows.get(was["of"], {})
        is_same = now.get("ifindex") == was["index"]
        if was["kind"] == "tap":
            if is_same and not now.get("master"):
                differences.append(f"guests {name}: was a port of {was['of']}, is not a port of any bridge")
            continue
        is_recreated = now.get("link") == was["of"]  # its guest was restarted
        if not (is_same or is_recreated) and base.get("ifindex", was["of_index"]) != was["of_index"]:
            differences.append(f"guests {name}: removed when {was['of']} was recreated: restart its guest")
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
    known = {r["path"] for r in before["files"]}
    new = [path for path in networkmanager.find_keyfiles(before["uuids"]) if path not in known]
    return [*differences, *(f"file {path}: did not exist before" for path in new)]


def _describe_file_difference(was: Json, now: Json) -> str:
    if now.get("absent"):
        return "no longer exists"
    if was.get("absent"):
        return "did not exist before"
    return "differs in " + ", ".join(k for k in ("data", "mode", "owner", "label", "link") if was.get(k) != now.get(k))


def _format(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if value is not None else "absent"


def is_runtime_only(difference: str) -> bool:
    """Return whether a difference is about state that only the running host had, such as an address set by hand.

    After a boot it cannot be restored, so it is only reported. A file, a NIC with another name and a profile that is
    not active are never runtime-only.
    """
    return not difference.startswith(("file ", "profiles", "the host ")) and not (
        difference.startswith("links") and difference.endswith("is absent")
    )
