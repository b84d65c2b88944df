"""A host with the previous layout (rescue.py and its boot units) is rolled back and upgraded without a gap.

The files of that layout are in tests/compatibility/previous_layout.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults import injection
from tests.lab.transactions import apply, cut_in, history, online, same
from tests.machines import picture
from tests.machines.machine import Machine

pytestmark = pytest.mark.make_test()

PREVIOUS = Path(__file__).parents[1] / "compatibility" / "previous_layout"
STATE, UNIT_FOLDER = "/var/lib/kvmnet", "/etc/systemd/system"
UNITS = ("kvmnet-boot-undo.service", "kvmnet-boot-verify.service")
APPLY = "exec kvmnet apply --yes /root/cluster.yaml"
#: The step that writes the `.link` file is complete, the one that writes the profiles to disk is not.
KEEPING = 12


@pytest.fixture
def before(host: Machine, definition: str) -> dict[str, Any]:
    """The host as it is before each test, and must be again."""
    host.put("/root/cluster.yaml", definition)
    return picture.whole(host)


def pause_in_keeping(host: Machine) -> Any:
    """Start an apply and pause its worker while it saves the change to disk; return the command's job."""
    injection.pause(host, KEEPING, event="done")
    job = host.start(APPLY)
    injection.wait_paused(host, job)
    assert host.run("ls /etc/systemd/network").stdout == "00-kvmnet-peth0.link\n"
    return job


def put_previous_layout(host: Machine) -> None:
    """Replace the rescue program and the boot units by those of the previous layout, which are enabled."""
    host.put(f"{STATE}/rescue.py", (PREVIOUS / "rescue.py").read_bytes(), mode=0o700)
    for name in UNITS:
        host.put(f"{UNIT_FOLDER}/{name}", (PREVIOUS / name).read_bytes())
    host.run(f"rm {STATE}/rescue.pyz; systemctl daemon-reload; systemctl enable {' '.join(UNITS)}; sync", timeout=60)
    assert layout(host) == "rescue.py"


def layout(host: Machine) -> str:
    """Return the name of the rescue program in the state folder. Both boot units must be enabled and run it."""
    program = host.out(f"cd {STATE} && ls rescue.*")
    for name in UNITS:
        assert host.out(f"systemctl is-enabled {name}") == "enabled"
        assert f" {STATE}/{program} " in host.out(f"grep ^ExecStart= {UNIT_FOLDER}/{name}")
    return program


@pytest.mark.guarantee("G22")
def test_the_previous_layout_rolls_back_after_a_power_loss_and_the_next_apply_upgrades_it(
    host: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    """Its boot units and its program restore the host. After the upgrade the new ones do so."""
    pause_in_keeping(host)
    put_previous_layout(host)
    host.power_cut()
    host.boot()
    online(host)
    same(host, peer, before)
    assert layout(host) == "rescue.py"
    assert "the machine was cut off" in history(host), "the reason that the previous units give"

    cut_in(host, APPLY, KEEPING)
    host.boot()
    online(host)
    same(host, peer, before)
    assert layout(host) == "rescue.pyz"
    assert "the host restarted during the change" in history(host)


@pytest.mark.guarantee("G08")
def test_status_and_rollback_work_with_an_open_transaction_of_the_previous_layout(
    host: Machine, peer: Machine, before: dict[str, Any]
) -> None:
    """kvmnet was upgraded while the transaction was open, and no process works on it."""
    job = pause_in_keeping(host)
    host.run("systemctl stop 'kvmnet-watchdog-*'")  # otherwise it would roll back
    put_previous_layout(host)
    job.stop(signal.SIGKILL)
    injection.kill_unit(host, rescue_too=True)
    assert "is open" in host.out("kvmnet status")
    status = json.loads(host.out("kvmnet status --json"))["open"]
    assert status["works"] is False
    refused = apply(host)
    assert (refused.code, f"{STATE}/rescue.py" in refused.stderr) == (5, True), refused
    result = host.run("kvmnet rollback", check=False, timeout=180)
    assert result.code == 0, result
    same(host, peer, before)
    assert layout(host) == "rescue.py", "nothing is installed before a change"

    assert apply(host).code == 0
    assert layout(host) == "rescue.pyz"
    assert host.run("kvmnet remove --yes", check=False, timeout=120).code == 0
    same(host, peer, before)
