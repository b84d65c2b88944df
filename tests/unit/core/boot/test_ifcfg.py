"""Profiles in ifcfg files."""

from __future__ import annotations

from kvmnet.core.boot.ifcfg import read_ifcfg

FILE = "/etc/sysconfig/network-scripts/ifcfg-eth0"


def test_what_decides_where_a_profile_is_activated_is_read() -> None:
    text = (
        'TYPE=Ethernet\nNAME="System eth0" # note\nUUID=5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03\nDEVICE=eth0\n'
        "HWADDR=00:14:4F:80:DE:00\nONBOOT=no\nBOOTPROTO=none\nIPADDR=10.1.255.254\nPREFIX=16\nAUTOCONNECT_PRIORITY=5\n"
    )
    profile = read_ifcfg(FILE, text)
    assert profile is not None
    assert (profile.id, profile.uuid) == ("System eth0", "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03")
    assert (profile.type, profile.interface_name, profile.mac) == ("802-3-ethernet", "eth0", "00:14:4f:80:de:00")
    assert (profile.autoconnect, profile.priority) == (False, 5)
    assert (profile.ipv4, profile.controller) == ("manual 10.1.255.254/16", "")


def test_ports_and_virtual_interfaces() -> None:
    port = read_ifcfg(FILE, "DEVICE=eth0\nBRIDGE=br0\n")
    assert port is not None and (port.id, port.controller, port.port_type) == ("System eth0", "br0", "bridge")
    bonded = read_ifcfg(FILE, "DEVICE=eth0\nMASTER=bond0\nSLAVE=yes\n")
    assert bonded is not None and (bonded.controller, bonded.port_type) == ("bond0", "bond")
    vlan = read_ifcfg(FILE, "DEVICE=v5\nVLAN=yes\nPHYSDEV=eth0\nVLAN_ID=5\nBOOTPROTO=dhcp\n")
    assert vlan is not None and (vlan.type, vlan.parent, vlan.ipv4) == ("vlan", "eth0", "auto")
    bond = read_ifcfg(FILE, "DEVICE=bond0\nBONDING_MASTER=yes\n")
    assert bond is not None and (bond.type, bond.ipv4) == ("bond", "disabled")
    bridge = read_ifcfg(FILE, "DEVICE=br0\nTYPE=Bridge\n")
    assert bridge is not None and bridge.type == "bridge"


def test_a_file_that_networkmanager_does_not_control_is_no_profile() -> None:
    assert read_ifcfg(FILE, "DEVICE=eth0\nNM_CONTROLLED=no\n") is None


def test_lines_that_are_no_assignments_are_left_out() -> None:
    profile = read_ifcfg(FILE, "# note\nDEVICE='eth0\nexport X\nDEVICE=\nif true; then\nHWADDR=\n")
    assert profile is not None and profile.interface_name == ""
