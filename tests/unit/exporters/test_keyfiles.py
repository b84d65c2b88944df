"""Tests of kvmnet/exporters/keyfiles.py and its parts. tests/contract compares the keyfiles with nmstate's, and the lab
boots from them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.boot.boot_files import BootFiles
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.outcome import PROFILE, compute_outcomes
from kvmnet.core.boot.stored_profile import StoredProfile, read_stored_profile
from kvmnet.core.definition.document import Source
from kvmnet.core.live.live_host import ConnectionProfile, Live
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.planning.stored_profiles import find_stored_differences
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.exporters import EXPORTERS, Files
from kvmnet.exporters._keyfiles.unknown import find_unknown
from kvmnet.exporters._plain_nmstate import CannotExport
from tests.generate import cluster
from tests.mutate import written
from tests.unit.exporters.samples import TEXT, bundles, renaming_bundle

GOLDEN = Path(__file__).parents[2] / "golden/good"
KEYFILES, LINKS = "etc/NetworkManager/system-connections", "etc/systemd/network"
MAC_OF_EVERY_NIC = "52:54:00:00:00:77"


def export(bundle: Bundle) -> Files:
    return EXPORTERS.find("keyfiles").export([bundle])


def text_of(bundle: Bundle, name: str) -> str:
    return export(bundle)[f"{bundle.host}/{KEYFILES}/{name}.nmconnection"].text


def section(text: str, name: str) -> list[str]:
    """Return the lines of a section of a keyfile."""
    return text.split(f"[{name}]\n")[1].split("\n\n", maxsplit=1)[0].splitlines()


#: The golden pairs of which hosts pass settings through to nmstate, with what no keyfile would have.
PASSED_THROUGH = {
    "06-two-nics-one-subnet": "host pv2: vxlan0 has settings that only nmstate can apply (type vxlan)",
    "19-sriov": "ethernet",
    "20-qinq": "vlan.protocol",
    "22-ethtool-mcast": "br-eth0 has settings that only nmstate can apply (bridge.options.stp.forward-delay)",
    "pass-through": "type vxlan",
}


def all_bundles() -> Iterator[Bundle]:
    """Yield what keyfiles can express of golden and generated definitions."""
    for bundle in golden_and_generated():
        if not any(list(find_unknown(interface)) for interface in interfaces_of(bundle.state)):
            yield bundle


def golden_and_generated() -> Iterator[Bundle]:
    for folder in sorted(GOLDEN.iterdir()):
        yield from pipeline.load(str(next(folder.glob("cluster.*")))).bundles()
    for number in range(20):
        yield from pipeline.check(
            [Source("f", written(cluster(random.Random(number), with_nmstate=False))[0])]
        ).bundles()


@pytest.mark.parametrize("folder", PASSED_THROUGH)
def test_what_only_nmstate_can_apply_is_refused(folder: str) -> None:
    """An interface without it would be silently different."""
    bundles = pipeline.load(str(GOLDEN / folder / "cluster.yaml")).bundles()
    with pytest.raises(CannotExport) as refused:
        EXPORTERS.find("keyfiles").export(bundles)
    assert PASSED_THROUGH[folder] in refused.value.message


def stored_profiles(bundle: Bundle) -> list[StoredProfile]:
    start = f"{bundle.host}/{KEYFILES}/"
    files = {path: file for path, file in export(bundle).items() if path.startswith(start)}
    assert all(file.mode == 0o600 for file in files.values())
    return [read_stored_profile(f"/{path[len(bundle.host) + 1 :]}", file.text) for path, file in files.items()]


def test_each_keyfile_has_what_its_state_needs_at_the_next_boot() -> None:
    """The reader of stored profiles knows neither the exporter nor its parts."""
    wrong, count = [], 0
    for bundle in all_bundles():
        stored = stored_profiles(bundle)
        names = {profile.uuid: profile.id for profile in stored}
        active = {
            names[p.uuid]: ConnectionProfile(p.uuid, p.id, p.type, names[p.uuid], p.file, p.interface_name, mac=p.mac)
            for p in stored
        }
        nics = tuple(BootDevice(n.name, "802-3-ethernet", n.mac or MAC_OF_EVERY_NIC) for n in bundle.nics)
        live = Live(bundle.host, bundle.state, {}, active, boot=BootFiles(tuple(stored), nics=nics))
        for name, found in find_stored_differences(bundle.state, live, {}).items():
            wrong += [f"{bundle.cluster}.{bundle.host} {name}: {difference.text}" for difference in found]
        count += len(stored)
        assert len(stored) == len(interfaces_of(bundle.state))
    assert wrong == [] and count > 500


def test_each_interface_gets_its_own_profile_at_boot() -> None:
    wrong = []
    for bundle in all_bundles():
        nics = [
            n
            for n in bundle.nics
            if any(i["name"] == n.name and i["type"] == "ethernet" for i in bundle.state["interfaces"])
        ]
        devices = tuple(BootDevice(n.name, "802-3-ethernet", n.mac or MAC_OF_EVERY_NIC) for n in nics)
        outcomes = compute_outcomes(BootFiles(tuple(stored_profiles(bundle)), nics=devices, version=(1, 52, 1)))
        for interface in interfaces_of(bundle.state):
            name = interface["name"]
            if interface["state"] != "up" or interface["type"] not in ("ethernet", "linux-bridge", "vlan", "bond"):
                continue
            outcome = outcomes[name]
            if (outcome.kind, outcome.uuid) != (PROFILE, profile_uuid(bundle.host, name)) or outcome.uncertain:
                wrong.append(f"{bundle.cluster}.{bundle.host} {name}: {outcome}")
    assert wrong == []


def test_a_renamed_nic_is_bound_by_its_mac_and_named_by_its_link_file() -> None:
    bundle = renaming_bundle()
    files, host = export(bundle), bundle.host
    keyfile = files[f"{host}/{KEYFILES}/peth0.nmconnection"].text
    assert section(keyfile, "ethernet")[0] == "mac-address=00:14:4F:80:DE:00"
    assert "interface-name" not in keyfile and "master=eth0" in section(keyfile, "connection")
    link = files[f"{host}/{LINKS}/00-kvmnet-peth0.link"]
    assert (link.text, link.mode) == (bundle.links["00-kvmnet-peth0.link"], 0o644)


def test_a_nic_that_keeps_its_name_is_bound_by_it() -> None:
    keyfile = text_of(bundles()[0], "eth0")
    assert "interface-name=eth0" in section(keyfile, "connection") and "\nmac-address" not in keyfile


def test_the_uuid_of_a_profile_is_that_of_kvmnet_apply() -> None:
    first, _ = bundles()
    assert f"uuid={profile_uuid('hv1', 'br-eth0')}" in text_of(first, "br-eth0")
    assert export(first) == export(first)


def test_a_host_has_its_hostname_and_the_settings_of_its_guests() -> None:
    first, _ = bundles(TEXT + "hostname: true\n")
    files = export(first)
    assert "hv1/etc/NetworkManager/conf.d/90-kvmnet-guests.conf" in files
    assert "hv1/etc/udev/rules.d/86-kvmnet-macvtaps.rules" in files
    assert files["hv1/etc/hostname"].text == "hv1\n"
    assert "hv1/etc/hostname" not in export(bundles()[0])


def test_zones_descriptions_and_vlan_filtering_are_in_the_profiles() -> None:
    text = """
