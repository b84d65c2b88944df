"""When the kernel alone tells the live state, and what it is with NetworkManager's part."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.nmstate import State
from kvmnet.core.live.kernel_only import Managed, all_static, asks_only_the_kernel, lasting, with_manager
from kvmnet.pipeline import load

STATIC = Managed(100, ("manual", "disabled"))
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
def test_what_only_networkmanager_knows_it_is_asked_for(state: State, enough: bool) -> None:
    assert asks_only_the_kernel(state) is enough


@pytest.mark.parametrize(
    ("held", "static"),
    [
        (STATIC, True),
        (Managed(100, ("", "")), True),
        (Managed(10), True),
        (Managed(100, ("auto", "disabled")), False),
        (Managed(100, ("manual", "auto")), False),
        (Managed(100, ("disabled", "link-local")), False),
        (Managed(100, ("manual", "ignore")), False),
        (Managed(100, ("auto", "auto"), external=True), True),
    ],
)
def test_one_device_that_gets_something_from_others_is_enough(held: Managed, static: bool) -> None:
    devices = {"lo": Managed(100, ("manual", "manual"), external=True), "eth0": STATIC, "eth1": held}
    assert all_static(devices) is static


def test_an_address_that_ends_came_from_others() -> None:
    assert lasting(KERNEL)
    leased = copy.deepcopy(KERNEL)
    leased["interfaces"][1]["ipv4"]["address"][0]["valid-life-time"] = "86000sec"
    assert not lasting(leased)


@pytest.mark.parametrize(("number", "word"), [(10, "ignore"), (20, "down"), (30, "down"), (70, "up"), (100, "up")])
def test_whose_a_device_is_networkmanager_says(number: int, word: str) -> None:
    found = with_manager(KERNEL, {"lo": Managed(10), "eth0": Managed(number)})
    assert [i["state"] for i in found["interfaces"]] == ["up", word]


def test_static_is_said_of_what_has_a_method() -> None:
    found = with_manager(KERNEL, {"eth0": Managed(100, ("manual", "manual"))})["interfaces"][1]
    assert (found["ipv4"]["dhcp"], found["ipv6"]["dhcp"], found["ipv6"]["autoconf"]) == (False, False, False)
    assert found["ipv4"]["address"] == KERNEL["interfaces"][1]["ipv4"]["address"]
    watched = with_manager(KERNEL, {"eth0": Managed(100, ("manual", "manual"), external=True)})["interfaces"][1]
    assert watched == KERNEL["interfaces"][1]
    port = with_manager(KERNEL, {"eth0": Managed(100, ("", ""))})["interfaces"][1]
    assert port == KERNEL["interfaces"][1]


@pytest.mark.parametrize("example", sorted(path.name for path in Path("examples").iterdir() if path.is_dir()))
def test_of_each_example_it_is_known(example: str) -> None:
    """That of Rocks, static as it is, is of the quick ones."""
    states = [bundle.state for bundle in load(f"examples/{example}").bundles()]
    assert example != "rocks" or all(asks_only_the_kernel(state) for state in states)
    for state in states:
        text = str(state)
        quiet = "'dhcp': True" not in text and "'autoconf': True" not in text and "dns-resolver" not in text
        assert asks_only_the_kernel(state) is quiet, state
