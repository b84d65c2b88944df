"""libvirt's XML of each kind of NIC, and merging it into a domain without other changes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmnet.core.guests.guest_xml import DomainError, format_interface, format_interfaces, merge
from kvmnet.core.views.host_view import GuestPortView

M1, M2, M3 = "36:77:6e:c0:00:01", "36:77:6e:c0:00:02", "36:77:6e:c0:00:03"
BRIDGE = GuestPortView("g", M1, "private", "eth0", None)
TAGGED_BRIDGE = GuestPortView("g", M1, "storage", "eth0.5", 5)
ON_DEMAND = GuestPortView("g", M2, "tenant", "peth0.2", 2, "mvt-c00002", "bridge", False)
FROM_BOOT = GuestPortView("g", M3, "tenant", "peth0.3", 3, "mvt-c00003", "bridge", True)

DOMAIN = b"""<?xml version='1.0' encoding='UTF-8'?>
<!-- before the root -->
<domain type='kvm' xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
  <name>g &amp; co</name>
  <description><![CDATA[<interface> is only text here]]></description>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <!-- <interface type='bridge'/> was here -->
    <interface type="bridge" trustGuestRxFilters='no'>
      <mac address="36:77:6E:C0:00:01"/>
      <source bridge='br-old'/>
      <target dev='web0'/>
      <model type='e1000'/>   <!-- an old guest -->
      <link state='up'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>
    </interface>
\t<interface type='network'>
      <source network='default' note='a > b'/>
      <mac address='52:54:00:00:00:99'/>
    </interface>
    <console type='pty'/>
  </devices>
  <qemu:commandline><qemu:arg value='-foo'/></qemu:commandline>
</domain>
<!-- after it -->
"""


def nics(domain: bytes) -> list[dict[str, str]]:
    """Return type, MAC, source, target and model of every NIC of a domain, in order, read with another parser."""
    found = []
    for interface in ET.fromstring(domain).iterfind("devices/interface"):
        row = {"type": interface.attrib["type"]}
        for name in ("mac", "source", "target", "model"):
            for child in interface.findall(name):
                row.update({f"{name} {key}": value for key, value in child.attrib.items()})
        found.append(row)
    return found


def test_a_port_on_a_bridge_has_type_bridge_with_or_without_a_vlan() -> None:
    for port in (BRIDGE, TAGGED_BRIDGE):
        assert format_interface(port) == (
            "<interface type='bridge'>\n"
            f"  <mac address='{M1}'/>\n"
            f"  <source bridge='{port.device}'/>\n"
            "  <model type='virtio'/>\n"
            "</interface>\n"
        )


def test_a_macvtap_on_demand_is_created_by_libvirt() -> None:
    assert format_interface(ON_DEMAND) == (
        "<interface type='direct'>\n"
        f"  <mac address='{M2}'/>\n"
        "  <source dev='peth0.2' mode='bridge'/>\n"
        "  <model type='virtio'/>\n"
        "</interface>\n"
    )
    assert "created and named by libvirt" in format_interface(ON_DEMAND, note=True)


def test_a_macvtap_from_boot_is_not_managed_by_libvirt() -> None:
    assert format_interface(FROM_BOOT) == (
        "<interface type='ethernet'>\n"
        f"  <mac address='{M3}'/>\n"
        "  <target dev='mvt-c00003' managed='no'/>\n"
        "  <model type='virtio'/>\n"
        "</interface>\n"
    )


def test_two_nics_on_one_vlan_are_both_printed_in_order() -> None:
    second = GuestPortView("g", "36:77:6e:c0:00:09", "tenant", "peth0.2", 2, "mvt-c00009", "bridge", False)
    text = format_interfaces([FROM_BOOT, second, BRIDGE, ON_DEMAND])
    found = nics(f"<domain><devices>{text}</devices></domain>".encode())
    assert [nic["mac address"] for nic in found] == [M3, second.mac, M1, M2]
    assert [nic.get("source dev") for nic in found] == [None, "peth0.2", None, "peth0.2"]


@pytest.mark.parametrize("network", ["a--b<&'", "a---b", "a----", "-"])
def test_names_are_escaped_in_attributes_and_comments(network: str) -> None:
    port = GuestPortView("g", M1, network, "x'<&>", None)
    text = format_interface(port, note=True)
    assert nics(f"<domain><devices>{text}</devices></domain>".encode())[0]["source bridge"] == "x'<&>"


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
    nic = (
        f"<interface type='bridge'><mac address='{port.mac}'/><source bridge='ovs'/>{other}<mtu size='9'/></interface>"
    )
    text = merge(f"<domain><devices>{nic}</devices></domain>".encode(), [port]).text
    assert b"virtualport" not in text and b"vlan" not in text and b"<mtu size='9'/>" in text


@pytest.mark.parametrize("other", ["<virtualport type='802.1Qbh'/>", "<vlan><tag id='42'/></vlan>"])
@pytest.mark.parametrize("port", [BRIDGE, ON_DEMAND, FROM_BOOT])
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


def test_the_backend_of_a_tap_is_kept() -> None:
    nic = "<interface type='ethernet'><mac address='{mac}'/><backend tap='/dev/net/tun'/></interface>"
    assert b"<backend tap='/dev/net/tun'/>" in merge(in_domain(nic, ON_DEMAND), [ON_DEMAND]).text


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
