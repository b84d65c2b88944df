"""Links and routes are read for comparison; NICs are renamed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kvmnet.system import links, programs
from kvmnet.system.errors import HostError
from tests.unit.system.samples import IP_LINKS


class BusyNic:
    """A NIC that the kernel renames only while it is down, and that another program sets up again `times` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.name, self.up, self.times, self.downs = "eth0", True, times, 0
        monkeypatch.setattr(programs, "run", self.run)
        monkeypatch.setattr(links, "read_links", lambda: {self.name: {"altnames": []}})
        monkeypatch.setattr(links, "find_nic", lambda _: self.name)
        monkeypatch.setattr(time, "sleep", lambda _: None)

    def run(self, *argv: str, **_: Any) -> str:
        if argv[-1] == "down":
            self.downs += 1
            self.up = self.downs <= self.times
        elif argv[-1] == "up":
            self.up = True
        elif self.up:
            raise HostError("ip: RTNETLINK answers: Device or resource busy")
        else:
            self.name = argv[-1]
        return ""


def test_a_nic_that_another_program_sets_up_again_is_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    nic = BusyNic(monkeypatch, times=3)
    assert links.rename_nic("m", "peth0") == "down-up"
    assert (nic.name, nic.up, nic.downs) == ("peth0", True, 4)


def test_a_nic_that_stays_busy_is_left_up_and_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nic = BusyNic(monkeypatch, times=99)
    with pytest.raises(HostError, match="busy"):
        links.rename_nic("m", "peth0")
    assert (nic.name, nic.up, nic.downs) == ("eth0", True, 5)


def test_routes_are_compared_by_preference() -> None:
    def route(dev: str, metric: int, to: str = "default") -> dict[str, Any]:
        return {"family": "4", "table": "main", "to": to, "via": "x", "dev": dev, "metric": metric, "source": None}

    before = links.rank_routes([route("eth0", 100), route("eth1", 101), route("eth0", 100, "10.1.0.0/16")])
    assert links.rank_routes([route("eth0", 103, "10.1.0.0/16"), route("eth1", 104), route("eth0", 103)]) == before
    assert links.rank_routes([route("eth0", 102), route("eth1", 101), route("eth0", 102, "10.1.0.0/16")]) != before
    assert links.rank_routes([route("eth0", 100), route("eth0", 100, "10.1.0.0/16")]) != before


def test_the_options_of_a_link_are_its_settings_and_not_its_state() -> None:
    parsed = links.read_links(IP_LINKS)
    assert {name: link["options"] for name, link in parsed.items()} == {
        "eth0": {},
        "bond0": {"mode": "active-backup", "miimon": 100},
        "eth0.5": {"protocol": "802.1Q", "id": 5},
        "br0": {"stp_state": 0},
    }
    assert parsed["eth0.5"]["over"] == "eth0"
    for interval, targets in ((0, {}), (500, {"arp_ip_target": ["10.0.0.1"]})):
        data = {"arp_interval": interval, "arp_ip_target": ["10.0.0.1"]}
        bond = {"ifname": "bond1", "linkinfo": {"info_kind": "bond", "info_data": data}}
        assert links.read_links([bond])["bond1"]["options"] == {"arp_interval": interval, **targets}


def test_macvtaps_and_whether_they_receive_all_multicast_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"ifname": "eth0", "flags": ["UP", "ALLMULTI"]},
        {"ifname": "macvtap0", "ifindex": 7, "link": "eth0.2", "address": "AA:bb", "flags": ["UP", "ALLMULTI"],
         "linkinfo": {"info_kind": "macvtap"}},
        {"ifname": "macvtap1", "ifindex": 8, "link": "eth0.2", "address": "cc", "flags": ["UP"],
         "linkinfo": {"info_kind": "macvtap"}},
    ]  # fmt: skip
    monkeypatch.setattr(links, "read_ip_links", lambda: rows)
    found = links.read_macvtaps()
    assert found["macvtap0"] == {"index": 7, "over": "eth0.2", "address": "aa:bb", "allmulticast": True}
    assert [name for name, macvtap in found.items() if not macvtap["allmulticast"]] == ["macvtap1"]
    assert links.select_filtered_macvtaps(found, ["eth0.2"], []) == ["macvtap1"]
    assert links.select_filtered_macvtaps(found, ["eth0.2"], ["cc"]) == []
    assert links.select_filtered_macvtaps(found, ["eth0"], []) == []
    done = []
    monkeypatch.setattr(programs, "run", lambda *words: done.append(" ".join(words)))
    links.set_all_multicast("macvtap1", True)
    links.set_all_multicast("macvtap1", False)
    assert done == [f"ip link set dev macvtap1 allmulticast {state}" for state in ("on", "off")]


def test_virtual_addresses_and_their_routes_are_left_out() -> None:
    def row(name: str, *addresses: str) -> Any:
        infos = [{"local": a.split("/")[0], "prefixlen": int(a.split("/")[1])} for a in addresses]
        return {"ifname": name, "addr_info": infos}

    rows = [
        row("br0", "10.1.1.200/32", "10.1.255.254/16", "fd00::1/64", "fd00::c8/64"),
        row("br1", "10.7.0.1/24"),
    ]
    routes = [
        {"dev": dev, "to": to, "source": source}
        for dev, to, source in (
            ("br0", "10.1.0.0/16", "10.1.255.254"),
            ("br0", "default", None),
            ("br0", "10.9.0.0/16", "10.1.1.200"),
            ("br0", "fd00::/64", None),
            ("br0", "fd00::c8", None),
            ("br1", "10.7.0.0/24", "10.7.0.1"),
            ("br2", "fd00::c8", None),
        )
    ]
    kernel = links.leave_out_virtual(links.Kernel([], rows, routes), ("10.1.1.200", "fd00::c8", "10.7.0.1"))
    assert kernel.addresses == [row("br0", "10.1.255.254/16", "fd00::1/64"), row("br1")]
    assert [(r["dev"], r["to"]) for r in kernel.routes] == [
        *(("br0", "10.1.0.0/16"), ("br0", "default"), ("br0", "fd00::/64"), ("br2", "fd00::c8"))
    ]
