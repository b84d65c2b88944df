"""Tests of the command line of `kvmnet remote`; tests/unit/remote runs it over a real sshd."""

from __future__ import annotations

import pytest

from kvmnet.cli import remote
from tests.unit.cli.samples import EXAMPLE, run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hv1", "frob"], "'frob' is no action"),
        (["hv1", "a.yaml", "b.yaml", "apply"], "more than one definition"),
        (["hv1", EXAMPLE, "status"], "status needs no definition"),
        (["hv1", EXAMPLE, "apply"], "the definition has no host 'hv1'"),
        (["root@vm-container-0-9", EXAMPLE, "plan"], "did you mean"),
        (["hv1", EXAMPLE, "plan", "--ssh-option", "ControlPath=x"], "kvmnet sets this option itself"),
        (["hv1", EXAMPLE, "plan", "--bundle", "x"], "cannot be used together"),
    ],
)
def test_wrong_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("remote", *words) == 2
    assert message in capsys.readouterr().err


def test_the_options_for_the_host_are_those_that_the_action_has() -> None:
    def options(action: str) -> list[str]:
        return remote._action_options(action, 60, 200, True, ["KVN517"], ["web 1"], True)

    shared = ["--allow", "KVN517", "--allow-guest-loss", "web 1"]
    assert options("plan") == [*shared, "--adopt", "--exit-code"]
    assert options("apply") == [*shared, "--adopt", "--confirm-within", "60", "--timeout", "200"]
    assert options("rollback") == [*shared, "--confirm-within", "60", "--timeout", "200"]
    assert options("remove") == [*shared, "--confirm-within", "60"]
    assert options("status") == ["--exit-code"]


def test_the_plan_before_an_apply_has_no_options_of_the_change() -> None:
    wish = remote._Wish("apply", ("--adopt", "--confirm-within", "60", "--timeout", "200"), False, False, 1.0, ())
    assert remote._plan_options(wish) == ["--adopt", "--exit-code"]
