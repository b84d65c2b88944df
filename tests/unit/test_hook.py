"""libvirt's hook over a make-believe kernel: folders for devices, a list for what `ip` was told."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet import hook
from kvmnet.core.rendering.hook_record import hook_record, hook_text
from kvmnet.pipeline import load

RECORD = hook_record(load("tests/golden/good/attach/cluster.yaml").bundle("a"))


class Kernel:
    """Devices as /sys/class/net shows them."""

    def __init__(self, net: Path) -> None:
        self.net, self.told, self.fails = net, list[str](), ""
        self.vlans: dict[str, tuple[str, int]] = {}
        for name in ("peth0", "eth0", "peth0.3"):
            (net / name).mkdir()
            (net / name / "mtu").write_text("1500")

    def ip(self, *commands: str) -> None:
        for command in commands:
            self.told.append(command)
            words = command.split()
            if self.fails and self.fails in command:
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
    def made(self) -> list[str]:
        return sorted(self.vlans)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    (tmp_path / "net").mkdir()
    (tmp_path / "status").mkdir()
    made = Kernel(tmp_path / "net")
    monkeypatch.setattr(hook, "NET", str(tmp_path / "net"))
    monkeypatch.setattr(hook, "RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(hook, "STATUS_DIR", str(tmp_path / "status"))
    monkeypatch.setattr(hook, "RECORD", str(tmp_path / "hook.json"))
    monkeypatch.setattr(hook, "ip", made.ip)
    monkeypatch.setattr(hook, "vlan_of", made.vlans.get)
    monkeypatch.setattr(hook, "remove_behind", lambda devices, lock: [hook.remove(d) for d in devices])
    (tmp_path / "hook.json").write_text(json.dumps(RECORD))
    return made


def domain(name: str, *devices: str, extra: str = "") -> str:
    nics = "".join(f"<interface type='direct'><source dev='{d}' mode='bridge'/></interface>" for d in devices)
    return f"<domain><name>{name}</name><uuid>uuid-{name}</uuid><devices>{nics}{extra}</devices></domain>"


def call(operation: str, xml: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(xml.encode())))
    return hook.main(["name", operation, "begin", "-"])


def runs(tmp_path: Path, name: str, *devices: str, pid: Optional[int] = None) -> None:
    """libvirt's note of a guest that runs; `pid` None: as this very process."""
    pid = os.getpid() if pid is None else pid
    (tmp_path / f"status/{name}.xml").write_text(f"<domstatus pid='{pid}'>{domain(name, *devices)}</domstatus>")


def test_the_record_is_what_the_bundle_says() -> None:
    bundle = load("tests/golden/good/attach/cluster.yaml").bundle("a")
    assert json.loads(hook_text(bundle)) == {
        "format": 1,
        "host": "a",
        "digest": bundle.digest,
        "vlans": {"peth0.2": {"base": "peth0", "tag": 2, "mtu": None}},
        "own": ["peth0", "eth0", "peth0.3", "peth0.4", "mvt-c00002", "mvt-c00004"],
        "bases": ["peth0"],
    }


