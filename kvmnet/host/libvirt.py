"""What libvirt on this host says, where there is a libvirt: kvmnet works without it too."""

from __future__ import annotations

import shutil

from kvmnet import rescue


class LibvirtError(Exception):
    """There is a libvirt, but it does not answer; the text says why."""


def running_guests() -> list[str] | None:
    """The names of the guests that run here; None on a machine without libvirt. Raises LibvirtError."""
    if shutil.which("virsh", path=rescue.PROGRAMS) is None:
        return None
    try:
        text = rescue.run("virsh", "--readonly", "--connect", "qemu:///system", "list", "--name", timeout=15)
    except rescue.Failed as error:
        raise LibvirtError(str(error)) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
