"""From files to bundles: reads, checks and renders a definition, and reads bundle folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from kvmnet import definition_files, resources
from kvmnet.core import checks
from kvmnet.core.base.problem import Mark, Problem, Silenced, in_order, printable
from kvmnet.core.checks import suppressions
from kvmnet.core.definition import build, document, naming_policy, schema
from kvmnet.core.rendering import bundle_files, render
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.views import layout

if TYPE_CHECKING:
    from kvmnet.core.definition.document import Source
    from kvmnet.core.definition.model import Cluster
    from kvmnet.core.definition.naming_policy import NamingPolicy
    from kvmnet.core.views.host_view import HostView


@dataclass(frozen=True)
class Definition:
    """A definition that was read and checked, with the view of every host.

    `problems` is sorted. If one of them is an error, the bundles may be shown but must not be applied.
    """

    cluster: Optional[Cluster]
    problems: list[Problem]
    sources: Mapping[str, str] = field(repr=False)
    views: Mapping[str, HostView] = field(repr=False)
    silenced: Sequence[Silenced] = ()
    """The warnings that the definition suppresses. They are not in `problems`."""

    @property
    def ok(self) -> bool:
        """Whether there is a cluster and no error. There may be warnings."""
        return self.cluster is not None and not any(p.is_error for p in self.problems)

    @property
    def hosts(self) -> list[str]:
        """The names of all hosts that have a view, in the order of the definition."""
        return list(self.views)

    def bundle(self, host: str) -> Bundle:
        """Return the bundle of a host. Raises KeyError if there is no such host."""
        return render.render(self.views[host])

    def bundles(self, hosts: Optional[Iterable[str]] = None) -> list[Bundle]:
        """Return the bundles of these hosts, or of all. Raises KeyError for an unknown host."""
        return [self.bundle(host) for host in (self.views if hosts is None else hosts)]


Follow = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Passes the parts of a long work on, one after the other: its name and the number of parts follow. A command shows
the progress by it."""


def follow_nothing(items: Iterable[Any], activity: str, total: int) -> Iterable[Any]:
    """Return the items: nobody sees the progress."""
    return items


@cache
def load_schema(name: str) -> schema.Schema:
    """Return a schema of schemas/ by its name, such as "cluster". It is read only once."""
    return schema.Schema(resources.read_schema(name))


def load_bundle_schemas() -> bundle_files.BundleSchemas:
    """Return the schemas of the files of a bundle."""
    return bundle_files.BundleSchemas(load_schema("state"), load_schema("bundle"))


@cache
def load_naming_policies() -> Mapping[str, NamingPolicy]:
    """Return the naming policies of kvmnet by name. Raises ValueError if one of the files is invalid."""
    policies: dict[str, NamingPolicy] = {}
    for name, text in resources.read_naming_policies().items():
        tree, problems = document.parse(document.Source(name, text))
        if tree is not None:
            tree, schema_problems = load_schema("profile").apply(tree)
            problems += schema_problems
        if tree is None or problems:
            raise ValueError(f"naming policy {name}: {problems[0].message if problems else 'empty'}")
        policy = naming_policy.read_naming_policy(tree)
        policies[policy.name] = policy
    return policies


def load(path: Optional[str], follow: Follow = follow_nothing) -> Definition:
    """Read and check the definition at a path, as `definition_files.read_definition` finds it. `follow` sees the
    progress.

    Never raises for an invalid definition: every problem is in the result.
    """
    sources, problems = definition_files.read_definition(path)
    return check(sources, problems, path, follow)


def check(
    sources: Sequence[Source],
    problems: Sequence[Problem] = (),
    path: Optional[str] = None,
    follow: Follow = follow_nothing,
) -> Definition:
    """Check a definition whose files are already read. `problems` are those of reading them, `path` is for messages."""
    all_problems = list(problems)
    texts = {source.name: source.text for source in sources}
    trees, parse_problems = _parse(sources)
    all_problems += parse_problems
    if not trees:
        if not all_problems:
            name = sources[0].name if sources else str(path)
            all_problems.append(Problem("KVN002", "the definition is empty", Mark(name, 1, 1)))
        return Definition(None, in_order(all_problems), texts, {})
    tree, merge_problems = document.merge(trees)
    all_problems += merge_problems
    tree, schema_problems = load_schema("cluster").apply(tree)
    all_problems += schema_problems
    cluster = build.read_cluster(tree, load_naming_policies())
    each_view = follow(layout.build_each_host_view(cluster), "hosts", len(cluster.hosts))
    views = {view.host: view for view in each_view}
    for found in follow(checks.run_each(checks.Context(cluster, views)), "checks", checks.count_checks()):
        all_problems += found
    all_problems, silenced = suppressions.sort_out(tree, all_problems)
    return Definition(cluster, in_order(all_problems), texts, views, tuple(silenced))


def _parse(sources: Sequence[Source]) -> tuple[list[document.Map], list[Problem]]:
    """Return the trees of the files and the problems. There are no trees if all files together exceed the limit."""
    trees: list[document.Map] = []
    problems: list[Problem] = []
    for source in sources:
        tree, parse_problems = document.parse(source)
        problems += parse_problems
        if tree is not None:
            trees.append(tree)
        if sum(tree.size for tree in trees) > document.MAX_VALUES:
            message = f"more than {document.MAX_VALUES:,} keys and values in the files up to this one"
            return [], [*problems, Problem("KVN004", message, Mark(source.name, 1, 1))]
    return trees, problems


def read_bundle_folder(folder: Path) -> Bundle:
    """Return the bundle that `kvmnet render` wrote to a folder. Raises BundleError or CannotRead."""
    texts: dict[str, str] = {}
    data = definition_files.read_folder(folder, bundle_files.is_bundle_file) if os.path.lexists(folder) else {}
    for name, content in data.items():
        try:
            texts[name] = content.decode("utf-8")
        except UnicodeDecodeError:
            raise bundle_files.BundleError(f"{printable(name)} is not UTF-8 text") from None
    return bundle_files.read_bundle(texts, load_bundle_schemas())
