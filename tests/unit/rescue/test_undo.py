"""Each kind of undo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.rescue import comparison, snapshot, undo
from kvmnet.system import files, firewalld, links, networkmanager, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json
from tests.unit.rescue.samples import (
    GLOBAL,
    GlobalDns,
    ProfilesAndLinks,
    snapshot_keyfiles,
)
from tests.unit.system.samples import raise_disk_full, raise_read_only


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize(
    ("was", "now", "result", "arguments"),
    [
        ({}, GLOBAL, "restored", "a{sv} 0"),
        (
            GLOBAL,
            {},
            "restored",
            "a{sv} 2 searches as 1 a.org domains a{sv} 1 * a{sv} 1 servers as 2 10.1.1.1 10.1.1.2",
        ),
        (GLOBAL, GLOBAL, "unchanged", ""),
    ],
)
def test_global_name_servers_are_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was: Json, now: Json, result: str, arguments: str
) -> None:
    manager = GlobalDns(tmp_path, monkeypatch, now)
    (tmp_path / "snapshot.json").write_text(json.dumps({"global dns": was}))
    assert undo.UNDO["global dns"](tmp_path, {}) == result
    assert " ".join(manager.set) == arguments
    assert manager.value == was


def test_global_name_servers_that_stay_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    GlobalDns(tmp_path, monkeypatch, GLOBAL, accepts=False)
    (tmp_path / "snapshot.json").write_text(json.dumps({"global dns": {}}))
    with pytest.raises(HostError, match="global name servers are"):
        undo.UNDO["global dns"](tmp_path, {})
    (tmp_path / "snapshot.json").write_text("{}")
    assert undo.UNDO["global dns"](tmp_path, {}) == "not in the snapshot", "a snapshot of an earlier kvmnet"


@pytest.mark.guarantee("G13")
def test_global_name_servers_are_restored_by_file_at_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "NetworkManager-intern.conf"
    monkeypatch.setattr(networkmanager, "is_running", lambda: False)
    before = {"global dns": {}, "intern": files.record_file(str(file))}
    (tmp_path / "snapshot.json").write_text(json.dumps(before))
    file.write_text("[global-dns-domain-*]\nservers=10.1.1.1\n")
    assert undo.UNDO["global dns"](tmp_path, {}) == "restored"
    assert not file.exists()
    assert "global dns" in undo.AT_BOOT


def test_many_zones_are_read_at_once_and_only_differences_are_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    calls: list[tuple[str, ...]] = []
    bound = {"eth0": "trusted", "br0": "drop", "br1": "drop"}
    monkeypatch.setattr(firewalld, "is_running", lambda: True)
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {}, "br3": {}})
    monkeypatch.setattr(firewalld, "read_zones", lambda: looks.append("zones") or bound)
    monkeypatch.setattr(firewalld, "call", lambda *argv, **_: calls.append(argv) or "drop")
    wanted = {"eth0": "trusted", "br0": None, "br1": "drop", "br2": "drop", "br3": "drop", "br4": "work", "br5": None}
    assert undo.UNDO["zones"](tmp_path, {"zones": wanted}) == "br0 to none, br3 to drop, br4 to work"
    assert calls == [
        ("getDefaultZone",),
        ("removeInterface", "drop", "br0"),
        ("changeZoneOfInterface", "drop", "br3"),
        ("changeZoneOfInterface", "work", "br4"),
    ]
    assert looks == ["zones"]
    assert undo.UNDO["zones"](tmp_path, {"zones": {"eth0": "trusted"}}) == "unchanged"
    monkeypatch.setattr(firewalld, "is_running", lambda: False)
    assert undo.UNDO["zones"](tmp_path, {"zones": wanted}) == "firewalld is not running"


def test_created_profiles_are_deleted_at_once_with_their_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = ProfilesAndLinks(monkeypatch, {"u-1": "br1", "u-2": "br2", "u-3": "mine"})
    files.write_file(str(tmp_path / "snapshot.json"), json.dumps({"links": {}}).encode())
    spec = {"op": "profiles", "profiles": {"u-1": "br1", "u-2": "br2", "u-9": "never-made"}}
    assert undo.UNDO["profiles"](tmp_path, spec) == "3 deleted"
    assert host.calls == ["nmcli -w 17 connection delete uuid u-2 uuid u-1"]
    assert set(host.links) == {"eth0", "mine"}


def test_the_interface_name_is_removed_from_a_profile_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(networkmanager, "list_profiles", lambda: [{"uuid": "u-1"}])
    monkeypatch.setattr(programs, "run", lambda *argv, **_: calls.append(argv) or "")
    assert undo.UNDO["unbind name"](tmp_path, {"uuid": "u-1"}) == "unbound"
    assert calls == [("nmcli", "connection", "modify", "--temporary", "uuid", "u-1", "connection.interface-name", "")]
    assert undo.UNDO["unbind name"](tmp_path, {"uuid": "u-9"}) == "the profile does not exist"
    assert len(calls) == 1


def test_a_profile_from_before_the_change_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it has the UUID that kvmnet's profile was to have."""
    host = ProfilesAndLinks(monkeypatch, {"u-1": "br1", "u-2": "br2"})
    before = {"links": {"br2": {"kind": "bridge"}}, "profiles": [{"uuid": "u-2"}]}
    files.write_file(str(tmp_path / "snapshot.json"), json.dumps(before).encode())
    undo.UNDO["profiles"](tmp_path, {"profiles": {"u-1": "br1", "u-2": "br2"}})
    assert host.calls == ["nmcli -w 16 connection delete uuid u-1"]