@pytest.mark.guarantee("G71")
def test_a_device_comes_with_the_first_guest_and_goes_with_the_last(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("prepare", domain("one", "peth0.2", "peth0.2"), monkeypatch) == 0
    assert kernel.told == [
        "link add link peth0 name peth0.2 type vlan id 2",
        "link set dev peth0.2 arp off addrgenmode none",
        "link set dev peth0.2 up",
    ]
    assert call("prepare", domain("two", "peth0.2"), monkeypatch) == 0
    assert len(kernel.told) == 3
    for operation in ("start", "started", "stopped"):
        assert call(operation, domain("one", "peth0.2"), monkeypatch) == 0
    assert call("release", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.made == ["peth0.2"]
    assert call("release", domain("two", "peth0.2"), monkeypatch) == 0
    assert kernel.made == [] and hook.entries("vlans") == [] and hook.entries("users") == []


def test_the_mtu_is_the_definitions(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    record = {**RECORD, "vlans": {"peth0.2": {"base": "peth0", "tag": 2, "mtu": 9000}}}
    (tmp_path / "hook.json").write_text(json.dumps(record))
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    assert "link set dev peth0.2 arp off addrgenmode none mtu 9000" in kernel.told


def defined(tmp_path: Path, mtu: Optional[int]) -> None:
    """The definition as apply has noted it by now."""
    record = {**RECORD, "vlans": {"peth0.2": {"base": "peth0", "tag": 2, "mtu": mtu}}}
    (tmp_path / "hook.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("first", "then", "is_then"),
    [(1400, 9000, 9000), (9000, 1400, 9000), (None, 1400, 1500), (1400, None, 1500), (9000, None, 9000)],
)
def test_a_larger_mtu_is_the_next_guests_too(
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    first: Optional[int],
    then: Optional[int],
    is_then: int,
) -> None:
    """The definition has changed under a guest that runs, which goes on sending frames as large as before."""
    defined(tmp_path, first)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    assert hook.mtu_of("peth0.2") == (first or 1500)
    defined(tmp_path, then)
    assert call("prepare", domain("two", "peth0.2"), monkeypatch) == 0
    assert hook.mtu_of("peth0.2") == is_then
    hook.forget("vlans", "peth0.2")  # as what a person made
    defined(tmp_path, 9216)
    assert call("prepare", domain("three", "peth0.2"), monkeypatch) == 0
    assert hook.mtu_of("peth0.2") == is_then


def test_an_mtu_that_the_base_is_too_small_for_names_place_and_cure(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.fails = "mtu 9000"
    defined(tmp_path, 9000)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    said = (
        "RTNETLINK answers: Numerical result out of range (peth0 has the MTU 1500: `kvmnet plan` says what differs)\n"
    )
    assert capsys.readouterr().err == "kvmnet: VLAN 2 over peth0 could not be made: " + said
    defined(tmp_path, None)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    defined(tmp_path, 9000)
    assert call("prepare", domain("two", "peth0.2"), monkeypatch) == 1
    assert capsys.readouterr().err == "kvmnet: peth0.2 could not get the MTU 9000: " + said


def test_a_vlan_that_is_there_under_another_name_is_named(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.fails = "link add"
    monkeypatch.setattr(hook, "vlan_named_otherwise", lambda base, tag: {("peth0", 2): "foo"}.get((base, tag)))
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    assert "; it is there as foo (ip link delete foo)" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", '{"format": 1, "host": "a", "vla', "null", "[]", '{"vlans": null}', None])
def test_without_a_whole_record_no_guest_of_ours_starts_and_none_loses_its_device(
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
        assert f"hook.json is {'gone' if text is None else 'damaged'}" in (said := capsys.readouterr().err)
        assert "`kvmnet apply` mends it" in said
    assert call("prepare", domain("theirs", "peth0.3"), monkeypatch) == 0, "it is there, and none of ours"
    assert call("release", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.made == ["peth0.2"], "it could have become the host's own"
    assert "hook.json" in hook.status(hook.read_record())["damaged"]
    (tmp_path / "hook.json").write_text(json.dumps(RECORD))
    assert hook.main(["--reconcile"]) == 0
    assert kernel.made == []


def test_a_reconcile_that_fails_says_why(kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run/users/a-folder").mkdir(parents=True)
    assert hook.main(["--reconcile"]) == 1
    assert "a-folder" in capsys.readouterr().err


@pytest.mark.guarantee("G72")
@pytest.mark.parametrize("operation", ["prepare", "migrate"])
def test_what_the_definition_does_not_have_is_an_error(
    operation: str, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(operation, domain("one", "peth0.2", "peth0.7"), monkeypatch) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("kvmnet: peth0.7 is not in the definition of host a (it has peth0.2); place the guest")
    assert kernel.told == [] and hook.entries("users") == []


def test_what_is_none_of_ours_is_left_alone(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (kernel.net / "peth0.8").mkdir()  # made by hand
    bridged = "<interface type='bridge'><source bridge='eth0'/></interface>"
    strange = domain("strange", "eth7", "bond9.2", "peth0.3", "peth0", "peth0.8", extra=bridged)
    for operation in ("migrate", "prepare", "reconnect", "release"):
        assert call(operation, strange, monkeypatch) == 0
    assert kernel.told == [] and hook.entries("users") == []
    (tmp_path / "hook.json").unlink()  # nothing was applied here
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.told == []


def test_a_device_that_cannot_be_made_leaves_nothing(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.fails = "peth0.2 up"
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    assert "VLAN 2 over peth0 could not be made: RTNETLINK answers: Numerical" in capsys.readouterr().err
    assert kernel.made == [] and hook.entries("users") == [] and hook.entries("vlans") == []
    shutil.rmtree(kernel.net / "peth0")
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    assert "peth0 is not there" in capsys.readouterr().err


@pytest.mark.guarantee("G71")
def test_a_device_that_is_there_is_used_or_refused_but_never_removed(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (kernel.net / "peth0.2").mkdir()
    kernel.vlans["peth0.2"] = ("peth0", 2)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 0
    assert call("release", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.told == [] and kernel.made == ["peth0.2"]
    kernel.vlans["peth0.2"] = ("peth0", 3)
    assert call("prepare", domain("one", "peth0.2"), monkeypatch) == 1
    assert "it is not VLAN 2 over peth0" in capsys.readouterr().err


@pytest.mark.guarantee("G71")
def test_a_macvtap_that_nobody_told_of_keeps_its_device(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    (kernel.net / "peth0.2/upper_macvtap7").mkdir()
    call("release", domain("one", "peth0.2"), monkeypatch)
    assert kernel.made == ["peth0.2"]
    (kernel.net / "peth0.2/upper_macvtap7").rmdir()
    call("release", domain("other"), monkeypatch)
    assert kernel.made == []


def test_a_running_guest_is_never_failed(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """libvirt kills a guest whose reconnect hook fails."""
    assert call("reconnect", domain("one", "peth0.2", "peth0.7"), monkeypatch) == 0
    assert kernel.made == ["peth0.2"]
    kernel.fails = "link"
    assert call("reconnect", domain("two", "peth0.2"), monkeypatch) == 0
    for broken in ("<not xml", "", "<?xml version='1.0' encoding='none-such'?><domain/>"):
        assert call("reconnect", broken, monkeypatch) == 0
        assert call("prepare", broken, monkeypatch) == 1
    assert call("release", "<domain/>", monkeypatch) == 0


def test_a_tag_that_left_the_definition_stays_for_who_has_it(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    (tmp_path / "hook.json").write_text(json.dumps({**RECORD, "vlans": {}}))
    assert call("prepare", domain("two", "peth0.2"), monkeypatch) == 1
    assert call("reconnect", domain("one", "peth0.2"), monkeypatch) == 0
    assert kernel.made == ["peth0.2"]
    call("release", domain("one", "peth0.2"), monkeypatch)
    assert kernel.made == []


def test_what_became_the_hosts_own_is_not_removed(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    (tmp_path / "hook.json").write_text(json.dumps({**RECORD, "vlans": {}, "own": [*RECORD["own"], "peth0.2"]}))
    call("release", domain("one", "peth0.2"), monkeypatch)
    assert kernel.made == ["peth0.2"] and hook.entries("vlans") == []


def reconciled() -> list[str]:
    with hook.locked():
        return hook.reconcile(hook.read_json(hook.RECORD))


def test_reconcile_makes_what_runs_needs_and_removes_the_rest(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs(tmp_path, "one", "peth0.2")  # started before there was a hook
    assert reconciled() == ["made peth0.2"]
    assert reconciled() == []
    (tmp_path / "status/one.xml").unlink()
    assert reconciled() == ["removed peth0.2"]
    assert kernel.made == []


def test_reconcile_leaves_a_guest_that_is_about_to_start(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    assert reconciled() == [] and kernel.made == ["peth0.2"]
    monkeypatch.setattr(hook, "STARTING", 0.0)  # it never came to be, and nobody said so
    assert reconciled() == ["removed peth0.2"]


def test_reconcile_forgets_who_a_dead_libvirt_was_starting(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getppid", lambda: 2**22 + 1)  # no such process
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    assert reconciled() == ["removed peth0.2"]


def test_reconcile_knows_a_process_that_died(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs(tmp_path, "one", "peth0.2", pid=2**22 + 1)
    runs(tmp_path, "two")
    (tmp_path / "status/torn.xml").write_text("<domstatus")
    assert reconciled() == [] and kernel.made == []


def test_reconcile_removes_what_a_killed_libvirt_left(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The macvtap of a guest that did not come to start, which no process holds, goes with its device."""
    monkeypatch.setattr(os, "getppid", lambda: 2**22 + 1)
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    over, tap = kernel.net / "peth0.2/upper_macvtap0", kernel.net / "macvtap0/macvtap/tap9"
    over.mkdir()
    with Path("/dev/null").open("rb"):
        about = Path("/dev/null").stat()
        tap.mkdir(parents=True)
        (tap / "dev").write_text(f"{os.major(about.st_rdev)}:{os.minor(about.st_rdev)}\n")
        assert reconciled() == []  # somebody holds it: we do
    (tap / "dev").write_text("4095:77\n")
    over.rename(kernel.net / "peth0.2/upper_mine0")
    assert reconciled() == []  # not libvirt's
    (kernel.net / "peth0.2/upper_mine0").rename(over)
    monkeypatch.setattr(hook, "remove", lambda device: kernel.told.append(f"removed {device}"))
    assert reconciled() == ["removed peth0.2"] and kernel.told[-1] == "removed peth0.2"


def left(kernel: Kernel, name: str, device: str, mac: str = "") -> None:
    """A macvtap that no process holds."""
    (kernel.net / device / f"upper_{name}").mkdir()
    tap = kernel.net / name / "macvtap/tap9"
    tap.mkdir(parents=True)
    (tap / "dev").write_text("4095:77\n")
    (kernel.net / name / "address").write_text(f"{mac}\n")


def test_what_was_left_behind_goes_with_the_last_guest_too(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """When libvirt was back its device was needed by another guest, so it outlived the look at that time."""
    removed: list[str] = []
    monkeypatch.setattr(hook, "remove_behind", lambda devices, lock: removed.extend(devices))
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    left(kernel, "macvtap0", "peth0.2")
    call("release", domain("one", "peth0.2"), monkeypatch)
    assert removed == ["peth0.2"]


def test_a_guest_that_starts_again_finds_nothing_of_its_last_start(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel lets no second macvtap of a MAC on a device be up."""
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    for number in (1, 2):
        left(kernel, f"macvtap{number}", "peth0.2", f"36:77:6e:c0:00:0{number}")
    told: list[str] = []
    monkeypatch.setattr(hook, "ip", lambda *commands: told.extend(commands))
    nic = "<interface type='direct'><mac address='36:77:6E:C0:00:02'/><source dev='peth0.2'/></interface>"
    assert call("prepare", domain("two", extra=nic), monkeypatch) == 0
    assert told == ["link delete dev macvtap2"]


def test_status(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call("prepare", domain("one", "peth0.2"), monkeypatch)
    assert hook.main(["--status"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["devices"] == {"peth0.2": {"there": True, "guests": ["one"], "uppers": []}}
    assert found["host"] == "a" and list(found["allowed"]) == ["peth0.2"]


def test_it_needs_nothing_but_the_standard_library() -> None:
    """As libvirt runs it: one file, isolated, no packages; it imports neither this project nor anything heavy."""
    script = (
        f"import sys, runpy; runpy.run_path({hook.__file__!r}); "
        "heavy = {'kvmnet', 'yaml', 'typer', 'subprocess', 'pathlib', 'socket', 'argparse', 'jsonschema'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stdout


def test_real_ip_tells_what_went_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ip").write_text('#!/bin/sh\ncat > "$0.in"\necho oh >&2\necho "Command failed -:1" >&2\nexit 1\n')
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setattr(hook, "PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(hook.Refused, match=r"^oh$"):
        hook.ip("link one", "link two")
    assert (tmp_path / "ip.in").read_text() == "link one\nlink two\n"
    monkeypatch.setattr(hook, "PATH", "/nonexistent")
    with pytest.raises(hook.Refused, match="ip is not there"):
        hook.ip("link one")


def test_a_removal_behind_holds_the_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever comes next waits until the devices are gone."""
    (tmp_path / "ip").write_text(f'#!/bin/sh\nsleep 0.3\nrmdir "{tmp_path}/net/$4"\n')
    (tmp_path / "ip").chmod(0o755)
    (tmp_path / "net/peth0.2").mkdir(parents=True)
    monkeypatch.setattr(hook, "PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(hook, "NET", str(tmp_path / "net"))
    monkeypatch.setattr(hook, "RUN_DIR", str(tmp_path / "run"))
    with hook.locked() as lock:
        hook.write_json(f"{hook.RUN_DIR}/vlans/peth0.2", {})
        hook.remove_behind(["peth0.2"], lock)
        assert hook.exists("peth0.2")
    with hook.locked():
        assert not hook.exists("peth0.2") and hook.entries("vlans") == []


def test_many_at_once(tmp_path: Path) -> None:
    """Real processes: twenty guests start and stop side by side, and what is left is what the last ones need."""
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
    text = text.replace("vlan_of(device) != (base, tag)", "False")
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
    start("last", "release").wait(60)  # it waits for the lock, which is held until the device has gone
    assert sorted(p.name for p in (tmp_path / "net").iterdir()) == ["peth0"]