kvmnet: 1
cluster: site
profile: plain
networks: {lan: {subnets: [10.1.0.0/16], zone: internal}}
hosts:
  hv1:
    kvm: true
    interfaces:
      eth0:
        network: lan
        mac: 00:14:4f:80:de:01
        addresses: [10.1.0.2]
        description: port 12 of switch 3
        bridge: {name: br0, vlan_filtering: true}
"""
    (bundle,) = bundles(text)
    bridge, nic = text_of(bundle, "br0"), text_of(bundle, "eth0")
    assert "zone=internal" in section(bridge, "connection")
    assert "vlan-filtering=true" in section(bridge, "bridge")
    assert "# port 12 of switch 3\n" in bridge + nic


def test_a_bridge_gets_the_mac_of_its_nic() -> None:
    first, _ = bundles()
    assert "cloned-mac-address=00:14:4F:80:DE:01" in section(text_of(first, "br-eth0"), "ethernet")
    assert not [path for path in export(first) if path.endswith("10-kvmnet-br-eth0.link")]


def test_a_bridge_over_a_nic_without_a_known_mac_gets_it_from_the_kernel() -> None:
    first, _ = bundles(TEXT.replace("mac: 00:14:4f:80:de:01, ", ""))
    assert "cloned-mac-address" not in text_of(first, "br-eth0")
    link = export(first)[f"hv1/{LINKS}/10-kvmnet-br-eth0.link"].text
    assert "OriginalName=br-eth0\n" in link and "MACAddressPolicy=none\n" in link


def test_a_bond_has_the_mac_of_its_first_port_as_after_an_apply() -> None:
    text = """
kvmnet: 1
cluster: site
profile: plain
networks: {lan: {subnets: [10.1.0.0/16]}}
hosts:
  hv1:
    interfaces:
      eth0: {mac: 00:14:4f:80:de:01}
      eth1: {mac: 00:14:4f:80:de:02}
      bond0: {mode: active-backup, ports: [eth1, eth0], network: lan, addresses: [10.1.0.2]}
"""
    (bundle,) = bundles(text)
    keyfile = text_of(bundle, "bond0")
    assert "cloned-mac-address=00:14:4F:80:DE:02" in section(keyfile, "ethernet")
    assert re.search("^master=bond0\nslave-type=bond$", text_of(bundle, "eth0"), re.MULTILINE)


def test_a_name_server_that_no_interface_reaches_is_refused_with_the_reason() -> None:
    first, second = bundles()
    unreached = first.state | {"dns-resolver": {"config": {"server": ["10.1.0.9"], "search": ["example.org"]}}}
    assert "dns=10.1.0.9;" in text_of(Bundle(**{**vars(first), "state": unreached}), "br-eth0")
    for interface in unreached["interfaces"]:
        interface["ipv4"] = {"enabled": False}
    bare = Bundle(**{**vars(first), "state": {**unreached, "routes": {"config": []}}})
    with pytest.raises(CannotExport) as error:
        EXPORTERS.find("keyfiles").export([bare, second])
    assert "host hv1: no interface has an address to reach name server or domain 10.1.0.9" in error.value.message
    assert "HV_2" not in error.value.message


def test_name_servers_are_in_the_profile_of_the_default_route() -> None:
    first, _ = bundles()
    state = {**first.state, "dns-resolver": {"config": {"server": ["2001:db8:1::53", "10.1.0.9"], "search": ["a.org"]}}}
    keyfile = text_of(Bundle(**{**vars(first), "state": state}), "br-eth0")
    assert {"dns=2001:db8:1::53;", "dns-priority=40", "dns-search=a.org;"} <= set(section(keyfile, "ipv6"))
    assert {"dns=10.1.0.9;", "dns-priority=50"} <= set(section(keyfile, "ipv4"))
