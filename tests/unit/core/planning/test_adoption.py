"""Existing interfaces of other tools: adopted under their names, or replaced by a new bridge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.base.profile_settings import CLONED_MAC
from kvmnet.core.live.live_host import UNREADABLE, ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.adoption import find_adopted, find_replaced, find_uplinks, with_live_options
from kvmnet.core.planning.changes import Adopted, LeftDefinition, Reason, Replaced, RouteDetail
from kvmnet.core.planning.ownership import find_owned_after
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.pipeline import load
from tests.unit.core.adoption_samples import bridged_host, load_site
from tests.unit.core.boot.samples import boot_files, stored
from tests.unit.core.samples import KEYFILES, MAC


def sent(plan: Plan) -> dict[str, Any]:
    """The interfaces that nmstate is given, by name."""
    return {i["name"]: i for i in interfaces_of(plan.state)}


def test_a_bridge_of_the_definition_is_adopted_once(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = bridged_host(bundle)
    assert find_adopted(bundle, live) == ("br0",)
    plan = make_plan(bundle, live)
    assert plan.adopted == ("br0",) and plan.replaced == {}
    [bridge] = [c for c in plan.changes if c.name == "br0"]
    assert bridge.details[0] == Adopted("office"), "named although nothing differs"
    later = replace(live, owned=find_owned_after(bundle, live))
    assert later.owned["br0"] == Owned("linux-bridge", False, later.owned["br0"].uuid)
    assert find_adopted(bundle, later) == (), "it is recorded"
    assert find_adopted(bundle, replace(live, applied=UNREADABLE)) == (), "this user cannot know"


def test_a_vlan_that_the_hook_created_is_not_adopted(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    vlan = {"name": "eth0.2", "type": "vlan", "state": "up", "vlan": {"base-iface": "eth0", "id": 2}}
    bundle = replace(bundle, state={**bundle.state, "interfaces": [*bundle.state["interfaces"], vlan]})
    live = bridged_host(bundle)
    links = {**live.links, "eth0.2": Link("eth0.2", None, "vlan", (), None, "eth0")}
    for state, adopted in (("ignore", ("br0",)), ("up", ("br0", "eth0.2"))):
        interfaces = [*live.state["interfaces"], {**vlan, "state": state}]
        now = replace(live, links=links, state={**live.state, "interfaces": interfaces})
        assert sorted(find_adopted(bundle, now)) == sorted(adopted), state


def test_the_profiles_of_an_adopted_bridge_and_its_port_state_everything(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = bridged_host(bundle, **{"multicast-snooping": False, "mac-ageing-time": 120, "group-forward-mask": 16384})
    plan = make_plan(bundle, live)
    options = sent(plan)["br0"]["bridge"]["options"]
    assert options == {
        "multicast-snooping": False,
        "mac-ageing-time": 120,
        "group-forward-mask": 16384,
        "stp": {"enabled": False},
    }
    assert sent(plan)["br0"]["mac-address"] == "00:14:4F:80:DE:00"
    assert "eth0" not in sent(plan), "nmstate would take it from the bridge for a moment"
    jumbo = [{**i, "mtu": 9000} if i["name"] == "eth0" else i for i in interfaces_of(live.state)]
    plan = make_plan(bundle, replace(live, state={**live.state, "interfaces": jumbo}))
    assert sent(plan)["eth0"]["mtu"] == 9000, "its profile may not state it"
    [nic] = [c for c in plan.changes if c.name == "eth0"]
    assert nic.details == (Reason.PROFILE_COMPLETED,)
    assert not any(name in sent(plan) for name in ("vnet0", "vnet77", "veth0"))


def test_options_that_are_defaults_or_out_of_range_are_not_stated() -> None:
    desired = {"name": "br0", "bridge": {"options": {"stp": {"enabled": False}}, "port": []}}
    stp = {"enabled": False, "forward-delay": 0, "hello-time": 2, "max-age": 6, "priority": 4096}
    live: dict[str, Any] = {
        "mtu": 9000,
        "bridge": {
            "options": {
                "stp": stp,
                "multicast-snooping": True,
                "multicast-startup-query-interval": 3124,
                "gc-timer": 29657,
                "group-addr": "01:80:C2:00:00:00",
            }
        },
    }
    completed = with_live_options(desired, live)
    assert completed["mtu"] == 9000
    assert completed["bridge"]["options"] == {"stp": {"enabled": False, "max-age": 6, "priority": 4096}}
    assert with_live_options({**desired, "mtu": 1400}, live)["mtu"] == 1400, "the definition states it"
    stated = {"name": "br0", "bridge": {"options": {"mac-ageing-time": 7, "stp": {"enabled": True, "priority": 1}}}}
    assert with_live_options(stated, live)["bridge"]["options"]["stp"] == {
        "enabled": True,
        "max-age": 6,
        "priority": 1,
    }
    stp["enabled"] = True  # then the timers are the root bridge's, and the ageing time is not the configured one
    live["bridge"]["options"]["mac-ageing-time"] = 35
    assert with_live_options(desired, live)["bridge"]["options"] == {"stp": {"enabled": False, "priority": 4096}}


def test_a_bridge_over_the_same_uplink_is_replaced(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    plan = make_plan(bundle, live)
    assert (plan.replaced, plan.adopted, plan.moves) == ({"br0": "br-eth0"}, (), {"br-eth0": "br0"})
    assert plan.leaving == ("br0",)
    assert sent(plan)["br0"] == {"name": "br0", "type": "linux-bridge", "state": "absent"}
    assert sent(plan)["br-eth0"]["bridge"]["port"] == [{"name": "eth0"}]
    [change] = [c for c in plan.changes if c.name == "br0"]
    assert (change.kind, change.details) == ("remove", (Replaced("br-eth0"),))
    routes = [c.details[0] for c in plan.changes if c.name == "route"]
    assert routes == [RouteDetail(bundle.state["routes"]["config"][0])], "the same route goes with br0"


def test_a_bridge_over_a_nic_that_is_renamed_is_replaced(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, profile="rocks")
    plan = make_plan(bundle, bridged_host(bundle))
    assert plan.replaced == {"br0": "eth0"}
    assert not plan.first, "it keeps the host's address until the new bridge has it"


def test_the_new_bridge_has_the_mac_of_the_one_that_it_replaces(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    for interface in interfaces_of(live.state):
        if interface["name"] == "br0":
            interface["mac-address"] = "02:00:00:00:00:99"
    assert sent(make_plan(bundle, live))["br-eth0"]["mac-address"] == "02:00:00:00:00:99"
    stated = replace(bundle, stated_macs=("br-eth0",))
    assert sent(make_plan(stated, live))["br-eth0"]["mac-address"] == "00:14:4F:80:DE:00"


def with_links(live: Live, *links: Link) -> Live:
    return replace(live, links={**live.links, **{link.name: link for link in links}})


NOT_REPLACED: dict[str, Any] = {
    "another uplink that the definition does not have": lambda live: with_links(
        live, Link("eth1", "00:00:00:00:00:09", None, (), "br0")
    ),
    "a VLAN over the bridge": lambda live: with_links(live, Link("br0.50", None, "vlan", (), None, "br0")),
    "a bridge without a saved profile": lambda live: replace(
        live, profiles={**live.profiles, "br0": replace(live.profiles["br0"], file="/run/NetworkManager/br0")}
    ),
    "a bridge without a profile": lambda live: replace(live, profiles={"eth0": live.profiles["eth0"]}),
    "a successor that exists": lambda live: with_links(live, Link("br-eth0", None, "bridge")),
    "a bridge that filters VLANs": lambda live: with_links(
        live, replace(live.links["br0"], options={"vlan_filtering": 1})
    ),
    "a bridge without an uplink": lambda live: with_links(live, Link("eth0", "00:14:4f:80:de:00", None)),
}


@pytest.mark.parametrize("name", NOT_REPLACED)
def test_a_bridge_is_not_replaced_with(name: str, tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    assert find_replaced(bundle, live, {}) == {"br0": "br-eth0"}
    assert find_replaced(bundle, NOT_REPLACED[name](live), {}) == {}


def test_a_bridge_of_kvmnet_that_gets_another_name_is_replaced_too(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    live = replace(live, owned={"br0": Owned("linux-bridge", True, "u-br0")}, applied="sha256:old")
    plan = make_plan(bundle, live)
    assert plan.replaced == {"br0": "br-eth0"}
    assert [c.details for c in plan.changes if c.name == "br0"] == [(LeftDefinition("linux-bridge"),)]
    assert [i["name"] for i in interfaces_of(plan.state) if i["state"] == "absent"] == ["br0"]


def test_a_veth_with_a_saved_profile_is_an_uplink(tmp_path: Path) -> None:
    """Without one it belongs to a container."""
    live = bridged_host(load_site(tmp_path))
    assert [link.name for link in find_uplinks("br0", live)] == ["eth0"]
    saved = replace(live.profiles["veth0"], file="/etc/NetworkManager/system-connections/veth0.nmconnection")
    live = replace(live, profiles={**live.profiles, "veth0": saved})
    assert [link.name for link in find_uplinks("br0", live)] == ["eth0", "veth0"]


BOND = """\
kvmnet: 1
cluster: site
profile: plain
networks: {lan: {subnets: [10.1.0.0/16]}}
hosts:
  kvm1:
    interfaces:
      eth0: {mac: "00:14:4f:80:de:00"}
      bond0: {network: lan, ports: [eth0], addresses: [10.1.255.254]}
