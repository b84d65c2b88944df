"""What the kernel must show after a state was applied."""

from __future__ import annotations

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
    assert make_expectations(state, ["10.1.1.200"]) == [{"name": "br5", "absent": True, "virtual": ["10.1.1.200"]}]
    assert make_expectations(state) == [{"name": "br5", "absent": True}], "as before on other hosts"
