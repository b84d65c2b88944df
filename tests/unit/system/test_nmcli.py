"""Tests of kvmnet/system/nmcli.py with output of nmcli 1.42 and 1.52, and of the list of profiles that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.system import networkmanager, nmcli, programs
from kvmnet.system.errors import HostError


def put_nmcli(folder: Path, monkeypatch: pytest.MonkeyPatch, output: bytes) -> None:
    """Install a program nmcli that writes its arguments to a file and prints `output`."""
    (folder / "output").write_bytes(output)
    (folder / "nmcli").write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\nexec cat {folder}/output\n')
    (folder / "nmcli").chmod(0o755)
    monkeypatch.setattr(programs, "PROGRAM_PATH", f"{folder}:{programs.PROGRAM_PATH}")


def test_profiles_are_listed_whatever_their_names_contain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uuids = [f"0000000{n}-1f5c-4f25-8c0a-9d2a4bb2f6a1" for n in range(3)]
    lines = (
        f"UUID:{uuids[0]}\nDEVICE:eth0\nFILENAME:/etc/a:b.nmconnection\nNAME:one\ntwo: \\\n\n"
        f"UUID:{uuids[1]}\nDEVICE:\nFILENAME:/etc/B\u00fcro.nmconnection\nNAME:B\u00fcro\n"
        f"UUID:{uuids[2]}\nDEVICE:br0\nFILENAME:/run/c.nmconnection\nNAME:"
    )
    put_nmcli(tmp_path, monkeypatch, lines.encode() + b"\xff\n")
    assert networkmanager.list_profiles() == [
        {"uuid": uuids[0], "device": "eth0", "file": "/etc/a:b.nmconnection", "id": "one\ntwo: \\\n"},
        {"uuid": uuids[1], "device": None, "file": "/etc/B\u00fcro.nmconnection", "id": "B\u00fcro"},
        {"uuid": uuids[2], "device": "br0", "file": "/run/c.nmconnection", "id": "\udcff"},
    ]
    assert (tmp_path / "arguments").read_text() == (
        "-t -m multiline -e no -f UUID,DEVICE,FILENAME,NAME connection show\n"
    )
    put_nmcli(tmp_path, monkeypatch, b"a warning: of: some: kind\n")
    assert networkmanager.list_profiles() == []


def test_fields_of_chosen_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nmcli prints an empty line between two profiles, and no field of a setting that a profile does not have."""
    output = (
        b"connection.uuid:u-1\nconnection.id:one\ntwo: \\\n802-3-ethernet.mac-address:00:14:4F:80:DE:00\n\n"
        b"connection.uuid:u-2\nconnection.id:a:b\\c\n"
    )
    put_nmcli(tmp_path, monkeypatch, output)
    fields = ("connection.uuid", "connection.id", "802-3-ethernet.mac-address")
    assert nmcli.show_profiles(fields, ["/Settings/1", "/Settings/2"]) == [
        {
            "connection.uuid": "u-1",
            "connection.id": "one\ntwo: \\",
            "802-3-ethernet.mac-address": "00:14:4F:80:DE:00",
        },
        {"connection.uuid": "u-2", "connection.id": "a:b\\c"},
    ]
    assert (tmp_path / "arguments").read_text().endswith(" connection show path /Settings/1 path /Settings/2\n")


def test_the_error_does_not_list_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: str, **_: object) -> str:
        raise HostError(f"{' '.join(words)}: no answer within 30 s")

    monkeypatch.setattr(programs, "run", fail)
    with pytest.raises(HostError, match=r"^nmcli connection show: no answer within 30 s$"):
        nmcli.show_profiles(["connection.uuid"], [f"/Settings/{n}" for n in range(100)])


@pytest.mark.guarantee("G94")
def test_a_profile_whose_name_looks_like_another_profile_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user who may create a profile chooses its name. Each profile is read alone then."""
    name = "a\nconnection.uuid:fake\nconnection.type:vpn\nconnection.interface-name:eth9\nconnection.id:b"
    one = f"connection.uuid:u-1\nconnection.type:ethernet\nconnection.interface-name:eth0\nconnection.id:{name}\n"
    two = "connection.uuid:u-2\nconnection.type:bridge\nconnection.interface-name:br0\nconnection.id:two\n"
    for file, text in (("one", one), ("two", two), ("both", f"{one}\n{two}")):
        (tmp_path / file).write_text(text)
    (tmp_path / "nmcli").write_text(
        f"""#!/bin/sh
case "$*" in *"path /1 path /2") cat {tmp_path}/both;; *"path /1") cat {tmp_path}/one;; *) cat {tmp_path}/two;; esac
"""
    )
    (tmp_path / "nmcli").chmod(0o755)
    monkeypatch.setattr(programs, "PROGRAM_PATH", f"{tmp_path}:{programs.PROGRAM_PATH}")
    fields = ("connection.uuid", "connection.id", "connection.type", "connection.interface-name")
    first, second = nmcli.show_profiles(fields, ["/1", "/2"])
    assert (first["connection.uuid"], first["connection.type"], first["connection.interface-name"]) == (
        *("u-1", "ethernet", "eth0"),
    )
    assert second["connection.id"] == "two"


def test_a_name_cannot_replace_other_fields_of_its_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = b"connection.uuid:u\nconnection.type:ethernet\nconnection.id:a\nconnection.type:vpn\n"
    put_nmcli(tmp_path, monkeypatch, output)
    (profile,) = nmcli.show_profiles(("connection.uuid", "connection.id", "connection.type"), ["/1"])
    assert profile == {
        "connection.uuid": "u",
        "connection.type": "ethernet",
        "connection.id": "a\nconnection.type:vpn",
    }
