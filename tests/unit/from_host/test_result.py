"""Tests of kvmnet/from_host/result.py: the definition of a host, compared with the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.base.errors import Usage
from kvmnet.core.definition.document import Source
from kvmnet.core.live.live_host import Link
from kvmnet.core.live.running_guests import Running
from kvmnet.core.planning.plan import make_plan
from kvmnet.from_host.live_changes import find_live_changes
from kvmnet.from_host.result import define_host
from tests.unit.from_host.samples import GUESTS, br0_host, host_of, nic

EXISTING = """\
# our site
kvmnet: 1
cluster: site
profile: rocks               # as always
networks:
    lan:
        subnets: [10.1.0.0/16]
        gateway: 10.1.1.1      # the router
    # the storage network is planned

hosts:
    kvm0:
        profile: plain
        kvm: true
        interfaces:
            eth0: {mac: "00:14:4f:00:00:01", network: lan, addresses: [10.1.0.1]}
# the end
"""


def test_a_plan_of_the_definition_has_no_live_change(tmp_path: Path) -> None:
    live = br0_host(tmp_path)
    result = define_host(live, GUESTS, "plain", None)
    assert result.is_complete and "kvmnet plan" not in result.report
    definition = pipeline.check([Source("cluster.yaml", result.text)])
    assert definition.problems == []
    plan = make_plan(definition.bundle("kvm1"), live)
    assert plan.adopted == ("br0",) and find_live_changes(plan) == []


def test_a_route_that_the_definition_cannot_contain_is_a_change() -> None:
    route = {"destination": "10.9.0.0/16", "next-hop-interface": "eth0"}
    live = host_of(
        nic("eth0", "10.1.0.7/16"), links={"eth0": Link("eth0", "00:14:4f:80:de:00", None)}, routes={"config": [route]}
    )
    result = define_host(live, Running(), "plain", None)
    assert not result.is_complete
    assert (
        "the definition differs from the host; kvmnet plan would change:\n  - remove route: 10.9.0.0/16"
        in result.report
    )


def test_the_naming_policy_rocks_leads_to_its_picture(tmp_path: Path) -> None:
    live = br0_host(tmp_path)
    result = define_host(live, GUESTS, "rocks", None)
    assert result.is_complete and "profile: rocks\n" in result.text and "br0" not in result.text
    assert "kvmnet plan shows the change to the naming policy rocks:\n  > rename eth0: to peth0" in result.report
    plan = make_plan(pipeline.check([Source("cluster.yaml", result.text)]).bundle("kvm1"), live)
    assert plan.replaced == {"br0": "eth0"}


def test_a_host_is_added_to_a_definition_with_its_networks_and_comments(tmp_path: Path) -> None:
    result = define_host(br0_host(tmp_path), GUESTS, "plain", Source("cluster.yaml", EXISTING))
    assert result.is_complete, result.report
    kept, _, added = result.text.partition("    kvm1:\n")
    assert kept == EXISTING.partition("# the end")[0]
    assert (
        added
        == """\
      profile: plain
      kvm: true
      interfaces:
        eth0: {network: lan, mac: "00:14:4f:80:de:00", addresses: [10.1.255.254], bridge: br0}
# the end
guests:
  db1: {host: kvm1, nics: [{network: lan, mac: "52:54:00:00:00:02"}]}
  web1: {host: kvm1, nics: [{network: lan, mac: "52:54:00:00:00:01"}]}
"""
    )


def test_a_network_that_the_definition_lacks_is_added(tmp_path: Path) -> None:
    other = EXISTING.replace("10.1.", "10.2.")
    result = define_host(br0_host(tmp_path), Running(), "plain", Source("cluster.yaml", other))
    head = "    lan-2: {subnets: [10.1.0.0/16], gateways: [10.1.1.1]}\n    # the storage network is planned\n"
    assert head in result.text and "network: lan-2" in result.text
    assert result.is_complete, result.report


def test_a_network_with_another_gateway_is_noted_and_compared(tmp_path: Path) -> None:
    other = EXISTING.replace("gateway: 10.1.1.1", "gateway: 10.1.1.9")
    result = define_host(br0_host(tmp_path), Running(), "plain", Source("cluster.yaml", other))
    expected = "note: network lan of the definition has other gateways than this host: 10.1.1.9, not 10.1.1.1"
    assert expected in result.report and "kvmnet plan would change" in result.report and not result.is_complete


def test_a_section_without_entries_gets_the_first(tmp_path: Path) -> None:
    """The line ends stay those of the file."""
    empty = "kvmnet: 1\r\ncluster: site\r\nprofile: plain\r\nhosts: {}  # none yet\r\n"
    result = define_host(br0_host(tmp_path), Running(), "plain", Source("cluster.yaml", empty))
    assert result.is_complete and "\r\nhosts:  # none yet\r\n  kvm1:\r\n" in result.text
    assert result.text.count("\n") == result.text.count("\r\n")


@pytest.mark.parametrize(
    "text, message",
    [
        (EXISTING.replace("kvm0", "kvm1"), "the definition has a host kvm1 already"),
        (EXISTING.replace("kvmnet: 1", "kvmnet: 7"), "has problems"),
        ("kvmnet: 1\ncluster: c\nprofile: plain\nhosts: {a: {interfaces: {eth0: {}}}}\n", "cannot be extended"),
    ],
)
def test_a_definition_that_cannot_be_extended_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Usage, match=message):
        define_host(br0_host(tmp_path), Running(), "plain", Source("cluster.yaml", text))
