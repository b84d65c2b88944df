"""From files to bundles: the way every verb goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from kvmnet import definition_files, resources
from kvmnet.core import checks
from kvmnet.core.base.errors import Refused
from kvmnet.core.base.problem import Mark, Problem, Silenced, in_order
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
    """A definition that was read, checked and laid out for every host.

    `problems` is sorted; as long as one is an error, `bundle` must not be used for anything but looking.
    """

    cluster: Optional[Cluster]
    problems: list[Problem]
    sources: Mapping[str, str] = field(repr=False)
    views: Mapping[str, HostView] = field(repr=False)
    silenced: Sequence[Silenced] = ()
    """The warnings that the definition accepts; they are not among the problems."""

    @property
    def ok(self) -> bool:
        """Whether there is a cluster and no error (warnings may be there)."""
        return self.cluster is not None and not any(p.is_error for p in self.problems)

    @property
    def hosts(self) -> list[str]:
        """The hosts that have a view, in the order of the definition."""
        return list(self.views)

    def bundle(self, host: str) -> Bundle:
        """The bundle of one host. Raises KeyError when there is no such host."""
        return render.render(self.views[host])

    def bundles(self, hosts: Optional[Iterable[str]] = None) -> list[Bundle]:
        """The bundles of the named hosts, or of all. Raises KeyError for an unknown one."""
        return [self.bundle(host) for host in (self.views if hosts is None else hosts)]


@cache
def load_schema(name: str) -> schema.Schema:
    """One of our schemas, read once."""
    return schema.Schema(resources.read_schema(name))


@cache
def load_naming_policies() -> Mapping[str, NamingPolicy]:
    """Return the naming policies that come with kvmnet, by name. Raises ValueError if one of the files is invalid."""
    policies: dict[str, NamingPolicy] = {}
    for name, text in resources.read_naming_policies().items():
        tree, problems = document.parse(document.Source(name, text))
        if tree is not None:
            tree, more = load_schema("profile").apply(tree)
            problems += more
        if tree is None or problems:
            raise ValueError(f"naming policy {name}: {problems[0].message if problems else 'empty'}")
        policy = naming_policy.read_naming_policy(tree)
        policies[policy.name] = policy
    return policies


def load(path: Optional[str]) -> Definition:
    """Read and check the definition at a path (a file or a folder; None looks for the usual names).

    Never raises for what is wrong with the definition: every problem is in the result.
    """
    sources, problems = definition_files.read_definition(path)
    return check(sources, problems, path)


def check(sources: Sequence[Source], problems: Sequence[Problem] = (), path: Optional[str] = None) -> Definition:
    """The same for files that were read already; `problems` are those of reading them."""
    found = list(problems)
    texts = {source.name: source.text for source in sources}
    trees = []
    for source in sources:
        tree, more = document.parse(source)
        found += more
        if tree is not None:
            trees.append(tree)
        if sum(tree.size for tree in trees) > document.MAX_VALUES:
            message = f"more than {document.MAX_VALUES:,} keys and values up to here"
            found.append(Problem("KVN004", message, Mark(source.name, 1, 1)))
            return Definition(None, in_order(found), texts, {})
    if not trees:
        if not found:
            name = sources[0].name if sources else str(path)
            found.append(Problem("KVN002", "the definition is empty", Mark(name, 1, 1)))
        return Definition(None, in_order(found), texts, {})
    tree, more = document.merge(trees)
    found += more
    tree, more = load_schema("cluster").apply(tree)
    found += more
    cluster = build.read_cluster(tree, load_naming_policies())
    views = layout.build_host_views(cluster)
    found += checks.run(checks.Context(cluster, views))
    found, silenced = suppressions.sort_out(tree, found)
    return Definition(cluster, in_order(found), texts, views, tuple(silenced))


def load_bundles(path: Optional[str]) -> tuple[Optional[Cluster], list[Bundle], list[Problem]]:
    """The definition at a path as bundles: none as long as a problem is an error."""
    definition = load(path)
    bundles = definition.bundles() if definition.ok else []
    return definition.cluster, bundles, definition.problems


def read_bundle_folder(folder: Path) -> Bundle:
    """The bundle that `render` wrote to a folder. Raises emit.BundleError, or files.CannotRead."""
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    texts: dict[str, str] = {}
    for name in names:
        if bundle_files.is_bundle_file(name):
            try:
                texts[name] = definition_files.read_file(folder / name).decode("utf-8")
            except UnicodeDecodeError:
                raise bundle_files.BundleError(f"{name} is not UTF-8 text") from None
    return bundle_files.read_bundle(texts, load_schema("state"))


def read_applied(state_dir: Path) -> Optional[Bundle]:
    """Return the bundle that is applied on this host, or None. Raises Refused if its files are corrupt.

    Raises PermissionError if the user cannot read them.
    """
    folder = state_dir / "applied"
    try:
        if not list(folder.iterdir()):  # a removal leaves the folder
            return None
    except FileNotFoundError:
        return None
    try:
        return read_bundle_folder(folder)
    except (bundle_files.BundleError, definition_files.CannotRead) as error:
        hint = "run kvmnet apply with the definition or the bundle: it rewrites these files and changes nothing else"
        raise Refused(f"kvmnet's state in {folder} is corrupt: {error}", hint, "KVN563") from error
