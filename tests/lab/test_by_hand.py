"""The same change with ordinary commands works, persists and can be reverted: kvmnet is compared with it."""

from __future__ import annotations

import json

import pytest

from tests.machines.machine import Machine
from tests.machines.outage import by_hand, connections, lost_during, reachable
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PROFILE

pytestmark = pytest.mark.make_test()


def check_picture(host: Machine) -> None:
    bridge, nic = (json.loads(host.out(f"ip -json -details address show {name}"))[0] for name in ("eth0", "peth0"))
    assert bridge["linkinfo"]["info_kind"] == "bridge"
    assert bridge["linkinfo"]["info_data"]["stp_state"] == 0
    assert bridge["address"] == nic["address"] == HOST_MAC
    assert HOST_ADDRESS in [entry.get("local") for entry in bridge["addr_info"]]
    assert (nic["master"], nic["promiscuity"], "PROMISC" in nic["flags"]) == ("eth0", 2, True)
    assert "default via 10.1.1.1 dev eth0" in host.out("ip route")


def test_by_hand(host: Machine, peer: Machine, generation: str) -> None:
    before = host.get(PROFILE), host.out("ip -o link | cut -d: -f2"), host.out("ip link | grep altname || :")
    with connections(peer) as tried:
        lost, _ = lost_during(peer, lambda: by_hand(host, "do"))
    print(f"{generation}: {lost} pings lost by hand")
    assert lost <= 20
    assert tried.attempts[-1]["ok"]
    check_picture(host)

    host.power_cut()
    host.boot()
    host.run("nm-online -s -q -t 60")
    check_picture(host)
    assert reachable(peer)

    by_hand(host, "undo")
    after = host.get(PROFILE), host.out("ip -o link | cut -d: -f2"), host.out("ip link | grep altname || :")
    assert after == before
    assert host.out("ls /etc/NetworkManager/system-connections") == "eth0.nmconnection"
    assert reachable(peer)
