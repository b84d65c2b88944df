"""The processor time that hostile definitions take: no file of up to 1 MB takes long."""

from __future__ import annotations

import time

import pytest

from kvmnet import pipeline
from kvmnet.core.base.problem import as_text
from kvmnet.core.definition.document import Source

HEAD = "kvmnet: 1\ncluster: c\nprofile: plain\nnetworks: {n: {subnets: [10.0.0.0/8]}}\n"
CASES = {
    "a chain of 2,000 groups": (
        f"{HEAD}groups:\n  g0: {{}}\n"
        + "".join(f"  g{n}: {{group: g{n - 1}}}\n" for n in range(1, 2000))
        + "hosts: {h: {group: g1999, interfaces: {eth0: {network: n}}}}\n",
        "KVN106",
    ),
    "many unknown keys": (HEAD + "hosts:\n" + "".join(f"  h{n}: {{a: 1}}\n" for n in range(5000)), "KVN004"),
    "comments": (HEAD + "# x\n" * 200_000, "KVN011"),
    "aliases": (
        f"{HEAD}x-a: &a {{{', '.join(f'k{n}: v' for n in range(200))}}}\nhosts:\n"
        + "".join(f"  h{n}: {{interfaces: {{eth0: *a}}}}\n" for n in range(5000)),
        "KVN004",
    ),
    "no YAML": (HEAD + "x: [" + "a, " * 100_000, "KVN002"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_definition_takes_little_time(name: str) -> None:
    text, code = CASES[name]
    start = time.process_time()
    definition = pipeline.check([Source("f", text)])
    as_text(definition.problems, definition.sources)
    assert code in {problem.code for problem in definition.problems}
    assert len(definition.problems) <= 1100
    assert time.process_time() - start < 6, "3 s on a quiet machine"
