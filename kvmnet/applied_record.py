"""Reads what the last apply recorded on this host, in the folder applied/ of the state folder, and the live host with
it.

The folder has the files of the applied bundle, interfaces.json (which interfaces kvmnet created), and hook.json (what
libvirt's hook may create). Only root may read it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.nmstate import State, interfaces_of
from kvmnet.core.live.live_host import UNREADABLE, Live
from kvmnet.core.planning.defaults import complete_with_defaults
from kvmnet.core.planning.ownership import OWNERSHIP_FILE, OwnershipRecord, ownership_record_from_json
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.bundle_files import BundleError
from kvmnet.core.rendering.hook_record import HOOK_FILE
from kvmnet.definition_files import CannotRead
from kvmnet.host.connection_profiles import ManagerState
from kvmnet.host.networkmanager_dbus import NetworkManager
from kvmnet.host.nmstate import Backend
from kvmnet.host.read_live import AppliedRecord, read_live_host
from kvmnet.pipeline import read_bundle_folder


def read_host(
    backend: Backend,
    manager: NetworkManager,
    state_dir: Path,
    networkmanager: ManagerState,
    wanted: Optional[State] = None,
) -> Live:
    """Return the live host, and what the last apply recorded on it.

    `networkmanager` is what NetworkManager reports; `wanted` is the desired state, if there is one: nmstate returns
    then only what a plan to this state compares. Raises Refused if the record is corrupt, NmstateError or NMError if
    nmstate or NetworkManager do not answer.
    """
    note = read_ownership(state_dir)
    record = AppliedRecord(
        digest=read_applied_digest(state_dir),
        hook=_read_hook_record(state_dir),
        owned=note.owned,
        state=note.state,
        first_names=note.first_names,
        settings=note.settings,
    )
    compared = complete_with_defaults(wanted, note.state) if wanted is not None else None
    return read_live_host(backend, manager, networkmanager, record, compared)


def read_applied(state_dir: Path) -> Optional[Bundle]:
    """Return the bundle that is applied on this host, or None if there is none.

    Raises Refused if its files are not what kvmnet wrote (edited, or the disk has errors), PermissionError for users
    that may not read it.
    """
    folder = state_dir / "applied"
    try:
        if not any(folder.iterdir()):  # `kvmnet remove` keeps the empty folder
            return None
    except FileNotFoundError:
        return None
    try:
        return read_bundle_folder(folder)
    except (BundleError, CannotRead) as error:
        hint = "apply the definition or the bundle again: this writes the files again and changes nothing else"
        raise Refused(f"kvmnet's state in {folder} is corrupt: {error}", hint, "KVN563") from error


def read_applied_digest(state_dir: Path) -> Optional[str]:
    """Return the digest of the applied bundle, or UNREADABLE for users that may not read it.

    It is None if no bundle is applied, or if its files are corrupt: the next apply then writes them again.
    """
    try:
        bundle = read_applied(state_dir)
    except PermissionError:
        return UNREADABLE
    except Refused:
        return None
    return bundle.digest if bundle is not None else None


def read_ownership(state_dir: Path) -> OwnershipRecord:
    """Return which interfaces of this host belong to kvmnet. It is empty before the first apply, and for users that may
    not read the file.

    Raises Refused if the file is corrupt: without it kvmnet would treat its own interfaces as created by another tool,
    and would never remove them.
    """
    path = state_dir / "applied" / OWNERSHIP_FILE
    try:
        return ownership_record_from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        return OwnershipRecord()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = f"restore the file from transaction.json of the last kept change in {state_dir}/history"
        message = f"{path}, the list of the interfaces that belong to kvmnet, is corrupt: {error!r}"
        raise Refused(message, hint, "KVN563") from error


def find_recorded_macs(text: str) -> dict[str, str]:
    """Return the MAC addresses of bridges and bonds in the text of an interfaces.json, by name; empty if it is
    corrupt."""
    try:
        record = ownership_record_from_json(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    controllers = [i for i in interfaces_of(record.state) if i["type"] in ("linux-bridge", "bond")]
    return {i["name"]: i["mac-address"] for i in controllers if "mac-address" in i}


def _read_hook_record(state_dir: Path) -> Optional[str]:
    path = state_dir / "applied" / HOOK_FILE
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    except PermissionError:
        return UNREADABLE
