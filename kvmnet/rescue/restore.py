"""Restores what NetworkManager's rollback leaves different: names, MACs, MTUs, zones, guests' ports, profiles."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Optional

from kvmnet.rescue import comparison, difference_text, snapshot, whole_host
from kvmnet.system import bridge_ports, files, firewalld, links, networkmanager, programs
from kvmnet.system.errors import EXPECTED_ERRORS, HostError
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json

#: Seconds that a host may need, after all steps are undone, until it is as before: a bond, a DHCP lease, a busy host.
SETTLE_SECONDS = 60


def restore_upper_mtus(before: Json) -> list[str]:
    """Restore the MTU of links whose base interface the transaction changed; return their names.

    A link that was recreated, or that has a greater MTU, is left alone. Raises HostError.
    """
    if not before.get("above"):
        return []
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    restored = []
    for name, was in before["above"].items():
        row = rows.get(name, {})
        if row.get("ifindex") == was["index"] and row["mtu"] < was["mtu"]:
            with contextlib.suppress(HostError):  # its base interface has a lower MTU
                programs.run("ip", "link", "set", "dev", name, "mtu", str(was["mtu"]))
                restored.append(name)
    return restored


def restore_global_dns(before: Json) -> str:
    """Restore NetworkManager's global name servers; return what was done.

    While NetworkManager runs this is done by its property, otherwise in its file. Raises HostError when NetworkManager
    does not accept them.
    """
    if "global dns" not in before:  # a snapshot of an earlier kvmnet
        return "not in the snapshot"
    if not networkmanager.is_running():
        return "restored" if files.restore_file(before["intern"]) else "unchanged"
    if networkmanager.read_global_dns() == before["global dns"]:
        return "unchanged"
    programs.run(*networkmanager.global_dns_command(before["global dns"]))
    if networkmanager.read_global_dns() != before["global dns"]:
        raise HostError(f"the global name servers are {networkmanager.read_global_dns()}, not {before['global dns']}")
    return "restored"


def restore_guest_ports(before: Json) -> list[str]:
    """Attach the ports of guests to the bridges that they were ports of, and restore the attributes and VLANs of those
    that are still attached; return their names.

    A tap that has another controller, or is a new one with the same name, is left alone. A port with `from` moves from
    that bridge. Raises HostError.
    """
    if not before.get("guests"):
        return []
    rows = links.read_ip_links()
    by_name = {row["ifname"]: row for row in rows}
    ports = bridge_ports.read_ports(rows, before["guests"])
    restored = []
    for name, was in before["guests"].items():
        now = by_name.get(name, {})
        if was["kind"] == "macvtap" or now.get("ifindex") != was["index"] or was["of"] not in by_name:
            continue
        with contextlib.suppress(HostError):  # the guest has just stopped; the other taps must be attached
            if now.get("master") in (None, was.get("from")):
                bridge_ports.attach_port(name, was["of"], was)
                restored.append(name)
            elif ports.get(name, {}).get("of") == was["of"] and difference_text.compare_port(name, was, ports[name]):
                bridge_ports.restore_port(name, was, ports[name])
                restored.append(name)
    return restored


def restore_own_ports(before: Json) -> list[str]:
    """Restore attributes and VLANs of the transaction's own ports, and the VLANs of its bridges; return their names.

    NetworkManager restores those that a connection profile sets. Raises HostError.
    """
    saved = whole_host.own_ports(before)
    restored: list[str] = []
    if not saved:
        return restored
    for name, now in bridge_ports.read_ports(links.read_ip_links(), saved).items():
        if now.get("of") == saved[name].get("of") and difference_text.compare_port(name, saved[name], now):
            bridge_ports.restore_port(name, saved[name], now)
            restored.append(name)
    return restored


def restore_rules(before: Json) -> list[str]:
    """Restore the routing rules of NetworkManager and of the transaction's own interfaces; return them.

    NetworkManager restores those that it knows to be missing. Raises HostError.
    """
    if "host" not in before:
        return []
    missing, new = whole_host.find_own_rules(before)
    changes = [("add", *rule) for rule in missing] + [("del", *rule) for rule in new]
    for verb, family, rule in changes:
        priority, _, rest = rule.partition(":")
        with contextlib.suppress(HostError):  # the other rules must be restored
            programs.run("ip", f"-{family}", "rule", verb, "priority", priority, *rest.split())
    return [rule for _, _, rule in changes]


#: What the kernel delivers locally, with a route in the table local.
_LOOPBACK_NETWORK = "127.0.0.0/8"
#: Routes that NetworkManager adds with a profile of the loopback interface. Others belong to other tools.
_OWN_ROUTES = frozenset((_LOOPBACK_NETWORK, "::1"))


def restore_loopback(before: Json, removable: Optional[Collection[str]] = None) -> list[str]:
    """Restore the addresses of the loopback interface, and remove the routes to them outside the table local; return
    the addresses and routes.

    NetworkManager (1.42 to 1.52) adds such routes with a profile for it. When the profile goes, it may leave them and
    the addresses, and it removes the kernel's route to 127.0.0.0/8 in the table local. `removable` are the addresses
    that may be removed; without it, all. Raises HostError.
    """
    name = links.LOOPBACK
    if name not in before.get("addresses", {}):
        return []
    kernel = links.read_kernel(before.get("virtual", ()))
    saved, current = before["addresses"][name], links.read_addresses(kernel.addresses).get(name, [])
    new = [a for a in current if a not in saved and (removable is None or a in removable)]
    missing = [a for a in saved if a not in current]
    for verb, addresses in (("add", missing), ("del", new)):
        for address in addresses:
            programs.run("ip", "address", verb, address, "dev", name)
    had = {(r["family"], r["table"], r["to"]) for r in before.get("routes", ()) if r["dev"] == name}
    ours = {address.partition("/")[0] for address in new} | _OWN_ROUTES
    routes = [
        r
        for r in kernel.routes
        if r["dev"] == name and r["to"] in ours and not r["via"] and (r["family"], r["table"], r["to"]) not in had
    ]
    for route in routes:
        with contextlib.suppress(HostError):  # it went with its address
            programs.run("ip", f"-{route['family']}", "route", "del", route["to"], "dev", name, "table", route["table"])
    if "4" in links.read_families() and not links.has_local_route(_LOOPBACK_NETWORK):
        words = ("table", "local", "proto", "kernel", "scope", "host")
        programs.run("ip", "route", "replace", "local", _LOOPBACK_NETWORK, "dev", name, *words)
        routes.append({"to": f"local {_LOOPBACK_NETWORK}"})
    return [*missing, *new, *(route["to"] for route in routes)]


def reactivate_profiles(before: Json) -> None:
    """Activate the profiles that were active and are not, or whose device has other settings than before.

    NetworkManager's rollback may leave a NIC unconfigured, and NetworkManager does not apply a profile again when it
    reads it again. The path to the default gateway comes first, because the last of many profiles comes up minutes
    later.
    """
    for profile in _activation_order(before):
        device = profile["device"]
        with contextlib.suppress(*EXPECTED_ERRORS):  # the other profiles must be tried
            if device and not _is_active_as_before(before, profile["uuid"], device):
                # The profile creates a missing virtual link, which cannot be named as device before. It does not create
                # a missing NIC: where it is bound to no NIC, NetworkManager would use another one.
                ifname = ["ifname", device] if device in links.read_links() else []
                if not ifname and device in before["links"] and not before["links"][device]["kind"]:
                    continue
                programs.run("nmcli", "-w", "20", "connection", "up", "uuid", profile["uuid"], *ifname)


def _activation_order(before: Json) -> list[Json]:
    """Return the profiles in the order of their activation.

    First come those that the default routes need, then those that other addresses need, then the rest. In each group,
    bonds and bridges come before their ports: a bond that is a port of a bridge goes down with the bridge.
    """
    links_before = before["links"]

    def with_lower(names: set[str]) -> set[str]:
        ports = {name for name, link in links_before.items() if link["master"] in names}
        lower = {links_before[name].get("over") for name in names if name in links_before} - {None}
        return names if ports | lower <= names else with_lower(names | ports | lower)

    default_routes = [route for route in before["routes"] if route.get("to") == "default"]
    # a route with several next hops has no device
    gateway_path = with_lower({route["dev"] for route in default_routes if route["dev"]})
    addressed = gateway_path | with_lower({name for name, addresses in before["addresses"].items() if addresses})

    def priority(profile: Json) -> tuple[bool, bool, bool]:
        device = profile["device"]
        is_port = links_before.get(device, {}).get("master") is not None
        return device not in gateway_path, device not in addressed, is_port

    return sorted(before["profiles"], key=priority)


def _is_active_as_before(before: Json, uuid: str, device: str) -> bool:
    now = snapshot.read_current_state(before)
    active = any(p["uuid"] == uuid and p["device"] == device for p in now["profiles"])
    return active and has_device_settings(before, now, device)


def has_device_settings(before: Json, now: Json, device: str) -> bool:
    """Return whether a device has from its profile what it had, in a snapshot and a state from
    `snapshot.read_host_state`."""
    was, current = before["links"].get(device, {}), now["links"].get(device, {})
    if was and current:
        saved_options, options = links.align_options(was, current)
        before = {**before, "links": {**before["links"], device: {**was, "options": saved_options}}}
        now = {**now, "links": {**now["links"], device: {**current, "options": options}}}
    states = [{**state, "routes": comparison.without_shared_networks(before, state)} for state in (before, now)]
    return bool(read_device_settings(states[0], device) == read_device_settings(states[1], device))


def read_device_settings(state: Json, device: str) -> Any:
    """Return what a device has from its profile, in a snapshot or a state from `snapshot.read_current_state`.

    The controller is included: after NetworkManager 1.52 rolls a bond back, the bond's ports may wait for it for ever
    although it is up.
    """
    link = state["links"].get(device, {})
    return (
        [link.get(key) for key in ("master", "over", "options")],
        state["addresses"].get(device),
        [route for route in state["routes"] if route["dev"] == device],
        state.get("dns", {}).get(device),
    )


def restore_nic_names(before: Json) -> list[str]:
    """Rename NICs to the names that they had, also those that no step has renamed; return the restored names.

    `kvmnet remove` deletes the `.link` files first. When power is lost then, the boot names the NICs without them. NICs
    that swap names get a temporary name. A NIC whose name is in use by another device does not stop the others.
    """
    names = {link["mac"]: name for name, link in before.get("links", {}).items() if link.get("mac")}
    wrong = {mac: name for mac, name in names.items() if links.find_nic(mac) not in (None, name)}
    restored = []
    for mac in [mac for mac in wrong if links.find_nic(mac) in wrong.values()]:
        with contextlib.suppress(HostError):
            links.rename_nic(mac, "kvmnet" + mac.replace(":", "")[-6:])
    for mac, name in wrong.items():
        with contextlib.suppress(HostError):
            links.rename_nic(mac, name)
            restored.append(name)
    return sorted(restored)


def change_mac(name: str, mac: str) -> None:
    """Change the MAC address of a link and announce it to the neighbours. Raises HostError."""
    with _neighbour_announcement(name):
        programs.run("ip", "link", "set", "dev", name, "address", mac)


def restore_macs(before: Json) -> None:
    """Restore the MAC addresses of bonds and bridges, and announce them to the neighbours.

    NetworkManager's rollback (1.42 and 1.52) leaves a bond on the random MAC address that it was created with, and its
    neighbours have learned that one. Some NICs can change their MAC address only while they are down, and a bond with
    such ports refuses the change (EBUSY): then the ports are deactivated first and activated again. Raises HostError.
    """
    for name, link in links.read_links().items():
        was = before["links"].get(name, {})
        if (
            link["kind"] not in ("bond", "bridge")
            or link["kind"] != was.get("kind")
            or link["address"] == was["address"]
        ):
            continue
        try:
            change_mac(name, was["address"])
        except HostError:
            uuids = {p["device"]: p["uuid"] for p in before["profiles"] if p["device"]}
            ports = [n for n, port in before["links"].items() if port["master"] == name and n in uuids]
            for port in ports:
                with contextlib.suppress(HostError):  # it may be inactive already
                    programs.run("nmcli", "-w", "20", "connection", "down", "uuid", uuids[port])
            try:
                change_mac(name, was["address"])
            finally:
                for port in ports:
                    with contextlib.suppress(HostError):
                        programs.run("nmcli", "-w", "20", "connection", "up", "uuid", uuids[port], "ifname", port)


@contextlib.contextmanager
def _neighbour_announcement(name: str) -> Iterator[None]:
    """Make the kernel announce a change of this link's MAC address (ip-sysctl: arp_notify, ndisc_notify), because some
    switches and routers keep the old one for hours."""
    settings = [f"{links.SYSCTL}/ipv4/conf/{name}/arp_notify", f"{links.SYSCTL}/ipv6/conf/{name}/ndisc_notify"]
    values: dict[str, str] = {}
    for path in settings:
        with contextlib.suppress(OSError):  # a kernel without IPv6
            values[path] = Path(path).read_text(encoding="ascii")
            Path(path).write_text("1", encoding="ascii")
    try:
        yield
    finally:
        for path, text in values.items():
            with contextlib.suppress(OSError):
                Path(path).write_text(text, encoding="ascii")


def restore_link_settings(before: Json) -> None:
    """Restore the promiscuous mode and the MTU of links, and the options of bridges. Raises HostError.

    A restarted NetworkManager does not know that it changed them, and keeps values that a profile does not set.
    """
    for name, link in links.read_links().items():
        was = before["links"].get(name, {})
        if link["kind"] != was.get("kind", link["kind"]):
            continue
        if was and link["promiscuous"] != was["promiscuous"]:
            programs.run("ip", "link", "set", "dev", name, "promisc", "on" if was["promiscuous"] else "off")
        if was and link["mtu"] != was["mtu"]:
            programs.run("ip", "link", "set", "dev", name, "mtu", str(was["mtu"]))
        if link["kind"] == "bridge" and was.get("kind") == "bridge":
            _restore_bridge_options(name, was, link)


def _restore_bridge_options(name: str, was: Json, now: Json) -> None:
    """Restore the options of a bridge, such as `vlan_filtering`. One that the kernel refuses does not stop the rest."""
    saved, current = links.align_options(was, now)
    for option, value in saved.items():
        if value != current[option] and value is not None:
            with contextlib.suppress(HostError):
                programs.run("ip", "link", "set", "dev", name, "type", "bridge", option, str(value))


def restore_zones(before: Json) -> None:
    """Restore the firewalld zones of the interfaces. Raises HostError.

    A NetworkManager that was restarted in between does not remove its former bridge from its zone.
    """
    if before.get("zones") is not None and firewalld.is_running():
        firewalld.bind_zones(before["zones"])


def restore_until_equal(before: Json, journal: Journal, patience: float) -> list[str]:
    """Restore what still differs until the host is as the snapshot describes it; return the differences that remain.

    `patience` is the time limit in seconds.
    """
    start = time.monotonic()
    next_activation = start + 3  # most settings come back without it
    logged: list[str] = []
    differences = _find_differences(before, journal)
    while differences and time.monotonic() - start < patience:
        if time.monotonic() > start + 3:
            for restore_part in (
                *(restore_macs, restore_link_settings, restore_own_ports, restore_rules),
                *(restore_zones, restore_global_dns),
            ):
                with contextlib.suppress(*EXPECTED_ERRORS):
                    restore_part(before)
        if time.monotonic() > next_activation:  # last: it interrupts the guests of a bridge
            with contextlib.suppress(*EXPECTED_ERRORS):
                reactivate_profiles(before)
            next_activation = time.monotonic() + 15
        with contextlib.suppress(*EXPECTED_ERRORS):
            restore_loopback(before)
        with contextlib.suppress(*EXPECTED_ERRORS):  # without delay: until then a guest has no network
            if ports := restore_guest_ports(before):
                journal.try_append("ports", given_back=ports)
        if differences != logged:
            logged = differences
            journal.try_append("settling", differences=differences)
        time.sleep(0.3)
        differences = _find_differences(before, journal)
    return differences


def _find_differences(before: Json, journal: Journal) -> list[str]:
    """Return how the host differs from the snapshot, after the MTUs that only kvmnet restores, as soon as the base
    interfaces have theirs again."""
    with contextlib.suppress(*EXPECTED_ERRORS):
        if raised := restore_upper_mtus(before):
            journal.try_append("mtus", given_back=raised)
    return comparison.find_differences(before)
