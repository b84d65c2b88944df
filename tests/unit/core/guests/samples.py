"""Ports of guests' NICs, and a domain, that the tests of this folder share."""

from __future__ import annotations

import xml.etree.ElementTree as ET

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

#: How a NIC of each type is connected before kvmnet.
SOURCES = {
    "bridge": "<source bridge='br-old'/>",
    "direct": "<source dev='old0' mode='vepa'/>",
    "ethernet": "<target dev='tap-old'/>",
    "network": "<source network='default'/>",
    "user": "",
    "hostdev": "<source><address type='pci' domain='0x0000' bus='0x00' slot='0x07' function='0x0'/></source>",
}

#: Settings that a NIC has on every connection.
KEPT = [
    "<link state='down'/>",
    "<boot order='1'/>",
    "<rom bar='off'/>",
    "<rom file='/usr/share/rom'/>",
    "<alias name='ua-web'/>",
    "<acpi index='4'/>",
    "<address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>",
    "<tune><sndbuf>1600</sndbuf></tune>",
    "<driver name='vhost' queues='4' rx_queue_size='256' iommu='on'><host csum='off'/></driver>",
    "<bandwidth><inbound average='1000' peak='5000'/><outbound average='1000' peak='5000'/></bandwidth>",
    "<teaming type='persistent'/>",
    "<guest dev='eth0'/>",
    "<backend vhost='/dev/vhost-net'/>",
    "<port isolated='no'/>",
    "<of-a-newer-libvirt/>",
]

KEEP, DROP, REFUSE = "kept", "removed", "refused"
#: For each setting: the type of NIC that has it, and what happens on a bridge, direct, and ethernet.
DEPENDING = [
    ("bridge", "<filterref filter='x'><parameter name='IP' value='1'/></filterref>", KEEP, REFUSE, REFUSE),
    ("network", "<filterref filter='clean-traffic'/>", KEEP, REFUSE, REFUSE),
    ("ethernet", "<filterref filter='no-mac-spoofing'/>", KEEP, REFUSE, REFUSE),
    ("bridge", "<port isolated='yes'/>", KEEP, REFUSE, REFUSE),
    ("network", "<port isolated='yes'/>", KEEP, REFUSE, REFUSE),
    ("bridge", "<mtu size='1400'/>", KEEP, DROP, KEEP),
    ("network", "<mtu size='1400'/>", KEEP, DROP, KEEP),
    ("bridge", "<coalesce><rx><frames max='7'/></rx></coalesce>", KEEP, DROP, DROP),
    ("bridge", "<backend tap='/dev/net/tun'/>", KEEP, DROP, DROP),
    ("ethernet", "<backend tap='/dev/net/tun'/>", KEEP, DROP, DROP),
    ("network", "<bandwidth><inbound floor='100'/></bandwidth>", DROP, DROP, DROP),
    ("bridge", "<virtualport type='openvswitch'/>", DROP, DROP, DROP),
    ("direct", "<virtualport type='802.1Qbg'/>", DROP, DROP, DROP),
    ("bridge", "<vlan><tag id='42'/></vlan>", KEEP, DROP, DROP),
    ("network", "<vlan><tag id='42'/></vlan>", DROP, DROP, DROP),
    ("hostdev", "<vlan><tag id='42'/></vlan>", DROP, DROP, DROP),
    ("ethernet", "<script path='/etc/qemu-ifup'/>", DROP, DROP, DROP),
    ("ethernet", "<downscript path='/etc/qemu-ifdown'/>", DROP, DROP, DROP),
    ("user", "<backend type='passt' logFile='/x'/>", DROP, DROP, DROP),
    ("user", "<portForward proto='tcp'/>", DROP, DROP, DROP),
    ("user", "<ip family='ipv4' address='172.17.2.0' prefix='24'/>", DROP, DROP, DROP),
    ("user", "<route family='ipv4' address='0.0.0.0' gateway='172.17.2.1'/>", DROP, DROP, DROP),
    ("hostdev", "<driver name='vfio'/>", DROP, DROP, DROP),
    ("hostdev", "<rom file='/vf.rom'/>", DROP, DROP, DROP),
    ("hostdev", "<address type='usb' bus='0' port='2'/>", DROP, DROP, DROP),
]  # fmt: skip


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
