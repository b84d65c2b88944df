"""Mistakes in a valid definition: each mutator changes plain data in place.

It returns the path of keys and indexes of the expected problem (the place of a scalar itself, otherwise of its key), or
None if the definition has no place for the mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Callable, Optional, Union

from kvmnet.core.base.problem import Mark

Data = dict[str, Any]
Path = tuple[Union[str, int], ...]
Mutator = Callable[[Random, Data], Optional[Path]]
MUTATORS: list[tuple[str, Mutator]] = []


def mistake(code: str) -> Callable[[Mutator], Mutator]:
    """Register a mutator with the code that it must produce."""

    def register(function: Mutator) -> Mutator:
        MUTATORS.append((code, function))
        return function

    return register


def written(data: Any) -> tuple[str, dict[Path, Mark]]:
    """Return the data as YAML, one value a line, and the place of every path: that of a scalar itself, otherwise of
    its key."""
    lines: list[str] = []
    places: dict[Path, Mark] = {}

    def scalar(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"

    def put(value: Any, path: Path, head: str, key_column: int) -> None:
        """Write a value; `head` is the text before it on its line."""
        line = len(lines) + 1
        if isinstance(value, (dict, list)) and value:
            lines.append(head)
            indent = " " * (len(head) - len(head.lstrip()) + 2)
            item = head.endswith("-")  # its place is that of its first key
            places[path] = Mark("f.yaml", line + item, len(indent) + 1 if item else key_column)
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            for key, part in parts:
                own = f"{indent}{scalar(key)}:" if isinstance(value, dict) else f"{indent}-"
                put(part, (*path, key), own, len(indent) + 1)
            return
        empty = isinstance(value, (dict, list))
        text = ("{}" if isinstance(value, dict) else "[]") if empty else scalar(value)
        item = head.endswith("-")
        places[path] = Mark("f.yaml", line, len(head) + 2 if item or not empty else key_column)
        lines.append(f"{head} {text}")

    for key, part in data.items():
        put(part, (key,), f"{scalar(key)}:", 1)
    return "\n".join(lines) + "\n", places


def _interfaces(data: Data) -> Iterator[tuple[Path, Data]]:
    for host, value in data["hosts"].items():
        for name, interface in value.get("interfaces", {}).items():
            yield ("hosts", host, "interfaces", name), interface


def _some(rng: Random, found: Any) -> Any:
    """Return one of the values at random; None if there is none."""
    everything = list(found)
    return rng.choice(everything) if everything else None


def _addressed(rng: Random, data: Data) -> Any:
    """Return the first NIC with a static IPv4 address on its host's own net-0."""
    return _some(rng, ((p, i) for p, i in _interfaces(data) if p[3] == "eth0" and p[1] != "far" and "addresses" in i))


def _nics(data: Data) -> Iterator[tuple[Path, Data]]:
    """Return the NICs that have `mac` and are not ports."""
    others = ("p0", "p1", "q0", "q1", "ib0", "ibp5s0d1", "mlx5_ib1", "off", "mine")
    return ((p, i) for p, i in _interfaces(data) if "mac" in i and "type" not in i and p[3] not in others)


def _bonds(data: Data) -> Iterator[tuple[Path, Data]]:
    return ((p, i) for p, i in _interfaces(data) if "ports" in i and i.get("type") != "bridge")


def _guest_nics(data: Data) -> Iterator[tuple[Path, Data]]:
    for name, guest in data["guests"].items():
        for number, nic in enumerate(guest["nics"]):
            yield ("guests", name, "nics", number), nic


def _guest_host(data: Data) -> Data:
    """A host of guests of its own, out of the others' way."""
    host: Data = {
        "kvm": True,
        "interfaces": {"eth0": {"mac": "00:15:00:00:00:01", "network": "net-0", "addresses": ["10.0.9.9"]}},
    }
    data["hosts"]["new"] = host
    data.setdefault("guests", {})["new"] = {"host": "new", "nics": []}
    return host


@mistake("KVN010")
def unknown_key(rng: Random, data: Data) -> Optional[Path]:
    part, word = rng.choice([("networks", "subnts"), ("hosts", "interface"), ("groups", "kmv"), ("guests", "nic")])
    name = rng.choice(list(data[part]))
    data[part][name][word] = {}
    return part, name, word


@mistake("KVN011")
def missing_key(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, _guest_nics(data))
    if found is None:
        return None
    del found[1]["mac"]
    return found[0]  # type: ignore[no-any-return]


@mistake("KVN012")
def wrong_kind(rng: Random, data: Data) -> Optional[Path]:
    host = rng.choice(list(data["hosts"]))
    data["hosts"][host]["kvm"] = "yes"
    return "hosts", host, "kvm"


@mistake("KVN013")
def wrong_form(rng: Random, data: Data) -> Optional[Path]:
    path, interface = rng.choice([*_interfaces(data)])
    interface["mac"] = "00:14:4f:80:de:0g"
    return (*path, "mac")


