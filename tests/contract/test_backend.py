"""What kvmnet relies on in nmstate, tested with the real nmstate: one suite for every backend and version.

`make test` runs it with nmstatectl of the current version, `make contract-versions` also with older ones and the
library.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab import picture
from tests.lab.machine import Machine
from tests.lab.outage import reachable
from tests.lab.seed import HOST_MAC, PROFILE

STATE = {
    "interfaces": [
        {
            "name": "dummy7",
            "type": "dummy",
            "state": "up",
            "ipv4": {"enabled": True, "dhcp": False, "address": [{"ip": "10.77.0.1", "prefix-length": 24}]},
            "ipv6": {"enabled": False},
        }
    ]
}
LOG = "/root/contract.log"
MANAGER = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"


def ask(host: Machine, backend: str, *words: str) -> dict[str, Any]:
    host.put("/root/inside.py", (Path(__file__).parent / "inside.py").read_text())
    said = host.out(["/opt/kvmnet/bin/python", "/root/inside.py", backend, *words], timeout=90)
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    return answer


def apply(host: Machine, backend: str, state: dict[str, Any], seconds: int) -> dict[str, Any]:
    host.put("/root/state.json", json.dumps(state))
    host.run(f"rm -f {LOG}")
    return ask(host, backend, "apply", "/root/state.json", str(seconds), LOG)


def checkpoint_in_log(host: Machine) -> str:
    """Return the checkpoint in the log; the library's own messages may have it again."""
    (path,) = set(host.out(f"sed -n 's/.*Created checkpoint //p' {LOG}").splitlines())
    return path


def rolled_back(host: Machine, checkpoint: str) -> None:
    """Roll back as the rescue program does."""
    host.run(f"busctl call {MANAGER} CheckpointRollback o {checkpoint}")
    host.until("! ip link show dummy7")


def has_its_address(host: Machine) -> None:
    """Wait for the address: without verification nmstate does not wait for it."""
    host.until("ip -br -4 address show dev dummy7 | grep -q ' 10.77.0.1/24 '")


def as_it_was(host: Machine, before: dict[str, Any]) -> None:
    """Wait until everything is as before: firewalld removes a deleted device a moment later."""
    limit = time.monotonic() + 20
    while picture.whole(host) != before and time.monotonic() < limit:
        time.sleep(0.5)
    assert picture.whole(host) == before


def test_version_is_three_numbers(host: Machine, backend: str) -> None:
    version = ask(host, backend, "version")["answer"]
    assert [part.isdigit() for part in version.split(".")] == [True, True, True]


def test_show_has_the_keys_that_plans_compare(host: Machine, backend: str) -> None:
    state = ask(host, backend, "show")["answer"]
    nic = next(i for i in state["interfaces"] if i["name"] == "eth0")
    assert nic["type"] == "ethernet"
    assert nic["accept-all-mac-addresses"] is False
    assert {"ip": "10.1.255.254", "prefix-length": 16} in nic["ipv4"]["address"]
    route = next(r for r in state["routes"]["config"] if r["destination"] == "0.0.0.0/0")
    assert (route["next-hop-address"], route["next-hop-interface"], route["table-id"]) == ("10.1.1.1", "eth0", 254)


#: Keys that plans do not compare, or that change by themselves.
NOT_COMPARED = {
    "lldp",
    "identifier",
    "wait-ip",
    "addr-gen-mode",
    "prefix-route-metric",
    "auto-route-metric",
    "gc-timer",
    "hello-timer",
}


def _without_ignored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_ignored(held) for key, held in value.items() if key not in NOT_COMPARED}
    return [_without_ignored(held) for held in value] if isinstance(value, list) else value


