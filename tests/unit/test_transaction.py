"""Small parts of the transaction that need no machine."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from kvmnet.core.assessment import assess
from kvmnet.core.base.errors import Refused
from kvmnet.core.reporting.report import event_text, outcome_text
from kvmnet.host.networkmanager_dbus import NameServers
from kvmnet.host.nmstate import Nmstatectl, NmstateError, find_backend
from kvmnet.host.ping import _checksum, longest_gap
from kvmnet.rescue import closing, restore, snapshot
from kvmnet.system import clock, files, firewalld, links, lock, networkmanager, programs, state_folder, units
from kvmnet.system.errors import HostError
from kvmnet.system.journal import Journal
from kvmnet.transaction import launch, readback, safeguards, step_actions, worker
from kvmnet.transaction.history import ended
from kvmnet.transaction.prepare import Prepared
from kvmnet.transaction.readback import late, missing, unknown_servers
from kvmnet.transaction.step_actions import DO, StepFailed, without_meta
from tests.unit.core.samples import before
from tests.unit.test_compile import BUNDLE
from tests.unit.test_compile import steps as compiled


def test_networkmanagers_own_notes_are_left_out() -> None:
    text = "[connection]\nid=peth0\n\n[.nmmeta]\nshadowed-storage=/etc/x\nshadowed-owned=true\n\n[ipv4]\nmethod=auto\n"
    assert without_meta(text) == "[connection]\nid=peth0\n\n[ipv4]\nmethod=auto\n"


def shows(monkeypatch: pytest.MonkeyPatch, *shown: dict[str, Any], addresses: dict[str, list[str]]) -> None:
    plain = {"kind": None, "master": None, "promiscuous": False, "address": "x", "mtu": 1500, "up": True}
    rows = {row["name"]: {**plain, **{k: v for k, v in row.items() if k in (*plain, "name")}} for row in shown}
    kinds = [{"ifname": r["name"], "link": r.get("over"), "linkinfo": {"info_data": r.get("data", {})}} for r in shown]
    monkeypatch.setattr(links, "read_links", lambda shown: rows)
    monkeypatch.setattr(links, "read_ip_links", lambda: kinds)
    monkeypatch.setattr(links, "read_addresses", lambda: addresses)
    monkeypatch.setattr(links, "read_routes", list)


def test_what_the_kernel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch, {"name": "peth0", "promiscuous": True, "up": False}, addresses={"peth0": []})
    wanted: list[dict[str, Any]] = [
        {"name": "peth0", "master": "eth0", "promiscuous": True, "addresses": ["10.0.0.1/8"], "routes": []},
        {"name": "eth0", "addresses": [], "routes": []},
    ]
    assert missing(wanted) == [
        "peth0: master is None, not eth0",
        "peth0: has not the address 10.0.0.1/8",
        "peth0 is down",
        "eth0 is not there",
    ]


def test_what_is_there_but_otherwise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    shows(
        monkeypatch,
        {"name": "br0", "kind": "bridge", "data": {"stp_state": 1}},
        {"name": "eth0.2", "kind": "vlan", "over": "eth0", "data": {"id": 2}},
        {"name": "mvt0", "kind": "macvtap", "over": "eth0.2", "data": {"mode": "vepa"}},
        addresses={"br0": ["10.0.0.1/8", "fe80::1/64"], "eth0.2": ["fe80::2/64"]},
    )
    plain: dict[str, Any] = {"addresses": [], "routes": []}
    assert missing(
        [
            {"name": "br0", "kind": "bridge", "stp": 0, "without": [4, 6], **plain},
            {"name": "eth0.2", "kind": "vlan", "base": "eth1", "tag": 3, "without": [4, 6], **plain},
            {"name": "mvt0", "kind": "macvtap", "base": "eth0.2", "mode": "bridge", **plain},
        ]
    ) == [
        "br0: stp is 1, not 0",
        "br0: has still the address 10.0.0.1/8",
        "eth0.2: base is eth0, not eth1",
        "eth0.2: tag is 2, not 3",
        "mvt0: mode is vepa, not bridge",
    ]


def test_a_bonds_options_are_read_in_the_kernels_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch, {"name": "bond0", "kind": "bond"}, addresses={})
    shown = {
        "mode": "active-backup 1\n",
        "miimon": "100\n",
        "arp_ip_target": "10.0.0.1 10.0.0.2\n",
        "use_carrier": "1\n",
    }
    for option, text in {**shown, "primary": "\n", "lacp_rate": "slow 0\n"}.items():
        (tmp_path / option).write_text(text)
    monkeypatch.setattr(readback, "BONDING", str(tmp_path))
    wanted = {"mode": "active-backup", "miimon": 100, "arp_ip_target": "10.0.0.2,10.0.0.1", "use_carrier": True}
    want = {"name": "bond0", "addresses": [], "routes": []}
    assert missing([{**want, "bond": {**wanted, "balance_slb": True}}]) == []
    wrong = {"primary": "eth0", "lacp_rate": "fast", "mode": "802.3ad"}
    assert missing([{**want, "bond": wrong}]) == [
        "bond0: primary is not set, not eth0",
        "bond0: lacp_rate is slow 0, not fast",
        "bond0: mode is active-backup 1, not 802.3ad",
    ]


def test_what_is_to_be_down_has_no_address_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "read_ip_links", lambda: [{"ifname": "eth1", "flags": ["UP"]}])
    monkeypatch.setattr(links, "read_addresses", lambda: {"eth1": ["fe80::1/64", "192.0.2.7/24"]})
    monkeypatch.setattr(links, "read_routes", list)
    assert missing([{"name": "eth1", "down": True}]) == ["eth1: has still the address 192.0.2.7/24"]
    monkeypatch.setattr(links, "read_addresses", lambda: {"eth1": ["fe80::1/64"]})
    assert missing([{"name": "eth1", "down": True}]) == []


def test_a_profile_of_what_is_down_starts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    manager = SimpleNamespace(
        change_in_memory=lambda uuid, changes: done.append((uuid, changes)),
        save=lambda uuids: done.append(uuids) or ["/etc/a"],
    )
    monkeypatch.setattr(files, "sync_files", done.append)
    assert DO["stay down"](SimpleNamespace(manager=manager), {"uuids": ["u-1"]}) == "/etc/a"  # type: ignore[arg-type]
    assert done == [("u-1", {"connection": {"autoconnect": ("b", False)}}), ["u-1"], ["/etc/a"]]


def test_what_networkmanager_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    used = SimpleNamespace(name_servers=lambda: NameServers(["10.0.0.1"], ["example.org"]))
    assert unknown_servers(used, {"server": ["10.0.0.1", "10.0.0.2"], "search": ["a.org"]}) == [  # type: ignore[arg-type]
        "NetworkManager does not use the name server 10.0.0.2",
        "NetworkManager does not use the search domain a.org",
    ]
    none = SimpleNamespace(name_servers=lambda: NameServers([], []))  # it does not tell the domains then
    assert unknown_servers(none, {"search": ["a.org"]}) == []  # type: ignore[arg-type]
    held = SimpleNamespace(states=lambda names: {"a": 100, "b": 70, "c": 50})
    assert late(held, ["a", "b", "c", "d"]) == ["c", "d"]  # type: ignore[arg-type]


def follow(*events: dict[str, Any], state: Path = Path("/nowhere")) -> tuple[Any, list[str]]:
    text = "".join(json.dumps(event) + "\n" for event in events)
    told: list[str] = []
    return launch.follow(io.StringIO(text), state, "T", lambda e: told.append(e["event"])), told


def test_following_ends_with_the_transaction() -> None:
    assert follow({"event": "do"}, {"event": "end", "outcome": "kept"}) == (0, ["do", "end"])
    assert follow({"event": "end", "outcome": "rolled back"})[0] == 3
    assert follow({"event": "undo"}, {"event": "not-verified", "differences": []})[0] == 4


def test_following_notices_that_the_worker_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: False)
    clock = iter(float(n) for n in range(0, 1000, 3))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    assert follow({"event": "do"}, state=tmp_path) == (None, ["do"])


def test_following_asks_systemd_only_when_nobody_has_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process every few seconds takes the processor from NetworkManager."""
    taken = iter([True, True, False])
    asked: list[str] = []
    monkeypatch.setattr(lock, "is_locked", lambda state: state == tmp_path and next(taken))
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: bool(asked.append(unit)))
    monkeypatch.setattr(launch, "LOOK", 0)
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert follow({"event": "do"}, state=tmp_path) == (None, ["do"])
    assert asked == [launch.unit_name("T")] and next(taken, None) is None


