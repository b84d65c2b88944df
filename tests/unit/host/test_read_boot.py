"""Reading the files of the next boot, in a root folder of a test. tests/unit/core/boot/test_outcome.py reads more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvmnet.core.boot.boot_files import BootFiles
from kvmnet.core.live.live_host import Link
from kvmnet.host.read_boot import read_boot_files

MAC = "00:14:4f:80:de:00"
LINKS = {
    "lo": Link("lo", None, None),
    "peth0": Link("peth0", MAC, None),
    "br0": Link("br0", None, "bridge"),
    "veth1": Link("veth1", "00:14:4f:80:de:09", "veth"),
}
UUID = "11111111-2222-4333-8444-555555555555"
TEXT = f"[connection]\nid=a\nuuid={UUID}\ntype=ethernet\n"
FOLDER = "etc/NetworkManager/system-connections"
RUN = "run/NetworkManager/system-connections"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NetworkManager reads only files of root")


def write(root: Path, path: str, text: str = TEXT, mode: int = 0o600) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def read(root: Path, active: dict[str, str] | None = None) -> BootFiles:
    return read_boot_files(LINKS, active or {}, "1.52.1", root)


def files_of(root: Path) -> list[str]:
    return [profile.file for profile in read(root).profiles]


def test_an_empty_host(tmp_path: Path) -> None:
    files = read(tmp_path)
    assert (files.profiles, files.hidden, files.problems, files.version) == ((), (), (), (1, 52, 1))
    assert [(nic.name, nic.mac) for nic in files.nics] == [("peth0", MAC)]


def test_of_the_profiles_in_memory_only_those_that_are_written_at_boot_are_read(tmp_path: Path) -> None:
    write(tmp_path, f"{RUN}/eth0.nmconnection")
    write(tmp_path, f"{RUN}/netplan-eth0.nmconnection")
    write(
        tmp_path,
        f"{RUN}/br0.nmconnection",
        TEXT + "[user]\norg.freedesktop.NetworkManager.origin=nm-initrd-generator\n",
    )
    files = read(tmp_path)
    assert [(Path(p.file).name, p.regenerated) for p in files.profiles] == [
        ("br0.nmconnection", True),
        ("netplan-eth0.nmconnection", True),
    ]


def test_a_file_that_networkmanager_ignores_is_named_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, f"{FOLDER}/open", mode=0o640)
    os.chown(write(tmp_path, f"{FOLDER}/owned"), 1000, 0)
    write(tmp_path, f"{FOLDER}/broken", "no group\n")
    write(tmp_path, f"{FOLDER}/typeless", "[connection]\nid=x\n")
    (tmp_path / FOLDER / "folder").mkdir()
    (tmp_path / FOLDER / "dangling").symlink_to("/nowhere")
    for name in ("a~", "cert.pem", "key.DER", ".hidden", "a.AbC123"):
        write(tmp_path, f"{FOLDER}/{name}", "no group\n")
    place = f"/{FOLDER}/"
    assert sorted(read(tmp_path).problems) == [
        f"{place}broken is ignored by NetworkManager: line 1 is neither a group nor a key with a value",
        f"{place}dangling cannot be read: No such file or directory",
        f"{place}folder cannot be read: Is a directory",
        f"{place}open is ignored by NetworkManager: its mode is 0640, not 0600",
        f"{place}owned is ignored by NetworkManager: its owner is user 1000, not root",
        f"{place}typeless is ignored by NetworkManager: it has no type",
    ]


@pytest.mark.parametrize(
    "text, hidden",
    [
        (None, (UUID,)),
        (f"[nmmeta]\nuuid={UUID}\nloaded-path=/dev/null\n", (UUID,)),
        (f"[nmmeta]\nuuid={UUID}\nloaded-path=/etc/a\n", ()),
        ("broken", ()),
    ],
)
def test_a_mark_that_a_profile_was_deleted(tmp_path: Path, text: str | None, hidden: tuple[str, ...]) -> None:
    file = write(tmp_path, f"{FOLDER}/{UUID}.nmmeta", text or "")
    if text is None:
        file.unlink()
        file.symlink_to("/dev/null")
    write(tmp_path, f"usr/lib/NetworkManager/system-connections/{UUID}.nmmeta", "")
    assert read(tmp_path).hidden == hidden


def test_the_configuration_can_name_another_folder(tmp_path: Path) -> None:
    write(tmp_path, "etc/NetworkManager/NetworkManager.conf", "[keyfile]\npath=/srv/profiles\n")
    write(tmp_path, "srv/profiles/a")
    write(tmp_path, f"{FOLDER}/b")
    assert files_of(tmp_path) == ["/srv/profiles/a"]


def test_drop_ins_are_read_in_networkmanagers_order(tmp_path: Path) -> None:
    for path, value in (
        ("usr/lib/NetworkManager/conf.d/10-a.conf", "lib"),
        ("run/NetworkManager/conf.d/20-lost.conf", "lost"),
        ("etc/NetworkManager/NetworkManager.conf", "main"),
    ):
        write(tmp_path, path, f"[main]\ndns={value}\n")
    assert read(tmp_path).settings.value("main", "dns") == "main", "the main file comes after the system's"
    write(tmp_path, "etc/NetworkManager/conf.d/10-a.conf", "[main]\nrc-manager=file\n")
    assert read(tmp_path).settings.sections["main"] == {"dns": "main", "rc-manager": "file"}
    write(tmp_path, "etc/NetworkManager/conf.d/30-b.conf", "[main]\ndns=etc\n")
    write(tmp_path, "etc/NetworkManager/conf.d/40.txt", "[main]\ndns=no\n")
    assert read(tmp_path).settings.value("main", "dns") == "etc"
    write(tmp_path, "run/NetworkManager/conf.d/netplan.conf", "[device]\nmanaged=0\n")
    assert not read(tmp_path).settings.manages(read(tmp_path).nics[0])


@pytest.mark.parametrize("plugins, count", [("", 1), ("plugins=keyfile\n", 0), ("plugins=keyfile,ifcfg-rh\n", 1)])
def test_ifcfg_files_are_read_with_their_plugin(tmp_path: Path, plugins: str, count: int) -> None:
    write(tmp_path, "etc/NetworkManager/NetworkManager.conf", f"[main]\n{plugins}")
    write(tmp_path, "etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\n")
    write(tmp_path, "etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n")
    write(tmp_path, "etc/sysconfig/network-scripts/ifcfg-eth0.bak", "DEVICE=eth0\n")
    write(tmp_path, "etc/sysconfig/network-scripts/ifcfg-eth1", "DEVICE=eth1\nNM_CONTROLLED=no\n")
    write(tmp_path, "etc/sysconfig/network-scripts/route-eth0", "x\n")
    assert len(files_of(tmp_path)) == count


@pytest.mark.parametrize(
    "text, names", [("plugins=ifupdown,keyfile\n", ("eth7", "eth8")), ("plugins=keyfile\n", ()), ("", ())]
)
def test_debians_interfaces_are_not_managed(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    write(tmp_path, "etc/NetworkManager/NetworkManager.conf", f"[main]\n{text}[ifupdown]\nmanaged=false\n")
    write(tmp_path, "etc/network/interfaces", "auto lo\niface lo inet loopback\niface eth7 inet dhcp\n")
    write(tmp_path, "etc/network/interfaces.d/more", "iface eth8 inet manual\n")
    assert read(tmp_path).unrecognized == names
    write(tmp_path, "etc/NetworkManager/NetworkManager.conf", f"[main]\n{text}[ifupdown]\nmanaged=true\n")
    assert read(tmp_path).unrecognized == ()


def test_the_ports_of_debians_bridges_are_not_managed(tmp_path: Path) -> None:
    """NetworkManager looks for ports only in stanzas whose names begin with br, and not in those of bonds."""
    write(tmp_path, "etc/NetworkManager/NetworkManager.conf", "[main]\nplugins=ifupdown\n")
    bridges = "iface br0 inet dhcp\n  bridge_ports eth0\niface lan inet dhcp\n  bridge_ports eth1\n"
    write(tmp_path, "etc/network/interfaces", f"{bridges}iface bond0 inet manual\n  bond-slaves eth2 eth3\n")
    assert read(tmp_path).unrecognized == ("br0", "eth0", "lan", "bond0")


def test_the_state_of_networkmanager(tmp_path: Path) -> None:
    write(tmp_path, "var/lib/NetworkManager/timestamps", f"[timestamps]\n{UUID}=1700000000\nbroken=x\n")
    write(tmp_path, "var/lib/NetworkManager/no-auto-default.state", f"{MAC.upper()}\n")
    files = read(tmp_path)
    assert files.timestamps == {UUID: 1700000000}
    assert not files.settings.creates_profile_for(files.nics[0])
    write(tmp_path, "var/lib/NetworkManager/timestamps", "broken")
    assert read(tmp_path).timestamps == {}


def test_what_a_nic_is_at_boot(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/net/peth0/ifindex", "7\n")
    write(tmp_path, "run/udev/data/n7", "I:1\nE:ID_PATH=pci-0000:01:00.0\nE:NM_UNMANAGED=1\nE:broken\n")
    (tmp_path / "sys/class/net/peth0/device").mkdir()
    (tmp_path / "sys/class/net/peth0/device/driver").symlink_to("/sys/bus/virtio/drivers/virtio_net")
    [nic] = read(tmp_path).nics
    assert (nic.driver, nic.path, nic.udev_managed) == ("virtio_net", "pci-0000:01:00.0", False)


def test_a_nic_has_the_name_of_its_link_file(tmp_path: Path) -> None:
    text = f"[Match]\nPermanentMACAddress={MAC}\n[Link]\nName={{}}\n"
    write(tmp_path, "run/systemd/network/00-a.link", text.format("lost"))
    write(tmp_path, "usr/lib/systemd/network/10-b.link", text.format("lan0"))
    files = read(tmp_path, {"peth0": UUID, "br0": "u-2"})
    assert [nic.name for nic in files.nics] == ["lan0"]
    assert files.active == {"lan0": UUID, "br0": "u-2"}
    write(tmp_path, "etc/systemd/network/10-b.link", text.format("lan1"))
    write(tmp_path, "etc/systemd/network/10-b.link.d/x.conf", "[Link]\nMTUBytes=9000\n")
    assert [nic.name for nic in read(tmp_path).nics] == ["lan1"]
