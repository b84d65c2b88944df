"""Tests of kvmnet/hook.py with a simulated kernel: folders as devices, and a list of the commands of `ip`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from kvmnet import hook
from kvmnet.core.rendering.hook_record import hook_record
from kvmnet.pipeline import load

RECORD = hook_record(load("tests/golden/good/attach/cluster.yaml").bundle("a"))


class Kernel:
    """Devices as /sys/class/net shows them; `commands` are those that `ip` got, `failing` makes commands with this text
    fail."""

    def __init__(self, net: Path) -> None:
        self.net, self.commands, self.failing = net, list[str](), ""
        self.vlans: dict[str, tuple[str, int]] = {}
        for name in ("peth0", "eth0", "peth0.3"):
            (net / name).mkdir()
            (net / name / "mtu").write_text("1500")

    def ip(self, *commands: str) -> None:
        for command in commands:
            self.commands.append(command)
            words = command.split()
            if self.failing and self.failing in command:
                raise hook.Refused("RTNETLINK answers: Numerical result out of range")
            if words[:2] == ["link", "add"]:
                (self.net / words[5]).mkdir()
                (self.net / words[5] / "mtu").write_text((self.net / words[3] / "mtu").read_text())
                self.vlans[words[5]] = (words[3], int(words[9]))
            elif words[:2] == ["link", "delete"]:
                shutil.rmtree(self.net / words[3])
                del self.vlans[words[3]]
            elif "mtu" in words:
                (self.net / words[3] / "mtu").write_text(words[words.index("mtu") + 1])

    @property
    def created(self) -> list[str]:
        return sorted(self.vlans)


def remove_at_once(devices: list[str], lock: int) -> None:
    """Remove devices as the hook does in the background."""
    for device in devices:
        hook.remove_vlan(device)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    (tmp_path / "net").mkdir()
    (tmp_path / "status").mkdir()
    simulated = Kernel(tmp_path / "net")
    monkeypatch.setattr(hook, "NET", str(tmp_path / "net"))
    monkeypatch.setattr(hook, "RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(hook, "STATUS_DIR", str(tmp_path / "status"))
    monkeypatch.setattr(hook, "RECORD", str(tmp_path / "hook.json"))
    monkeypatch.setattr(hook, "run_ip", simulated.ip)
    monkeypatch.setattr(hook, "read_vlan", simulated.vlans.get)
    monkeypatch.setattr(hook, "remove_vlans_in_background", remove_at_once)
    (tmp_path / "hook.json").write_text(json.dumps(RECORD))
    return simulated


def domain(name: str, *devices: str, extra: str = "") -> str:
    nics = "".join(f"<interface type='direct'><source dev='{d}' mode='bridge'/></interface>" for d in devices)
    return f"<domain><name>{name}</name><uuid>uuid-{name}</uuid><devices>{nics}{extra}</devices></domain>"


def call(operation: str, xml: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(xml.encode())))
    return hook.main(["name", operation, "begin", "-"])


def write_status_file(tmp_path: Path, name: str, *devices: str, pid: Optional[int] = None) -> None:
    """Write libvirt's file of a running guest; without `pid`, the process of the test is the guest's."""
    pid = os.getpid() if pid is None else pid
    (tmp_path / f"status/{name}.xml").write_text(f"<domstatus pid='{pid}'>{domain(name, *devices)}</domstatus>")


@pytest.mark.guarantee("G71")
def test_a_device_is_created_for_the_first_guest_and_removed_after_the_last(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("prepare", domain("one", "peth0.2", "peth0.2"), monkeypatch) == 0
    assert kernel.commands == [
        "link add link peth0 name peth0.2 type vlan id 2",
        "link set dev peth0.2 arp off addrgenmode none",
        "link set dev peth0.2 up",
    ]
    assert call("prepare", domain("two", "peth0.2"), monkeypatch) == 0
    assert len(kernel.commands) == 3
    for operation in ("start", "started", "stopped"):
        assert call(operation, domain("one", "peth0.2"), monkeypatch) == 0
    assert call("release", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.created == ["peth0.2"]
    assert call("release", domain("two", "peth0.2"), monkeypatch) == 0
    assert kernel.created == [] and hook.list_entries("vlans") == [] and hook.list_entries("users") == []


def test_a_device_gets_the_mtu_of_the_definition(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = {**RECORD, "vlans": {"peth0.2": {"base": "peth0", "tag": 2, "mtu": 9000}}}
    (tmp_path / "hook.json").write_text(json.dumps(record))
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    assert "link set dev peth0.2 arp off addrgenmode none mtu 9000" in kernel.commands


def write_record(tmp_path: Path, mtu: Optional[int]) -> None:
    """Write the record of a definition with this MTU of VLAN 2."""
    record = {**RECORD, "vlans": {"peth0.2": {"base": "peth0", "tag": 2, "mtu": mtu}}}
    (tmp_path / "hook.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("first", "then", "is_then"),
    [(1400, 9000, 9000), (9000, 1400, 9000), (None, 1400, 1500), (1400, None, 1500), (9000, None, 9000)],
)
def test_the_mtu_of_an_existing_device_is_raised_but_not_lowered(
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    first: Optional[int],
    then: Optional[int],
    is_then: int,
) -> None:
    """The definition has changed while a guest runs, which keeps sending frames of the old size."""
    write_record(tmp_path, first)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    assert hook.read_mtu("peth0.2") == (first or 1500)
    write_record(tmp_path, then)
    assert call("prepare", domain("two", "peth0.2"), monkeypatch) == 0
    assert hook.read_mtu("peth0.2") == is_then
    hook.remove_entry("vlans", "peth0.2")  # as a device that was created by hand
    write_record(tmp_path, 9216)
    assert call("prepare", domain("three", "peth0.2"), monkeypatch) == 0
    assert hook.read_mtu("peth0.2") == is_then


def test_an_mtu_above_that_of_the_base_interface_is_an_error_with_a_hint(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.failing = "mtu 9000"
    write_record(tmp_path, 9000)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    reason = "RTNETLINK answers: Numerical result out of range (peth0 has MTU 1500; `kvmnet plan` shows what differs)\n"
    assert capsys.readouterr().err == "kvmnet: VLAN 2 over peth0 cannot be created: " + reason
    write_record(tmp_path, None)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    write_record(tmp_path, 9000)
    assert call("prepare", domain("two", "peth0.2"), monkeypatch) == 1
    assert capsys.readouterr().err == "kvmnet: peth0.2 cannot have MTU 9000: " + reason


def test_the_error_names_the_device_that_already_is_this_vlan(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.failing = "link add"
    monkeypatch.setattr(hook, "find_vlan_device", lambda base, tag: {("peth0", 2): "foo"}.get((base, tag)))
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    assert "; this VLAN exists as foo (ip link delete foo)" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", '{"format": 1, "host": "a", "vla', "null", "[]", '{"vlans": null}', None])
def test_without_a_valid_record_no_guest_with_our_devices_starts_and_none_loses_its_device(
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: Optional[str],
) -> None:
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    (tmp_path / "bundle.json").write_text("{}")
    if text is None:
        (tmp_path / "hook.json").unlink()
    else:
        (tmp_path / "hook.json").write_text(text)
    for device in ("peth0.2", "peth0.7"):
        assert call("prepare", domain("two", device), monkeypatch) == 1
        assert f"hook.json is {'missing' if text is None else 'corrupt'}" in (err := capsys.readouterr().err)
        assert "run `kvmnet apply`, which writes the file again" in err
    assert call("prepare", domain("theirs", "peth0.3"), monkeypatch) == 0, "it exists, and the hook did not create it"
    assert call("release", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.created == ["peth0.2"], "it may belong to the host now"
    assert "hook.json" in hook.read_status(hook.read_record())["damaged"]
    (tmp_path / "hook.json").write_text(json.dumps(RECORD))
    assert hook.main(["--reconcile"]) == 0
    assert kernel.created == []


def test_a_failed_reconcile_prints_the_reason(
    kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run/users/a-folder").mkdir(parents=True)
    assert hook.main(["--reconcile"]) == 1
    assert "a-folder" in capsys.readouterr().err


@pytest.mark.guarantee("G72")
@pytest.mark.parametrize("operation", ["prepare", "migrate"])
def test_a_device_that_is_not_in_the_definition_is_an_error(
    operation: str, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(operation, domain("one", "peth0.2", "peth0.7"), monkeypatch) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(
        "kvmnet: peth0.7 is not in the definition of host a (VLAN devices for guests: peth0.2): place the guest"
    )
    assert kernel.commands == [] and hook.list_entries("users") == []


def test_devices_that_kvmnet_does_not_know_are_ignored(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (kernel.net / "peth0.8").mkdir()  # created by hand
    bridged = "<interface type='bridge'><source bridge='eth0'/></interface>"
    foreign = domain("foreign", "eth7", "bond9.2", "peth0.3", "peth0", "peth0.8", extra=bridged)
    for operation in ("migrate", "prepare", "reconnect", "release"):
        assert call(operation, foreign, monkeypatch) == 0
    assert kernel.commands == [] and hook.list_entries("users") == []
    (tmp_path / "hook.json").unlink()  # nothing was applied here
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.commands == []


def test_a_failed_creation_leaves_no_device_and_no_entry(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.failing = "peth0.2 up"
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    assert "VLAN 2 over peth0 cannot be created: RTNETLINK answers: Numerical" in capsys.readouterr().err
    assert kernel.created == [] and hook.list_entries("users") == [] and hook.list_entries("vlans") == []
    shutil.rmtree(kernel.net / "peth0")
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    assert "its base interface peth0 does not exist" in capsys.readouterr().err


@pytest.mark.guarantee("G71")
def test_an_existing_device_is_used_or_refused_but_never_removed(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (kernel.net / "peth0.2").mkdir()
    kernel.vlans["peth0.2"] = ("peth0", 2)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    assert call("release", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.commands == [] and kernel.created == ["peth0.2"]
    kernel.vlans["peth0.2"] = ("peth0", 3)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    assert "peth0.2 exists but is not VLAN 2 over peth0" in capsys.readouterr().err


@pytest.mark.guarantee("G71")
def test_a_device_under_an_unknown_macvtap_is_kept(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    (kernel.net / "peth0.2/upper_macvtap7").mkdir()
    call("release", domain("one", "peth0.2"), monkeypatch)
    assert kernel.created == ["peth0.2"]
    (kernel.net / "peth0.2/upper_macvtap7").rmdir()
    call("release", domain("other"), monkeypatch)
    assert kernel.created == []


def test_the_hook_never_fails_for_a_running_guest(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """libvirt kills a guest whose reconnect hook fails."""
    assert call("reconnect", domain("one", "peth0.2", "peth0.7"), monkeypatch) == 0
    assert kernel.created == ["peth0.2"]
    kernel.failing = "link"
    assert call("reconnect", domain("two", "peth0.2"), monkeypatch) == 0
    for broken in ("<not xml", "", "<?xml version='1.0' encoding='none-such'?><domain/>"):
        assert call("reconnect", broken, monkeypatch) == 0
        assert call("prepare", broken, monkeypatch) == 1
    assert call("release", "<domain/>", monkeypatch) == 0


def test_a_device_removed_from_the_definition_is_kept_for_guests_that_use_it(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    (tmp_path / "hook.json").write_text(json.dumps({**RECORD, "vlans": {}}))
    assert call("prepare", domain("two", "peth0.2"), monkeypatch) == 1
    assert call("reconnect", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.created == ["peth0.2"]
    call("release", domain("one", "peth0.2"), monkeypatch)
    assert kernel.created == []


def test_a_device_that_now_belongs_to_the_host_is_not_removed(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    (tmp_path / "hook.json").write_text(json.dumps({**RECORD, "vlans": {}, "own": [*RECORD["own"], "peth0.2"]}))
    call("release", domain("one", "peth0.2"), monkeypatch)
    assert kernel.created == ["peth0.2"] and hook.list_entries("vlans") == []


def reconcile() -> list[str]:
    with hook.hold_lock():
        return hook.reconcile(hook.read_json(hook.RECORD))


def test_reconcile_creates_missing_and_removes_unneeded_devices(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_status_file(tmp_path, "one", "peth0.2")  # started before there was a hook
    assert reconcile() == ["created peth0.2"]
    assert reconcile() == []
    (tmp_path / "status/one.xml").unlink()
    assert reconcile() == ["removed peth0.2"]
    assert kernel.created == []


def test_reconcile_keeps_the_device_of_a_guest_that_is_starting(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    assert reconcile() == [] and kernel.created == ["peth0.2"]
    monkeypatch.setattr(hook, "START_TIMEOUT", 0.0)  # it never started, and libvirt reported nothing
    assert reconcile() == ["removed peth0.2"]


def test_reconcile_forgets_a_guest_if_libvirt_ended_during_its_start(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getppid", lambda: 2**22 + 1)  # no such process
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    assert reconcile() == ["removed peth0.2"]


def test_reconcile_ignores_status_files_of_ended_processes_and_incomplete_ones(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_status_file(tmp_path, "one", "peth0.2", pid=2**22 + 1)
    write_status_file(tmp_path, "two")
    (tmp_path / "status/torn.xml").write_text("<domstatus")
    assert reconcile() == [] and kernel.created == []


def test_reconcile_removes_a_device_with_only_orphaned_macvtaps(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest did not start because libvirt was killed. No process has its macvtap open."""
    monkeypatch.setattr(os, "getppid", lambda: 2**22 + 1)
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    over, tap = kernel.net / "peth0.2/upper_macvtap0", kernel.net / "macvtap0/macvtap/tap9"
    over.mkdir()
    monkeypatch.setattr(hook, "TAP_PATH", re.compile("/dev/null"))
    with Path("/dev/null").open("rb"):
        about = Path("/dev/null").stat()
        tap.mkdir(parents=True)
        (tap / "dev").write_text(f"{os.major(about.st_rdev)}:{os.minor(about.st_rdev)}\n")
        assert reconcile() == []  # the process of this test has it open
    (tap / "dev").write_text("4095:77\n")
    over.rename(kernel.net / "peth0.2/upper_mine0")
    assert reconcile() == []  # not a macvtap of libvirt
    (kernel.net / "peth0.2/upper_mine0").rename(over)
    monkeypatch.setattr(hook, "remove_vlan", lambda device: kernel.commands.append(f"removed {device}"))
    assert reconcile() == ["removed peth0.2"] and kernel.commands[-1] == "removed peth0.2"


