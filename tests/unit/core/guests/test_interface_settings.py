"""Which settings of a NIC are kept, removed or refused on each new connection."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from kvmnet.core.guests.domain_merge import Merged, merge
from kvmnet.core.guests.guest_xml import connection_type
from kvmnet.core.guests.interface_settings import SETTINGS
from kvmnet.core.views.host_view import GuestPortView
from tests.unit.core.guests.samples import BRIDGE, DEPENDING, FROM_BOOT, KEEP, KEPT, ON_DEMAND, REFUSE, SOURCES

PORTS = {"bridge": BRIDGE, "direct": ON_DEMAND, "ethernet": FROM_BOOT}


def connect(old: str, setting: str, port: GuestPortView, attributes: str = "") -> Merged:
    """Return the merged XML of a domain whose only NIC has this type and setting."""
    nic = f"<interface type='{old}'{attributes}><mac address='{port.mac}'/>{SOURCES[old]}{setting}"
    domain = f"<domain><devices>{nic}<model type='virtio'/></interface></devices></domain>"
    return merge(domain.encode(), [port])


def children(merged: Merged) -> list[str]:
    """Return the names of the elements of the NIC that are not about its connection."""
    (interface,) = ET.fromstring(merged.text).iterfind("devices/interface")
    return [child.tag for child in interface if child.tag not in ("mac", "source", "target", "model")]


@pytest.mark.parametrize("setting", KEPT)
@pytest.mark.parametrize("target", PORTS)
@pytest.mark.parametrize("old", ["bridge", "direct", "ethernet", "network"])
def test_a_setting_of_every_connection_is_kept(old: str, target: str, setting: str) -> None:
    merged = connect(old, setting, PORTS[target])
    assert setting.encode() in merged.text
    assert (merged.notes, merged.losses) == ((), ())


@pytest.mark.parametrize(
    ("old", "setting", "target", "outcome"),
    [(old, setting, target, o) for old, setting, *all in DEPENDING for target, o in zip(PORTS, all)],
)
def test_a_setting_that_depends_on_the_connection(old: str, setting: str, target: str, outcome: str) -> None:
    """What libvirt refuses or ignores is removed, with a note; what protected others is a loss."""
    merged = connect(old, setting, PORTS[target])
    if outcome == KEEP:
        assert setting.encode() in merged.text
        assert (merged.notes, merged.losses) == ((), ())
        return
    assert children(merged) == []
    (note,) = merged.notes
    assert note.startswith(f"NIC {PORTS[target].mac}: <") and " is removed: " in note
    assert len(merged.losses) == (outcome == REFUSE)
    assert all(loss.startswith(f"NIC {PORTS[target].mac} would lose <") for loss in merged.losses)
    again = merge(merged.text, [PORTS[target]])
    assert (again.text, again.notes, again.losses) == (merged.text, (), ())


def test_every_setting_of_the_table_has_a_case() -> None:
    """The settings of attributes are tested below and in test_domain_merge."""
    tested = {ET.fromstring(setting).tag for _, setting, *_ in DEPENDING}
    assert {setting.element for setting in SETTINGS} - tested == {"source", ""}


@pytest.mark.parametrize("target", PORTS)
def test_what_is_left_of_an_element_stays(target: str) -> None:
    merged = connect("network", "<bandwidth><inbound average='9' floor='7'/></bandwidth>", PORTS[target])
    assert b"<bandwidth><inbound average='9'/></bandwidth>" in merged.text
    assert len(merged.notes) == 1 + (target == "ethernet")
    merged = connect("network", "<bandwidth><inbound floor='7'/><outbound average='9'/></bandwidth>", PORTS[target])
    assert b"<bandwidth><outbound average='9'/></bandwidth>" in merged.text
    merged = connect("bridge", "<backend tap='/dev/net/tun' vhost='/dev/vhost-net'/>", PORTS[target])
    kept = b"" if target != "bridge" else b" tap='/dev/net/tun'"
    assert b"<backend" + kept + b" vhost='/dev/vhost-net'/>" in merged.text
    assert len(merged.notes) == (target != "bridge")


@pytest.mark.parametrize("target", PORTS)
def test_what_the_old_source_had_is_named(target: str) -> None:
    nic = "<interface type='network'><mac address='{}'/><source network='default' portgroup='web'/></interface>"
    mac = PORTS[target].mac
    merged = merge(f"<domain><devices>{nic.format(mac)}</devices></domain>".encode(), [PORTS[target]])
    assert [note.split(" is removed")[0] for note in merged.notes] == [f"NIC {mac}: <source portgroup>"]
    assert b"portgroup" not in merged.text
    nic = (
        "<interface type='ethernet'><mac address='{}'/><source><ip family='ipv4' address='10.0.0.1'/></source>"
        "<target dev='tap-old'/></interface>"
    )
    merged = merge(f"<domain><devices>{nic.format(mac)}</devices></domain>".encode(), [PORTS[target]])
    assert [note.split(" is removed")[0] for note in merged.notes] == [
        f"NIC {mac}: addresses and routes of the host in <source>"
    ]


@pytest.mark.parametrize("target", PORTS)
def test_a_script_of_a_connection_that_stays_is_kept(target: str) -> None:
    """It may configure the device that the definition names."""
    port = PORTS[target]
    connected = connect("user", "", port).text
    with_script = connected.replace(b"</interface>", b"<script path='/x'/></interface>")
    merged = merge(with_script, [port])
    assert (merged.text, merged.notes) == (with_script, ())
    assert connection_type(port) == target


def test_two_elements_of_a_setting_are_noted_once() -> None:
    merged = connect("user", "<portForward proto='tcp'/><portForward proto='udp'/>", BRIDGE)
    assert len(merged.notes) == 1 and b"portForward" not in merged.text


@pytest.mark.parametrize("target", PORTS)
@pytest.mark.parametrize("rates", ["<inbound average='9'/>", "<inbound average='9'/><outbound average='8'/>"])
def test_rates_that_an_old_libvirt_exchanges_are_noted(target: str, rates: str) -> None:
    setting = f"<bandwidth>{rates}</bandwidth>"
    merged = connect("bridge", setting, PORTS[target])
    assert setting.encode() in merged.text
    assert ["<bandwidth> stays, but libvirt 9.0 exchanges" in note for note in merged.notes] == [True] * (
        target == "ethernet"
    )
    assert merge(merged.text, [PORTS[target]]).notes == ()
