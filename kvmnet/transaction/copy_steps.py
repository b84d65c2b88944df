"""The steps that give a NIC a connection profile of its own: a copy of the one that serves other NICs too, or finds its
NIC by a pattern (core/planning/profile_copies)."""

from __future__ import annotations

from typing import Any

from kvmnet.core.base.nmstate import NM_ETHERNET
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.profile_copies import ProfileCopy
from kvmnet.system import networkmanager, operations
from kvmnet.transaction.step import Step, step, undo_spec

#: NMSettingIP6ConfigAddrGenMode: addresses are generated from the token.
_EUI64 = 0


def create_copies(plan: Plan) -> list[Step]:
    """The steps that create the copies in memory, before the renaming: a NIC that has to go down for its rename
    (kernels before 6.2) comes up with its copy. A copy is not activated on a NIC that has a profile."""
    return [
        step(
            operations.COPY_PROFILE,
            f"copy the connection profile of {copy.nic} for this NIC alone",
            [
                undo_spec(operations.UNDO_COPY, uuid=copy.uuid, source=copy.source.uuid, interface=copy.nic),
                undo_spec(operations.UNDO_FILES, uuids=sorted({copy.uuid, copy.source.uuid})),
            ],
            uuid=copy.uuid,
            source=copy.source.uuid,
            interface=copy.nic,
            mac=copy.mac,
            settings=_find_settings(name, copy),
        )
        for name, copy in plan.copies.items()
    ]


def _find_settings(name: str, copy: ProfileCopy) -> dict[str, dict[str, Any]]:
    """The settings in which the copy differs, as [signature, value]; None: the default. The binding to the MAC address
    comes besides. The id must not be the name of another desired interface (see naming_steps)."""
    identity = copy.identity
    connection: dict[str, Any] = {
        "id": ["s", name],
        "autoconnect": ["b", True],
        "autoconnect-priority": ["i", copy.priority],
        **dict.fromkeys(("interface-name", "multi-connect"), None),
    }
    settings = {"connection": connection, NM_ETHERNET: {}, "ipv4": {}, "ipv6": {}}
    if identity.client_id:
        settings["ipv4"]["dhcp-client-id"] = ["s", identity.client_id]
    if identity.duid:
        settings["ipv6"]["dhcp-duid"] = ["s", identity.duid]
    if identity.iaid:
        settings["ipv6"]["dhcp-iaid"] = ["s", identity.iaid]
    if identity.token:
        settings["ipv6"].update({"addr-gen-mode": ["i", _EUI64], "token": ["s", identity.token]})
    return settings


def use_copies(plan: Plan) -> list[Step]:
    """The steps that activate the copies, on the NICs on which they are not active yet."""
    return [
        step(
            operations.USE_COPY,
            f"activate the copied connection profile on {name}",
            uuid=copy.uuid,
            interface=name,
        )
        for name, copy in plan.copies.items()
    ]


def write_copies(plan: Plan) -> list[Step]:
    """The steps that write the copies of renamed NICs to disk as they were before the trial: from the next step on the
    NIC has its new name after a power cut, and the profile that was copied need not fit that."""
    return [
        step(
            operations.WRITE_PROFILE,
            f"write the copied connection profile of {name} to disk",
            [undo_spec(operations.UNDO_FILES, paths=[_interim_file(copy)])],
            uuid=copy.uuid,
            path=_interim_file(copy),
        )
        for name, copy in plan.copies.items()
        if name != copy.nic
    ]


def remove_interim_files(plan: Plan) -> list[Step]:
    """The step that removes what `write_copies` wrote, once NetworkManager has saved the copies under their own
    names. Until then the newer of two files with one UUID counts."""
    paths = sorted(_interim_file(copy) for name, copy in plan.copies.items() if name != copy.nic)
    if not paths:
        return []
    return [
        step(
            operations.WRITE_FILES,
            "remove the first files of the copied connection profiles",
            [undo_spec(operations.UNDO_FILES, paths=paths)],
            files={},
            remove=paths,
        )
    ]


def _interim_file(copy: ProfileCopy) -> str:
    return f"{networkmanager.PROFILE_FOLDERS[0]}/kvmnet-{copy.uuid}.nmconnection"
