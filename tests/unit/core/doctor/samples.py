"""A host without a finding, and examinations of it with one fact changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kvmnet.core.boot.boot_files import BootFiles
from kvmnet.core.boot.manager_settings import BootDevice
from kvmnet.core.boot.stored_profile import read_stored_profile
from kvmnet.core.doctor import Finding, examine
from kvmnet.core.live.host_facts import HostFacts, Service
from kvmnet.core.live.live_host import ConnectionProfile, Link

MAC = "00:14:4f:80:de:00"
RUNNING = Service(is_installed=True, is_active=True, is_enabled=True)
FOLDER = "/etc/NetworkManager/system-connections"
HEALTHY = HostFacts(
    nmstate="2.2.62",
    networkmanager="1.52.1",
    libvirt="11.3.0",
    services={"NetworkManager-wait-online": RUNNING, "virtqemud.socket": RUNNING},
    links={"eth0": Link("eth0", MAC, None), "br0": Link("br0", None, "bridge")},
    profiles=(ConnectionProfile("u-1", "eth0", "802-3-ethernet", "eth0", f"{FOLDER}/eth0.nmconnection", "eth0"),),
    boot=BootFiles(nics=(BootDevice("eth0", mac=MAC),)),
    name_servers=("10.1.1.53",),
)


def examine_with(**facts: Any) -> list[Finding]:
    """Return the findings of the healthy host with other facts, without the note about who names the NICs."""
    return [f for f in examine(replace(HEALTHY, **facts)) if f.code != "KVN610"]


def codes_with(**facts: Any) -> list[tuple[str, str]]:
    """Return the severities and codes of the findings."""
    return [(finding.severity, finding.code) for finding in examine_with(**facts)]


def boot_with(*texts: str) -> BootFiles:
    """Return what the next boot reads, with connection profiles in these keyfiles."""
    assert HEALTHY.boot is not None
    profiles = tuple(read_stored_profile(f"{FOLDER}/{n}.nmconnection", text) for n, text in enumerate(texts))
    return replace(HEALTHY.boot, profiles=profiles)
