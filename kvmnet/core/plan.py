"""The plan: what of a bundle this host does not have yet, and in which words to say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from kvmnet.core.bundle import Bundle, Nic, State
from kvmnet.core.difference import interface_differences, is_link_local, renamed, route_key, route_text
from kvmnet.core.errors import Refused
from kvmnet.core.guest_settings import guest_settings
from kvmnet.core.live import UNREADABLE, Live


@dataclass(frozen=True)
class Rename:
    """A NIC, found by its permanent MAC, that gets another kernel name."""

    mac: str
    old: str
    new: str
    altnames: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """One line of the plan. `what` is add, change, remove, rename, file or save."""

    what: str
    name: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be done on this host: `state` holds only what differs."""

    bundle: Bundle
    renames: tuple[Rename, ...]
    link_files: Mapping[str, str]
    state: State
    unsaved: tuple[str, ...]
    hostname: Optional[str]
    settings: Mapping[str, str]
    record: bool
    changes: tuple[Change, ...]

    @property
    def empty(self) -> bool:
        """Whether the host already is as the bundle says, on disk too."""
        return not self.changes

    def to_json(self) -> dict[str, Any]:
        """For `plan --json`."""
        return {
            "host": self.bundle.host,
            "digest": self.bundle.digest,
            "empty": self.empty,
            "changes": [{"what": c.what, "name": c.name, "details": list(c.details)} for c in self.changes],
            "state": self.state,
        }


def make_plan(bundle: Bundle, live: Live) -> Plan:
    """Compare a bundle with a live reading.

    Raises Refused when the host cannot take it: a NIC that is not there, a name that another device holds.
    """
    renames = tuple(r for nic in bundle.nics for r in _rename(nic, live))
    _refuse_taken_names(bundle, renames, live)
    _refuse_name_traps(bundle, renames, live)
    _refuse_strange_nics(bundle, renames, live)
    view = renamed(live.state, {r.old: r.new for r in renames})
    changes = [Change("rename", r.old, (f"to {r.new}, the NIC with MAC {r.mac}",)) for r in renames]

    link_files = {name: text for name, text in bundle.links.items() if live.link_files.get(name) != text}
    changes += [Change("file", f"/etc/systemd/network/{name}", ("names the NIC at boot",)) for name in link_files]

    interfaces, more = _interfaces(bundle.state, view)
    changes += more
    routes, more = _routes(bundle.state, view, {i["name"] for i in bundle.state.get("interfaces", [])})
    changes += more
    dns, more = _dns(bundle.state, view)
    changes += more
    state: State = {}
    if interfaces:
        state["interfaces"] = interfaces
    if routes:
        state["routes"] = {"config": routes}
    if dns:
        state["dns-resolver"] = {"config": dns}

    sent = {i["name"] for i in interfaces}
    unsaved = tuple(
        i["name"]
        for i in bundle.state.get("interfaces", [])
        if i["name"] not in sent and i["name"] in live.profiles and not live.profiles[i["name"]].saved
    )
    changes += [Change("save", name, ("its connection profile is only in memory",)) for name in unsaved]
    hostname = _hostname(bundle.state, live.state)
    if hostname is not None:
        changes.append(Change("change", "hostname", (f"{_now_named(live.state)} -> {hostname}",)))
    # a NIC that is only renamed was re-bound in memory: its profile is to be saved too
    unsaved += tuple(r.new for r in renames if r.new not in {*sent, *unsaved} and r.old in live.profiles)
    settings = {path: text for path, text in guest_settings(bundle).items() if live.settings.get(path) != text}
    changes += [Change("file", path, ("NetworkManager leaves guests' devices alone",)) for path in settings]
    record = live.applied not in (bundle.digest, UNREADABLE)
    if record and not changes:
        changes.append(Change("record", bundle.host, ("the host already is as defined; kvmnet takes note of it",)))
    return Plan(bundle, renames, link_files, state, unsaved, hostname, settings, record, tuple(changes))


