"""NetworkManager's settings for the devices that libvirt creates."""

from __future__ import annotations

import configparser
from typing import Any, Optional

import pytest

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.guest_settings import FILES, SETTINGS_FILE, guest_settings


def bundle_of(*kinds: str, guests: Optional[dict[str, Any]] = None) -> Bundle:
    """Return the bundle of a host with interfaces of these types."""
    return Bundle("c", "h", "plain", (), {"interfaces": [{"name": k, "type": k} for k in kinds]}, guests)


@pytest.mark.parametrize(
    ("bundle", "needed"),
    [
        (bundle_of("ethernet", "vlan", "bond"), False),
        (bundle_of(), False),
        (bundle_of("ethernet", "linux-bridge"), True),
        (bundle_of("mac-vtap"), True),
        (bundle_of("ethernet", guests={"interfaces": []}), True),
    ],
)
def test_only_a_host_that_can_run_guests_has_the_settings(bundle: Bundle, needed: bool) -> None:
    assert list(guest_settings(bundle)) == (list(FILES) if needed else [])


def test_networkmanager_leaves_libvirts_devices_alone() -> None:
    settings = configparser.ConfigParser()
    settings.read_string(guest_settings(bundle_of("linux-bridge"))[SETTINGS_FILE])
    (section,) = settings.sections()
    assert section.startswith("device-"), "a key of [keyfile] would replace that of another file"
    assert dict(settings[section]) == {
        "match-device": "interface-name:vnet*,interface-name:macvtap*",
        "managed": "0",
    }
