"""Tests of kvmnet/core/doctor/surroundings.py."""

from __future__ import annotations

import pytest

from kvmnet.core.live.host_facts import Service
from tests.unit.core.doctor.samples import HEALTHY, codes_with, examine_with


def test_name_servers() -> None:
    (finding,) = examine_with(silent_servers=("10.1.1.53",))
    assert (finding.severity, finding.message) == ("warning", "name server 10.1.1.53 does not reply")
    assert codes_with(name_servers=()) == [("note", "KVN641")]


@pytest.mark.parametrize(
    "service, fix",
    [
        (Service(True, True, True), "chronyc sources"),
        (Service(True, False, False), "systemctl enable --now chronyd"),
        (Service(), "systemctl enable --now chronyd"),
    ],
)
def test_a_clock_that_is_not_synchronized(service: Service, fix: str) -> None:
    services = {**HEALTHY.services, "chronyd": service}
    (finding,) = examine_with(is_time_synchronized=False, services=services)
    assert (finding.code, finding.fix) == ("KVN642", fix)
    assert codes_with(is_time_synchronized=None) == codes_with(is_time_synchronized=True) == []
