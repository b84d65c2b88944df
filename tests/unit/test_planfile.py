"""Saved plans: exactly what was read is applied, to the machine in the state that it was made from."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from kvmnet.cli.plan import _save
from kvmnet.core.assessment import assess
from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.core.live.live_host import Link, Live, Owned, Profile
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.planning.plan_basis import digest_of
from kvmnet.core.refusals import Refusal
from kvmnet.core.rendering.bundle_files import BundleError
from kvmnet.core.reporting.report import plan_markdown
from kvmnet.core.reporting.saved_plan import PlanFileError, from_text, require_same, to_text
from kvmnet.pipeline import load, load_schema
from tests.unit.core.samples import KEYFILES, after, before

ROCKS = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


SCHEMA = load_schema("state")


def saved(live: Live, allowed: Optional[set[str]] = None) -> str:
    return to_text(assess(ROCKS, live), allowed or set())


def test_a_plan_comes_back_as_it_was_saved() -> None:
    text = saved(before(), {"KVN511"})
    assert text == saved(before(), {"KVN511"}), "the same plan gives the same bytes"
    found = from_text(text, SCHEMA)
    assert (found.bundle, found.allowed) == (ROCKS, ("KVN511",))
    require_same(found.plan, found.basis, assess(ROCKS, before()))


def test_which_guests_may_be_lost_is_kept_and_guests_that_come_and_go_make_no_plan_stale() -> None:
    found = from_text(to_text(assess(ROCKS, before()), (), {"g"}), SCHEMA)
    assert found.lose == ("g",)
    tap = {"br9": Link("br9", None, "bridge"), "vnet0": Link("vnet0", None, "tun", (), "br9")}
    now = replace(before(), links={**before().links, **tap})
    require_same(found.plan, found.basis, assess(ROCKS, now))
    told = json.loads(to_text(assess(ROCKS, now), ()))["guests"]
    assert [(row["device"], row["how"]) for row in told] == [("vnet0", "untouched")]


@pytest.mark.guarantee("G63")
def test_a_plan_that_somebody_edited_is_none() -> None:
    content = json.loads(saved(before()))
    content["plan"]["state"]["interfaces"].pop()
    with pytest.raises(PlanFileError, match="was edited after it was written"):
        from_text(json.dumps(content), SCHEMA)
    content = json.loads(saved(before()))
    del content["digest"]
    content["bundle"]["nmstate.yml"] = content["bundle"]["nmstate.yml"].replace("10.1.255.254", "10.1.255.250")
    with pytest.raises(BundleError, match="digest"):
        from_text(json.dumps({**content, "digest": digest_of(content)}), SCHEMA)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("[]", "was not written by `kvmnet plan -o`"),
        ('{"kvmnet-plan": 2}', "it has format 2, but this version of kvmnet needs format 1"),
        ('{"kvmnet-plan": 1}', "was edited"),
        (json.dumps({"kvmnet-plan": 1, "digest": digest_of({"kvmnet-plan": 1})}), "cannot be read: KeyError"),
    ],
)
def test_what_is_no_plan(text: str, words: str) -> None:
    with pytest.raises(PlanFileError, match=words):
        from_text(text, SCHEMA)


def with_state(live: Live, **changes: Any) -> Live:
    """The reading with another eth0."""
    state = copy.deepcopy(live.state)
    next(i for i in state["interfaces"] if i["name"] == "eth0").update(changes)
    return replace(live, state=state)


ROUTE = {"destination": "10.9.0.0/16", "next-hop-address": "10.1.1.2", "next-hop-interface": "eth0", "table-id": 254}


ETH0 = before().profiles["eth0"]


CHANGES: dict[str, tuple[Live, str]] = {
    "promiscuous": (with_state(before(), **{"accept-all-mac-addresses": True}), "interfaces peth0 accept-all"),
    "an address that would go": (
        with_state(before(), ipv4={"enabled": True, "address": [{"ip": "10.1.9.9", "prefix-length": 16}]}),
        'addresses peth0: ["10.1.255.254/16"] -> ["10.1.9.9/16"]',
    ),
    "another profile": (
        replace(before(), profiles={"eth0": replace(ETH0, uuid="u-9")}),
        "profiles eth0 uuid: u-1 -> u-9",
    ),
    "its zone": (
        replace(before(), profiles={"eth0": replace(ETH0, zone="drop")}),
        "profiles eth0 zone: trusted -> drop",
    ),
    "firewalld": (replace(before(), zones={"eth0": "drop", "tun0": "x"}), 'zones: nothing -> {"eth0": "drop"}'),
    "its altnames": (
        replace(before(), links={"eth0": replace(before().links["eth0"], altnames=())}),
        "links eth0 altnames",
    ),
    "a name that is taken": (
        replace(before(), links={**before().links, "peth0": Link("peth0", None, "dummy")}),
        "links peth0: nothing -> ",
    ),
    "an altname that is taken": (
        replace(before(), links={**before().links, "x": Link("x", None, "dummy", ("peth0",))}),
        "links x: nothing -> ",
    ),
    "a route": (
        replace(before(), state={**before().state, "routes": {"config": [*before().state["routes"]["config"], ROUTE]}}),
        "routes: ",
    ),
    "a .link file of ours": (replace(before(), link_files={"00-kvmnet-x.link": "x"}), ".link files 00-kvmnet-x.link"),
    "a file of ours among NetworkManager's settings": (replace(before(), settings={"/etc/x": "x"}), "settings /etc/x"),
    "another bundle was applied": (replace(before(), applied="sha256:1"), "applied bundle: nothing -> sha256:1"),
    "something became ours": (replace(before(), owned={"br9": Owned("linux-bridge", True)}), "owned br9: nothing -> "),
}


@pytest.mark.guarantee("G63")
@pytest.mark.parametrize("name", CHANGES)
def test_a_machine_that_has_changed_is_refused_and_the_change_named(name: str) -> None:
    live, words = CHANGES[name]
    found = from_text(saved(before()), SCHEMA)
    with pytest.raises(Refused) as refused:
        require_same(found.plan, found.basis, assess(ROCKS, live))
    assert (refused.value.code, refused.value.exit_code) == ("KVN508", 5)
    assert words in refused.value.message


SAME: dict[str, Live] = {
    "an interface of nobody's": replace(
        before(),
        state={**before().state, "interfaces": [*before().state["interfaces"], {"name": "tun0", "type": "tun"}]},
    ),
    "its link": replace(before(), links={**before().links, "tun0": Link("tun0", None, "tun")}),
    "its profile": replace(
        before(), profiles={"eth0": ETH0, "tun0": Profile("u-t", "t", "tun", "tun0", f"{KEYFILES}/t")}
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
    "the hostname, of which the definition says nothing": replace(before(), hostname="other"),
}


@pytest.mark.parametrize("name", SAME)
def test_what_no_plan_depends_on_is_no_change(name: str) -> None:
    found = from_text(saved(before()), SCHEMA)
    require_same(found.plan, found.basis, assess(ROCKS, SAME[name]))


def test_another_kvmnet_that_plans_otherwise_is_refused() -> None:
    found = from_text(saved(before()), SCHEMA)
    with pytest.raises(Refused, match="since the plan was made: changes"):
        require_same({**found.plan, "changes": []}, found.basis, assess(ROCKS, before()))


def test_markdown() -> None:
    live = before()
    plan = make_plan(ROCKS, live)
    text = plan_markdown(plan, [Refusal("KVN511", "corosync is active", "x")])
    lines = text.splitlines()
    assert lines[0] == "### vm-container-0-0: 6 changes to make"
    assert "| `+` | add | eth0 | absent -> linux-bridge |" in lines
    assert "| `>` | rename | eth0 | to peth0, the NIC with MAC 00:14:4f:80:de:00 |" in lines
    assert "- overridden: KVN511 corosync is active" in lines
    assert text.count("```") == 2 and "  type: linux-bridge\n" in text
    nothing = plan_markdown(make_plan(ROCKS, after(ROCKS)))
    assert nothing == "### vm-container-0-0: nothing to do: the host matches the definition\n"


def test_a_plan_takes_the_place_of_a_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of /dev/null, a pipe, or the link to a file."""
    monkeypatch.setattr("kvmnet.core.reporting.saved_plan.to_text", lambda *_: "{}")
    prepared: Any = SimpleNamespace(allowed=(), assessment=None)
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "file")
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        for path in (pipe, link, tmp_path / "new"):
            _save(str(path), prepared)
        assert os.read(reader, 9) == b"{}"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and link.is_symlink()
    assert [(tmp_path / name).read_text() for name in ("file", "new")] == ["{}", "{}"]
    with pytest.raises(KvmnetError, match="cannot be written: Is a directory"):
        _save(str(tmp_path), prepared)
