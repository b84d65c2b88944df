"""Tests of kvmnet/core/doctor/guests.py."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.live.host_facts import Service
from tests.unit.core.doctor.samples import HEALTHY, codes_with, examine_with

STOPPED = {**HEALTHY.services, "virtqemud.socket": Service(True, False, True)}


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({"has_kvm": False}, [("note", "KVN630")]),
        ({"libvirt": ""}, [("note", "KVN631")]),
        ({"libvirt": "9.0.0"}, [("note", "KVN631")]),
        ({"services": STOPPED}, [("warning", "KVN631")]),
        ({"selinux": True, "booleans": {"virt_hooks_unconfined": False}}, [("note", "KVN632")]),
        ({"selinux": True, "booleans": {"virt_hooks_unconfined": False}, "has_hook": True}, [("warning", "KVN632")]),
        ({"selinux": True, "booleans": {"virt_hooks_unconfined": True}}, []),
        ({"selinux": False, "booleans": {"virt_hooks_unconfined": False}}, []),
        ({"bridge_filters": ("net.bridge.bridge-nf-call-iptables",)}, [("warning", "KVN633")]),
    ],
)
def test_what_guests_need(facts: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert codes_with(**facts) == expected


def test_the_unit_that_is_installed_is_to_be_started() -> None:
    assert [f.fix for f in examine_with(services=STOPPED)] == ["systemctl enable --now virtqemud.socket"]


def test_the_setting_of_the_kernel_is_in_the_fix() -> None:
    (finding,) = examine_with(bridge_filters=("net.bridge.bridge-nf-call-iptables",))
    assert finding.fix == "sysctl -w net.bridge.bridge-nf-call-iptables=0"