@mistake("KVN101")
def unknown_network(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, ((p, i) for p, i in [*_interfaces(data), *_guest_nics(data)] if "network" in i))
    if found is None:
        return None
    found[1]["network"] = "nett-0"
    return (*found[0], "network")


@mistake("KVN102")
def unknown_group(rng: Random, data: Data) -> Optional[Path]:
    name = rng.choice(list(data["hosts"]))
    data["hosts"][name]["group"] = "bsae"
    return "hosts", name, "group"


@mistake("KVN103")
def unknown_host(rng: Random, data: Data) -> Optional[Path]:
    data["guests"]["lost"] = {"host": "host-9", "nics": []}
    return "guests", "lost", "host"


@mistake("KVN104")
def unknown_profile(rng: Random, data: Data) -> Optional[Path]:
    name = rng.choice(list(data["hosts"]))
    data["hosts"][name]["profile"] = "rock"
    return "hosts", name, "profile"


@mistake("KVN106")
def group_over_itself(rng: Random, data: Data) -> Optional[Path]:
    data["groups"]["base"]["group"] = rng.choice(["over", "base"])
    return "groups", "base", "group"


@mistake("KVN107")
def profile_over_itself(rng: Random, data: Data) -> Optional[Path]:
    data.setdefault("profiles", {})["round"] = {"extends": "round"}
    return "profiles", "round", "extends"


@mistake("KVN110")
def outside(rng: Random, data: Data) -> Optional[Path]:
    path, interface = _addressed(rng, data)
    interface["addresses"][0] = "172.16.0.1"
    return (*path, "addresses", 0)


@mistake("KVN111")
def not_a_host_address(rng: Random, data: Data) -> Optional[Path]:
    path, interface = _addressed(rng, data)
    interface["addresses"][0] = rng.choice(["10.0.0.0", "10.0.255.255", "127.0.0.1", "224.0.0.1"])
    return (*path, "addresses", 0)


@mistake("KVN112")
def address_twice(rng: Random, data: Data) -> Optional[Path]:
    _, interface = _addressed(rng, data)
    data["hosts"]["zz"] = {"interfaces": {"eth0": {"network": "net-0", "addresses": [interface["addresses"][0]]}}}
    return "hosts", "zz", "interfaces", "eth0", "addresses", 0


@mistake("KVN113")
def gateway_outside(rng: Random, data: Data) -> Optional[Path]:
    data["networks"]["net-0"].pop("gateways", None)
    data["networks"]["net-0"]["gateway"] = "172.16.0.1"
    return "networks", "net-0", "gateway"


@mistake("KVN114")
def two_default_routes(rng: Random, data: Data) -> Optional[Path]:
    for name, third in (("one", 81), ("two", 82)):
        data["networks"][name] = {"subnets": [f"10.{third}.0.0/16"], "gateway": f"10.{third}.0.1", "metric": 77}
    nics = {name: {"network": name, "addresses": [f"10.{third}.0.7"]} for name, third in (("one", 81), ("two", 82))}
    data["hosts"]["zz"] = {"profile": "plain", "interfaces": nics}
    return "networks", "two", "gateway"


@mistake("KVN185")
def a_default_route_by_dhcp_too(rng: Random, data: Data) -> Optional[Path]:
    for name, third in (("one", 81), ("two", 82)):
        data["networks"][name] = {"subnets": [f"10.{third}.0.0/16"], "gateway": f"10.{third}.0.1", "metric": 77}
    nics = {"one": {"network": "one", "addresses": ["10.81.0.7"]}, "two": {"network": "two", "ipv4": "dhcp"}}
    data["hosts"]["zz"] = {"profile": "plain", "interfaces": nics}
    return "hosts", "zz", "interfaces", "two", "ipv4"


@mistake("KVN115")
def two_gateways(rng: Random, data: Data) -> Optional[Path]:
    network = data["networks"]["net-0"]
    network.pop("gateway", None)
    network["gateways"] = ["10.0.0.1", "10.0.0.2"]
    return "networks", "net-0", "gateways", 1


@mistake("KVN116")
def overlap(rng: Random, data: Data) -> Optional[Path]:
    data["networks"]["zz"] = {"subnets": [rng.choice(["10.0.7.0/24", "10.0.0.0/8", "2001:db8::/48"])]}
    return "networks", "zz", "subnets", 0


@mistake("KVN117")
def stray_bits(rng: Random, data: Data) -> Optional[Path]:
    data["networks"]["net-0"]["subnets"][0] = "10.0.0.5/16"
    return "networks", "net-0", "subnets", 0


@mistake("KVN118")
def other_prefix(rng: Random, data: Data) -> Optional[Path]:
    path, interface = _addressed(rng, data)
    interface["addresses"][0] += "/24"
    return (*path, "addresses", 0)


