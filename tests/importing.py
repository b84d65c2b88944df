"""States printed as the files of other tools, and what is lost between two states: for round trips through importers.

The writers are independent of the importers: they follow the documentation of each format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvmnet.core.definition.document import Source

State = dict[str, Any]
FAMILIES = ("ipv4", "ipv6")
#: Types of interfaces that importers leave to libvirt.
GUEST_TYPES = ("mac-vtap", "loopback")
#: Bond options with the values that the kernel has by default (bonding.rst): importers leave them out.
BOND_DEFAULTS: dict[str, Any] = {
    "all_slaves_active": "dropped", "arp_all_targets": "any", "arp_validate": "none", "fail_over_mac": "none",
    "ad_actor_sys_prio": 65535, "ad_select": "stable", "ad_user_port_key": 0, "lacp_rate": "slow", "min_links": 0,
    "lp_interval": 1, "num_grat_arp": 1, "num_unsol_na": 1, "packets_per_slave": 1, "primary_reselect": "always",
    "resend_igmp": 1, "tlb_dynamic_lb": True, "use_carrier": True, "xmit_hash_policy": "layer2", "miimon": 100,
    "updelay": 0, "downdelay": 0, "arp_interval": 0, "arp_missed_max": 2, "balance_slb": False,
}  # fmt: skip
BRIDGE_DEFAULTS = {"multicast-snooping": True, "mac-ageing-time": 300, "group-forward-mask": 0}


def differences(before: State, after: State) -> list[str]:
    """Return what of a state is missing or different in another one, a line each: PATH: VALUE -> VALUE."""
    rows = {i["name"]: normal(i) for i in before["interfaces"] if i["type"] not in GUEST_TYPES}
    found = {i["name"]: normal(i) for i in after["interfaces"]}
    lines: list[str] = []
    for name, interface in rows.items():
        if name in found:
            lines += _compare(name, interface, found[name])
        elif interface["type"] != "ethernet" or any(interface.get(f, {}).get("enabled") for f in FAMILIES):
            lines.append(f"{name}: missing")
    lines += [f"{name}: new" for name in found if name not in rows]
    return [*lines, *_compare("routes", _routes(before), _routes(after))]


def _routes(state: State) -> dict[str, Any]:
    rows = state.get("routes", {}).get("config", [])
    return {
        f"{r['destination']} {r.get('next-hop-address', r['next-hop-interface'])} {r.get('table-id')}": r for r in rows
    }


def normal(interface: dict[str, Any]) -> dict[str, Any]:
    """Return an interface without values that are defaults, and without the promiscuous mode of a naming policy."""
    result = {k: v for k, v in interface.items() if (k, v) != ("mtu", 1500) and k != "accept-all-mac-addresses"}
    if "link-aggregation" in result:
        bond = result["link-aggregation"]
        options = {k: v for k, v in bond["options"].items() if BOND_DEFAULTS.get(k) != v}
        if options.get("num_grat_arp") == options.get("num_unsol_na"):
            options.pop("num_unsol_na", None)
        result["link-aggregation"] = {**bond, "options": options, "port": sorted(bond["port"])}
    if "bridge" in result:
        options = {k: v for k, v in result["bridge"]["options"].items() if BRIDGE_DEFAULTS.get(k) != v}
        ports = sorted(port["name"] for port in result["bridge"].get("port", []))
        result["bridge"] = {**result["bridge"], "options": options, "port": ports}
    if "mac-address" in result:
        result["mac-address"] = str(result["mac-address"]).lower()
    return result


def _compare(path: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _compare(f"{path}.{key}", before.get(key), after.get(key))
    elif before != after:
        yield f"{path}: {before} -> {after}"


def write_keyfiles(state: State) -> list[Source]:
    """Return a state as NetworkManager's keyfiles (nm-settings-keyfile(5)): one for each interface."""
    controllers = _controllers(state)
    return [
        Source(f"{interface['name']}.nmconnection", _write_keyfile(interface, state, controllers))
        for interface in state["interfaces"]
        if interface["type"] not in GUEST_TYPES
    ]


def _controllers(state: State) -> dict[str, tuple[str, str]]:
    """Return the controller of each port, with its type in NetworkManager."""
    found = {}
    for interface in state["interfaces"]:
        for port in interface.get("bridge", {}).get("port", []):
            found[port["name"]] = (interface["name"], "bridge")
        for port in interface.get("link-aggregation", {}).get("port", []):
            found[port] = (interface["name"], "bond")
    return found