def test_on_a_static_host_the_kernel_and_networkmanager_give_the_same_as_show(host: Machine, backend: str) -> None:
    """With ports, VLANs, an unmanaged device, one that another program configured, and one that is down."""
    before = picture.whole(host)
    off: dict[str, Any] = {"ipv4": {"enabled": False}, "ipv6": {"enabled": False}}
    v6 = [{"ip": "fd00:77::1", "prefix-length": 64}]
    bridge = {
        **{"name": "br7", "type": "linux-bridge", "state": "up"},
        "bridge": {"options": {"stp": {"enabled": False}}, "port": [{"name": "eth0.7"}]},
        "ipv4": {"enabled": True, "dhcp": False, "address": [{"ip": "10.77.0.1", "prefix-length": 24}]},
        "ipv6": {"enabled": True, "dhcp": False, "autoconf": False, "address": v6},
    }
    vlan = {"name": "eth0.7", "type": "vlan", "state": "up", "vlan": {"base-iface": "eth0", "id": 7}, **off}
    routes = [{"destination": "10.78.0.0/16", "next-hop-address": "10.77.0.2", "next-hop-interface": "br7"}]
    assert "error" not in apply(host, backend, {"interfaces": [bridge, vlan], "routes": {"config": routes}}, 120)
    host.run("ip link add virbr9 type bridge && ip address add 192.168.9.1/24 dev virbr9 && ip link set virbr9 up")
    host.run("ip link add unmanaged9 type dummy && nmcli device set unmanaged9 managed no && ip link set unmanaged9 up")
    host.run("ip link add down9 type dummy && nmcli device set down9 managed yes")
    host.until("nmcli -t -f DEVICE,STATE device | grep -q 'virbr9:connected (externally)'")
    host.until("nmcli -t -f DEVICE,STATE device | grep -q 'down9:disconnected'")
    host.until("ip -br -6 address show dev br7 | grep -q fd00:77::1/64 && ! ip -6 address show | grep -q tentative")
    shown, kernel = (_without_ignored(ask(host, backend, verb)["answer"]) for verb in ("show", "kernel"))
    states = {i["name"]: i["state"] for i in shown["interfaces"]}
    assert [states[name] for name in ("br7", "eth0.7", "virbr9", "unmanaged9", "down9")] == ["up"] * 3 + [
        "ignore",
        "down",
    ]
    ignored = {"lo", "eth0"}  # eth0 uses router advertisements
    by_name = [{i["name"]: i for i in one["interfaces"] if i["name"] not in ignored} for one in (shown, kernel)]
    assert by_name[1] == by_name[0]
    assert (kernel["routes"], kernel.get("hostname")) == (shown["routes"], shown.get("hostname"))
    host.run(
        "ip link delete virbr9; ip link delete unmanaged9; ip link delete down9; nmcli connection delete down9",
        check=False,
    )
    host.run(f"busctl call {MANAGER} CheckpointRollback o {checkpoint_in_log(host)}")
    host.until("! ip link show br7")
    as_it_was(host, before)


def test_an_uncommitted_apply_logs_its_checkpoint_and_writes_no_file(host: Machine, backend: str) -> None:
    before = picture.whole(host)
    assert "error" not in apply(host, backend, STATE, 60)
    checkpoint = checkpoint_in_log(host)
    assert checkpoint in picture.checkpoints(host)
    has_its_address(host)
    after = picture.whole(host)
    etc = {path: v for path, v in after["files"].items() if path.startswith("/etc/")}
    assert etc == {path: v for path, v in before["files"].items() if path.startswith("/etc/")}
    rolled_back(host, checkpoint)
    as_it_was(host, before)


def test_an_uncommitted_apply_is_rolled_back_after_its_timeout(host: Machine, backend: str) -> None:
    before = picture.whole(host)
    apply(host, backend, STATE, 12)
    has_its_address(host)
    host.until("! ip link show dummy7", timeout=30)
    as_it_was(host, before)


def test_an_invalid_state_is_an_error_with_a_reason(host: Machine, backend: str) -> None:
    before = picture.whole(host)
    answer = apply(host, backend, {"interfaces": [{**STATE["interfaces"][0], "colour": "red"}]}, 30)
    assert "colour" in answer["error"], answer
    as_it_was(host, before)


@pytest.mark.long
def test_an_apply_without_verification_does_not_report_a_different_result(host: Machine, backend: str) -> None:
    """The kernel refuses a VLAN with a larger MTU than its base interface, and NetworkManager continues without it.
    kvmnet finds this when it reads the state back."""
    before = picture.whole(host)
    vlan = {"base-iface": "eth0", "id": 7}
    state = {"interfaces": [{"name": "eth0.7", "type": "vlan", "state": "up", "mtu": 1600, "vlan": vlan}]}
    answer = apply(host, backend, state, 40)
    assert "error" not in answer, answer
    host.until("ip link show eth0.7")
    assert picture.link(host, "eth0.7")["mtu"] == 1500
    host.run(f"busctl call {MANAGER} CheckpointRollback o {checkpoint_in_log(host)}")
    host.until("! ip link show eth0.7")
    as_it_was(host, before)


