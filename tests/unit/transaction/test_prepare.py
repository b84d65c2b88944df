"""What comes before a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional

import pytest

from kvmnet.core.assessment import assess
from kvmnet.core.base.errors import Refused
from kvmnet.core.base.probe import Probe
from kvmnet.core.live.live_host import Live
from kvmnet.core.live.running_guests import GuestNic, Running, RunningGuest
from kvmnet.core.planning.changes import Change
from kvmnet.core.planning.plan import Plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.host.networkmanager_dbus import NMError
from kvmnet.host.operator_connection import SshConnection
from kvmnet.host.probing import Replies
from kvmnet.system.errors import HostError
from kvmnet.transaction import prepare
from kvmnet.transaction.prepare import ChangeOptions, check_refusals
from tests.unit.core.adoption_samples import bridged_host, load_site
from tests.unit.core.samples import (
    NIC_LINE,
    VNET0,
    VNET5,
    bundle_with,
    live_of,
)


@pytest.fixture
def make_bundle(tmp_path: Path) -> Any:
    return partial(bundle_with, tmp_path)


def test_a_refusal_reports_what_would_happen_to_every_guest(make_bundle: Any) -> None:
    nics = (RunningGuest("a", (GuestNic("bridge", "vnet5"),)), RunningGuest("b", (GuestNic("bridge", "vnet0"),)))
    live = live_of(make_bundle(), VNET0, VNET5, running=Running(guests=nics))
    with pytest.raises(Refused) as error:
        check_refusals(assess(make_bundle(NIC_LINE), live), ChangeOptions())
    assert error.value.lines()[-2:] == [
        "guest a, vnet5 on br-eth0.5: disconnected: br-eth0.5 is removed",
        "untouched guests: b",
    ]
    assert [g["guest"] for g in error.value.data["guests"]] == ["a", "b"]


def test_without_libvirts_reply_the_owner_of_a_device_is_unknown(make_bundle: Any) -> None:
    live = live_of(make_bundle(), VNET0, VNET5, running=Running(problem="no answer within 8 s"))
    with pytest.raises(Refused) as error:
        check_refusals(assess(make_bundle(NIC_LINE), live), ChangeOptions())
    assert "vnet5 (guest unknown: libvirt is not available) would be disconnected" in error.value.message
    lines = "\n".join(error.value.also)
    assert "vnet5 (guest unknown: libvirt is not available) on br-eth0.5" in lines
    assert "running guests are listed by device name" in lines and "not a device" not in lines


def test_the_permission_to_adopt_covers_its_refusals(tmp_path: Path) -> None:
    bundle = load_site(tmp_path)
    assessment = assess(bundle, bridged_host(bundle))
    with pytest.raises(Refused, match="kvmnet would adopt them: bridge br0"):
        check_refusals(assessment, ChangeOptions())
    assert check_refusals(assessment, ChangeOptions(adopt=True)) == (), "the plan lists it, so it is not listed again"


def with_gateway(gateway: str = "", address: str = "10.1.0.5", prefix: int = 16, name: str = "eth0") -> dict[str, Any]:
    family = "ipv6" if ":" in address else "ipv4"
    to = "::/0" if ":" in gateway else "0.0.0.0/0"
    route = {"destination": to, "next-hop-address": gateway, "next-hop-interface": name}
    return {
        "interfaces": [{"name": name, family: {"address": [{"ip": address, "prefix-length": prefix}]}}],
        "routes": {"config": [route] if gateway else []},
    }


def texts(probes: Sequence[Probe]) -> list[str]:
    return [probe.text for probe in probes]


def test_the_operators_host_is_probed_by_root_unless_it_is_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other users cannot use raw sockets."""
    monkeypatch.setattr(prepare, "find_replies", lambda probes, _: Replies(list(probes)))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    here = Live("h", with_gateway("10.1.1.1"), {}, {})
    outside, itself = SshConnection("10.9.0.9", "10.1.0.5", 0.0), SshConnection("10.1.0.5", "10.1.0.5", 0.0)
    for connection, asked in ((outside, ["10.1.1.1", "10.9.0.9"]), (itself, ["10.1.1.1"]), (None, ["10.1.1.1"])):
        assert texts(prepare._probe(with_gateway("10.1.1.1"), here, connection).must) == asked
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert texts(prepare._probe(with_gateway("10.1.1.1"), here, outside).must) == []


