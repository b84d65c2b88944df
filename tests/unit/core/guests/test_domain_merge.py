"""Merging NICs into a domain without other changes."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmnet.core.guests.domain_merge import merge
from kvmnet.core.guests.domain_text import DomainError
from kvmnet.core.guests.guest_xml import format_interface
from kvmnet.core.views.host_view import GuestPortView
from tests.unit.core.guests.samples import BRIDGE, DOMAIN, FROM_BOOT, M1, M2, M3, ON_DEMAND, nics


@pytest.mark.guarantee("G73")
def test_a_merge_changes_only_what_the_nic_is_connected_to() -> None:
    merged = merge(DOMAIN, [BRIDGE])
    assert merged.unknown == ("52:54:00:00:00:99",)
    assert merged.text == DOMAIN.replace(b"bridge='br-old'", b"bridge='eth0'")


def test_a_mac_without_leading_zeros_is_the_same_mac() -> None:
    short = DOMAIN.replace(b"36:77:6E:C0:00:01", b"36:77:6E:c0:0:1")
    assert merge(short, [BRIDGE]).text == short.replace(b"bridge='br-old'", b"bridge='eth0'")


@pytest.mark.parametrize("text", ["", "36:77:6e:c0:0", "36:77:6e:c0:0:001", "36:77:6e:c0:0:+1", "36-77-6e-c0-00-01"])
def test_an_invalid_mac_is_reported_as_unknown(text: str) -> None:
    domain = DOMAIN.replace(b"36:77:6E:C0:00:01", text.encode())
    assert merge(domain, []).unknown == (text, "52:54:00:00:00:99")
    assert len(nics(merge(domain, [BRIDGE]).text)) == 3


def test_a_merge_can_change_the_type_of_a_nic() -> None:
    port = GuestPortView("g", M1, "tenant", "peth0.2", 2, "mvt-c00001", "bridge", False)
    wanted = DOMAIN.replace(b"<source bridge='br-old'/>", b"<source dev='peth0.2' mode='bridge'/>")
    wanted = wanted.replace(b'<interface type="bridge"', b'<interface type="direct"')
    assert merge(DOMAIN, [port]).text == wanted
    always = GuestPortView("g", M1, "tenant", "peth0.2", 2, "mvt-c00001", "bridge", True)
    wanted = DOMAIN.replace(b"<source bridge='br-old'/>", b"<target dev='mvt-c00001' managed='no'/>")
    wanted = wanted.replace(b"\n      <target dev='web0'/>", b"")
    wanted = wanted.replace(b'<interface type="bridge"', b'<interface type="ethernet"')
    assert merge(DOMAIN, [always]).text == wanted
    # and back: the <target> of the macvtap is removed on a bridge
    back = merge(wanted, [BRIDGE]).text
    assert nics(back)[0] == {
        "type": "bridge", "mac address": "36:77:6E:C0:00:01", "source bridge": "eth0", "model type": "e1000",
    }  # fmt: skip


@pytest.mark.parametrize("port", [BRIDGE, ON_DEMAND, FROM_BOOT])
def test_a_merge_removes_settings_of_another_switch(port: GuestPortView) -> None:
    """libvirt does not start a guest with <virtualport> or <vlan> of Open vSwitch or SR-IOV on these NICs."""
    other = "<virtualport type='openvswitch'/><vlan><tag id='42'/></vlan>"
    nic = f"<interface type='bridge'><mac address='{{mac}}'/><source bridge='ovs'/>{other}<boot order='9'/></interface>"
    text = merge(in_domain(nic, port), [port]).text
    assert b"virtualport" not in text and b"vlan" not in text and b"<boot order='9'/>" in text


@pytest.mark.parametrize(
    ("port", "other"),
    [
        *((port, "<virtualport type='802.1Qbh'/>") for port in (BRIDGE, ON_DEMAND, FROM_BOOT)),
        *((port, "<vlan><tag id='42'/></vlan>") for port in (ON_DEMAND, FROM_BOOT)),
        (BRIDGE, "<virtualport type='openvswitch'/><vlan><tag id='42'/></vlan>"),
    ],
)
def test_settings_of_another_switch_are_removed_from_a_nic_that_is_connected_correctly(
    port: GuestPortView, other: str
) -> None:
    domain = f"<domain><devices>{format_interface(port)}</devices></domain>".replace("'", '"').encode()
    with_it = domain.replace(b"</interface>", f"  {other}\n</interface>".encode())
    assert merge(with_it, [port]).text == domain


def in_domain(nic: str, port: GuestPortView) -> bytes:
    return f"<domain><devices>{nic.format(mac=port.mac)}</devices></domain>".encode()


HOSTDEV = """<interface managed = 'yes' type='hostdev'>
      <driver name='vfio'/>
      <source><address type='pci' domain='0x0000' bus='0x00' slot='0x07' function='0x0'/></source>
      <mac address='{mac}'/>
      <model type='virtio'/>
      <boot order='1'/>
    </interface>"""
PASST = """<interface type='user'>
      <source dev='eth0'/>
      <mac address='{mac}'/>
      <portForward proto='tcp'><range start='22' to='2022'/></portForward>
      <portForward proto='udp'/>
      <backend type='passt' logFile='/x'/> <!-- mine -->
      <model type='virtio'/>
      <driver name='vhost' queues='4'/>
    </interface>"""


@pytest.mark.parametrize("port", [BRIDGE, ON_DEMAND, FROM_BOOT])
def test_elements_of_the_old_type_are_removed(port: GuestPortView) -> None:
    """libvirt rejects a domain with managed, vfio or passt on a NIC of another type."""
    tag, _, plug = (line.strip() for line in format_interface(port).splitlines()[:3])
    assert merge(in_domain(HOSTDEV, port), [port]).text == in_domain(
        f"""{tag}
      {plug}
      <mac address='{{mac}}'/>
      <model type='virtio'/>
      <boot order='1'/>
    </interface>""",
        port,
    )
    assert merge(in_domain(PASST, port), [port]).text == in_domain(
        f"""{tag}
      {plug}
      <mac address='{{mac}}'/> <!-- mine -->
      <model type='virtio'/>
      <driver name='vhost' queues='4'/>
    </interface>""",
        port,
    )


def test_comments_inside_removed_elements_are_kept() -> None:
    nic = """<interface type='network'>
      <mac address='{mac}'/>
      <vlan>
        <!-- of the - ->, not ours --><tag id='42'/>
      </vlan>
      <source network='default'>
        <!--> here --> <x><!--and > here--></x>
      </source>
      <portForward><!-- ssh --></portForward>
      <model type='e1000'/>
    </interface>"""
    assert merge(in_domain(nic, BRIDGE), [BRIDGE]).text == in_domain(
        """<interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='eth0'/> <!-- of the - ->, not ours -->
      <!--> here --> <!--and > here-->
      <!-- ssh -->
      <model type='e1000'/>
    </interface>""",
        BRIDGE,
    )


def test_a_nic_of_a_bridge_with_vlan_filtering_keeps_its_vlan() -> None:
    """libvirt 11.0 and later set the VLAN of a port of a Linux bridge."""
    nic = (
        "<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/><vlan><tag id='42'/></vlan>"
        "<model type='virtio'/></interface>"
    )
    merged = merge(in_domain(nic, BRIDGE), [BRIDGE])
    assert merged.text == in_domain(nic.replace("br0", "eth0"), BRIDGE)
    assert merge(merged.text, [BRIDGE]).text == merged.text


TEAM = """<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/><model type='virtio'/>\
<teaming type='persistent'/><alias name='ua-net'/></interface>
    <interface type='hostdev' managed='yes'><mac address='{mac}'/><source><address type='pci' domain='0x0000' bus='0x00'
    slot='0x07' function='0x0'/></source><teaming type='transient' persistent='ua-net'/></interface>"""


@pytest.mark.parametrize("port", [BRIDGE, ON_DEMAND, FROM_BOOT])
def test_of_a_team_only_the_persistent_nic_is_connected(port: GuestPortView) -> None:
    """Both NICs of a team have the same MAC address."""
    domain = in_domain(TEAM, port)
    merged = merge(domain, [port])
    rest = domain.split(b"</interface>", 1)[1]
    assert merged.text.endswith(rest), "the PCI device is unchanged"
    assert b"<teaming type='persistent'/><alias name='ua-net'/>" in merged.text
    assert (merged.unknown, merged.notes, merged.losses) == ((), (), ())
    new = nics(merged.text)
    assert [nic["type"] for nic in new] == [format_interface(port).split("'")[1], "hostdev"]
    reverse = in_domain("\n    ".join(reversed(TEAM.split("\n    ", 1))), port)
    assert len(nics(merge(reverse, [port]).text)) == 2, "in either order"


def test_a_team_without_its_persistent_nic_is_rejected() -> None:
    second = in_domain(TEAM.split("\n    ", 1)[1], BRIDGE)
    with pytest.raises(DomainError, match=f"NIC {M1} is the second of a team"):
        merge(second, [BRIDGE])
    assert merge(second, [ON_DEMAND]).unknown == (), "it is no NIC of its own"


@pytest.mark.parametrize(
    ("old", "attribute", "trusts", "model", "expected"),
    [
        ("direct", "", True, "virtio", "yes"),
        ("direct", "no", True, "virtio", "yes"),
        ("direct", "yes", True, "virtio", "yes"),
        ("bridge", "", True, "virtio-transitional", "yes"),
        ("bridge", "yes", True, "", "yes"),
        ("direct", "yes", None, "virtio", "yes"),
        ("direct", "no", None, "virtio", "no"),
        ("direct", "", None, "virtio", ""),
        ("direct", "yes", False, "virtio", ""),
        ("bridge", "yes", None, "virtio", ""),
        ("direct", "yes", None, "e1000", ""),
        ("direct", "", True, "e1000", ""),
    ],
)
def test_a_macvtap_trusts_its_guest_only_if_the_definition_asks_for_it(
    old: str, attribute: str, trusts: bool | None, model: str, expected: str
) -> None:
    """`trust` of an existing macvtap is kept as long as the definition does not state it."""
    given_attribute = f" trustGuestRxFilters='{attribute}'" if attribute else ""
    nic = f"<interface type='{old}'{given_attribute}><mac address='{{mac}}'/><source dev='peth0.2' mode='bridge'/>"
    nic += f"<model type='{model}'/></interface>" if model else "</interface>"
    port = dataclasses.replace(ON_DEMAND, trusts_guest=trusts)
    merged = merge(in_domain(nic, port), [port])
    (interface,) = ET.fromstring(merged.text).iterfind("devices/interface")
    assert interface.get("trustGuestRxFilters", "") == expected
    lost = attribute == "yes" and expected != "yes"
    assert [("trustGuestRxFilters='yes' is removed" in note) for note in merged.notes] == [True] * lost or not lost
    has_no_effect = any("has no effect on a NIC of model e1000" in note for note in merged.notes)
    assert has_no_effect == (bool(trusts) and model == "e1000")


def test_a_nic_that_is_no_macvtap_on_demand_does_not_trust_its_guest() -> None:
    nic = "<interface trustGuestRxFilters='yes' type='bridge'><mac address='{mac}'/><source bridge='br0'/></interface>"
    always = dataclasses.replace(FROM_BOOT, trusts_guest=True)
    merged = merge(in_domain(nic, always), [always])
    assert b"trust" not in merged.text
    assert merged.notes[1:] == (
        f"NIC {M3}: trust_guest_rx_filters of the definition has no effect on a NIC of type ethernet",
    )
    bridged = merge(in_domain(nic, BRIDGE), [BRIDGE])
    assert b"trustGuestRxFilters='yes'" in bridged.text, "it has always been so on this bridge"


def test_new_nics_are_inserted_in_the_order_of_the_definition() -> None:
    text = merge(DOMAIN, [BRIDGE, ON_DEMAND, FROM_BOOT]).text
    assert [nic["mac address"].lower() for nic in nics(text)] == [M1, M2, M3, "52:54:00:00:00:99"]
    first = merge(DOMAIN, [FROM_BOOT, BRIDGE]).text
    assert [nic["mac address"].lower() for nic in nics(first)] == [M3, M1, "52:54:00:00:00:99"]
    assert b"<!-- an old guest -->" in first and b"<link state='up'/>" in first
    assert b"\n    <interface type='direct'>\n      <mac address='" in text


@pytest.mark.guarantee("G73")
@pytest.mark.parametrize("ports", [[BRIDGE], [ON_DEMAND], [FROM_BOOT, ON_DEMAND], [ON_DEMAND, BRIDGE, FROM_BOOT], []])
def test_a_second_merge_changes_nothing(ports: list[GuestPortView]) -> None:
    once = merge(DOMAIN, ports).text
    assert merge(once, ports).text == once


@pytest.mark.parametrize(
    "devices",
    ["<devices/>", "<devices></devices>", "<devices>\n  </devices>", "<devices><console type='pty'/></devices>",
     "<devices\n  />"],
)  # fmt: skip
def test_nics_are_added_to_a_domain_without_nics(devices: str) -> None:
    text = merge(f"<domain>\n  {devices}\n</domain>".encode(), [BRIDGE, ON_DEMAND]).text
    assert [nic["mac address"] for nic in nics(text)] == [M1, M2]


def test_a_nic_with_only_a_mac_gets_its_connection_and_model() -> None:
    domain = f"<domain><devices><interface type='user'><mac address='{M2}'/></interface></devices></domain>"
    found = nics(merge(domain.encode(), [ON_DEMAND]).text)
    assert found == [
        {"type": "direct", "mac address": M2, "source dev": "peth0.2", "source mode": "bridge", "model type": "virtio"}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "^the domain's XML is empty$"),
        (b" \n", "^the domain's XML is empty$"),
        (b"<domain>\n", "^not XML: line 2, column 1: no element found$"),
        (b"<domain><a></b></domain>", "^not XML: line 1, column 14: mismatched tag$"),
        (b"<network/>", "root element is <network>"),
        (b"<domain/>", "exactly one <devices> element, not 0"),
        (b"<!DOCTYPE d [<!ENTITY a 'b'>]><domain><devices/></domain>", "DOCTYPE"),
        (b"<domain><devices>\xff</devices></domain>", "not UTF-8|not XML"),
        (b"<?xml version='1.0' encoding='foo'?><domain><devices/></domain>", "not UTF-8"),
        (b"<?xml version='1.0' encoding='euc-jp'?><domain><devices/></domain>", "not UTF-8"),
        (b"<domain><devices><interface/></devices></domain>", "without a type"),
        (
            f"<domain><devices>{format_interface(BRIDGE)}{format_interface(BRIDGE)}</devices></domain>".encode(),
            "two NICs with MAC",
        ),
    ],
)
def test_a_text_that_is_not_a_domain_is_rejected(text: bytes, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        merge(text, [BRIDGE])


@pytest.mark.parametrize("text", [b"", b"<network/>", b"<domain/>", b"<domain name='\xff'/>", b"<!DOCTYPE d><domain/>"])
def test_the_hint_names_the_command_that_prints_a_domain(text: bytes) -> None:
    with pytest.raises(DomainError) as error:
        merge(text, [BRIDGE])
    assert error.value.hint is not None and error.value.hint.startswith("`virsh dumpxml --inactive GUEST` prints")


TEXTS = st.sampled_from(["", " ", "\n    ", "\t", "<!-- a > b -->", "<x y='>'/>", '\n<a><b c="\'">t</b></a>\n'])


@pytest.mark.guarantee("G73")
@given(st.lists(TEXTS, min_size=6, max_size=6), st.permutations([BRIDGE, ON_DEMAND, FROM_BOOT]), st.data())
def test_everything_between_the_nics_is_preserved(
    texts: list[str], ports: list[GuestPortView], data: st.DataObject
) -> None:
    """Text before, between and after the NICs keeps its order."""
    macs = data.draw(st.permutations([M1, M2, M3, "52:54:00:00:00:99"]))
    existing = [f"<interface type='bridge'><source bridge='old'/><mac address='{mac}'/></interface>" for mac in macs]
    body = "".join(text + nic for text, nic in zip(texts, [*existing, "", ""]))
    merged = merge(f"<domain><devices>{body}</devices></domain>".encode(), ports).text.decode()
    for port in ports:
        assert merged.count(port.mac) == 1
    frame = re.compile("<interface .*?</interface>", re.DOTALL)
    assert frame.sub("*", merged) == f"<domain><devices>{frame.sub('*', body)}</devices></domain>"
    known = [nic["mac address"] for nic in nics(merged.encode()) if nic["mac address"] != "52:54:00:00:00:99"]
    assert known == [port.mac for port in ports]


VLAN_20 = GuestPortView("g", M1, "v20", "eth0", 20, untagged=20, is_on_aware_bridge=True)
VLAN_TRUNK = dataclasses.replace(VLAN_20, untagged=1, trunk=(20, 21))
NO_VLAN = dataclasses.replace(VLAN_20, untagged=None)


@pytest.mark.parametrize(
    ("port", "vlan", "is_right"),
    [
        (VLAN_20, "<vlan><tag id='20'/></vlan>", True),
        (VLAN_20, "<vlan trunk='no'>\n<tag id='20'/>\n</vlan>", True),
        (VLAN_20, "<vlan><tag id='42'/></vlan>", False),
        (VLAN_20, "<vlan trunk='yes'><tag id='20'/></vlan>", False),
        (VLAN_20, "", False),
        (VLAN_TRUNK, "<vlan><tag id='21'/><tag id='20'/><tag id='1' nativeMode='untagged'/></vlan>", True),
        (VLAN_TRUNK, "<vlan><tag id='21'/><tag id='20'/><tag id='1' nativeMode='tagged'/></vlan>", False),
        (VLAN_TRUNK, "<vlan trunk='yes'><tag id='20'/><tag id='21'/></vlan>", False),
        (NO_VLAN, "", True),
        (NO_VLAN, "<vlan><tag id='20'/></vlan>", False),
    ],
)
def test_a_nic_on_an_aware_bridge_gets_the_vlans_of_the_definition(
    port: GuestPortView, vlan: str, is_right: bool
) -> None:
    nic = (
        f"<interface type='bridge'><mac address='{{mac}}'/><source bridge='eth0'/>{vlan}<model type='virtio'/>"
        "</interface>"
    )
    domain = in_domain(nic, port)
    merged = merge(domain, [port])
    assert (merged.text == domain) is is_right
    wanted = [line.strip().encode() for line in format_interface(port).splitlines() if "<vlan" in line]
    assert merged.text.count(b"<vlan") == len(wanted)
    assert is_right or all(line in merged.text for line in wanted)
    assert merge(merged.text, [port]).text == merged.text
    assert bool(merged.notes) is (bool(vlan) and not is_right)


def test_a_macvtap_becomes_a_port_in_a_vlan() -> None:
    nic = "<interface type='direct'><mac address='{mac}'/><source dev='eth0.20' mode='bridge'/></interface>"
    merged = merge(in_domain(nic, VLAN_20), [VLAN_20])
    assert b"<source bridge='eth0'/><vlan><tag id='20'/></vlan>" in merged.text
    assert b"eth0.20" not in merged.text and b"type='direct'" not in merged.text
