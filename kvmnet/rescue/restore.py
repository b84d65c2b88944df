"""Restores what NetworkManager's rollback leaves different: names, MACs, MTUs, zones, guests' ports, profiles."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kvmnet.rescue import comparison, snapshot
from kvmnet.system import files, firewalld, links, networkmanager, programs
from kvmnet.system.errors import EXPECTED_ERRORS, HostError
from kvmnet.system.journal import Journal
from kvmnet.system.types import Json

#: Seconds that a machine may need to be as before once all is undone: a bond, a DHCP lease, a busy machine.
SETTLE_SECONDS = 60


def restore_upper_mtus(before: Json) -> list[str]:
    """Give what stands on our links the MTU that it had; says of which. One that is another by now, or that has a
    greater one, is left alone."""
    if not before.get("above"):
        return []
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    given = []
    for name, was in before["above"].items():
        row = rows.get(name, {})
        if row.get("ifindex") == was["index"] and row["mtu"] < was["mtu"]:
            with contextlib.suppress(HostError):  # what is below has a lower one for good
                programs.run("ip", "link", "set", "dev", name, "mtu", str(was["mtu"]))
                given.append(name)
    return given


def restore_global_dns(before: Json) -> str:
    """The same, from the snapshot."""
    if "global dns" not in before:  # of an earlier kvmnet
        return "not known"
    if not networkmanager.is_running():
        return "given back" if files.restore_file(before["intern"]) else "as before"
    if networkmanager.read_global_dns() == before["global dns"]:
        return "as before"
    programs.run(*networkmanager.global_dns_command(before["global dns"]))
    if networkmanager.read_global_dns() != before["global dns"]:
        raise HostError(f"the global name servers are {networkmanager.read_global_dns()}, not {before['global dns']}")
    return "given back"


def restore_guest_ports(before: Json) -> list[str]:
    """Make guests' taps ports of the bridges that they were ports of, with the bridge's settings for them; the names
    of those that were none. A tap that has another controller, or is another one of its name, is left alone."""
    if not before.get("guests"):
        return []
    rows = {row["ifname"]: row for row in links.read_ip_links()}
    done = []
    for name, was in before["guests"].items():
        now = rows.get(name, {})
        if was["kind"] != "tap" or now.get("ifindex") != was["index"] or now.get("master") or was["of"] not in rows:
            continue
        with contextlib.suppress(HostError):  # it stopped in this moment; the others are to be put back all the same
            programs.run("ip", "link", "set", "dev", name, "master", was["of"])
            done.append(name)
            _restore_port_settings(name, was["settings"])
    return done


def _restore_port_settings(port: str, wanted: Json) -> None:
    fresh = links.port_settings(programs.run_json("ip", "-d", "-j", "link", "show", "dev", port)[0])
    for key, value in wanted.items():
        if fresh.get(key, value) != value:
            word = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
            programs.run("ip", "link", "set", "dev", port, "type", "bridge_slave", key, word)


def reactivate_profiles(before: Json) -> None:
    """Activate what was active and is not (NetworkManager's own rollback may leave a NIC unconfigured), or
    whose addresses or routes are not what they were (a profile that is read again is not applied again).

    The way to the gateway first: of many profiles the last comes up minutes later.
    """
    for profile in _activation_order(before):
        device = profile["device"]
        with contextlib.suppress(*EXPECTED_ERRORS):  # the others are to be tried all the same
            if device and not _is_active_as_before(before, profile["uuid"], device):
                # a virtual link that is gone comes with its profile, and cannot be named before; a NIC that is gone
                # does not, and its profile may be bound to none: NetworkManager would take another NIC for it
                place = ["ifname", device] if device in links.read_links() else []
                if not place and device in before["links"] and not before["links"][device]["kind"]:
                    continue
                programs.run("nmcli", "-w", "20", "connection", "up", "uuid", profile["uuid"], *place)


def _activation_order(before: Json) -> list[Json]:
    """The profiles in the order in which they are to come up: what the default routes need, what other addresses need,
    the rest; of each, bonds and bridges before their ports: when a bridge goes, a bond that was its port goes with
    its ports."""
    was = before["links"]

    def with_lower(names: set[str]) -> set[str]:
        ports = {name for name, link in was.items() if link["master"] in names}
        lower = {was[name].get("over") for name in names if name in was} - {None}
        return names if ports | lower <= names else with_lower(names | ports | lower)

    gateways = [route for route in before["routes"] if route.get("to") == "default"]
    out = with_lower({route["dev"] for route in gateways if route["dev"]})  # of several next hops none is told
    addressed = out | with_lower({name for name, held in before["addresses"].items() if held})

    def need(profile: Json) -> tuple[bool, bool, bool]:
        device = profile["device"]
        is_port = was.get(device, {}).get("master") is not None
        return device not in out, device not in addressed, is_port

    return sorted(before["profiles"], key=need)


def _is_active_as_before(before: Json, uuid: str, device: str) -> bool:
    now = snapshot.read_host_state(before["names"], before["macs"], before["uuids"])
    active = any(p["uuid"] == uuid and p["device"] == device for p in now["profiles"])
    return active and _provided_by_profile(before, device) == _provided_by_profile(now, device)


def _provided_by_profile(seen: Json, device: str) -> Any:
    """What a device has from its profile. Of whom it is a port too: NetworkManager's rollback of a bond (1.52) may
    leave its ports waiting for ever for a bond that is up."""
    link = seen["links"].get(device, {})
    return (
        [link.get(key) for key in ("master", "over", "options")],
        seen["addresses"].get(device),
        [route for route in seen["routes"] if route["dev"] == device],
        seen.get("dns", {}).get(device),
    )


def restore_nic_names(before: Json) -> list[str]:
    """Give NICs their names that no step has renamed: a removal takes the `.link` files away first, and when the power
    goes then, the boot names the NICs without them. One that has another's name gets one in between; one whose name is
    a stranger's keeps none of the others from theirs. Says which have theirs again."""
    names = {link["mac"]: name for name, link in before.get("links", {}).items() if link.get("mac")}
    wrong = {mac: name for mac, name in names.items() if links.find_nic(mac) not in (None, name)}
    given = []
    for mac in [mac for mac in wrong if links.find_nic(mac) in wrong.values()]:
        with contextlib.suppress(HostError):
            links.rename_nic(mac, "kvmnet" + mac.replace(":", "")[-6:])
    for mac, name in wrong.items():
        with contextlib.suppress(HostError):
            links.rename_nic(mac, name)
            given.append(name)
    return sorted(given)


def restore_macs(before: Json) -> None:
    """Give bonds and bridges the MAC that they had: NetworkManager's rollback leaves a bond on the random one that
    it was made with (1.42 and 1.52), and its neighbours have learned that one: the kernel tells them of the other. Some
    NICs change theirs only while they are down, and a bond with such ports refuses (EBUSY): then it is done while it
    has none."""
    for name, link in links.read_links().items():
        was = before["links"].get(name, {})
        if (
            link["kind"] not in ("bond", "bridge")
            or link["kind"] != was.get("kind")
            or link["address"] == was["address"]
        ):
            continue
        change = ("ip", "link", "set", "dev", name, "address", was["address"])
        try:
            with _neighbour_announcement(name):
                programs.run(*change)
        except HostError:
            uuids = {p["device"]: p["uuid"] for p in before["profiles"] if p["device"]}
            ports = [n for n, port in before["links"].items() if port["master"] == name and n in uuids]
            for port in ports:
                with contextlib.suppress(HostError):  # it may be down already
                    programs.run("nmcli", "-w", "20", "connection", "down", "uuid", uuids[port])
            try:
                with _neighbour_announcement(name):
                    programs.run(*change)
            finally:
                for port in ports:
                    with contextlib.suppress(HostError):
                        programs.run("nmcli", "-w", "20", "connection", "up", "uuid", uuids[port], "ifname", port)


@contextlib.contextmanager
def _neighbour_announcement(name: str) -> Iterator[None]:
    """A change of this link's MAC is told to the neighbours (ip-sysctl: arp_notify, ndisc_notify): some switches and
    routers believe what they have learned for hours."""
    words = [f"{links.SYSCTL}/ipv4/conf/{name}/arp_notify", f"{links.SYSCTL}/ipv6/conf/{name}/ndisc_notify"]
    was: dict[str, str] = {}
    for path in words:
        with contextlib.suppress(OSError):  # a kernel without IPv6
            was[path] = Path(path).read_text(encoding="ascii")
            Path(path).write_text("1", encoding="ascii")
    try:
        yield
    finally:
        for path, text in was.items():
            with contextlib.suppress(OSError):
                Path(path).write_text(text, encoding="ascii")


def restore_link_settings(before: Json) -> None:
    """Give links the promiscuous mode and the MTU that they had: a NetworkManager that was started anew does not
    know that it changed them, and keeps what a profile does not state."""
    for name, link in links.read_links().items():
        was = before["links"].get(name, {})
        if link["kind"] != was.get("kind", link["kind"]):
            continue
        if was and link["promiscuous"] != was["promiscuous"]:
            programs.run("ip", "link", "set", "dev", name, "promisc", "on" if was["promiscuous"] else "off")
        if was and link["mtu"] != was["mtu"]:
            programs.run("ip", "link", "set", "dev", name, "mtu", str(was["mtu"]))


def restore_zones(before: Json) -> None:
    """Bind names to firewalld's zones as they were: a NetworkManager that was stopped in between takes a bridge that it
    made out of its zone no more."""
    if before.get("zones") is not None and firewalld.is_running():
        firewalld.bind_zones(before["zones"])


def restore_until_equal(before: Json, journal: Journal, patience: float) -> list[str]:
    """Wait until the machine is as the snapshot has it; what still differs when patience (seconds) ends."""
    start = time.monotonic()
    nudge = start + 3  # most comes back by itself
    told: list[str] = []
    left = comparison.find_differences(before)
    while left and time.monotonic() - start < patience:
        if time.monotonic() > nudge:
            with contextlib.suppress(*EXPECTED_ERRORS):
                reactivate_profiles(before)
            nudge = time.monotonic() + 15  # what was not heard is said again
        if time.monotonic() > start + 3:
            for give_back in (restore_macs, restore_link_settings, restore_zones, restore_global_dns):
                with contextlib.suppress(*EXPECTED_ERRORS):
                    give_back(before)
        with contextlib.suppress(*EXPECTED_ERRORS):  # at once: a guest is without its network until then
            if ports := restore_guest_ports(before):
                journal.try_append("ports", given_back=ports)
        if left != told:
            told = left
            journal.try_append("settling", differences=left)
        time.sleep(0.3)
        left = comparison.find_differences(before)
    return left
