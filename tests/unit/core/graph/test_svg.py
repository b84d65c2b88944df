"""SVG: well-formed, accessible, and no text leaves its place."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from kvmnet.core.base.problem import printable
from kvmnet.core.graph.svg import format_svg
from tests.graph_samples import changed_bonded, large_host
from tests.unit.core.graph import hostile
from tests.unit.core.graph.samples import EXAMPLES, document_of, example

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {"svg", "title", "desc", "style", "rect", "text", "g", "path", "a"}


def parse(text: str) -> ET.Element:
    return ET.fromstring(text.encode("utf-8"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_title_description_and_roles(name: str) -> None:
    root = parse(format_svg(document_of(example(name))))
    assert root.get("role") == "group" and root.get("aria-labelledby") == "title description"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and title.text and description is not None and description.text
    boxes = [g for g in root.iter(f"{SVG}g") if "box" in (g.get("class") or "").split()]
    assert boxes
    for box in boxes:
        label = box.find(f"{SVG}title")
        assert box.get("role") == "img" and label is not None and box.get("aria-label") == label.text
    identities = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(identities) == len(set(identities))


def test_every_end_of_a_connection_is_a_box() -> None:
    root = parse(format_svg(document_of(large_host())))
    identities = {element.get("id") for element in root.iter(f"{SVG}g")}
    paths = list(root.iter(f"{SVG}path"))
    assert len(paths) > 60
    assert all(path.get("data-from") in identities and path.get("data-to") in identities for path in paths)


def test_marks_do_not_need_colours() -> None:
    root = parse(format_svg(document_of(changed_bonded(example("bonded")), example("bonded"))))
    for event, sign in (("added", "+"), ("removed", "-"), ("changed", "±")):
        boxes = [g for g in root.iter(f"{SVG}g") if f"e-{event}" in (g.get("class") or "").split()]
        assert boxes
        for box in boxes:
            texts = [text.text or "" for text in box.iter(f"{SVG}text")]
            assert any(text.startswith(f"{sign} {event} · ") for text in texts)
            assert f"({event})" in (box.get("aria-label") or "")
    signs = [t for t in root.iter(f"{SVG}text") if "sign" in (t.get("class") or "")]
    assert {t.text for t in signs} == {"+", "-"}
    for line in (t for t in root.iter(f"{SVG}text") if (t.get("class") or "").startswith("line e-")):
        assert (line.text or "")[:1] in "+-±"


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_no_text_leaves_its_place(text: str) -> None:
    root = parse(format_svg(hostile.document(text)))
    plain = parse(format_svg(hostile.document("plain")))
    assert [e.tag for e in root.iter()] == [e.tag for e in plain.iter()]
    assert [sorted(e.attrib) for e in root.iter()] == [sorted(e.attrib) for e in plain.iter()]
    assert {e.tag.replace(SVG, "") for e in root.iter()} <= ALLOWED
    labels = [e.get("aria-label") or "" for e in root.iter() if e.get("role") == "img"]
    assert all(printable(text) in label for label in labels)