@pytest.mark.long
def test_a_committed_trial_is_kept_in_memory_only(host: Machine, backend: str) -> None:
    before = picture.whole(host)
    assert "error" not in apply(host, backend, STATE, 12)
    assert "error" not in ask(host, backend, "commit", checkpoint_in_log(host))
    host.run("sleep 15")
    has_its_address(host)
    after = picture.whole(host)
    assert (after["checkpoints"].strip(), after["files"].keys() - before["files"].keys()) == (
        "ao 0",
        {path for path in after["files"] if path.startswith("/run/") and "dummy7" in path},
    )
    host.run("nmcli --wait 30 connection delete dummy7")
    host.until("! ip link show dummy7")
    as_it_was(host, before)


@pytest.mark.long
def test_the_dhcp_and_slaac_identity_is_in_the_profile(host: Machine, backend: str) -> None:
    """With these keys a bridge has the identity of the NIC that it replaces."""
    before = picture.whole(host)
    client, duid = "ff:00:00:00:07:00:04:11:22:33:44", "00:04:11:22:33:44:55:66"
    v6 = {"dhcp": True, "autoconf": True, "dhcp-duid": duid, "addr-gen-mode": "eui64", "token": "::a:b:c:d"}
    bridge = {
        **{"name": "br7", "type": "linux-bridge", "state": "up", "bridge": {"port": [{"name": "dummy7"}]}},
        "ipv4": {"enabled": True, "dhcp": True, "dhcp-client-id": client},
        "ipv6": {"enabled": True, **v6},
    }
    port = {**STATE["interfaces"][0], "ipv4": {"enabled": False}}
    assert "error" not in apply(host, backend, {"interfaces": [bridge, port]}, 120)
    keys = "ipv4.dhcp-client-id,ipv6.dhcp-duid,ipv6.token"
    assert host.out(f"nmcli -e no -g {keys} connection show br7").split() == [client, duid, "::a:b:c:d"]
    rolled_back(host, checkpoint_in_log(host))
    host.until("! ip link show br7")
    as_it_was(host, before)


@pytest.mark.long
def test_a_nic_that_is_not_renamed_and_has_a_profile_bound_by_mac(
    host: Machine, peer: Machine, definition: str, backend: str
) -> None:
    """An older nmstate finds the profile only by the NIC's name, which the profile has in memory until the rollback."""
    profile = host.get(PROFILE)
    by_mac = f"[ethernet]\nmac-address={HOST_MAC.upper()}\n".encode()
    by_mac = profile.replace(b"interface-name=eth0\n", b"").replace(b"[ethernet]\n", by_mac)
    host.put(PROFILE, by_mac, mode=0o600)
    host.run("nmcli connection reload && nmcli --wait 30 connection up eth0", timeout=60)
    before = picture.whole(host)
    host.put("/root/bad.yaml", definition.replace("profile: rocks", "profile: plain").replace("10.1.", "10.2."))
    result = host.run("kvmnet apply --yes /root/bad.yaml", check=False, timeout=240)
    assert (result.code, "no reply from" in result.stdout) == (3, True), result
    as_it_was(host, before)
    assert reachable(peer)
    host.put(PROFILE, profile, mode=0o600)
    host.run("nmcli connection reload && nmcli --wait 30 connection up eth0", timeout=60)


@pytest.mark.guarantee("G01")
@pytest.mark.long
def test_a_change_that_fails_one_that_is_kept_and_its_removal(
    host: Machine, peer: Machine, definition: str, backend: str
) -> None:
    """A change with a mistake is rolled back, the right one is kept, and `kvmnet remove` restores the host."""
    before = picture.whole(host)
    host.put("/root/cluster.yaml", definition)
    host.put("/root/bad.yaml", definition.replace("10.1.", "10.2."))
    result = host.run("kvmnet apply --yes /root/bad.yaml", check=False, timeout=240)
    assert (result.code, "no reply from" in result.stdout) == (3, True), result
    as_it_was(host, before)
    result = host.run("kvmnet apply --yes /root/cluster.yaml", check=False, timeout=240)
    assert result.code == 0, result
    transaction = json.loads(host.out("cat $(ls -d /var/lib/kvmnet/history/* | tail -n 1)/transaction.json"))
    assert transaction["backend"] == backend
    assert picture.link(host, "peth0")["master"] == "eth0"
    assert sorted(host.out("nmcli -g NAME connection").split()) == ["eth0", "lo", "peth0"], (
        "each interface has one profile"
    )
    assert reachable(peer)
    assert host.run("kvmnet apply /root/cluster.yaml", timeout=120).stdout.endswith("as defined\n")
    result = host.run("kvmnet remove --yes", check=False, timeout=240)
    assert result.code == 0, result
    assert reachable(peer)
    after = picture.whole(host)
    assert [after[part] for part in ("links", "settings")] == [before[part] for part in ("links", "settings")]