def _rename(nic: Nic, live: Live) -> list[Rename]:
    if nic.mac is None:
        if nic.name not in live.links:
            raise Refused(
                f"NIC {nic.interface} is not here: no interface is named {nic.name}",
                "name the NIC by `mac:` in the definition, or check the hardware",
            )
        return []
    link = live.nic(nic.mac)
    if link is None:
        raise Refused(
            f"NIC {nic.interface} is not here: no NIC has the permanent MAC {nic.mac}",
            "the NICs of this machine: " + ", ".join(f"{name} {mac}" for mac, name in sorted(live.macs().items())),
        )
    if link.name == nic.name:
        return []
    if nic.link_file is None:  # the profile names no NICs
        raise Refused(
            f"NIC {nic.interface} ({nic.mac}) is named {link.name} here, and the profile does not rename",
            f"call the interface {link.name} in the definition, or choose a profile that renames",
        )
    return [Rename(nic.mac, link.name, nic.name, link.altnames)]


#: rtnetlink's kind of what nmstate calls a type
_KINDS = {"linux-bridge": "bridge", "vlan": "vlan", "bond": "bond", "mac-vtap": "macvtap"}


def _refuse_taken_names(bundle: Bundle, renames: tuple[Rename, ...], live: Live) -> None:
    """A name that a link will get must not be another's, nor another's altname (the kernel knows no
    difference). A NIC's own altnames are no obstacle: they are taken from it."""
    leaving = {r.old for r in renames}
    ours = {nic.mac for nic in bundle.nics}
    wanted = {r.new: None for r in renames}
    wanted.update({i["name"]: _KINDS[i["type"]] for i in bundle.state.get("interfaces", []) if i["type"] in _KINDS})
    for name, kind in wanted.items():
        for link in live.links.values():
            if link.name == name and name not in leaving and (kind is None or link.kind != kind):
                raise Refused(
                    f"the name {name} is taken by a {link.kind or 'NIC'}",
                    f"rename or remove it, or choose another name for {name} in the profile",
                )
            if name in link.altnames and link.mac not in ours:
                raise Refused(
                    f"the name {name} is an alternative name of {link.name}",
                    f"take it away: ip link property del dev {link.name} altname {name}",
                )


def _refuse_name_traps(bundle: Bundle, renames: tuple[Rename, ...], live: Live) -> None:
    """nmstate (2.2.10 on) takes a desired interface for the NIC whose profile is bound by MAC and has that
    name as its id. Our own NICs' profiles get another id; another NIC's is not ours to change."""
    ours = {r.old for r in renames} | {nic.name for nic in bundle.nics}
    names = {i["name"] for i in bundle.state.get("interfaces", [])}
    for profile in (p for p in live.profiles.values() if p.type == "802-3-ethernet"):
        if profile.id in names and profile.device not in ours and not profile.interface_name:
            raise Refused(
                f"the connection profile of {profile.device} has the id {profile.id}, the name of an interface to "
                "come: nmstate would take one for the other",
                f"give it another: nmcli connection modify {profile.uuid} connection.id {profile.device}",
            )


def _refuse_strange_nics(bundle: Bundle, renames: tuple[Rename, ...], live: Live) -> None:
    """NICs whose configuration kvmnet could not give back: it is not in a keyfile of NetworkManager's, or
    something else stands on the NIC."""
    now = {r.new: r.old for r in renames}
    addressed = {
        i["name"]
        for i in live.state.get("interfaces", [])
        if any(not is_link_local(a["ip"]) for f in ("ipv4", "ipv6") for a in i.get(f, {}).get("address", []))
    }
    known = {i["name"] for i in bundle.state.get("interfaces", [])}
    devices: dict[str, str] = {}
    for nic in bundle.nics:
        name = now.get(nic.name, nic.name)
        link, profile = live.links.get(name), live.profiles.get(name)
        if link is not None and link.master is not None and link.master not in known:
            raise Refused(
                f"NIC {name} is a port of {link.master}, which the definition does not know",
                f"take it out (nmcli connection modify … controller ''), or remove {link.master}",
            )
        if profile is None and name in addressed:
            raise Refused(
                f"NIC {name} has addresses that NetworkManager did not give it: they could not be given back",
                f"let NetworkManager manage it: nmcli device set {name} managed yes, and a connection profile",
            )
        if profile is not None and not _is_keyfile(profile.file):
            raise Refused(
                f"the connection profile of {name} is in {profile.file or 'no file'}, which kvmnet could not give back",
                f"make it a keyfile: nmcli connection migrate {profile.uuid} (NetworkManager 1.38 or later)",
            )
        if profile is not None and devices.setdefault(profile.uuid, name) != name:
            raise Refused(
                f"{name} and {devices[profile.uuid]} share the connection profile {profile.id}",
                "give each NIC a profile of its own: nmcli connection clone",
            )


