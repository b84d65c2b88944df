"""The view of a host: names, bridges, bonds, MTUs, addresses, name servers, and the devices of guests."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from kvmnet.core.views.host_view import NO_IP, Address, HostView, InfinibandView
from kvmnet.core.views.layout import build_host_views
from tests.unit.core.views.samples import MAC, NETWORKS, cluster_of, view_of

TWO_NICS = (f"eth0: {{mac: '{MAC}'}}", "eth1: {mac: '02:00:00:00:00:02'}")


def bonded(bond: str, *more: str, **settings: Any) -> HostView:
    """Return the view of a host with a bond of eth0 and eth1."""
    return view_of(*TWO_NICS, f"bond0: {{ports: [eth0, eth1], {bond}}}", *more, **settings)


def test_views_are_in_the_order_of_the_definition_and_only_of_hosts_with_a_known_policy() -> None:
    cluster = cluster_of(
        "kvmnet: 1\ncluster: c\nprofile: plain\nhosts:\n"
        "  b: {interfaces: {eth0: {}}}\n"
        "  unknown: {profile: nonesuch, interfaces: {eth0: {}}}\n"
        "  a: {interfaces: {eth0: {}}}\n"
    )
    assert list(build_host_views(cluster)) == ["b", "a"]
    assert list(build_host_views(cluster, ["a", "b"])) == ["b", "a"]
    assert list(build_host_views(cluster, ["a"])) == ["a"]
    assert list(build_host_views(cluster, ["unknown"])) == []


# ---- names


@pytest.mark.parametrize(
    ("profile", "nic", "bridge", "promiscuous"),
    [("rocks", "peth0", "eth0", True), ("plain", "eth0", "br-eth0", False)],
)
def test_the_naming_policy_names_a_bridged_nic_and_its_bridge(
    profile: str, nic: str, bridge: str, promiscuous: bool
) -> None:
    view = view_of(f"eth0: {{network: servers, mac: '{MAC}', addresses: [10.1.0.7]}}", profile=profile)
    (port,), (controller,) = view.nics, view.bridges
    assert (port.name, port.controller, port.promiscuous, port.ip) == (nic, bridge, promiscuous, NO_IP)
    assert (controller.name, controller.ports, controller.mac) == (bridge, (nic,), MAC)
    assert controller.ip.addresses == (Address("10.1.0.7", 16, 4),)


@pytest.mark.parametrize(
    ("profile", "keys", "name", "has_link_file"),
    [
        ("rocks", f"match: {{name: ens3, mac: '{MAC}'}}", "lan", True),
        ("rocks", "match: {name: ens3}", "ens3", False),
        ("plain", f"match: {{name: ens3, mac: '{MAC}'}}", "ens3", False),
        ("plain", f"mac: '{MAC}'", "lan", False),
    ],
)
def test_a_nic_without_a_bridge_gets_its_key_as_its_name_if_a_link_file_can_name_it(
    profile: str, keys: str, name: str, has_link_file: bool
) -> None:
    (nic,) = view_of(f"lan: {{{keys}}}", profile=profile).nics
    assert (nic.name, nic.has_link_file) == (name, has_link_file)


def test_a_vlan_has_its_base_interface_and_vlan_id() -> None:
    view = view_of(f"eth0: {{network: servers, mac: '{MAC}'}}", "eth0.5: {network: storage}", profile="rocks")
    assert [(vlan.name, vlan.base, vlan.tag, vlan.controller) for vlan in view.vlans] == [("peth0.5", "peth0", 5, None)]


# ---- what is left out, and what is not managed


@pytest.mark.parametrize(
    "interface",
    [
        "bond0: {ports: [eth0, eth9]}",
        "bond0: {ports: [eth0, eth0.5]}",
        "bond0.7: {ports: [eth0]}",
        "eth9.7: {}",
        "eth0.5.7: {}",
        "up: {over: eth0, network: servers}",
    ],
)
def test_bonds_and_vlans_on_interfaces_that_cannot_carry_them_are_left_out(interface: str) -> None:
    view = view_of("eth0: {}", "eth0.5: {network: storage}", interface, host="kvm: false")
    assert [bond.name for bond in view.bonds if bond.name != "bond0.7"] == []
    assert [vlan.name for vlan in view.vlans] == ["eth0.5"]


def test_a_nic_that_is_a_port_of_two_bonds_belongs_to_the_first() -> None:
    view = view_of("eth0: {}", "bond0: {ports: [eth0]}", "bond1: {ports: [eth0]}")
    assert [nic.bond for nic in view.nics] == ["bond0"]


def test_infiniband_has_addresses_and_never_a_bridge_a_link_file_or_a_new_name() -> None:
    mac = ":".join(["80"] * 20)
    ib = f"ib0: {{network: servers, addresses: [10.1.0.7], mac: '{mac}', bridge: true}}"
    view = view_of(ib, "ib0.8001: {mtu: 65520}", "eth0: {}", profile="rocks")
    ib0, partition, _ = view.nics
    assert (ib0.name, ib0.mac, ib0.controller, ib0.has_link_file) == ("ib0", None, None, False)
    assert (ib0.ip.ipv4, ib0.managed, ib0.infiniband) == ("static", True, InfinibandView("datagram"))
    assert partition.infiniband == InfinibandView("connected", "ib0", 0x8001) and partition.managed
    assert view.bridges == ()


def test_a_bond_of_infiniband_keeps_the_mac_addresses_of_its_ports() -> None:
    view = view_of("ib0: {}", "ib1: {}", "bond0: {ports: [ib0, ib1], network: servers}")
    assert dict(view.bonds[0].options)["fail_over_mac"] == "active"
    assert (view.bonds[0].mac, view.bonds[0].controller, view.bridges) == (None, None, ())


@pytest.mark.parametrize(
    ("keys", "managed"),
    [
        ("", False),
        ("network: servers, bridge: false", True),
        ("bridge: true", True),
        ("ipv4: dhcp", True),
        ("ipv6: auto", True),
        ("state: down", True),
        ("manage: false, ipv4: dhcp", False),
        ("manage: false, state: down", False),
    ],
)
def test_a_nic_is_managed_if_it_has_a_use_or_must_be_down(keys: str, managed: bool) -> None:
    assert [nic.managed for nic in view_of(f"eth0: {{{keys}}}").nics] == [managed]


def test_a_nic_below_a_vlan_or_a_bond_is_managed() -> None:
    assert [nic.managed for nic in view_of("eth0: {}", "eth1: {}", "eth0.5: {}").nics] == [True, False]
    view = bonded("network: servers")
    assert [(nic.managed, nic.bond, nic.ip) for nic in view.nics] == [(True, "bond0", NO_IP)] * 2


def test_a_nic_that_is_down_has_neither_mtu_nor_addresses_nor_a_bridge() -> None:
    view = view_of("eth0: {network: servers, addresses: [10.1.0.7], mtu: 9000, state: down}", "eth0.5: {}")
    (nic,) = view.nics
    assert (nic.up, nic.mtu, nic.ip, nic.controller) == (False, None, NO_IP, None)
    assert (view.bridges, view.vlans) == ((), ())


# ---- bonds


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ("", {"miimon": 100}),
        ("options: {arp_interval: 200, arp_ip_target: [10.1.0.1]}", {"arp_interval": 200, "arp_ip_target": "10.1.0.1"}),
        ("options: {miimon: 50}", {"miimon": 50}),
    ],
)
def test_a_bond_without_link_monitoring_checks_its_links_every_100_ms(options: str, result: dict[str, Any]) -> None:
    (bond,) = bonded(options).bonds
    assert dict(bond.options) == result


def test_the_primary_port_of_a_bond_is_named_by_its_kernel_name() -> None:
    nics = ("eth0: {match: {name: ens3}}", "eth1: {}")
    (bond,) = view_of(*nics, "bond0: {ports: [eth0, eth1], options: {primary: eth0}}").bonds
    assert (bond.ports, dict(bond.options)["primary"]) == (("ens3", "eth1"), "ens3")


@pytest.mark.parametrize(
    ("keys", "mac"),
    [
        ("", MAC),
        ("options: {fail_over_mac: active}", None),
        ("options: {fail_over_mac: follow}", MAC),
        ("mode: balance-xor, options: {fail_over_mac: active}", MAC),
    ],
)
def test_a_bond_and_its_bridge_have_the_mac_of_the_first_port_unless_the_kernel_changes_it(
    keys: str, mac: Optional[str]
) -> None:
    view = bonded(f"network: servers, {keys}", "bond0.5: {network: storage, bridge: true}")
    assert [bond.mac for bond in view.bonds] == [mac]
    assert [(bridge.name, bridge.mac) for bridge in view.bridges] == [("br-bond0", mac), ("br-bond0.5", mac)]


# ---- addresses and name servers


@pytest.mark.parametrize(
    ("keys", "addresses"),
    [
        ("network: servers, addresses: [10.1.0.7]", [Address("10.1.0.7", 16, 4)]),
        ("network: servers, addresses: [10.1.0.7/24]", [Address("10.1.0.7", 24, 4)]),
        ("network: servers, addresses: [192.0.2.7]", [Address("192.0.2.7", 32, 4)]),
        ("addresses: ['2001:db8::7']", [Address("2001:db8::7", 128, 6)]),
        ("network: servers, ipv4: none, addresses: [10.1.0.7, '2001:db8::7/64']", [Address("2001:db8::7", 64, 6)]),
        ("network: servers, ipv4: dhcp, addresses: [10.1.0.7]", [Address("10.1.0.7", 16, 4)]),
    ],
)
def test_an_address_has_its_own_prefix_or_that_of_its_subnet_or_that_of_a_single_host(
    keys: str, addresses: list[Address]
) -> None:
    (nic,) = view_of(f"eth0: {{{keys}}}", host="kvm: false").nics
    assert list(nic.ip.addresses) == addresses


@pytest.mark.parametrize(
    ("network", "auto_dns", "auto_gateway", "metric"),
    [
        ("subnets: [10.1.0.0/16]", True, True, 100),
        ("dns: {servers: [10.1.0.2]}", False, True, 100),
        ("default_route: false", True, False, 100),
        ("metric: 50", True, True, 50),
    ],
)
def test_the_network_decides_what_is_taken_from_dhcp(
    network: str, auto_dns: bool, auto_gateway: bool, metric: int
) -> None:
    (nic,) = view_of("eth0: {network: n, ipv4: dhcp}", networks=f"  n: {{{network}}}\n", host="kvm: false").nics
    assert (nic.ip.auto_dns, nic.ip.auto_gateway, nic.ip.metric) == (auto_dns, auto_gateway, metric)
    assert (nic.ip.ipv4, nic.ip.ipv6) == ("dhcp", "none")


def test_without_a_network_name_servers_and_gateway_are_taken_from_dhcp() -> None:
    (nic,) = view_of("eth0: {ipv4: dhcp}").nics
    assert (nic.ip.auto_dns, nic.ip.auto_gateway, nic.ip.metric) == (True, True, 100)


DNS = """\
  a: {subnets: [10.1.0.0/16], dns: {servers: [10.1.0.2, 10.1.0.3], search: [a.org, all.org]}}
  b: {subnets: [10.2.0.0/16], dns: {servers: [10.1.0.3, 10.2.0.2], search: [all.org, b.org]}}
