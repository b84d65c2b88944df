"""The live host as data."""

from __future__ import annotations

import json
from dataclasses import replace

from kvmnet.core.live.live_host import Live
from kvmnet.core.live.pull_settings import PullSettings
from kvmnet.core.live.surroundings import HostConfiguration
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import before


def test_a_reading_is_the_same_after_json(bundle: Bundle) -> None:
    live = before()
    link = replace(live.links["eth0"], options={"vlan_filtering": 1})
    profile = replace(live.profiles["eth0"], settings={"bridge.vlan-filtering": "yes"})
    live = replace(
        live,
        links={**live.links, "eth0": link},
        profiles={"eth0": profile},
        applied_settings={"br0": {"bridge.vlan-filtering": True}},
    )
    pull = PullSettings("git@h:n.git", allow=("KVN520",))
    surroundings = replace(live.surroundings, configuration=HostConfiguration(True, "", pull))
    live = replace(live, surroundings=surroundings)
    assert Live.from_json(json.loads(json.dumps(live.to_json()))) == live
