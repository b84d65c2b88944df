"""What the kernel must show once a state is applied."""

from __future__ import annotations

from typing import Any

from kvmnet.core.bundle import State, port_names


def expectations(state: State) -> list[dict[str, Any]]:
    """What the kernel must show once a state is applied, one entry an interface: to be read back, since no
    return code is believed about the network."""
    controllers = {port: i["name"] for i in state.get("interfaces", []) for port in port_names(i)}
    found = []
    for interface in state.get("interfaces", []):
        if interface.get("state") == "absent":
            found.append({"name": interface["name"], "absent": True})
        if interface.get("state") != "up":
            continue
        expected: dict[str, Any] = {"name": interface["name"]}
        if interface["name"] in controllers:
            expected["master"] = controllers[interface["name"]]
        if interface.get("accept-all-mac-addresses"):
            expected["promiscuous"] = True
        if interface["type"] == "linux-bridge":
            expected["kind"] = "bridge"
        if "mac-address" in interface and interface["type"] != "ethernet":
            expected["address"] = str(interface["mac-address"]).lower()
        if "mtu" in interface:
            expected["mtu"] = interface["mtu"]
        expected["addresses"] = [
            f"{a['ip']}/{a['prefix-length']}"
            for family in ("ipv4", "ipv6")
            for a in interface.get(family, {}).get("address", [])
        ]
        expected["routes"] = [
            {"to": r["destination"], "via": r["next-hop-address"]}
            for r in state.get("routes", {}).get("config", [])
            if r.get("next-hop-interface") == interface["name"] and r.get("next-hop-address")
        ]
        found.append(expected)
    return found
