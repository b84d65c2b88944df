"""Compares the host with a snapshot, one line for each difference."""

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
    """The files that are not as the snapshot has them, and on a disk that is read-only."""
    found = []
    for record in before.get("files", []):
        place = next(folder for folder in Path(record["path"]).parents if folder.is_dir())
        with contextlib.suppress(OSError):
            if files.is_read_only(place) and files.record_file(record["path"]) != record:
                found.append(f"file {record['path']}: is not as before, on a read-only file system")
    return found


def find_differences(before: Json) -> list[str]:
    """How the machine differs from the snapshot, one line a difference; empty: it is as it was."""
    found: list[str] = []
    try:
        found += file_differences(before)
        after = snapshot.read_host_state(before["names"], before["macs"], before["uuids"])
        found += guest_differences(before)
        if before.get("on disk"):
            after["profiles"] = [p for p in after["profiles"] if not p["file"].startswith("/run/")]
            found = [line for line in found if not line.startswith("file /run/")]
    except EXPECTED_ERRORS as error:
        return [*found, f"the machine cannot be read: {str(error) or repr(error)}"]
    for part in ("links", "addresses", "routes", "zones", "profiles", "dns", "global dns"):
        was, now = before.get(part), after[part]
        if was == now or part not in before:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            for key in sorted({*was, *now}):
                if was.get(key) != now.get(key):
                    found.append(f"{part} {key}: was {_short(was.get(key))}, is {_short(now.get(key))}")
        elif isinstance(was, list) and isinstance(now, list):
            found += [f"{part}: gone {_short(x)}" for x in was if x not in now]
            found += [f"{part}: new {_short(x)}" for x in now if x not in was]
        else:
            found.append(f"{part}: was {_short(was)}, is {_short(now)}")
    return found


def guest_differences(before: Json) -> list[str]:
    """Guests' taps that are no bridge's port any more, and macvtaps that went with their base. What is gone altogether
    libvirt took away with its guest, and what has another controller somebody gave one: no change's doing."""
    if not before.get("guests"):
        return []
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    found = []
    for name, was in before["guests"].items():
        now, of = rows.get(name, {}), rows.get(was["of"], {})
        same = now.get("ifindex") == was["index"]
        if was["kind"] == "tap" and same and not now.get("master"):
            found.append(f"guests {name}: was a port of {was['of']}, is of nothing")
        anew = now.get("link") == was["of"]  # its guest was started anew
        if was["kind"] == "macvtap" and not (same or anew) and of.get("ifindex", was["of_index"]) != was["of_index"]:
            found.append(f"guests {name}: went with {was['of']}, which was made anew: start its guest anew")
    return found


def file_differences(before: Json) -> list[str]:
    """How the files differ from the snapshot's, one line a difference."""
    found = []
    for record in before["files"]:
        try:
            now = files.record_file(record["path"])
        except OSError as error:
            found.append(f"file {record['path']}: cannot be read: {error}")
            continue
        if now != record:
            found.append(f"file {record['path']}: {_file_difference(record, now)}")
    known = {r["path"] for r in before["files"]}
    return found + [f"file {p}: was not there" for p in networkmanager.find_keyfiles(before["uuids"]) if p not in known]


def _file_difference(was: Json, now: Json) -> str:
    if now.get("absent"):
        return "is gone"
    if was.get("absent"):
        return "was not there"
    return "differs in " + ", ".join(k for k in ("data", "mode", "owner", "label", "link") if was.get(k) != now.get(k))


def _short(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if value is not None else "nothing"


def _is_runtime_only(difference: str) -> bool:
    """Whether this is of what only a running machine had, an address set by hand: after a boot it cannot come back,
    and is told, no more. A file, a NIC under another name, a profile that is not active are more than that."""
    return not difference.startswith(("file ", "profiles", "the machine")) and not (
        difference.startswith("links") and difference.endswith("is nothing")
    )
