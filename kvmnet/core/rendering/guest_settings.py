"""NetworkManager's own settings on a host of guests: what libvirt makes is libvirt's."""

from __future__ import annotations

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.rendering.bundle import Bundle

SETTINGS_FILE = "/etc/NetworkManager/conf.d/90-kvmnet-guests.conf"

#: libvirt keeps these to itself.
PREFIXES = ("vnet", "macvtap")

#: A section of its own: `unmanaged-devices` of [keyfile] would replace the list of another file
#: (NetworkManager.conf(5)).
_TEXT = f"""# Written by kvmnet: the devices that libvirt makes for guests are not NetworkManager's.
[device-kvmnet-guests]
match-device={",".join(f"interface-name:{prefix}*" for prefix in PREFIXES)}
managed=0
"""


def guest_settings(bundle: Bundle) -> dict[str, str]:
    """The files (path to text) that a host needs that may run guests; none on others."""
    kinds = {i["type"] for i in interfaces_of(bundle.state)}
    return {SETTINGS_FILE: _TEXT} if bundle.guests or kinds & {"linux-bridge", "mac-vtap"} else {}
