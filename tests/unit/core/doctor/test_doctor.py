"""Tests of kvmnet/core/doctor/__init__.py: the registry of examinations."""

from __future__ import annotations

from kvmnet.core import catalogue
from kvmnet.core.doctor import SEVERITIES, examine
from kvmnet.core.live.host_facts import HostFacts
from tests.unit.core.doctor.samples import codes_with


def test_a_healthy_host_has_no_finding() -> None:
    assert codes_with() == []


def test_errors_come_first_and_every_code_is_explained() -> None:
    known = {entry.code for entry in catalogue.all_codes()}
    findings = examine(HostFacts(is_root=False, open_transaction=True, selinux=True, has_kvm=False))
    severities = [SEVERITIES.index(finding.severity) for finding in findings]
    assert severities == sorted(severities) and len(findings) > 5
    assert {finding.code for finding in findings} <= known


def test_only_the_doctor_has_its_codes() -> None:
    codes = [entry.code for entry in catalogue.doctor_codes()]
    assert len(codes) > 10 and all(code.startswith("KVN6") for code in codes)
    assert not set(codes) & {entry.code for entry in catalogue.definition_codes()}
