"""A second independent check: NetworkManager's keyfiles, generated from a state by nmstate, against the host view.

tests.reading checks the state as kvmnet writes it, this module what nmstate and NetworkManager read from it. A key that
one of them ignores is missing here, and an unexpected one is reported.
"""

from __future__ import annotations

import configparser
import dataclasses
import ipaddress
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

from kvmnet.core.views.host_view import NO_IP, Address, BondView, HostView, IpView, RuleView

Keyfile = dict[str, dict[str, str]]
Facts = dict[str, Any]
"""The facts of one interface: the same keys for every kind; None, False or empty where it has none."""


class Whole(NamedTuple):
    """A host: its interfaces by name, and the name service, which belongs to no interface."""

    interfaces: dict[str, Facts]
    servers: list[str]
    search: list[str]
    rules: list[str]


TYPES = {
    **{"ethernet": "ethernet", "802-3-ethernet": "ethernet", "bridge": "linux-bridge", "bond": "bond"},
    **{"vxlan": "vxlan", "vrf": "vrf"},
    **{"vlan": "vlan", "macvlan": "mac-vtap", "dummy": "dummy", "loopback": "loopback", "infiniband": "infiniband"},
}
#: NM_SETTING_MACVLAN_MODE_* of libnm.
MACVLAN_MODES = {"1": "vepa", "2": "bridge", "3": "private", "4": "passthru"}
#: Bond options that NetworkManager spells differently than the kernel.
SPELLED = {"balance-slb": "balance_slb"}
#: The kernel's numbers for values of nmstate.
NUMBERED = {"all_slaves_active": {"dropped": "0", "delivered": "1"}}

#: Keys that nmstate adds by itself, and keys without a meaning for the host's network.
BESIDE = {
    "connection": {"id", "uuid", "autoconnect-slaves", "autoconnect-ports", "autoconnect-priority", "timestamp"},
    "bridge": {"vlan-filtering"},
    "bridge-port": set(),
    "proxy": set(),
    "vlan": {"flags"},
    "macvlan": {"promiscuous"},
    "ipv4": {"dhcp-timeout", "dhcp-send-hostname", "dns-priority", "link-local"},
    "ipv6": {"dhcp-timeout", "dhcp-send-hostname", "dns-priority", "ra-timeout", "addr-gen-mode", "dhcp-duid"},
}
BESIDE["ipv6"] |= {"dhcp-iaid"}

#: nmstate's names of features that ethtool and NetworkManager have short names for.
FEATURES = {
    **{"rx-checksum": "rx", "tx-scatter-gather": "sg", "tx-tcp-segmentation": "tso", "rx-gro": "gro"},
    **{"tx-generic-segmentation": "gso", "rx-hashing": "rxhash", "rx-lro": "lro", "rx-ntuple-filter": "ntuple"},
    **{"rx-vlan-hw-parse": "rxvlan", "tx-vlan-hw-insert": "txvlan"},
}
#: Settings that are passed through to nmstate and that this module reads: by nmstate's section, its keys and those of
#: keyfiles. tests.reading checks all of them in the state.
PASSED = {
    "vxlan": {"base-iface": "vxlan.parent", "id": "vxlan.id", "remote": "vxlan.remote", "local": "vxlan.local"},
    "vrf": {"route-table-id": "vrf.table"},
}
UNREAD = {
    "ethernet": {"auto-negotiate", "speed", "duplex"},
    "connection": {"lldp", "mptcp-flags"},
    "vlan": {"protocol"},
    "vxlan": {"destination-port", "learning", "source-port-min", "source-port-max"},
    "bridge": {"forward-delay", "hello-time", "max-age"},
}


