"""The static addresses of a bundle, and the one at which the host is managed."""

from __future__ import annotations

from typing import Optional

from kvmnet.core.base.nmstate import FAMILIES, interfaces_of, routes_of
from kvmnet.core.rendering.bundle import Bundle


def list_addresses(bundle: Bundle) -> dict[str, list[str]]:
    """Return the static addresses with their prefix lengths, by interface."""
    addresses = {
        str(interface["name"]): [
            f"{address['ip']}/{address['prefix-length']}"
            for family in FAMILIES
            for address in interface.get(family, {}).get("address", [])
        ]
        for interface in interfaces_of(bundle.state)
    }
    return {name: values for name, values in addresses.items() if values}


def find_management_address(bundle: Bundle) -> Optional[str]:
    """Return the address on the interface of the default route, or else the first one; None with DHCP alone."""
    addresses = list_addresses(bundle)
    defaults = [r["next-hop-interface"] for r in routes_of(bundle.state) if r["destination"] in ("0.0.0.0/0", "::/0")]
    interfaces = [name for name in [*defaults, *addresses] if name in addresses]
    return addresses[interfaces[0]][0].partition("/")[0] if interfaces else None


def list_places(bundle: Bundle) -> list[str]:
    """Return the addresses at which other machines may reach the host, that of its management first."""
    management = find_management_address(bundle)
    everything = [text.partition("/")[0] for values in list_addresses(bundle).values() for text in values]
    reachable = [a for a in everything if not a.lower().startswith(("127.", "fe80:")) and a != "::1"]
    return list(dict.fromkeys([*([management] if management in reachable else []), *reachable]))