@pytest.mark.guarantee("G96")
def test_a_gateway_that_is_a_guest_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a firewall in a guest: it replies only through the guest's port."""
    gateway = Probe("gateway", "10.1.1.1")
    monkeypatch.setattr(
        prepare,
        "find_replies",
        lambda probes, _: Replies([p for p in probes if p != gateway], {p: "vnet3" for p in probes if p == gateway}),
    )
    monkeypatch.setattr("os.geteuid", lambda: 0)
    here = Live("h", with_gateway("10.1.1.1"), {}, {})
    probes = prepare._probe(with_gateway("10.1.1.1"), here, SshConnection("10.9.0.9", "10.1.0.5", 0.0))
    assert (texts(probes.must), probes.silent, probes.watch) == (["10.9.0.9"], (), None)
    assert probes.through_guests == ((gateway, "vnet3"),)


BRIDGE: dict[str, Any] = {
    "name": "eth0",
    "type": "linux-bridge",
    "bridge": {"port": [{"name": "peth0"}]},
    "ipv4": {"address": [{"ip": "10.1.255.254", "prefix-length": 16}]},
}


ETH9 = {"name": "eth9", "ipv4": {"address": [{"ip": "192.0.2.7", "prefix-length": 24}]}}


@pytest.mark.parametrize(("said", "touched", "untouched"), [(None, prepare.CONFIRM_WITHIN, 0), (0, 0, 0), (30, 30, 30)])
def test_a_confirmation_is_needed_when_the_operators_path_changes_unless_set_otherwise(
    said: Optional[int], touched: int, untouched: int
) -> None:
    here, bundle = Live("h", {"interfaces": [BRIDGE]}, {}, {}), Bundle("c", "h", "rocks", (), {})
    changes = (Change("change", "eth0"),)
    plan = Plan(bundle, state={"interfaces": [{"name": "eth0"}]}, changes=changes)
    wishes = ChangeOptions(confirm=said)
    assert prepare._seconds_to_confirm(wishes, plan, here, SshConnection("10.1.1.1", "10.1.255.254", 1.0)) == touched
    for another in (SshConnection("192.0.2.1", "192.0.2.7", 1.0), None):
        assert (
            prepare._seconds_to_confirm(wishes, plan, Live("h", {"interfaces": [BRIDGE, ETH9]}, {}, {}), another)
            == untouched
        )


@pytest.mark.guarantee("G37")
def test_an_unknown_connection_needs_a_confirmation_when_an_interface_changes() -> None:
    """Such as one through a web console (cockpit)."""
    here, unknown = Live("h", {"interfaces": [BRIDGE]}, {}, {}), SshConnection("", "", 0.0)
    changed = Plan(
        Bundle("c", "h", "rocks", (), {}),
        state={"interfaces": [{"name": "eth0"}]},
        changes=(Change("change", "x"),),
    )
    assert prepare._seconds_to_confirm(ChangeOptions(), changed, here, unknown) == prepare.CONFIRM_WITHIN
    assert prepare._operators_host(unknown) == []
    recorded = Plan(changed.bundle, record=True)
    assert prepare._seconds_to_confirm(ChangeOptions(), recorded, here, unknown) == 0, "no interface changes"


class Manager:
    """NetworkManager, which stops after it has replied `replies` times."""

    def __init__(self, replies: int) -> None:
        self.replies = replies

    def version(self) -> str:
        self.replies -= 1
        if self.replies < 0:
            raise NMError("NetworkManager does not answer")
        return "1.52"


@pytest.mark.parametrize(
    ("replies", "code", "message"), [(9, "KVN512", "nmcli: not found"), (1, "KVN504", "NetworkManager")]
)
def test_a_host_that_cannot_be_read_is_refused_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, replies: int, code: str, message: str
) -> None:
    """A missing program is KVN512; NetworkManager that stops while the host is read is KVN504."""

    def fail() -> None:
        raise HostError("NetworkManager's profiles: nmcli: not found")

    monkeypatch.setattr(prepare, "read_manager_state", fail)
    with pytest.raises(Refused, match=message) as refused, prepare.refuse_unreadable_host():
        prepare._read(None, Manager(replies), Path("/nowhere"))  # type: ignore[arg-type]
    assert refused.value.code == code