"""


@pytest.mark.parametrize(
    ("options", "is_sent"), [("mode=active-backup\nmiimon=100", False), ("mode=active-backup", True), ("", True)]
)
def test_a_bond_whose_profile_states_everything_is_not_activated_again(
    tmp_path: Path, options: str, is_sent: bool
) -> None:
    (tmp_path / "cluster.yaml").write_text(BOND, encoding="utf-8")
    bundle = load(str(tmp_path / "cluster.yaml")).bundle("kvm1")
    mac = "00:14:4F:80:DE:00"
    state = {"interfaces": [{**i, "mtu": 1500, "mac-address": mac} for i in interfaces_of(bundle.state)]}
    file = f"{KEYFILES}/team.nmconnection"
    profile = ConnectionProfile("u-bond", "team", "bond", "bond0", file, "bond0", settings={CLONED_MAC.name: ""})
    links = {"eth0": Link("eth0", MAC, None, (), "bond0"), "bond0": Link("bond0", None, "bond")}
    keyfile = stored(
        "team", "u-bond", "interface-name=bond0", type="bond",
        groups=f"[bond]\n{options}\n[ipv4]\nmethod=manual\naddress1=10.1.255.254/16\n[ipv6]\nmethod=disabled\n",
    )  # fmt: skip
    boot = boot_files(keyfile) if options else None
    plan = make_plan(bundle, Live("kvm1", state, links, {"bond0": profile}, nmstate="2.2.62", boot=boot))
    assert plan.adopted == ("bond0",)
    assert ("bond0" in sent(plan)) is is_sent
    [change] = [c for c in plan.changes if c.name == "bond0"]
    assert change.details[0] == Adopted("team")
    assert plan.profile_settings == {"bond0": {CLONED_MAC.name: mac.lower()}}, "written into the profile, also unsent"
