"""`kvmnet remote` from a control machine, over real ssh, whose connections ssh_config shares.

A change is planned, rolled back when no new connection reaches the host, kept and confirmed, found to be done, and
followed to the new address of the host.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab.transactions import last
from tests.machines import layers, picture
from tests.machines.machine import Machine, Nic, Result
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_MAC, seed_host, seed_peer
from tests.machines.ssh import way_in
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

NEW_ADDRESS = "10.1.255.200"
DEFINITION = f"""\
kvmnet: 1
cluster: fleet
profile: rocks
networks: {{private: {{subnets: [SUBNET], gateway: GATEWAY}}}}
hosts:
  hv1: {{kvm: true, interfaces: {{eth0: {{network: private, mac: "{HOST_MAC}", addresses: [ADDRESS]}}}}}}
"""
SSH_CONFIG = f"""\
Host hv1
  HostName {HOST_ADDRESS}
  StrictHostKeyChecking accept-new
  ControlMaster auto
  ControlPath /run/shared-%C
  ControlPersist 600
"""


def definition(address: str, subnet: str = "10.1.0.0/16", gateway: str = "10.1.1.1") -> str:
    return DEFINITION.replace("SUBNET", subnet).replace("GATEWAY", gateway).replace("ADDRESS", address)


@pytest.fixture(scope="module")
def machines(lab: None, generation: str) -> Iterator[tuple[Machine, Machine]]:
    """The host, and the control machine, which is its gateway too."""
    with Wire() as wire:
        host = Machine(generation, "host", [Nic(HOST_MAC, wire)], layers=layers.all_of(generation))
        control = Machine(generation, "peer", [Nic(PEER_MAC, wire)], disk=False, layers=layers.all_of(generation))
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(Machine.boot, (host, control)))
            seed_host(host, sshd=True)
            seed_peer(control)
            way_in(host, control)
            control.put("/root/.ssh/config", SSH_CONFIG, mode=0o600)
            yield host, control
        finally:
            host.close()
            control.close()


def remote(control: Machine, text: str, *words: str) -> Result:
    control.put("/root/cluster.yaml", text)
    return control.run(["kvmnet", "remote", "hv1", "/root/cluster.yaml", *words], check=False, timeout=500)


def test_a_change_over_ssh(machines: tuple[Machine, Machine]) -> None:
    host, control = machines
    before: dict[str, Any] = picture.whole(host)
    control.run("ssh hv1 true", timeout=60)  # from now on there is an old connection that ssh shares

    result = remote(control, definition(HOST_ADDRESS), "plan", "--exit-code")
    assert result.code == 6, result
    assert picture.whole(host) == before

    unreachable = definition("10.9.255.254", "10.9.0.0/16", "10.9.1.1")
    result = remote(control, unreachable, "apply", "--yes", "--confirm-within", "15")
    assert result.code == 3, result
    assert picture.whole(host) == before
    assert "confirmation" in str(last(host)["why"])

    control.run("ssh -O exit hv1; ssh hv1 true", timeout=60)
    result = remote(control, definition(HOST_ADDRESS), "apply", "--yes")
    assert result.code == 0 and "confirming over a new connection" in result.stdout, result
    assert picture.link(host, "eth0")["linkinfo"]["info_kind"] == "bridge"
    assert last(host)["outcome"] == "kept"

    result = remote(control, definition(HOST_ADDRESS), "apply", "--yes")
    assert result.code == 0 and "nothing to do" in result.stdout, result

    result = remote(control, definition(NEW_ADDRESS), "apply", "--yes", "--json")
    assert result.code == 0, result
    end = json.loads(result.stdout.splitlines()[-1])
    assert (end["address"], end["transaction"]) == (NEW_ADDRESS, last(host)["id"])
    held = {name: found for name, found in picture.all_addresses(host).items() if found}
    assert held == {"eth0": [f"{NEW_ADDRESS}/16"]}