@pytest.mark.guarantee("G07")
def test_an_open_transaction_refuses_the_next(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    with pytest.raises(Refused, match="a transaction is open") as refused, launch.state_directory(tmp_path):
        pass
    assert refused.value.hint is not None and "rescue.pyz" in refused.value.hint


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (
        launch.state_directory(tmp_path),
        pytest.raises(Refused, match="another kvmnet"),
        launch.state_directory(tmp_path),
    ):
        pass
    with launch.state_directory(tmp_path) as path:
        assert path.stat().st_mode & 0o777 == 0o700


def test_the_words_of_the_end() -> None:
    assert outcome_text(0, 0.4, "10.1.1.1").endswith("(10.1.1.1 did not reply for at most 0.4 s)")
    assert "rolled back" in outcome_text(3, None, None)
    assert event_text({"event": "done", "step": 0, "seconds": 1.25}, ["rename"]) == "ok   rename (1.2 s)"
    assert event_text({"event": "begin"}, []) is None


def program(folder: Path, *lines: str) -> str:
    file = folder / "nmstatectl"
    file.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    file.chmod(0o755)
    return str(file)


def test_nmstates_reason_is_found_in_its_log(tmp_path: Path) -> None:
    ctl = Nmstatectl(
        program(tmp_path, "echo '[x INFO y] begun' >&2", "echo 'NmstateError: Verification: no' >&2", "exit 1")
    )
    with pytest.raises(NmstateError, match=r"^NmstateError: Verification: no$") as raised:
        ctl.apply({}, 5, tmp_path / "log")
    assert "begun" in raised.value.details


def test_a_hanging_nmstate_is_killed(tmp_path: Path) -> None:
    ctl = Nmstatectl(program(tmp_path, "exec sleep 60"))
    with pytest.raises(Exception, match="timed out"):
        ctl.apply({}, -59, tmp_path / "log")


def test_without_nmstate_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(NmstateError, match="dnf install python3-libnmstate"):
        find_backend("nmstatectl")


def test_the_checksum_of_rfc_1071() -> None:
    assert _checksum(bytes([8, 0, 0, 0, 0, 1, 0, 1])) == 0xF7FD


def test_how_long_a_neighbour_was_away() -> None:
    assert longest_gap([], 9.0) is None
    assert longest_gap([1.0, 1.1, 1.2, 2.0, 2.1], 2.1) == 0.7
    assert longest_gap([1.0, 1.1], 16.2) == 15.0, "it was still away at the end"


def test_a_worker_that_systemd_does_not_start_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()

    def refuse(*words: str, **_: object) -> str:
        if "--on-active=5" in words or words[0] == "systemctl":
            return ""  # the watchdog, which is not what fails here
        assert words[0] == "systemd-run"
        assert words[words.index("-I") - 2] == "/usr/bin/env", "SELinux: no program of a venv by systemd"
        raise HostError("systemd-run: no")

    monkeypatch.setattr(programs, "run", refuse)
    with pytest.raises(Refused, match="does not start the worker"):
        launch.start(tmp_path, "T")
    assert not (tmp_path / "open").exists()


class Checkpoints:
    """A NetworkManager that has checkpoints, by path with when each was made."""

    def __init__(self, **made: int) -> None:
        self.made = {f"/Checkpoint/{name}": at for name, at in made.items()}

    def checkpoints(self) -> list[str]:
        return list(self.made)

    def created(self, path: str) -> int:
        return self.made[path]

    def destroy_checkpoint(self, path: str) -> None:
        del self.made[path]


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (Checkpoints(a=300, b=100), True),
        (Checkpoints(b=100), False),  # its time was over
        (Checkpoints(a=350), False),  # NetworkManager was started anew, and another tool's has the path
    ],
)
def test_only_the_checkpoint_of_the_trial_is_ended(tmp_path: Path, later: Checkpoints, kept: bool) -> None:
    def applied(state: Any, timeout: int, log: Path, *, verify: bool) -> None:
        log.write_text("Created checkpoint /Checkpoint/a\n")

    def context(manager: Checkpoints) -> Any:
        return step_actions.Context(tmp_path, SimpleNamespace(apply=applied), manager)  # type: ignore[arg-type]

    step = {"state": {}, "timeout": 120, "log": "nmstate.log"}
    assert step_actions.apply(context(Checkpoints(a=300)), step) == "/Checkpoint/a"
    before = dict(later.made)
    if kept:
        assert step_actions.commit(context(later), step) == "/Checkpoint/a"
        assert list(later.made) == ["/Checkpoint/b"]
    else:
        with pytest.raises(step_actions.StepFailed, match="the trial's checkpoint is gone"):
            step_actions.commit(context(later), step)
        assert later.made == before


