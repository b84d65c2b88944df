"""Refusals about who manages interfaces: NetworkManager and its configuration, systemd-networkd, ifupdown."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from kvmnet.core.live.live_host import Link, Live
from kvmnet.core.live.surroundings import ConfigFile, Surroundings, UnmanagedRule
from kvmnet.core.planning.plan import make_plan
from tests.unit.core.adoption_samples import bridged_host, load_site
from tests.unit.core.refusals.samples import (
    BUNDLE,
    ETH0,
    assert_refused,
    find_codes,
    find_messages,
    host_with,
    links_with,
)
from tests.unit.core.samples import after, before, bundle_with, live_of, refusals_of

DOCKER = "/etc/NetworkManager/conf.d/10-docker.conf"
#: A definition with the naming policy plain, so the bridge is br-eth0.
NIC = "      eth0: {network: private, mac: 00:14:4f:80:de:00, addresses: [10.1.255.254]}\n"
NETWORKD = "/etc/systemd/network/10-uplink.network"


def configured(text: str, path: str = DOCKER) -> Live:
    """Return a host before kvmnet with this file among NetworkManager's configuration."""
    return host_with(manager_files=(ConfigFile(path, text),))


@pytest.mark.guarantee("G61")
@pytest.mark.parametrize(
    ("live", "message", "hint"),
    [
        (
            host_with(unmanaged=("eth0",)),
            "NetworkManager does not manage NIC eth0",
            "at the console of the host, create a connection profile for eth0, and activate the profile",
        ),
        (
            replace(before(), profiles={}),
            "NIC eth0 has addresses that NetworkManager did not set: they could not be restored",
            "at the console of the host, create a connection profile for eth0, and activate the profile",
        ),
        (
            host_with(unmanaged=("eth0",), networkd={"eth0": NETWORKD}),
            f"systemd-networkd configures eth0 ({NETWORKD}), and NetworkManager does not manage it",
            (
                f"at the console of the host, create a connection profile for eth0, remove eth0 from {NETWORKD}, and "
                "activate the profile"
            ),
        ),
        (
            host_with(unmanaged=("eth0",), ifupdown={"eth0": "/etc/network/interfaces"}),
            "ifupdown configures eth0 (/etc/network/interfaces), and NetworkManager does not manage it",
            (
                "at the console of the host, create a connection profile for eth0, remove eth0 from "
                "/etc/network/interfaces, and activate the profile"
            ),
        ),
        (
            replace(
                configured("[keyfile]\nunmanaged-devices=mac:00:14:4F:80:DE:00\n"),
                surroundings=Surroundings(
                    unmanaged=("eth0",),
                    manager_files=(ConfigFile(DOCKER, "[keyfile]\nunmanaged-devices=mac:00:14:4F:80:DE:00\n"),),
                ),
            ),
            "NetworkManager does not manage NIC eth0",
            (
                "the reason is unmanaged-devices=mac:00:14:4F:80:DE:00 in conf.d/10-docker.conf: at the console of the "
                "host, create a connection profile for eth0, exclude eth0 there (`except:interface-name:eth0`), and "
                "run `systemctl reload NetworkManager`, and activate the profile"
            ),
        ),
    ],
)
def test_an_interface_that_networkmanager_does_not_manage_is_refused(live: Live, message: str, hint: str) -> None:
    assert_refused("KVN531", live, message)
    assert hint in refusals_of(make_plan(BUNDLE, live), live)[0].hint


def test_an_interface_of_the_definition_that_networkd_has_made_is_refused() -> None:
    live = replace(after(BUNDLE), settings={})
    live = replace(live, surroundings=Surroundings(networkd={"eth0": ""}))
    assert find_messages(live) == [
        ("KVN531", "systemd-networkd configures eth0, and NetworkManager does not manage it")
    ]
    assert find_codes(replace(live, surroundings=Surroundings(networkd={"br7": ""}))) == []


def unused_nic(*others: Link, master: str | None = None, unmanaged_devices: str = "") -> Live:
    """Return a host whose only NIC is unmanaged and has no address."""
    state = copy.deepcopy(before().state)
    for interface in state["interfaces"]:
        interface["ipv4"] = interface["ipv6"] = {"enabled": False}
    files = (ConfigFile(DOCKER, f"[keyfile]\nunmanaged-devices={unmanaged_devices}\n"),) if unmanaged_devices else ()
    surroundings = Surroundings(unmanaged=("eth0",), manager_files=files)
    links = links_with(*others, nic=replace(ETH0, master=master))
    return replace(before(), state=state, links=links, surroundings=surroundings)