"""


def test_name_servers_of_several_networks_are_listed_once_in_the_order_of_the_interfaces() -> None:
    nics = ("eth1: {network: b, ipv4: dhcp}", "eth0: {network: a, addresses: [10.1.0.7]}")
    view = view_of(*nics, networks=DNS)
    assert view.dns_servers == ("10.1.0.3", "10.2.0.2", "10.1.0.2")
    assert view.dns_search == ("all.org", "b.org", "a.org")


@pytest.mark.parametrize("keys", ["", "ipv6: link-local", "ipv4: dhcp, manage: false"])
def test_a_network_without_an_address_of_the_host_gives_no_name_servers(keys: str) -> None:
    view = view_of(f"eth0: {{network: a, {keys}}}", networks=DNS)
    assert (view.dns_servers, view.dns_search) == ((), ())


def test_a_bond_port_gives_no_name_servers() -> None:
    view = view_of("eth0: {network: a, ipv4: dhcp}", "bond0: {ports: [eth0]}", networks=DNS)
    assert view.dns_servers == ()


def test_the_host_does_not_probe_its_own_addresses() -> None:
    probes = "probes: [{ping: 10.1.0.7}, {ping: 10.1.0.8}, {dns: 10.1.0.7}]"
    view = view_of("eth0: {network: servers, addresses: [10.1.0.7]}", host=probes)
    assert [probe.address for probe in view.probes] == ["10.1.0.8"]


# ---- MTUs


def mtus_of(view: HostView) -> dict[str, Optional[int]]:
    """Return the MTU of every device by its name."""
    devices: list[Any] = [*view.nics, *view.bonds, *view.vlans, *view.bridges, *view.guest_vlans]
    return {device.name: device.mtu for device in devices}


MTU_NETWORKS = """\
  servers: {subnets: [10.1.0.0/16]}
  jumbo: {subnets: [10.2.0.0/16], mtu: 9000}
  small: {subnets: [10.3.0.0/16], mtu: 1400}
  storage: {subnets: [10.5.0.0/24], vlan: 5, mtu: 9000}
  office: {subnets: [10.6.0.0/24], vlan: 6}
  tenant: {vlan: 2, over: servers, attach: always, mtu: 8000}
