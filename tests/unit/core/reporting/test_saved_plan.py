"""Saved plans: reading them back, and refusing them if the host has changed."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any, Optional

import pytest

from kvmnet.core.assessment import assess
from kvmnet.core.base.errors import Refused
from kvmnet.core.live.live_host import ConnectionProfile, Link, Live, Owned
from kvmnet.core.planning.plan_basis import digest_of
from kvmnet.core.rendering.bundle_files import BundleError
from kvmnet.core.reporting.saved_plan import PlanFileError, from_text, require_unchanged, to_text
from kvmnet.pipeline import load, load_bundle_schemas, load_schema
from tests.unit.core.samples import KEYFILES, before

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
SCHEMAS = (load_schema("plan"), load_bundle_schemas())


def save(live: Live, allowed: Optional[set[str]] = None) -> str:
    """Return the text of a saved plan of the bundle."""
    return to_text(assess(BUNDLE, live), allowed or set())


def test_a_saved_plan_is_read_back() -> None:
    text = save(before(), {"KVN511"})
    assert text == save(before(), {"KVN511"}), "the same plan gives the same bytes"
    plan = from_text(text, *SCHEMAS)
    assert (plan.bundle, plan.allowed) == (BUNDLE, ("KVN511",))
    require_unchanged(plan.plan, plan.basis, assess(BUNDLE, before()))


def test_overridden_guests_are_saved_and_guests_that_start_later_are_no_change() -> None:
    plan = from_text(to_text(assess(BUNDLE, before()), (), {"g"}), *SCHEMAS)
    assert plan.lose == ("g",)
    tap = {"br9": Link("br9", None, "bridge"), "vnet0": Link("vnet0", None, "tun", (), "br9")}
    now = replace(before(), links={**before().links, **tap})
    require_unchanged(plan.plan, plan.basis, assess(BUNDLE, now))
    guests = json.loads(to_text(assess(BUNDLE, now), ()))["guests"]
    assert [(row["device"], row["how"]) for row in guests] == [("vnet0", "untouched")]


def test_the_permission_to_adopt_is_saved() -> None:
    for adopt in (True, False):
        assert from_text(to_text(assess(BUNDLE, before()), (), adopt=adopt), *SCHEMAS).adopt is adopt
    older = json.loads(save(before()))
    del older["may-adopt"], older["digest"]
    assert from_text(json.dumps({**older, "digest": digest_of(older)}), *SCHEMAS).adopt is False


@pytest.mark.guarantee("G63")
def test_an_edited_plan_is_rejected() -> None:
    content = json.loads(save(before()))
    content["plan"]["state"]["interfaces"].pop()
    with pytest.raises(PlanFileError, match="was edited after it was written"):
        from_text(json.dumps(content), *SCHEMAS)
    content = json.loads(save(before()))
    del content["digest"]
    content["bundle"]["nmstate.yml"] = content["bundle"]["nmstate.yml"].replace("10.1.255.254", "10.1.255.250")
    with pytest.raises(BundleError, match="digest"):
        from_text(json.dumps({**content, "digest": digest_of(content)}), *SCHEMAS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[]", "was not written by `kvmnet plan -o`"),
        ('{"kvmnet-plan": 2}', "it has format 2, but this version of kvmnet needs format 1"),
        ('{"kvmnet-plan": 1}', "was edited"),
        (json.dumps({"kvmnet-plan": 1, "digest": digest_of({"kvmnet-plan": 1})}), "cannot be read: missing key 'host'"),
    ],
)
def test_a_file_that_is_not_a_plan_is_rejected(text: str, message: str) -> None:
    with pytest.raises(PlanFileError, match=message):
        from_text(text, *SCHEMAS)


def with_state(live: Live, **changes: Any) -> Live:
    """Return a host with changes in the state of eth0."""
    state = copy.deepcopy(live.state)
    next(i for i in state["interfaces"] if i["name"] == "eth0").update(changes)
    return replace(live, state=state)


ROUTE = {"destination": "10.9.0.0/16", "next-hop-address": "10.1.1.2", "next-hop-interface": "eth0", "table-id": 254}


ETH0 = before().profiles["eth0"]


CHANGES: dict[str, tuple[Live, str]] = {
    "promiscuous": (with_state(before(), **{"accept-all-mac-addresses": True}), "interfaces peth0 accept-all"),
    "an address that would be removed": (
        with_state(before(), ipv4={"enabled": True, "address": [{"ip": "10.1.9.9", "prefix-length": 16}]}),
        'addresses peth0: ["10.1.255.254/16"] -> ["10.1.9.9/16"]',
    ),
    "another connection profile": (
        replace(before(), profiles={"eth0": replace(ETH0, uuid="u-9")}),
        "profiles eth0 uuid: u-1 -> u-9",
    ),
    "the zone of the profile": (
        replace(before(), profiles={"eth0": replace(ETH0, zone="drop")}),
        "profiles eth0 zone: trusted -> drop",
    ),
    "firewalld": (replace(before(), zones={"eth0": "drop", "tun0": "x"}), 'zones: nothing -> {"eth0": "drop"}'),
    "alternative names of the NIC": (
        replace(before(), links={"eth0": replace(before().links["eth0"], altnames=())}),
        "links eth0 altnames",
    ),
    "a name in use": (
        replace(before(), links={**before().links, "peth0": Link("peth0", None, "dummy")}),
        "links peth0: nothing -> ",
    ),
    "an alternative name in use": (
        replace(before(), links={**before().links, "x": Link("x", None, "dummy", ("peth0",))}),
        "links x: nothing -> ",
    ),
    "a route": (
        replace(before(), state={**before().state, "routes": {"config": [*before().state["routes"]["config"], ROUTE]}}),
        "routes: ",
    ),
    "a .link file of kvmnet": (replace(before(), link_files={"00-kvmnet-x.link": "x"}), ".link files 00-kvmnet-x.link"),
    "a file of kvmnet in NetworkManager's configuration": (
        replace(before(), settings={"/etc/x": "x"}),
        "settings /etc/x",
    ),
    "another bundle was applied": (replace(before(), applied="sha256:1"), "applied bundle: nothing -> sha256:1"),
    "an interface of kvmnet": (replace(before(), owned={"br9": Owned("linux-bridge", True)}), "owned br9: nothing -> "),
}


@pytest.mark.guarantee("G63")
@pytest.mark.parametrize("name", CHANGES)
def test_a_plan_is_refused_if_the_host_has_changed(name: str) -> None:
    live, message = CHANGES[name]
    plan = from_text(save(before()), *SCHEMAS)
    with pytest.raises(Refused) as error:
        require_unchanged(plan.plan, plan.basis, assess(BUNDLE, live))
    assert (error.value.code, error.value.exit_code) == ("KVN508", 5)
    assert message in error.value.message


SAME: dict[str, Live] = {
    "an interface that is not in the definition": replace(
        before(),
        state={**before().state, "interfaces": [*before().state["interfaces"], {"name": "tun0", "type": "tun"}]},
    ),
    "its link": replace(before(), links={**before().links, "tun0": Link("tun0", None, "tun")}),
    "its profile": replace(
        before(), profiles={"eth0": ETH0, "tun0": ConnectionProfile("u-t", "t", "tun", "tun0", f"{KEYFILES}/t")}
    ),
    "a route of another interface": replace(
        before(),
        state={
            **before().state,
            "routes": {
                "config": [*before().state["routes"]["config"], {**ROUTE, "next-hop-interface": "tun0"}],
                "running": [{"destination": "0.0.0.0/0", "next-hop-interface": "eth0", "metric": 7}],
            },
        },
    ),
    "counters and drivers": with_state(before(), driver="x", **{"max-mtu": 9000, "statistics": {"rx": 5}}),
    "another nmstate": replace(before(), nmstate="2.2.63"),
    "the hostname, which the definition does not set": replace(before(), hostname="other"),
}


@pytest.mark.parametrize("name", SAME)
def test_a_change_that_the_plan_does_not_depend_on_is_ignored(name: str) -> None:
    plan = from_text(save(before()), *SCHEMAS)
    require_unchanged(plan.plan, plan.basis, assess(BUNDLE, SAME[name]))


def test_a_plan_is_refused_if_another_version_would_plan_other_changes() -> None:
    plan = from_text(save(before()), *SCHEMAS)
    with pytest.raises(Refused, match="since the plan was made: changes"):
        require_unchanged({**plan.plan, "changes": []}, plan.basis, assess(BUNDLE, before()))


@pytest.mark.guarantee("G91")
@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("command", ["reboot"], "unknown key 'command'"),
        ("allowed", ["--yes"], "allowed 1: must be a code such as KVN511"),
        ("may-lose", ["a\u202eb"], "may-lose 1 contains"),
        ("may-adopt", "yes", "may-adopt: must be"),
        ("host", "--host=evil", "host: must be a name"),
        ("plan", [], "plan: must be a mapping"),
        ("bundle", {"../../etc/x": ""}, "the key '../../etc/x' must be the name of a file of a bundle"),
        ("bundle", {"nmstate.yml": 1}, "a file of the bundle is not text"),
    ],
)
def test_a_plan_with_anything_that_kvmnet_does_not_write_is_rejected(key: str, value: Any, fault: str) -> None:
    """Whoever can edit a plan can compute its digest too."""
    content = {k: v for k, v in json.loads(save(before())).items() if k != "digest"} | {key: value}
    with pytest.raises(PlanFileError) as error:
        from_text(json.dumps({**content, "digest": digest_of(content)}), *SCHEMAS)
    assert fault in error.value.message


def test_names_of_other_tools_in_a_plan_may_have_any_characters() -> None:
    content = {k: v for k, v in json.loads(save(before())).items() if k != "digest"}
    content["made-from"]["profiles"] = {"eth0": {"name": "a\n\x1b[31m"}}
    assert from_text(json.dumps({**content, "digest": digest_of(content)}), *SCHEMAS).basis == content["made-from"]