@pytest.mark.parametrize(
    ("live", "is_at_the_console"),
    [
        (unused_nic(), False),
        (unused_nic(Link("br0", None, "bridge"), master="br0"), True),
        (unused_nic(Link("bond7", None, "bond"), master="bond7"), True),
        (unused_nic(Link("eth0.5", None, "vlan", base="eth0")), True),
        (unused_nic(unmanaged_devices="eth0"), False),
        (unused_nic(Link("br0", None, "bridge"), master="br0", unmanaged_devices="eth0"), True),
    ],
)
def test_a_nic_in_use_is_given_to_networkmanager_only_at_the_console(live: Live, is_at_the_console: bool) -> None:
    """`nmcli device set NIC managed yes` takes a port from the bridge of ifupdown, which cuts off the host."""
    [hint] = [r.hint for r in refusals_of(make_plan(BUNDLE, live), live) if r.code == "KVN531"]
    assert ("at the console" in hint) is is_at_the_console
    if is_at_the_console:
        assert "nmcli device set" not in hint


@pytest.mark.parametrize("unmanaged", [("eth0",), ()])
def test_a_bridge_of_ifupdown_is_not_adopted(tmp_path: Path, unmanaged: tuple[str, ...]) -> None:
    """/etc/network/interfaces has br0 with eth0 in bridge_ports, and no stanza for eth0."""
    bundle = load_site(tmp_path)
    live = bridged_host(bundle)
    files = {"br0": "/etc/network/interfaces", "eth0": "/etc/network/interfaces"}
    live = replace(live, surroundings=Surroundings(unmanaged=unmanaged, ifupdown=files))
    assert find_codes(live, bundle) == (["KVN531"] if unmanaged else []) + ["KVN536"], "br0 has a saved profile"
    external = replace(live.profiles["br0"], file="")
    for profiles in ({"br0": external}, {}):
        found = refusals_of(make_plan(bundle, replace(live, profiles=profiles)), replace(live, profiles=profiles))
        refusals = [r for r in found if r.code == "KVN531"]
        assert [r.message.partition(" (")[0] for r in refusals] == [
            *(f"ifupdown configures {name}" for name in unmanaged),
            "ifupdown configures br0",
        ]
        assert all("at the console" in r.hint and "nmcli device set" not in r.hint for r in refusals)


def test_an_unmanaged_nic_that_is_not_in_the_definition_is_accepted() -> None:
    assert find_codes(host_with(unmanaged=("eth1",), networkd={"eth1": NETWORKD})) == []


UNMANAGED = "interface-name:docker0;interface-name:br-*;interface-name:veth*"


@pytest.mark.guarantee("G65")
def test_a_name_to_come_that_networkmanager_leaves_alone_is_refused(tmp_path: Path) -> None:
    """The definition is the one of a host with docker: its bridges are called br-…"""
    bundle = bundle_with(tmp_path, NIC)
    live = configured(f"[keyfile]\nunmanaged-devices={UNMANAGED}\n")
    plan = make_plan(bundle, live)
    (refusal,) = refusals_of(plan, live)
    assert (refusal.code, refusal.message, refusal.hint) == (
        "KVN538",
        (
            "NetworkManager is configured to leave br-eth0 unmanaged (unmanaged-devices=interface-name:br-* in "
            "conf.d/10-docker.conf)"
        ),
        "exclude br-eth0 there (`except:interface-name:br-eth0`), and run `systemctl reload NetworkManager`",
    )


