"""The host before kvmnet is collected from the first snapshots of its parts, not the last ones."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from kvmnet.core.base.errors import Refused
from kvmnet.transaction.original_host import find_original
from tests.unit.transaction.samples import KEYFILE, LINK, MAC, adopt_later, file, link, write_history


def test_the_first_snapshot_of_a_nic_counts(state: Path) -> None:
    original = find_original(state)
    assert [(n.mac, n.name, n.altnames, n.profile) for n in original.nics] == [(MAC, "eth0", ("enp1s0",), "u-1")]
    kept = {r["path"]: r for r in original.snapshot["files"]}
    assert set(kept) == {KEYFILE, LINK}
    assert base64.b64decode(kept[KEYFILE]["data"]) == b"[connection]\nuuid=u-1\n"
    assert kept[LINK] == {"path": LINK, "absent": True}


def test_a_keyfile_without_a_uuid_is_restored_too(tmp_path: Path) -> None:
    office, foreign = (f"/etc/NetworkManager/system-connections/{name}.nmconnection" for name in ("office", "foreign"))
    snapshot = {
        "files": [file(office, "[connection]\nid=office\n"), file(foreign, "[connection]\nid=foreign\n")],
        "links": {"eth0": link("eth0")},
        "profiles": [{"uuid": "u-1", "device": "eth0", "file": office, "id": "office"}],
    }
    write_history(tmp_path, "1", snapshot=snapshot, adopts=[MAC])
    assert [r["path"] for r in find_original(tmp_path).snapshot["files"]] == [office]


def test_a_bond_from_before_kvmnet_is_activated_and_compared(tmp_path: Path) -> None:
    bond: dict[str, Any] = {"name": "bond0", "mac": None, "kind": "bond", "address": MAC, "altnames": []}
    snapshot = {
        "links": {"eth0": link("eth0", master="bond0"), "bond0": bond},
        "profiles": [{"uuid": u, "device": d, "file": "", "id": d} for u, d in (("u-1", "eth0"), ("u-2", "bond0"))],
    }
    write_history(tmp_path, "1", snapshot=snapshot, adopts=[MAC])
    original = find_original(tmp_path)
    assert original.active == {"eth0": "u-1", "bond0": "u-2"}
    assert original.snapshot["links"]["bond0"] == bond
    assert {"uuid": "u-2", "device": "bond0"} in original.snapshot["profiles"]


def test_an_interface_adopted_later_is_activated_and_compared(state: Path) -> None:
    adopt_later(state)
    original = find_original(state)
    assert original.active == {"eth0": "u-1", "bond0.7": "u-bond0.7"}
    assert set(original.snapshot["links"]) == {"eth0", "bond0.7"}
    assert {"u-peth0.7", "u-peth0", "u-idle"} <= set(original.snapshot["uuids"]), "their keyfiles are restored"


def test_transactions_before_a_removal_do_not_count(state: Path) -> None:
    write_history(state, "3", snapshot={}, removes=True)
    with pytest.raises(Refused, match="manages no NIC"):
        find_original(state)


def test_the_macvtaps_of_the_first_snapshot_that_has_them_count(tmp_path: Path) -> None:
    """An older kvmnet recorded none."""
    nic = {"links": {"eth0": link("eth0")}}
    first, second = ({"macvtap0": {"index": 7, "allmulticast": is_on}} for is_on in (False, True))
    write_history(tmp_path, "1", snapshot=nic, adopts=[MAC])
    assert "macvtaps" not in find_original(tmp_path).snapshot
    write_history(tmp_path, "2", snapshot={**nic, "macvtaps": first})
    write_history(tmp_path, "3", snapshot={**nic, "macvtaps": second})
    assert find_original(tmp_path).snapshot["macvtaps"] == first
    write_history(tmp_path, "4", snapshot={}, removes=True)
    write_history(tmp_path, "5", snapshot={**nic, "macvtaps": {}}, adopts=[MAC])
    write_history(tmp_path, "6", snapshot={**nic, "macvtaps": second})
    assert find_original(tmp_path).snapshot["macvtaps"] == {}, "there was none"
