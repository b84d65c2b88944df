"""Fixtures of the tests of kvmnet/from_host."""

from __future__ import annotations

import pytest

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.pipeline import load


@pytest.fixture
def bundle() -> Bundle:
    """The bundle of a host with one NIC and a bridge, under a naming policy that renames."""
    return load("examples/rocks/cluster.yaml").bundle("vm-container-0-0")
