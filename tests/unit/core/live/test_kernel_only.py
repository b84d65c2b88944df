"""When the kernel's part of the live state is enough."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.nmstate import State
from kvmnet.core.live.kernel_only import (
    ManagedDevice,
    add_networkmanager,
    has_no_lifetimes,
    is_all_static,
    needs_only_kernel,
)
from kvmnet.pipeline import load

STATIC = ManagedDevice(100, ("manual", "disabled"))


KERNEL: State = {
    "interfaces": [
        {"name": "lo", "type": "loopback", "state": "up", "ipv4": {"enabled": True, "address": []}},
        {
            "name": "eth0",
            "type": "ethernet",
            "state": "up",
            "ipv4": {"enabled": True, "address": [{"ip": "10.1.1.1", "prefix-length": 16}]},
            "ipv6": {"enabled": True, "address": [{"ip": "fd00::1", "prefix-length": 64}]},
        },
    ]
}


def wanted(**said: Any) -> State:
    return {"interfaces": [{"name": "eth0", "type": "ethernet", "state": "up", **said}]}


@pytest.mark.parametrize(
    ("state", "enough"),
    [
        (wanted(ipv4={"enabled": True, "dhcp": False, "address": []}, ipv6={"enabled": False}), True),
        (wanted(ipv6={"enabled": True, "dhcp": False, "autoconf": False, "address": []}, mtu=9000), True),
        (wanted(ipv4={"enabled": True, "dhcp": True}), False),
        (wanted(ipv6={"enabled": True, "dhcp": False, "autoconf": True}), False),
        (wanted(ipv4={"enabled": True, "dhcp": False, "auto-dns": False}), False),
        ({**wanted(), "dns-resolver": {"config": {"server": []}}}, False),
        (wanted(**{"link-aggregation": {"mode": "balance-xor", "options": {"balance_slb": True}}}), False),
        (wanted(**{"link-aggregation": {"mode": "active-backup", "options": {"miimon": 100}}}), True),
    ],
)
def test_the_kernel_is_enough_only_for_static_settings(state: State, enough: bool) -> None:
    assert needs_only_kernel(state) is enough


@pytest.mark.parametrize(
    ("held", "static"),
    [
        (STATIC, True),
        (ManagedDevice(100, ("", "")), True),
        (ManagedDevice(10), True),
        (ManagedDevice(100, ("auto", "disabled")), False),
        (ManagedDevice(100, ("manual", "auto")), False),
        (ManagedDevice(100, ("disabled", "link-local")), False),
        (ManagedDevice(100, ("manual", "ignore")), False),
        (ManagedDevice(100, ("auto", "auto"), external=True), True),
    ],
)
def test_one_device_with_dynamic_settings_is_enough_to_read_networkmanager(held: ManagedDevice, static: bool) -> None:
    devices = {"lo": ManagedDevice(100, ("manual", "manual"), external=True), "eth0": STATIC, "eth1": held}
    assert is_all_static(devices) is static


def test_an_address_with_a_lifetime_is_dynamic() -> None:
    assert has_no_lifetimes(KERNEL)
    leased = copy.deepcopy(KERNEL)
    leased["interfaces"][1]["ipv4"]["address"][0]["valid-life-time"] = "86000sec"
    assert not has_no_lifetimes(leased)


@pytest.mark.parametrize(("number", "word"), [(10, "ignore"), (20, "down"), (30, "down"), (70, "up"), (100, "up")])
def test_the_state_of_a_device_is_networkmanagers(number: int, word: str) -> None:
    found = add_networkmanager(KERNEL, {"lo": ManagedDevice(10), "eth0": ManagedDevice(number)})
    assert [i["state"] for i in found["interfaces"]] == ["up", word]


def test_a_device_with_a_method_is_marked_as_static() -> None:
    found = add_networkmanager(KERNEL, {"eth0": ManagedDevice(100, ("manual", "manual"))})["interfaces"][1]
    assert (found["ipv4"]["dhcp"], found["ipv6"]["dhcp"], found["ipv6"]["autoconf"]) == (False, False, False)
    assert found["ipv4"]["address"] == KERNEL["interfaces"][1]["ipv4"]["address"]
    watched = add_networkmanager(KERNEL, {"eth0": ManagedDevice(100, ("manual", "manual"), external=True)})[
        "interfaces"
    ][1]
    assert watched == KERNEL["interfaces"][1]
    port = add_networkmanager(KERNEL, {"eth0": ManagedDevice(100, ("", ""))})["interfaces"][1]
    assert port == KERNEL["interfaces"][1]


@pytest.mark.parametrize("example", sorted(path.parent.name for path in Path("examples").glob("*/cluster.yaml")))
def test_the_examples_need_networkmanager_exactly_when_they_are_dynamic(example: str) -> None:
    """The example of Rocks is static."""
    states = [bundle.state for bundle in load(f"examples/{example}").bundles()]
    assert example != "rocks" or all(needs_only_kernel(state) for state in states)
    for state in states:
        text = str(state)
        quiet = "'dhcp': True" not in text and "'autoconf': True" not in text and "dns-resolver" not in text
        assert needs_only_kernel(state) is quiet, state