def wanted(view: HostView, with_guests: bool) -> Whole:
    """Return what the keyfiles of a host must contain; `with_guests`: also for its guests."""
    found: dict[str, Facts] = {}
    later: dict[str, list[str]] = {}
    for nic in (n for n in view.nics if n.managed):
        kind = "ethernet" if nic.infiniband is None else "infiniband"
        found[nic.name] = _facts(kind, nic.ip, nic.mtu, up=nic.up, controller=nic.controller or nic.bond)
        found[nic.name]["promiscuous"] = nic.promiscuous
        if nic.infiniband is not None:
            found[nic.name]["over"] = (nic.infiniband.mode, nic.infiniband.base, nic.infiniband.pkey)
    for bond in view.bonds:
        found[bond.name] = _facts("bond", bond.ip, bond.mtu, mac=bond.mac, controller=bond.controller)
        found[bond.name]["bond"] = _options(bond)
    for bridge in view.bridges:
        found[bridge.name] = _facts("linux-bridge", bridge.ip, bridge.mtu, mac=bridge.mac)
        found[bridge.name]["bridge"] = {
            "stp": bridge.stp,
            "priority": 32768 if bridge.priority is None else bridge.priority,
            "ageing": 300 if bridge.ageing is None else bridge.ageing,
            "mask": bridge.group_forward_mask or 0,
            "snooping": bridge.multicast_snooping is not False,
            "pvid": 1 if bridge.has_untagged else 0,
        }
    for dummy in view.dummies:
        ip = _with_own(dummy.ip) if dummy.is_loopback else dummy.ip
        found[dummy.name] = _facts("loopback" if dummy.is_loopback else "dummy", ip, dummy.mtu)
        found[dummy.name]["controller"] = dummy.controller
    for port, vlans in (pair for bridge in view.bridges for pair in bridge.port_vlans):
        tags = [(str(a) if a == b else f"{a}-{b}") for a, b in vlans.tagged]
        untagged = [f"{vlans.untagged} pvid untagged"] if vlans.untagged is not None else []
        later[port] = sorted([*tags, *untagged])
    for vlan in (*view.vlans, *(v for v in view.guest_vlans if with_guests or v.always)):
        found[vlan.name] = _facts("vlan", vlan.ip, vlan.mtu, controller=vlan.controller)
        found[vlan.name]["over"] = (vlan.base, str(vlan.tag))
    for macvtap in (m for m in view.macvtaps if with_guests or m.always):
        found[macvtap.name] = _facts("mac-vtap", NO_IP, None, mac=macvtap.mac)
        found[macvtap.name]["over"] = (macvtap.base, macvtap.mode)
    for port, texts in later.items():
        found[port]["vlans"] = texts
    for other in view.others:
        found[other.name] = _facts(other.type, other.ip, other.mtu, mac=other.mac, controller=other.controller)
    for port, vrf in ((port, other.name) for other in view.others for port in other.ports):
        found[port]["controller"] = vrf
    for device, settings in view.pass_through:
        if device in found:
            _pass_through(found[device], settings)
    for route in view.routes:
        row = (route.destination, route.via, str(route.metric), str(route.table))
        found[route.device]["routes"] = sorted([*found[route.device]["routes"], row])
    return Whole(found, sorted(view.dns_servers), sorted(view.dns_search), sorted(map(_rule, view.rules)))


def _pass_through(facts: Facts, settings: Any) -> None:
    """Add what is passed through to nmstate to the facts of an interface, under the keys of its keyfile."""
    for section, options in settings.get("ethtool", {}).items():
        for key, value in options.items():
            if section == "feature":
                facts["passed"][f"ethtool.feature-{FEATURES.get(key, key)}"] = _text(value)
            elif section != "pause" or key == "autoneg" or options.get("autoneg") is False:
                facts["passed"][f"ethtool.{section}-{key}"] = _number(value) if section == "coalesce" else _text(value)
    for kind in ("vlan", "mac-vlan"):
        part = settings.get(kind, {})
        if "base-iface" in part:
            facts["over"] = (part["base-iface"], str(part["id"] if kind == "vlan" else part["mode"]))
    for kind, keys in PASSED.items():
        part = settings.get(kind, {})
        facts["passed"].update({name: _text(part[key]) for key, name in keys.items() if key in part})


def _text(value: Any) -> str:
    return str(value).lower()


def _number(value: Any) -> str:
    """NetworkManager has numbers for the switches of interrupt coalescing."""
    return str(int(value))


def _with_own(ip: IpView) -> IpView:
    """The addresses of the loopback interface with those that it always has."""
    own = (Address("127.0.0.1", 8, 4), Address("::1", 128, 6))
    return dataclasses.replace(ip, ipv4="static", ipv6="static", addresses=(*own, *ip.addresses))


def _rule(rule: RuleView) -> str:
    """Return a rule in the notation of a keyfile, with its words sorted."""
    everything = "::/0" if rule.family == "ipv6" else "0.0.0.0/0"
    words = [f"priority {rule.priority}"]
    words += [f"{key} {net}" for key, net in (("from", rule.source), ("to", rule.destination)) if net]
    if not rule.source and not rule.destination:
        words.append(f"from {everything}")
    words += [f"iif {rule.incoming}"] if rule.incoming else []
    words += [f"fwmark {rule.fwmark}"] if rule.fwmark else []
    words.append(f"table {rule.table or 254}")  # nmstate states it for an action too
    words += [f"type {rule.action}"] if rule.action else []
    return _pairs(" ".join(words))


