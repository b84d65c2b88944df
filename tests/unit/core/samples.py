"""Hosts and definitions that many unit tests start from."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Optional

from kvmnet.core.assessment import Assessment
from kvmnet.core.base.nmstate import KERNEL_KINDS, interfaces_of
from kvmnet.core.effects.impact import Impact
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.live.running_guests import Running
from kvmnet.core.live.surroundings import Surroundings
from kvmnet.core.planning.complete_bundle import choose_macs, complete_bundle
from kvmnet.core.planning.ownership import make_ownership_record, profile_uuid
from kvmnet.core.planning.plan import Plan
from kvmnet.core.refusals import Refusal, require_allowed
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.guest_settings import guest_settings
from kvmnet.pipeline import load

KEYFILES = "/etc/NetworkManager/system-connections"


MAC = "00:14:4f:80:de:00"


def before() -> Live:
    """A host with one NIC before kvmnet, as `nmstatectl show` and the kernel report it (keys that matter)."""
    state = {
        "interfaces": [
            {"name": "lo", "type": "loopback", "state": "up"},
            {
                "name": "eth0",
                "type": "ethernet",
                "state": "up",
                "accept-all-mac-addresses": False,
                "ipv4": {
                    "enabled": True,
                    "dhcp": False,
                    "address": [{"ip": "10.1.255.254", "prefix-length": 16}],
                },
                "ipv6": {"enabled": False},
            },
        ],
        "routes": {
            "config": [
                {
                    "destination": "0.0.0.0/0",
                    "next-hop-address": "10.1.1.1",
                    "next-hop-interface": "eth0",
                    "metric": 100,
                    "table-id": 254,
                }
            ]
        },
    }
    return Live(
        hostname="vm-container-0-0.local",
        state=state,
        links={"lo": Link("lo", None, None), "eth0": Link("eth0", MAC, None, ("enp1s0",))},
        profiles={
            "eth0": ConnectionProfile(
                "u-1", "eth0", "802-3-ethernet", "eth0", f"{KEYFILES}/eth0.nmconnection", "eth0", "trusted"
            )
        },
        nmstate="2.2.62",
    )


def after(bundle: Bundle) -> Live:
    """The same host after everything was applied and kept."""
    live = before()
    return Live(
        hostname=live.hostname,
        state={**copy.deepcopy(bundle.state)},
        links={"peth0": Link("peth0", MAC, None, (), "eth0"), "eth0": Link("eth0", None, "bridge")},
        profiles={
            name: ConnectionProfile(f"u-{name}", name, "x", name, f"{KEYFILES}/{name}.nmconnection", name)
            for name in ("eth0", "peth0")
        },
        link_files=dict(bundle.links),
        applied=bundle.digest,
        nmstate="2.2.62",
        settings=guest_settings(bundle),
        owned={
            i["name"]: Owned(i["type"], i["type"] in KERNEL_KINDS, f"u-{i['name']}")
            for i in interfaces_of(bundle.state)
        },
    )


def with_leaving(bundle: Bundle) -> Live:
    """The host with a VLAN and its bridge that kvmnet created and that the bundle no longer has; besides, with a
    bridge that another tool created and one that was adopted."""
    live = after(bundle)
    uuid = {name: profile_uuid(bundle.host, name) for name in ("peth0.5", "br5")}
    uuid.update({"br-hand": "u-hand", "br-adopted": "u-adopted"})
    links = {
        **live.links,
        "peth0.5": Link("peth0.5", None, "vlan", (), "br5", "peth0"),
        **{name: Link(name, None, "bridge") for name in ("br5", "br-hand", "br-adopted")},
    }
    profiles = {
        name: ConnectionProfile(u, name, "x", name, f"{KEYFILES}/{name}.nmconnection", name) for name, u in uuid.items()
    }
    owned = {
        **{i["name"]: Owned(i["type"], i["name"] == "eth0", "") for i in bundle.state["interfaces"]},
        "peth0.5": Owned("vlan", True, uuid["peth0.5"]),
        "br5": Owned("linux-bridge", True, uuid["br5"]),
        "br-adopted": Owned("linux-bridge", False, "u-adopted"),  # it stays only because kvmnet did not create it
    }
    return replace(live, links=links, profiles={**live.profiles, **profiles}, owned=owned, applied="sha256:old")


INACTIVE = ("peth0.5", "br5")


def with_inactive(live: Live) -> Live:
    """The same host after `nmcli connection down br5`."""
    return replace(
        live,
        links={name: link for name, link in live.links.items() if name not in INACTIVE},
        profiles={name: profile for name, profile in live.profiles.items() if name not in INACTIVE},
        idle=tuple(replace(live.profiles[name], device="") for name in INACTIVE),
    )


MACS = ("00:14:4f:80:de:00", "00:14:4f:80:de:01")


HEAD = """kvmnet: 1
cluster: order
profile: {profile}
networks:
  private: {{subnets: [10.1.0.0/16], gateway: 10.1.1.1}}
  storage: {{subnets: [10.5.0.0/24], vlan: 5}}
  servers: {{subnets: [10.6.0.0/24], default_route: false}}
