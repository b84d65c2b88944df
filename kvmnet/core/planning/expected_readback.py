"""What the kernel must show once a state is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvmnet.core.base.nmstate import KERNEL_KINDS, State, interfaces_of, port_names, routes_of


def expectations(state: State) -> list[dict[str, Any]]:
    """What the kernel must show once a state is applied, one entry an interface: to be read back, since no
    return code is believed about the network."""
    controllers = {port: i["name"] for i in interfaces_of(state) for port in port_names(i)}
    found = []
    for interface in interfaces_of(state):
        if interface.get("state") == "absent":
            found.append({"name": interface["name"], "absent": True})
        if interface.get("state") == "down":
            found.append({"name": interface["name"], "down": True})
        if interface.get("state") != "up":
            continue
        expected: dict[str, Any] = {"name": interface["name"]}
        if interface["name"] in controllers:
            expected["master"] = controllers[interface["name"]]
        if interface.get("accept-all-mac-addresses"):
            expected["promiscuous"] = True
        expected.update(_of_its_kind(interface))
        if "mac-address" in interface and interface["type"] != "ethernet":
            expected["address"] = str(interface["mac-address"]).lower()
        if "mtu" in interface:
            expected["mtu"] = interface["mtu"]
        expected["addresses"] = [
            f"{a['ip']}/{a['prefix-length']}"
            for family in ("ipv4", "ipv6")
            for a in interface.get(family, {}).get("address", [])
        ]
        off = [number for number, family in ((4, "ipv4"), (6, "ipv6")) if interface.get(family) == {"enabled": False}]
        if off:
            expected["without"] = off
        expected["routes"] = [
            {"to": r["destination"], "via": r["next-hop-address"]}
            for r in routes_of(state)
            if r.get("next-hop-interface") == interface["name"]
            and r.get("next-hop-address")
            and r.get("state") != "absent"
        ]
        found.append(expected)
    return found


def _of_its_kind(interface: Mapping[str, Any]) -> dict[str, Any]:
    """What only links of this kind have."""
    expected: dict[str, Any] = {}
    if interface["type"] in KERNEL_KINDS:
        expected["kind"] = KERNEL_KINDS[interface["type"]]
    over = interface.get(interface["type"], {})
    if interface["type"] == "vlan":
        expected.update(base=over["base-iface"], tag=over["id"])
    if interface["type"] == "mac-vtap":
        expected.update(base=over["base-iface"], mode=over["mode"])
    stp = interface.get("bridge", {}).get("options", {}).get("stp", {}).get("enabled")
    if stp is not None:
        expected["stp"] = int(stp)
    if interface["type"] == "bond" and "link-aggregation" in interface:
        bond = interface["link-aggregation"]
        expected["bond"] = {"mode": bond["mode"], **bond.get("options", {})}
    return expected