def _facts(
    kind: str,
    ip: IpView,
    mtu: Optional[int],
    mac: Optional[str] = None,
    controller: Optional[str] = None,
    up: bool = True,
) -> Facts:
    return {
        "type": kind,
        "up": up,
        "controller": controller,
        "mtu": str(mtu) if mtu else None,
        "mac": mac,
        "promiscuous": False,
        "over": None,
        "bond": None,
        "bridge": None,
        "vlans": [],
        "passed": {},
        "ipv4": _family(ip, 4),
        "ipv6": _family(ip, 6),
        "routes": [],
        "besides": [],
    }


def _family(ip: IpView, version: int) -> Facts:
    source = ip.ipv4 if version == 4 else ip.ipv6
    addresses = [f"{a.ip}/{a.prefix}" for a in ip.addresses if a.version == version]
    if source == "none" or (source == "static" and not addresses):
        method = "disabled"
    else:
        method = {"static": "manual", "dhcp": "auto" if version == 4 else "dhcp"}.get(source, source)
    asks = source in ("dhcp", "auto")
    return {
        "method": method,
        "addresses": addresses,
        "dns": ip.auto_dns if asks else None,
        "gateway": ip.auto_gateway if asks else None,
        "metric": str(ip.metric) if asks and method == "auto" else None,  # DHCPv6 alone brings no route
        "client": "mac" if asks and version == 4 else None,
    }


def _options(bond: BondView) -> Facts:
    found = {"mode": bond.mode}
    for name, value in bond.options:
        text = str(int(value)) if isinstance(value, bool) else str(value).lower()
        found[name] = NUMBERED.get(name, {}).get(text, text)
    return found


def read(texts: Iterable[str]) -> Whole:
    """Return the content of keyfiles."""
    found: dict[str, Facts] = {}
    servers: list[str] = []
    search: list[str] = []
    keyfiles = [_sections(text) for text in texts]
    # Older versions of nmstate (2.2.24) name a controller or a parent by its UUID.
    names = {keyfile["connection"]["uuid"]: keyfile["connection"]["interface-name"] for keyfile in keyfiles}
    rules = []
    for keyfile in keyfiles:
        rules += [_pairs(text) for family in ("ipv4", "ipv6") for text in _removed_rules(keyfile.get(family, {}))]
        name = keyfile["connection"].pop("interface-name")
        assert name not in found, f"{name} has two keyfiles"
        for family in ("ipv4", "ipv6"):
            servers += _listed(keyfile.get(family, {}).pop("dns", ""))
            search += _listed(keyfile.get(family, {}).pop("dns-search", ""))
        found[name] = _read(keyfile, names)
    return Whole(found, sorted(servers), sorted(set(search)), sorted(rules))


def _removed_rules(part: dict[str, str]) -> list[str]:
    return [value for _, value in _numbered(part, "routing-rule")]


def _pairs(text: str) -> str:
    """Return a rule with its pairs of words sorted."""
    words = text.split()
    return " ".join(sorted(f"{key} {_same(key, value)}" for key, value in zip(words[::2], words[1::2])))


def _same(key: str, value: str) -> str:
    """Return a value of a rule in the notation of a definition: NetworkManager leaves the prefix length of single
    addresses out, and writes marks in hexadecimal."""
    if key in ("from", "to"):
        return str(ipaddress.ip_network(value, strict=False))
    return str(int(value, 0)) if key == "fwmark" else value


def _sections(text: str) -> Keyfile:
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


def _listed(text: str) -> list[str]:
    return [part for part in text.replace(",", ";").split(";") if part]