def _is_keyfile(path: str) -> bool:
    folders = ("/etc/NetworkManager/system-connections/", "/run/NetworkManager/system-connections/")
    return path.startswith(folders)


def _interfaces(desired: State, view: State) -> tuple[list[dict[str, Any]], list[Change]]:
    there = {i["name"]: i for i in view.get("interfaces", [])}
    send, changes = [], []
    for interface in desired.get("interfaces", []):
        live: Optional[dict[str, Any]] = there.get(interface["name"])
        details = interface_differences(interface, live)
        if details:
            send.append(interface)
            changes.append(Change("change" if live else "add", interface["name"], tuple(details)))
    return send, changes


def _routes(desired: State, view: State, ours: set[str]) -> tuple[list[dict[str, Any]], list[Change]]:
    """Routes to add, and static routes over our interfaces that the definition does not know: nmstate
    appends routes, so what must go has to be said."""
    wanted = {route_key(r): r for r in desired.get("routes", {}).get("config", [])}
    there = {route_key(r): r for r in view.get("routes", {}).get("config", [])}
    send: list[dict[str, Any]] = []
    changes = []
    for key, route in there.items():
        name = str(route.get("next-hop-interface"))
        if key in wanted or name not in ours:
            continue
        # of an interface that loses its addresses nmstate removes the routes by itself
        if _has_ip(desired, name):
            send.append({"state": "absent", **{k: v for k, v in route.items() if k in _ROUTE_KEYS}})
        elif any(key[0] == other[0] for other in wanted):
            continue  # it moves with the address
        changes.append(Change("remove", "route", (route_text(route),)))
    for key, route in wanted.items():
        if key not in there:
            send.append(route)
            changes.append(Change("add", "route", (route_text(route),)))
    return send, changes


_ROUTE_KEYS = ("destination", "next-hop-address", "next-hop-interface", "table-id", "metric")


def _has_ip(desired: State, name: str) -> bool:
    for interface in desired.get("interfaces", []):
        if interface["name"] == name:
            return any(interface.get(f, {}).get("enabled") for f in ("ipv4", "ipv6"))
    return False


def _hostname(desired: State, live: State) -> Optional[str]:
    """The static hostname to set; None when it is so, or when the definition does not say. It is a step of
    its own: an apply of nmstate's in memory leaves the hostname alone (nmstate 2.2)."""
    wanted = desired.get("hostname", {}).get("config")
    return str(wanted) if wanted is not None and wanted != _now_named(live) else None


def _now_named(live: State) -> str:
    return str(live.get("hostname", {}).get("config") or "none")


def _dns(desired: State, view: State) -> tuple[dict[str, Any], list[Change]]:
    wanted = desired.get("dns-resolver", {}).get("config", {})
    there = view.get("dns-resolver", {}).get("config", {})
    details = [
        f"{key}: {', '.join(there.get(key, [])) or 'none'} -> {', '.join(wanted[key]) or 'none'}"
        for key in wanted
        if list(wanted[key]) != list(there.get(key, []))
    ]
    return (dict(wanted), [Change("change", "name servers", tuple(details))]) if details else ({}, [])


def expectations(state: State) -> list[dict[str, Any]]:
    """What the kernel must show once a state is applied, one entry an interface: to be read back, since no
    return code is believed about the network."""
    controllers = {
        (p["name"] if isinstance(p, Mapping) else p): i["name"]
        for i in state.get("interfaces", [])
        for kind in ("bridge", "link-aggregation")
        for p in i.get(kind, {}).get("port", [])
    }
    found = []
    for interface in state.get("interfaces", []):
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
