"""Suppression of warnings by `silence` entries."""

from __future__ import annotations

import json

from kvmnet import pipeline
from kvmnet.core.base import problem
from kvmnet.core.definition.document import Source

HEAD = "kvmnet: 1\ncluster: c\nprofile: plain\n"
NIC = "mac: 02:00:00:00:00:01"


def check(text: str) -> pipeline.Definition:
    return pipeline.check([Source("f.yaml", HEAD + text)])


def test_the_innermost_entry_suppresses_the_warning_and_its_reason_is_reported() -> None:
    definition = check(
        "silence: [{code: KVN123, reason: outer}]\n"
        f"hosts: {{a: {{interfaces: {{eth0: {{{NIC}, silence: [{{code: KVN123, reason: inner}}]}}}}}}}}\n"
    )
    assert [s.reason for s in definition.silenced] == ["inner"]
    assert [(p.code, p.mark.line) for p in definition.problems] == [("KVN190", 4)]
    row = json.loads(problem.as_json(definition.problems, definition.sources, definition.silenced))["silenced"][0]
    assert (row["code"], row["severity"], row["reason"]) == ("KVN123", "warning", "inner")
    assert (row["file"], row["line"], row["silence"]["line"]) == ("f.yaml", 5, 5)


def test_an_entry_in_an_anchor_works_at_every_alias() -> None:
    definition = check(
        "x-vm: &vm {silence: [{code: KVN123, reason: virtual}]}\nhosts:\n"
        f"  a: {{interfaces: {{eth0: {{<<: *vm, {NIC}}}, eth1: {{<<: *vm}}}}}}\n"
    )
    assert definition.problems == [] and len(definition.silenced) == 1


def test_an_entry_in_another_part_suppresses_nothing() -> None:
    definition = check(
        f"hosts:\n  a: {{interfaces: {{eth0: {{{NIC}}}}}}}\n"
        "  b: {silence: [{code: KVN123, reason: not here}], interfaces: {eth0: {}}}\n"
    )
    assert [p.code for p in definition.problems] == ["KVN123", "KVN190"] and definition.silenced == ()


def test_a_suppressed_warning_does_not_change_the_bundle() -> None:
    bare = check(f"hosts: {{a: {{interfaces: {{eth0: {{{NIC}}}}}}}}}\n")
    kept = check(f"hosts: {{a: {{silence: [{{code: KVN123, reason: r}}], interfaces: {{eth0: {{{NIC}}}}}}}}}\n")
    assert bare.bundles() == kept.bundles() and bare.problems and not kept.problems
