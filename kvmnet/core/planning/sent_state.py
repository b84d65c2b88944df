"""The state of a plan as nmstate is given it: without what would interrupt a bridge's guests for nothing.

nmstate 2.2 sets `bridge.vlan-filtering` in the profile of each bridge whose `port` list it is given: to yes if a port
in the list has VLANs of its own, otherwise to no (nm/settings/bridge.rs, gen_nm_br_setting). Filtering would be off
until it is set again, and all VLANs of the bridge's guests would be one network meanwhile. Without the list nmstate
keeps what the profile has. So such a bridge is sent without it, and each port that joins or leaves names its
controller.

NetworkManager (1.42 to 1.54) cannot reapply a profile with another MAC address than the one that it was activated with.
nmstate then activates it again, and the bridge and its ports go down for a moment. So an interface that has its MAC
address is sent without it; it is written into the profile afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kvmnet.core.base.nmstate import State, interfaces_of, port_names
from kvmnet.core.base.profile_settings import CLONED_MAC, VLAN_FILTERING
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan
from kvmnet.core.planning.profile_changes import Settings


def make_sent_state(plan: Plan, live: Live) -> State:
    """Return the state of a plan as nmstate is given it."""
    settings = plan.profile_settings
    interfaces = [
        {key: value for key, value in i.items() if key != "mac-address"}
        if CLONED_MAC.name in settings.get(i["name"], {})
        else i
        for i in interfaces_of(plan.state)
    ]
    state = {**plan.state, "interfaces": interfaces} if interfaces else plan.state
    controllers = {plan.new_names.get(link.name, link.name): link.master or "" for link in live.links.values()}
    return _name_controllers(state, _find_filtering(state, settings, live), controllers)


def _find_filtering(state: State, settings: Mapping[str, Settings], live: Live) -> list[str]:
    """Return the bridges of a state whose VLAN filtering nmstate must not change: those that shall filter, and those
    that filter although the definition has no such key. Where a port has VLANs in the state, nmstate turns it on."""
    bridges = []
    for interface in interfaces_of(state):
        name, bridge = interface["name"], interface.get("bridge", {})
        if interface.get("type") != "linux-bridge" or interface.get("state") != "up" or "port" not in bridge:
            continue
        if any("vlan" in port for port in bridge["port"]):
            continue
        if settings.get(name, {}).get(VLAN_FILTERING.name, _filters(name, live)):
            bridges.append(name)
    return bridges


def _filters(name: str, live: Live) -> bool:
    """Whether a bridge filters VLANs now, or will when its profile is activated."""
    link, profile = live.links.get(name), live.profiles.get(name)
    if link is None or link.kind != "bridge":
        return False
    stored = profile.settings.get(VLAN_FILTERING.name, "") if profile is not None else ""
    return bool(VLAN_FILTERING.from_kernel(link.options) or VLAN_FILTERING.from_nmcli(stored))


def _name_controllers(state: State, bridges: Collection[str], controllers: Mapping[str, str]) -> State:
    """Return the state without the port lists of these bridges: their ports name them instead. `controllers` are the
    live controllers by the port's name after the renames."""
    if not bridges:
        return state
    wanted = {port: i["name"] for i in interfaces_of(state) for port in port_names(i)}
    interfaces = [
        _with_controller(i, wanted.get(i["name"], ""), controllers.get(i["name"], ""), bridges)
        for i in interfaces_of(state)
    ]
    return {**state, "interfaces": [_without_ports(i) if i["name"] in bridges else i for i in interfaces]}


def _without_ports(bridge: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**bridge, "bridge": {key: value for key, value in bridge["bridge"].items() if key != "port"}}


def _with_controller(
    interface: Mapping[str, Any], wanted: str, current: str, bridges: Collection[str]
) -> Mapping[str, Any]:
    """Return a port's entry with its controller, if it joins or leaves one of these bridges."""
    if interface.get("state") != "up" or wanted == current:
        return interface
    if wanted in bridges or (not wanted and current in bridges):
        return {**interface, "controller": wanted}
    return interface
