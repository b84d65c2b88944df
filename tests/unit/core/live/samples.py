"""XML of running guests and networks, as libvirt 9 to 11 prints it."""

from __future__ import annotations

DOMAIN = """\
<domain type='kvm' id='3'>
  <name>compute-0-0-0</name>
  <uuid>d6a0a3c2-9f3b-4d0c-8d7b-d1a6ad6c5a11</uuid>
  <metadata><x:domain xmlns:x='urn:x'/></metadata>
  <devices>
    <interface type='bridge'>
      <mac address='36:77:6E:C0:00:01'/>
      <source bridge='eth0'/>
      <target dev='vnet0'/>
      <model type='virtio'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>
    <interface type='direct'>
      <mac address='36:77:6e:c0:00:02'/>
      <source dev='peth0.2' mode='bridge'/>
      <target dev='macvtap0'/>
    </interface>
    <interface type='ethernet'>
      <mac address='36:77:6e:c0:00:03'/>
      <target dev='mvt-c00003' managed='no'/>
    </interface>
    <interface type='network'>
      <mac address='36:77:6e:c0:00:04'/>
      <source network='default' portid='x' bridge='virbr0'/>
      <target dev='vnet1'/>
    </interface>
    <interface type='hostdev' managed='yes'>
      <mac address='36:77:6e:c0:00:05'/>
      <source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x1'/></source>
    </interface>
    <interface type='user'/>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0xaf' slot='0x00' function='0x0'/></source>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </hostdev>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/></source></hostdev>
  </devices>
</domain>
"""
NAT = """<network connections='1'>
  <name>default</name>
  <forward mode='nat' dev='eth1'><nat/><interface dev='eth1'/><interface dev='eth2'/></forward>
  <bridge name='virbr0'/>
</network>
"""
