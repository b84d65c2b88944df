"""Tests of the collection: changes are confirmed over new connections, and a rollout stops and goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.collection.conftest import ROOT, Control, running_control

APPLY = """
- kvmnet.kvmnet.apply: {definition: cluster.yaml}
"""
FOUR = ["hv1", "hv2", "hv3", "hv4"]


def test_apply_confirms_over_a_connection_of_its_own_and_is_idempotent(control: Control) -> None:
    """Ansible's own ControlPersist is on: the stand-in refuses a connection that is older than the change."""
    host = control.hosts["hv1"]
    run = control.play(APPLY, "--diff")
    assert run.code == 0, run.text
    assert run.recap("hv1")["changed"] == 1 and "change eth0" in run.text
    assert host.outcomes == ["kept"]
    assert all(call[1] == "--transaction" for call in host.calls("confirm"))
    again = control.play(APPLY)
    assert again.code == 0 and again.recap("hv1")["changed"] == 0, again.text
    assert host.outcomes == ["kept"]


def test_shared_connections_of_the_user_do_not_confirm(control: Control) -> None:
    config = control.folder / "ssh_config"
    config.write_text(
        f"ControlMaster auto\nControlPersist 60\nControlPath /tmp/k{os.getpid()}-%C\n" + config.read_text()
    )
    ssh = ["ssh", "-F", str(config), "hv1"]
    subprocess.run([*ssh, "true"], check=True, capture_output=True)
    try:
        run = control.play(APPLY, ansible_ssh_args="")
        assert run.code == 0, run.text
        assert control.hosts["hv1"].outcomes == ["kept"]
    finally:
        subprocess.run([*ssh, "-O", "exit"], check=False, capture_output=True)


def test_check_mode_changes_nothing_and_shows_the_plan(control: Control) -> None:
    run = control.play(APPLY, "--check", "--diff")
    assert run.code == 0 and run.recap("hv1")["changed"] == 1, run.text
    assert "change eth0" in run.text
    assert control.hosts["hv1"].calls("apply") == [] and control.hosts["hv1"].outcomes == []


def test_a_rollback_fails_the_task(control: Control) -> None:
    control.hosts["hv1"].misbehave("broken")
    run = control.play(APPLY)
    assert run.code == 2 and "rolled back: the host is as before the change" in run.text
    assert run.recap("hv1")["failed"] == 1 and run.recap("hv1")["unreachable"] == 0


def test_a_refusal_fails_the_task_with_its_reason(control: Control) -> None:
    control.hosts["hv1"].misbehave("refused")
    run = control.play(APPLY)
    assert run.code == 2 and "KVN550: a refusal of the test" in run.text


def test_a_host_that_cannot_be_reached_has_failed_and_is_not_unreachable(control: Control) -> None:
    config = control.folder / "ssh_config"
    config.write_text("Host hv1\nProxyCommand false\n" + config.read_text())
    run = control.play(APPLY)
    assert run.code == 2, run.text
    assert run.recap("hv1")["failed"] == 1 and run.recap("hv1")["unreachable"] == 0


def test_status_facts_rollback_and_remove(control: Control) -> None:
    assert control.play("- kvmnet.kvmnet.remove: {}").recap("hv1")["changed"] == 0, "nothing is applied yet"
    assert control.play(APPLY).code == 0
    tasks = """
- kvmnet.kvmnet.status: {}
  register: one
- kvmnet.kvmnet.facts: {}
- ansible.builtin.debug: {msg: "status {{ one.status.applied.host }} facts {{ kvmnet.digest | length }}"}
- kvmnet.kvmnet.rollback: {}
- kvmnet.kvmnet.remove: {}
"""
    run = control.play(tasks)
    assert run.code == 0 and "status h facts 71" in run.text, run.text
    assert [row["operation"] for row in control.hosts["hv1"].read("history.json")] == ["apply", "rollback", "remove"]


