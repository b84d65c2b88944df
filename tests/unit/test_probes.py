"""Whom to ask after the change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvmnet.core.base.probe import Probe
from kvmnet.core.effects.probe_choice import Probes, choose_probes
from kvmnet.core.reporting.report import list_probes


def state(gateway: str = "", address: str = "10.1.0.5", prefix: int = 16, name: str = "eth0") -> dict[str, Any]:
    family = "ipv6" if ":" in address else "ipv4"
    to = "::/0" if ":" in gateway else "0.0.0.0/0"
    route = {"destination": to, "next-hop-address": gateway, "next-hop-interface": name}
    return {
        "interfaces": [{"name": name, family: {"address": [{"ip": address, "prefix-length": prefix}]}}],
        "routes": {"config": [route] if gateway else []},
    }


def ask(desired: dict[str, Any], live: dict[str, Any], answering: set[str], **more: Any) -> Probes:
    def asked(probes: Sequence[Probe]) -> list[Probe]:
        assert len(set(probes)) == len(probes), "a target is probed twice"
        return [probe for probe in probes if probe.text in answering]

    return choose_probes(desired, live, asked, **more)


def gateway(address: str) -> Probe:
    return Probe("gateway", address)


def test_what_is_told() -> None:
    found = ask(state("10.1.1.1"), state("10.1.1.1"), {"tcp 10.1.0.9:22"}, own=[Probe("tcp", "10.1.0.9:22")])
    assert list_probes(found) == [
        "targets that must reply after the change: tcp 10.1.0.9:22",
        "note: the gateway 10.1.1.1 does not reply now, so it will not be probed after the change",
    ]
    assert list_probes(Probes()) == ["note: no target replies now, so none will be probed after the change"]
    assert "run as root" in list_probes(Probes(asked=False))[0]
