"""The settings of hosts that can run guests: NetworkManager must not manage libvirt's devices, and guests on macvtaps
receive multicast."""

from __future__ import annotations

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.macvtap_rule import RULES_FILE, macvtap_rule

SETTINGS_FILE = "/etc/NetworkManager/conf.d/90-kvmnet-guests.conf"
#: All files that `guest_settings` may return.
FILES = (SETTINGS_FILE, RULES_FILE)

#: Prefixes of the names of devices that libvirt creates. libvirt reserves them.
PREFIXES = ("vnet", "macvtap")

#: `unmanaged-devices` in [keyfile] would replace that of another file, so a device section is used
#: (NetworkManager.conf(5)).
_TEXT = f"""# Written by kvmnet. NetworkManager must not manage the devices that libvirt creates for guests.
[device-kvmnet-guests]
match-device={",".join(f"interface-name:{prefix}*" for prefix in PREFIXES)}
managed=0
"""


def guest_settings(bundle: Bundle) -> dict[str, str]:
    """Return the files that a host needs if it can run guests, path to text; none for other hosts."""
    kinds = {i["type"] for i in interfaces_of(bundle.state)}
    can_run_guests = bool(bundle.guests or kinds & {"linux-bridge", "mac-vtap"})
    return {SETTINGS_FILE: _TEXT, RULES_FILE: macvtap_rule(bundle)} if can_run_guests else {}
