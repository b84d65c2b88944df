"""The settings of connection profiles that kvmnet sets itself, in the words of nmcli, D-Bus and the kernel."""

from __future__ import annotations

import pytest

from kvmnet.core.base.profile_settings import CLONED_MAC, PROFILE_SETTINGS, VLAN_FILTERING, ZONE
from kvmnet.system import links


@pytest.mark.parametrize(("text", "value"), [("", False), ("no", False), ("yes", True)])
def test_vlan_filtering_is_read_as_nmcli_prints_it(text: str, value: bool) -> None:
    assert VLAN_FILTERING.from_nmcli(text) is value


@pytest.mark.parametrize(("text", "value"), [("", False), ("false", False), ("0", False), ("true", True), ("1", True)])
def test_vlan_filtering_is_read_as_a_keyfile_has_it(text: str, value: bool) -> None:
    assert VLAN_FILTERING.from_keyfile(text) is value
    assert CLONED_MAC.from_keyfile("52:54:00:AB:00:01") == "52:54:00:ab:00:01"


def test_vlan_filtering_is_read_and_written_as_dbus_and_the_kernel_have_it() -> None:
    assert [VLAN_FILTERING.from_dbus(value) for value in (None, False, True)] == [False, False, True]
    assert VLAN_FILTERING.to_dbus(True) == {"vlan-filtering": ("b", True)}
    assert VLAN_FILTERING.to_dbus(False) == {"vlan-filtering": None}  # the default has no key
    assert [VLAN_FILTERING.from_kernel({"vlan_filtering": value}) for value in (0, 1)] == [False, True]
    assert VLAN_FILTERING.from_kernel({}) is None
    assert [VLAN_FILTERING.to_kernel(value) for value in (False, True)] == [0, 1]


def test_a_zone_is_text_with_capitals() -> None:
    assert ZONE.from_nmcli("Home_2") == ZONE.from_keyfile("Home_2") == ZONE.from_dbus("Home_2") == "Home_2"
    assert ZONE.from_nmcli("") == ZONE.from_dbus(None) == ""
    assert ZONE.to_dbus("dmz") == {"zone": ("s", "dmz")} and ZONE.to_dbus("") == {"zone": None}
    assert ZONE.from_kernel({"zone": "dmz"}) is None


def test_a_mac_address_is_bytes_on_dbus_and_replaces_networkmanagers_other_key() -> None:
    assert CLONED_MAC.from_nmcli("52:54:00:AB:00:01") == "52:54:00:ab:00:01"
    assert CLONED_MAC.from_dbus(b"\x52\x54\x00\xab\x00\x01") == "52:54:00:ab:00:01"
    assert CLONED_MAC.from_dbus(None) == CLONED_MAC.from_nmcli("") == ""
    assert CLONED_MAC.to_dbus("52:54:00:ab:00:01") == {
        "cloned-mac-address": ("ay", b"\x52\x54\x00\xab\x00\x01"),
        "assigned-mac-address": None,
    }
    assert CLONED_MAC.to_dbus("") == {"cloned-mac-address": None, "assigned-mac-address": None}


def test_every_live_value_is_read_from_the_kernel() -> None:
    """A setting whose live value is not among the options that are read would never differ."""
    read = {option for options in links.COMPARED_OPTIONS.values() for option in options}
    assert {row.kernel for row in PROFILE_SETTINGS.values() if row.kernel} <= read


def test_only_values_of_the_right_type_are_valid() -> None:
    assert VLAN_FILTERING.is_valid(True)
    assert not VLAN_FILTERING.is_valid("yes")
    assert not VLAN_FILTERING.is_valid(1)
