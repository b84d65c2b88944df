"""Recording of the calls to NetworkManager on the bus during a change."""

from __future__ import annotations

MONITOR = "exec dbus-monitor --system \"destination='org.freedesktop.NetworkManager',type='method_call'\""
WRITES = (
    "Update2", "Update", "UpdateUnsaved", "AddConnection", "AddConnection2", "AddConnectionUnsaved", "AddAndActivate",
    "AddAndActivate2", "Save", "Delete", "Reapply", "ActivateConnection", "DeactivateConnection", "Disconnect",
    "CheckpointCreate", "CheckpointDestroy", "CheckpointRollback", "ReloadConnections", "LoadConnections",
)  # fmt: skip


def seen_writes(log: str) -> set[str]:
    return {name for name in WRITES if f"member={name}\n" in log}
