"""Tests of kvmnet/exporters/libvirt_networks.py."""

from __future__ import annotations

from xml.etree import ElementTree

from kvmnet.exporters.libvirt_networks import EXPORTER
from tests.unit.exporters.samples import bundles, renaming_bundle


def test_each_bridge_is_a_network() -> None:
    files = EXPORTER.export([*bundles(), renaming_bundle()])
    assert list(files) == ["hv1/br-eth0.xml", "HV_2/br-eth0.xml", "vm-container-0-0/eth0.xml"]
    network = ElementTree.fromstring(files["hv1/br-eth0.xml"].text)
    forward, bridge = network.find("forward"), network.find("bridge")
    assert network.findtext("name") == "br-eth0"
    assert forward is not None and forward.get("mode") == "bridge"
    assert bridge is not None and bridge.get("name") == "br-eth0"
