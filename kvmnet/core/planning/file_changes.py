"""The part of a plan that is files: `.link` files of systemd, and the settings of NetworkManager and udev for guests'
devices."""

from __future__ import annotations

import re
from typing import Optional

from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.changes import Change, Reason
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.guest_settings import SETTINGS_FILE, guest_settings
from kvmnet.core.rendering.macvtap_rule import RULES_FILE

LINK_FOLDER = "/etc/systemd/network"
#: Why each file for guests' devices is written.
_REASONS = {SETTINGS_FILE: Reason.GUEST_DEVICES, RULES_FILE: Reason.MACVTAP_RULE}
_LINK_MAC = re.compile(r"^# Written by kvmnet.*^PermanentMACAddress=([0-9A-Fa-f:]{17})$", re.MULTILINE | re.DOTALL)


def compare_link_files(bundle: Bundle, live: Live) -> tuple[dict[str, str], list[str], list[Change]]:
    """Return the `.link` files to write (text by name), the names of those to remove, and the changes."""
    to_write = {name: text for name, text in bundle.links.items() if live.link_files.get(name) != text}
    stale = _find_stale_link_files(bundle, live)
    changes = [Change("file", f"{LINK_FOLDER}/{name}", (Reason.LINK_FILE_NEEDED,)) for name in to_write]
    changes += [Change("remove", f"{LINK_FOLDER}/{name}", (Reason.LINK_FILE_UNUSED,)) for name in stale]
    return to_write, stale, changes


def _find_stale_link_files(bundle: Bundle, live: Live) -> list[str]:
    """Return kvmnet's `.link` files that name no NIC any longer: those of a NIC that the definition names otherwise,
    or that is neither in the definition nor on the host. The file of a NIC that left the definition and is still on
    the host stays, so that the NIC keeps its name at the next boot. `kvmnet remove` removes it."""
    known, on_host = {link.mac for nic in bundle.nics if (link := live.find(nic))}, live.macs()
    stale = []
    for name, text in live.link_files.items():
        mac = _LINK_MAC.search(text)
        if name not in bundle.links and mac and (mac[1].lower() in known or mac[1].lower() not in on_host):
            stale.append(name)
    return stale


def compare_settings(bundle: Bundle, live: Live) -> tuple[dict[str, Optional[str]], list[Change]]:
    """Return kvmnet's files about guests' devices (text by path; None: the file is removed), and the changes."""
    wanted = guest_settings(bundle)
    to_write: dict[str, Optional[str]] = {p: text for p, text in wanted.items() if live.settings.get(p) != text}
    to_remove: dict[str, Optional[str]] = {p: None for p in live.settings if p not in wanted}
    changes = [Change("file", path, (_REASONS[path],)) for path in to_write]
    changes += [Change("remove", path, (Reason.NO_GUESTS,)) for path in to_remove]
    return {**to_write, **to_remove}, changes