# ---- what fails before a transaction is open


#: The rescue program, which no test here runs.
PROGRAM = b"PK"


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """A change of a host on which the rescue program, the units and the snapshot come to be, so far."""
    monkeypatch.setattr(safeguards, "UNIT_DIR", tmp_path / "units")
    (tmp_path / "units" / "multi-user.target.wants").mkdir(parents=True)
    monkeypatch.setattr(programs, "run", lambda *words, **_: "")
    monkeypatch.setattr(snapshot, "take_snapshot", lambda *_: {"files": []})
    return Prepared(assess(BUNDLE, before()), "nmstatectl", compiled())


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


def opened(state: Path) -> list[str]:
    return [path.name for path in state.iterdir() if path.name.startswith("open")]


def test_a_transaction_is_written_whole(tmp_path: Path, prepared: Prepared) -> None:
    identity = launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert opened(tmp_path) == ["open"]
    assert files.read_json(tmp_path / "open" / "transaction.json")["id"] == identity
    assert (tmp_path / "open" / "ballast").stat().st_size == state_folder.BALLAST_SIZE
    assert [e["event"] for e in Journal(tmp_path / "open").events()] == ["begin"]


def test_systemd_reads_its_units_anew_only_where_it_may_have_read_them(
    tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes systemd seconds on a host of many interfaces, in which nobody else gets an answer from it."""
    asked: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *words, **_: asked.append(" ".join(words[:3])) or "")
    wants = tmp_path / "units" / "multi-user.target.wants"

    def by_systemctl() -> list[str]:
        safeguards.install(tmp_path, PROGRAM)
        told = [words for words in asked if words.startswith("systemctl")]
        asked.clear()
        return told

    assert by_systemctl() == ["systemctl enable --no-reload"]
    for name in safeguards.UNITS:
        (wants / name).symlink_to(tmp_path / "units" / name)
    assert by_systemctl() == []
    (tmp_path / "units" / name).write_text("of an older kvmnet")
    assert by_systemctl() == ["systemctl daemon-reload"]


def test_a_transaction_says_by_what_a_word_proves_something(tmp_path: Path, prepared: Prepared) -> None:
    launch.open_transaction(tmp_path, replace(prepared, proving=("stor",)), PROGRAM)
    assert files.read_json(tmp_path / "open" / "transaction.json")["proving"] == ["stor"]


@pytest.mark.parametrize(
    ("before", "stamp"),
    [
        (["29990101-000000-99"], "29990101-000001"),  # the clock was set back; and 1000, which sorts before 99
        (["29991231-235959-7", "29991231-235958-8"], "30000101-000000"),
        (["29990101-000000-99", "29990101-000000-100", "20200101-000000-1"], "29990101-000001"),
    ],
)
def test_an_id_is_later_than_all_that_have_been_whatever_the_clock_says(
    tmp_path: Path, prepared: Prepared, before: list[str], stamp: str
) -> None:
    for name in before:
        (tmp_path / "history" / name).mkdir(parents=True)
    assert launch.open_transaction(tmp_path, prepared, PROGRAM) == f"{stamp}-{os.getpid()}"
    closing.close_transaction(tmp_path, "kept")
    assert [one.id for one in ended(tmp_path)] == [f"{stamp}-{os.getpid()}"]
    assert max((tmp_path / "history").iterdir()).name.startswith(stamp)


def test_an_id_is_of_now_where_nothing_is_later(tmp_path: Path) -> None:
    for name in ("20200101-000000-1", "1790000000", "29990101-1", "lost+found"):  # those after are no ids
        (tmp_path / "history" / name).mkdir(parents=True)
    begun = datetime.strptime(launch.next_id(tmp_path).rpartition("-")[0] + "+0000", f"{launch.STAMP}%z")
    assert abs((datetime.now(timezone.utc) - begun).total_seconds()) < 60


@pytest.mark.parametrize(
    "error", [HostError("nmcli: no answer within 30 s"), PermissionError(errno.EACCES, "no", "/etc/x")]
)
def test_a_host_that_cannot_be_read_for_the_snapshot_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared, error: Exception
) -> None:
    monkeypatch.setattr(snapshot, "take_snapshot", raising(error))
    with pytest.raises(Refused) as refused:
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert (refused.value.code, refused.value.exit_code) == ("KVN512", 5)
    assert opened(tmp_path) == []


@pytest.mark.guarantee("G60")
@pytest.mark.parametrize(
    "file", ["snapshot.json", "transaction.json", "ballast", "rescue.pyz", "kvmnet-boot-undo.service"]
)
@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "KVN510"), (errno.EDQUOT, "KVN510"), (errno.EROFS, "KVN509")]
)
def test_what_the_disk_does_not_take_is_a_refusal_of_which_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared, file: str, number: int, code: str
) -> None:
    write = files.write_file

    def refuse(path: str, *rest: Any) -> None:
        if Path(path).name == file:
            raise OSError(number, "the disk says no")
        write(path, *rest)

    monkeypatch.setattr(files, "write_file", refuse)
    with pytest.raises(Refused, match="the disk says no") as refused:
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert refused.value.code == code
    assert opened(tmp_path) == []


@pytest.mark.parametrize("word", ["mkdir", "rename"])
def test_so_is_a_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared, word: str
) -> None:
    safeguards.install(tmp_path, PROGRAM)
    monkeypatch.setattr(safeguards, "install", lambda *_: None)
    monkeypatch.setattr(Path, word, raising(OSError(errno.EIO, "broken")))
    with pytest.raises(Refused, match="broken") as refused:
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert refused.value.code == "KVN509"
    assert opened(tmp_path) == []


def test_a_rename_that_may_not_last_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    sync = files.sync_folder
    fail = raising(OSError(errno.EIO, "broken"))
    monkeypatch.setattr(files, "sync_folder", lambda path: fail() if (tmp_path / "open").exists() else sync(path))
    with pytest.raises(Refused, match="broken"):
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert opened(tmp_path) == []


def test_a_bug_stays_a_bug_and_leaves_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    monkeypatch.setattr(Journal, "append", raising(KeyError("x")))
    with pytest.raises(KeyError):
        launch.open_transaction(tmp_path, prepared, PROGRAM)
    assert opened(tmp_path) == []


def test_a_state_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused) as refused, launch.state_directory(tmp_path / "file" / "kvmnet"):
        pass
    assert refused.value.code == "KVN509"


def test_a_failure_of_the_work_under_the_lock_is_not_told_as_the_locks(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), launch.state_directory(tmp_path):
        raise BlockingIOError("another one's")


def test_a_machine_that_can_start_no_process_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(programs, "run", raising(OSError(errno.ENOMEM, "Cannot allocate memory")))
    with pytest.raises(Refused, match="Cannot allocate memory"):
        launch.start(tmp_path, "T")
    assert opened(tmp_path) == []
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(safeguards, "arm", lambda *_: None)
    with pytest.raises(Refused, match="does not start the worker"):
        launch.start(tmp_path, "T")
    assert opened(tmp_path) == []


# ---- the boot's units


def settings(unit: str) -> dict[str, str]:
    text = safeguards.UNITS[unit].format(state="/var/lib/kvmnet", python=programs.SYSTEM_PYTHON)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_what_a_boot_cannot_verify_is_tried_again_but_not_for_ever() -> None:
    """Exit 4 is the failure that counts; 3 is an undo that was verified. systemd gives a try that takes too long 90 s
    to end, and counts only the tries that began within the interval."""
    verify = settings("kvmnet-boot-verify.service")
    assert (verify["Type"], verify["Restart"], verify["SuccessExitStatus"]) == ("oneshot", "on-failure", "3")
    tries, hours = int(verify["StartLimitBurst"]), verify["StartLimitIntervalSec"]
    longest = int(verify["TimeoutStartSec"]) + 90 + int(verify["RestartSec"])
    assert tries == 10 and hours.endswith("h") and tries * longest < 3600 * int(hours[:-1])


def test_before_networkmanager_there_is_one_try() -> None:
    """The boot waits for it, and the unit after it does all of it again."""
    assert "Restart" not in settings("kvmnet-boot-undo.service")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name, text in safeguards.UNITS.items():
        (tmp_path / name).write_text(text.format(state="/var/lib/kvmnet", python=sys.executable))
    words = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "kvmnet-boot" in line]
    assert ours == [], done.stderr


# ---- they go with the removal


@pytest.fixture
def unit_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A transaction is open, whose steps all succeed, and the boot's units are in place; their folder."""
    (tmp_path / "state" / "open").mkdir(parents=True)
    folder = tmp_path / "units"
    folder.mkdir()
    for name in safeguards.UNITS:
        (folder / name).write_text("")
    monkeypatch.setattr(safeguards, "UNIT_DIR", folder)
    monkeypatch.setattr(programs, "run", lambda *words, **_: "")
    monkeypatch.setattr(worker, "_run_steps", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return folder


def worked(state: Path, *, removes: bool) -> tuple[int, Any]:
    """What the worker returns, and the last word of the journal that is in the history then."""
    held: dict[str, Any] = {"id": "T", "steps": [], "watch": None, "backend": "nmstatectl", "removes": removes}
    (state / "open" / "transaction.json").write_text(json.dumps(held))
    code = worker.work(state)
    assert not (state / "open").exists()
    return code, Journal(state / "history" / "T").events()[-1]["outcome"]


@pytest.mark.parametrize("removes", [True, False])
def test_the_worker_of_a_removal_takes_the_units_away(unit_folder: Path, removes: bool) -> None:
    """Whoever called it may be gone: its session went with the NIC."""
    assert worked(unit_folder.parent / "state", removes=removes) == (0, "kept")
    assert [path.name for path in sorted(unit_folder.iterdir())] == ([] if removes else sorted(safeguards.UNITS))


def test_they_go_when_all_is_closed_and_while_nobody_else_can_begin(
    unit_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = unit_folder.parent / "state"
    seen: list[bool] = []

    def look() -> None:
        with pytest.raises(BlockingIOError), lock.hold_lock(state, wait_for=False):
            pass
        seen.append((state / "open").exists())

    monkeypatch.setattr(safeguards, "uninstall", look)
    assert worked(state, removes=True) == (0, "kept")
    assert seen == [False]


@pytest.mark.parametrize("error", [HostError("no"), OSError(errno.EROFS, "no"), KeyError("x")])
def test_units_that_stay_make_no_removal_fail(
    unit_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(safeguards, "uninstall", raising(error))
    assert worked(unit_folder.parent / "state", removes=True) == (0, "kept")


def test_a_unit_that_cannot_be_taken_away_keeps_no_other(unit_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = safeguards.UNITS
    remove = files.remove_file
    fail = raising(OSError(errno.EIO, "broken"))
    monkeypatch.setattr(programs, "run", raising(HostError("no")))
    monkeypatch.setattr(files, "remove_file", lambda path: fail() if path.endswith(first) else remove(path))
    safeguards.uninstall()
    assert rest and [path.name for path in unit_folder.iterdir()] == [first]


def test_a_removal_has_ended_when_its_worker_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the units might still be there, and the lock taken."""
    asked: list[str] = []
    monkeypatch.setattr(units, "is_unit_alive", lambda unit: bool(asked.append(unit)) or len(asked) < 3)
    for identity, removes in (("T", True), ("U", False)):
        (tmp_path / "history" / identity).mkdir(parents=True)
        (tmp_path / "history" / identity / "transaction.json").write_text(json.dumps({"removes": removes}))
        launch.wait_closed(tmp_path, identity, launch.KEPT)
    launch.wait_closed(tmp_path, "T", launch.UNDONE)
    assert asked == [launch.unit_name("T")] * 3


# ---- guests' ports


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An open transaction with two guests' taps in its snapshot; the loss of vnet1's guest was allowed."""
    tap = {"kind": "tap", "index": 7, "of": "br0", "settings": {}}
    (tmp_path / "snapshot.json").write_text(json.dumps({"guests": {"vnet0": tap, "vnet1": {**tap, "index": 8}}}))
    (tmp_path / "transaction.json").write_text(json.dumps({"lost": ["vnet1"]}))
    monkeypatch.setattr(step_actions, "missing", lambda _: [])
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what() or what())
    return SimpleNamespace(folder=tmp_path, manager=None)


def kernel(monkeypatch: pytest.MonkeyPatch, *, refuses: bool) -> list[str]:
    """Both taps are of nothing; returns what is asked of the kernel."""
    rows = [{"ifname": n, "ifindex": i, "linkinfo": {}} for n, i in (("br0", 3), ("vnet0", 7), ("vnet1", 8))]
    done: list[str] = []

    def run(*argv: str) -> str:
        if refuses:
            raise HostError("no")
        done.append(" ".join(argv[4:]))
        rows[1]["master"] = "br0"
        return ""

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(programs, "run_json", lambda *argv: rows[1:2] if "dev" in argv else rows)
    return done


def test_a_guests_tap_that_a_change_detached_is_put_back_and_read_back(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = kernel(monkeypatch, refuses=False)
    assert (
        step_actions.read_back(context, {"expect": [], "sent": [], "dns": {}})
        == "0 interfaces as defined, 1 guests' ports as before"
    )
    assert done == ["vnet0 master br0"], "vnet1's guest was given up"


def test_a_guests_tap_that_cannot_be_put_back_undoes_the_change(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, refuses=True)
    with pytest.raises(step_actions.StepFailed, match=r"guests vnet0: was a port of br0, is of nothing$"):
        step_actions.read_back(context, {"expect": [], "sent": [], "dns": {}})


def test_networkmanager_is_asked_of_one_device_until_it_is_up_then_of_all_and_of_some_that_were_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers slowly while it brings sixty up, and every answer costs it time."""
    asked: list[str] = []
    ready = iter(["", "", "a", "ab", "ab", "abcg", "abcdefg", "abcdefg"])

    def states(names: list[str]) -> dict[str, int]:
        asked.append("".join(names))
        up = next(ready)
        return {name: 100 if name in up else 50 for name in names}

    monkeypatch.setattr(step_actions, "missing", lambda _: [])
    monkeypatch.setattr(time, "sleep", lambda _: None)
    context: Any = SimpleNamespace(folder=tmp_path, manager=SimpleNamespace(states=states))
    step_actions.read_back(context, {"expect": [], "sent": list("abcdefg"), "dns": {}})
    assert asked == ["a", "a", "a", "abcdefg", "cdef", "cdef", "cdef", "abcdefg"]


def test_a_device_that_went_down_again_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def states(names: list[str]) -> dict[str, int]:
        return {"a": 100, "b": 30} if len(names) > 1 else {names[0]: 100}

    monkeypatch.setattr(step_actions, "missing", lambda _: [])
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what())
    context: Any = SimpleNamespace(folder=tmp_path, manager=SimpleNamespace(states=states))
    with pytest.raises(step_actions.StepFailed, match=r"has not brought b up$"):
        step_actions.read_back(context, {"expect": [], "sent": ["a", "b"], "dns": {}})


def test_an_interface_in_the_zone_of_a_profile_that_was_there_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking goes out and is answered in zone drop too; who comes in is not."""
    monkeypatch.setattr(step_actions, "missing", lambda _: [])
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what())
    monkeypatch.setattr(firewalld, "is_running", lambda: True)
    context: Any = SimpleNamespace(folder=tmp_path, manager=None)
    step = {"expect": [], "sent": [], "dns": {}, "zones": {"eth0": "trusted"}}
    monkeypatch.setattr(firewalld, "read_zones", lambda: {"eth0": "trusted"})
    assert step_actions.read_back(context, step) == "0 interfaces as defined"
    monkeypatch.setattr(firewalld, "read_zones", lambda: {"eth0": "drop"})
    with pytest.raises(step_actions.StepFailed, match="eth0 is in zone drop, not trusted"):
        step_actions.read_back(context, step)


class Saving:
    """NetworkManager with profiles on disk and in memory: interface name -> file."""

    def __init__(self, **files: str) -> None:
        self.held, self.saved, self.folder = files, list[str](), networkmanager.PROFILE_FOLDERS[0]

    def active(self, names: list[str]) -> dict[str, str]:
        return {name: name for name in names if name in self.held}

    def files(self, uuids: list[str]) -> list[str]:
        return [self.held[uuid] for uuid in uuids]

    def save(self, uuids: list[str]) -> list[str]:
        self.saved += uuids
        return [f"{self.folder}/{uuid}" for uuid in uuids]


def test_of_what_may_have_changed_only_what_is_in_memory_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "sync_files", lambda files: None)
    manager = Saving(br0="/run/br0", br1="/etc/br1", eth0="/etc/eth0")
    context = SimpleNamespace(manager=manager)
    step = {"interfaces": [["br0", "br1", "br2"], ["eth0"]], "perhaps": ["br0", "br1", "br2"]}
    told = [f"{networkmanager.PROFILE_FOLDERS[0]}/{name}" for name in ("br0", "eth0")]
    assert DO["save"](context, step) == ", ".join(told)  # type: ignore[arg-type]
    assert manager.saved == ["br0", "eth0"]
    manager.folder = "/etc/sysconfig/network-scripts"  # an ifcfg file is written in its place
    with pytest.raises(StepFailed, match=r"profile of br0 to .*/br0: none of its keyfiles"):
        DO["save"](context, step)  # type: ignore[arg-type]
    with pytest.raises(StepFailed, match="no active connection profile has br2"):
        DO["save"](context, {**step, "perhaps": []})  # type: ignore[arg-type]


def test_an_iaid_goes_into_what_nmstate_has_made_and_nowhere_else() -> None:
    told: list[Any] = []
    by = {"u-1": "mac", "u-2": "7"}
    manager = SimpleNamespace(
        active=lambda names: {"br0": "u-1", "br1": "u-2"},
        value=lambda uuid, setting, key: by[uuid] if (setting, key) == ("ipv6", "dhcp-iaid") else None,
        change_in_memory=lambda *change: told.append(change),
        reapply=told.append,
    )
    context: Any = SimpleNamespace(manager=manager)
    assert DO["associations"](context, {"interfaces": {"br0": "5", "br1": "6"}}) == "br0 5"
    assert told == [("u-1", {"ipv6": {"dhcp-iaid": ("s", "5")}}), "br0"]
    with pytest.raises(StepFailed, match="no active connection profile has br2"):
        DO["associations"](context, {"interfaces": {"br2": "5"}})


def test_a_profile_that_a_person_activated_since_is_not_the_one_to_be_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *words, **_: ran.append(" ".join(words[3:])) or "")
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {}, "eth1": {}, "eth2": {}, "eth3": {}})
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what())
    active = {"eth0": "u-0", "eth1": "u-theirs", "eth2": "u-2", "eth3": "u-theirs"}
    manager = SimpleNamespace(activated=lambda name: True, active=lambda names: {name: active[name] for name in names})
    context: Any = SimpleNamespace(manager=manager)
    step = {"profiles": {f"eth{n}": f"u-{n}" for n in range(4)}, "again": ["eth0", "eth1"]}
    DO["activate"](context, step)
    up = "connection up uuid u-{0} ifname eth{0}"
    assert ran == ["device reapply eth0", up.format(1), up.format(3)]


def test_a_removal_that_leaves_a_profile_of_kvmnets_is_no_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyfile = tmp_path / "br5.nmconnection"
    keyfile.write_text("[connection]\nuuid=u-br5\n")
    (tmp_path / "original").mkdir()
    nothing: dict[str, Any] = {"files": [], "uuids": [], "links": {}}
    (tmp_path / "original" / "snapshot.json").write_text(json.dumps(nothing))
    monkeypatch.setattr(networkmanager, "PROFILE_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(links, "read_links", dict)
    monkeypatch.setattr(restore, "SETTLE_SECONDS", 0)
    context: Any = SimpleNamespace(folder=tmp_path)
    with pytest.raises(StepFailed, match=f"file {keyfile}: kvmnet made it, and it is still there"):
        DO["as before"](context, {"gone": ["u-br5"]})
    keyfile.unlink()
    assert DO["as before"](context, {"gone": ["u-br5"]}) == "0 NICs, 0 files as before"
