"""A host that is as a generated definition says, made by another tool: its own definition changes nothing live."""

from __future__ import annotations

from random import Random

import pytest

from kvmnet.core.live.running_guests import Running
from kvmnet.from_host.result import define_host
from tests.fuzz import load
from tests.generate import cluster
from tests.unit.from_host.samples import live_of


@pytest.mark.parametrize("seed", range(25))
def test_a_generated_host_is_described_as_it_is(seed: int) -> None:
    for bundle in load(cluster(Random(seed))).bundles():
        result = define_host(live_of(bundle), Running(), "plain", None)
        assert result.is_complete, f"{bundle.host}\n{result.report}\n{result.text}"
