"""The guests of a host as if all of them were running: their taps, macvtaps and VLAN devices.

A definition names its guests. A rendered bundle has the macvtaps of its guests but not their names, and no taps: there,
and on bridges without a guest of the definition, one tap stands for any guest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.views.host_view import GuestPortView


def with_guests(live: Live, bundle: Bundle, ports: Sequence[GuestPortView]) -> Live:
    """Return a host on which a bundle is applied, with all guests running that `ports` name."""
    taps = [(port, Link(f"vnet{n}", None, "tun", (), port.device)) for n, port in enumerate(_on_bridges(ports))]
    used = {link.master for _, link in taps}
    bridges = [i["name"] for i in interfaces_of(bundle.state) if i["type"] == "linux-bridge" and i["name"] not in used]
    others = [Link(f"vnet{n}", None, "tun", (), name) for n, name in enumerate(bridges, len(taps))]
    on_demand = interfaces_of(bundle.guests or {})
    macvtaps = [i for i in on_demand if i["type"] == "mac-vtap"]
    vlans = [i for i in on_demand if i["type"] == "vlan"]
    links = [*(link for _, link in taps), *others, *_make_vlans(vlans), *_make_macvtaps(macvtaps)]
    known = {**live.links, **{link.name: link for link in links}}
    rows = [_with_taps(i, taps) for i in interfaces_of(live.state)]
    rows += [{**i, "state": "ignore"} for i in vlans if i["name"] not in live.links]
    running = Running(guests=tuple(_make_guests(ports, taps, known)))
    return dataclasses.replace(
        live,
        state={**live.state, "interfaces": rows},
        links=known,
        surroundings=dataclasses.replace(live.surroundings, running=running),
    )


def _on_bridges(ports: Sequence[GuestPortView]) -> list[GuestPortView]:
    return [port for port in ports if port.macvtap is None]


def _make_vlans(vlans: Sequence[Mapping[str, Any]]) -> Iterator[Link]:
    for vlan in vlans:
        yield Link(vlan["name"], None, "vlan", (), None, vlan["vlan"]["base-iface"])


def _make_macvtaps(macvtaps: Sequence[Mapping[str, Any]]) -> Iterator[Link]:
    for number, macvtap in enumerate(macvtaps):
        base, mac = macvtap["mac-vtap"]["base-iface"], macvtap["mac-address"].lower()
        yield Link(f"macvtap{number}", None, "macvtap", (), None, base, address=mac, allmulticast=True)


def _with_taps(interface: Mapping[str, Any], taps: Sequence[tuple[GuestPortView, Link]]) -> dict[str, Any]:
    """Return a bridge with the VLANs of its guests' ports, as libvirt sets them; other interfaces as they are."""
    rows = [
        {"name": link.name, "vlan": _vlans_of(port)}
        for port, link in taps
        if link.master == interface["name"] and port.needs_vlans
    ]
    if not rows or "bridge" not in interface:
        return dict(interface)
    return {**interface, "bridge": {**interface["bridge"], "port": [*interface["bridge"].get("port", []), *rows]}}


def _vlans_of(port: GuestPortView) -> dict[str, Any]:
    if not port.trunk:
        return {"mode": "access", "tag": port.untagged}
    native = {"tag": port.untagged} if port.untagged is not None else {}
    tags = [{"id": tag} for tag in port.trunk]
    return {"mode": "trunk", "enable-native": bool(native), **native, "trunk-tags": tags}


def _make_guests(
    ports: Sequence[GuestPortView], taps: Sequence[tuple[GuestPortView, Link]], links: Mapping[str, Link]
) -> Iterator[RunningGuest]:
    by_mac = {link.address: name for name, link in links.items() if link.kind == "macvtap"}
    tap_names = {(port.guest, port.mac): link.name for port, link in taps}
    nics: dict[str, list[GuestNic]] = {}
    for port in ports:
        if port.macvtap is None:
            nic = GuestNic("bridge", tap_names[port.guest, port.mac], port.device, mac=port.mac)
        elif port.mac.lower() in by_mac:
            nic = GuestNic("direct", by_mac[port.mac.lower()], port.device, mac=port.mac)
        else:
            continue
        nics.setdefault(port.guest, []).append(nic)
    for guest, found in nics.items():
        yield RunningGuest(guest, tuple(found))
