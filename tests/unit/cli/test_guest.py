"""Tests of `kvmnet guest`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from kvmnet.cli.main import main
from kvmnet.host import libvirt

DEFINITION = """kvmnet: 1
cluster: rocks
profile: rocks
networks:
  private: {subnets: [10.1.0.0/16]}
  public: {subnets: [192.0.2.0/24]}
  storage: {subnets: [10.5.0.0/24], vlan: 5, mtu: 9000}
  tenant: {vlan: 2, over: private}
  boot: {vlan: 3, over: private, attach: always}
groups:
  vms:
    kvm: true
    interfaces:
      eth0: {network: private}
      eth0.5: {network: storage, bridge: true}
hosts:
  a: {group: vms, interfaces: {eth0: {mac: 00:14:4f:80:de:00}, eth1: {network: public, mac: 00:14:4f:80:de:01}}}
  b: {group: vms, interfaces: {eth0: {mac: 00:14:4f:80:de:02}}}
  small: {kvm: true, interfaces: {eth0: {network: private, mac: 00:14:4f:80:de:03, mtu: 1400}}}
  plain: {kvm: true, profile: plain, interfaces: {eth0: {network: private}}}
  bare: {interfaces: {eth0: {network: private, mac: 00:14:4f:80:de:04}}}
guests:
  one:
    host: a
    nics:
      - {network: tenant, mac: 36:77:6e:c0:00:01}
      - {network: private, mac: 36:77:6e:c0:00:02}
      - {network: storage, mac: 36:77:6e:c0:00:03}
      - {network: tenant, mac: 36:77:6e:c0:00:04}
      - {network: boot, mac: 36:77:6e:c0:00:05}
  same: {group: vms, nics: [{network: tenant, mac: 36:77:6e:c0:00:06}]}
  untagged: {host: a, nics: [{network: private, mac: 36:77:6e:c0:00:07}]}
  outside: {host: a, nics: [{network: public, mac: 36:77:6e:c0:00:08}]}
