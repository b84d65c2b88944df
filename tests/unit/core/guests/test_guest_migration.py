"""Whether a guest can run on another host: its networks, MTUs, and what must be done before."""

from __future__ import annotations

from typing import Optional

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.guests.guest_migration import Migration, check_migration

DEFINITION = """kvmnet: 1
cluster: rocks
profile: rocks
networks:
  private: {subnets: [10.1.0.0/16]}
  public: {subnets: [192.0.2.0/24]}
  tenant: {vlan: 2, over: private}
hosts:
  a: {kvm: true, interfaces: {eth0: {network: private, mac: 00:14:4f:80:de:00}, eth1: {network: public, mac: 00:14:4f:80:de:01}}}
  b: {kvm: true, interfaces: {eth0: {network: private, mac: 00:14:4f:80:de:02}}}
  small: {kvm: true, interfaces: {eth0: {network: private, mac: 00:14:4f:80:de:03, mtu: 1400}}}
  plain: {kvm: true, profile: plain, interfaces: {eth0: {network: private}}}
  bare: {interfaces: {eth0: {network: private, mac: 00:14:4f:80:de:05}}}
  public-only: {kvm: true, interfaces: {eth0: {network: public, mac: 00:14:4f:80:de:06}}}
guests:
  outside: {host: a, nics: [{network: public, mac: 36:77:6e:c0:00:01}]}
  private: {host: a, nics: [{network: private, mac: 36:77:6e:c0:00:02}]}
  tagged: {host: a, nics: [{network: tenant, mac: 36:77:6e:c0:00:03}]}
"""  # noqa: E501


def migration(guest: str, host: str, text: str = DEFINITION) -> Migration:
    definition = pipeline.check([Source("f.yaml", text)])
    assert definition.ok and definition.cluster is not None, definition.problems
    return check_migration(definition.cluster, definition.cluster.guests[guest], definition.cluster.hosts[host])


@pytest.mark.parametrize(
    ("guest", "host", "problem"),
    [
        ("outside", "b", "b has neither a bridge nor a VLAN for network public"),
        ("private", "bare", "bare has neither a bridge nor a VLAN for network private: kvm: true is not set for it"),
        (
            "tagged",
            "public-only",
            "public-only has neither a bridge nor a VLAN for network tenant: none of its NICs is on network private",
        ),
        ("private", "small", "its MTU would be 1400 (eth0 on small), but it is 1500 on a"),
        ("tagged", "small", "its MTU would be 1400 (peth0.2 on small), but it is 1500 on a"),
        ("tagged", "b", None),
        ("private", "b", None),
    ],
)
def test_a_host_needs_a_device_with_the_mtu_for_each_nic(guest: str, host: str, problem: Optional[str]) -> None:
    answer = migration(guest, host)
    assert [nic.problem for nic in answer.nics] == [problem]
    assert answer.possible is (problem is None)


def test_the_mtu_of_the_network_is_needed_too() -> None:
    text = DEFINITION.replace("tenant: {vlan: 2, over: private}", "tenant: {vlan: 2, over: private, mtu: 1450}")
    text = text.replace("tagged: {host: a,", "tagged: {host: small,").replace("mtu: 1400", "mtu: 1460")
    text = text.replace("00:14:4f:80:de:02}}}", "00:14:4f:80:de:02, mtu: 1400}}}")
    [nic] = migration("tagged", "b", text).nics
    assert nic.problem == "its MTU would be 1400 (peth0.2 on b), but it is 1450 on small"


def test_a_note_describes_how_to_prepare_the_host() -> None:
    notes = migration("tagged", "b").notes
    assert notes == ("prepare b first: place tagged on it in the definition, and run kvmnet apply there",)


def test_a_host_with_the_bridge_needs_no_preparation() -> None:
    assert migration("private", "b").notes == ()


def test_a_note_names_the_xml_to_migrate_with_if_devices_have_other_names() -> None:
    [note] = migration("private", "plain").notes
    assert note == (
        "its devices have other names on plain than on a: migrate it with the XML of "
        "`kvmnet guest xml private --host plain`, after the definition places it on plain"
    )


def test_json_has_the_device_and_mtu_of_each_nic() -> None:
    assert migration("private", "b").to_json() == {
        "guest": "private",
        "host": "b",
        "possible": True,
        "nics": [{"mac": "36:77:6e:c0:00:02", "network": "private", "device": "eth0", "mtu": 1500, "problem": None}],
        "notes": [],
    }


AWARE = """kvmnet: 1
cluster: c
profile: plain
networks:
  lan: {subnets: [10.1.0.0/16]}
  v20: {vlan: 20, over: lan}
  v40: {vlan: 40}
hosts:
  a: {kvm: true, interfaces: {eth0: {network: lan, trunk: [v20, v40]}}}
  b: {kvm: true, interfaces: {eth0: {network: lan, trunk: [20, 40]}}}
  fewer: {kvm: true, interfaces: {eth0: {network: lan, trunk: [20]}}}
  plain: {kvm: true, interfaces: {eth0: {network: lan}, eth0.40: {network: v40, bridge: true}}}
guests:
  trunk: {host: a, nics: [{networks: [v20, v40], native: lan, mac: 52:54:00:00:00:01}]}
  tagged: {host: a, nics: [{network: v40, mac: 52:54:00:00:00:02}]}
"""


@pytest.mark.parametrize(
    ("guest", "host", "problem"),
    [
        ("trunk", "b", None),
        ("trunk", "fewer", "fewer has no VLAN-aware bridge that carries the networks v20, v40 (native lan)"),
        ("trunk", "plain", "plain has no VLAN-aware bridge that carries the networks v20, v40 (native lan)"),
        ("tagged", "b", None),
        ("tagged", "fewer", "fewer has neither a bridge nor a VLAN for network v40"),
        ("tagged", "plain", None),
    ],
)
def test_the_vlans_of_a_guest_must_be_on_the_target(guest: str, host: str, problem: Optional[str]) -> None:
    definition = pipeline.check([Source("cluster.yaml", AWARE)])
    assert definition.cluster is not None and definition.ok, definition.problems
    move = check_migration(definition.cluster, definition.cluster.guests[guest], definition.cluster.hosts[host])
    assert [nic.problem for nic in move.nics] == [problem]
    needs_libvirt = f"{host} needs libvirt 11.0.0 or later, which sets the VLANs of guests on a bridge"
    assert (needs_libvirt in move.notes) is (host == "b")
    row = move.to_json()["nics"][0]
    assert row.get("networks") == (["lan", "v20", "v40"] if guest == "trunk" else None)
