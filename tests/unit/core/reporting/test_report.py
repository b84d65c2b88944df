"""The texts of plans, probes, events and outcomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.core.effects.likely_reasons import LikelyReason
from kvmnet.core.effects.probe_choice import Probes
from kvmnet.core.planning.changes import Change
from kvmnet.core.planning.difference import Difference
from kvmnet.core.planning.plan import Plan, make_plan
from kvmnet.core.refusals import Refusal
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting import report
from kvmnet.core.reporting.reason_text import reasons_to_json
from kvmnet.core.reporting.report import (
    format_descriptions,
    format_event,
    format_failed_commands,
    format_outcome,
    format_plan,
    format_plan_markdown,
    list_probes,
)
from kvmnet.pipeline import load
from tests.unit.core.samples import after, before

BUNDLE = load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


CARRIER, UNMANAGED = reasons_to_json(
    [LikelyReason("no carrier", "eth0"), LikelyReason("unmanaged", "br0", {"entry": "x in y", "fix": "exclude it"})]
)


def test_a_plan_without_changes_is_one_line() -> None:
    plan = make_plan(BUNDLE, after(BUNDLE))
    assert format_plan(plan) == "vm-container-0-0: nothing to do: the host matches the definition\n"
    assert (
        format_plan(plan, ["note: x"])
        == "vm-container-0-0: nothing to do, but kvmnet could not check everything\nnote: x\n"
    )


def test_a_plan_names_the_descriptions_of_interfaces() -> None:
    bundle = replace(BUNDLE, descriptions={"eth0": "rack 7", "peth0": "rack 7", "eth9": "other"})
    plan = make_plan(bundle, before())
    assert "  + add eth0 (rack 7): absent -> linux-bridge\n" in format_plan(plan)
    assert "| `+` | add | eth0 (rack 7) | absent -> linux-bridge |" in format_plan_markdown(plan)
    assert format_descriptions(bundle.descriptions) == ["interfaces:", "  eth0, peth0: rack 7", "  eth9: other"]
    assert format_descriptions({}) == []


def test_a_plan_as_markdown() -> None:
    live = before()
    plan = make_plan(BUNDLE, live)
    text = format_plan_markdown(plan, [Refusal("KVN511", "corosync is active", "x")])
    lines = text.splitlines()
    assert lines[0] == "### vm-container-0-0: 7 changes to make"
    assert "| `+` | add | eth0 | absent -> linux-bridge |" in lines
    assert "| `>` | rename | eth0 | to peth0, the NIC with MAC 00:14:4f:80:de:00 |" in lines
    assert "- overridden: KVN511 corosync is active" in lines
    assert text.count("```") == 2 and "  type: linux-bridge\n" in text
    nothing = format_plan_markdown(make_plan(BUNDLE, after(BUNDLE)))
    assert nothing == "### vm-container-0-0: nothing to do: the host matches the definition\n"


def test_overridden_refusals_are_listed() -> None:
    assert report.format_overridden_refusals([Refusal("KVN511", "corosync is active", "x")]) == (
        "note: overridden: KVN511 corosync is active\n"
    )


def test_probe_lines_list_the_targets_that_must_reply() -> None:
    gateway, server = Probe("gateway", "10.1.1.1"), Probe("tcp", "10.1.0.9:22")
    assert list_probes(Probes(must=(gateway,), silent=(server,))) == [
        "targets that must reply after the change: 10.1.1.1",
        "note: tcp 10.1.0.9:22 does not reply now, so it will not be probed after the change",
    ]
    assert list_probes(Probes(silent=(gateway,))) == [
        "note: no target replies now, so none will be probed after the change",
        "note: the gateway 10.1.1.1 does not reply now, so it will not be probed after the change",
    ]
    assert list_probes(Probes(must=(server,), silent=(gateway,))) == [
        "targets that must reply after the change: tcp 10.1.0.9:22",
        "note: the gateway 10.1.1.1 does not reply now, so it will not be probed after the change",
    ]
    assert list_probes(Probes()) == [
        "note: no gateway and no name server is known for the host after the change, so none will be probed"
    ]
    assert list_probes(Probes(must=(server,), through_guests=((gateway, "vnet3"),))) == [
        "targets that must reply after the change: tcp 10.1.0.9:22",
        (
            "note: the gateway 10.1.1.1 is reached through vnet3, the port of a guest of this host: it shows nothing "
            "about the way to the outside, so it will not be probed after the change"
        ),
    ]
    assert list_probes(Probes(known=False)) == ["note: run as root to see which targets will be probed"]


def test_commands_are_listed_with_when_they_run() -> None:
    command = Probe("command", command=("/bin/check", "x"))
    line = "command /bin/check x: runs as root after you agree, and again after the change if it succeeds"
    assert list_probes(Probes(must=(Probe("ping", "10.1.1.1"),), commands=(command,)))[-1] == line
    assert list_probes(Probes(known=False, commands=(command,)))[-1] == line
    assert format_failed_commands([command]) == [
        "note: command /bin/check x fails now, so it will not run after the change"
    ]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"event": "begin"}, None),
        ({"event": "done", "step": 0, "seconds": 1.25}, "ok   rename (1.2 s)"),
        ({"event": "failed", "error": "no reply"}, "FAIL no reply"),
        (
            {"event": "failed", "error": "no reply", "likely": [CARRIER]},
            "FAIL no reply\n     likely reason: eth0 has no carrier: check the cable and the switch port",
        ),
        (
            {"event": "failed", "error": "NmstateError: Bug: strictly unmanaged", "likely": [CARRIER, UNMANAGED]},
            (
                "FAIL NetworkManager is configured to leave br0 unmanaged (x in y): exclude it\n"
                "     nmstate reported: NmstateError: Bug: strictly unmanaged\n"
                "     likely reason: eth0 has no carrier: check the cable and the switch port"
            ),
        ),
        (
            {"event": "failed", "error": "no reply", "likely": [UNMANAGED]},
            (
                "FAIL no reply\n     likely reason: NetworkManager is configured to leave br0 unmanaged (x in y): "
                "exclude it"
            ),
        ),
        ({"event": "undo"}, "rolling back"),
        ({"event": "undo", "why": "no reply"}, "rolling back"),
        (
            {"event": "undo", "why": "watchdog: nmstate did not finish within 150 s", "likely": [CARRIER]},
            (
                "rolling back (watchdog: nmstate did not finish within 150 s)\n"
                "     likely reason: eth0 has no carrier: check the cable and the switch port"
            ),
        ),
        ({"event": "undone", "step": 0, "result": "done"}, "undo rename: done"),
        ({"event": "undo-failed", "step": 0, "error": "x"}, "undo rename FAILED: x"),
        ({"event": "undo-broke", "error": "x"}, "FAIL the rollback was interrupted and will start again: x"),
        ({"event": "named", "nics": ["eth0"]}, "note: NIC eth0 had another name; its name was restored"),
        ({"event": "woken"}, "note: NetworkManager did not respond for 10 s; it was killed and restarted"),
        (
            {"event": "lost", "devices": ["macvtap0", "macvtap1"]},
            "note: restart the guests that used these devices, because they were recreated: macvtap0, macvtap1",
        ),
        (
            {"event": "aside", "files": ["/etc/x"]},
            "note: moved to the folder aside/ of the transaction, because they did not exist before: /etc/x",
        ),
        (
            {"event": "notes", "lines": ["interface eth7 is missing"]},
            "note: other tools changed this meanwhile:\n       interface eth7 is missing",
        ),
        ({"event": "notes", "lines": [], "unrestored": ["eth0 had x"]}, "note: eth0 had x"),
        ({"event": "verified"}, "ok   verified: the host is as before the change"),
        (
            {"event": "not-verified", "differences": ["routes: missing x"], "mends": ["ip route add x"]},
            (
                "FAIL the host is not as before the change:\n"
                "       routes: missing x\n"
                "     commands that may fix them:\n"
                "       ip route add x\n"
                f"     if the host is correct as it is: {report.ACCEPT_COMMAND}"
            ),
        ),
    ],
)
def test_an_event_has_a_text_if_the_user_must_see_it(event: dict[str, Any], text: Optional[str]) -> None:
    assert format_event(event, ["rename"]) == text


def test_the_operator_must_confirm_from_a_new_connection() -> None:
    assert report.format_confirmation_request(120).splitlines() == [
        "     run `kvmnet confirm` from a new SSH connection within 120 s, or the change is rolled back",
        "     (this session was opened before the change and cannot confirm it)",
    ]
    assert "probing for up to 40 s" in report.format_long_probing(40)


@pytest.mark.parametrize(
    ("code", "removed", "text"),
    [
        (0, False, "kept: the host matches the definition, also after a reboot"),
        (0, True, "removed and verified: the host is as before kvmnet"),
        (3, False, "rolled back and verified: the host is as before the change"),
        (4, False, "rolled back, but verification failed: manual action required (see `kvmnet status`)"),
    ],
)
def test_the_last_line_contains_the_outcome_of_the_transaction(code: int, removed: bool, text: str) -> None:
    assert format_outcome(code, None, None, removed) == text


def test_a_removal_that_cannot_restore_everything_does_not_claim_it() -> None:
    text = format_outcome(0, None, None, removed=True, is_complete=False)
    assert text == "removed: the host is as before kvmnet, except for what the notes above list"


def test_the_last_line_contains_the_time_without_connectivity() -> None:
    assert format_outcome(3, None, None, at_most=9.1).endswith("(the host's addresses were missing for at most 9.1 s)")
    assert format_outcome(3, 0.4, "10.1.1.1", at_most=9.1).endswith(
        "(10.1.1.1 did not reply for 0.4 s before the rollback; the host's addresses were missing for at most 9.1 s)"
    )
    for at_most in (None, 9.1):
        outcome = format_outcome(0, 0.4, "10.1.1.1", at_most=at_most)
        assert outcome.endswith("(10.1.1.1 did not reply for at most 0.4 s)")


def test_other_tools_names_are_no_html_or_links_in_markdown() -> None:
    change = Change("change", "eth0", (Difference("a\x1b<img src=x>", "[x](http://evil)", "b|c"),))
    plan = Plan(Bundle("c", "h", "rocks", (), {}), state={"interfaces": []}, changes=(change,))
    text = format_plan_markdown(plan, notes=["note: ![x](http://evil) <script>"])
    assert not any(part in text for part in ("\x1b", "<img", "](http", "<script"))