@mistake("KVN119")
def no_network(rng: Random, data: Data) -> Optional[Path]:
    data["hosts"]["zz"] = {"interfaces": {"eth0": {"addresses": ["10.0.7.7"]}}}
    return "hosts", "zz", "interfaces", "eth0", "addresses", 0


@mistake("KVN120")
def no_mac(rng: Random, data: Data) -> Optional[Path]:
    host = {"profile": "rocks", "kvm": True, "interfaces": {"eth0": {"network": "net-0", "addresses": ["10.0.7.7"]}}}
    data["hosts"]["zz"] = host
    return "hosts", "zz", "interfaces", "eth0"


@mistake("KVN121")
def mac_twice(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, _nics(data))
    if found is None:
        return None
    data["guests"]["zz"] = {"host": "host-0", "nics": [{"network": "net-0", "mac": found[1]["mac"].upper()}]}
    return "guests", "zz", "nics", 0, "mac"


@mistake("KVN122")
def multicast(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, [*_nics(data), *_guest_nics(data)])
    if found is None:
        return None
    found[1]["mac"] = rng.choice(["01:00:5e:00:00:01", "00:00:00:00:00:00"])
    return (*found[0], "mac")


@mistake("KVN123")
def local(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, (pair for pair in _nics(data) if not str(pair[0][3]).startswith("virt")))
    if found is None or "silence" in data["hosts"][found[0][1]]:
        return None
    found[1]["mac"] = "52:54:00:00:00:01"
    return (*found[0], "mac")


@mistake("KVN124")
def long_mac(rng: Random, data: Data) -> Optional[Path]:
    bridge: Data = {"type": "bridge", "mac": ":".join(["80", *["00"] * 18, "01"])}
    data["hosts"]["zz"] = {"interfaces": {"br0": bridge}}
    return "hosts", "zz", "interfaces", "br0", "mac"


@mistake("KVN212")
def infiniband_bond(rng: Random, data: Data) -> Optional[Path]:
    ports: Data = {"ib0": {}, "ib1": {}, "eth0": {}}
    bond: Data = rng.choice(
        [
            {"ports": ["ib0", "ib1"], "mode": "802.3ad"},
            {"ports": ["ib0", "eth0"], "mode": "active-backup"},
        ]
    )
    data["hosts"]["zz"] = {"interfaces": {**ports, "bond0": bond}}
    return "hosts", "zz", "interfaces", "bond0", "mode" if "ib1" in bond["ports"] else "ports"


@mistake("KVN213")
def partition(rng: Random, data: Data) -> Optional[Path]:
    key = rng.choice(["ib0.0001", "ib0.ffff", "ib1.8001"])
    data["hosts"]["zz"] = {"interfaces": {"ib0": {}, key: {}}}
    return "hosts", "zz", "interfaces", key


@mistake("KVN130")
def tag_range(rng: Random, data: Data) -> Optional[Path]:
    if rng.random() < 0.5:
        data["networks"]["zz"] = {"vlan": rng.choice([0, 4095, -1])}
        return "networks", "zz", "vlan"
    host = rng.choice([name for name in data["hosts"] if name.startswith("host")])
    data["hosts"][host]["interfaces"]["eth0.4095"] = {}
    return "hosts", host, "interfaces", "eth0.4095"


@mistake("KVN131")
def over_what(rng: Random, data: Data) -> Optional[Path]:
    if rng.random() < 0.5:
        data["networks"]["zz"] = {"over": "net-0"}
        return "networks", "zz"
    data["networks"].update({"yy": {"vlan": 999}, "zz": {"vlan": 998, "over": "yy"}})
    return "networks", "zz", "over"


@mistake("KVN132")
def tag_twice(rng: Random, data: Data) -> Optional[Path]:
    data["networks"].update({"yy": {"vlan": 999, "over": "net-0"}})
    if rng.random() < 0.5:
        data["networks"]["zz"] = {"vlan": 999, "over": "net-0"}
        return "networks", "zz", "vlan"
    host = rng.choice([n for n in data["hosts"] if n.startswith("host")])
    data["hosts"][host]["interfaces"]["eth0.999"] = {}
    return "hosts", host, "interfaces", "eth0.999"


@mistake("KVN133")
def tag_mismatch(rng: Random, data: Data) -> Optional[Path]:
    data["networks"]["zz"] = {"vlan": 999}
    host, key = rng.choice([n for n in data["hosts"] if n.startswith("host")]), rng.choice(["new0", "eth0.998"])
    data["hosts"][host]["interfaces"][key] = {"network": "zz"}
    return "hosts", host, "interfaces", key, "network"


@mistake("KVN134")
def no_parent(rng: Random, data: Data) -> Optional[Path]:
    host = rng.choice(list(data["hosts"]))
    data["hosts"][host].setdefault("interfaces", {})["eth9.5"] = {}
    return "hosts", host, "interfaces", "eth9.5"


