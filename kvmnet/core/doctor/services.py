"""Other programs that configure the network, and services that should run."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.doctor import NOTE, WARNING, Finding, examination
from kvmnet.core.live.host_facts import HostFacts

_CLOUD_SETUP = "nm-cloud-setup"


@examination()
def find_cloud_init(facts: HostFacts) -> Iterator[Finding]:
    if facts.surroundings.cloud_init:
        message = f"cloud-init configures the network at boot ({facts.surroundings.cloud_init})"
        folder = "/etc/cloud/cloud.cfg.d/99-no-network.cfg"
        yield Finding("KVN543", WARNING, message, f"echo 'network: {{config: disabled}}' > {folder}")


@examination("KVN620", "nm-cloud-setup changes addresses and routes")
def find_cloud_setup(facts: HostFacts) -> Iterator[Finding]:
    """
    nm-cloud-setup adds addresses, routes and routing rules of a cloud provider to the devices every few minutes,
    without changing connection profiles. kvmnet would report them as drift and remove routes that the definition does
    not have. Disable it on hosts that kvmnet configures.
    """
    if facts.service(_CLOUD_SETUP).is_active or facts.service(f"{_CLOUD_SETUP}.timer").is_enabled:
        fix = f"systemctl disable --now {_CLOUD_SETUP}.timer {_CLOUD_SETUP}.service"
        yield Finding("KVN620", WARNING, f"{_CLOUD_SETUP} is enabled", fix)


@examination()
def find_other_managers(facts: HostFacts) -> Iterator[Finding]:
    managers = (("systemd-networkd", facts.surroundings.networkd), ("ifupdown", facts.surroundings.ifupdown))
    for program, interfaces in managers:
        for name, file in interfaces.items():
            place = f" ({file})" if file else ""
            fix = f"at the console: create a connection profile for {name}, then remove it from the files of {program}"
            yield Finding("KVN531", WARNING, f"{program} configures {name}{place}", fix)
    for name in facts.surroundings.unmanaged:
        yield Finding(
            "KVN531", NOTE, f"NetworkManager does not manage NIC {name}", f"nmcli device set {name} managed yes"
        )


@examination("KVN621", "the old network service is enabled")
def find_network_service(facts: HostFacts) -> Iterator[Finding]:
    """
    network.service of the initscripts (EL 7 and 8) activates interfaces from ifcfg files at boot, beside
    NetworkManager. Both configure the same interfaces. Disable it.
    """
    if facts.service("network").is_enabled:
        yield Finding("KVN621", WARNING, "network.service is enabled", "systemctl disable network")


@examination("KVN622", "guests may start before the network")
def find_missing_wait(facts: HostFacts) -> Iterator[Finding]:
    """
    NetworkManager-wait-online.service is disabled, so network-online.target does not wait for bridges. Guests with
    autostart may start before their bridge exists, and then have no network. Enable the service.
    """
    service = facts.service("NetworkManager-wait-online")
    if facts.libvirt and service.is_installed and not service.is_enabled:
        fix = "systemctl enable NetworkManager-wait-online"
        yield Finding("KVN622", WARNING, "NetworkManager-wait-online is disabled", fix)


@examination()
def find_cluster_software(facts: HostFacts) -> Iterator[Finding]:
    if facts.surroundings.cluster:
        message = f"cluster software is active and may fence this host: {', '.join(facts.surroundings.cluster)}"
        yield Finding("KVN511", WARNING, message, "pcs property set maintenance-mode=true, before a change")