@pytest.mark.parametrize(
    "text",
    [
        f"[keyfile]\nunmanaged-devices={UNMANAGED};except:interface-name:br-eth0\n",
        "[keyfile]\nunmanaged-devices=type:wifi\n",
        f"[config]\nenable=0\n[keyfile]\nunmanaged-devices={UNMANAGED}\n",
        "[device-a]\nmatch-device=interface-name:br-docker*\nmanaged=0\n",
        (
            "[device-a]\nmatch-device=type:bridge\nmanaged=0\n[device-b]\nmatch-device=interface-name:br-eth0\nmanaged=1\n"
            "[device-a2]\nmatch-device=interface-name:br-eth1\nmanaged=0\n"
        ),
    ],
)
def test_a_name_to_come_that_is_managed_is_accepted(tmp_path: Path, text: str) -> None:
    bundle, live = bundle_with(tmp_path, NIC), configured(text)
    expected = ["KVN538"] if "device-b" in text else []  # within one file the first section counts
    assert [r.code for r in refusals_of(make_plan(bundle, live), live)] == expected


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (
            {"manager_files": (ConfigFile(DOCKER, "[device-virtual]\nmatch-device=type:bridge\nmanaged=0\n"),)},
            "[device-virtual] managed=0 in conf.d/10-docker.conf",
        ),
        (
            {"manager_files": (ConfigFile("/usr/lib/x.conf", "[keyfile]\nunmanaged-devices=*\n"),)},
            "=* in /usr/lib/x.conf",
        ),
        (
            {"manager_files": (ConfigFile(DOCKER, "[keyfile]\nunmanaged-devices=except:interface-name:eth0\n"),)},
            "unmanaged-devices=except:interface-name:eth0 in conf.d/10-docker.conf",
        ),
        ({"manager_files": (ConfigFile(DOCKER, "[keyfile]\nunmanaged-devices+=driver:bridge\n"),)}, "driver:bridge"),
        (
            {"unmanaged_rules": (UnmanagedRule("/etc/udev/rules.d/9.rules", ("docker*", "br-*")),)},
            "NM_UNMANAGED for docker*|br-* in /etc/udev/rules.d/9.rules",
        ),
        (
            {"unmanaged_rules": (UnmanagedRule("/etc/udev/rules.d/9.rules", (), ("bridge",)),)},
            "NM_UNMANAGED for bridge in /etc/udev/rules.d/9.rules",
        ),
        (
            {
                "manager_files": (ConfigFile(DOCKER, "[main]\nplugins=ifupdown,keyfile\n"),),
                "ifupdown": {"br-eth0": "/etc/network/interfaces"},
            },
            "ifupdown configures it (/etc/network/interfaces)",
        ),
    ],
)
def test_every_way_of_leaving_an_interface_alone_is_named(
    tmp_path: Path, facts: dict[str, object], reason: str
) -> None:
    bundle, live = bundle_with(tmp_path, NIC), host_with(**facts)
    (refusal,) = refusals_of(make_plan(bundle, live), live)
    assert refusal.code == "KVN538"
    assert "br-eth0" in refusal.message and reason in refusal.message
    assert "br-eth0" in refusal.hint


def test_an_interface_that_exists_is_not_refused_for_the_configuration(tmp_path: Path) -> None:
    """NetworkManager manages it now. What the next boot gives to it is another question."""
    bundle = bundle_with(tmp_path, NIC)
    live = live_of(bundle, Link("other", None, "dummy"))
    live = replace(
        live, applied=None, surroundings=configured(f"[keyfile]\nunmanaged-devices={UNMANAGED}\n").surroundings
    )
    assert refusals_of(make_plan(bundle, live), live) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[keyfile]\npath=/srv/profiles\n", "path=/srv/profiles in conf.d/10-docker.conf"),
        ("[main]\nplugins=ifcfg-rh,keyfile\n", "plugins=ifcfg-rh,keyfile in conf.d/10-docker.conf"),
        ("[main]\nplugins=ifcfg-rh\n", "plugins=ifcfg-rh in conf.d/10-docker.conf"),
        ("[keyfile]\npath=/etc/NetworkManager/system-connections/\n", ""),
        ("[main]\nplugins=keyfile,ifcfg-rh\n", ""),
        ("[main]\nplugins=ifupdown\n", ""),
    ],
)
def test_profiles_that_are_stored_elsewhere_are_refused(text: str, reason: str) -> None:
    live = configured(text)
    if reason:
        assert_refused("KVN514", live, reason)
    else:
        assert find_codes(live) == []


def test_the_links_of_a_host_do_not_matter_for_names_to_come() -> None:
    assert find_codes(replace(before(), links=links_with())) == []
