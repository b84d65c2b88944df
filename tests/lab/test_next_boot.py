"""The next boot is part of every verification: refused before, verified after saving, and compared by every plan.

The host has a second NIC, which is not in the definition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.faults import injection
from tests.lab.transactions import apply, last, online
from tests.machines import picture
from tests.machines.machine import Machine, Nic
from tests.machines.outage import reachable
from tests.machines.seed import HOST_MAC, PEER_MAC, PROFILE, keyfile, seed_host, two_machines
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test("trixie")

SECOND_MAC = "00:14:4f:80:de:01"
FOLDER = "/etc/NetworkManager/system-connections"
ETH1 = keyfile("eth1", "192.0.2.7", prefix=24, gateway=None, uuid="5f8e1a0c-3f6e-4a53-9d1b-2f0c6a8f7e11")
UUID = "11111111-2222-4333-8444-555555555555"
#: A profile for any NIC, of a higher priority than all others.
RIVAL = f"""[connection]
id=office
uuid={UUID}
type=ethernet
autoconnect-priority=50
multi-connect=3

[ipv4]
method=disabled

[ipv6]
method=disabled
"""


@pytest.fixture(scope="module")
def pair(lab: None, generation: str, wire: Wire) -> Iterator[tuple[Machine, Machine]]:
    """The example host with a second NIC, which the definition does not contain, and its gateway."""
    with Wire() as other:
        nics = [Nic(HOST_MAC, wire), Nic(SECOND_MAC, other)]
        with two_machines(generation, nics, [Nic(PEER_MAC, wire)]) as (host, peer):
            host.put(f"{FOLDER}/eth1.nmconnection", ETH1, mode=0o600)
            seed_host(host, zone="trusted", default_zone="drop")
            host.run("nmcli --wait 30 connection up eth1")
            yield host, peer


@pytest.fixture(scope="module")
def host(pair: tuple[Machine, Machine], definition: str) -> Machine:
    pair[0].put("/root/cluster.yaml", definition)
    return pair[0]


@pytest.fixture(scope="module")
def peer(pair: tuple[Machine, Machine]) -> Machine:
    return pair[1]


def other_nic(host: Machine) -> str:
    """Return what the NIC that is not in the definition has: the profile and its addresses."""
    profile = host.out("nmcli -g GENERAL.CONNECTION device show eth1").strip()
    return f"{profile} {picture.all_addresses(host).get('eth1', [])}"


def step_number(host: Machine, title: str) -> int:
    """Return the number of the first step of the planned change whose title contains this text."""
    steps = json.loads(host.out("kvmnet plan --json /root/cluster.yaml"))["steps"]
    return next(number for number, step in enumerate(steps) if title in step)


def restore_profiles(host: Machine) -> None:
    """Write the profiles from before again."""
    host.put(PROFILE, keyfile(zone="trusted"), mode=0o600)
    host.put(f"{FOLDER}/eth1.nmconnection", ETH1, mode=0o600)
    host.run("nmcli connection reload; for nic in eth0 eth1; do nmcli --wait 30 connection up $nic; done")


def test_what_the_next_boot_takes_away_anyway_is_a_note(host: Machine) -> None:
    host.run(f"sed -i 's/^uuid=/autoconnect=false\\nuuid=/' {FOLDER}/eth1.nmconnection; nmcli connection reload")
    try:
        text = host.out("kvmnet plan /root/cluster.yaml")
        assert "eth1 has the connection profile eth1 now, but gets no connection profile at the next boot" in text
    finally:
        restore_profiles(host)


@pytest.mark.guarantee("G80", "G81")
def test_a_file_that_another_program_writes_while_the_change_is_saved(host: Machine, peer: Machine) -> None:
    """NetworkManager does not know the file yet, but the next boot does. The change is rolled back wholly."""
    before = picture.without_metrics(picture.whole(host))
    rival = RIVAL.replace("multi-connect=3", "interface-name=eth1")
    injection.pause(host, step_number(host, "commit the trial"), event="done")
    job = host.start(["kvmnet", "apply", "--yes", "/root/cluster.yaml"])
    injection.wait_paused(host, job)
    host.put(f"{FOLDER}/office.nmconnection", rival, mode=0o600)
    injection.go_on(host)
    result = job.wait(120)
    host.run(f"rm {FOLDER}/office.nmconnection; nmcli connection reload")
    assert result.code == 3, result
    assert "the files on disk would not give the right network at the next boot" in result.stdout, result
    assert "eth1 would get" in result.stdout, result
    assert picture.without_metrics(picture.whole(host)) == before
    assert reachable(peer)


@pytest.mark.guarantee("G80", "G81")
def test_a_kept_change_was_verified_and_a_boot_gives_what_was_foreseen(host: Machine, peer: Machine) -> None:
    other = other_nic(host)
    result = apply(host)
    assert result.code == 0, result
    assert "verify what each interface gets at the next boot" in result.stdout
    assert other_nic(host) == other
    host.power_cut()
    host.boot()
    online(host)
    host.until("nmcli -g GENERAL.CONNECTION device show eth1 | grep -q .")
    assert other_nic(host) == other
    assert reachable(peer)
    assert host.run("kvmnet plan --exit-code /root/cluster.yaml", check=False).code == 0


DRIFT = {
    "an address": (
        "sed -i 's/10.1.255.254/10.1.255.7/' $(grep -l '^type=bridge' {folder}/*)",
        "change eth0: connection profile on disk: ipv4.address: 10.1.255.7/16 -> 10.1.255.254/16",
    ),
    "an address that NetworkManager has read": (
        "sed -i 's/10.1.255.254/10.1.255.7/' $(grep -l '^type=bridge' {folder}/*); nmcli connection reload",
        "change eth0: connection profile on disk: ipv4.address: 10.1.255.7/16 -> 10.1.255.254/16",
    ),
    "the route": (
        "sed -i '/^route1/d; /^gateway/d' $(grep -l '^type=bridge' {folder}/*); nmcli connection reload",
        "change eth0: connection profile on disk: routes: none -> 0.0.0.0/0 via 10.1.1.1",
    ),
    "an option of the bridge": (
        "sed -i '/^stp=/d' $(grep -l '^type=bridge' {folder}/*)",
        "change eth0: connection profile on disk: bridge.stp: true -> false",
    ),
    "the controller": (
        "sed -i '/^master=/d; /^slave-type=/d; /^controller=/d; /^port-type=/d' $(grep -l {mac} -i {folder}/*)",
        "change peth0: connection profile on disk: controller: none -> eth0",
    ),
    "autoconnect": (
        "sed -i 's/^uuid=/autoconnect=false\\nuuid=/' $(grep -l '^type=bridge' {folder}/*); nmcli connection reload",
        "change eth0: connection profile on disk: autoconnect: false -> true",
    ),
    "a mode that NetworkManager does not accept": (
        "chmod 644 $(grep -l '^type=bridge' {folder}/*)",
        "change eth0: connection profile on disk: keyfile: is ignored by NetworkManager: its mode is 0644, not 0600",
    ),
    "a deleted file": (
        "rm $(grep -l '^type=bridge' {folder}/*)",
        "change eth0: connection profile on disk: keyfile: missing",
    ),
}


#: Those in `make test`.
SHORT = ("an address that NetworkManager has read", "a deleted file")


@pytest.mark.make_test()
@pytest.mark.guarantee("G82")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT else pytest.mark.long) for name in DRIFT]
)
def test_drift_that_only_the_disk_has_is_shown_and_repaired(host: Machine, peer: Machine, name: str) -> None:
    """The running network is right all the time, and other profiles are not written."""
    command, words = DRIFT[name]
    addresses = picture.all_addresses(host)
    host.run(command.format(folder=FOLDER, mac=HOST_MAC))
    status = host.run("kvmnet status --exit-code", check=False)
    assert status.code == 6 and words in status.stdout, status
    assert words in host.out("kvmnet plan /root/cluster.yaml")
    result = apply(host)
    assert result.code == 0, result
    assert picture.all_addresses(host) == addresses
    again = host.run("kvmnet plan --exit-code /root/cluster.yaml", check=False)
    assert again.code == 0, again
    assert host.run("kvmnet status --exit-code", check=False).code == 0
    assert reachable(peer)


@pytest.mark.make_test()
@pytest.mark.guarantee("G80")
def test_a_removal_verifies_the_next_boot_too(host: Machine, peer: Machine) -> None:
    other = other_nic(host)
    result = host.run("kvmnet remove --yes", check=False, timeout=180)
    assert result.code == 0, result
    assert "verify what each interface gets at the next boot" in result.stdout
    assert last(host)["outcome"] == "kept"
    assert sorted(host.out(f"ls {FOLDER}").split()) == ["eth0.nmconnection", "eth1.nmconnection"]
    host.power_cut()
    host.boot()
    online(host)
    host.until("nmcli -g GENERAL.CONNECTION device show eth1 | grep -q .")
    assert other_nic(host) == other
    assert host.out("nmcli -g GENERAL.CONNECTION device show eth0").strip() == "eth0"
    assert reachable(peer)
