"""Exports a folder for each host: what `kvmnet render` writes, and `kvmnet apply --bundle` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.bundle_files import STATE_FILE, format_bundle
from kvmnet.exporters import Exporter, File, Files, Group, Options


def export_folders(bundles: Sequence[Bundle], options: Options, groups: Sequence[Group]) -> Files:
    """Return HOST/nmstate.yml, HOST/bundle.json and the other files of each bundle's folder."""
    return format_folders(bundles)


def format_folders(bundles: Iterable[Bundle]) -> Files:
    """Return the files of `export_folders`. The bundles may be rendered one after the other: they are larger than their
    files."""
    return {f"{bundle.host}/{name}": File(text) for bundle in bundles for name, text in format_bundle(bundle).items()}


def state_path(host: str) -> str:
    """Return the path of a host's nmstate state among the files."""
    return f"{host}/{STATE_FILE}"


EXPORTER = Exporter(
    name="bundle-folder",
    help="A folder for each host: its nmstate state, its guests' state, its .link files and its bundle.json.",
    function=export_folders,
)
