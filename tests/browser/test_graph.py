"""Pictures and pages of `kvmnet graph` as a browser shows them. `make graph-test` runs these tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.graph.html_page import format_html
from kvmnet.core.graph.model import Document
from kvmnet.core.graph.palette import contrast
from kvmnet.core.graph.svg import format_svg
from kvmnet.core.graph.text_width import measure
from tests.browser.chromium import Page, find_browser
from tests.graph_samples import changed_bonded, large_cluster, large_host
from tests.unit.core.graph import hostile
from tests.unit.core.graph.samples import EXAMPLES, document_of, example

BROWSER = find_browser()
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on this machine; install the package chromium, or set KVMNET_CHROMIUM"
)
#: The area of each text of a picture, and of the card around it.
TEXTS = """Array.from(document.querySelectorAll('svg text')).map(function (text) {
  var area = text.getBoundingClientRect(), box = text.closest('.box');
  var card = box && box.querySelector('.card').getBoundingClientRect();
  function list(r) { return [r.left, r.top, r.right, r.bottom]; }
  return { text: text.textContent, area: list(area), card: card ? list(card) : null };
})"""


def documents() -> dict[str, Document]:
    return {
        **{name: document_of(example(name)) for name in EXAMPLES},
        "large host": document_of(large_host()),
        "large cluster": document_of(large_cluster()),
        "change": document_of(changed_bonded(example("bonded")), example("bonded")),
        "change of a cluster": document_of(large_cluster(changed=True), large_cluster()),
    }


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert BROWSER is not None
    opened = Page(BROWSER, tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture
def cluster(page: Page, tmp_path: Path) -> Page:
    """The page of a large cluster, with scripts, light."""
    page.set_scripts(True)
    page.set_dark(False)
    (tmp_path / "cluster.html").write_text(format_html(document_of(large_cluster())), encoding="utf-8")
    page.open(tmp_path / "cluster.html")
    return page


def overlap(one: list[float], other: list[float]) -> bool:
    """Whether two areas overlap by more than the half pixel that rounding may take."""
    return all(one[i] + 0.5 < other[i + 2] and other[i] + 0.5 < one[i + 2] for i in (0, 1))


def overlaps(texts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the pairs of texts that overlap; only those of about the same height are compared."""
    found = []
    ordered = sorted((t for t in texts if t["text"].strip()), key=lambda text: text["area"][1])
    for index, one in enumerate(ordered):
        for other in ordered[index + 1 :]:
            if other["area"][1] >= one["area"][3]:
                break
            if overlap(one["area"], other["area"]):
                found.append((one["text"], other["text"]))
    return found


def test_overlaps_are_found() -> None:
    one, other = {"text": "a", "area": [0, 0, 10, 10]}, {"text": "b", "area": [5, 9, 15, 19]}
    assert overlaps([one, other]) == [("a", "b")]
    assert not overlaps([one, {"text": "c", "area": [10, 0, 20, 10]}])


@pytest.mark.parametrize("ending", ["svg", "html"])
def test_no_texts_overlap_and_all_are_in_their_boxes(page: Page, tmp_path: Path, ending: str) -> None:
    for name, document in documents().items():
        path = tmp_path / f"one.{ending}"
        path.write_text(format_svg(document) if ending == "svg" else format_html(document), encoding="utf-8")
        page.open(path)
        texts = page.evaluate(TEXTS)
        assert len(texts) > 10, name
        assert not overlaps(texts), name
        for text in texts:
            area, card = text["area"], text["card"]
            if card is not None:
                assert area[0] >= card[0] and area[2] <= card[2] and area[1] >= card[1] and area[3] <= card[3], text


@pytest.mark.parametrize("family", ["'DejaVu Sans'", "Verdana", "Arial", "'Liberation Sans'", "sans-serif"])
def test_widths_are_at_least_those_of_the_browser(page: Page, tmp_path: Path, family: str) -> None:
    (tmp_path / "empty.html").write_text("<!DOCTYPE html><title>t</title><canvas></canvas>")
    page.open(tmp_path / "empty.html")
    characters = "".join(map(chr, range(32, 127))) + "·…“”±é漢🙂"
    for weight, is_bold in (("", False), ("bold ", True)):
        widths = page.evaluate(
            "(function () { var c = document.querySelector('canvas').getContext('2d');"
            f"c.font = {json.dumps(f'{weight}100px {family}')};"
            f"return Array.from({json.dumps(characters)}).map(function (t) {{ return c.measureText(t).width; }}); }})()"
        )
        assert len(widths) == len(characters)
        for character, width in zip(characters, widths):
            assert width <= measure(character, 100, is_bold) + 0.01, (character, width)