def test_created_links_are_deleted_also_without_networkmanager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = ProfilesAndLinks(monkeypatch, {"u-1": "br1", "u-2": "br2"}, running=False)
    files.write_file(str(tmp_path / "snapshot.json"), json.dumps({"links": {"br2": {"kind": "bridge"}}}).encode())
    undo.UNDO["profiles"](tmp_path, {"profiles": {"u-1": "br1", "u-2": "br2"}})
    assert host.calls == ["ip link delete dev br1"], "br2 was there before"


def test_a_link_that_cannot_be_deleted_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = ProfilesAndLinks(monkeypatch, {"u-1": "br1", "u-2": "br2"}, running=False)

    def refuse(*argv: str, **_: object) -> str:
        raise HostError("busy")

    monkeypatch.setattr(programs, "run", refuse)
    with pytest.raises(HostError, match="not deleted: br1, br2"):
        undo.UNDO["profiles"](tmp_path, {"profiles": {"u-1": "br1", "u-2": "br2"}})
    assert "br1" in host.links


@pytest.mark.guarantee("G05")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("old.local", ["--static --transient -- old.local"]),
        ("", ["--static --transient -- ", "--transient -- from-dhcp"]),
    ],
)
def test_the_hostname_is_restored_also_when_it_is_not_static(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: list[str]
) -> None:
    commands: list[str] = []
    monkeypatch.setattr(programs, "run", lambda *argv: commands.append(" ".join(argv[2:])) or "")
    monkeypatch.setattr(snapshot, "KERNEL_HOSTNAME_FILE", str(tmp_path / "hostname"))
    (tmp_path / "hostname").write_text("new.local\n")  # whatever hostnamed answers: the kernel is asked
    undo.UNDO["hostname"](tmp_path, {"op": "hostname", "name": name, "running": "from-dhcp"})
    assert commands == said
    assert (tmp_path / "hostname").read_text() == (name or "from-dhcp")