@mistake("KVN135")
def mac_on_a_vlan(rng: Random, data: Data) -> Optional[Path]:
    host = rng.choice([n for n in data["hosts"] if n.startswith("host")])
    data["hosts"][host]["interfaces"]["eth0.999"] = {"mac": "00:15:00:00:00:02"}
    return "hosts", host, "interfaces", "eth0.999", "mac"


@mistake("KVN140")
def mtu_order(rng: Random, data: Data) -> Optional[Path]:
    path, interface = _addressed(rng, data)
    data["networks"]["net-0"]["mtu"] = 4000
    interface["mtu"] = 3999
    return (*path, "mtu")


@mistake("KVN141")
def ipv6_mtu(rng: Random, data: Data) -> Optional[Path]:
    data["networks"]["net-0"]["mtu"] = 1279
    return "networks", "net-0", "mtu"


@mistake("KVN150")
def refused_name(rng: Random, data: Data) -> Optional[Path]:
    name = rng.choice(["all", "bonding_masters", "12", "a-name-of-16-ch-"])
    data["hosts"]["zz"] = {"profile": "plain", "interfaces": {name: {}}}
    return "hosts", "zz", "interfaces", name


@mistake("KVN151")
def name_twice(rng: Random, data: Data) -> Optional[Path]:
    """Also a VLAN ID twice on one NIC, by its key and by `over`."""
    if rng.random() < 0.5:
        data["networks"]["zz"] = {"vlan": 999}
        vlans: Data = {"eth0.999": {"network": "zz"}, "stor": {"over": "eth0", "network": "zz"}}
        data["hosts"]["zz"] = {"profile": "plain", "interfaces": {"eth0": {}, **vlans}}
        return "hosts", "zz", "interfaces", "stor"
    host = _guest_host(data)
    host["profile"] = "rocks"
    host["interfaces"]["peth0"] = {}
    return "hosts", "new", "interfaces", "peth0"


@mistake("KVN152")
def one_nic_twice(rng: Random, data: Data) -> Optional[Path]:
    nics = {"one": {"match": {"name": "eno1"}}, "two": {"match": {"name": "eno1"}}}
    data["hosts"]["zz"] = {"interfaces": nics}
    return "hosts", "zz", "interfaces", "two", "match", "name"


@mistake("KVN160")
def no_bridge(rng: Random, data: Data) -> Optional[Path]:
    _guest_host(data)["kvm"] = False
    data["guests"]["new"]["nics"] = [{"network": "net-0", "mac": "36:77:6e:c0:ff:01"}]
    return "guests", "new", "nics", 0, "network"


@mistake("KVN161")
def nowhere(rng: Random, data: Data) -> Optional[Path]:
    data["guests"]["zz"] = {"host": "host-0", "group": "base", "nics": []} if rng.random() < 0.5 else {"nics": []}
    return ("guests", "zz", "group") if "host" in data["guests"]["zz"] else ("guests", "zz")


@mistake("KVN162")
def empty_group(rng: Random, data: Data) -> Optional[Path]:
    data["groups"]["none"] = {}
    data["guests"]["zz"] = {"group": "none", "nics": []}
    return None if "silence" in data else ("guests", "zz", "group")


