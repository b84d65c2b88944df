"""A definition as a document of pictures and tables; with a review also what changes in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from kvmnet.core.definition.model import Cluster
from kvmnet.core.graph.comparison import compare_host, mark_all
from kvmnet.core.graph.folding import Shape, fold_hosts
from kvmnet.core.graph.host_graph import HostSource, draw_host, list_device_networks
from kvmnet.core.graph.model import ADDED, CHANGED, REMOVED, Document, HostGraph, Picture
from kvmnet.core.graph.overview import draw_overview
from kvmnet.core.graph.tables import guest_table, host_table, network_table
from kvmnet.core.reporting.review_lines import count
from kvmnet.core.review.review import Review, Version, match_hosts, review_versions


@dataclass(frozen=True)
class Side:
    """A definition with what is rendered from it, or rendered states alone (`cluster` is None)."""

    version: Version
    cluster: Optional[Cluster] = field(default=None, repr=False)

    @property
    def without_definition(self) -> Side:
        """The side with what its rendered states contain alone: they name neither networks nor guests."""
        return Side(Version(self.version.bundles, self.version.nics))

    def draw(self, host: str) -> HostGraph:
        """Return the graph of a host."""
        group, networks = "", {}
        if self.cluster is not None:
            group, networks = self.cluster.hosts[host].group or "", list_device_networks(self.cluster, host)
        return draw_host(HostSource(self.version.bundles[host], self.version.ports.get(host, ()), group, networks))


def make_document(new: Side, old: Optional[Side] = None, host: Optional[str] = None) -> Document:
    """Return the document of a definition, or of one host; with `old` of the change from there."""
    if old is not None and (old.cluster is None or new.cluster is None):
        old, new = old.without_definition, new.without_definition
    review = review_versions(old.version, new.version) if old is not None else None
    if old is None or review is None:
        graphs = [new.draw(name) for name in new.version.bundles if host in (None, name)]
    else:
        graphs = compare_sides(old, new, review, host)
    shapes = fold_hosts(graphs)
    links = [f"shape-{number}" for number in range(1, len(shapes) + 1)]
    pictures = [_shape_picture(shape, link) for shape, link in zip(shapes, links)]
    if len(graphs) != 1:
        pictures.insert(0, draw_overview(shapes, links, new.cluster, old.cluster if old is not None else None))
    names = [h.cluster for h in new.version.bundles.values()] or ["cluster"]
    clusters = new.cluster, old.cluster if old is not None else None
    tables = host_table(shapes, links), guest_table(shapes), network_table(*clusters, graphs)
    title = f"{host} of cluster {names[0]}" if host is not None else f"Cluster {names[0]}"
    summary = _summarize(graphs, shapes, old is not None)
    if new.cluster is None:
        summary = (*summary, "Rendered states do not name networks and guests.")
    return Document(title, summary, tuple(pictures), tuple(t for t in tables if t.rows), old is not None)


def compare_sides(old: Side, new: Side, review: Review, host: Optional[str] = None) -> list[HostGraph]:
    """Return the graphs of all hosts of both sides, or of one host, those of the new side first."""
    reviews = {of_host.host: of_host for of_host in review.hosts}
    before = {after: name for name, after in match_hosts(old.version.nics, new.version.nics).items()}
    graphs = []
    for name in new.version.bundles:
        if host in (None, name):
            graph = new.draw(name)
            is_known = name in before
            graphs.append(
                compare_host(old.draw(before[name]), graph, reviews.get(name)) if is_known else mark_all(graph, ADDED)
            )
    gone = [name for name in old.version.bundles if name not in before.values() and host in (None, name)]
    return [*graphs, *(mark_all(old.draw(name), REMOVED) for name in gone)]


def _shape_picture(shape: Shape, link: str) -> Picture:
    graph = shape.graph
    group = f", group {graph.group}" if graph.group else ""
    hosts = f" ({len(shape.hosts):,} hosts)" if len(shape.hosts) > 1 else ""
    notes = "".join(f" {note}." for note in graph.notes)
    text = f"{shape.description}{notes}"
    return Picture(link, f"{shape.title}{hosts}{group}", text, graph.boxes, graph.connections, graph.event)


def _summarize(graphs: Sequence[HostGraph], shapes: Sequence[Shape], is_comparison: bool) -> tuple[str, ...]:
    guests = {box.title for graph in graphs for box in graph.guests}
    counts = [count(len(graphs), "host"), *([count(len(guests), "guest")] if guests else [])]
    first = f"{', '.join(counts)}."
    if len(shapes) < len(graphs):
        first = f"{first} Hosts of the same shape share a picture: only addresses and guests differ."
    if not is_comparison:
        return (first,)
    events: Mapping[str, int] = {event: sum(g.event == event for g in graphs) for event in (CHANGED, ADDED, REMOVED)}
    parts = [f"{count(number, 'host')} {event}" for event, number in events.items() if number]
    return first, f"{', '.join(parts)}." if parts else "No host changes."