hosts:
  host:
    kvm: true
    interfaces:
"""


ROCKS = HEAD.format(profile="rocks") + (
    f"      eth0: {{network: private, mac: {MACS[0]}, addresses: [10.1.255.254]}}\n"
    "      eth0.5: {network: storage, bridge: true, addresses: [10.5.0.7]}\n"
)


PLAIN = HEAD.format(profile="plain") + (
    "      eth0: {network: private, bridge: false, addresses: [10.1.255.254]}\n"
    "      eth0.5: {network: storage, addresses: [10.5.0.7]}\n"
)


def bundle_of(tmp_path: Path, text: str) -> Bundle:
    (tmp_path / "cluster.yaml").write_text(text, encoding="utf-8")
    return load(str(tmp_path / "cluster.yaml")).bundle("host")


def bare() -> Live:
    """A host with two NICs, of which only the first has a profile."""
    state = {"interfaces": [{"name": f"eth{n}", "type": "ethernet", "state": "up"} for n in (0, 1)]}
    profile = ConnectionProfile("u-1", "eth0", "802-3-ethernet", "eth0", f"{KEYFILES}/eth0.nmconnection", "eth0")
    links = {f"eth{n}": Link(f"eth{n}", mac, None) for n, mac in enumerate(MACS)}
    return Live("host", state, links, {"eth0": profile}, zones={}, nmstate="2.2.62", networkmanager="1.52.1")


def applied(bundle: Bundle, live: Live) -> Live:
    """The host after a bundle was applied: its links, profiles and state are those of the bundle."""
    bundle = complete_bundle(bundle, choose_macs(bundle, live))
    note = make_ownership_record(bundle, live)
    names = {nic.name: live.find(nic) for nic in bundle.nics}
    links, profiles = dict(live.links), dict(live.profiles)
    for link in names.values():
        assert link is not None
        links.pop(link.name, None)
    masters = {
        p["name"] if isinstance(p, dict) else p: i["name"]
        for i in bundle.state["interfaces"]
        for kind in ("bridge", "link-aggregation")
        for p in i.get(kind, {}).get("port", [])
    }
    for name, nic in names.items():
        assert nic is not None
        links[name] = Link(name, nic.mac, None, (), masters.get(name))
        profiles[name] = replace(
            live.profiles.get(
                nic.name,
                ConnectionProfile("u-2", nic.name, "802-3-ethernet", "", f"{KEYFILES}/{nic.name}.nmconnection"),
            ),
            device=name,
        )
    for i in bundle.state["interfaces"]:
        if i["type"] in KERNEL_KINDS:
            base = i.get("vlan", {}).get("base-iface")
            links[i["name"]] = Link(i["name"], None, KERNEL_KINDS[i["type"]], (), masters.get(i["name"]), base)
            uuid, file = note.owned[i["name"]].uuid, f"{KEYFILES}/{i['name']}.nmconnection"
            profiles[i["name"]] = ConnectionProfile(
                uuid, i["name"], KERNEL_KINDS[i["type"]], i["name"], file, i["name"]
            )
    return replace(
        live,
        state=copy.deepcopy(bundle.state),
        links=links,
        profiles=profiles,
        link_files=dict(bundle.links),
        settings=guest_settings(bundle),
        applied=bundle.digest,
        owned=note.owned,
        applied_state=note.state,
        first_names=note.first_names,
    )


PLAIN_HEAD = """\
kvmnet: 1
cluster: impact
profile: {profile}
networks:
  private: {{subnets: [10.1.0.0/16]{mtu}}}
  storage: {{subnets: [10.5.0.0/24], vlan: {tag}}}
  tenant: {{vlan: 2, over: private, attach: always}}