"""
TWO_PROFILES = DEFINITION.replace("  b: {group: vms,", "  b: {group: vms, profile: plain,")


@pytest.fixture(autouse=True)
def no_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt, "list_running_guests", lambda: None)


@pytest.fixture
def run(tmp_path: Path, capfdbinary: Any) -> Any:
    def call(*arguments: str, text: str = DEFINITION) -> tuple[int, str, str]:
        path = tmp_path / "cluster.yaml"
        path.write_text(text)
        code = main(["guest", *(str(path) if word == "PATH" else word for word in arguments)])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


def types(run: Any, *arguments: str, text: str = DEFINITION) -> list[tuple[str, str]]:
    code, out, _ = run("xml", *arguments, "--json", text=text)
    assert code == 0
    return [(i["mac"][-1], i["xml"].split("'")[1] + " " + i["device"]) for i in json.loads(out)["interfaces"]]


def test_xml_has_the_order_of_the_nics(run: Any) -> None:
    assert types(run, "one", "PATH") == [
        ("1", "direct peth0.2"), ("2", "bridge eth0"), ("3", "bridge eth0.5"), ("4", "direct peth0.2"),
        ("5", "ethernet peth0.3"),
    ]  # fmt: skip


def test_xml_of_a_groups_guest_needs_a_host_when_the_xml_differs(run: Any) -> None:
    assert types(run, "same", "PATH") == [("6", "direct peth0.2")]
    code, out, err = run("xml", "same", "PATH", text=TWO_PROFILES)
    assert (code, out) == (2, "") and "choose one with --host: a, b" in err
    assert types(run, "same", "PATH", "--host", "a", text=TWO_PROFILES) == [("6", "direct peth0.2")]
    assert types(run, "same", "PATH", "--host", "b", text=TWO_PROFILES) == [("6", "ethernet eth0.2")]
    code, out, err = run("xml", "same", "PATH", "--host", "small")
    assert code == 2 and "does not run on small" in err and "can-move same small" in err


def test_nics_are_merged_into_a_domain(run: Any, tmp_path: Path) -> None:
    nic = "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"
    (tmp_path / "d.xml").write_text(f"<domain><!-- mine --><devices>{nic}</devices></domain>\n")
    code, out, err = run("xml", "untagged", "PATH", "--domain", str(tmp_path / "d.xml"))
    assert code == 0 and "52:54:00:00:00:01 is not in the definition: its XML is not changed" in err
    assert f"<domain><!-- mine --><devices>{nic}" in out and "<source bridge='eth0'/>" in out
    assert run("xml", "untagged", "PATH", "--domain", str(tmp_path / "none"))[0] == 1
    assert run("xml", "untagged", "PATH", "--domain", str(tmp_path / "d.xml"), "--json")[0] == 2


def test_an_error_in_a_domain_names_the_file(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.xml").write_text("<domain>")
    code, out, err = run("xml", "untagged", "PATH", "--domain", str(tmp_path / "d.xml"))
    assert (code, out) == (1, "") and err == f"kvmnet: {tmp_path}/d.xml: not XML: line 1, column 9: no element found\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code, out, err = run("xml", "untagged", "PATH", "--domain", "-")
    assert (code, out) == (1, "") and err.startswith("kvmnet: standard input: the domain's XML is empty\n  hint: ")


def test_the_list_has_hosts_nics_and_running_guests(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("list", "PATH")
    assert code == 0
    assert "one: host a\n" in out and "same: group vms (a, b)\n" in out
    assert "  36:77:6e:c0:00:06  tenant: macvtap on peth0.2, on demand\n" in out
    assert "  36:77:6e:c0:00:05  boot: macvtap on peth0.3, mvt-c00005 from boot\n" in out
    _, out, _ = run("list", "PATH", text=TWO_PROFILES)
    assert "tenant: macvtap on peth0.2, on demand (a); macvtap on eth0.2, mvt-c00006 from boot (b)\n" in out
    monkeypatch.setattr(libvirt, "list_running_guests", lambda: ["one", "unknown"])
    _, out, _ = run("list", "PATH")
    assert "one: host a, running here\n" in out and "outside: host a, not running here\n" in out
    assert "unknown: running here, not in the definition\n" in out
    _, out, _ = run("list", "PATH", "--json")
    found = json.loads(out)
    assert found["running_unknown"] == ["unknown"]
    assert {g["guest"]: g["running_here"] for g in found["guests"]} == {
        "one": True, "same": False, "untagged": False, "outside": False,
    }  # fmt: skip


def test_the_list_is_printed_without_libvirt(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> None:
        raise libvirt.LibvirtError("virsh: no connection")

    monkeypatch.setattr(libvirt, "list_running_guests", silent)
    code, out, err = run("list", "PATH")
    assert code == 0 and "running here" not in out and "cannot list running guests: virsh: no connection" in err


@pytest.mark.parametrize(
    ("guest", "host", "words"),
    [
        ("outside", "b", "public: b has neither a bridge nor a VLAN for network public"),
        (
            "untagged",
            "bare",
            "private: bare has neither a bridge nor a VLAN for network private: kvm: true is not set for it",
        ),
        ("untagged", "small", "private: its MTU would be 1400 (eth0 on small), but it is 1500 on a"),
        ("one", "small", "tenant: its MTU would be 1400 (peth0.2 on small), but it is 1500 on a"),
        ("one", "plain", "storage: plain has neither a bridge nor a VLAN for network storage"),
    ],
)
def test_a_guest_cannot_move_where_something_is_missing(run: Any, guest: str, host: str, words: str) -> None:
    code, out, _ = run("can-move", guest, host, "PATH")
    assert code == 1 and f"{guest} cannot move to {host}\n" in out and words in out
    code, out, _ = run("can-move", guest, host, "PATH", "--json")
    found = json.loads(out)
    assert code == 1 and not found["possible"] and any(words.endswith(str(n["problem"])) for n in found["nics"])


def test_the_mtu_of_the_network_counts_when_no_host_has_the_guest(run: Any) -> None:
    text = DEFINITION.replace("tenant: {vlan: 2, over: private}", "tenant: {vlan: 2, over: private, mtu: 1450}")
    _, out, _ = run("can-move", "same", "small", "PATH", text=text)
    assert "tenant: its MTU would be 1400 (peth0.2 on small)" in out


def test_a_guest_can_move_with_notes_on_what_to_prepare(run: Any) -> None:
    code, out, _ = run("can-move", "same", "b", "PATH")
    assert (code, out) == (0, "same can move to b\n  36:77:6e:c0:00:06  tenant: peth0.2, MTU 1500\n")
    code, out, _ = run("can-move", "same", "plain", "PATH")
    assert code == 0 and "note: prepare plain first: place" in out
    assert "note: its devices have other names on plain than on a, b: " in out
    assert run("can-move", "untagged", "b", "PATH")[1].count("note") == 0  # b has the bridge already
    _, out, _ = run("can-move", "untagged", "plain", "PATH")  # so has plain, but `guest xml` asks where a guest may run
    assert out.count("note") == 1 and out.endswith("--host plain`, after the definition places it on plain\n")
    _, out, _ = run("can-move", "same", "b", "PATH", text=TWO_PROFILES)
    assert out.endswith("--host b`\n")
    assert run("can-move", "nobody", "b", "PATH")[0] == 2
    assert run("can-move", "same", "nowhere", "PATH")[0] == 2
