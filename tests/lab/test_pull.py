"""A host that follows a git repository, with real git over ssh on the peer. Each test continues with the host of the
previous one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import Pair
from tests.lab.transactions import last
from tests.machines import picture
from tests.machines.machine import Machine, Result
from tests.machines.outage import reachable
from tests.machines.seed import PEER_ADDRESS, host_and_peer, seed_host
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test()

URL = f"ssh://root@{PEER_ADDRESS}/srv/network.git"
CONFIGURATION = f"# pull mode\npull-repository = {URL}\npull-interval = 2h\n"
ADDRESSES = "addresses: [10.1.255.254]"
#: Commits on the peer with the identity of an administrator; the states are below states/.
GIT = "git -C /root/work -c user.name=admin -c user.email=admin@example.org"
SIGNED = f"{GIT} -c gpg.format=ssh -c user.signingKey=/root/.ssh/NAME -c commit.gpgSign=true"


@pytest.fixture(scope="module")
def pair(lab: None, generation: str, wire: Wire) -> Iterator[Pair]:
    """The host and its gateway, both with git; the gateway has a repository that the host can read by ssh."""
    with host_and_peer(generation, wire, variant="git", peer_variant="git") as machines:
        host, peer = machines
        peer.run("systemctl start ssh; mkdir -p -m 700 /root/.ssh /srv; git init -q --bare -b main /srv/network.git")
        peer.run("git clone -q /srv/network.git /root/work; git -C /root/work checkout -q -b main", check=False)
        for name in ("admin", "other"):
            peer.run(f"ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/{name}")
        host.run("mkdir -p -m 700 /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
        peer.put("/root/.ssh/authorized_keys", host.get("/root/.ssh/id_ed25519.pub"), mode=0o600)
        key = peer.out("cat /etc/ssh/ssh_host_ed25519_key.pub")
        host.put("/root/.ssh/known_hosts", f"{PEER_ADDRESS} {key}")
        yield Pair(host, peer)


@pytest.fixture(scope="module")
def host(pair: Pair) -> Machine:
    return seed_host(pair.host, zone="trusted", default_zone="drop")


def commit(peer: Machine, folder: Path, definition: str, *, git: str = GIT, push: str = "push -q origin main") -> str:
    """Render the definition, commit its states on the peer, push them, and return the commit."""
    (folder / "cluster.yaml").write_text(definition)
    command = [sys.executable, "-m", "kvmnet", "render", "-o", "states", "cluster.yaml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for file in sorted((folder / "states").rglob("*")):
        if file.is_file():
            path = f"/root/work/{file.relative_to(folder)}"
            peer.run(f"mkdir -p {Path(path).parent}")
            peer.put(path, file.read_text())
    peer.run(f"{GIT} add states && {git} commit -q -m change && {GIT} {push}")
    return peer.out(f"{GIT} rev-parse HEAD").strip()


def pull(host: Machine, *options: str) -> Result:
    return host.run(["kvmnet", "pull", *options], check=False, timeout=400)


def state_of_pull(host: Machine) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(host.out("kvmnet status --json"))["pull"]
    return report


def with_address(definition: str, address: str) -> str:
    assert ADDRESSES in definition
    return definition.replace(ADDRESSES, f"addresses: [10.1.255.254, {address}]")


def addresses(host: Machine) -> list[str]:
    return picture.addresses(host, "eth0")


def test_pull_mode_must_be_configured(host: Machine) -> None:
    before = picture.whole(host)
    result = pull(host)
    assert (result.code, "KVN574" in result.stderr) == (5, True), result
    assert picture.whole(host) == before


def test_a_commit_is_applied_and_confirmed_by_a_new_fetch(
    host: Machine, peer: Machine, definition: str, tmp_path: Path
) -> None:
    host.run("mkdir -p /etc/kvmnet")
    host.put("/etc/kvmnet/kvmnet.conf", CONFIGURATION)
    first = commit(peer, tmp_path, definition)
    result = pull(host)
    assert result.code == 0, result
    assert f"applied commit {first[:12]}" in result.stdout
    assert f"ok   confirm by a new fetch from {URL}" in result.stdout
    assert addresses(host) == ["10.1.255.254/16"] and reachable(peer)
    journal = host.out(f"cat /var/lib/kvmnet/history/{last(host)['id']}/journal.jsonl")
    assert f"{PEER_ADDRESS} replied by eth0; main is {first[:12]}" in journal
    record = state_of_pull(host)
    assert (record["applied"], record["behind"], record["result"]) == (first, False, "applied")


def test_the_timer_runs_it_and_the_journal_has_its_sentences(host: Machine) -> None:
    kept = last(host)["id"]
    assert pull(host, "--enable").code == 0
    timer = host.out("systemctl show kvmnet-pull.timer --property=ActiveState,RandomizedDelayUSec")
    assert "ActiveState=active" in timer and "RandomizedDelayUSec=1h" in timer
    host.run("systemctl start kvmnet-pull.service", timeout=120)
    lines = host.out("journalctl -u kvmnet-pull.service -o cat")
    assert "up to date: the bundle of vm-container-0-0 in this commit is applied already" in lines
    assert last(host)["id"] == kept, "nothing was changed"
    assert pull(host, "--disable").code == 0
    assert host.run("systemctl is-active kvmnet-pull.timer", check=False).code != 0


def test_metrics_show_the_drift_of_the_real_host(host: Machine) -> None:
    file = "/root/kvmnet.prom"
    host.run(f"kvmnet status --prometheus {file}")
    digest = json.loads(host.out("kvmnet status --json"))["applied"]["digest"]
    metrics = host.out(f"cat {file}")
    assert "kvmnet_drift_changes 0\n" in metrics and "kvmnet_pull_behind 0\n" in metrics
    assert f'kvmnet_applied_info{{host="vm-container-0-0",digest="{digest}"}} 1\n' in metrics
    assert host.out(f"stat -c '%a %U' {file}").strip() == "644 root"
    host.run("ip address add 10.1.9.9/16 dev eth0")
    assert "kvmnet_drift_changes 1\n" in host.out("kvmnet status --prometheus -")
    assert "up to date" in pull(host).stdout and "10.1.9.9/16" in addresses(host), "a change by hand is not reverted"
    host.run("ip address delete 10.1.9.9/16 dev eth0")


@pytest.mark.guarantee("G103")
def test_a_bad_commit_is_rolled_back_and_not_tried_again(
    host: Machine, peer: Machine, definition: str, tmp_path: Path
) -> None:
    """Its gateway does not exist."""
    before = picture.whole(host)
    bad = commit(peer, tmp_path, definition.replace("gateway: 10.1.1.1", "gateway: 10.1.1.9"))
    result = pull(host)
    assert result.code == 3, result
    assert picture.whole(host) == before and reachable(peer)
    failed = last(host)
    assert failed["outcome"] == "rolled back" and "10.1.1.9" in failed["why"]
    again = pull(host)
    assert (again.code, "KVN573" in again.stderr) == (5, True), again
    assert last(host)["id"] == failed["id"], "it was tried again"
    record = state_of_pull(host)
    assert (record["behind"], record["fetched"], record["code"]) == (True, bad, "KVN573"), record
    assert record["applied"] not in (None, bad)


@pytest.mark.guarantee("G102")
def test_without_the_git_server_during_the_trial_it_is_rolled_back(
    host: Machine, peer: Machine, definition: str, tmp_path: Path
) -> None:
    before = picture.whole(host)
    wanted = commit(peer, tmp_path, with_address(definition, "10.1.255.253"))
    job = host.start("kvmnet pull")
    end = time.monotonic() + 120
    while host.run('grep -q \'"event": "do"\' /var/lib/kvmnet/open/journal.jsonl', check=False).code:
        assert job.running and time.monotonic() < end, job.output()
        time.sleep(0.2)
    peer.run("systemctl stop ssh.socket ssh.service", check=False)
    result = job.wait(400)
    peer.run("systemctl start ssh")
    assert result.code == 3, result
    assert f"no new fetch from {URL} confirmed the change" in result.stdout
    assert picture.whole(host) == before and reachable(peer)
    assert pull(host).code == 5
    result = pull(host, "--retry")
    assert result.code == 0, result
    assert addresses(host) == ["10.1.255.254/16", "10.1.255.253/16"]
    assert state_of_pull(host)["applied"] == wanted


@pytest.mark.guarantee("G100")
def test_a_forced_push_is_refused_until_it_is_accepted(
    host: Machine, peer: Machine, definition: str, tmp_path: Path
) -> None:
    before = picture.whole(host)
    peer.run(f"{GIT} reset -q --hard HEAD~2")
    forced = commit(peer, tmp_path, with_address(definition, "10.1.255.252"), push="push -q --force origin main")
    result = pull(host)
    assert (result.code, "KVN570" in result.stderr) == (5, True), result
    assert f"kvmnet pull --accept {forced}" in result.stderr
    assert picture.whole(host) == before
    assert pull(host, "--accept", "0" * 40).code == 5
    result = pull(host, "--accept", forced)
    assert result.code == 0, result
    assert addresses(host) == ["10.1.255.254/16", "10.1.255.252/16"] and reachable(peer)


@pytest.mark.guarantee("G101")
def test_only_a_commit_that_a_signer_has_signed_is_applied(
    host: Machine, peer: Machine, definition: str, tmp_path: Path
) -> None:
    before = picture.whole(host)
    key = peer.out("cat /root/.ssh/admin.pub")
    host.put("/etc/kvmnet/allowed_signers", f"admin@example.org {key}")
    host.put("/etc/kvmnet/kvmnet.conf", f"{CONFIGURATION}pull-signers = /etc/kvmnet/allowed_signers\n")
    changed = with_address(definition, "10.1.255.251")
    commit(peer, tmp_path, changed)
    result = pull(host)
    assert (result.code, "KVN571" in result.stderr, "it is not signed" in result.stderr) == (5, True, True), result
    commit(peer, tmp_path, with_address(definition, "10.1.255.250"), git=SIGNED.replace("NAME", "other"))
    result = pull(host)
    assert (result.code, "the key that signed it is not in pull-signers" in result.stderr) == (5, True), result
    assert picture.whole(host) == before
    signed = commit(peer, tmp_path, changed, git=SIGNED.replace("NAME", "admin"))
    result = pull(host)
    assert result.code == 0, result
    assert addresses(host) == ["10.1.255.254/16", "10.1.255.251/16"] and reachable(peer)
    assert state_of_pull(host)["accepted"] == signed


@pytest.mark.guarantee("G102")
def test_a_change_elsewhere_needs_only_the_reply_of_the_server(
    host: Machine, peer: Machine, definition: str, tmp_path: Path
) -> None:
    """The change does not affect the interface by which the server is reached, so a fetch cannot confirm it."""
    line = "      eth0: {mac: 00:14:4f:80:de:00, addresses: [10.1.255.254, 10.1.255.251]}\n"
    changed = with_address(definition, "10.1.255.251")
    assert line in changed
    changed = changed.replace(line, f"{line}      dummy0: {{addresses: [203.0.113.7/32]}}\n")
    commit(peer, tmp_path, changed, git=SIGNED.replace("NAME", "admin"))
    result = pull(host)
    assert result.code == 0, result
    assert "ok   fetch again (the change does not affect the way there)" in result.stdout
    assert "203.0.113.7/32" in host.out("ip -br address show dev dummy0") and reachable(peer)
