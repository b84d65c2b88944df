"""The snapshot after a boot."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.rescue import comparison, snapshot, whole_host
from kvmnet.system import firewalld, links, networkmanager


def test_after_a_boot_state_that_was_only_in_memory_is_not_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that was deactivated before is activated by the boot. Neither is an effect of the change."""
    rows = [{"uuid": u, "device": d, "file": f} for u, d, f in (("a", "eth0", "/etc/a"), ("b", None, "/etc/b"))]
    monkeypatch.setattr(
        networkmanager, "list_profiles", lambda: [{**row, "device": row["device"] or "br5"} for row in rows]
    )
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {"altnames": ["now"]}, "eth1": {"altnames": ["now"]}})
    before = {
        "links": {name: {"mac": mac, "altnames": ["was"]} for name, mac in (("eth0", "m0"), ("eth1", "m1"))},
        "files": [{"path": "/etc/a"}, {"path": "/run/c"}],
        "profiles": [*rows, {"uuid": "c", "device": "eth1", "file": "/run/c"}],
    }
    now = snapshot.adapt_snapshot_to_boot(before, renamed_macs={"m1"})
    monkeypatch.setattr(links, "read_guest_ports", dict)
    wired = [{"uuid": "w", "device": "eth1", "file": "/run/w"}]  # NetworkManager's own, created by the boot
    seen = {"links": now["links"], "profiles": [*networkmanager.list_profiles(), *wired]}
    monkeypatch.setattr(
        comparison,
        "find_file_differences",
        lambda _: ["file /run/c: did not exist before", "file /etc/a: no longer exists"],
    )
    monkeypatch.setattr(
        snapshot, "read_host_state", lambda *_: {**dict.fromkeys(("addresses", "routes", "zones", "dns")), **seen}
    )
    asked: dict[str, Any] = {"names": [], "macs": [], "uuids": [], "global dns": None}
    monkeypatch.setattr(networkmanager, "read_global_dns", lambda: None)
    seen["global dns"] = None
    assert comparison.find_differences({**now, **asked}) == ["file /etc/a: no longer exists"]
    assert [(p["uuid"], p["device"]) for p in now["profiles"]] == [("a", "eth0"), ("b", "br5")]
    assert now["files"] == [{"path": "/etc/a"}]
    assert [link["altnames"] for link in now["links"].values()] == [["now"], ["was"]]


VIRTUAL = ("10.1.1.200", "fd00::c8", "10.7.0.1")


@pytest.mark.parametrize("at_first", [True, False])
def test_a_virtual_address_that_comes_or_goes_is_no_difference(monkeypatch: pytest.MonkeyPatch, at_first: bool) -> None:
    """A node gets it, or another one, while this one is changed. It must never be restored."""
    monkeypatch.setattr(links, "read_ip_links", lambda: [{"ifname": "eth0", "ifindex": 2, "link_type": "ether"}])
    monkeypatch.setattr(links, "read_routes", list)
    monkeypatch.setattr(firewalld, "is_running", lambda: False)
    for name in ("list_profiles", "read_name_servers", "read_global_dns"):
        monkeypatch.setattr(networkmanager, name, dict)
    monkeypatch.setattr(networkmanager, "find_keyfiles", lambda _: [])
    shown = [("10.1.1.200", 32)] * at_first + [("10.1.255.254", 16)]

    def read_addresses() -> list[Any]:
        return [{"ifname": "eth0", "addr_info": [{"local": ip, "prefixlen": prefix} for ip, prefix in shown]}]

    monkeypatch.setattr(links, "read_ip_addresses", read_addresses)
    before = snapshot.take_snapshot(["eth0"], [], [], [], virtual=VIRTUAL)
    assert before["virtual"] == sorted(VIRTUAL) and before["addresses"] == {"eth0": ["10.1.255.254/16"]}
    shown[:] = [("10.1.255.254", 16)] + [("10.1.1.200", 32)] * (not at_first)
    assert comparison.find_differences(before) == [] == whole_host.find_notes(before)
    assert snapshot.read_current_state(before)["addresses"] == {"eth0": ["10.1.255.254/16"]}
    shown.append(("10.1.1.201", 32))
    assert len(comparison.find_differences(before)) == 1