def add_orphaned_macvtap(kernel: Kernel, name: str, device: str, mac: str = "") -> None:
    """Add a macvtap that no process has open."""
    (kernel.net / device / f"upper_{name}").mkdir()
    tap = kernel.net / name / "macvtap/tap9"
    tap.mkdir(parents=True)
    (tap / "dev").write_text("4095:77\n")
    (kernel.net / name / "address").write_text(f"{mac}\n")


def test_an_orphaned_macvtap_does_not_keep_the_device_of_the_last_guest(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reconcile kept the device for another guest, so the macvtap is still over it."""
    removed: list[str] = []
    monkeypatch.setattr(hook, "remove_vlans_in_background", lambda devices, lock: removed.extend(devices))
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    add_orphaned_macvtap(kernel, "macvtap0", "peth0.2")
    call("release", domain("one", "peth0.2"), monkeypatch)
    assert removed == ["peth0.2"]


def test_orphaned_macvtaps_of_a_failed_start_are_removed_at_the_next_start(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses a second macvtap with the same MAC address over one device."""
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    for number in (1, 2):
        add_orphaned_macvtap(kernel, f"macvtap{number}", "peth0.2", f"36:77:6e:c0:00:0{number}")
    commands: list[str] = []
    monkeypatch.setattr(hook, "run_ip", lambda *words: commands.extend(words))
    nic = "<interface type='direct'><mac address='36:77:6E:C0:00:02'/><source dev='peth0.2'/></interface>"
    assert call("prepare", domain("two", extra=nic), monkeypatch) == 0
    assert commands == ["link delete dev macvtap2"]


def test_status_prints_devices_guests_and_allowed_vlans(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    assert hook.main(["--status"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["devices"] == {"peth0.2": {"there": True, "guests": ["one"], "uppers": []}}
    assert status["host"] == "a" and list(status["allowed"]) == ["peth0.2"]


def test_the_hook_imports_only_light_modules_of_the_standard_library() -> None:
    """libvirt runs it as one file, isolated, without packages. Modules that are slow to import are excluded too."""
    script = (
        f"import sys, runpy; runpy.run_path({hook.__file__!r}); "
        "heavy = {'kvmnet', 'yaml', 'typer', 'subprocess', 'pathlib', 'socket', 'argparse', 'jsonschema'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stdout


def test_an_error_of_ip_is_reported_with_its_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ip").write_text('#!/bin/sh\ncat > "$0.in"\necho oh >&2\necho "Command failed -:1" >&2\nexit 1\n')
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setattr(hook, "PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(hook.Refused, match=r"^oh$"):
        hook.run_ip("link one", "link two")
    assert (tmp_path / "ip.in").read_text() == "link one\nlink two\n"
    monkeypatch.setattr(hook, "PATH", "/nonexistent")
    with pytest.raises(hook.Refused, match="program not found: ip"):
        hook.run_ip("link one")


def test_a_removal_in_the_background_holds_the_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next call waits until the devices are removed."""
    (tmp_path / "ip").write_text(f'#!/bin/sh\nsleep 0.3\nrmdir "{tmp_path}/net/$4"\n')
    (tmp_path / "ip").chmod(0o755)
    (tmp_path / "net/peth0.2").mkdir(parents=True)
    monkeypatch.setattr(hook, "PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(hook, "NET", str(tmp_path / "net"))
    monkeypatch.setattr(hook, "RUN_DIR", str(tmp_path / "run"))
    with hook.hold_lock() as lock:
        hook.write_json(f"{hook.RUN_DIR}/vlans/peth0.2", {})
        hook.remove_vlans_in_background(["peth0.2"], lock)
        assert hook.device_exists("peth0.2")
    with hook.hold_lock():
        assert not hook.device_exists("peth0.2") and hook.list_entries("vlans") == []


def test_parallel_calls_leave_exactly_the_devices_that_are_needed(tmp_path: Path) -> None:
    """With real processes: twenty guests start and end in parallel."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net/peth0").mkdir()
    (tmp_path / "hook.json").write_text(json.dumps(RECORD))
    ip = (
        "#!/bin/sh\nread -r _ what _ base _ name rest || { what=$2; name=$4; }\n"
        f'case $what in add) mkdir "{tmp_path}/net/$name";; delete) rmdir "{tmp_path}/net/$name";; esac\n'
    )
    (tmp_path / "ip").write_text(ip)
    (tmp_path / "ip").chmod(0o755)
    text = Path(hook.__file__).read_text()
    for name, value in {
        "RECORD": "hook.json", "RUN_DIR": "run", "STATUS_DIR": "status", "NET": "net",
    }.items():  # fmt: skip
        text = text.replace(f'{name} = "{getattr(hook, name)}"', f'{name} = "{tmp_path}/{value}"')
    text = text.replace(f'PATH = "{hook.PATH}"', f'PATH = "{tmp_path}:/usr/bin:/bin"')
    text = text.replace("read_vlan(device) != (base, tag)", "False")
    (tmp_path / "hook").write_text(text)

    def start(name: str, operation: str) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-I", str(tmp_path / "hook"), name, operation, "begin", "-"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(domain(name, "peth0.2"))
        process.stdin.close()
        return process

    def done(processes: list[Any]) -> list[str]:
        return [p.stderr.read() for p in processes if p.wait(60)]

    guests = [f"g{n}" for n in range(20)]
    assert done([start(name, "prepare") for name in guests]) == []
    assert (tmp_path / "net/peth0.2").is_dir() and len(list((tmp_path / "run/users").iterdir())) == 20
    mixed = [start(name, "release") for name in guests] + [start(f"h{n}", "prepare") for n in range(5)]
    assert done(mixed) == []
    assert (tmp_path / "net/peth0.2").is_dir()
    assert done([start(f"h{n}", "release") for n in range(5)]) == []
    start("last", "release").wait(60)  # it waits for the lock, which is held until the device is removed
    assert sorted(p.name for p in (tmp_path / "net").iterdir()) == ["peth0"]


@pytest.mark.guarantee("G93")
def test_the_hooks_state_is_used_only_if_no_other_user_can_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entries decide which devices the hook removes."""
    base = tmp_path / "kvmnet"
    monkeypatch.setattr(hook, "RUN_DIR", str(base / "guests"))
    umask = os.umask(0)
    try:
        with hook.hold_lock():
            hook.write_json(f"{hook.RUN_DIR}/users/web1.new", {})
    finally:
        os.umask(umask)
    created = [base, *base.rglob("*")]
    assert not [path for path in created if path.stat().st_mode & 0o022]
    assert hook.list_entries("users") == ["web1.new"], "a guest may have any name"
    for folder in (base, base / "guests", base / "guests/users", base / "guests/vlans"):
        folder.chmod(0o777)
        with pytest.raises(hook.Refused, match="only root can write"), hook.hold_lock():
            pass
        folder.chmod(0o755)
    (base / "guests/vlans").rmdir()
    (base / "guests/vlans").symlink_to(tmp_path)
    with pytest.raises(hook.Refused, match="only root can write"), hook.hold_lock():
        pass


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("own", ["eth0\nlink delete eth1"]),
        ("bases", ["-x"]),
        ("more", []),
        ("vlans", {"eth0.2": {"base": "eth0\n", "tag": 2}}),
        ("vlans", {"eth0.2\n": {"base": "eth0", "tag": 2}}),
        ("vlans", {"eth0.2": {"base": "eth0", "tag": 4095}}),
        ("vlans", {"eth0.2": {"base": "eth0", "tag": True}}),
        ("vlans", {"eth0.2": {"base": "eth0", "tag": 2, "mtu": "1500 up"}}),
    ],
)
def test_a_record_with_anything_that_kvmnet_does_not_write_is_corrupt(key: str, value: Any) -> None:
    """Its names become lines for iproute2."""
    record = {"format": 1, "host": "h", "digest": "x", "vlans": {}, "own": ["eth0"], "bases": ["eth0"]}
    assert hook._is_valid_record(record)
    assert not hook._is_valid_record({**record, key: value})


@pytest.mark.guarantee("G94")
def test_only_macvtaps_descriptors_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of stat for a file on a dead network file system never returns, while the hook holds its lock."""
    links = {"3": "/mnt/dead/file", "4": "/dev/shm/x/tap1", "5": "/dev/tap12"}
    looked_at: list[str] = []

    def look(path: str) -> Any:
        looked_at.append(path)
        return SimpleNamespace(st_rdev=7)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", lambda path: ["1"] if path == "/proc" else [*links])
        patch.setattr(os, "readlink", lambda path: links[path.rpartition("/")[2]])
        patch.setattr(os, "stat", look)
        assert hook.is_open(7)
    assert looked_at == ["/proc/1/fd/5"]


@pytest.mark.parametrize(
    "text",
    [
        b"<domain>" + b"<!-- <!- -->" * 80_000 + b"</domain>",
        b"<domain>" + b"<devices>" * 50_000 + b"</devices>" * 50_000 + b"</domain>",
        b"<domain><devices>%s</devices></domain>"
        % (b"<interface type='direct'><source dev='x'/></interface>" * 18_000),
        b"<domain " + b" ".join(b"a%d='x'" % n for n in range(90_000)) + b"/>",
    ],
    ids=["comments", "nesting", "interfaces", "attributes"],
)
def test_any_xml_of_a_megabyte_is_read_within_a_second(text: bytes) -> None:
    start = time.process_time()
    with contextlib.suppress(ET.ParseError):
        hook.select_on_demand(hook.list_source_devices(hook.parse_domain(text)), {})
    assert time.process_time() - start < 1


def test_xml_that_libvirt_does_not_write_is_refused() -> None:
    for text in (b"<!DOCTYPE x [<!ENTITY a 'b'>]><domain/>", b"<a>" + b" " * hook.MAX_XML + b"</a>"):
        with pytest.raises(hook.Refused, match="the guest's XML"):
            hook.parse_domain(text)
