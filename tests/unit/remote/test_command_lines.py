"""Tests of the command lines of ssh."""

from __future__ import annotations

import shlex

import pytest

from kvmnet.core.base.errors import Usage
from kvmnet.remote import command_lines
from kvmnet.remote.command_lines import Target


def test_the_first_options_make_the_connection_one_of_its_own() -> None:
    target = Target("hv1", options=("ControlPath=/tmp/x", "Port=2222"), become=("sudo", "-n"))
    command = command_lines.ssh_command(target, ["kvmnet", "history", "a b"])
    assert command[:8] == ["ssh", "-T", "-S", "none", "-o", "ControlMaster=no", "-o", "ControlPath=none"]
    assert command[-3:] == ["--", "hv1", "sudo -n kvmnet history 'a b'"]
    assert command.index("ControlPath=none") < command.index("ControlPath=/tmp/x")


def test_another_address_needs_the_same_host_key() -> None:
    command = command_lines.ssh_command(Target("hv1", alias="[hv1]:2222"), ["true"], "10.1.0.9")
    assert {"HostName=10.1.0.9", "HostKeyAlias=[hv1]:2222"} <= set(command)
    assert not any(
        word.startswith("HostName") for word in command_lines.ssh_command(Target("hv1", alias="x"), ["true"])
    )


@pytest.mark.parametrize(
    ("configuration", "alias"),
    [
        ("hostname hv1.example\nport 22\nhostkeyalias none\n", "hv1.example"),
        ("hostname hv1.example\nport 2222\n", "[hv1.example]:2222"),
        ("hostname hv1.example\nport 2222\nhostkeyalias HV\n", "HV"),
    ],
)
def test_the_name_of_the_host_key(configuration: str, alias: str) -> None:
    assert command_lines.find_alias(configuration) == alias


@pytest.mark.parametrize("option", ["ControlMaster=auto", "controlpath /tmp/x", "HostName=x", "Port", "-S none", ""])
def test_options_that_are_kvmnets_own_or_none(option: str) -> None:
    with pytest.raises(Usage):
        command_lines.parse_options([option])


def test_become() -> None:
    assert command_lines.parse_become("sudo") == ("sudo", "-n")
    assert command_lines.parse_become("doas -u root") == ("doas", "-u", "root")
    assert command_lines.parse_become(None) == ()


def test_only_folders_of_its_own_are_removed() -> None:
    assert command_lines.remove_folder("/run/kvmnet-remote.abc")[-1] == "/run/kvmnet-remote.abc"
    for folder in ("/", "/run", "kvmnet-remote.x", ""):
        with pytest.raises(ValueError, match="is not a folder of kvmnet remote"):
            command_lines.remove_folder(folder)


def test_the_words_reach_the_host_as_they_are() -> None:
    words = command_lines.with_bundle(
        Target("hv1"), ["apply", "--allow-guest-loss", "a 'b' $c"], keep=False, brought=False
    )
    assert shlex.split(shlex.join(words)) == words and words[-1] == "a 'b' $c"
