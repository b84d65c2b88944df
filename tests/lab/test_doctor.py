"""`kvmnet doctor` on real hosts: nothing changes, it is fast, and it finds what is wrong."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.machines.machine import Machine
from tests.machines.picture import whole

pytestmark = pytest.mark.make_test()

#: Seconds that the command may take on a host with 60 connection profiles; the lab's machines are slow.
LIMIT, LAB_FACTOR = 3.0, 4.0


def doctor(host: Machine, *options: str) -> dict[str, Any]:
    result = host.run(["kvmnet", "doctor", "--json", *options], check=False, timeout=60)
    document: dict[str, Any] = json.loads(result.stdout)
    assert result.code == (0 if document["ready"] else 1), result
    return document


def codes(document: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in document["findings"]]


def test_a_host_is_examined_and_not_changed(host: Machine) -> None:
    before = whole(host)
    document = doctor(host)
    assert document["ready"], document
    assert document["versions"]["nmstate"] and document["versions"]["NetworkManager"]
    assert whole(host) == before
    for finding in document["findings"]:
        assert host.run(["kvmnet", "explain", finding["code"]], check=False).code == 0, finding


def test_what_is_wrong_is_found_with_its_fix(host: Machine) -> None:
    host.run(
        "nmcli connection add type ethernet con-name leftover ifname '*' autoconnect yes ipv4.method disabled"
        " ipv6.method disabled && mkdir -p /etc/nmstate && echo '{}' > /etc/nmstate/old.yml"
    )
    try:
        document = doctor(host)
        rivals = next(finding for finding in document["findings"] if finding["code"] == "KVN602")
        assert "leftover" in rivals["message"] and "KVN606" in codes(document)
        host.run(rivals["fix"])
        assert "KVN602" not in codes(doctor(host))
    finally:
        host.run("nmcli connection delete leftover; rm -f /etc/nmstate/old.yml")


def test_a_stopped_networkmanager_is_an_error(host: Machine) -> None:
    host.run("systemctl stop NetworkManager")
    try:
        document = doctor(host)
        assert not document["ready"] and "KVN504" in codes(document)
    finally:
        host.run("systemctl start NetworkManager && nm-online -s -q -t 60")


def test_sixty_profiles_take_no_longer_than_allowed(host: Machine) -> None:
    host.run(
        "for n in $(seq 60); do nmcli connection add type dummy con-name many$n ifname many$n autoconnect no"
        " ipv4.method disabled ipv6.method disabled; done",
        timeout=300,
    )
    try:
        begin = time.monotonic()
        doctor(host)
        assert time.monotonic() - begin <= LIMIT * LAB_FACTOR
    finally:
        host.run("for n in $(seq 60); do nmcli connection delete many$n; done", timeout=300)
