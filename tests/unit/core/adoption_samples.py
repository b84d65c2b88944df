"""A host as most KVM hosts are before kvmnet: br0 over eth0, made by nmcli, with guests on it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from tests.unit.core.samples import KEYFILES, MAC

DEFINITION = """\
kvmnet: 1
cluster: site
profile: {profile}
networks:
  lan: {{subnets: [10.1.0.0/16], gateway: 10.1.1.1}}
hosts:
  kvm1:
    kvm: true
    interfaces:
      eth0: {{mac: "00:14:4f:80:de:00", network: lan, addresses: [10.1.255.254]{bridge}}}
"""
#: The name that the naming policy `plain` gives to the bridge.
POLICY_NAME = "br-eth0"
TAPS = ("vnet0", "vnet77")


def load_site(tmp_path: Path, bridge: str = "br0", profile: str = "plain") -> Bundle:
    """The bundle of the host with this bridge; a naming policy gives its own name to the bridge, if it is that."""
    key = "" if profile != "plain" or bridge == POLICY_NAME else f", bridge: {bridge}"
    (tmp_path / "cluster.yaml").write_text(DEFINITION.format(profile=profile, bridge=key), encoding="utf-8")
    return load(str(tmp_path / "cluster.yaml")).bundle("kvm1")


def bridged_host(bundle: Bundle, **options: Any) -> Live:
    """The host with br0 over eth0, two taps and a container's veth on it. `options` are those of br0."""
    interfaces = {i["name"]: copy.deepcopy(i) for i in interfaces_of(bundle.state)}
    bridge = next(i for i in interfaces.values() if i["type"] == "linux-bridge")
    ports = [{"name": name} for name in ("eth0", *TAPS, "veth0")]
    bridge.update(
        name="br0",
        mtu=1500,
        **{"mac-address": "00:14:4F:80:DE:00"},
        bridge={"options": {"stp": {"enabled": False, "priority": 32768}, **options}, "port": ports},
    )
    nic = next(i for i in interfaces.values() if i["type"] == "ethernet")
    nic.update(name="eth0", mtu=1500)
    state = {
        "interfaces": [nic, bridge],
        "routes": {
            "config": [{**r, "next-hop-interface": "br0"} for r in bundle.state.get("routes", {}).get("config", [])]
        },
    }
    links = [
        Link("eth0", MAC, None, (), "br0"),
        Link("br0", None, "bridge"),
        *(Link(name, None, "tun", (), "br0") for name in TAPS),
        Link("veth0", None, "veth", (), "br0"),
    ]
    profiles = {
        "br0": ConnectionProfile("u-br0", "office", "bridge", "br0", f"{KEYFILES}/office.nmconnection", "br0", "work"),
        "eth0": ConnectionProfile(
            "u-eth0", "br0-slave-eth0", "802-3-ethernet", "eth0", f"{KEYFILES}/br0-slave-eth0.nmconnection", "eth0"
        ),
        "veth0": ConnectionProfile("u-veth", "veth0", "veth", "veth0", "/run/NetworkManager/veth0.nmconnection"),
    }
    return Live("kvm1", state, {link.name: link for link in links}, profiles, nmstate="2.2.62", networkmanager="1.52.1")


def with_profile_settings(live: Live, **settings: Any) -> Live:
    """The host with the settings of its connection profiles read (device -> settings)."""
    return replace(live, surroundings=Surroundings(profile_settings=settings))
