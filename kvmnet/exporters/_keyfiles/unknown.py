"""Finds the settings of an interface that the exporter writes into no keyfile: most are passed through to nmstate.

What is not listed here is refused, so that a setting that is new in states is never left out silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kvmnet.core.base.nmstate import ETHERNET, INFINIBAND

_TYPES = (ETHERNET, INFINIBAND, "linux-bridge", "bond", "vlan", "mac-vtap", "dummy", "loopback")
#: The keys that the exporter writes, by the path of the mapping. The keys of other mappings are all written.
_KEYS = {
    "": (
        *("name", "type", "state", "mtu", "mac-address", "accept-all-mac-addresses", "ipv4", "ipv6"),
        *("bridge", "link-aggregation", "vlan", "mac-vtap", INFINIBAND),
    ),
    "bridge": ("options", "port"),
    "bridge.options": ("group-forward-mask", "mac-ageing-time", "multicast-snooping", "stp", "vlan-default-pvid"),
    "bridge.options.stp": ("enabled", "priority"),
    "vlan": ("base-iface", "id"),
}


def find_unknown(interface: Mapping[str, Any]) -> Iterator[str]:
    """Yield what no keyfile would have: the type, or keys with their path, such as `bridge.options.stp.hello-time`."""
    if interface["type"] not in _TYPES:
        yield f"type {interface['type']}"
        return
    yield from _find_keys(interface, "")


def _find_keys(mapping: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in mapping.items():
        place = f"{path}.{key}" if path else key
        if key not in _KEYS[path]:
            yield place
        elif place in _KEYS:
            yield from _find_keys(value, place)
