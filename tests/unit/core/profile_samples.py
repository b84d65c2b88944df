"""A bridge whose VLAN filtering and MAC address are set in its connection profile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional

from kvmnet.core.base.profile_settings import CLONED_MAC, VLAN_FILTERING, ZONE
from kvmnet.core.live.live_host import Live
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import PLAIN, applied, bare, bundle_of

FILTERING, PIN = VLAN_FILTERING.name, CLONED_MAC.name
BRIDGED = PLAIN.replace("bridge: false", "bridge: true")


def filtering(tmp_path: Path, wanted: Optional[bool] = True) -> Bundle:
    """A bundle whose bridge br-eth0 filters VLANs, does not, or leaves it open."""
    settings = {"br-eth0": {FILTERING: wanted}} if wanted is not None else {}
    return replace(bundle_of(tmp_path, BRIDGED), profile_settings=settings)


def host(bundle: Bundle, *, kernel: int = 0, stored: str = "no", mac: Optional[str] = None, made: bool = True) -> Live:
    """The host with the bundle applied: the live value of VLAN filtering, the one in the profile of br-eth0, and the
    MAC address in it (None: the one that the bridge has). `made`: kvmnet created the bridge."""
    live = applied(bundle, bare())
    shown = next(i for i in live.state["interfaces"] if i["name"] == "br-eth0")
    pin = shown["mac-address"].lower() if mac is None else mac
    profile = replace(live.profiles["br-eth0"], settings={FILTERING: stored, PIN: pin})
    link = replace(live.links["br-eth0"], options={"vlan_filtering": kernel})
    return replace(
        live,
        profiles={**live.profiles, "br-eth0": profile},
        links={**live.links, "br-eth0": link},
        owned=live.owned if made else {},
    )


def zoned(tmp_path: Path, zone: Optional[str] = "internal") -> Bundle:
    """A bundle whose bridge br-eth0 is in a firewalld zone, or whose definition states none."""
    settings = {"br-eth0": {ZONE.name: zone}} if zone is not None else {}
    return replace(bundle_of(tmp_path, BRIDGED), profile_settings=settings)


def host_in_zone(bundle: Bundle, firewall: Optional[str], stored: str) -> Live:
    """The host with the bundle applied: br-eth0's zone in firewalld (None: firewalld does not run; empty: the default
    zone), and the one in its profile."""
    live = host(bundle)
    profile = live.profiles["br-eth0"]
    profile = replace(profile, zone=stored, settings={**profile.settings, ZONE.name: stored})
    zones = None if firewall is None else {"br-eth0": firewall} if firewall else {}
    return replace(live, profiles={**live.profiles, "br-eth0": profile}, zones=zones)
