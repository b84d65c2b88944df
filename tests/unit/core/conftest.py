"""Bundles for the tests of the core."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load
from tests.unit.core.samples import bundle_with


@pytest.fixture
def bundle() -> Bundle:
    """The bundle of a host with one NIC and a bridge, under a naming policy that renames."""
    return load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")


@pytest.fixture
def make_bundle(tmp_path: Path) -> Any:
    """Returns bundles of a host with given interfaces; see `bundle_with`."""
    return partial(bundle_with, tmp_path)
