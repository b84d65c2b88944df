"""What tests of transactions share: apply, cut the power, read the history, compare with the state before."""

from __future__ import annotations

import json
from typing import Any

from tests.faults import injection
from tests.machines import picture
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable

RESCUE = "/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz"
#: A part of the title of the step that applies the states.
TRIAL = "as a trial"


def apply(host: Machine, *options: str) -> Result:
    """Apply /root/cluster.yaml and return the result, also of a failure."""
    return host.run(["kvmnet", "apply", "--yes", *options, "/root/cluster.yaml"], check=False, timeout=180)


def same(host: Machine, peer: Machine, before: dict[str, Any]) -> None:
    """Assert that the host is as it was before the change, and that the peer reaches it."""
    assert picture.whole(host) == before
    assert before["open"] is False
    assert "peth0" not in before["links"]
    assert reachable(peer), "a new connection from the wire is not answered"


def cut_in(host: Machine, command: str, step: int) -> None:
    """Cut the power after this step of a command's transaction; everything written until then is on the disk."""
    injection.pause(host, step, event="done")
    job = host.start(command)
    injection.wait_paused(host, job)
    host.run("sync")
    host.power_cut()


def online(host: Machine) -> None:
    """Wait for NetworkManager, which starts later than the lab's agent."""
    host.run("nm-online -s -q -t 60", timeout=90)


def history(host: Machine) -> str:
    """Return the last line of `kvmnet history`."""
    return host.out("kvmnet history").splitlines()[-1]


def last(host: Machine) -> dict[str, Any]:
    """Return the last transaction of `kvmnet history --json`."""
    transaction: dict[str, Any] = json.loads(host.out("kvmnet history --json"))[-1]
    return transaction
