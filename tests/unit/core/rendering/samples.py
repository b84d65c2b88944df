"""The example of a definition, and the bundle of its host, for tests of bundles and their folders."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kvmnet import pipeline
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle

EXAMPLE = Path(__file__).parents[4] / "examples/rocks/cluster.yaml"
HOST = "vm-container-0-0"


@cache
def example_bundle() -> Bundle:
    """Return the bundle of the example's host. Tests must not change it."""
    return pipeline.load(str(EXAMPLE)).bundle(HOST)


def read_bundle(files: dict[str, str]) -> Bundle:
    """Return the bundle of a folder's files."""
    return bundle_files.read_bundle(files, pipeline.load_bundle_schemas())