@mistake("KVN163")
def macvtap_over_a_bridge(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    nic: Data = {"network": "net-0", "mac": "36:77:6e:c0:ff:01", "attach": "always"}
    data["guests"]["new"]["nics"] = [nic]
    if rng.random() < 0.5:
        data["networks"]["zz"] = {"vlan": 999, "attach": "on-demand"}
        host["interfaces"]["eth0.999"] = {"network": "zz", "bridge": True}
        data["guests"]["new"]["nics"] = [{"network": "zz", "mac": "36:77:6e:c0:ff:01"}]
        return "networks", "zz", "attach"
    return "guests", "new", "nics", 0, "attach"


@mistake("KVN164")
def hosts_differ_in_mtu(rng: Random, data: Data) -> Optional[Path]:
    data["networks"]["zz"] = {"subnets": ["10.99.0.0/16"]}
    data["groups"]["zz"] = {"kvm": True}
    for number, mtu in enumerate(rng.sample([1400, 1500], 2)):
        nic = {"mac": f"00:15:00:00:00:1{number}", "network": "zz", "addresses": [f"10.99.0.{number + 1}"], "mtu": mtu}
        data["hosts"][f"zz-{number}"] = {"group": "zz", "interfaces": {"eth0": nic}}
    for route in data.get("routes", []):
        route["silence"] = [{"code": "KVN181", "reason": "not for these"}]
    data["guests"]["zz"] = {"group": "zz", "nics": [{"network": "zz", "mac": "36:77:6e:c0:ff:01"}]}
    return "guests", "zz", "nics", 0, "network"


@mistake("KVN165")
def no_way_to_its_host(rng: Random, data: Data) -> Optional[Path]:
    data["networks"]["zz"] = {"vlan": 999, "subnets": ["10.84.0.0/16"]}
    _guest_host(data)["interfaces"]["eth0.999"] = {"network": "zz", "addresses": ["10.84.0.7"]}
    data["guests"]["new"]["nics"] = [{"network": "zz", "mac": "36:77:6e:c0:ff:01"}]
    return "guests", "new", "nics", 0, "network"


@mistake("KVN166")
def trust_on_a_bridge(rng: Random, data: Data) -> Optional[Path]:
    _guest_host(data)
    nic: Data = {"network": "net-0", "mac": "36:77:6e:c0:ff:01", "trust_guest_rx_filters": True}
    data["guests"]["new"]["nics"] = [nic]
    if rng.random() < 0.5:
        data["networks"]["zz"] = {"vlan": 999, "over": "net-0", "attach": "always"}
        nic["network"] = "zz"
    return "guests", "new", "nics", 0, "trust_guest_rx_filters"


@mistake("KVN170")
def port_not_a_nic(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, (pair for pair in _bonds(data) if len(pair[1]["ports"]) == 2))
    if found is None:
        return None
    found[1]["ports"][1] = "p9"
    return (*found[0], "ports", 1)


@mistake("KVN171")
def port_twice(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, (pair for pair in _bonds(data) if len(pair[1]["ports"]) == 2))
    if found is None:
        return None
    found[1]["ports"][1] = "p0"
    return (*found[0], "ports", 1)


@mistake("KVN172")
def port_in_use(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, (pair for pair in _bonds(data) if pair[0][3] == "bond0"))
    if found is None:
        return None
    data["hosts"][found[0][1]]["interfaces"]["p1"]["network"] = "net-0"
    return "hosts", found[0][1], "interfaces", "p1", "network"


@mistake("KVN173")
def one_port(rng: Random, data: Data) -> Optional[Path]:
    data["hosts"]["zz"] = {"interfaces": {"eth0": {}, "bond0": {"ports": ["eth0"]}}}
    return "hosts", "zz", "interfaces", "bond0", "ports"


@mistake("KVN174")
def bond_options(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, (pair for pair in _bonds(data) if pair[0][3] == "bond0"))
    if found is None:
        return None
    if rng.random() < 0.5:
        found[1]["options"].update(num_grat_arp=1, num_unsol_na=2)
        return (*found[0], "options", "num_unsol_na")
    found[1]["options"]["primary"] = "p9"
    return (*found[0], "options", "primary")


@mistake("KVN175")
def not_a_bond(rng: Random, data: Data) -> Optional[Path]:
    path, interface = _addressed(rng, data)
    interface["mode"] = "802.3ad"
    return (*path, "mode")


@mistake("KVN176")
def no_tag(rng: Random, data: Data) -> Optional[Path]:
    host = rng.choice([n for n in data["hosts"] if n.startswith("host")])
    data["hosts"][host]["interfaces"]["zz"] = {"over": "eth0"}
    return "hosts", host, "interfaces", "zz"


@mistake("KVN177")
def port_mtu(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, (pair for pair in _bonds(data) if pair[0][3] == "bond0"))
    if found is None:
        return None
    found[1]["mtu"] = 9000
    data["hosts"][found[0][1]]["interfaces"]["p0"]["mtu"] = 8999
    return "hosts", found[0][1], "interfaces", "p0", "mtu"


@mistake("KVN178")
def over_nothing(rng: Random, data: Data) -> Optional[Path]:
    down: Data = {"eth0": {"state": "down"}, "eth0.5": {}}
    data["hosts"]["zz"] = {"interfaces": down}
    return "hosts", "zz", "interfaces", "eth0.5"


@mistake("KVN179")
def no_ports(rng: Random, data: Data) -> Optional[Path]:
    if rng.random() < 0.5:
        data["hosts"]["zz"] = {"interfaces": {"bond0": {"type": "bond"}}}
        return "hosts", "zz", "interfaces", "bond0"
    data["hosts"]["zz"] = {"interfaces": {"bond0": {"ports": []}}}
    return "hosts", "zz", "interfaces", "bond0", "ports"


@mistake("KVN200")
def bridge_or_bond(rng: Random, data: Data) -> Optional[Path]:
    name = rng.choice(["br0", "br-lan", "vmbr0", "virbr1", "bridge0", "mgmt-br", "br_lan"])
    data["hosts"]["zz"] = {"interfaces": {"eth0": {}, name: {"ports": ["eth0"]}}}
    return "hosts", "zz", "interfaces", name, "ports"


@mistake("KVN201")
def no_bridge_port(rng: Random, data: Data) -> Optional[Path]:
    port = rng.choice(["eth9", "br1", "br0", "ib0"])
    others: Data = {"eth0": {}, "br1": {"type": "bridge"}, "ib0": {}}
    data["hosts"]["zz"] = {"interfaces": {**others, "br0": {"type": "bridge", "ports": ["eth0", port]}}}
    return "hosts", "zz", "interfaces", "br0", "ports", 1


@mistake("KVN202")
def bridge_port_in_use(rng: Random, data: Data) -> Optional[Path]:
    key, value = rng.choice([("addresses", ["10.0.7.7/16"]), ("ipv4", "dhcp"), ("ipv6", "auto"), ("bridge", True)])
    data["hosts"]["zz"] = {"interfaces": {"eth0": {key: value}, "br0": {"type": "bridge", "ports": ["eth0"]}}}
    return "hosts", "zz", "interfaces", "eth0", key


@mistake("KVN203")
def bridge_port_mtu(rng: Random, data: Data) -> Optional[Path]:
    bridge: Data = {"type": "bridge", "ports": ["eth0"], "mtu": 9000}
    data["hosts"]["zz"] = {"interfaces": {"eth0": {"mtu": 8999}, "br0": bridge}}
    return "hosts", "zz", "interfaces", "eth0", "mtu"


@mistake("KVN204")
def loop(rng: Random, data: Data) -> Optional[Path]:
    if rng.random() < 0.5:
        data["networks"]["zz"] = {"vlan": 999}
        data["hosts"]["zz"] = {"interfaces": {"v": {"over": "br9", "network": "zz", "bridge": "br9"}}}
        return "hosts", "zz", "interfaces", "v"
    data["hosts"]["zz"] = {"interfaces": {"br0": {"type": "bridge", "ports": ["br0.5"]}, "br0.5": {}}}
    return "hosts", "zz", "interfaces", "br0.5"


@mistake("KVN205")
def priority_without_stp(rng: Random, data: Data) -> Optional[Path]:
    settings = {"priority": 4096, "stp": False}
    data["hosts"]["zz"] = {"interfaces": {"br0": {"type": "bridge", "bridge": settings}}}
    return "hosts", "zz", "interfaces", "br0", "bridge", "priority"


def _aware_host(data: Data, **port: Any) -> Data:
    """A host with a VLAN-aware bridge, and its guest; return the interfaces of the host."""
    data["networks"].update({"aware": {"subnets": ["10.85.0.0/16"]}, "vl": {"vlan": 20, "over": "aware"}})
    nic = {"mac": "00:15:00:00:00:21", "network": "aware", "bridge": {"name": "br0", "vlan_filtering": True}, **port}
    data["hosts"]["zz"] = {"kvm": True, "profile": "plain", "interfaces": {"eth0": nic}}
    data["guests"]["zz"] = {"host": "zz", "nics": [{"network": "vl", "mac": "36:77:6e:c0:ff:01"}]}
    for route in data.get("routes", []):
        route["silence"] = [{"code": "KVN181", "reason": "not for these"}]
    return data["hosts"]["zz"]["interfaces"]  # type: ignore[no-any-return]


@mistake("KVN206")
def wrong_vlans(rng: Random, data: Data) -> Optional[Path]:
    value = rng.choice(["199-100", "4000-4095", "0-9", "aware"])
    _aware_host(data, trunk=[20, value])
    return "hosts", "zz", "interfaces", "eth0", "trunk", 1


@mistake("KVN207")
def vlans_without_a_bridge(rng: Random, data: Data) -> Optional[Path]:
    interfaces = _aware_host(data)
    if rng.random() < 0.5:
        interfaces["eth1"] = {"access": 20}
        return "hosts", "zz", "interfaces", "eth1", "access"
    interfaces["eth0"].update(bridge={"vlan_filtering": False}, trunk=[20])
    return "hosts", "zz", "interfaces", "eth0", "trunk"


@mistake("KVN208")
def no_untagged_network(rng: Random, data: Data) -> Optional[Path]:
    if rng.random() < 0.5:
        _aware_host(data, access=20)
        return "hosts", "zz", "interfaces", "eth0", "access"
    _aware_host(data, trunk=[20], native=30)
    return "hosts", "zz", "interfaces", "eth0", "native"


@mistake("KVN209")
def vlan_over_an_aware_bridge(rng: Random, data: Data) -> Optional[Path]:
    _aware_host(data)["br0.30"] = {}
    return "hosts", "zz", "interfaces", "br0.30"


@mistake("KVN210")
def vlan_is_taken_away(rng: Random, data: Data) -> Optional[Path]:
    interfaces = _aware_host(data, trunk=["20-30"])
    tag = rng.choice([20, 30])
    data["networks"]["vl"] = {"vlan": 20}
    interfaces[f"eth0.{tag}"] = {}
    return "hosts", "zz", "interfaces", f"eth0.{tag}"


@mistake("KVN211")
def vlan_is_not_carried(rng: Random, data: Data) -> Optional[Path]:
    _aware_host(data, trunk=[30] if rng.random() < 0.5 else [])
    return "guests", "zz", "nics", 0, "network"


@mistake("KVN167")
def two_kinds_of_networks(rng: Random, data: Data) -> Optional[Path]:
    _aware_host(data)
    nic = data["guests"]["zz"]["nics"][0]
    if rng.random() < 0.5:
        nic["networks"] = ["vl"]
        return "guests", "zz", "nics", 0, "networks"
    del nic["network"]
    nic["networks"] = ["vl", "aware"]
    return "guests", "zz", "nics", 0, "networks", 1


@mistake("KVN168")
def nic_without_network(rng: Random, data: Data) -> Optional[Path]:
    data["guests"]["zz"] = {"host": "host-0", "nics": [{"mac": "36:77:6e:c0:ff:01"}]}
    return "guests", "zz", "nics", 0


@mistake("KVN160")
def trunk_without_an_aware_bridge(rng: Random, data: Data) -> Optional[Path]:
    _aware_host(data)["eth0"]["bridge"] = "br0"
    nic = {"networks": ["vl"], "native": "aware", "mac": "36:77:6e:c0:ff:01"}
    data["guests"]["zz"]["nics"] = [nic]
    return "guests", "zz", "nics", 0, "networks"


@mistake("KVN163")
def macvtap_beside_an_aware_bridge(rng: Random, data: Data) -> Optional[Path]:
    _aware_host(data)
    data["guests"]["zz"]["nics"][0]["attach"] = "on-demand"
    return "guests", "zz", "nics", 0, "attach"


@mistake("KVN180")
def contradiction(rng: Random, data: Data) -> Optional[Path]:
    path, interface = _addressed(rng, data)
    interface["ipv4"] = "none"
    return (*path, "ipv4")


@mistake("KVN181")
def next_hop(rng: Random, data: Data) -> Optional[Path]:
    data["hosts"]["zz"] = {"routes": [{"to": "10.99.0.0/16", "via": "172.16.0.1"}]}
    return "hosts", "zz", "routes", 0, "to"


@mistake("KVN182")
def two_families(rng: Random, data: Data) -> Optional[Path]:
    data["hosts"]["zz"] = {"routes": [{"to": "2001:db8:99::/48", "via": "10.0.0.254"}]}
    return "hosts", "zz", "routes", 0, "to"


@mistake("KVN183")
def stray_bits_of_a_route(rng: Random, data: Data) -> Optional[Path]:
    data["hosts"]["zz"] = {"routes": [{"to": "10.99.0.5/16", "via": "10.0.0.254"}]}
    return "hosts", "zz", "routes", 0, "to"


@mistake("KVN184")
def name_server(rng: Random, data: Data) -> Optional[Path]:
    data["networks"]["zz"] = {"subnets": ["10.83.0.0/16"], "dns": {"servers": ["10.83.0.1", "192.0.2.53"]}}
    data["hosts"]["zz"] = {"interfaces": {"eth0": {"network": "zz", "addresses": ["10.83.0.7"]}}}
    return "networks", "zz", "dns", "servers", 1


@mistake("KVN186")
def a_probe_of_nobody(rng: Random, data: Data) -> Optional[Path]:
    kind, target = rng.choice([("ping", "fe80::1"), ("tcp", "239.1.1.1:22"), ("http", "http://0.0.0.0/")])
    data["hosts"]["zz"] = {"interfaces": {}, "probes": [{"command": ["true"]}, {kind: target}]}
    return "hosts", "zz", "probes", 1, kind


@mistake("KVN187")
def a_probe_without_a_way(rng: Random, data: Data) -> Optional[Path]:
    kind, target = rng.choice([("ping", "192.0.2.7"), ("tcp", "192.0.2.7:22"), ("http", "http://[2001:db8:ff::1]/")])
    data["networks"]["zz"] = {"subnets": ["10.83.0.0/16"]}
    nic = {"network": "zz", "addresses": ["10.83.0.7"]}
    data["hosts"]["zz"] = {"interfaces": {"eth0": nic}, "probes": [{"ping": "10.83.0.8"}, {kind: target}]}
    return "hosts", "zz", "probes", 1, kind


@mistake("KVN190")
def silence_of_nothing(rng: Random, data: Data) -> Optional[Path]:
    name = rng.choice(list(data["networks"]))
    data["networks"][name]["silence"] = [{"code": "KVN123", "reason": "none"}]
    return "networks", name, "silence", 0, "code"


@mistake("KVN191")
def silence_of_an_error(rng: Random, data: Data) -> Optional[Path]:
    path, interface = _addressed(rng, data)
    interface["addresses"][0] = "172.16.0.1"
    interface["silence"] = [{"code": "KVN110", "reason": "no"}]
    return (*path, "silence", 0, "code")


@mistake("KVN193")
def its_own_next_hop(rng: Random, data: Data) -> Optional[Path]:
    found = _addressed(rng, data)
    if found is None:
        return None
    (_, host, *_), interface = found
    via = interface["addresses"][0]
    if ":" in via:
        return None
    data["hosts"][host]["routes"] = [*data["hosts"][host].get("routes", []), {"to": "10.96.0.0/16", "via": via}]
    return "hosts", host, "routes", len(data["hosts"][host]["routes"]) - 1, "to"


@mistake("KVN194")
def table_of_no_rule(rng: Random, data: Data) -> Optional[Path]:
    found = _addressed(rng, data)
    if found is None:
        return None
    host = found[0][1]
    route = {"to": "10.96.0.0/16", "via": "10.0.0.254", "table": 4711}
    data["hosts"][host]["routes"] = [*data["hosts"][host].get("routes", []), route]
    return "hosts", host, "routes", len(data["hosts"][host]["routes"]) - 1, "to"


@mistake("KVN195")
def next_hop_on_two_links(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["interfaces"]["eth0"]["ipv6"] = "link-local"
    host["interfaces"]["eth1"] = {"mac": "00:15:00:00:00:02", "ipv6": "link-local"}
    host["routes"] = [{"to": "2001:db8:96::/64", "via": "fe80::7"}]
    return "hosts", "new", "routes", 0, "to"


@mistake("KVN196")
def two_nics_in_one_subnet(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["interfaces"]["eth1"] = {"mac": "00:15:00:00:00:02", "addresses": ["10.0.9.10/16"]}
    return "hosts", "new", "interfaces", "eth1", "addresses", 0


@mistake("KVN197")
def rule_of_nothing(rng: Random, data: Data) -> Optional[Path]:
    wrong: Data = rng.choice(
        [{"table": 5}, {"from": "10.0.0.0/8"}, {"from": "10.0.0.0/8", "to": "2001:db8::/32", "table": 5}]
    )
    data["rules"] = [*data.get("rules", []), wrong]
    number = len(data["rules"]) - 1
    return ("rules", number, "to") if "to" in wrong else ("rules", number)


@mistake("KVN198")
def dummy_with_a_mac(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["interfaces"]["dummy7"] = {"type": "dummy", "mac": "00:15:00:00:00:02"}
    return "hosts", "new", "interfaces", "dummy7", "mac"


@mistake("KVN220")
def own_key_to_nmstate(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    key, value = rng.choice([("mtu", 1500), ("ipv4", {"enabled": False}), ("state", "up")])
    host["interfaces"]["eth0"]["nmstate"] = {key: value}
    return "hosts", "new", "interfaces", "eth0", "nmstate", key


@mistake("KVN221")
def secret_to_nmstate(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    key = rng.choice(["802.1x", "ovs-db", "macsec"])
    host["interfaces"]["eth0"]["nmstate"] = {key: {"identity": "me"}}
    return "hosts", "new", "interfaces", "eth0", "nmstate", key


@mistake("KVN222")
def script_to_nmstate(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["interfaces"]["eth0"]["nmstate"] = {"dispatch": {"post-activation": "true"}}
    return "hosts", "new", "interfaces", "eth0", "nmstate", "dispatch"


@mistake("KVN223")
def same_key_under_nmstate(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["nmstate"] = {"eth0": {"type": "vxlan", "vxlan": {"id": 5}}}
    return "hosts", "new", "nmstate", "eth0"


@mistake("KVN224")
def base_interface_of_nobody(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["nmstate"] = {"vx9": {"type": "vxlan", "vxlan": {"id": 5, "base-iface": "nobody0"}}}
    return "hosts", "new", "nmstate", "vx9", "vxlan", "base-iface"


@mistake("KVN225")
def vlan_settings_of_a_nic(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["interfaces"]["eth0"]["nmstate"] = {"vlan": {"protocol": "802.1ad"}}
    return "hosts", "new", "interfaces", "eth0", "nmstate", "vlan"


@mistake("KVN226")
def port_of_two_vrfs(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["interfaces"]["dm9"] = {"type": "dummy"}
    host["nmstate"] = {
        name: {"type": "vrf", "vrf": {"port": ["dm9"], "route-table-id": table}}
        for name, table in (("vrf8", 8), ("vrf9", 9))
    }
    return "hosts", "new", "nmstate", "vrf9", "vrf", "port", 0


@mistake("KVN227")
def vxlan_as_large_as_its_base(rng: Random, data: Data) -> Optional[Path]:
    host = _guest_host(data)
    host["interfaces"]["dm9"] = {"type": "dummy"}
    host["nmstate"] = {"vx9": {"type": "vxlan", "vxlan": {"id": 5, "base-iface": "dm9"}, "mtu": 1500}}
    return "hosts", "new", "nmstate", "vx9", "mtu"


@mistake("KVN192")
def zone_of_a_port(rng: Random, data: Data) -> Optional[Path]:
    found = _some(rng, ((p, i) for p, i in _interfaces(data) if p[3] in ("p0", "p1", "off", "mine")))
    if found is None:
        return None
    path, interface = found
    interface["zone"] = "public"
    return (*path, "zone")
