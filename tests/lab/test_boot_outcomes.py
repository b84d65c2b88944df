"""NetworkManager itself, with the files of tests/boot_cases.py: what it does at a boot is what kvmnet computes.

NetworkManager is stopped, everything that it keeps for a restart and everything virtual is removed, and it is started
again: then it finds what it finds at a boot. One test boots the machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from kvmnet.core.boot.stored_profile import read_stored_profile
from tests import boot_cases
from tests.boot_cases import CASES, MACS, NAMES, BootCase, uuid_of
from tests.machines import layers
from tests.machines.machine import Machine, Nic
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

FOLDERS = (boot_cases.ETC, boot_cases.LIB, boot_cases.CONFIG)
STOP = f"""
systemctl stop NetworkManager
for name in $(ls /sys/class/net | grep -v -e '^eth[0-3]$' -e '^lo$'); do ip link delete "$name" 2>/dev/null; done
for name in {" ".join(NAMES)}; do ip address flush dev $name; ip link set dev $name nomaster down; done
rm -rf /run/NetworkManager {" ".join(f"{folder}/*" for folder in FOLDERS)} {boot_cases.ETC}/.*.nmconnection
rm -f /var/lib/NetworkManager/no-auto-default.state /var/lib/NetworkManager/timestamps
mkdir -p {" ".join(FOLDERS)}
"""
#: The program prints what core/boot computes on the machine.
COMPUTE = """
import json
from kvmnet.core.boot.outcome import compute_outcomes
from kvmnet.host.read_boot import read_boot_files
from kvmnet.host.read_live import read_links
outcomes = compute_outcomes(read_boot_files(read_links(), {}, "VERSION"))
print(json.dumps({name: [o.kind, o.id, o.controller] for name, o in outcomes.items()}))
"""
KINDS = {"created": boot_cases.CREATED, "nothing": boot_cases.NOTHING, "unmanaged": boot_cases.UNMANAGED}


@pytest.fixture(scope="module")
def machine(lab: None, generation: str, wire: Wire) -> Iterator[Machine]:
    nics = [Nic(mac, wire) for mac in MACS]
    with Machine(generation, "host", nics, layers=layers.all_of(generation)) as booted:
        yield booted


def install(machine: Machine, case: BootCase) -> None:
    """Give a machine with a stopped NetworkManager the files of a case."""
    for name, text in case.profiles.items():
        path = name if name.startswith("/") else f"{boot_cases.ETC}/{name}"
        machine.put(path, text, mode=0o644 if name in case.insecure else 0o600)
    for path, text in case.files.items():
        machine.put(path, text)
    for path, target in case.links.items():
        machine.run(["ln", "-s", target, path])
    rows = "".join(f"{uuid_of(name)}={seconds}\n" for name, seconds in case.timestamps.items())
    machine.put("/var/lib/NetworkManager/timestamps", f"[timestamps]\n{rows}")


def version_of(machine: Machine) -> str:
    return machine.out("NetworkManager --version").strip()


def computed(machine: Machine) -> dict[str, str]:
    """Return what kvmnet computes, in the notation of the cases."""
    program = COMPUTE.replace("VERSION", version_of(machine))
    rows: dict[str, Any] = json.loads(machine.out(["/opt/kvmnet/bin/python3", "-c", program]))
    return {
        name: f"{id}/{controller}".removesuffix("/") if kind == "profile" else KINDS[kind]
        for name, (kind, id, controller) in rows.items()
    }


def observed(machine: Machine) -> dict[str, str]:
    """Return what NetworkManager does, in the notation of the cases."""
    states = {}
    for line in machine.out("nmcli -t -e no -f DEVICE,STATE,CONNECTION device").splitlines():
        name, state, connection = line.split(":", 2)
        if state == "unmanaged":
            states[name] = boot_cases.UNMANAGED
        elif re.fullmatch("Wired connection [0-9]+", connection):
            states[name] = boot_cases.CREATED
        elif connection and "externally" not in state:
            states[name] = connection
    links = json.loads(machine.out("ip -j link show"))
    masters = {link["ifname"]: link["master"] for link in links if "master" in link}
    return {name: f"{what}/{masters[name]}" if name in masters else what for name, what in states.items()}


def assert_as_expected(machine: Machine, case: BootCase) -> None:
    old = tuple(map(int, version_of(machine).split(".")[:2])) < (1, 46)
    expect = {**case.expect, **(case.old if old else {})}
    forecast = computed(machine)
    assert {name: forecast.get(name) for name in expect} == expect, "computed"
    machine.run("nm-online -s -q -t 20", check=False, timeout=60)  # NICs without a DHCP server need longer

    def seen() -> dict[str, str]:
        present = observed(machine)
        return {name: present.get(name, boot_cases.NOTHING) for name in expect}

    for _ in range(40):
        if seen() == expect:
            break
        machine.run("sleep 0.5")
    assert seen() == expect, machine.out("nmcli device; nmcli connection; journalctl -b -u NetworkManager | tail -n 60")


@pytest.mark.parametrize("name", CASES)
def test_networkmanager_does_what_is_computed(machine: Machine, name: str) -> None:
    machine.run(STOP, check=False)
    install(machine, CASES[name])
    machine.run("systemctl start NetworkManager", timeout=90)
    assert_as_expected(machine, CASES[name])
    if name == "values that NetworkManager does not understand":
        file = f"{boot_cases.ETC}/b"
        uuid = read_stored_profile(file, CASES[name].profiles["b"]).uuid
        assert machine.out("nmcli -g connection.uuid connection show no-uuid").strip() == uuid, "derived from the path"


def test_a_boot_does_what_a_start_does(machine: Machine) -> None:
    name = "ports and their controllers"
    machine.run(STOP, check=False)
    install(machine, CASES[name])
    machine.run("sync")
    machine.power_cut()
    machine.boot()
    assert_as_expected(machine, CASES[name])