"""


@pytest.mark.parametrize(
    ("interfaces", "mtus"),
    [
        (["eth0: {network: servers}"], {"eth0": None, "br-eth0": None}),
        (["eth0: {network: jumbo}"], {"eth0": 9000, "br-eth0": 9000}),
        (["eth0: {network: jumbo, mtu: 9100}"], {"eth0": 9100, "br-eth0": 9000}),
        (["eth0: {network: servers, mtu: 9000}"], {"eth0": 9000, "br-eth0": 1500}),
        (["eth0: {network: servers, mtu: 1400}"], {"eth0": 1400, "br-eth0": 1400}),
        # the base interface has at least the MTU of its VLANs, and at least that of its own network
        (["eth0: {}", "eth0.5: {network: storage}"], {"eth0": 9000, "eth0.5": 9000}),
        (["eth0: {}", "eth0.5: {network: storage, mtu: 4000}"], {"eth0": 9000, "eth0.5": 4000}),
        (["eth0: {}", "eth0.6: {network: office, mtu: 1400}"], {"eth0": 1500, "eth0.6": 1400}),
        (["eth0: {network: small, bridge: false}", "eth0.6: {network: office}"], {"eth0": 1400, "eth0.6": 1400}),
        (["eth0: {network: small, bridge: false}", "eth0.6: {mtu: 1450}"], {"eth0": 1450, "eth0.6": 1450}),
        (["eth0: {network: jumbo, bridge: false}", "eth0.6: {network: office}"], {"eth0": 9000, "eth0.6": 1500}),
        # a VLAN on another NIC counts for that NIC alone
        (["eth0: {}", "eth1: {}", "eth1.5: {network: storage}"], {"eth0": None, "eth1": 9000, "eth1.5": 9000}),
        (["eth0: {}", "eth0.5: {network: storage, bridge: true}"], {"eth0": 9000, "eth0.5": 9000, "br-eth0.5": 9000}),
        (
            ["eth0: {mtu: 9000}", "eth0.6: {network: office, bridge: true, mtu: 4000}"],
            {"eth0": 9000, "eth0.6": 4000, "br-eth0.6": 4000},
        ),
        (
            ["eth0: {}", "bond0: {ports: [eth0], network: jumbo}"],
            {"eth0": 9000, "bond0": 9000, "br-bond0": 9000},
        ),
        (
            ["eth0: {}", "bond0: {ports: [eth0], mtu: 2000}", "bond0.6: {network: office}"],
            {"eth0": 2000, "bond0": 2000, "bond0.6": 1500},
        ),
    ],
)
def test_every_device_has_an_mtu_that_its_base_interface_allows(
    interfaces: list[str], mtus: dict[str, Optional[int]]
) -> None:
    assert mtus_of(view_of(*interfaces, networks=MTU_NETWORKS)) == mtus


def guest_on(network: str, keys: str = "", name: str = "g", last: int = 1) -> str:
    """Return a guest of host h with one NIC."""
    return f"  {name}: {{host: h, nics: [{{network: {network}, mac: '36:77:6e:c0:00:0{last}'{keys}}}]}}\n"


def test_the_mtu_of_a_guest_vlan_raises_that_of_its_base_interface() -> None:
    guests = "guests:\n" + guest_on("tenant")
    view = view_of("eth0: {network: servers}", "eth1: {}", networks=MTU_NETWORKS, guests=guests)
    assert mtus_of(view) == {"eth0": 8000, "eth1": None, "br-eth0": 1500, "eth0.2": 8000}
    plain = MTU_NETWORKS.replace(", mtu: 8000", "")
    view = view_of("eth0: {network: servers, mtu: 9000}", networks=plain, guests=guests)
    assert mtus_of(view) == {"eth0": 9000, "br-eth0": 1500, "eth0.2": 1500}


# ---- guests

GUEST_NETWORKS = NETWORKS + "  tenant: {vlan: 2, over: servers}\n"


def test_a_guest_nic_on_a_bridged_network_is_a_port_of_the_bridge() -> None:
    guests = "guests:\n" + guest_on("servers") + guest_on("storage", name="s", last=2)
    nics = ("eth0: {network: servers}", "eth0.5: {network: storage, bridge: true}")
    view = view_of(*nics, networks=GUEST_NETWORKS, guests=guests)
    assert [(p.guest, p.device, p.tag, p.macvtap) for p in view.guest_ports] == [
        ("g", "br-eth0", None, None),
        ("s", "br-eth0.5", 5, None),
    ]
    assert (view.guest_vlans, view.macvtaps, view.unattached) == ((), (), ())
    assert [port.guest for port in view.ports_of("s")] == ["s"]


@pytest.mark.parametrize(
    ("profile", "network", "nic", "always"),
    [
        ("plain", "", "", True),
        ("rocks", "", "", False),
        ("rocks", ", attach: always", "", True),
        ("plain", ", attach: on-demand", "", False),
        ("plain", ", attach: on-demand", ", attach: always", True),
    ],
)
def test_the_nearest_setting_decides_whether_a_guest_vlan_exists_from_boot(
    profile: str, network: str, nic: str, always: bool
) -> None:
    networks = NETWORKS + f"  tenant: {{vlan: 2, over: servers{network}}}\n"
    guests = "guests:\n" + guest_on("tenant", nic)
    view = view_of("eth0: {network: servers}", networks=networks, profile=profile, guests=guests)
    base = {"plain": "eth0", "rocks": "peth0"}[profile]
    assert [(v.name, v.base, v.tag, v.always) for v in view.guest_vlans] == [(f"{base}.2", base, 2, always)]
    assert [(m.name, m.base, m.guest, m.always) for m in view.macvtaps] == [("mvt-c00001", f"{base}.2", "g", always)]
    assert [(p.device, p.tag, p.macvtap, p.mode, p.always) for p in view.guest_ports] == [
        (f"{base}.2", 2, "mvt-c00001", "bridge", always)
    ]


@pytest.mark.parametrize("order", [("always", "on-demand"), ("on-demand", "always")])
def test_a_vlan_of_several_guests_exists_from_boot_if_one_of_them_needs_it_then(order: tuple[str, str]) -> None:
    guests = "guests:\n" + "".join(
        guest_on("tenant", f", attach: {attach}", f"g{n}", n) for n, attach in enumerate(order)
    )
    view = view_of("eth0: {network: servers}", networks=GUEST_NETWORKS, guests=guests)
    assert [vlan.always for vlan in view.guest_vlans] == [True]
    assert [macvtap.always for macvtap in view.macvtaps] == [attach == "always" for attach in order]


def test_a_guest_uses_the_vlan_of_the_host_on_its_network() -> None:
    nics = ("eth0: {network: servers}", "eth0.5: {network: storage}")
    view = view_of(*nics, guests="guests:\n" + guest_on("storage"))
    assert [(m.base, m.always) for m in view.macvtaps] == [("eth0.5", True)]
    assert ([vlan.name for vlan in view.vlans], view.guest_vlans) == (["eth0.5"], ())


@pytest.mark.parametrize("network", ["servers", "storage", "tenant"])
def test_a_guest_nic_without_a_bridge_or_vlan_for_its_network_is_unattached(network: str) -> None:
    """Network storage is on no interface, and network tenant is over one that is on a VLAN only."""
    networks = "  servers: {vlan: 7}\n  storage: {vlan: 5}\n  tenant: {vlan: 2, over: servers}\n"
    networks = networks.replace(" {vlan: 7}", " {}") if network == "servers" else networks
    nics = ("eth0: {}", "eth0.7: {network: servers}") if network != "servers" else ("eth0: {}",)
    view = view_of(*nics, networks=networks, guests="guests:\n" + guest_on(network))
    assert [(guest.name, nic.network) for guest, nic in view.unattached] == [("g", network)]
    assert (view.guest_ports, view.macvtaps, view.guest_vlans) == ((), (), ())


def test_a_guest_nic_on_an_unknown_network_is_left_to_the_checks() -> None:
    view = view_of("eth0: {network: servers}", guests="guests:\n" + guest_on("nonesuch"))
    assert (view.guest_ports, view.unattached) == ((), ())


# ---- bridges


@pytest.mark.parametrize(
    ("interfaces", "bridges"),
    [
        (["br0: {type: bridge}"], {"br0": (None, False)}),
        (["br0: {type: bridge, mac: '02:00:00:00:00:0A'}"], {"br0": ("02:00:00:00:00:0a", True)}),
        (["br0: {type: bridge, ports: [eth2, eth1, eth0]}"], {"br0": ("02:00:00:00:00:02", False)}),
        (["br0: {type: bridge, ports: [eth0.5]}", "eth0.5: {}"], {"br0": (MAC, False)}),
        (["br0: {type: bridge, ports: [bond0]}", "bond0: {ports: [eth0]}"], {"br0": (MAC, False)}),
        (["eth0.5: {bridge: {mac: '02:00:00:00:00:0a'}}"], {"br-eth0.5": ("02:00:00:00:00:0a", True)}),
        (
            ["br0: {type: bridge, mac: '02:00:00:00:00:0a', ports: [eth0]}", "br0.5: {bridge: br5}"],
            {"br5": ("02:00:00:00:00:0a", False), "br0": ("02:00:00:00:00:0a", True)},
        ),
        (
            ["eth2: {bridge: {name: br2, mac: '02:00:00:00:00:0a'}}", "br2.5: {bridge: br5}"],
            {"br2": ("02:00:00:00:00:0a", True), "br5": ("02:00:00:00:00:0a", False)},
        ),
    ],
)
def test_a_bridge_has_the_stated_mac_or_that_of_its_first_port_that_has_one(
    interfaces: list[str], bridges: dict[str, tuple[Optional[str], bool]]
) -> None:
    nics = [nic for nic in (*TWO_NICS, "eth2: {}") if not interfaces[0].startswith(nic.partition(":")[0] + ":")]
    view = view_of(*nics, *interfaces)
    assert {bridge.name: (bridge.mac, bridge.is_mac_stated) for bridge in view.bridges} == bridges


def test_the_ports_of_a_bridge_have_no_addresses_and_give_none_away() -> None:
    view = view_of(
        "eth0: {network: a, addresses: [10.1.0.7]}",
        "br0: {type: bridge, ports: [eth0], network: b, ipv4: dhcp}",
        networks=DNS,
    )
    assert (view.nics[0].ip, view.nics[0].controller, view.nics[0].managed) == (NO_IP, "br0", True)
    assert view.bridges[0].ip.ipv4 == "dhcp"
    assert view.dns_servers == ("10.1.0.3", "10.2.0.2")


def test_guests_are_attached_to_a_bridge_through_its_network_on_any_host() -> None:
    guests = "guests:\n  g: {host: h, nics: [{network: servers, mac: '52:54:00:00:00:01'}]}\n"
    bridge = "br0: {type: bridge, ports: [eth0], network: servers}"
    view = view_of("eth0: {network: servers}", bridge, host="kvm: false", guests=guests)
    assert [(port.device, port.macvtap) for port in view.guest_ports] == [("br0", None)]


def test_a_port_of_a_bridge_takes_no_macvtap() -> None:
    guests = "guests:\n  g: {host: h, nics: [{network: storage, mac: '52:54:00:00:00:01'}]}\n"
    nics = ("eth0: {}", "eth0.5: {network: storage}")
    assert [port.device for port in view_of(*nics, guests=guests).guest_ports] == ["eth0.5"]
    view = view_of(*nics, "br0: {type: bridge, ports: [eth0.5]}", guests=guests)
    assert (view.guest_ports, [nic.mac for _, nic in view.unattached]) == ((), ["52:54:00:00:00:01"])


@pytest.mark.parametrize(
    ("profile", "setting", "stp"), [("plain", "", False), ("plain", "stp: true", True), ("plain", "stp: false", False)]
)
def test_stp_is_that_of_the_definition_or_the_policy(profile: str, setting: str, stp: bool) -> None:
    (bridge,) = view_of(f"br0: {{type: bridge, bridge: {{{setting}}}}}", profile=profile).bridges
    assert bridge.stp is stp
    assert (bridge.priority, bridge.ageing, bridge.group_forward_mask) == (None, None, None)
    assert (bridge.multicast_snooping, bridge.vlan_filtering) == (None, None)


def test_a_nic_that_is_not_configured_has_no_zone() -> None:
    view = view_of("eth0: {zone: public, addresses: [10.1.0.7/16]}", "eth1: {zone: dmz}", "ib0: {zone: dmz}")
    assert [nic.name for nic in view.nics if nic.managed] == ["eth0"]
    assert view.zones == (("eth0", "public"),)
