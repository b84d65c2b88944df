"""The page: readable without scripts, needs nothing from elsewhere, and no text leaves its place."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from kvmnet.core.graph.html_page import format_html
from kvmnet.core.graph.search_script import SEARCH_SCRIPT
from tests.graph_samples import changed_bonded
from tests.unit.core.graph import hostile
from tests.unit.core.graph.samples import document_of, example

VOID = {"meta", "input", "br"}


class Tags(HTMLParser):
    """The elements of a page in order, with the names of their attributes, and all links and identities."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.identities: list[str] = []
        self.sources: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        values = dict(attrs)
        self.links += [str(values["href"])] if "href" in values else []
        self.identities += [str(values["id"])] if "id" in values else []
        self.sources += [str(values["src"])] if "src" in values else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_structure() -> None:
    page = format_html(document_of(changed_bonded(example("bonded")), example("bonded")))
    tags = Tags(page)
    assert not tags.open and not tags.sources
    assert len(tags.identities) == len(set(tags.identities))
    assert all(link.startswith("#") and link[1:] in tags.identities for link in tags.links)
    assert re.search(r'<html lang="en">', page) and page.count("<h1>") == 1
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_everything_is_in_the_page_without_scripts() -> None:
    page = format_html(document_of(example("bonded")))
    without = page.replace(SEARCH_SCRIPT, "")
    for text in ("10.1.1.1/16", "2001:db8:1::12/64", "52:54:00:00:00:02", "VLAN 5", "hv2", "tenant-a"):
        assert text in without
    assert "<input" not in without, "the search needs scripts, so only the script may add it"


def test_only_the_script_of_the_page_may_run() -> None:
    page = format_html(document_of(example("rocks")))
    digest = base64.b64encode(hashlib.sha256(SEARCH_SCRIPT.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert page.count("<script>") == 1
    for word in ("innerHTML", "eval(", "document.write", "insertAdjacentHTML"):
        assert word not in SEARCH_SCRIPT


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_no_text_leaves_its_place(text: str) -> None:
    tags, plain = Tags(format_html(hostile.document(text))), Tags(format_html(hostile.document("plain")))
    assert tags.tags == plain.tags
    format_html(hostile.document(text)).encode("utf-8")
