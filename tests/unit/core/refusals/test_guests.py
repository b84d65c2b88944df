"""Refusals about running guests (see also tests/unit/core/effects/test_impact.py)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.live.live_host import Link, Live
from kvmnet.pipeline import load
from tests.unit.core.refusals.samples import (
    BUNDLE,
    find_messages,
    host_with,
)
from tests.unit.core.samples import after, bundle_of


def test_a_vlan_that_running_guests_use_cannot_become_permanent() -> None:
    bundle = load("tests/golden/good/attach/cluster.yaml").bundle("a")
    live = after(BUNDLE)
    device = {"name": "peth0.3", "type": "vlan", "state": "ignore"}
    unused = replace(
        live,
        state={**live.state, "interfaces": [*live.state["interfaces"], device]},
        links={**live.links, "peth0.3": Link("peth0.3", None, "vlan", base="peth0")},
    )
    assert "KVN526" not in [code for code, _ in find_messages(unused, bundle)]
    guest = Link("macvtap0", None, "macvtap", base="peth0.3")
    used = replace(unused, links={**unused.links, "macvtap0": guest})
    message = "peth0.3 would become a permanent VLAN, but running guests use it: macvtap0"
    messages = find_messages(used, bundle)
    assert ("KVN526", message) in messages and "KVN524" not in [code for code, _ in messages]
    with_own_macvtap = replace(unused, links={**unused.links, "mvt-c00002": replace(guest, name="mvt-c00002")})
    assert "KVN526" not in [code for code, _ in find_messages(with_own_macvtap, bundle)]


TAGGED = """kvmnet: 1
cluster: c
profile: plain
networks: {lan: {subnets: [10.1.0.0/16], gateway: 10.1.1.1}, v20: {vlan: 20, over: lan}}
hosts:
  host:
    kvm: true
    interfaces:
      eth0: {network: lan, addresses: [10.1.255.254], bridge: {vlan_filtering: true}}
guests:
  web1: {host: host, nics: [{network: v20, mac: 52:54:00:00:00:01}]}
"""


@pytest.mark.parametrize(
    ("version", "is_refused"), [("9.0.0", True), ("10.10.0", True), ("11.0.0", False), ("", False)]
)
def test_libvirt_must_know_vlans_of_bridge_ports(tmp_path: Path, version: str, is_refused: bool) -> None:
    """libvirt 11.0.0 was the first; EL 9 and Debian 12 have older ones. Empty: it is not installed."""
    live = host_with(libvirt=version)
    found = dict(find_messages(live, bundle_of(tmp_path, TAGGED)))
    assert ("KVN546" in found) is is_refused
    if is_refused:
        assert (
            found["KVN546"]
            == f"libvirt {version} cannot set VLANs of guests on a bridge (11.0.0 can), which web1 would need"
        )
        assert Live.from_json(live.to_json()).surroundings.libvirt == version
        untagged = TAGGED.replace("network: v20", "network: lan")
        assert "KVN546" not in dict(find_messages(live, bundle_of(tmp_path, untagged)))
