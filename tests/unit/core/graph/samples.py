"""Documents of definitions, for the tests of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.graph.document import Side, make_document
from kvmnet.core.graph.model import Document, Picture
from kvmnet.review_input import Side as ReviewSide
from kvmnet.review_input import version_of

ROOT = Path(__file__).parents[4]
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/cluster.yaml"))


def example(name: str) -> str:
    """Return the text of an example."""
    return (ROOT / "examples" / name / "cluster.yaml").read_text(encoding="utf-8")


def side_of(text: str) -> Side:
    """Return a definition, which must be valid, as a side of a document."""
    definition = pipeline.check([Source("cluster.yaml", text)])
    assert definition.ok, definition.problems
    return Side(version_of(ReviewSide("text", definition)), definition.cluster)


def document_of(text: str, old: Optional[str] = None, host: Optional[str] = None) -> Document:
    """Return the document of a definition, or of the change from an old one."""
    return make_document(side_of(text), side_of(old) if old is not None else None, host)


def picture_of(document: Document, title: str) -> Picture:
    """Return the picture whose title begins so."""
    return next(picture for picture in document.pictures if picture.title.startswith(title))


def summary_of(picture: Picture) -> dict[str, tuple[str, ...]]:
    """Return what a picture shows: the lines of each box after its kind, by its title."""
    boxes = [(box, f"{box.kind} {box.event}".strip()) for box in picture.boxes]
    return {box.title: (first, *(f"{line.event} {line.text}".strip() for line in box.lines)) for box, first in boxes}


def lines_of(picture: Picture) -> set[str]:
    """Return the connections of a picture by the titles of their ends."""
    titles = {box.key: box.title for box in picture.boxes}
    return {f"{titles[c.start]} > {titles[c.end]} {c.event}".strip() for c in picture.connections}