@pytest.mark.guarantee("G12")
def test_a_keyfile_without_uuid_is_restored(keyfiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = keyfiles / "office.nmconnection"
    file.write_text("[connection]\nid=office\n")
    before = snapshot_keyfiles(keyfiles, monkeypatch, office="ab-1")
    file.write_text("[connection]\nid=office\nuuid=ab-1\ncontroller=br0\n")
    assert comparison.find_file_differences(before) == [f"file {file}: differs in data"]
    assert undo.UNDO["files"](keyfiles.parent / "open", {"uuids": ["ab-1"]}) == "1 restored"
    assert file.read_text() == "[connection]\nid=office\n"
    assert comparison.find_file_differences(before) == []


@pytest.mark.guarantee("G12")
def test_a_keyfile_that_is_not_in_the_snapshot_is_moved_beside_the_journal(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, folder = snapshot_keyfiles(keyfiles, monkeypatch), keyfiles.parent / "open"
    file = keyfiles / "office.nmconnection"
    place = folder / "aside" / str(file).lstrip("/")
    before["uuids"] = ["ab-1"]
    for text in ("uuid=AB-1\n", "uuid=ab-1\nother\n", "uuid=ab-1\nother\n"):
        file.write_text(text)
        file.chmod(0o600)
        assert comparison.find_file_differences(before) == [f"file {file}: did not exist before"]
        result = undo.UNDO["files"](folder, {"uuids": ["ab-1"]})
        assert result.startswith(f"0 restored; {file} did not exist before, moved to aside/")
        assert (comparison.find_file_differences(before), list(keyfiles.iterdir())) == ([], [])
    assert (place.read_text(), place.stat().st_mode & 0o777) == ("uuid=AB-1\n", 0o600)
    assert sorted(p.name for p in place.parent.iterdir()) == [place.name, f"{place.name}.1"]


def test_a_keyfile_that_cannot_be_moved_aside_does_not_stop_the_rest(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = keyfiles / "eth0.nmconnection"
    was.write_text("uuid=ab-1\n")
    before, folder = snapshot_keyfiles(keyfiles, monkeypatch, eth0="ab-1"), keyfiles.parent / "open"
    was.write_text("uuid=ab-1\nother\n")
    (keyfiles / "office.nmconnection").write_text("uuid=ab-1\nmine\n")
    write_file = files.write_file

    def refuse_aside(path: str, *rest: Any) -> None:
        if "/aside/" in path:
            raise OSError("no space left on device")
        write_file(path, *rest)

    monkeypatch.setattr(files, "write_file", refuse_aside)
    undo.UNDO["files"](folder, {"uuids": ["ab-1"]})
    assert (was.read_text(), comparison.find_file_differences(before)) == ("uuid=ab-1\n", [])
    assert (keyfiles / ".office.nmconnection.kvmnet-aside").read_text() == "uuid=ab-1\nmine\n"


def test_links_of_profiles_that_stay_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a NIC that has its old name again, and not a link from before the change."""
    current = {"br0": {"kind": "bridge"}, "br1": {"kind": "bridge"}, "eth0": {"kind": None}, "was": {"kind": "vlan"}}
    commands: list[str] = []

    def run(*argv: str) -> str:
        commands.append(" ".join(argv))
        for name in ("br0", "br1"):
            if (f"u-{name}" in argv and name == "br0") or argv[-1] == name:
                current.pop(name)
        return ""

    monkeypatch.setattr(links, "read_links", lambda: dict(current))
    monkeypatch.setattr(networkmanager, "list_profiles", lambda: [{"uuid": f"u-{n}", "device": n} for n in current])
    monkeypatch.setattr(programs, "run", run)
    (tmp_path / "snapshot.json").write_text(json.dumps({"links": {"was": {"kind": "vlan"}, "eth0": {"kind": None}}}))
    undo.UNDO["links"](tmp_path, {"names": ["br0", "br1", "eth0", "was", "none"]})
    assert commands == [
        "nmcli -w 20 connection down uuid u-br0",
        "nmcli -w 20 connection down uuid u-br1",
        "ip link delete dev br1",
    ]


@pytest.mark.guarantee("G04")
def test_on_a_read_only_disk_a_keyfile_is_restored_in_memory(keyfiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = keyfiles.parent / "memory"
    file = keyfiles / "eth0.nmconnection"
    file.write_text("was")
    monkeypatch.setattr(networkmanager, "PROFILE_FOLDERS", (str(keyfiles), str(memory)))
    snapshot_keyfiles(keyfiles, monkeypatch, eth0="u-0")
    file.write_text("is")
    write_file = files.write_file

    def refuse_disk(path: str, *rest: Any) -> None:
        (raise_read_only if path.startswith(f"{keyfiles}/") else write_file)(path, *rest)

    monkeypatch.setattr(files, "write_file", refuse_disk)
    with pytest.raises(HostError, match="Read-only"):
        undo.UNDO["files"](keyfiles.parent / "open", {"uuids": ["u-0"]})
    assert (file.read_text(), (memory / file.name).read_text()) == ("is", "was")


@pytest.mark.guarantee("G12")
def test_a_file_that_cannot_be_restored_does_not_stop_the_others(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when / is full and /var is another file system. What was restored is read again."""
    commands: list[str] = []
    names = ("a", "b", "c")
    paths = {name: keyfiles / f"{name}.nmconnection" for name in names}
    for file in paths.values():
        file.write_text("was")
    snapshot_keyfiles(keyfiles, monkeypatch, **{name: f"u-{name}" for name in names})
    paths["a"].unlink()
    paths["c"].write_text("is")
    write_file = files.write_file
    monkeypatch.setattr(
        files, "write_file", lambda path, *more: (raise_disk_full if "/a." in path else write_file)(path, *more)
    )
    monkeypatch.setattr(programs, "run", lambda *argv, **_: commands.append(" ".join(argv)) or "")
    spec = {"uuids": ["u-a"], "paths": ["/etc/never-seen", str(paths["a"])]}
    with pytest.raises(HostError) as error:
        undo.UNDO["files"](keyfiles.parent / "open", spec)
    assert str(error.value).split("; ") == [
        "/etc/never-seen: '/etc/never-seen'",
        f"{paths['a']}: [Errno 28] No space left on device",
        "1 restored",
    ]
    assert (paths["c"].read_text(), commands) == ("was", ["nmcli connection reload"])


def test_keyfiles_are_read_again_also_when_an_earlier_try_restored_them(
    keyfiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []
    snapshot_keyfiles(keyfiles, monkeypatch)
    monkeypatch.setattr(programs, "run", lambda *argv, **_: commands.append(" ".join(argv)) or "")
    assert undo.UNDO["files"](keyfiles.parent / "open", {"uuids": ["u-a"]}) == "0 restored"
    assert commands == ["nmcli connection reload"]


class Copies:
    """NetworkManager with profiles (UUID -> device or None), of which one is a copy of another one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **devices: Optional[str]) -> None:
        self.devices, self.commands = devices, list[str]()
        self.refuses = False
        monkeypatch.setattr(networkmanager, "list_profiles", self.profiles)
        monkeypatch.setattr(programs, "run", self.run)

    def profiles(self) -> list[Json]:
        return [{"uuid": uuid, "device": device} for uuid, device in self.devices.items()]

    def run(self, *argv: str, timeout: float) -> str:
        self.commands.append(" ".join(argv[3:]))
        if self.refuses and "up" in argv:
            raise HostError("not now")
        return ""


COPY = {"uuid": "copy", "source": "shared", "interface": "eth0"}


@pytest.mark.parametrize(
    ("devices", "before", "refuses", "result", "commands"),
    [
        ({"shared": "eth1"}, [], False, "the copy does not exist", []),
        (
            {"shared": "eth1", "copy": "eth0"},
            ["shared"],
            False,
            "the copy is deleted",
            ["connection up uuid shared ifname eth0", "connection delete uuid copy"],
        ),
        (
            {"shared": "eth1", "copy": "eth0"},
            ["shared"],
            True,  # the comparison finds it, and activates the profile again
            "the copy is deleted",
            ["connection up uuid shared ifname eth0", "connection delete uuid copy"],
        ),
        ({"shared": "eth0", "copy": None}, ["shared"], False, "the copy is deleted", ["connection delete uuid copy"]),
        (
            {"shared": "eth1", "copy": "eth0"},
            ["shared", "copy"],  # of an earlier change, and inactive since
            False,
            "the copy is inactive, as before",
            ["connection up uuid shared ifname eth0"],
        ),
    ],
)
def test_a_copied_profile_is_replaced_by_its_source(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    devices: dict[str, Optional[str]],
    before: list[str],
    refuses: bool,
    result: str,
    commands: list[str],
) -> None:
    manager = Copies(monkeypatch, **devices)
    manager.refuses = refuses
    (tmp_path / "snapshot.json").write_text(json.dumps({"profiles": [{"uuid": uuid} for uuid in before]}))
    assert undo.UNDO["profile copy"](tmp_path, COPY) == result
    assert manager.commands == commands


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_macvtaps_receive_the_multicast_frames_that_they_did_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_stubborn: bool
) -> None:
    """Left alone are macvtaps over other interfaces, new ones, and those that trust their guests."""
    rows: dict[str, Any] = {
        name: {"index": n, "over": over, "address": f"m{n}", "allmulticast": on}
        for n, (name, over, on) in enumerate(
            (("was-off", "eth0.2", True), ("was-on", "eth0.2", False), ("other", "eth9", True), ("new", "eth0.2", True),
             ("trusting", "eth0.2", True))
        )
    }  # fmt: skip
    before = {name: {**row, "allmulticast": not row["allmulticast"]} for name, row in rows.items()}
    before["new"]["index"] = 99
    (tmp_path / "snapshot.json").write_text(json.dumps({"macvtaps": before}))
    monkeypatch.setattr(links, "read_macvtaps", lambda: {n: dict(r) for n, r in rows.items()})
    done = []

    def set_all(name: str, is_on: bool) -> None:
        done.append((name, is_on))
        rows[name]["allmulticast"] = rows[name]["allmulticast"] if is_stubborn else is_on

    monkeypatch.setattr(links, "set_all_multicast", set_all)
    spec = {"bases": ["eth0.2"], "exempt": ["m4"]}
    if is_stubborn:
        with pytest.raises(HostError, match=r"^all-multicast not restored: was-off, was-on$"):
            undo.UNDO["multicast"](tmp_path, spec)
    else:
        assert undo.UNDO["multicast"](tmp_path, spec) == "2 restored"
        assert undo.UNDO["multicast"](tmp_path, spec) == "0 restored"
    assert done == [("was-off", False), ("was-on", True)]


def test_a_snapshot_of_an_earlier_kvmnet_has_no_macvtaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "snapshot.json").write_text("{}")
    row = {"index": 1, "over": "eth0.2", "address": "m", "allmulticast": True}
    monkeypatch.setattr(links, "read_macvtaps", lambda: {"macvtap0": row})
    assert undo.UNDO["multicast"](tmp_path, {"bases": ["eth0.2"], "exempt": []}) == "0 restored"


def test_udev_reads_its_rules_again_after_they_were_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "RULES_FOLDER", f"{tmp_path}/rules.d/")
    done: list[Any] = []
    monkeypatch.setattr(programs, "run", lambda *words, **_: done.append(words) or "")
    rule = tmp_path / "rules.d" / "86-kvmnet-macvtaps.rules"
    record = files.record_file(str(rule))
    rule.parent.mkdir()
    rule.write_text("new")
    (tmp_path / "snapshot.json").write_text(json.dumps({"files": [record], "uuids": []}))
    monkeypatch.setattr(networkmanager, "find_keyfiles", lambda uuids: [])
    assert undo.UNDO["files"](tmp_path, {"paths": [str(rule)]}) == "1 restored"
    assert not rule.exists() and done == [("udevadm", "control", "--reload")]
