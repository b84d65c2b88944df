"""Reading which programs configure interfaces, with the files of a simulated root."""

from __future__ import annotations

from pathlib import Path

from kvmnet.core.live.surroundings import ConfigFile, UnmanagedRule
from kvmnet.host import read_managers
from tests.unit.host.samples import write

DOCKER = "[keyfile]\nunmanaged-devices=interface-name:docker0;interface-name:br-*\n"


def test_networkmanagers_configuration_is_read_in_its_order(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/NetworkManager/conf.d/10-a.conf", "[main]\nplugins=keyfile\n")
    write(tmp_path, "usr/lib/NetworkManager/conf.d/10-docker.conf", "[device]\nmanaged=0\n")
    write(tmp_path, "usr/lib/NetworkManager/conf.d/20-b.conf", "[device-b]\nmanaged=0\n")
    write(tmp_path, "run/NetworkManager/conf.d/20-b.conf", "[device-run]\nmanaged = 1\n")
    write(tmp_path, "etc/NetworkManager/NetworkManager.conf", "[keyfile]\n path=/srv\n")
    write(tmp_path, "etc/NetworkManager/conf.d/10-docker.conf", DOCKER)
    write(tmp_path, "etc/NetworkManager/conf.d/99-dns.conf", "[main]\ndns=none\n")
    assert list(read_managers.read_manager_files(tmp_path)) == [
        ConfigFile("/usr/lib/NetworkManager/conf.d/10-a.conf", "[main]\nplugins=keyfile\n"),
        ConfigFile("/run/NetworkManager/conf.d/20-b.conf", "[device-run]\nmanaged = 1\n"),
        ConfigFile("/etc/NetworkManager/NetworkManager.conf", "[keyfile]\n path=/srv\n"),
        ConfigFile("/etc/NetworkManager/conf.d/10-docker.conf", DOCKER),
    ]


def test_udev_rules_that_leave_interfaces_alone_are_found(tmp_path: Path) -> None:
    """Only those that compare the name or the type. Others may depend on anything."""
    rules = (
        '# ENV{INTERFACE}=="x", ENV{NM_UNMANAGED}="1"\n'
        'ACTION=="add|change", SUBSYSTEM=="net", KERNEL=="br-*|docker?", ENV{NM_UNMANAGED}="1"\n'
        'ENV{DEVTYPE}=="bridge", \\\n  ENV{NM_UNMANAGED}="1"\n'
        'ENV{ID_NET_DRIVER}=="veth", ENV{INTERFACE}=="vz*", ENV{NM_UNMANAGED}="1"\n'
        'KERNEL!="eth0", ENV{NM_UNMANAGED}="1"\n'
        'ENV{NM_UNMANAGED}="1"\n'
        'KERNEL=="lan0", ENV{NM_UNMANAGED}="0"\n'
    )
    write(tmp_path, "etc/udev/rules.d/85-local.rules", rules)
    write(tmp_path, "usr/lib/udev/rules.d/85-local.rules", 'KERNEL=="hidden", ENV{NM_UNMANAGED}="1"\n')
    write(
        tmp_path, "usr/lib/udev/rules.d/85-nm-unmanaged.rules", 'ENV{INTERFACE}=="vmnet[0-9]*", ENV{NM_UNMANAGED}="1"\n'
    )
    local = "/etc/udev/rules.d/85-local.rules"
    assert list(read_managers.find_unmanaged_rules(tmp_path)) == [
        UnmanagedRule(local, ("br-*", "docker?")),
        UnmanagedRule(local, (), ("bridge",)),
        UnmanagedRule("/usr/lib/udev/rules.d/85-nm-unmanaged.rules", ("vmnet[0-9]*",)),
    ]


def test_the_links_of_networkd_are_found(tmp_path: Path) -> None:
    for name, index, state in (("br0", 3, "configured"), ("eth0", 2, "configuring"), ("lo", 1, "unmanaged")):
        write(tmp_path, f"sys/class/net/{name}/ifindex", f"{index}\n")
        file = f"NETWORK_FILE=/etc/systemd/network/{name}.network\n" if name == "br0" else ""
        write(tmp_path, f"run/systemd/netif/links/{index}", f"# private\nADMIN_STATE={state}\nOPER_STATE=x\n{file}")
    write(tmp_path, "sys/class/net/eth1/ifindex", "9\n")
    assert dict(read_managers.find_links_of_networkd(tmp_path)) == {
        "br0": "/etc/systemd/network/br0.network",
        "eth0": "",
    }


def test_the_interfaces_of_ifupdown_are_found_if_it_is_installed(tmp_path: Path) -> None:
    write(
        tmp_path,
        "etc/network/interfaces",
        "source x\nauto lo\niface lo inet loopback\n# iface eth9\niface eth0 inet dhcp\n",
    )
    write(tmp_path, "etc/network/interfaces.d/br", "iface br0 inet manual\n  bridge_ports eth1\n")
    assert list(read_managers.find_interfaces_of_ifupdown(tmp_path)) == []
    write(tmp_path, "usr/sbin/ifup", "")
    assert dict(read_managers.find_interfaces_of_ifupdown(tmp_path)) == {
        "eth0": "/etc/network/interfaces",
        "br0": "/etc/network/interfaces.d/br",
        "eth1": "/etc/network/interfaces.d/br",
    }
