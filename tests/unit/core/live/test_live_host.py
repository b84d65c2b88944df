"""The live host as data."""

from __future__ import annotations

import json

from kvmnet.core.live.live_host import Live
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import before


def test_a_reading_is_the_same_after_json(bundle: Bundle) -> None:
    live = before()
    assert Live.from_json(json.loads(json.dumps(live.to_json()))) == live