def _read(keyfile: Keyfile, names: dict[str, str]) -> Facts:
    """Return the facts of one keyfile. Each value that is read is removed from it, so that the remaining ones can be
    reported."""
    connection, link = keyfile["connection"], keyfile.get("ethernet", {})
    kind = TYPES[connection.pop("type")]
    facts = _facts(kind, NO_IP, None)
    facts["up"] = connection.pop("autoconnect", "true") == "true"
    controller = connection.pop("controller", None) or connection.pop("master", None)
    facts["controller"] = names.get(controller or "", controller)
    port = connection.pop("port-type", None) or connection.pop("slave-type", None)
    assert (port is None) == (facts["controller"] is None)
    facts["mtu"] = link.pop("mtu", None)
    mac = link.pop("cloned-mac-address", None)
    facts["mac"] = mac.lower() if mac else None
    facts["promiscuous"] = link.pop("accept-all-mac-addresses", "0") in ("1", "true")
    if kind == "linux-bridge":
        bridge = keyfile["bridge"]
        facts["bridge"] = {
            "stp": bridge.pop("stp", "true") == "true",
            "priority": int(bridge.pop("priority", "32768")),
            "ageing": int(bridge.pop("ageing-time", "300")),
            "mask": int(bridge.pop("group-forward-mask", "0")),
            "snooping": bridge.pop("multicast-snooping", "true") == "true",
            "pvid": int(bridge.pop("vlan-default-pvid", "1")),
        }
    elif kind == "bond":
        bond = keyfile.pop("bond")
        facts["bond"] = {SPELLED.get(key, key): value.lower() for key, value in bond.items()}
    elif kind == "infiniband":
        infiniband = keyfile.get("infiniband", {})
        facts["mtu"] = infiniband.pop("mtu", None)
        if "transport-mode" in infiniband:
            pkey = infiniband.pop("p-key", None)
            base = infiniband.pop("parent", None)
            facts["over"] = (infiniband.pop("transport-mode"), names.get(base or "", base), int(pkey) if pkey else None)
    elif kind == "vlan":
        parent = keyfile["vlan"].pop("parent")
        facts["over"] = (names.get(parent, parent), keyfile["vlan"].pop("id"))
    elif kind == "mac-vtap":
        macvlan = keyfile["macvlan"]
        parent = macvlan.pop("parent")
        facts["over"] = (names.get(parent, parent), MACVLAN_MODES[macvlan.pop("mode")])
        facts["type"] = "mac-vtap" if macvlan.pop("tap", "false") == "true" else "mac-vlan"
    for section, keys in (("ethtool", None), ("vxlan", PASSED["vxlan"]), ("vrf", PASSED["vrf"])):
        part = keyfile.get(section, {})
        for key in [key for key in part if keys is None or f"{section}.{key}" in keys.values()]:
            value = part.pop(key).lower()
            facts["passed"][f"{section}.{key}"] = names.get(value, value)
    facts["vlans"] = sorted(_listed(keyfile.get("bridge-port", {}).pop("vlans", "")))
    for family in ("ipv4", "ipv6"):
        part = keyfile.get(family, {})
        facts["routes"] += _routes(part)
        facts[family] = _read_family(part, family)
    for section in ("sriov", "mptcp"):
        keyfile.pop(section, None)
    left = {
        section: {
            k for k in set(keys) - BESIDE.get(section, set()) - UNREAD.get(section, set()) if "multicast" not in k
        }
        for section, keys in keyfile.items()
    }
    facts["routes"].sort()
    facts["besides"] = sorted(f"{section}.{key}" for section, keys in left.items() for key in keys)
    return facts


def _numbered(part: dict[str, str], word: str) -> list[tuple[str, str]]:
    """Remove the keys address0, address1, … and return their values."""
    keys = [key for key in part if key.startswith(word) and key[len(word) :].isdigit()]
    return [(key, part.pop(key)) for key in sorted(keys, key=lambda key: int(key[len(word) :]))]


def _routes(part: dict[str, str]) -> list[tuple[str, ...]]:
    found = []
    for key, value in _numbered(part, "route"):
        options = dict(pair.split("=") for pair in part.pop(f"{key}_options", "").split(",") if pair)
        table = options.pop("table", "254")
        assert not options, f"{key} has {options}"
        destination, *rest = value.split(",")
        found.append((destination, *("" if hop in ("0.0.0.0", "::") else hop for hop in rest), table))
    return found


def _read_family(part: dict[str, str], family: str) -> Facts:
    method = part.pop("method", "disabled")  # a port's keyfile has no such section
    asks = method in ("auto", "dhcp")
    facts = {
        "method": method,
        "addresses": [value for _, value in _numbered(part, "address")],
        "dns": part.pop("ignore-auto-dns", "false") == "false" if asks else None,
        "gateway": part.pop("never-default", "false") == "false" if asks else None,
        "metric": part.pop("route-metric", None) if asks else None,
        "client": part.pop("dhcp-client-id", None) if family == "ipv4" else None,
    }
    if part.get("ignore-auto-routes") == "false":
        del part["ignore-auto-routes"]
    return facts


def differences(want: Whole, have: Whole) -> list[str]:
    """Return how the keyfiles differ from what they must contain; empty if they do not."""
    wrong = []
    for name in sorted({*want.interfaces, *have.interfaces}):
        one, other = want.interfaces.get(name), have.interfaces.get(name)
        if one is None or other is None:
            wrong.append(f"{name} is {'not asked for' if one is None else 'missing'}")
            continue
        wrong += [f"{name} {key}: {other[key]!r}, not {one[key]!r}" for key in one if other[key] != one[key]]
    if have.servers != want.servers:
        wrong.append(f"name servers: {have.servers}, not {want.servers}")
    if have.rules != want.rules:
        wrong.append(f"routing rules: {have.rules}, not {want.rules}")
    if have.search != want.search:
        wrong.append(f"search domains: {have.search}, not {want.search}")
    return wrong
