"""Finding the host of the definition that this host is."""

from __future__ import annotations

from typing import Optional

import pytest

from kvmnet.core.live.match_host import NotThisHost, find_host
from kvmnet.core.rendering.bundle import Bundle, Nic

A0, A1, B0 = "00:14:4f:80:de:00", "00:14:4f:80:de:01", "00:14:4f:80:de:10"


def host(name: str, *macs: Optional[str]) -> Bundle:
    nics = tuple(Nic(f"eth{i}", f"peth{i}", mac=mac) for i, mac in enumerate(macs))
    return Bundle("c", name, "rocks", nics, {})


HOSTS = [host("a", A0, A1), host("b.example.org", B0), host("no-macs", None)]


def test_a_host_is_matched_by_its_macs_in_any_case_whatever_its_name() -> None:
    assert find_host(HOSTS, {A0.upper(): "eno1", A1: "eno2", "52:54:00:00:00:01": "x"}, "b.example.org").host == "a"


@pytest.mark.parametrize("hostname", ["no-macs", "no-macs.example.org", "NO-MACS"])
def test_a_host_without_macs_is_matched_by_its_name_and_nic_names(hostname: str) -> None:
    for name in ("eth0", "peth0"):  # before and after the rename
        assert find_host(HOSTS, {"52:54:00:00:00:01": name}, hostname).host == "no-macs"


@pytest.mark.parametrize(
    ("macs", "hostname", "wanted", "words"),
    [
        ({"52:54:00:00:00:01": "eth0"}, "x", None, "none is named x"),
        ({}, "x", None, "none is named x"),
        ({A0: "eth0"}, "a", None, "lacks NICs of a: eth1 " + A1),
        ({A0: "eth0", A1: "eth1", B0: "eth2"}, "x", None, "several hosts: a, b.example.org"),
        ({"52:54:00:00:00:01": "eth0"}, "a", None, "is not a: it has none of its NICs"),
        ({A0: "eth0", A1: "eth1"}, "a", "b.example.org", "is not b.example.org"),
        ({A0: "eth0", A1: "eth1"}, "a", "c", "no host c"),
        ({"52:54:00:00:00:01": "eth7"}, "no-macs", None, "lacks NICs of no-macs: eth0"),
        ({B0: "eth0"}, "b.other.org", "a", "is not a"),
    ],
)
def test_a_host_that_does_not_match_is_refused(
    macs: dict[str, str], hostname: str, wanted: Optional[str], words: str
) -> None:
    with pytest.raises(NotThisHost) as refused:
        find_host(HOSTS, macs, hostname, wanted)
    assert words in refused.value.message
    assert refused.value.exit_code == 5


def test_the_name_decides_between_two_hosts_that_match_by_mac() -> None:
    assert find_host(HOSTS, {A0: "eth0", A1: "eth1", B0: "eth2"}, "a").host == "a"


def test_a_selected_host_is_accepted_when_its_nics_are_present() -> None:
    assert find_host(HOSTS, {A0: "eth0", A1: "eth1", B0: "eth2"}, "a", "b.example.org").host == "b.example.org"
