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


def replaced_bridge(state: Path, *replacements: dict[str, str]) -> dict[str, str]:
    """What replaces bridges from before kvmnet, after transactions that replaced bridges."""
    bridge: dict[str, Any] = {"name": "br0", "mac": None, "kind": "bridge", "address": MAC, "altnames": []}
    first = {
        "links": {"eth0": link("eth0", master="br0"), "br0": bridge},
        "profiles": [{"uuid": u, "device": d, "file": "", "id": d} for u, d in (("u-1", "eth0"), ("u-br0", "br0"))],
    }
    for number, replaced in enumerate(replacements):
        write_history(state, str(number), snapshot=first if not number else {}, adopts=[MAC], replaced=replaced)
    original = find_original(state)
    assert original.active["br0"] == "u-br0"
    return dict(original.replaced)


def test_a_replaced_bridge_is_restored_with_the_ports_of_the_last_one(tmp_path: Path) -> None:
    assert replaced_bridge(tmp_path / "a", {"br0": "br-eth0"}) == {"br0": "br-eth0"}
    assert replaced_bridge(tmp_path / "b", {"br0": "br-eth0"}, {"br-eth0": "br1"}) == {"br0": "br1"}
    assert replaced_bridge(tmp_path / "c", {"br0": "br-eth0"}, {"br-eth0": "br0"}) == {}, "the ports are there already"
    assert replaced_bridge(tmp_path / "d", {"br0": "br-eth0"}, {}) == {"br0": "br-eth0"}


def test_addresses_gateways_and_name_servers_are_probed_also_if_a_bridge_had_them(tmp_path: Path) -> None:
    """The NIC was a port of the bridge, which had the address: a removal probes what replied before kvmnet."""
    bridge: dict[str, Any] = {"name": "br0", "mac": None, "kind": "bridge", "address": MAC, "altnames": []}
    route = {
        "family": "4",
        "to": "default",
        "via": "10.1.1.1",
        "dev": "br0",
        "table": "main",
        "source": None,
        "rank": 0,
    }
    snapshot = {
        "links": {"eth0": link("eth0", master="br0"), "br0": bridge},
        "addresses": {"br0": ["10.1.255.254/16", "2001:db8::5/64"]},
        "routes": [route, {**route, "family": "6", "via": "2001:db8::1"}, {**route, "dev": "eth9"}],
        "dns": {"br0": {"nameservers": ["10.1.1.1", "10.1.1.2"]}},
        "profiles": [{"uuid": u, "device": d, "file": "", "id": d} for u, d in (("u-1", "eth0"), ("u-2", "br0"))],
    }
    write_history(tmp_path, "1", snapshot=snapshot, adopts=[MAC])
    state = find_original(tmp_path).to_state()
    addresses = [(a["ip"], a["prefix-length"]) for a in state["interfaces"][0]["ipv4"]["address"]]
    assert addresses == [("10.1.255.254", 16), ("2001:db8::5", 64)]
    assert [(r["destination"], r["next-hop-address"]) for r in state["routes"]["config"]] == [
        ("0.0.0.0/0", "10.1.1.1"),
        ("::/0", "2001:db8::1"),
    ]
    assert state["dns-resolver"]["config"]["server"] == ["10.1.1.1", "10.1.1.2"]


def test_keyfiles_that_a_change_left_are_removed_if_they_are_the_same(tmp_path: Path) -> None:
    """Not one that is gone, one that another profile has the name of now, or one of a profile that kvmnet created."""
    names = ("left", "gone", "theirs", "ours", "recorded", "removed-since")
    paths = {name: str(tmp_path / f"{name}.nmconnection") for name in names}
    for name, path in paths.items():
        if name != "gone":
            uuid = "u-other" if name == "theirs" else f"u-{name}"
            Path(path).write_text(f"[connection]\nuuid={uuid}\n")
    uuids = {path: f"u-{name}" for name, path in paths.items()}
    seed = {"op": "seed", "profiles": [{"uuid": "u-ours", "type": "bridge"}], "undo": []}
    first = {"links": {"eth0": link("eth0")}, "files": [file(paths["recorded"], "[connection]\n")]}
    write_history(tmp_path, "1", snapshot=first, adopts=[MAC], traces={"keyfiles": uuids}, steps=[seed])
    later = {"host": {"keyfiles": {path: "" for name, path in paths.items() if name != "removed-since"}}}
    write_history(tmp_path, "2", snapshot=later, traces={})
    original = find_original(tmp_path)
    assert original.leftovers == (paths["left"],)
    assert {"path": paths["left"], "absent": True} in original.snapshot["files"]
    assert original.since[paths["left"]]


