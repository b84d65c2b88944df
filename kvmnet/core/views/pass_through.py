"""What each device of a host passes through to nmstate, and the interfaces that only nmstate has a type for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kvmnet.core.definition.model import Interface
from kvmnet.core.views.host_view import IpView, OtherView
from kvmnet.core.views.mtu import Mtus
from kvmnet.core.views.stack import Stack

#: Settings of what has the addresses: of the interface's bridge, if it has one.
_OF_TOP = ("bridge", "mptcp")
#: Bytes of a VXLAN's outer headers (VXLAN_HEADROOM and VXLAN6_HEADROOM of the kernel).
_VXLAN, _VXLAN_IPV6 = 50, 70


def pass_through(stack: Stack) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the devices that pass settings through to nmstate, with these settings."""
    for interface in stack.active:
        if not interface.up:
            continue
        device, top = stack.device(interface), stack.top(interface)
        settings: dict[str, dict[str, Any]] = {}
        for key, value in interface.nmstate.items():
            if key != "type" and value != {}:
                settings.setdefault(top if key in _OF_TOP else device, {})[key] = value
        yield from settings.items()


def other_view(interface: Interface, stack: Stack, mtus: Mtus, ip: IpView) -> OtherView:
    """Return the view of an interface that only nmstate has a type for."""
    kind = str(interface.nmstate["type"])
    section = interface.nmstate.get(kind, {})
    base = section.get("base-iface")
    return OtherView(
        name=interface.name,
        type=kind,
        mac=interface.mac,
        mtu=mtus.of_nic_or_bond(interface),
        controller=stack.controller(interface),
        ip=ip,
        bases=(str(base),) if base is not None else (),
        ports=tuple(map(str, section.get("port", ()))),
        overhead=_overhead(kind, section),
        mark=interface.place.mark,
    )


def _overhead(kind: str, section: Mapping[str, Any]) -> int:
    if kind != "vxlan":
        return 0
    return _VXLAN_IPV6 if any(":" in str(section.get(key, "")) for key in ("remote", "local")) else _VXLAN