hosts:
  host:
    kvm: true
    interfaces:
"""


NIC_LINE = "      eth0: {network: private, mac: 00:14:4f:80:de:00, addresses: [10.1.255.254]}\n"


VLAN_LINE = "      eth0.5: {network: storage, bridge: true, addresses: [10.5.0.7]}\n"


GUEST_LINE = "guests:\n  g: {host: host, nics: [{network: tenant, mac: 36:77:6e:c0:00:02}]}\n"


VNET0, VNET5 = Link("vnet0", None, "tun", (), "br-eth0"), Link("vnet5", None, "tun", (), "br-eth0.5")


def bundle_with(
    folder: Path, interfaces: str = NIC_LINE + VLAN_LINE, *, profile: str = "plain", mtu: str = "", tag: int = 5
) -> Bundle:
    """Return the bundle of a host with these interfaces; `mtu` and `tag` are those of its networks."""
    text = PLAIN_HEAD.format(profile=profile, mtu=mtu, tag=tag) + interfaces
    (folder / "cluster.yaml").write_text(text)
    definition = load(str(folder / "cluster.yaml"))
    assert definition.ok, definition.problems
    return definition.bundle("host")


NO_GUESTS = Running()


def live_of(bundle: Bundle, *more: Link, running: Running = NO_GUESTS) -> Live:
    """The host as a bundle has it, all of it created by kvmnet, and what else is there."""
    interfaces = bundle.state["interfaces"]
    master = {
        (p["name"] if isinstance(p, dict) else p): i["name"]
        for i in interfaces
        for kind in ("bridge", "link-aggregation")
        for p in i.get(kind, {}).get("port", [])
    }
    macs = {nic.name: nic.mac for nic in bundle.nics}
    links = {"lo": Link("lo", None, None)}
    for interface in interfaces:
        name, kind = interface["name"], interface["type"]
        base = interface.get(kind, {}).get("base-iface") if kind in ("vlan", "mac-vtap") else None
        links[name] = Link(name, macs.get(name), KERNEL_KINDS.get(kind), (), master.get(name), base)
    uuids = {name: profile_uuid(bundle.host, name) for name in links if name != "lo"}
    return Live(
        hostname="host",
        state=bundle.state,
        links={**links, **{link.name: link for link in more}},
        profiles={n: ConnectionProfile(u, n, "x", n, f"{KEYFILES}/{n}.nmconnection", n) for n, u in uuids.items()},
        link_files=dict(bundle.links),
        applied=bundle.digest,
        owned={i["name"]: Owned(i["type"], i["type"] in KERNEL_KINDS, uuids[i["name"]]) for i in interfaces},
        surroundings=Surroundings(running=running),
    )


# ---- assessments


def impacts_of(plan: Plan, live: Live) -> list[Impact]:
    """Return what the plan does to running guests."""
    return list(Assessment(plan, live).impacts)


def notes_of(plan: Plan, live: Live) -> list[str]:
    """Return the notes on the plan."""
    return list(Assessment(plan, live).notes)


def refusals_of(plan: Plan, live: Live, codes: Optional[Collection[str]] = None) -> list[Refusal]:
    """Return the refusals of the plan; with `codes`, only these."""
    return list(Assessment(plan, live, codes).refusals)


def judge(
    plan: Plan,
    live: Live,
    allow: Collection[str] = (),
    among: Optional[Collection[str]] = None,
    lose: Collection[str] = (),
) -> list[Refusal]:
    """Return the overridden refusals of the plan, among these codes. Raises Refused when others remain."""
    refusals = refusals_of(plan, live, among)
    require_allowed(refusals, allow, lose)
    return refusals