def test_routing_rules_of_several_changes_are_added_up(tmp_path: Path) -> None:
    def rules(missing: list[str], new: list[str]) -> dict[str, Any]:
        return {"rules": {"missing": [["4", rule] for rule in missing], "new": [["4", rule] for rule in new]}}

    write_history(
        tmp_path, "1", snapshot={"links": {"eth0": link("eth0")}}, adopts=[MAC], traces=rules(["a", "b"], ["c", "d"])
    )
    write_history(tmp_path, "2", snapshot={}, traces=rules(["c"], ["a", "e"]))
    assert find_original(tmp_path).rules == {"missing": [["4", "b"]], "new": [["4", "d"], ["4", "e"]]}


SECOND_MAC = "00:14:4f:80:de:01"


def shared_by(*devices: str) -> list[dict[str, Any]]:
    return [{"uuid": "u-1", "device": device, "file": "", "id": "default"} for device in devices]


def test_a_profile_that_serves_another_nic_too_is_restored_for_the_nics_of_the_definition(tmp_path: Path) -> None:
    """eth1 is not in the definition at first, and is adopted later."""
    nics = {"eth0": link("eth0"), "eth1": {**link("eth1"), "mac": SECOND_MAC}}
    first = {"links": {"eth0": nics["eth0"]}, "profiles": shared_by("eth1", "eth0")}
    write_history(tmp_path, "1", snapshot=first, adopts=[MAC], host="h")
    original = find_original(tmp_path)
    assert original.active == {"eth0": "u-1"}
    assert original.snapshot["profiles"] == [{"uuid": "u-1", "device": "eth0"}]
    assert set(original.snapshot["links"]) == {"eth0"}
    second = {
        "links": {"peth0": {**nics["eth0"], "name": "peth0"}, "eth1": nics["eth1"]},
        "profiles": shared_by("eth1"),
    }
    write_history(tmp_path, "2", snapshot=second, adopts=[SECOND_MAC], host="h")
    assert find_original(tmp_path).active == {"eth0": "u-1", "eth1": "u-1"}


def test_two_nics_that_shared_a_profile_both_get_it_back(tmp_path: Path) -> None:
    nics = {"eth0": link("eth0"), "eth1": {**link("eth1"), "mac": SECOND_MAC}}
    snapshot = {"links": nics, "profiles": shared_by("eth0", "eth1")}
    write_history(tmp_path, "1", snapshot=snapshot, adopts=[MAC, SECOND_MAC], host="h")
    assert find_original(tmp_path).active == {"eth0": "u-1", "eth1": "u-1"}


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


def test_virtual_addresses_of_that_time_are_left_out(state: Path) -> None:
    """The snapshot is older than kvmnet's knowledge of them."""
    original = find_original(state)
    (name,) = [name for name, on_link in original.snapshot["addresses"].items() if on_link][:1]
    original.snapshot["addresses"][name].append("10.1.1.200/32")
    without = original.without_virtual(("10.1.1.200",)).snapshot
    assert (without["addresses"][name], without["virtual"]) == (
        original.snapshot["addresses"][name][:-1],
        ["10.1.1.200"],
    )


def test_the_loopback_interface_of_the_first_snapshot_that_has_it_counts(state: Path) -> None:
    assert "lo" not in find_original(state).snapshot["addresses"]
    loopback: dict[str, Any] = {"name": "lo", "mac": None, "kind": "", "altnames": []}
    for number, addresses in (("3", ["127.0.0.1/8"]), ("4", ["127.0.0.1/8", "10.9.9.1/32"])):
        write_history(state, number, snapshot={"links": {"lo": loopback}, "addresses": {"lo": addresses}})
    assert find_original(state).snapshot["addresses"]["lo"] == ["127.0.0.1/8"]
