"""Saved plans: exactly the reviewed plan is applied, and only if the host has not changed. Each test continues with
the host of the previous one."""

from __future__ import annotations

import json
import time

import pytest

from tests.machines import picture
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable

pytestmark = pytest.mark.make_test()

PLAN = "/root/plan.json"


def save(host: Machine) -> Result:
    return host.run(f"kvmnet plan -o {PLAN} /root/cluster.yaml", check=False)


def apply(host: Machine) -> Result:
    return host.run(f"kvmnet apply --yes --plan {PLAN}", check=False, timeout=120)


@pytest.mark.guarantee("G62")
def test_a_plan_in_three_formats_changes_nothing(host: Machine, definition: str) -> None:
    host.put("/root/cluster.yaml", definition)
    before = picture.whole(host)
    text = save(host)
    assert (text.code, "> rename eth0: to peth0" in text.stdout) == (0, True), text
    assert host.run("kvmnet plan --exit-code /root/cluster.yaml", check=False).code == 6
    told = json.loads(host.out("kvmnet plan --format json /root/cluster.yaml"))
    assert [c["what"] for c in told["changes"]][:2] == ["rename", "file"]
    assert "| `>` | rename | eth0 |" in host.out("kvmnet plan --format markdown /root/cluster.yaml")
    assert json.loads(host.out(f"cat {PLAN}"))["plan"]["changes"] == told["changes"]
    assert picture.whole(host) == before


@pytest.mark.guarantee("G63")
def test_a_saved_plan_is_refused_if_the_host_has_changed(host: Machine) -> None:
    """The NIC got another address since."""
    host.run("ip address add 10.1.9.9/16 dev eth0")
    before = picture.whole(host)
    result = apply(host)
    assert result.code == 5, result
    assert "KVN508: the host has changed since the plan was made" in result.stderr
    assert 'addresses peth0: ["10.1.255.254/16"] -> ["10.1.255.254/16", "10.1.9.9/16"]' in result.stderr
    assert picture.whole(host) == before
    host.run("ip address delete 10.1.9.9/16 dev eth0")


@pytest.mark.guarantee("G63")
def test_an_edited_plan_is_refused(host: Machine) -> None:
    before = picture.whole(host)
    host.run(f"sed 's/10.1.255.254/10.1.255.250/' {PLAN} > /root/edited.json")
    result = host.run("kvmnet apply --yes --plan /root/edited.json", check=False)
    assert (result.code, "was edited after it was written" in result.stderr) == (1, True), result
    nobody = "setpriv --reuid=nobody --clear-groups kvmnet plan -o /tmp/plan.json /tmp/cluster.yaml"
    host.run("install -m 644 /root/cluster.yaml /tmp/cluster.yaml")
    result = host.run(nobody, check=False)
    assert (result.code, "KVN500" in result.stderr) == (5, True), result
    assert picture.whole(host) == before


def at_the_question(host: Machine, meanwhile: str) -> Result:
    """Run an apply on a terminal, do something while its question is open, then answer yes."""
    host.run("rm -f /root/yes")
    answer = "{ until [ -e /root/yes ]; do sleep 0.2; done; echo y; }"
    job = host.start(f"{answer} | TERM=xterm script -qec 'kvmnet apply /root/cluster.yaml' /dev/null")
    end = time.monotonic() + 60
    while "Apply?" not in job.output().stdout:
        assert time.monotonic() < end, job.output()
        time.sleep(0.3)
    time.sleep(6)
    host.run(meanwhile)
    host.run("touch /root/yes")
    return job.wait(120)


@pytest.mark.guarantee("G63")
def test_a_change_of_the_host_during_the_question_is_refused(host: Machine) -> None:
    before = picture.whole(host)
    result = at_the_question(host, "ip link add peth0 type dummy")
    assert picture.whole(host)["links"].keys() - before["links"].keys() == {"peth0"}
    host.run("ip link delete peth0")
    assert (result.code, "peth0" in result.stdout) == (5, True), result
    result = at_the_question(host, "ip route add 10.9.0.0/16 via 10.1.1.2 dev eth0")
    host.run("ip route delete 10.9.0.0/16")
    assert (result.code, "KVN508" in result.stdout) == (5, True), result
    assert picture.whole(host) == before


@pytest.mark.guarantee("G63")
def test_a_saved_plan_is_applied(host: Machine, peer: Machine) -> None:
    result = apply(host)
    assert result.code == 0, result
    assert "kept: the host matches the definition" in result.stdout
    assert picture.addresses(host, "eth0") == ["10.1.255.254/16"]
    assert reachable(peer)
    result = apply(host)
    assert (result.code, "KVN508" in result.stderr) == (5, True), "it was applied already"


def test_an_unchanged_host_is_changed_after_a_late_answer(host: Machine, peer: Machine, definition: str) -> None:
    host.put(
        "/root/cluster.yaml", definition.replace("addresses: [10.1.255.254]", "addresses: [10.1.255.254, 10.1.255.253]")
    )
    result = at_the_question(host, "true")
    assert result.code == 0, result
    assert picture.addresses(host, "eth0") == ["10.1.255.254/16", "10.1.255.253/16"]
    assert reachable(peer)
