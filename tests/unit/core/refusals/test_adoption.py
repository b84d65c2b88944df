"""Refusals about existing interfaces of other tools."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.core.live.live_host import UNREADABLE, ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.ownership import find_owned_after, profile_uuid
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.refusals import require_allowed
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from tests.unit.core.adoption_samples import bridged_host, load_site
from tests.unit.core.refusals.samples import find_codes, find_messages
from tests.unit.core.samples import KEYFILES, after, refusals_of


def plain_bundle() -> Bundle:
    """Return a bundle whose definition states the spanning tree of its bridge: otherwise the bridge keeps its own."""
    bundle = load("tests/golden/good/a-site-extends-a-profile/cluster.yaml").bundle("a")
    return replace(bundle, stated_stp=(bridge_of(bundle),))


def created_by_hand(bundle: Bundle, *, with_other_stp: bool = False) -> Live:
    """Return a host that an administrator configured as in the bundle, without kvmnet."""
    live = after(bundle)
    state = copy.deepcopy(bundle.state)
    for interface in state["interfaces"]:
        if interface["type"] == "linux-bridge":
            stp = interface["bridge"]["options"]["stp"]
            stp["enabled"] = stp["enabled"] ^ with_other_stp
    kinds = {"linux-bridge": "bridge", "vlan": "vlan", "ethernet": None}
    made = {i["name"]: Link(i["name"], None, kinds[i["type"]]) for i in state["interfaces"]}
    for nic in bundle.nics:
        made[nic.name] = Link(nic.name, nic.mac, None)
    profiles = {
        name: ConnectionProfile(f"u-{name}", name, "x", name, f"{KEYFILES}/{name}.nmconnection") for name in made
    }
    return replace(live, state=state, links=made, profiles=profiles, applied=None, owned={})


def bridge_of(bundle: Bundle) -> str:
    return str(next(i["name"] for i in bundle.state["interfaces"] if i["type"] == "linux-bridge"))


def test_a_bridge_that_matches_the_definition_needs_permission_too() -> None:
    bundle = plain_bundle()
    [(code, message)] = find_messages(created_by_hand(bundle), bundle)
    assert code == "KVN536" and f"would adopt them: bridge {bridge_of(bundle)}" in message


def test_a_bridge_that_differs_is_refused_unless_kvmnet_created_or_adopted_it() -> None:
    bundle = plain_bundle()
    name = bridge_of(bundle)
    live = created_by_hand(bundle, with_other_stp=True)
    messages = find_messages(live, bundle)
    assert [c for c, _ in messages] == ["KVN524", "KVN536"]
    assert f"the bridge {name} was not created by kvmnet and differs from the definition" in messages[0][1]
    assert "bridge.options.stp.enabled: false -> true" in messages[0][1]
    adopted = replace(live, owned={name: Owned("linux-bridge", False, "u")})
    assert find_messages(adopted, bundle) == [], "once adopted the definition changes it"
    ours = replace(live.profiles[name], uuid=profile_uuid(bundle.host, name))
    assert find_messages(replace(live, profiles={**live.profiles, name: ours}), bundle) == [], "its profile is ours"


def test_only_the_permission_to_adopt_overrides_an_adoption() -> None:
    bundle = plain_bundle()
    live = created_by_hand(bundle, with_other_stp=True)
    reasons = refusals_of(make_plan(bundle, live), live)
    require_allowed(reasons, adopt=True)
    for allow in ((), ("KVN524",), ("KVN524", "KVN536")):
        if "KVN536" not in allow:
            with pytest.raises(Refused) as error:
                require_allowed(reasons, allow=allow)
            assert "--adopt" in " ".join(error.value.lines())
            assert ("KVN524" in str(error.value.lines())) == (allow == ())


def test_a_bridge_that_would_be_replaced_needs_permission(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    [(code, message)] = find_messages(live, bundle)
    assert code == "KVN536"
    assert message.startswith("another tool created the bridge br0: br-eth0 would replace it")
    assert "carries this host's address 10.1.255.254" in message and "vnet0" in message
    assert "uplink" not in message, "its uplinks become ports of br-eth0"
    [reason] = refusals_of(make_plan(bundle, live), live)
    assert "`bridge: br0`" in reason.hint
    own = replace(live, owned={"br0": Owned("linux-bridge", True, "u-br0")})
    assert find_codes(own, bundle) == [], "kvmnet created it"


def test_a_bridge_without_addresses_and_guests_has_no_facts(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    state = copy.deepcopy(live.state)
    for interface in state["interfaces"]:
        interface["ipv4"] = {"enabled": False}
    links = {name: live.links[name] for name in ("eth0", "br0")}
    messages = dict(find_messages(replace(live, links=links, state=state), bundle))
    assert messages["KVN536"].endswith("br-eth0 would replace it and take over its addresses and guests' ports")


def test_what_is_adopted_needs_no_permission_again(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    live = bridged_host(bundle)
    assert find_codes(live, bundle) == ["KVN536"]
    assert find_codes(replace(live, owned=find_owned_after(bundle, live)), bundle) == []
    assert find_codes(replace(live, applied=UNREADABLE), bundle) == [], "a user who cannot know it is not refused"


def test_a_bridge_that_cannot_be_replaced_is_refused(tmp_path: Path) -> None:
    bundle = load_site(tmp_path, "br-eth0")
    live = bridged_host(bundle)
    vlan = Link("br0.50", None, "vlan", (), None, "br0")
    codes = dict(find_messages(replace(live, links={**live.links, "br0.50": vlan}), bundle))
    assert codes["KVN530"].startswith("eth0 is a port of br0, which the definition does not contain")
