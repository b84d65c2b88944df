"""Which processes claim addresses, and where their configuration is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet.core.live.virtual_addresses import Claim
from kvmnet.host.virtual_addresses import find_marks, read_claims

CONFIG = "virtual_ipaddress {\n10.1.1.200/32\n}\n"


def process(proc: Path, pid: int, name: str, files: dict[str, str], *options: str, network: str = "net:[1]") -> None:
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns/net").symlink_to(network)
    (folder / "comm").write_text(f"{name}\n")
    (folder / "cmdline").write_text("\0".join([name, *options, ""]))
    for path, text in files.items():
        file = folder / "root" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/net").symlink_to("net:[1]")
    return tmp_path


def test_a_running_keepalived_claims_its_addresses(proc: Path) -> None:
    process(proc, 7, "keepalived", {"/etc/keepalived/keepalived.conf": CONFIG})
    process(proc, 8, "keepalived", {"/etc/keepalived/keepalived.conf": CONFIG})
    process(proc, 9, "sshd", {"/etc/keepalived/keepalived.conf": CONFIG.replace("200", "201")})
    assert read_claims(proc) == (Claim("10.1.1.200", "keepalived", "/etc/keepalived/keepalived.conf"),)


@pytest.mark.parametrize("options", [("-f", "/x.conf"), ("--use-file=/x.conf",), ("-D", "--use-file", "/x.conf")])
def test_the_file_of_the_option_counts(proc: Path, options: tuple[str, ...]) -> None:
    files = {"/etc/keepalived/keepalived.conf": CONFIG.replace("200", "201"), "/x.conf": CONFIG}
    process(proc, 7, "keepalived", files, *options)
    assert read_claims(proc) == (Claim("10.1.1.200", "keepalived", "/x.conf"),)


def test_included_files_are_read_in_their_places(proc: Path) -> None:
    files = {
        "/etc/keepalived/keepalived.conf": "$A=10.1.1.200\ninclude conf.d/*.conf\ninclude /missing.conf\n",
        "/etc/keepalived/conf.d/a.conf": "virtual_ipaddress {\n$A\n}\ninclude b\n",
        "/etc/keepalived/conf.d/b": "virtual_ipaddress {\n10.1.1.201\n}\ninclude b\n",
    }
    process(proc, 7, "keepalived", files)
    assert [claim.ip for claim in read_claims(proc)] == ["10.1.1.200", "10.1.1.201"]


def test_a_process_in_another_network_namespace_claims_nothing(proc: Path) -> None:
    process(proc, 7, "keepalived", {"/etc/keepalived/keepalived.conf": CONFIG}, network="net:[2]")
    assert read_claims(proc) == ()


def test_pacemaker_and_ctdb_claim_theirs(proc: Path) -> None:
    cib = '<cib><primitive type="IPaddr2"><nvpair name="ip" value="10.1.1.211"/></primitive></cib>'
    process(proc, 7, "pacemakerd", {"/var/lib/pacemaker/cib/cib.xml": cib})
    process(proc, 8, "ctdbd", {"/etc/ctdb/public_addresses": "10.1.1.213/16 eth0\n"})
    assert [(claim.ip, claim.service) for claim in read_claims(proc)] == [
        ("10.1.1.213", "CTDB"),
        ("10.1.1.211", "pacemaker"),
    ]


def test_only_marks_of_services_count() -> None:
    """The kernel marks its own addresses, and NetworkManager marks none."""
    addresses = [
        {"local": "10.1.255.254", "prefixlen": 16},
        {"local": "10.1.1.200", "prefixlen": 32, "protocol": "keepalived"},
        {"local": "10.1.1.201", "prefixlen": 32, "protocol": "0x54"},
        {"local": "fe80::1", "prefixlen": 64, "protocol": "kernel_ll"},
    ]
    assert find_marks([{"ifname": "eth0", "addr_info": addresses}, {}]) == {
        ("eth0", "10.1.1.200"): "keepalived",
        ("eth0", "10.1.1.201"): "0x54",
    }
