"""The snapshot after a boot."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.rescue import comparison, snapshot
from kvmnet.system import links, networkmanager


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
