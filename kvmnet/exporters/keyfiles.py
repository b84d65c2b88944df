"""Exports NetworkManager's keyfiles and the .link files of each host, for an image or an installer.

The files have their paths below /etc on the host. They contain all that `kvmnet apply` sets and the host keeps: also
zones and VLAN filtering, for which nmstate has no key, the names of NICs, the hostname, and the settings of hosts with
guests. What a guest has on demand is not among them: libvirt's hook creates it when the guest starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvmnet.core.base.nmstate import ETHERNET, FAMILIES, interfaces_of
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.planning.complete_bundle import choose_macs, complete_bundle, has_changing_mac
from kvmnet.core.planning.ownership import profile_uuid
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.guest_settings import guest_settings
from kvmnet.exporters import Exporter, File, Files, Group, Options
from kvmnet.exporters._keyfiles.addresses import Placed, place_name_servers, place_routes, place_rules
from kvmnet.exporters._keyfiles.profile import Identity, Sections, find_ports, make_profile
from kvmnet.exporters._keyfiles.unknown import find_unknown
from kvmnet.exporters._plain_nmstate import CannotExport

KEYFILE_FOLDER, LINK_FOLDER = "etc/NetworkManager/system-connections", "etc/systemd/network"
#: NetworkManager ignores keyfiles that others can read.
KEYFILE_MODE = 0o600


def export_keyfiles(bundles: Sequence[Bundle], options: Options, groups: Sequence[Group]) -> Files:
    """Return the files below HOST/etc for each host. Raises CannotExport for a host with settings that the exporter
    does not know, or with a name server, route or rule that no connection profile can have."""
    files: dict[str, File] = {}
    reasons: list[str] = []
    for bundle in bundles:
        if unknown := _find_unknown(bundle):
            reasons += unknown
            continue
        completed = _complete(bundle)
        placed, homeless = _place(completed)
        reasons += [f"host {bundle.host}: {text}" for text in homeless]
        files.update({f"{bundle.host}/{path}": file for path, file in _list_files(completed, placed)})
    if reasons:
        raise CannotExport(
            "keyfiles cannot express everything: " + "; ".join(reasons),
            "apply these hosts with `kvmnet apply`, and export the others with --host",
        )
    return files


def _find_unknown(bundle: Bundle) -> list[str]:
    """Return which settings of a host the exporter does not know, a line for each interface."""
    unknown = {str(i["name"]): list(find_unknown(i)) for i in interfaces_of(bundle.state)}
    return [
        f"host {bundle.host}: {name} has settings that only nmstate can apply ({', '.join(keys)})"
        for name, keys in unknown.items()
        if keys
    ]


def _complete(bundle: Bundle) -> Bundle:
    """Return the bundle with the MAC addresses of bridges and bonds that `kvmnet apply` would choose, as far as the
    definition states those of the NICs."""
    links = {nic.name: Link(nic.name, nic.mac, None) for nic in bundle.nics if nic.mac is not None}
    return complete_bundle(bundle, choose_macs(bundle, Live(bundle.host, {"interfaces": []}, links, {})))


def _place(bundle: Bundle) -> tuple[Placed, list[str]]:
    """Return the routes, rules and name servers by interface and family, and why some have no place."""
    rules, homeless_rules = place_rules(bundle.state)
    servers, homeless_servers = place_name_servers(bundle.state)
    reasons = [f"no interface has an address for rule {text}" for text in homeless_rules]
    reasons += [f"no interface has an address to reach name server or domain {text}" for text in homeless_servers]
    usable = {(i["name"], family) for i in interfaces_of(bundle.state) for family in FAMILIES if _is_enabled(i, family)}
    placed: dict[tuple[str, str], dict[str, str]] = {}
    for part in (place_routes(bundle.state), rules, servers):
        for (interface, family), section in part.items():
            if (interface, family) not in usable:
                reasons.append(f"{interface} has a route but no {family} address")
            placed.setdefault((interface, family), {}).update(section)
    return placed, reasons


def _is_enabled(interface: Mapping[str, Any], family: str) -> bool:
    return bool(interface.get(family, {}).get("enabled"))


def _list_files(bundle: Bundle, placed: Placed) -> Iterator[tuple[str, File]]:
    """Yield the files of a host by their path from its root folder."""
    interfaces = interfaces_of(bundle.state)
    ports, nics = find_ports(interfaces), {nic.name: nic for nic in bundle.nics}
    for interface in interfaces:
        name = str(interface["name"])
        nic = nics.get(name)
        is_named = nic is not None and nic.link_file is not None and interface["type"] == ETHERNET
        identity = Identity(profile_uuid(bundle.host, name), nic.mac if nic is not None and is_named else None)
        settings = bundle.profile_settings.get(name, {})
        sections = make_profile(interface, identity, ports.get(name), settings, placed)
        yield f"{KEYFILE_FOLDER}/{name}.nmconnection", File(_format_keyfile(bundle, name, sections), KEYFILE_MODE)
    for file_name, text in sorted(bundle.links.items()):
        yield f"{LINK_FOLDER}/{file_name}", File(text)
    for interface in filter(_takes_mac_of_port, interfaces):
        yield f"{LINK_FOLDER}/{_mac_file_name(interface)}", File(_format_mac_file(interface))
    for path, text in guest_settings(bundle).items():
        yield path.lstrip("/"), File(text)
    if "hostname" in bundle.state:
        yield "etc/hostname", File(f"{bundle.state['hostname']['config']}\n")


def _format_keyfile(bundle: Bundle, name: str, sections: Sections) -> str:
    lines = [f"# Written by kvmnet export keyfiles: {name} of host {bundle.host}, cluster {bundle.cluster}."]
    if name in bundle.descriptions:
        lines.append(f"# {bundle.descriptions[name]}")
    for section, keys in sections.items():
        lines += [f"[{section}]", *(f"{key}={value}" for key, value in keys.items()), ""]
    return "\n".join(lines)


def _takes_mac_of_port(interface: Mapping[str, Any]) -> bool:
    """Whether a bridge or bond gets the MAC address of a NIC of which the definition states none. systemd would give it
    another one, which it makes from the interface's name (MACAddressPolicy=persistent of systemd's 99-default.link)."""
    is_controller = interface["type"] in ("linux-bridge", "bond") and interface["state"] == "up"
    return is_controller and "mac-address" not in interface and not has_changing_mac(interface)


def _mac_file_name(interface: Mapping[str, Any]) -> str:
    return f"10-kvmnet-{interface['name']}.link"


def _format_mac_file(interface: Mapping[str, Any]) -> str:
    """Return a .link file by which a bridge or bond gets the MAC address of its port from the kernel."""
    return (
        f"# Written by kvmnet: {interface['name']} gets the MAC address of its port.\n"
        f"[Match]\nOriginalName={interface['name']}\n\n[Link]\nMACAddressPolicy=none\n"
    )


EXPORTER = Exporter(
    name="keyfiles",
    help="NetworkManager's keyfiles with the .link files of each host, for an image or an installer.",
    function=export_keyfiles,
)