def test_search_by_keyboard(cluster: Page) -> None:
    cluster.press("/")
    assert cluster.evaluate("document.activeElement.type") == "search"
    cluster.type("compute-133")
    first = "document.querySelector('#search-results a').textContent"
    assert cluster.evaluate(first).startswith("host compute-133")
    cluster.press("ArrowDown")
    assert cluster.evaluate("document.activeElement.closest('#search-results') !== null")
    cluster.press("ArrowUp")
    assert cluster.evaluate("document.activeElement.type") == "search"
    cluster.press("Enter")
    assert cluster.evaluate("document.activeElement.querySelector('th').textContent") == "compute-133"
    area = cluster.evaluate(
        "(function (r) { return [r.top, r.bottom]; })(document.activeElement.getBoundingClientRect())"
    )
    assert 0 <= area[0] < area[1] <= 900, "what was found is in view"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vm-133-1", "guest vm-133-1"),
        ("10.3.0.135", "host compute-133"),
        ("2001:db8:1::87", "host compute-133"),
        ("00:00:5e:01:00:85", "host compute-133"),
        ("tenant-104", "network tenant-104"),
        ("VLAN 104", "VLAN bond0.104"),
        ("storage-004", "host storage-004"),
    ],
)
def test_what_is_found(cluster: Page, text: str, expected: str) -> None:
    cluster.press("/")
    cluster.type(text)
    results = cluster.evaluate("Array.from(document.querySelectorAll('#search-results a')).map(a => a.textContent)")
    assert any(result.startswith(expected) for result in results[:5]), results[:5]
    assert cluster.evaluate("document.querySelector('[role=status]').textContent").split()[1].startswith("result")
    cluster.press("Escape")
    assert cluster.evaluate("document.querySelector('#search-results').hidden")


def test_nothing_is_found(cluster: Page) -> None:
    cluster.press("/")
    cluster.type("10.99.99.99")
    assert cluster.evaluate("document.querySelector('[role=status]').textContent") == "0 results"
    cluster.press("Enter")
    assert cluster.evaluate("document.activeElement.type") == "search"


def test_a_box_that_is_found_shows_what_it_is_connected_to(cluster: Page) -> None:
    cluster.press("/")
    cluster.type("bond0.104")
    cluster.evaluate(
        "Array.from(document.querySelectorAll('#search-results a'))"
        ".find(a => a.textContent.startsWith('VLAN bond0.104')).focus()"
    )
    cluster.press("Enter")
    assert cluster.evaluate("document.activeElement.getAttribute('aria-label')").startswith("VLAN bond0.104")
    near = cluster.evaluate("Array.from(document.querySelectorAll('.box.near .title')).map(t => t.textContent)")
    assert {"bond0.104", "bond0", "ens1f0", "ens1f1"} <= set(near) and "eno1" not in near


def test_every_link_and_picture_is_reached_with_the_tab_key(cluster: Page) -> None:
    reached = set()
    for _ in range(12):
        cluster.press("Tab")
        reached.add(cluster.evaluate("document.activeElement.outerHTML.slice(0, 60)"))
    assert len(reached) == 12
    assert any("scroll" in text for text in reached) and any("#shape-1" in text for text in reached)


def test_the_page_is_readable_without_scripts(cluster: Page, tmp_path: Path) -> None:
    cluster.set_scripts(False)
    cluster.open(tmp_path / "cluster.html")
    text = cluster.evaluate("document.body.innerText")
    for part in (
        "compute-133",
        "10.3.0.135/16",
        "2001:db8:1::87/64",
        "vm-133-1",
        "tenant-104",
        "VLAN 104 over servers",
    ):
        assert part in text
    assert cluster.evaluate("document.querySelector('input') === null")
    assert cluster.evaluate("document.querySelectorAll('svg .box').length") > 30
    cluster.set_scripts(True)


def test_nothing_is_loaded_and_no_text_is_run(page: Page, tmp_path: Path) -> None:
    for number, text in enumerate(hostile.TEXTS):
        for ending, write in (("html", format_html), ("svg", format_svg)):
            path = tmp_path / f"{number}.{ending}"
            path.write_bytes(write(hostile.document(text)).encode("utf-8"))
            page.open(path)
            page.evaluate("window.alert = function () { window.was_run = true; }")
            assert not page.evaluate("window.was_run"), text
            assert [url for url in page.requests if not url.startswith("file:")] == []
            assert len(page.requests) == 1, page.requests


@pytest.mark.parametrize("is_dark", [False, True])
def test_contrast_of_the_texts_that_are_shown(page: Page, tmp_path: Path, is_dark: bool) -> None:
    page.set_dark(is_dark)
    (tmp_path / "one.html").write_text(format_html(documents()["change"]), encoding="utf-8")
    page.open(tmp_path / "one.html")
    rows = page.evaluate("""Array.from(document.querySelectorAll('svg .box text')).map(function (text) {
      var card = text.closest('.box').querySelector('.card');
      return [getComputedStyle(text).fill, getComputedStyle(card).fill, text.textContent];
    }).concat(Array.from(document.querySelectorAll('h1, h2, p, a, th, td, .event')).map(function (text) {
      return [getComputedStyle(text).color, getComputedStyle(document.body).backgroundColor, text.textContent];
    }))""")
    assert len(rows) > 100
    for colour, below, text in rows:
        assert contrast(to_hex(colour), to_hex(below)) >= 4.5, (text, colour, below)
    lightness = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (contrast(to_hex(lightness), "#000000") < 3) == is_dark
    page.set_dark(False)


def to_hex(colour: str) -> str:
    """Return a colour of a computed style, rgb(1, 2, 3), in hexadecimal digits."""
    return "#" + "".join(f"{int(part):02x}" for part in colour[colour.index("(") + 1 : -1].split(",")[:3])


def test_a_narrow_page_scrolls_its_pictures_not_itself(cluster: Page, tmp_path: Path) -> None:
    cluster.open(tmp_path / "cluster.html", width=420)
    assert cluster.evaluate("document.documentElement.scrollWidth") <= 420
    assert cluster.evaluate("document.querySelectorAll('.scroll')[2].scrollWidth") > 420
