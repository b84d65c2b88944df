"""What the kernel must show after a state was applied."""

from __future__ import annotations

from typing import Any

from kvmnet.core.planning.expected_readback import make_expectations
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import MAC


def test_controllers_flags_addresses_and_routes_are_expected(bundle: Bundle) -> None:
    assert make_expectations(bundle.state) == [
        {
            "name": "peth0",
            "master": "eth0",
            "promiscuous": True,
            "addresses": [],
            "without": [4, 6],
            "routes": [],
        },
        {
            "name": "eth0",
            "kind": "bridge",
            "stp": 0,
            "address": MAC,
            "addresses": ["10.1.255.254/16"],
            "without": [6],
            "routes": [{"to": "0.0.0.0/0", "via": "10.1.1.1"}],
        },
    ]


def test_virtual_addresses_are_named_for_each_interface() -> None:
    state = {"interfaces": [{"name": "br5", "type": "linux-bridge", "state": "absent"}]}
    assert make_expectations(state, None, ["10.1.1.200"]) == [
        {"name": "br5", "absent": True, "virtual": ["10.1.1.200"]}
    ]
    assert make_expectations(state) == [{"name": "br5", "absent": True}], "as before on other hosts"


def test_the_options_of_a_bridge_are_expected_as_iproute2_shows_them() -> None:
    options: dict[str, Any] = {
        "stp": {"enabled": False, "priority": 4096},
        "mac-ageing-time": 120,
        "group-forward-mask": 16384,
        "multicast-snooping": False,
    }
    bridge = {"name": "br0", "type": "linux-bridge", "state": "up", "bridge": {"options": options, "port": []}}
    (expected,) = make_expectations({"interfaces": [bridge]})
    wanted = {"stp": 0, "priority": 4096, "ageing_time": 12000, "group_fwd_mask": "0x4000", "mcast_snooping": 0}
    assert {key: expected.get(key) for key in wanted} == wanted
    options["stp"]["enabled"] = True
    assert "ageing_time" not in make_expectations({"interfaces": [bridge]})[0], "the kernel changes it"
    options["group-forward-mask"] = 0
    assert make_expectations({"interfaces": [bridge]})[0]["group_fwd_mask"] == "0"
