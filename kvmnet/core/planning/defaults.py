"""What a definition does not say any more: kvmnet set it with the applied bundle, so it goes back to the default.

A key that the definition never said is nobody's business: the plan looks only at keys that the state has. So a key that
left would stay on the host for ever; here it comes into the state with its default value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmnet.core.base.nmstate import State, dns_of, interfaces_of

ETHERNET_MTU = 1500
Interface = dict[str, Any]


def completed(desired: State, applied: State) -> State:
    """The desired state with the defaults of what the applied one said and it does not.

    A bond's options are not in it but for the two that exclude each other: nmstate knows no word for the default of
    every option (`primary` has none), so they are taken out of the profile (see `dropped_options`). The hostname has no
    default: it stays. What of a bridge or VLAN can be said is always said.
    """
    before = {i["name"]: i for i in interfaces_of(applied)}
    new: State = {**desired}
    if "interfaces" in desired:
        mtus = {i["name"]: i.get("mtu") for i in desired["interfaces"]}
        new["interfaces"] = [_interface(i, before.get(i["name"], {}), mtus) for i in desired["interfaces"]]
    said = dns_of(applied)
    config = dns_of(desired)
    if left := [key for key in said if key not in config]:
        new["dns-resolver"] = {"config": {**config, **{key: [] for key in left}}}
    return new


def _interface(desired: Interface, before: Interface, mtus: Mapping[str, Any]) -> Interface:
    if desired.get("state") != "up" or before.get("state") != "up" or before.get("type") != desired["type"]:
        return desired
    new = {**desired}
    if "mtu" in before and "mtu" not in desired:
        new["mtu"] = mtus.get(desired.get("vlan", {}).get("base-iface")) or ETHERNET_MTU
    if "accept-all-mac-addresses" in before and "accept-all-mac-addresses" not in desired:
        new["accept-all-mac-addresses"] = False
    for family in ("ipv4", "ipv6"):
        now, said = desired.get(family, {}), before.get(family, {})
        if now.get("enabled") and "address" in said and "address" not in now:
            new[family] = {**now, "address": []}
    bond, said = desired.get("link-aggregation"), before.get("link-aggregation", {})
    if bond is not None and bond["mode"] == said.get("mode"):
        off = {o: 0 for o in ("miimon", "arp_interval") if said["options"].get(o) and o not in bond["options"]}
        new["link-aggregation"] = {**bond, "options": {**bond["options"], **off}} if off else bond
    return new


def dropped_options(desired: State, applied: State) -> dict[str, tuple[str, ...]]:
    """The options that left, by the bond's name. With another mode all options go by themselves (nmstate 2.2)."""
    before = {i["name"]: i.get("link-aggregation") for i in interfaces_of(applied)}
    found = {}
    for interface in interfaces_of(desired):
        now, said = interface.get("link-aggregation"), before.get(interface["name"])
        if now is not None and said is not None and now["mode"] == said["mode"]:
            left = tuple(sorted(set(said["options"]) - set(now["options"])))
            if left:
                found[interface["name"]] = left
    return found
