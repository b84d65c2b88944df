"""Reading /etc/network/interfaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.host.ifupdown import Stanza, read_stanzas
from tests.unit.host.samples import write

FILE = "/etc/network/interfaces"


@pytest.mark.parametrize(
    ("text", "stanzas"),
    [
        ("auto br0\niface br0 inet static\n  address 10.1.0.2/16\n  bridge_ports eth0\n", [("br0", ("eth0",), ())]),
        ("iface br0 inet dhcp\n\tbridge-ports eth0 eth0.5 \\\n eth2\n", [("br0", ("eth0", "eth0.5", "eth2"), ())]),
        ("iface br0 inet dhcp\n  bridge_ports none\n", [("br0", (), ())]),
        ("iface br0 inet dhcp\n  bridge_ports regex eth.* noregex lan0\n", [("br0", ("lan0",), ())]),
        ("iface br0 inet dhcp\n  # bridge_ports eth0\n", [("br0", (), ())]),
        ("iface bond0 inet dhcp\n  bond-slaves eth0 eth1\n  bond-mode 1\n", [("bond0", (), ("eth0", "eth1"))]),
        ("iface bond0 inet dhcp\n  slaves eth0\niface x inet dhcp\n", [("bond0", (), ("eth0",)), ("x", (), ())]),
        ("iface bond0 inet dhcp\n  bond_slaves eth0\nallow-hotplug y\n  slaves z\n", [("bond0", (), ("eth0",))]),
        ("iface lo inet loopback\n  bridge_ports eth0\niface\n", []),
    ],
)
def test_the_ports_of_a_stanza(tmp_path: Path, text: str, stanzas: list[tuple[str, tuple[str, ...], object]]) -> None:
    write(tmp_path, FILE.lstrip("/"), text)
    assert [(s.name, s.bridge_ports, s.bond_ports) for s in read_stanzas(tmp_path)] == stanzas


def test_the_files_of_the_folder_come_last(tmp_path: Path) -> None:
    write(tmp_path, "etc/network/interfaces.d/b", "iface eth1 inet dhcp\n")
    write(tmp_path, FILE.lstrip("/"), "iface eth0 inet dhcp\n")
    assert list(read_stanzas(tmp_path)) == [Stanza("eth0", FILE), Stanza("eth1", f"{FILE}.d/b")]
