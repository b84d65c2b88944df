"""Mermaid: each line is one of a flowchart's, whatever the texts contain."""

from __future__ import annotations

import re

import pytest

from kvmnet.core.graph.mermaid import format_mermaid
from tests.graph_samples import changed_bonded
from tests.unit.core.graph import hostile
from tests.unit.core.graph.samples import EXAMPLES, document_of, example

LABEL = r'"(?:[A-Za-z0-9 .,:/\-+()=]|#[0-9]+;|<br/>)*"'
LINES = re.compile(
    r"flowchart LR|acc(?:Title|Descr): [A-Za-z0-9 .,:/\-+()=]*"
    rf"|subgraph p\d+ \[{LABEL}\]|  direction LR|end"
    rf"|  p\d+n\d+(?:\[{LABEL}\]|\({LABEL}\)|\[\[{LABEL}\]\])(?::::(?:added|removed|changed))?"
    rf"|  p\d+n\d+ (?:---|-\.-|===)(?:\|{LABEL}\|)? p\d+n\d+"
    r"|classDef [a-z]+ [#a-z0-9:,\- ]+"
)


def check(text: str) -> list[str]:
    lines = text.splitlines()
    assert text.isascii()
    assert not [line for line in lines if not LINES.fullmatch(line)]
    return lines


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str) -> None:
    check(format_mermaid(document_of(example(name))))


def test_a_change_is_labelled() -> None:
    lines = check(format_mermaid(document_of(changed_bonded(example("bonded")), example("bonded"))))
    assert any("br-bond0.5<br/>bridge (added)" in line and line.endswith(":::added") for line in lines)
    assert any('|"+ added"|' in line for line in lines) and any("eno1<br/>NIC (removed)" in line for line in lines)


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_no_text_leaves_its_place(text: str) -> None:
    lines = check(format_mermaid(hostile.document(text)))
    assert len(lines) == len(check(format_mermaid(hostile.document("plain"))))
