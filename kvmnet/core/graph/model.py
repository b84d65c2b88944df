"""What a picture consists of: boxes with lines of text, the connections between them, and the hosts they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

SAME, ADDED, REMOVED, CHANGED = "", "added", "removed", "changed"
"""What a comparison shows about a part of a picture. Without a comparison, everything is `SAME`."""
EVENT_TEXTS = {ADDED: "+ added", REMOVED: "- removed", CHANGED: "± changed"}
"""The mark of an event: a sign and a word, so that nobody needs to see colours."""

NIC, BOND, VLAN, BRIDGE, MACVTAP, DUMMY, INFINIBAND = "NIC", "bond", "VLAN", "bridge", "macvtap", "dummy", "InfiniBand"
LOOPBACK, GUEST, GUESTS, HOST, HOSTS, NETWORK = "loopback", "guest", "guests", "host", "hosts", "network"


@dataclass(frozen=True)
class Line:
    """A line of text in a box.

    shared: what it is for all hosts of one shape, where the text is one host's own (None: the text). unit: what such
    values are called in the plural. anchor: the connections with this anchor end at the line.
    """

    text: str
    event: str = SAME
    shared: Optional[str] = None
    unit: str = ""
    anchor: str = ""

    @property
    def pattern(self) -> str:
        """The text as far as it is the same for all hosts of one shape."""
        return self.text if self.shared is None else self.shared


@dataclass(frozen=True)
class Box:
    """An interface, a guest, a network, or hosts of one shape.

    key: unique in its picture. notes: what a plan lists for it, too long for the picture. link: the ID of the part of
    the page that has more about it. is_on_demand: it exists only while a guest needs it.
    is_for_guests: the host has it for guests alone.
    """

    key: str
    kind: str
    title: str
    lines: tuple[Line, ...] = ()
    event: str = SAME
    notes: tuple[str, ...] = ()
    link: str = ""
    is_on_demand: bool = False
    is_for_guests: bool = False

    @property
    def label(self) -> str:
        """The box in words, for those who do not see it."""
        lines = [f"{line.event}: {line.text}" if line.event else line.text for line in self.lines]
        first = f"{self.kind} {self.title}" + (f" ({self.event})" if self.event else "")
        return "; ".join([first, *lines, *self.notes])


@dataclass(frozen=True)
class Connection:
    """A connection from the box below (a NIC, the base interface, the bridge) to the one on it. anchor: the line of
    the upper box where it ends (empty: its title). is_weak: for guests alone."""

    start: str
    end: str
    event: str = SAME
    anchor: str = ""
    is_weak: bool = False


@dataclass(frozen=True)
class Picture:
    """Boxes and their connections, with a title and a description in words. identity: unique in a document."""

    identity: str
    title: str
    description: str
    boxes: tuple[Box, ...]
    connections: tuple[Connection, ...]
    event: str = SAME


@dataclass(frozen=True)
class HostGraph:
    """One host. networks: those that it has, with whether the host itself is in them (False: its guests alone).
    notes: what a plan lists for the host and not about one of its interfaces. old_name: its name before."""

    host: str
    group: str
    boxes: tuple[Box, ...]
    connections: tuple[Connection, ...]
    networks: Mapping[str, bool]
    event: str = SAME
    notes: tuple[str, ...] = ()
    old_name: str = ""

    @property
    def guests(self) -> list[Box]:
        """The host's guests."""
        return [box for box in self.boxes if box.kind == GUEST]


@dataclass(frozen=True)
class Row:
    """A row of a table: `cells` of lines. identity: unique in a document, or empty."""

    cells: tuple[tuple[str, ...], ...]
    event: str = SAME
    identity: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """What the pictures show, and what they leave out, in a table. The first column names the row."""

    identity: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Document:
    """Everything that a file shows. summary: sentences about the whole."""

    title: str
    summary: tuple[str, ...]
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...] = field(default=())
    is_comparison: bool = False
