"""Notes on the settings of connection profiles."""

from __future__ import annotations

from pathlib import Path

from kvmnet.core.effects.profile_notes import note_profiles, value_text
from kvmnet.core.planning.plan import make_plan
from tests.unit.core.adoption_samples import bridged_host, load_site, with_profile_settings
from tests.unit.core.planning.test_carried_settings import RICH, host_of_one_nic


def test_everything_that_a_profile_has_is_named(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = with_profile_settings(host_of_one_nic(bundle), eth0=RICH)
    takes, keeps, loses = note_profiles(make_plan(bundle, live), live)
    assert takes == (
        "br0 takes over from the connection profile uplink of eth0: connection.autoconnect-priority 10, "
        "connection.llmnr no, connection.mdns no, connection.metered yes, connection.stable-id site-${DEVICE}, "
        "ipv4.dns-options timeout:1,rotate, ipv4.may-fail no, ipv4.route-metric 50"
    )
    assert keeps == (
        "eth0 keeps from the connection profile uplink: 802-3-ethernet.mtu 1400, 802-3-ethernet.wake-on-lan 64, "
        "connection.lldp enable-rx, connection.wait-device-timeout 30000, ethtool.feature-gro no, "
        "tc.qdiscs kind=fq, parent=4294967295, user.data org.example.owner=netops"
    )
    assert loses == (
        "eth0 loses what the definition does not contain: the address 192.168.77.1/24, ipv4.route-table 77 "
        "(of the connection profile uplink)"
    )


def test_an_adopted_bridge_keeps_what_it_has(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = with_profile_settings(bridged_host(bundle), br0={"connection": {"llmnr": ["i", 0]}})
    assert list(note_profiles(make_plan(bundle, live), live)) == [
        "br0 keeps what the connection profile office has and the definition does not state: connection.llmnr no"
    ]
    plain = with_profile_settings(bridged_host(bundle), br0={"connection": {"id": ["s", "office"]}})
    assert list(note_profiles(make_plan(bundle, plain), plain)) == []


def test_values_as_nmcli_prints_them() -> None:
    assert value_text("connection.llmnr", 2) == "yes"
    assert value_text("connection.llmnr", 9) == "9"
    assert value_text("ipv4.route-metric", 50) == "50"
    assert value_text("ipv4.may-fail", True) == "yes"
    assert value_text("user.data", {"b": "2", "a": True}) == "a=yes, b=2"
