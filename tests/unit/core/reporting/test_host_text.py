"""What a change does to the host, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvmnet.core.assessment import Assessment
from kvmnet.core.effects.holdings import Facts, Holdings
from kvmnet.core.effects.host_effects import HostEffects, InterfaceEffect, find_host_effects
from kvmnet.core.effects.interruption import Cause, Interruption
from kvmnet.core.effects.management import Management
from kvmnet.core.planning.plan import make_plan
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.reporting.assessment_text import assessment_lines
from kvmnet.core.reporting.host_text import _CAUSES, format_host_effects
from tests.unit.core.samples import before

NOTHING = Holdings()
ADDRESS = "10.1.255.254/16"


def texts(*effects: InterfaceEffect) -> list[str]:
    return [line.strip() for line in format_host_effects(HostEffects(interfaces=effects))[1:]]


def test_the_whole_section_of_a_first_change(bundle: Bundle) -> None:
    plan = make_plan(bundle, before())
    assessment = Assessment(plan, before())
    effects = find_host_effects(plan, before(), assessment.view_after_renames, Facts("10.1.255.254"))
    assert effects is not None
    lines = [
        "this host:",
        "  management address 10.1.255.254/16 (your connection): on NIC eth0 now, on bridge eth0 over peth0 afterwards",
        "  bridge eth0 is new; gains 10.1.255.254/16 and the default route via 10.1.1.1",
        "  eth0 is renamed to peth0; becomes a port of eth0; loses 10.1.255.254/16 and the default route via 10.1.1.1",
        (
            "  expected interruption: at most 0.5 s (peth0 is renamed while it is up and the address moves to eth0; "
            "measured with virtual NICs)"
        ),
    ]
    assert format_host_effects(effects) == lines
    assert assessment_lines(assessment, effects)[:5] == lines


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (
            InterfaceEffect(
                "br200", None, "bridge", "changed", Holdings(ports=("bond0.200",)), Holdings(mac="x", ports=())
            ),
            "bridge br200 loses its only port bond0.200",
        ),
        (
            InterfaceEffect("br0", None, "bridge", "changed", Holdings(ports=("a", "b")), Holdings(ports=("b", "c"))),
            "bridge br0 loses its port a; gets port c",
        ),
        (
            InterfaceEffect("br5", None, "bridge", "removed", Holdings(("10.5.0.7/24",), ports=("eth0.5",)), NOTHING),
            "bridge br5 is removed; loses 10.5.0.7/24",
        ),
        (
            InterfaceEffect("br0", None, "bridge", "changed", Holdings(mac="aa"), Holdings(mac="bb")),
            (
                "bridge br0 gets another MAC address (aa -> bb): DHCP reservations and switch port security by MAC "
                "address will not match"
            ),
        ),
        (
            InterfaceEffect("br0", None, "bridge", "changed", Holdings(zone="public"), NOTHING),
            "bridge br0 moves from firewalld zone public to the default firewalld zone",
        ),
        (
            InterfaceEffect("eth1", None, "NIC", "changed", Holdings(controller="br0"), NOTHING),
            "eth1 leaves br0",
        ),
        (
            InterfaceEffect(
                "eth0", None, "NIC", "changed", Holdings((ADDRESS,), (("10.9.0.0/16", "10.1.1.2"),)), NOTHING
            ),
            "eth0 loses 10.1.255.254/16 and the route to 10.9.0.0/16 via 10.1.1.2",
        ),
        (
            InterfaceEffect("eth0", None, "NIC", "taken down", Holdings((ADDRESS,), controller="br0"), NOTHING),
            "eth0 is taken down; loses 10.1.255.254/16",
        ),
        (
            InterfaceEffect("br0", None, "bridge", "changed", NOTHING, NOTHING, (("10.1.1.200/32", "keepalived"),)),
            (
                "keepalived's address 10.1.1.200/32 on br0 is removed when NetworkManager applies the interface; "
                "keepalived decides where it is set again"
            ),
        ),
    ],
)
def test_what_an_interface_gains_and_loses(effect: InterfaceEffect, text: str) -> None:
    assert texts(effect) == [text]


def test_what_has_no_address_is_listed_with_the_changes_only() -> None:
    new = InterfaceEffect("br5", None, "bridge", "new", NOTHING, Holdings(ports=("eth0.5",)))
    assert texts(new, replace(new, event="removed", before=new.after, after=NOTHING)) == []
    port = InterfaceEffect("eth0", "e0", "NIC", "renamed", Holdings(zone="trusted"), Holdings(controller="br0"))
    assert texts(port) == ["e0 is renamed to eth0; becomes a port of br0"], "a port's packets have no zone of their own"


def management(**changes: object) -> str:
    one = Management(ADDRESS, "connection", "br0", "br0", ("eth0",), ("eth0",), ("bridge", "bridge"))
    return format_host_effects(HostEffects((replace(one, **changes),)))[1].strip()  # type: ignore[arg-type]


def test_where_the_management_address_will_be() -> None:
    subject = "management address 10.1.255.254/16"
    assert management() == f"{subject} (your connection): stays on bridge br0 over eth0"
    assert (
        management(why="default route", after=None)
        == f"{subject} (default route): on bridge br0 over eth0 now, on no interface afterwards"
    )
    assert management(mac=("aa", "bb")).endswith(
        "; its MAC address changes (aa -> bb): DHCP reservations and switch port security by MAC address will not match"
    )


def test_an_address_on_two_interfaces_is_a_warning() -> None:
    effects = HostEffects(duplicates=(("10.1.255.254", ("br-bond0.100", "br0")),))
    assert format_host_effects(effects)[1] == (
        "  warning: br-bond0.100 and br0 will both have 10.1.255.254: replies arrive at only one of them"
    )
    effects = HostEffects(duplicates=(("10.1.255.254", ("br0", "br1", "br2")),))
    assert format_host_effects(effects)[1] == (
        "  warning: br0, br1 and br2 will all have 10.1.255.254: replies arrive at only one of them"
    )


@pytest.mark.parametrize(
    ("interruption", "text"),
    [
        (Interruption(), "no interruption is expected"),
        (
            Interruption(((Cause.APPLIED_AGAIN, "br0"),)),
            "no interruption is expected (br0 is applied again in place)",
        ),
        (
            Interruption(((Cause.JOINS_BOND, "eth0"), (Cause.APPLIED_AGAIN, "br0"))),
            (
                "expected interruption: at most 2 s (eth0 becomes a port of a bond; measured with virtual NICs); the "
                "link of a NIC goes down: with a cable it takes 1 to 5 s more, and up to 50 s if the switch port runs "
                "spanning tree"
            ),
        ),
        (
            Interruption(lost=True),
            "the host will not be reachable by an address that no interface has afterwards",
        ),
    ],
)
def test_the_expected_interruption(interruption: Interruption, text: str) -> None:
    one = Management(ADDRESS, "connection", "br0", "br0", (), ())
    assert format_host_effects(HostEffects((one,), interruption=interruption))[-1].strip() == text


def test_each_cause_has_a_text() -> None:
    assert set(_CAUSES) == set(Cause)


def test_no_effects_no_heading() -> None:
    assert format_host_effects(HostEffects()) == []
