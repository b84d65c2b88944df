"""Random valid definitions: `cluster(rng)` returns plain data without a problem; together they use every key of the
schema."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from kvmnet import resources

Data = dict[str, Any]
SCHEMA: Data = resources.read_schema("cluster")
#: The sections of the types of nmstate's interfaces.
OF_TYPE = ("vxlan", "vrf", "mac-vlan", "vlan", "type")

#: Bond modes with the options that are for them alone; see Documentation/networking/bonding.rst.
MODES: dict[str, dict[str, list[Any]]] = {
    "balance-rr": {"packets_per_slave": [0, 4]},
    "active-backup": {"fail_over_mac": ["none", "active", "follow"]},
    "balance-xor": {},
    "broadcast": {},
    "802.3ad": {
        "ad_actor_sys_prio": [1, 65535],
        "ad_actor_system": ["00:14:4f:00:00:01"],
        "ad_select": ["stable", "bandwidth", "count"],
        "ad_user_port_key": [0, 1023],
        "lacp_rate": ["slow", "fast"],
        "min_links": [0, 1],
    },
    "balance-tlb": {"tlb_dynamic_lb": [True, False]},
    "balance-alb": {"tlb_dynamic_lb": [True, False]},
}
#: Modes whose ports do not need a partner that speaks LACP or a balancing that learns: ARP probes work there.
BY_ARP = ("balance-rr", "active-backup", "balance-xor", "broadcast")
ONE_AT_A_TIME = ("active-backup", "balance-tlb", "balance-alb")
ANY_MODE: dict[str, list[Any]] = {
    "all_slaves_active": ["dropped", "delivered"],
    "lp_interval": [1, 5],
    "num_grat_arp": [0, 255],
    "num_unsol_na": [0, 255],
    "resend_igmp": [0, 1],
    "use_carrier": [True, False],
    "primary_reselect": ["always", "better", "failure"],
}


def cluster(rng: Random, with_nmstate: bool = True) -> Data:
    """Return a definition that has no problem, not even a warning. `with_nmstate`: it may pass settings through to
    nmstate, which importers do not write into a definition."""
    return _Cluster(rng, with_nmstate).data


class _Cluster:
    """A definition, made part by part: each part uses those before it."""

    def __init__(self, rng: Random, with_nmstate: bool) -> None:
        self.rng, self.with_nmstate = rng, with_nmstate
        self.macs = 0
        self.table = 254
        self.data: Data = {"kvmnet": 1, "cluster": "c", "profile": rng.choice(["rocks", "plain"])}
        self.plain = rng.randint(1, 3)
        self.aware = self.now(0.4)
        """Whether the bridges on net-0 are VLAN-aware: guests are connected to its logical VLANs by them."""
        if self.now(0.3):
            self.data["hostname"] = self.now(0.5)
        if self.now(0.3):
            self.data["profiles"] = self.profiles()
            self.data["profile"] = rng.choice(list(self.data["profiles"]))
        self.data["networks"] = self.networks()
        self.data["groups"] = self.groups()
        self.data["hosts"] = {f"host-{n}": self.host(n) for n in range(rng.randint(2, 4))}
        self.data["guests"] = self.guests()
        if self.now(0.3):
            self.data["routes"] = [self.route("10.90.0.0/16"), *self.silenced_routes()]
        if self.now(0.3):
            self.data["rules"] = [{"to": "10.90.0.0/16", "table": 254, "priority": 100}]
        if self.table != 254:  # the default routes are there
            everything: list[Data] = [{"family": "ipv4"}, {"family": "ipv6"}]
            self.data["rules"] = [
                *self.data.get("rules", []),
                *({**rule, "table": self.table, "priority": 31000} for rule in everything),
            ]
        if self.now(0.3):
            self.data["probes"] = self.probes(everywhere=True)
        self.silences()

    def now(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, data: Data, key: str, share: float, *values: Any) -> None:
        """Set a key to one of the values, with the probability `share`."""
        if self.now(share):
            data[key] = self.rng.choice(values)

    def mac(self, local: bool = False) -> str:
        """Return a MAC address that no other NIC has. Its last six digits are unique too, because they are in the
        names of macvtaps."""
        self.macs += 1
        return ("02" if local else "00") + ":14:4f:" + ":".join(f"{self.macs:06x}"[i : i + 2] for i in (0, 2, 4))

    # ------------------------------------------------------------------ profiles and networks

    def profiles(self) -> Data:
        own: Data = {"extends": self.rng.choice(["rocks", "plain"])}
        self.pick(own, "description", 0.5, "ours")
        if self.now(0.5):
            own["nic"] = {"promiscuous": self.now(0.5)}
            self.pick(own["nic"], "rename", 0.5, "x{interface}", "n{interface}")
        if self.now(0.5):
            own["bridge"] = {"name": "b-{interface}"}
            self.pick(own["bridge"], "beside", 0.6, "c-{interface}")
            self.pick(own["bridge"], "stp", 0.6, True, False)
        if self.now(0.5):
            own["vlan"] = {"name": self.rng.choice(["{nic}.{tag}", "v{tag}", "{interface}"])}
        if self.now(0.5):
            own["macvtap"] = {}
            self.pick(own["macvtap"], "name", 0.6, "t{mac6}", "t{mac}")
            self.pick(own["macvtap"], "mode", 0.6, "bridge", "private", "vepa")
        self.pick(own, "attach", 0.5, "always", "on-demand")
        if self.now(0.5):
            own["default_route"] = {}
            self.pick(own["default_route"], "metric", 0.6, 50)
            self.pick(own["default_route"], "table", 0.6, 100)
            self.table = own["default_route"].get("table", 254)
        return {"ours": own, "more": {"extends": "ours"}} if self.now(0.5) else {"ours": own}

    def networks(self) -> Data:
        found: Data = {}
        for n in range(self.plain):
            net: Data = {"subnets": [f"10.{n}.0.0/16", f"2001:db8:{n}::/64"]}
            if self.now(0.5):
                net["gateway"] = f"10.{n}.0.1"
            elif self.now(0.7):
                net["gateways"] = [f"10.{n}.0.1", self.rng.choice([f"2001:db8:{n}::1", "fe80::1"])]
            if n or self.now(0.3):  # each default route has a metric of its own, so none is in doubt
                net.update({"metric": 1000 + n} if self.now(0.5) else {"default_route": False})
            if self.now(0.5):
                net["dns"] = {"servers": [f"10.{n}.0.53"]}
                self.pick(net["dns"], "search", 0.5, ["example.org"], ["local", "example.org"])
            self.pick(net, "mtu", 0.4, 1500, 4000)
            self.pick(net, "zone", 0.3, "internal", "public")
            found[f"net-{n}"] = net
        found["island"] = {"subnets": ["10.70.0.0/16"]}
        self.pick(found["island"], "mtu", 0.2, 1400, 1500)
        for n in range(self.rng.randint(0, 2)):
            found[f"tagged-{n}"] = {"subnets": [f"10.{100 + n}.0.0/16"], "vlan": 100 + n}
            self.pick(found[f"tagged-{n}"], "mtu", 0.4, 1500, 4000)
        for n in range(self.rng.randint(0, 2)):
            found[f"logical-{n}"] = {"vlan": 200 + n, "over": "net-0"}
            if not self.aware:
                self.pick(found[f"logical-{n}"], "attach", 0.4, "always", "on-demand")
                self.pick(found[f"logical-{n}"], "mtu", 0.3, 1500, 4000)
        return found

    # ------------------------------------------------------------------ groups and hosts

    def groups(self) -> Data:
        """Nested groups; all their hosts run guests and have net-0."""
        base: Data = {"kvm": True, "interfaces": {"eth0": {"network": "net-0"}}}
        self.pick(base, "hostname", 0.3, True, False)
        if self.now(0.3):
            base["routes"] = [self.route("10.91.0.0/16")]
        if self.now(0.3):
            base["probes"] = self.probes()
        self.default_routes(base)
        if self.now(0.2):
            base["rules"] = [{"from": "10.91.0.0/16", "table": 254}]
        over: Data = {"group": "base"}
        self.pick(over, "profile", 0.3, "rocks", "plain")
        return {"base": base, "over": over, "empty": {}}

    def route(self, to: str) -> Data:
        route = {"to": to, "via": "10.0.0.254"}
        self.pick(route, "metric", 0.4, 7)
        self.pick(route, "table", 0.4, 254)
        return route

    def probes(self, everywhere: bool = False) -> list[Data]:
        """Probes of host names, or of machines on net-0 if not every host has an address there."""
        found: list[Data] = [
            {"tcp": "storage.example.org:3260"},
            {"http": "https://storage.example.org:8443/health?full=1"},
            {"command": self.rng.choice([["true"], ["ceph", "-s", "--connect-timeout", "5"]])},
        ]
        if not everywhere:  # one host may have the address 10.0.1.1 itself
            tcp = self.rng.choice(["10.0.0.250:22", "10.0.1.1:22"])
            found += [{"ping": "10.0.0.250"}, {"tcp": tcp}, {"http": "http://10.0.0.250/"}]
        return self.rng.sample(found, self.rng.randint(1, len(found)))

    def silenced_routes(self) -> list[Data]:
        silence = [{"code": "KVN181", "reason": "for hosts to come"}]
        return [{"to": "10.92.0.0/16", "via": "192.0.2.1", "silence": silence}] if self.now(0.5) else []

    def nic(self) -> Data:
        mac, name = self.mac(), f"enp{self.macs}s0"
        return self.rng.choice([{"mac": mac}, {"match": {"mac": mac}}, {"match": {"mac": mac, "name": name}}])

    def host(self, number: int) -> Data:
        host: Data = {"interfaces": {}}
        kinds = [None, "base", "over"]
        group = self.rng.choice(kinds)
        if group:
            host["group"] = group
        elif self.now(0.5):
            host["kvm"] = self.now(0.7)
        self.pick(host, "profile", 0.2, "rocks", "plain")
        self.pick(host, "hostname", 0.3, True, False, f"name-{number}")
        if self.now(0.3):
            host["routes"] = [self.route("10.93.0.0/16")]
        self.policy_routing(host)
        self.default_routes(host)
        if self.now(0.3):
            host["probes"] = self.probes()
        interfaces = host["interfaces"]
        interfaces["eth0"] = {**self.nic(), **({} if group else {"network": "net-0"})}
        self.addressed(interfaces["eth0"], 0, number, always=True)
        for n in range(1, self.plain):
            if self.now(0.6):
                interfaces[f"eth{n}"] = {**self.nic(), "network": f"net-{n}"}
                self.addressed(interfaces[f"eth{n}"], n, number)
                self.pick(interfaces[f"eth{n}"], "bridge", 0.4, True, False, self.bridge(f"lan{n}"))
        if self.aware:
            self.aware_bridge(interfaces["eth0"])
        elif self.now(0.4):
            interfaces["eth0"]["bridge"] = self.bridge("br0", vlans=False)
        self.vlans(interfaces, number)
        if self.now(0.7):
            self.bond(interfaces)
        if self.now(0.5):
            self.explicit_bridge(interfaces, number)
        self.others(interfaces, number)
        if self.with_nmstate:
            self.pass_through(host)
        return host

    def pass_through(self, host: Data) -> None:
        """Settings of nmstate on the host's interfaces, and interfaces that only nmstate has a type for. They are
        chosen by the host alone, so that the rest of the definition does not depend on them."""
        rng, self.rng = self.rng, Random(repr(host))
        for key, interface in host["interfaces"].items():
            is_free = interface.get("state") != "down" and interface.get("manage") is not False
            if key in ("eth0", "eth1", "p0", "q0") and is_free and self.now(0.5):
                interface["nmstate"] = self.sample("nmstate-interface", without=("vlan", "bridge"))
            elif "type" not in interface and ("over" in interface or key.startswith("eth0.1")) and self.now(0.9):
                interface["nmstate"] = self.sample("nmstate-interface", without=("ethernet", "bridge"))
            elif interface.get("type") == "bridge" and self.now(0.9):
                interface["nmstate"] = self.sample("nmstate-interface", without=("ethernet", "vlan"))
        others: Data = {}
        if self.now(0.4):
            others["vx0"] = {**self.sample("nmstate-other", without=OF_TYPE), "type": "vxlan"}
            others["vx0"]["vxlan"] = self.part("nmstate-other", "vxlan")
        if self.now(0.4):
            others["mv0"] = {**self.sample("nmstate-other", without=OF_TYPE), "type": "mac-vlan"}
            others["mv0"]["mac-vlan"] = {**self.part("nmstate-other", "mac-vlan"), "base-iface": "qq0"}
            others["qq0"] = {"type": "vlan", "vlan": {**self.part("nmstate-other", "vlan"), "base-iface": "dm0"}}
            others["vrf0"] = {"type": "vrf", "vrf": {"port": ["mv0"], "route-table-id": 77}}
            host["interfaces"]["dm0"] = {"type": "dummy"}
        for other in others.values():
            for key in ("ipv4", "ipv6", "mac-address"):
                other.pop(key, None)
        if "mv0" in others and self.now(0.7):
            self.macs += 1
            four, six = f"203.0.113.{self.macs % 256}", f"2001:db8:203::{self.macs:x}"
            others["mv0"]["ipv4"] = {"enabled": True, "address": [{"ip": four, "prefix-length": 32}]}
            others["mv0"]["ipv6"] = {"enabled": True, "address": [{"ip": six, "prefix-length": 128}]}
            others["mv0"]["mac-address"] = self.mac(local=True)
        if "vx0" in others and "dm0" in host["interfaces"]:
            others["vx0"]["vxlan"]["base-iface"] = "dm0"
        else:
            others.get("vx0", {}).get("vxlan", {}).pop("base-iface", None)
        if others:
            host["nmstate"] = others
        self.rng = rng

    def part(self, definition: str, key: str) -> Data:
        """Return random settings of one section of nmstate."""
        settings: Data = self.value(SCHEMA["$defs"][definition]["properties"][key])
        return settings

    def sample(self, definition: str, without: tuple[str, ...]) -> Data:
        """Return random settings of nmstate, by the schema."""
        schema = SCHEMA["$defs"][definition]
        keys = [key for key, part in schema["properties"].items() if key not in without and "x-refusal" not in part]
        settings = {key: self.part(definition, key) for key in keys if self.now(0.8)}
        virtual: Data = settings.get("ethernet", {}).get("sr-iov", {})
        if "vfs" in virtual:
            virtual["total-vfs"] = 2
            for vf in virtual["vfs"]:
                if vf.get("max-tx-rate", 0) < vf.get("min-tx-rate", 0):
                    del vf["min-tx-rate"]
            if not virtual["vfs"][0].get("vlan-id"):
                virtual["vfs"][0].pop("vlan-proto", None)
        return settings

    def value(self, schema: Data) -> Any:
        """Return a random value that a part of the schema allows."""
        if "$ref" in schema:
            references = {
                "mac": "02:00:00:00:00:01",
                "ip": "192.0.2.9",
                "interface-name": "eth0",
                "mtu": 1400,
                "tag": 9,
            }
            return references[schema["$ref"].rsplit("/", 1)[1]]
        if "propertyNames" in schema:
            return {"rx-gro": self.now(0.5), "tx-checksum-ipv4": self.now(0.5)}
        if "properties" in schema:
            required = schema.get("required", ())
            parts = {k: p for k, p in schema["properties"].items() if "x-refusal" not in p}
            return {key: self.value(part) for key, part in parts.items() if key in required or self.now(0.8)}
        if schema["type"] == "array":
            return [self.value(schema["items"])]
        if "enum" in schema:
            return self.rng.choice(schema["enum"])
        if schema["type"] == "boolean":
            return self.now(0.5)
        if schema["type"] == "integer":
            return self.rng.choice([schema["minimum"], schema["minimum"] + 1])
        return "52:54:00:00:00:01"

    def default_routes(self, level: Data) -> None:
        """Settings of the default routes of a host or group; with several networks, each must have its own metric."""
        if self.plain == 1:
            self.pick(level, "metric", 0.2, 77)
        self.pick(level, "default_route", 0.1, False)

    def policy_routing(self, host: Data) -> None:
        """A table of its own with its routes, on-link next hops among them, and the rules that use it."""
        if self.now(0.7):
            return
        routes = [{"to": "10.0.0.0/16", "table": 200}, {"to": "0.0.0.0/0", "via": "10.0.0.254", "table": 200}]
        if self.now(0.5):
            routes.append({"to": "192.0.2.0/24", "via": "198.51.100.1", "interface": "eth0", "table": 200})
        host["routes"] = [*host.get("routes", []), *routes]
        rules: list[Data] = [{"from": "10.0.0.0/16", "table": 200}]
        self.pick(rules[0], "priority", 0.5, 1000)
        if self.now(0.5):
            rules.append({"from": "10.94.0.7", "to": "10.95.0.0/16", "incoming": self.rng.choice(["eth0", "lo"])})
            if rules[-1]["incoming"] == "lo":
                host["interfaces"]["lo"] = {}
            if self.now(0.5):
                rules[-1]["action"] = self.rng.choice(["blackhole", "unreachable", "prohibit"])
            else:
                rules[-1].update(table=200, fwmark=self.rng.choice([1, 16]))
        host["rules"] = rules

    def aware_bridge(self, nic: Data) -> None:
        """A VLAN-aware bridge with the logical VLANs over net-0."""
        nic["bridge"] = {**self.settings(vlans=False), **({"name": "br0"} if self.now(0.5) else {})}
        logical = [name for name in self.data["networks"] if name.startswith("logical")]
        if self.now(0.5):
            nic["trunk"] = self.rng.choice([["200-299"], [*logical, "250-260", 270], [200, "201-202"]])
        if "trunk" not in nic or self.now(0.5):
            nic["bridge"]["vlan_filtering"] = True

    def addressed(self, interface: Data, net: int, number: int, always: bool = False) -> None:
        """Addresses of both families; always a static IPv4 address if routes lead through the network."""
        four, six = f"10.{net}.1.{number + 1}", f"2001:db8:{net}::1:{number + 1}"
        source = "static" if always else self.rng.choice(["static", "static", "dhcp"])
        addresses = [four] if source == "static" or self.now(0.2) else []
        if source == "dhcp" or self.now(0.3):
            interface["ipv4"] = source
        self.pick(interface, "zone", 0.2, "trusted", "drop")
        self.pick(interface, "default_route", 0.1, False)
        self.pick(interface, "metric", 0.1, 2000 + net)
        self.pick(interface, "description", 0.2, "rack 7, port 12", "Switch: sw1")
        kind = self.rng.choice(["none", "static", "auto", "dhcp", "link-local"])
        if kind == "static" or (kind in ("auto", "dhcp") and self.now(0.3)):
            addresses.append(six)
        if kind not in ("none", "static") or self.now(0.3):
            interface["ipv6"] = kind
        if addresses:
            interface["addresses"] = addresses
        self.pick(interface, "mtu", 0.2, 9000)

    def vlans(self, interfaces: Data, number: int) -> None:
        for name in [name for name in self.data["networks"] if name.startswith("tagged") and self.now(0.6)]:
            tag = 100 + int(name[-1])
            vlan: Data = {"network": name}
            if self.now(0.5):
                vlan["addresses"] = [f"10.{tag}.1.{number + 1}"]
            self.pick(vlan, "bridge", 0.5, True, False, f"br{tag}", self.bridge(f"br{tag}"))
            bridge = interfaces["eth0"].get("bridge")
            bridge_name = bridge.get("name", "eth0") if isinstance(bridge, dict) else bridge
            # the MTU of the guests' bridge must not depend on it, and a VLAN-aware bridge gives its host no VLAN
            is_large = self.aware or "mtu" in self.data["networks"][name]
            base = bridge_name if isinstance(bridge_name, str) and not is_large and self.now(0.5) else "eth0"
            self.pick(vlan, "name", 0.4, f"nm{tag}")
            if self.now(0.5):
                interfaces[f"{base}.{tag}"] = vlan
            else:
                interfaces[f"vl{tag}"] = {**vlan, "over": base}

    def bridge(self, name: str, vlans: bool = True) -> Any:
        """Return a bridge: its name, or its settings."""
        return name if self.now(0.3) else {**self.settings(vlans=vlans), **({"name": name} if self.now(0.5) else {})}

    def settings(self, explicit: bool = False, vlans: bool = True) -> Data:
        """Return settings of a bridge; without the MAC address if the bridge is an interface of its own. `vlans`: it
        may be VLAN-aware."""
        settings: Data = {}
        if not explicit and self.now(0.3):
            settings["mac"] = self.mac(local=True)
        self.pick(settings, "stp", 0.5, True, False)
        if settings.get("stp"):
            self.pick(settings, "priority", 0.7, 0, 4096, 65535)
        self.pick(settings, "multicast_snooping", 0.4, True, False)
        if vlans:
            self.pick(settings, "vlan_filtering", 0.4, True, False)
        self.pick(settings, "ageing", 0.4, 0, 300, 1000000)
        self.pick(settings, "group_forward_mask", 0.4, 0, 8, 16384, 65528)
        return settings

    def explicit_bridge(self, interfaces: Data, number: int) -> None:
        """A bridge without a port or with several, on a network of its own."""
        ports = ["bond0"] if "bond0" in interfaces and self.now(0.5) else []
        for name in ("q0", "q1")[: self.rng.randint(0, 2)]:
            interfaces[name] = {**self.nic(), **({"network": "island"} if self.now(0.3) else {})}
            ports.insert(self.rng.randint(0, len(ports)), name)
        if self.now(0.3):
            interfaces["eth0.300"] = {}
            ports.append("eth0.300")
        bridge: Data = {"type": "bridge", "network": "island"}
        if ports or self.now(0.5):
            bridge["ports"] = ports
        if set(ports) == {"eth0.300"}:  # none of its ports is untagged
            del bridge["network"]
        elif self.now(0.5):
            bridge["addresses"] = [f"10.70.1.{number + 1}"]
        if self.now(0.3):
            bridge["mac"] = self.mac(local=True)
        has_vlan = self.now(0.3)
        if self.now(0.5):
            bridge["bridge"] = self.settings(explicit=True, vlans=not has_vlan)
        self.pick(bridge, "mtu", 0.2, 1500, 9000)
        interfaces["vmbr9"] = bridge
        if has_vlan:
            interfaces["vmbr9.301"] = {"bridge": True} if self.now(0.5) else {}

    def bond(self, interfaces: Data) -> None:
        mode = self.rng.choice(list(MODES))
        interfaces["p0"], interfaces["p1"] = self.nic(), self.nic()
        options = {k: self.rng.choice(v) for k, v in {**MODES[mode], **ANY_MODE}.items() if self.now(0.5)}
        if "num_grat_arp" in options and "num_unsol_na" in options:  # one setting of the kernel
            options["num_unsol_na"] = options["num_grat_arp"]
        if mode in BY_ARP and self.now(0.5):
            options.update(arp_interval=1000, arp_ip_target=["10.0.0.1", "10.0.0.2"])
            self.pick(options, "arp_validate", 0.5, "none", "all")
            self.pick(options, "arp_all_targets", 0.5, "any", "all")
            self.pick(options, "arp_missed_max", 0.5, 3)
        elif self.now(0.7):
            options["miimon"] = 100
            self.pick(options, "updelay", 0.5, 200)
            self.pick(options, "downdelay", 0.5, 200)
        if mode in ONE_AT_A_TIME:
            self.pick(options, "primary", 0.6, "p0", "p1")
        self.pick(options, "xmit_hash_policy", 0.6, "layer2", "layer3+4", "vlan+srcmac")
        if mode == "balance-xor" and self.now(0.7):
            options.update(balance_slb=True, xmit_hash_policy="vlan+srcmac")
        interfaces["bond0"] = {"ports": ["p0", "p1"], "mode": mode, "options": options}
        self.pick(interfaces["bond0"], "type", 0.3, "bond")

    def others(self, interfaces: Data, number: int) -> None:
        """Parts that exist and are not used."""
        if self.now(0.2):
            interfaces["dummy0"] = {"addresses": [f"10.60.0.{number + 1}/32"]}
            self.pick(interfaces["dummy0"], "type", 0.5, "dummy")
        if self.now(0.2):
            interfaces["service"] = {"type": "dummy", "network": "single"}
            self.data["networks"]["single"] = {"subnets": ["10.61.0.0/32"], "gateway": "10.61.0.9"}
            self.pick(self.data["networks"]["single"], "on_link", 0.5, True)
        if self.now(0.2):
            interfaces["lo"] = {"addresses": [f"10.62.0.{number + 1}/32", f"2001:db8:62::{number + 1}/128"]}
        if self.now(0.2):
            interfaces["off"] = {**self.nic(), "state": "down"}
        if self.now(0.2):
            interfaces["mine"] = {**self.nic(), "manage": False, "state": "up"}
        if self.now(0.2):
            vlans: Data = self.rng.choice(
                [{"access": 40}, {"trunk": ["50-59", 61], "native": 60}, {"trunk": [], "native": 1}]
            )
            interfaces["port"] = {**self.nic(), "bridge": {"name": "brp"}, **vlans}
        if self.now(0.2):
            name = self.rng.choice(["ib0", "ibp5s0d1", "mlx5_ib1"])
            interfaces[name] = {"mac": ":".join(["80"] + ["00"] * 17 + [f"{self.macs % 256:02x}", f"{number:02x}"])}
            self.pick(interfaces[name], "addresses", 0.5, [f"10.60.1.{number + 1}/16"])
            self.pick(interfaces[name], "transport_mode", 0.6, "datagram", "connected")
            if name == "ib0" and self.now(0.5):
                interfaces["ib0.8001"] = {"addresses": [f"10.61.1.{number + 1}/16"]}

    # ------------------------------------------------------------------ guests and silences

    def guests(self) -> Data:
        """Guests on hosts that have a bridge on net-0, and on its logical networks."""
        logical = [name for name in self.data["networks"] if name.startswith("logical")]
        found: Data = {}
        for n in range(self.rng.randint(1, 3)):
            guest: Data = {}
            if self.now(0.5):
                guest["group"] = self.rng.choice(["base", "over"])
                if not [h for h in self.data["hosts"].values() if h.get("group") in (guest["group"], "over")]:
                    guest["silence"] = [{"code": "KVN162", "reason": "no hosts yet"}]
                bridged = True
            else:
                guest["host"] = self.rng.choice(list(self.data["hosts"]))
                host = self.data["hosts"][guest["host"]]
                bridged = self.aware or "group" in host or host.get("kvm", False)
            nets = [*(["net-0"] if bridged else []), *logical]
            guest["nics"] = []
            for _ in range(self.rng.randint(0, 3) if nets else 0):
                network = self.rng.choice(nets)
                nic = {"network": network, "mac": self.mac(local=True)}
                if self.aware and logical and self.now(0.5):
                    del nic["network"]
                    nic["networks"] = self.rng.sample(logical, self.rng.randint(1, len(logical)))
                    self.pick(nic, "native", 0.5, "net-0")
                elif network != "net-0" and not self.aware:
                    self.pick(nic, "attach", 0.4, "always", "on-demand")
                    if nic.get("attach") == "on-demand":
                        self.pick(nic, "trust_guest_rx_filters", 0.5, True, False)
                guest["nics"].append(nic)
            found[f"guest-{n}"] = guest
        return found

    def silences(self) -> None:
        """A warning for each place where one can be accepted, and the entry that suppresses it."""
        hosts = list(self.data["hosts"].values())
        local = [{"code": "KVN123", "reason": "a virtual machine"}]
        if self.now(0.2):
            self.rng.choice(hosts)["interfaces"]["virt0"] = {"mac": self.mac(local=True), "silence": local}
        if self.now(0.2):
            host = self.rng.choice(hosts)
            host["interfaces"]["virt1"] = {"mac": self.mac(local=True)}
            host["silence"] = copy.deepcopy(local)
        if self.now(0.2):
            self.data["hosts"]["far"] = {
                "interfaces": {"eth0": {**self.nic(), "network": "far", "addresses": ["10.80.0.7"]}}
            }
            self.data["networks"]["far"] = {
                "subnets": ["10.80.0.0/16"],
                "dns": {"servers": ["192.0.2.53"]},
                "silence": [{"code": "KVN184", "reason": "the router comes next week"}],
            }
            for route in self.data.get("routes", []):
                route["silence"] = [{"code": "KVN181", "reason": "not for far"}]
        if self.now(0.2):
            self.data["groups"]["empty"] = {
                "silence": [{"code": "KVN173", "reason": "the second cable comes next week"}],
                "interfaces": {"only": self.nic(), "bond1": {"ports": ["only"]}},
            }
            self.data["hosts"]["lone"] = {"group": "empty"}
            for route in self.data.get("routes", []):
                route["silence"] = [{"code": "KVN181", "reason": "not for far"}]
        if self.now(0.2):
            self.data["guests"]["nowhere"] = {"group": "spare", "nics": []}
            self.data["groups"]["spare"] = {}
            self.data["silence"] = [{"code": "KVN162", "reason": "the group is filled next week"}]
