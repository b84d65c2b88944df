"""The confirmation of pull mode: a new fetch that leaves by what was changed."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.core.base.git_remote import parse_remote
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import make_plan
from kvmnet.host.git_client import GitFailed
from kvmnet.host.reply_path import ReplyPath
from kvmnet.host.repository_path import ServerPath
from kvmnet.system import operations
from kvmnet.transaction import fetch_confirmation
from kvmnet.transaction.action_context import StepFailed
from kvmnet.transaction.compile_steps import Terms, compile_steps
from kvmnet.transaction.fetch_confirmation import FetchConfirmation, choose_fetch, confirm_by_fetch, fetch_again
from tests.unit.core.samples import before
from tests.unit.transaction.samples import BUNDLE, raising

URL = "ssh://git@10.1.1.1/n.git"
WANTED = FetchConfirmation(parse_remote(URL), "main")
NOW = ServerPath("10.1.1.1", "10.1.255.254", "eth0")


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> list[ServerPath]:
    """The paths to the git server, which is not behind a guest's port."""
    known = [NOW]
    monkeypatch.setattr(fetch_confirmation, "find_paths", lambda remote: known)
    monkeypatch.setattr("kvmnet.host.repository_path.find_reply_path", lambda peer, address: ReplyPath("br-eth0", peer))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return known


def fetched(monkeypatch: pytest.MonkeyPatch, error: Optional[GitFailed] = None) -> None:
    reply = raising(error) if error else lambda remote, branch, seconds: "c" * 40
    monkeypatch.setattr(fetch_confirmation, "ask_for_branch", reply)


def a_step(**changes: Any) -> dict[str, Any]:
    fetch = FetchConfirmation(WANTED.remote, "main", ("eth0", "peth0"))
    return {**confirm_by_fetch(fetch, 90), "seconds": 0, **changes}


def with_another_nic() -> Live:
    """The host with eth7, which the change does not affect."""
    live = before()
    other = {
        "name": "eth7",
        "type": "ethernet",
        "state": "up",
        "ipv4": {"address": [{"ip": "10.9.0.1", "prefix-length": 24}]},
    }
    return type(live)(**{**live.__dict__, "state": {**live.state, "interfaces": [*live.state["interfaces"], other]}})


def test_a_change_of_the_way_to_the_server_is_confirmed_by_its_interfaces(paths: list[ServerPath]) -> None:
    chosen = choose_fetch(WANTED, make_plan(BUNDLE, before()), before())
    assert chosen.is_proof and {"eth0", "peth0"} <= set(chosen.proving)


def test_a_server_elsewhere_must_reply_but_proves_nothing(paths: list[ServerPath]) -> None:
    paths[:] = [ServerPath("10.9.0.7", "10.9.0.1", "eth7")]
    live = with_another_nic()
    chosen = choose_fetch(WANTED, make_plan(BUNDLE, live), live)
    assert (chosen.is_proof, chosen.proving) == (False, ())
    assert "the change does not affect the way there" in confirm_by_fetch(chosen, 90)["title"]


@pytest.mark.guarantee("G102")
def test_a_server_on_this_host_or_behind_a_guest_is_refused_before_the_trial(
    paths: list[ServerPath], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kvmnet.host.repository_path.find_reply_path", lambda peer, address: ReplyPath("eth0", peer, "vnet3")
    )
    with pytest.raises(Refused, match=r"guest or container on this host \(port vnet3\)") as error:
        choose_fetch(WANTED, make_plan(BUNDLE, before()), before())
    assert error.value.code == "KVN576"
    paths.clear()
    with pytest.raises(Refused, match="no route leads to the git server"):
        choose_fetch(WANTED, make_plan(BUNDLE, before()), before())


def test_a_server_with_a_second_address_that_is_reached_elsewhere_is_refused(paths: list[ServerPath]) -> None:
    live = with_another_nic()
    paths.append(ServerPath("10.9.0.7", "10.9.0.1", "eth7"))
    with pytest.raises(Refused, match=r"10\.9\.0\.7 is reached by eth7, which the change does not affect") as error:
        choose_fetch(WANTED, make_plan(BUNDLE, live), live)
    assert error.value.code == "KVN576"


def test_the_fetch_takes_the_place_of_the_confirmation() -> None:
    live = before()
    known = {("eth0", "802-3-ethernet"): ["u-1"]}
    fetch = FetchConfirmation(WANTED.remote, "main", ("eth0",))
    steps = compile_steps(make_plan(BUNDLE, live), live, known, Terms(120, confirm=90, fetch=fetch))
    operations_in_order = [step["op"] for step in steps]
    assert operations.CONFIRM.name not in operations_in_order
    place = operations_in_order.index(operations.FETCH.name)
    assert operations_in_order[place + 1 : place + 3] == [operations.READ_BACK.name, operations.COMMIT.name]
    step = steps[place]
    assert (step["repository"], step["branch"], step["proving"], step["seconds"]) == (URL, "main", ["eth0"], 90)
    trial = next(step for step in steps if step["op"] == operations.APPLY.name)
    assert trial["timeout"] == 120 + 90, "NetworkManager's checkpoint lasts as long"


def test_a_fetch_by_a_changed_interface_confirms(paths: list[ServerPath], monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(monkeypatch)
    assert fetch_again(None, a_step()) == "10.1.1.1 replied by eth0; main is cccccccccccc"  # type: ignore[arg-type]


@pytest.mark.guarantee("G102")
def test_a_fetch_by_another_interface_does_not_confirm(
    paths: list[ServerPath], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changed interface is dead, and another one has a default route too."""
    fetched(monkeypatch)
    paths[:] = [ServerPath("10.1.1.1", "10.9.0.1", "eth7")]
    with pytest.raises(StepFailed, match="reached by eth7, which the change does not affect"):
        fetch_again(None, a_step())  # type: ignore[arg-type]
    assert "replied by eth7" in fetch_again(None, a_step(is_proof=False))  # type: ignore[arg-type]


def test_without_a_reply_the_step_fails(paths: list[ServerPath], monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(monkeypatch, GitFailed("ssh: connect to host 10.1.1.1 port 22: Connection refused"))
    with pytest.raises(
        StepFailed, match=f"no new fetch from {URL} confirmed the change: ssh: connect to host"
    ) as error:
        fetch_again(None, a_step(is_proof=False))  # type: ignore[arg-type]
    assert error.value.targets == ("10.1.1.1",), "the likely reasons are searched for this address"


def test_it_is_tried_again_until_the_server_replies(paths: list[ServerPath], monkeypatch: pytest.MonkeyPatch) -> None:
    replies: list[Any] = [GitFailed("refused"), GitFailed("refused"), "d" * 40]

    def ask(*_: object) -> str:
        reply = replies.pop(0)
        if isinstance(reply, GitFailed):
            raise reply
        return str(reply)

    monkeypatch.setattr(fetch_confirmation, "ask_for_branch", ask)
    assert "dddddddddddd" in fetch_again(None, a_step(seconds=60))  # type: ignore[arg-type]
