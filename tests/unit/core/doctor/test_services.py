"""Tests of kvmnet/core/doctor/services.py."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.live.host_facts import Service
from kvmnet.core.live.surroundings import Surroundings
from tests.unit.core.doctor.samples import HEALTHY, RUNNING, codes_with, examine_with


@pytest.mark.parametrize(
    "surroundings, expected",
    [
        ({"cloud_init": "/run/cloud-init/enabled"}, ("warning", "KVN543")),
        ({"networkd": {"eth0": "/etc/systemd/network/a.network"}}, ("warning", "KVN531")),
        ({"ifupdown": {"eth0": "/etc/network/interfaces"}}, ("warning", "KVN531")),
        ({"unmanaged": ("eth1",)}, ("note", "KVN531")),
        ({"cluster": ("corosync",)}, ("warning", "KVN511")),
    ],
)
def test_other_programs(surroundings: dict[str, Any], expected: tuple[str, str]) -> None:
    assert codes_with(surroundings=Surroundings(**surroundings)) == [expected]


@pytest.mark.parametrize(
    "name, service, expected",
    [
        ("nm-cloud-setup", RUNNING, [("warning", "KVN620")]),
        ("nm-cloud-setup.timer", Service(True, False, True), [("warning", "KVN620")]),
        ("network", Service(True, False, True), [("warning", "KVN621")]),
        ("network", Service(True, True, False), []),
        ("NetworkManager-wait-online", Service(True, False, False), [("warning", "KVN622")]),
    ],
)
def test_services(name: str, service: Service, expected: list[tuple[str, str]]) -> None:
    assert codes_with(services={**HEALTHY.services, name: service}) == expected


def test_the_file_of_another_program_is_named() -> None:
    (finding,) = examine_with(surroundings=Surroundings(networkd={"eth0": "/etc/systemd/network/a.network"}))
    assert finding.message == "systemd-networkd configures eth0 (/etc/systemd/network/a.network)"
