"""NetworkManager's configuration."""

from __future__ import annotations

import pytest

from kvmnet.core.boot.manager_settings import (
    BootDevice,
    ManagerSettings,
    matches_specs,
    merge_settings,
    split_specs,
)

MAC = "00:14:4f:80:de:00"
NIC = BootDevice("eth0", mac=MAC, driver="virtio_net")
MAIN = "/etc/NetworkManager/NetworkManager.conf"
INTERN = "/var/lib/NetworkManager/NetworkManager-intern.conf"


def settings(*texts: str, state: str = "") -> ManagerSettings:
    """Return the configuration of files in this order; the first is NetworkManager.conf."""
    return merge_settings([(MAIN, texts[0]), *((f"/etc/{n}.conf", t) for n, t in enumerate(texts[1:]))], state)[0]


@pytest.mark.parametrize(
    "spec, matches",
    [
        ("*", True),
        ("eth0", True),
        ("eth*", False),
        (MAC.upper(), True),
        (f"mac:{MAC}", True),
        ("mac:00:14:4f:80:de:01", False),
        ("interface-name:eth*", True),
        ("interface-name:=eth*", False),
        ("interface-name:=eth0", True),
        ("interface-name:~e?h0", True),
        ("interface-name:[a-z]*", False),
        ("type:ethernet", True),
        ("type:bridge", False),
        ("driver:virtio_net", True),
        ("driver:e1000", False),
        ("s390-subchannels:0.0.1", False),
        ("except:interface-name:eth0", False),
        ("except:interface-name:eth9", True),
        ("except:eth0", True),
        ("interface-name:eth*,except:interface-name:eth0", False),
        ("interface-name:ens*;except:interface-name:eth9", False),
        ("", False),
    ],
)
def test_device_specs(spec: str, matches: bool) -> None:
    assert matches_specs(split_specs(spec), NIC) is matches


def test_entries_of_device_specs_are_separated_by_commas_or_semicolons() -> None:
    assert split_specs(r" a , b;c\,d\;e\\f\x ;; ") == ["a", "b", r"c,d;e\f\x"]


def test_a_later_file_replaces_adds_and_removes() -> None:
    merged = settings(
        "[main]\nno-auto-default=a,b\nplugins=keyfile\ndns=none\n",
        "[main]\nno-auto-default+=c,a\nplugins+=ifupdown;\ndns+=x\n",
        "[main]\nno-auto-default-=b\n",
    )
    assert split_specs(merged.value("main", "no-auto-default") or "") == ["a", "c"]
    assert merged.plugins == ["keyfile", "ifupdown"]
    assert merged.value("main", "dns") == "none"


def test_a_drop_in_can_be_disabled() -> None:
    assert settings("", "[config]\nenable=false\n[main]\ndns=none\n").value("main", "dns") is None
    assert settings("[config]\nenable=false\n[main]\ndns=none\n").value("main", "dns") == "none", "not the main file"


def test_only_networkmanagers_own_file_has_internal_sections() -> None:
    text = "[.intern.device-a]\nmanaged=0\n[device-b]\nmanaged=0\n"
    assert settings("", text).manages(NIC) is False, "by the plain section"
    merged, _ = merge_settings([(MAIN, "[.intern.device-a]\nmanaged=0\n")])
    assert merged.manages(NIC)
    merged, _ = merge_settings([(MAIN, ""), (INTERN, "[.intern.device-a]\nmatch-device=eth0\nmanaged=0\n")])
    assert not merged.manages(NIC)


def test_an_invalid_file_is_named() -> None:
    assert merge_settings([("/etc/a.conf", "no group")])[1] == [
        "/etc/a.conf: line 1 is neither a group nor a key with a value"
    ]


@pytest.mark.parametrize(
    "text, managed",
    [
        ("", True),
        ("[keyfile]\nunmanaged-devices=interface-name:eth*\n", False),
        ("[device]\nmanaged=0\n", False),
        ("[device]\nmanaged=0\n[device-a]\nmatch-device=eth0\nmanaged=1\n", True),
        ("[device-a]\nmatch-device=eth1\nmanaged=0\n", True),
        ("[device-a]\nmatch-device=eth0\nmanaged=0\n[device-b]\nmanaged=1\n", False),
        ("[device-a]\nmatch-device=eth0\nstop-match=true\n[device-b]\nmanaged=0\n", True),
        ("[device-a]\nmatch-device=eth0\nmanaged=1\n[keyfile]\nunmanaged-devices=eth0\n", False),
    ],
)
def test_what_is_managed(text: str, managed: bool) -> None:
    assert settings(text).manages(NIC) is managed


def test_a_later_file_has_the_more_important_device_section() -> None:
    merged = settings("[device-a]\nmanaged=0\n", "[device-b]\nmatch-device=eth0\nmanaged=1\n")
    assert merged.manages(NIC)


def test_udev_can_leave_a_device_unmanaged_unless_the_configuration_says_otherwise() -> None:
    device = BootDevice("eth0", udev_managed=False)
    assert not settings("").manages(device)
    assert settings("[device]\nmanaged=1\n").manages(device)


def test_a_profile_is_created_for_a_nic_unless_it_is_excluded() -> None:
    assert settings("").creates_profile_for(NIC)
    assert not settings("[main]\nno-auto-default=*\n").creates_profile_for(NIC)
    assert not settings("", state=f"{MAC.upper()}\n").creates_profile_for(NIC)
    assert settings("", state="00:14:4f:80:de:01\n\n").creates_profile_for(NIC)


@pytest.mark.parametrize(
    "text, activates",
    [
        ("", False),
        ("[connection]\nconnection.autoconnect-slaves=1\n", True),
        ("[connection]\nconnection.autoconnect-ports=0\nconnection.autoconnect-slaves=1\n", False),
        ("[connection-a]\nmatch-device=type:bridge\nconnection.autoconnect-ports=1\n", True),
        ("[connection-a]\nmatch-device=type:bond\nconnection.autoconnect-ports=1\n", False),
    ],
)
def test_whether_a_controller_activates_its_ports_by_default(text: str, activates: bool) -> None:
    assert settings(text).activates_ports(BootDevice("br0", "bridge")) is activates