_NM_TYPES = {"linux-bridge": "bridge", **{kind: kind for kind in ("ethernet", "bond", "vlan", "dummy", "infiniband")}}


def _write_keyfile(interface: State, state: State, controllers: dict[str, tuple[str, str]]) -> str:
    name, kind = interface["name"], _NM_TYPES[interface["type"]]
    groups: dict[str, dict[str, Any]] = {
        "connection": {"id": f"profile of {name}", "type": kind, "interface-name": name},
        "ethernet": {},
    }
    if name in controllers:
        groups["connection"].update(zip(("controller", "port-type"), controllers[name]))
    if interface["state"] == "down":
        groups["connection"]["autoconnect"] = "false"
    if "mtu" in interface:
        groups["ethernet"]["mtu"] = interface["mtu"]
    if "mac-address" in interface and kind != "ethernet":
        groups["ethernet"]["cloned-mac-address"] = interface["mac-address"].upper()
    if kind == "infiniband":
        groups["infiniband"] = {"transport-mode": interface["infiniband"]["mode"]}
    if kind == "vlan":
        groups["vlan"] = {"parent": interface["vlan"]["base-iface"], "id": interface["vlan"]["id"]}
    if kind == "bond":
        bond = interface["link-aggregation"]
        groups["bond"] = {"mode": bond["mode"], **{k: _bond_value(v) for k, v in bond["options"].items()}}
    if kind == "bridge":
        groups["bridge"] = _bridge_group(interface["bridge"]["options"])
    for family in ("ipv4", "ipv6"):
        groups[family] = _family_group(interface, family, state)
    return "".join(f"[{group}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items()) for group, keys in groups.items())


def _bond_value(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else ",".join(value) if isinstance(value, list) else value


def _bridge_group(options: dict[str, Any]) -> dict[str, Any]:
    names = {"mac-ageing-time": "ageing-time", "group-forward-mask": "group-forward-mask"}
    group = {"stp": str(options["stp"]["enabled"]).lower()}
    group.update({names[key]: value for key, value in options.items() if key in names})
    if "priority" in options["stp"]:
        group["priority"] = options["stp"]["priority"]
    if "multicast-snooping" in options:
        group["multicast-snooping"] = str(options["multicast-snooping"]).lower()
    return group


def _family_group(interface: State, family: str, state: State) -> dict[str, Any]:
    values = interface.get(family, {})
    if not values.get("enabled"):
        return {"method": "disabled"}
    addresses = values.get("address", [])
    if family == "ipv4":
        method = "auto" if values["dhcp"] else "manual"
    elif values.get("autoconf"):
        method = "auto"
    else:
        method = "dhcp" if values["dhcp"] else "manual" if addresses else "link-local"
    group: dict[str, Any] = {"method": method}
    group.update({f"address{n}": f"{a['ip']}/{a['prefix-length']}" for n, a in enumerate(addresses, 1)})
    if values.get("auto-gateway") is False:
        group["never-default"] = "true"
    if "auto-route-metric" in values:
        group["route-metric"] = values["auto-route-metric"]
    if values.get("auto-dns") is False:
        group["ignore-auto-dns"] = "true"
    group.update(_routes_of(interface["name"], family, state))
    group.update(_servers_of(interface, family, state))
    return group


def _routes_of(name: str, family: str, state: State) -> dict[str, Any]:
    """Return the routes of an interface: all of them as routeN, the default ones too."""
    rows = [
        r
        for r in state.get("routes", {}).get("config", [])
        if r["next-hop-interface"] == name and (":" in r["destination"]) == (family == "ipv6")
    ]
    keys: dict[str, Any] = {}
    nowhere = "0.0.0.0" if family == "ipv4" else "::"
    for number, row in enumerate(rows, 1):
        keys[f"route{number}"] = f"{row['destination']},{row.get('next-hop-address', nowhere)},{row['metric']}"
        keys[f"route{number}_options"] = f"table={row['table-id']}"
    return keys


def _servers_of(interface: State, family: str, state: State) -> dict[str, Any]:
    """Return the name servers for the interfaces that take none from elsewhere, and for the first static one."""
    dns = state.get("dns-resolver", {}).get("config", {})
    servers = [s for s in dns.get("server", []) if (":" in s) == (family == "ipv6")]
    if not servers or interface["name"] != _server_holder(state):
        return {}
    return {"dns": ";".join(servers) + ";", "dns-search": ";".join([*dns.get("search", []), ""])}


def _server_holder(state: State) -> str:
    return next((i["name"] for i in state["interfaces"] if i.get("ipv4", {}).get("enabled")), "")


def write_ifcfg(state: State) -> list[Source]:
    """Return a state as ifcfg and route files (sysconfig.txt of the initscripts, nm-settings-ifcfg-rh(5))."""
    controllers = _controllers(state)
    sources = []
    for interface in state["interfaces"]:
        if interface["type"] not in GUEST_TYPES:
            name = interface["name"]
            sources.append(Source(f"ifcfg-{name}", _write_ifcfg_file(interface, state, controllers)))
            for family, prefix in (("ipv4", "route"), ("ipv6", "route6")):
                routes = list(_routes_of(name, family, state).items())
                lines = [
                    _ifcfg_route(name, *route.split(",")) + options.replace("=", " ").join([" ", "\n"])
                    for (_, route), (_, options) in zip(routes[::2], routes[1::2])
                ]
                if lines:
                    sources.append(Source(f"{prefix}-{name}", "".join(lines)))
    return sources


def _ifcfg_route(name: str, destination: str, via: str, metric: str) -> str:
    return f"{destination} {f'dev {name}' if via in ('0.0.0.0', '::') else f'via {via}'} metric {metric}"


def _write_ifcfg_file(interface: State, state: State, controllers: dict[str, tuple[str, str]]) -> str:
    name, kind = interface["name"], _NM_TYPES[interface["type"]]
    keys: dict[str, Any] = {"DEVICE": name, "NAME": f'"profile of {name}"', "ONBOOT": "yes", "BOOTPROTO": "none"}
    keys["TYPE"] = {
        "ethernet": "Ethernet",
        "bridge": "Bridge",
        "bond": "Bond",
        "vlan": "Vlan",
        "dummy": "Dummy",
        "infiniband": "InfiniBand",
    }[kind]
    if name in controllers:
        keys[{"bridge": "BRIDGE", "bond": "MASTER"}[controllers[name][1]]] = controllers[name][0]
    if "mtu" in interface:
        keys["MTU"] = interface["mtu"]
    if "mac-address" in interface and kind != "ethernet":
        keys["MACADDR"] = interface["mac-address"]
    if kind == "vlan":
        keys.update(VLAN="yes", PHYSDEV=interface["vlan"]["base-iface"], VLAN_ID=interface["vlan"]["id"])
    if kind == "bond":
        bond = interface["link-aggregation"]
        words = [f"mode={bond['mode']}", *(f"{k}={_bond_value(v)}" for k, v in bond["options"].items())]
        keys["BONDING_OPTS"] = f'"{" ".join(words)}"'
    if kind == "bridge":
        keys["STP"] = "yes" if interface["bridge"]["options"]["stp"]["enabled"] else "no"
    _add_ifcfg_addresses(keys, interface)
    if name == _server_holder(state):
        dns = state.get("dns-resolver", {}).get("config", {})
        keys.update({f"DNS{number}": server for number, server in enumerate(dns.get("server", []), 1)})
    return "".join(f"{key}={value}\n" for key, value in keys.items())


def _add_ifcfg_addresses(keys: dict[str, Any], interface: State) -> None:
    four, six = interface.get("ipv4", {"enabled": False}), interface.get("ipv6", {"enabled": False})
    if four["enabled"] and four.get("dhcp"):
        keys["BOOTPROTO"] = "dhcp"
    for number, row in enumerate(four.get("address", [])):
        keys[f"IPADDR{number or ''}"], keys[f"PREFIX{number or ''}"] = row["ip"], row["prefix-length"]
    keys["IPV6INIT"] = "yes" if six["enabled"] else "no"
    if six["enabled"]:
        rows = [f"{row['ip']}/{row['prefix-length']}" for row in six.get("address", [])]
        keys["IPV6_AUTOCONF"] = "yes" if six.get("autoconf") else "no"
        keys["DHCPV6C"] = "yes" if six.get("dhcp") else "no"
        if rows:
            keys["IPV6ADDR"] = rows[0]
            keys["IPV6ADDR_SECONDARIES"] = f'"{" ".join(rows[1:])}"'
