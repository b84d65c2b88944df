"""What the kernel must show after a state was applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from kvmnet.core.base.bridge_vlans import default_vlan, read_membership
from kvmnet.core.base.nmstate import (
    FAMILIES,
    KERNEL_KINDS,
    MAIN_TABLE,
    State,
    interfaces_of,
    port_names,
    routes_of,
    rules_of,
)
from kvmnet.core.base.profile_settings import PROFILE_SETTINGS
from kvmnet.core.planning.profile_changes import Settings


def make_expectations(
    state: State, settings: Optional[Mapping[str, Settings]] = None, virtual: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return what to read back from the kernel after `state` was applied, one entry for each interface. kvmnet does
    not rely on nmstate's return code. `settings` are those of connection profiles, by the interface's name. Virtual
    addresses (without prefix) may be there or not."""
    controllers = {port: i["name"] for i in interfaces_of(state) for port in port_names(i)}
    entries = []
    for interface in interfaces_of(state):
        if interface.get("state") == "absent":
            entries.append({"name": interface["name"], "absent": True})
        elif interface.get("state") == "down":
            entries.append({"name": interface["name"], "down": True})
        elif interface.get("state") == "up":
            entry = _expected_up(interface, controllers.get(interface["name"]), state)
            options = _expected_options((settings or {}).get(interface["name"], {}))
            options = {**entry.get("options", {}), **options}
            entries.append({**entry, "options": options} if options else entry)
    return [{**entry, "virtual": list(virtual)} for entry in entries] if virtual else entries


def expected_rules(wanted: State, sent: State) -> list[dict[str, Any]]:
    """Return the routing rules to read back: those of the `wanted` state, and those that the `sent` one removes
    (`absent`)."""
    removed = [rule for rule in rules_of(sent) if rule.get("state") == "absent"]
    return [
        {
            "family": "6" if rule["family"] == "ipv6" else "4",
            "priority": rule["priority"],
            "from": rule.get("ip-from"),
            "to": rule.get("ip-to"),
            "table": None if rule.get("action") else rule.get("route-table") or MAIN_TABLE,
            **({"absent": True} if rule.get("state") == "absent" else {}),
        }
        for rule in [*rules_of(wanted), *removed]
    ]


def list_own_rules(*states: State) -> list[dict[str, Any]]:
    """Return the priority, source and destination of the routing rules of these states, each once. A rollback restores
    these rules, and none of another tool."""
    selectors = {
        (rule["priority"], rule.get("ip-from"), rule.get("ip-to")): None for state in states for rule in rules_of(state)
    }
    return [{"priority": priority, "from": source, "to": to} for priority, source, to in selectors]


def _expected_options(settings: Settings) -> dict[str, Any]:
    """Return what `ip -d -j link` shows for settings of a connection profile, as far as it shows them."""
    rows = [(PROFILE_SETTINGS[name], value) for name, value in settings.items()]
    return {row.kernel: row.to_kernel(value) for row, value in rows if row.kernel}


def _expected_up(interface: Mapping[str, Any], controller: Any, state: State) -> dict[str, Any]:
    expected: dict[str, Any] = {"name": interface["name"]}
    if controller is not None:
        expected["master"] = controller
    if interface.get("accept-all-mac-addresses"):
        expected["promiscuous"] = True
    expected.update(_expected_of_type(interface))
    if "mac-address" in interface and interface["type"] != "ethernet":
        expected["address"] = str(interface["mac-address"]).lower()
    if "mtu" in interface:
        expected["mtu"] = interface["mtu"]
    expected["addresses"] = [
        f"{a['ip']}/{a['prefix-length']}" for family in FAMILIES for a in interface.get(family, {}).get("address", [])
    ]
    disabled = [
        version for version, family in ((4, "ipv4"), (6, "ipv6")) if interface.get(family) == {"enabled": False}
    ]
    if disabled:
        expected["without"] = disabled
    expected["routes"] = [
        {"to": route["destination"], "via": route.get("next-hop-address")}
        for route in routes_of(state)
        if route.get("next-hop-interface") == interface["name"] and route.get("state") != "absent"
    ]
    return expected


def _expected_of_type(interface: Mapping[str, Any]) -> dict[str, Any]:
    """Return what only interfaces of this type have."""
    expected: dict[str, Any] = {}
    if interface["type"] in KERNEL_KINDS:
        expected["kind"] = KERNEL_KINDS[interface["type"]]
    section = interface.get(interface["type"], {})
    if interface["type"] == "vlan":
        expected.update(base=section["base-iface"], tag=section["id"])
    if interface["type"] in ("mac-vtap", "mac-vlan"):
        expected.update(base=section["base-iface"], mode=section["mode"])
    if passed := _expected_passed(interface["type"], section):
        expected["options"] = passed
    if "bridge" in interface:
        expected.update(_expected_bridge_options(interface["bridge"].get("options", {})))
        if vlans := _expected_port_vlans(interface["bridge"]):
            expected["port_vlans"] = vlans
    if interface["type"] == "bond" and "link-aggregation" in interface:
        bond = interface["link-aggregation"]
        expected["bond"] = {"mode": bond["mode"], **bond.get("options", {})}
    return expected


def _expected_passed(kind: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `ip -d -j link` shows for settings that are passed through to nmstate, as far as it shows them."""
    if kind == "vlan" and "protocol" in section:
        return {"protocol": "802.1ad" if section["protocol"] == "802.1ad" else "802.1Q"}
    if kind == "vrf":
        return {"table": section["route-table-id"]}
    if kind != "vxlan":
        return {}
    shown = {"id": "id", "base-iface": "link", "destination-port": "port", "learning": "learning"}
    return {shown[key]: value for key, value in section.items() if key in shown}


def _expected_port_vlans(bridge: Mapping[str, Any]) -> dict[str, Any]:
    """Return the VLANs that each port with stated VLANs must have, by its name: those with a tag, and the one without
    (0: none)."""
    default = default_vlan(bridge.get("options", {}))
    vlans = {
        port["name"]: read_membership(port["vlan"], default) for port in bridge.get("port", []) if port.get("vlan")
    }
    return {name: {"tagged": sorted(v.tagged), "untagged": v.untagged or 0} for name, v in vlans.items()}


def _expected_bridge_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a bridge as iproute2 shows them: the ageing time in 1/100 s, the mask in hexadecimal. With
    spanning tree the kernel changes the ageing time for a while after a topology change."""
    expected: dict[str, Any] = {}
    stp = options.get("stp", {})
    if "enabled" in stp:
        expected["stp"] = int(stp["enabled"])
    if "priority" in stp:
        expected["priority"] = stp["priority"]
    if "mac-ageing-time" in options and not stp.get("enabled"):
        expected["ageing_time"] = options["mac-ageing-time"] * 100
    if "group-forward-mask" in options:
        mask = options["group-forward-mask"]
        expected["group_fwd_mask"] = f"{mask:#x}" if mask else "0"
    if "multicast-snooping" in options:
        expected["mcast_snooping"] = int(options["multicast-snooping"])
    return expected
