"""Connection profiles as their keyfiles store them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kvmnet.core.boot.keyfile import KeyfileError
from kvmnet.core.boot.stored_profile import (
    StoredProfile,
    find_fault,
    normalize_mac,
    read_stored_profile,
)

FILE = "/etc/NetworkManager/system-connections/uplink.nmconnection"
TEXT = """[connection]
id=uplink
uuid=5F8E1A0C-3f6e-4a53-9d1b-2f0c6a8f7e10
type=ethernet
interface-name=eth0
autoconnect-priority=10
multi-connect=3
controller=br0
port-type=bridge
master=br-old
slave-type=bond

[802-3-ethernet]
mac-address=00:14:4F:80:DE:00
mac-address-denylist=00:14:4f:80:de:01;00-14-4F-80-DE-02;

[802-1x]
password=secret

[match]
interface-name=eth*;!eth1;
driver=

[ipv4]
address1=10.1.255.254/16,10.1.1.1
address10=10.3.0.1/24
address2=10.2.0.1/24
method=manual
"""


def stored(text: str = TEXT, **keys: Any) -> StoredProfile:
    return read_stored_profile(FILE, text, **keys)


def small(connection: str = "", groups: str = "") -> StoredProfile:
    return stored(f"[connection]\n{connection}\n{groups}")


def test_what_decides_where_a_profile_is_activated_is_read() -> None:
    profile = stored()
    assert (profile.uuid, profile.id, profile.type) == (
        "5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e10",
        "uplink",
        "802-3-ethernet",
    )
    assert (profile.interface_name, profile.mac) == ("eth0", "00:14:4f:80:de:00")
    assert profile.denied_macs == ("00:14:4f:80:de:01", "00:14:4f:80:de:02")
    assert profile.match == {"interface-name": ("eth*", "!eth1")}
    assert (profile.autoconnect, profile.priority, profile.may_be_shared) == (True, 10, True)
    assert (profile.controller, profile.port_type, profile.activates_ports) == ("br0", "bridge", None)


def test_networkmanager_before_1_46_does_not_read_the_new_keys() -> None:
    profile = stored(version=(1, 42, 4))
    assert (profile.controller, profile.port_type, profile.denied_macs) == ("br-old", "bond", ())
    assert stored(version=(1, 46, 0)).controller == "br0"


def test_passwords_are_not_kept() -> None:
    assert "secret" not in json.dumps(stored().to_json())
    assert StoredProfile.from_json(json.loads(json.dumps(stored().to_json()))) == stored()


def test_a_profile_without_id_and_uuid_gets_them_from_its_file() -> None:
    profile = small("type=bridge\ninterface-name=br0")
    assert (profile.id, profile.uuid) == ("uplink", "1d0b9236-0fb9-3ddd-b5d8-81a26b2af642")


@pytest.mark.parametrize(
    "text, name",
    [
        ("type=bridge\n[bridge]\ninterface-name=br7", "br7"),
        ("type=vlan\n[vlan]\nparent=eth0\nid=5", "eth0.5"),
        ("type=vlan\n[vlan]\nparent=eth0", ""),
        ("interface-name=eth1", "eth1"),
    ],
)
def test_the_interface_name_has_several_places(text: str, name: str) -> None:
    assert small(text).interface_name == name


def test_a_missing_type_is_that_of_the_settings() -> None:
    assert small("", "[bridge]\nstp=false").type == "bridge"
    assert small("").type == ""


def test_the_type_of_a_controller_follows_from_the_settings_of_a_port() -> None:
    assert small("master=br0", "[bridge-port]").port_type == "bridge"
    assert small("master=br0").port_type == ""


@pytest.mark.parametrize(
    "line, value",
    [("", None), ("autoconnect-slaves=1", True), ("autoconnect-ports=0", False), ("autoconnect-slaves=-1", None)],
)
def test_a_controller_may_activate_its_ports(line: str, value: bool | None) -> None:
    assert small(line).activates_ports is value


@pytest.mark.parametrize(
    "line, value", [("", True), ("autoconnect=false", False), ("permissions=user:a:;", False), ("autoconnect=no", True)]
)
def test_a_profile_autoconnects_unless_only_a_user_may_use_it(line: str, value: bool) -> None:
    assert small(line).autoconnect is value


def test_addresses_are_in_the_order_of_their_numbers() -> None:
    profile = stored(TEXT.replace("controller=br0\n", "").replace("master=br-old\n", ""))
    assert profile.ipv4 == "manual 10.1.255.254/16 10.2.0.1/24 10.3.0.1/24"
    assert (profile.gateway("ipv4"), profile.ipv6) == ("10.1.1.1", "auto")


@pytest.mark.parametrize(
    "group, text, gateway",
    [
        ("", "auto", ""),
        ("[ipv4]\nmethod=auto", "auto", ""),
        ("[ipv4]\naddress1=10.0.0.1/8\ngateway=10.0.0.2", "manual 10.0.0.1/8", "10.0.0.2"),
        ("[ipv4]\naddress=10.0.0.1/8;10.0.0.9\nmethod=auto", "auto 10.0.0.1/8", "10.0.0.9"),
        ("[ipv4]\nmethod=disabled", "disabled", ""),
    ],
)
def test_the_method_and_gateway_of_a_family(group: str, text: str, gateway: str) -> None:
    profile = small("type=ethernet", group)
    assert (profile.ipv4, profile.gateway("ipv4")) == (text, gateway)


def test_a_port_has_no_addresses() -> None:
    assert stored().ipv4 == "disabled"


@pytest.mark.parametrize(
    "text, mac",
    [
        ("00:14:4F:80:DE:00", "00:14:4f:80:de:00"),
        ("0-14-4f-80-de-0", "00:14:4f:80:de:00"),
        ("0;20;79;128;222;0;", "00:14:4f:80:de:00"),
        ("random", ""),
        ("0;20;79;128;222;256", ""),
        ("", ""),
    ],
)
def test_mac_addresses_have_one_notation(text: str, mac: str) -> None:
    assert normalize_mac(text) == mac


def test_a_changed_profile_keeps_everything_else() -> None:
    changed = stored().changed({"connection": {"controller": None, "autoconnect": "false"}, "ipv6": {"method": "auto"}})
    assert (changed.controller, changed.autoconnect, changed.id) == ("br-old", False, "uplink")
    assert (changed.groups["ipv6"], stored().autoconnect) == ({"method": "auto"}, True)


@pytest.mark.parametrize(
    "text, fault",
    [
        ("", "it has no type"),
        ("type=bridge", "a bridge needs an interface-name"),
        ("type=ethernet\n[ipv4]\nmethod=manual", "ipv4.method=manual needs an address"),
        ("type=ethernet\nmaster=br0\n[ipv4]\nmethod=manual", ""),
        ("type=ethernet", ""),
    ],
)
def test_networkmanager_does_not_load_an_invalid_profile(text: str, fault: str) -> None:
    assert find_fault(small(text)) == fault


def test_a_text_that_is_no_key_file_is_no_profile() -> None:
    with pytest.raises(KeyfileError):
        stored("id=uplink")
