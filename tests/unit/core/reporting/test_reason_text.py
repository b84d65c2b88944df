"""Likely reasons in words."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.effects import likely_reasons
from kvmnet.core.effects.likely_reasons import LikelyReason
from kvmnet.core.reporting.reason_text import explains_alone, reason_text, reasons_to_json


@pytest.mark.parametrize(
    ("kind", "subject", "values", "text"),
    [
        (
            likely_reasons.UNMANAGED,
            "br-eth0",
            {"entry": "unmanaged-devices=br-* in conf.d/10-docker.conf", "fix": "exclude br-eth0 there"},
            (
                "NetworkManager is configured to leave br-eth0 unmanaged (unmanaged-devices=br-* in "
                "conf.d/10-docker.conf): exclude br-eth0 there"
            ),
        ),
        (
            likely_reasons.UNMANAGED,
            "br0",
            {"entry": "", "fix": ""},
            (
                "NetworkManager does not manage br0: `nmcli -f GENERAL.STATE,GENERAL.REASON device show br0` shows the "
                "reason"
            ),
        ),
        (
            likely_reasons.DUPLICATE_ADDRESS,
            "10.1.255.254",
            {"interfaces": ["br0", "br1"]},
            "br0 and br1 both have the address 10.1.255.254: replies arrive at only one of them",
        ),
        (
            likely_reasons.DUPLICATE_ADDRESS,
            "10.1.255.254",
            {"interfaces": ["br0", "br1", "br2"]},
            "br0, br1 and br2 all have the address 10.1.255.254: replies arrive at only one of them",
        ),
        (likely_reasons.NO_CARRIER, "eth0", {}, "eth0 has no carrier: check the cable and the switch port"),
        (
            likely_reasons.SILENT_LACP,
            "bond0",
            {},
            "the switch does not answer LACP on the ports of bond0: check that its ports are a link aggregation group",
        ),
        (likely_reasons.NO_ROUTE, "10.9.9.9", {}, "this host had no route to 10.9.9.9 then"),
        (
            likely_reasons.NO_NEIGHBOUR,
            "10.9.9.9",
            {"neighbour": "10.1.1.1", "interface": "br0"},
            (
                "10.1.1.1, the gateway to 10.9.9.9, did not answer ARP or neighbour discovery on br0: check the cable, "
                "the VLAN and the switch port"
            ),
        ),
        (
            likely_reasons.FIREWALL_RULE,
            "eth0",
            {"what": "iptables rule", "rule": "-i eth0 --dport 22 -j ACCEPT", "event": "becomes a port of br-eth0"},
            "the iptables rule `-i eth0 --dport 22 -j ACCEPT` names eth0, which becomes a port of br-eth0",
        ),
    ],
)
def test_each_reason_has_a_text(kind: str, subject: str, values: dict[str, Any], text: str) -> None:
    reason = LikelyReason(kind, subject, values)
    assert reason_text(reason) == text
    assert reasons_to_json([reason]) == [{"kind": kind, "subject": subject, "values": values, "text": text}]


def test_a_reason_of_a_later_version_is_left_out() -> None:
    assert reasons_to_json([LikelyReason("of a later version", "eth0")]) == []


def test_only_an_unmanaged_device_explains_nmstates_message_completely() -> None:
    assert explains_alone(LikelyReason(likely_reasons.UNMANAGED, "br0"))
    assert not explains_alone(LikelyReason(likely_reasons.NO_CARRIER, "br0"))
