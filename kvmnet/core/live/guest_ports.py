"""Which devices of the host lead to its guests and containers, and whether a neighbour is reached through one of them.

A guest of the host can answer for any address of a network that it is connected to. So what comes through its port
shows nothing about the way to the outside. A guest's port is one of these:

- a tap: a virtual machine holds its other end (libvirt's vnet0, or a tap of any other program). A tun of layer 3 is a
  tunnel, such as a VPN, unless an ordinary user owns it: then this user sends what arrives there;
- a macvtap;
- a veth whose other end is in another network namespace: a container's.

It makes no difference which bridge a port belongs to (of the kernel, Open vSwitch), or whether the host routes to it.

The rows are those of `ip -d -j link`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Row = Mapping[str, Any]
_BRIDGES = ("bridge", "openvswitch")
#: What the kernel calls the controller of every port of Open vSwitch.
_OVS_DATAPATH = "ovs-system"
#: Devices that get every frame from the outside through the device below them, and frames of each other directly.
_SIBLINGS = ("macvlan", "macvtap", "ipvlan", "ipvtap")


class GuestPort(NamedTuple):
    """The guest's port through which a neighbour is reached, empty for none. `is_known`: whether a bridge has learned
    it; otherwise the neighbour may be behind this port or another one."""

    port: str = ""
    is_known: bool = True


def is_guest_port(row: Row) -> bool:
    """Whether a guest or a container of this host is at the other end of a device."""
    kind = device_kind(row)
    if kind == "tun":
        data = row.get("linkinfo", {}).get("info_data", {})
        owners = {str(data[key]) for key in ("user", "group") if key in data}
        return data.get("type", "tap") == "tap" or not owners <= {"root", "0"}
    return kind in ("macvtap", "ipvtap") or (kind == "veth" and "link_netnsid" in row)


def device_kind(row: Row) -> str:
    """Return rtnetlink's kind of a device: `bridge`, `tun`; empty for a NIC."""
    return str(row.get("linkinfo", {}).get("info_kind", ""))


def find_guest_port(
    device: str, mac: str, rows: Mapping[str, Row], table: Sequence[Row], seen: tuple[str, ...] = ()
) -> GuestPort:
    """Return the guest's port through which the neighbour with this MAC address is reached over `device`. `table` are
    the rows of `bridge -j fdb show`; those of Open vSwitch have its bridge as `master`.

    If a bridge with guests' ports has not learned the address, it is unknown where the neighbour is: then one of its
    guests' ports is returned, unless another port does not learn addresses.
    """
    row = rows.get(device)
    if row is None or device in seen:
        return GuestPort()
    if is_guest_port(row):
        return GuestPort(device)
    sibling = next((name for name, other in rows.items() if mac and _has_own_mac(other, mac)), "")
    if sibling:
        return GuestPort(sibling)
    below = _find_below(row, rows)
    if device_kind(row) in _BRIDGES:
        return _find_bridge_port(device, mac, rows, table, (*seen, device))
    return find_guest_port(below, mac, rows, table, (*seen, device)) if below else GuestPort()


def _has_own_mac(row: Row, mac: str) -> bool:
    """Whether the guest behind a macvtap has this MAC address. The MAC address of a tap is not that of its guest."""
    return device_kind(row) in ("macvtap", "ipvtap") and str(row.get("address", "")).lower() == mac.lower()


def _find_below(row: Row, rows: Mapping[str, Row]) -> str:
    """Return the device that frames of a VLAN or macvlan go through; for a veth the bridge of its other end."""
    base = str(row.get("link") or "")
    if device_kind(row) == "veth":
        return str(rows.get(base, {}).get("master") or "")
    return base


def _find_bridge_port(
    bridge: str, mac: str, rows: Mapping[str, Row], table: Sequence[Row], seen: tuple[str, ...]
) -> GuestPort:
    is_ovs = device_kind(rows[bridge]) == "openvswitch"
    learned = [
        str(entry["ifname"])
        for entry in table
        if str(entry.get("mac", "")).lower() == mac.lower()
        and entry.get("state") != "permanent"
        and entry.get("ifname") != bridge
        and (is_ovs or entry.get("master") == bridge)  # Open vSwitch has patches between its bridges
    ]
    for port in learned:
        found = find_guest_port(port, mac, rows, table, seen)
        if found.port:
            return found
    if any(port in rows for port in learned):
        return GuestPort()
    ports = {name: row for name, row in rows.items() if row.get("master") == (_OVS_DATAPATH if is_ovs else bridge)}
    if any(not _learns(row) and not is_guest_port(row) for row in ports.values()):
        return GuestPort()
    return GuestPort(next(iter(_guests_behind(ports, rows, seen)), ""), is_known=False)


def _learns(row: Row) -> bool:
    return bool(row.get("linkinfo", {}).get("info_slave_data", {}).get("learning", True))


def _guests_behind(ports: Mapping[str, Row], rows: Mapping[str, Row], seen: tuple[str, ...]) -> Iterator[str]:
    """Yield the guests' ports among those of a bridge, and those of bridges that a veth connects it to."""
    for name, row in ports.items():
        if is_guest_port(row):
            yield name
        elif device_kind(row) == "veth" and (other := _find_below(row, rows)) and other not in seen:
            others = {port: r for port, r in rows.items() if r.get("master") == other}
            yield from _guests_behind(others, rows, (*seen, other))


def judge_arrivals(device: str, arrivals: Mapping[str, Collection[str]], rows: Mapping[str, Row]) -> tuple[bool, str]:
    """Return whether a reply has arrived from the outside on `device`, and the guest's port through which one has come
    otherwise.

    `arrivals` are the devices on which the frames of the reply were seen, by their source MAC address: the kernel shows
    a frame on the port where it arrives, then on the bridge, then on the VLAN over it.
    """
    port = ""
    for names in arrivals.values():
        if device not in names:
            continue
        # what is gone since may have been the port of a guest that has ended
        guests = sorted(name for name in names if name not in rows or is_guest_port(rows[name]))
        row = rows.get(device, {})
        if not guests and device_kind(row) in _SIBLINGS and row.get("link") not in names:
            guests = [device]  # of another macvlan over the same device
        if not guests:
            return True, ""
        port = guests[0]
    return False, port