def test_a_rollout_stops_at_the_first_failure_and_goes_on_later(tmp_path: Path, collections: Path) -> None:
    with running_control(tmp_path, collections, FOUR) as control:
        hooks = control.folder / "hook.yml"
        hooks.write_text(
            f"- ansible.builtin.shell: echo {{{{ inventory_hostname }}}} >> {control.folder}/drained\n"
            "  delegate_to: localhost\n"
        )
        play = "kvmnet.kvmnet.rollout"
        options = {
            "rollout_definition": f"{control.folder}/cluster.yaml",
            "rollout_serial": [1, 1, "100%"],
            "rollout_drain": str(hooks),
        }
        control.hosts["hv2"].misbehave("broken")
        run = control.run(play, **options)
        assert run.code == 2, run.text
        outcomes = {name: host.outcomes for name, host in control.hosts.items()}
        assert outcomes == {"hv1": ["kept"], "hv2": ["rolled back"], "hv3": [], "hv4": []}
        control.hosts["hv2"].behave("broken")
        run = control.run(play, **options)
        assert run.code == 0, run.text
        outcomes = {name: host.outcomes for name, host in control.hosts.items()}
        assert outcomes == {"hv1": ["kept"], "hv2": ["rolled back", "kept"], "hv3": ["kept"], "hv4": ["kept"]}
        assert (control.folder / "drained").read_text().split()[:3] == ["hv1", "hv2", "hv2"]
        run = control.run(play, **options)
        assert run.code == 0 and sum(run.recap(name)["changed"] for name in FOUR) == 0, run.text


def test_a_host_that_cannot_be_reached_stops_a_rollout(tmp_path: Path, collections: Path) -> None:
    with running_control(tmp_path, collections, FOUR[:3]) as control:
        config = control.folder / "ssh_config"
        whole = config.read_text()
        config.write_text("Host hv2\nProxyCommand false\n" + whole)
        options = {"rollout_definition": f"{control.folder}/cluster.yaml", "rollout_serial": [1, 1, 1]}
        run = control.run("kvmnet.kvmnet.rollout", **options)
        assert run.code == 2, run.text
        assert control.hosts["hv1"].outcomes == ["kept"] and control.hosts["hv3"].calls("plan") == []
        config.write_text(whole)
        assert control.run("kvmnet.kvmnet.rollout", **options).code == 0
        assert [host.outcomes for host in control.hosts.values()] == [["kept"]] * 3


def test_gather_writes_a_line_for_each_host(tmp_path: Path, collections: Path) -> None:
    with running_control(tmp_path, collections, FOUR[:2]) as control:
        config = control.folder / "ssh_config"
        config.write_text("Host hv2\nProxyCommand false\n" + config.read_text())
        file = control.folder / "fleet.jsonl"
        options = {"rollout_definition": f"{control.folder}/cluster.yaml", "fleet_file": str(file)}
        run = control.run("kvmnet.kvmnet.gather", **options)
        assert run.code == 0, run.text
        rows = {row["host"]: row for row in map(json.loads, file.read_text().splitlines())}
        assert rows["hv1"]["reachable"] and rows["hv1"]["changes"] and rows["hv1"]["wanted"].startswith("sha256:")
        assert not rows["hv2"]["reachable"] and rows["hv2"]["error"]
        assert control.hosts["hv1"].outcomes == []


@pytest.mark.parametrize("name", ["apply", "rollback", "remove", "status", "facts"])
def test_the_documentation_of_each_module(name: str, collections: Path) -> None:
    done = subprocess.run(
        [Path(os.environ["KVMNET_ANSIBLE"]) / "ansible-doc", f"kvmnet.kvmnet.{name}"],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "EXAMPLES" in done.stdout, done.stderr


def test_the_commands_of_the_page(tmp_path: Path, collections: Path) -> None:
    """docs/howto/fleet.md: the commands with Ansible, as they are written."""
    blocks = re.findall(r"```sh ansible\n(.*?)```", (ROOT / "docs/howto/fleet.md").read_text(), re.S)
    assert len(blocks) == 3
    with running_control(tmp_path, collections, FOUR[:2]) as control:
        for block in blocks:
            run = control.shell(block)
            assert run.code == 0, run.text
            assert "failed=1" not in run.text and "unreachable=1" not in run.text
        assert [host.outcomes for host in control.hosts.values()] == [["kept"], ["kept"]]
        assert "2 hosts: all in the desired state" in run.text and re.search(
            r"\| hv1 \| [0-9a-f]{12} \| nothing \|", run.text
        )
