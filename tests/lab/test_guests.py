"""Guests of real libvirt and qemu on a host that kvmnet has configured. Each test continues with the host of the
previous one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.test_refusals import apply, refused
from tests.machines import guests, picture
from tests.machines.machine import Machine
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, host_and_peer, seed_host
from tests.machines.wire import Wire

pytestmark = pytest.mark.make_test("bookworm")

BRIDGED, TAGGED, SECOND, FROM_BOOT = "compute-0-0-0", "hosted-vm-0-0-0", "hosted-vm-0-0-1", "always-0-0-0"
BOOTING, ON_2, ON_3 = "boots-0-0-0", "36:77:6e:c0:00:12", "36:77:6e:c0:00:13"
DEFINITION = f"""kvmnet: 1
cluster: rocks
profile: rocks
networks:
  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}
  tenant-a: {{vlan: 2, over: private}}
  tenant-b: {{vlan: 3, over: private, attach: always}}
hosts:
  vm-container-0-0:
    kvm: true
    interfaces:
      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}
guests:
  {BRIDGED}: {{host: vm-container-0-0, nics: [{{network: private, mac: 36:77:6e:c0:00:01}}]}}
  {TAGGED}: {{host: vm-container-0-0, nics: [{{network: tenant-a, mac: 36:77:6e:c0:00:02}}]}}
  {SECOND}:
    host: vm-container-0-0
    nics: [{{network: tenant-a, mac: 36:77:6e:c0:00:03}}, {{network: tenant-a, mac: 36:77:6e:c0:00:04}}]
  {FROM_BOOT}: {{host: vm-container-0-0, nics: [{{network: tenant-b, mac: 36:77:6e:c0:00:05}}]}}
  {BOOTING}:
    host: vm-container-0-0
    nics: [{{network: tenant-a, mac: "{ON_2}"}}, {{network: tenant-b, mac: "{ON_3}"}}]
"""
ALWAYS = "{vlan: 2, over: private, attach: always}"
HOOK = "/etc/libvirt/hooks/qemu.d/kvmnet"

#: Measures a call of the hook for each operation, and the start of its Python, in turns.
TIMES = f"""
import json, resource, subprocess, time
def used():
    row = resource.getrusage(resource.RUSAGE_CHILDREN)
    return row.ru_utime + row.ru_stime
calls = {{"bare": ["/usr/bin/python3", "-I", "-c", "import json, xml.etree.ElementTree"],
         "prepare": ["{HOOK}", "g", "prepare", "begin", "-"], "release": ["{HOOK}", "g", "release", "end", "-"],
         "started": ["{HOOK}", "g", "started", "begin", "-"]}}
xml = open("/root/{TAGGED}.live.xml").read()
took = {{name: [] for name in calls}}
for _ in range(9):
    for name, argv in calls.items():
        before = used()
        subprocess.run(argv, input=xml, text=True, check=True)
        took[name].append(used() - before)
        if name == "release":
            time.sleep(0.5)    # it ends before the device has gone
print(json.dumps({{name: sum(all) for name, all in took.items()}}))
"""


#: On the other machine: VLAN 2 and VLAN 3, each with its own DHCP server.
SERVERS = """
for tag in 2 3; do
  ip link add link eth0 name eth0.$tag type vlan id $tag
  ip address add 10.$tag.0.1/24 dev eth0.$tag && ip link set eth0.$tag up
  dnsmasq --conf-file=/dev/null --port=0 --interface=eth0.$tag --bind-interfaces --no-ping \\
    --dhcp-range=10.$tag.0.50,10.$tag.0.60,1h --dhcp-leasefile=/run/leases-$tag --pid-file=/run/dnsmasq-$tag
done
"""


@pytest.fixture(scope="module")
def machines(lab: None, generation: str, wire: Wire) -> Iterator[tuple[Machine, Machine]]:
    """The example host with libvirt, before kvmnet, and its gateway, which is also in VLAN 2 and VLAN 3."""
    with host_and_peer(generation, wire, memory="2G", variant="guests") as (host, peer):
        seed_host(host)
        guests.start_libvirt(host)
        yield host, peer


@pytest.fixture(scope="module")
def machine(machines: tuple[Machine, Machine]) -> Machine:
    return machines[0]


def links(machine: Machine) -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in json.loads(machine.out("ip -d -j link show"))}


def vlans(machine: Machine) -> list[str]:
    return sorted(name for name, link in links(machine).items() if link.get("linkinfo", {}).get("info_kind") == "vlan")


def until_vlans(machine: Machine, *wanted: str) -> None:
    """Wait until the VLAN devices are those of running guests and the permanent ones (5 s on an idle machine)."""
    test = f"[ \"$(ls /proc/net/vlan | grep -v config | sort | xargs)\" = '{' '.join(sorted(wanted))}' ]"
    machine.until(test, timeout=20, every=0.2)


def macvtaps_over(machine: Machine, device: str) -> list[tuple[str, str, bool]]:
    """Return name, MAC and whether it is up, for each macvtap on a device."""
    found = links(machine)
    return [
        (name, link["address"], "UP" in link["flags"])
        for name, link in sorted(found.items())
        if link.get("linkinfo", {}).get("info_kind") == "macvtap" and link.get("link") == device
    ]


def managed(machine: Machine) -> dict[str, str]:
    """Return NetworkManager's state of each device, as nmcli prints it."""
    lines = machine.out("nmcli -t -f DEVICE,STATE device").splitlines()
    return {line.partition(":")[0].replace("\\", ""): line.partition(":")[2] for line in lines}


@pytest.mark.make_test("trixie", "bookworm")
def test_apply_and_the_hook(machine: Machine) -> None:
    """Without a definition, the hook does nothing. A second install changes nothing."""
    machine.put("/root/cluster.yaml", DEFINITION)
    said = machine.out("kvmnet apply --yes /root/cluster.yaml", timeout=180)
    assert "libvirt's hook is not installed: run `kvmnet hook install`\n" in said
    first = machine.out("kvmnet hook install", timeout=180)
    assert f"wrote {HOOK}\n" in first and "restarted libvirtd.service" in first
    assert machine.out("kvmnet hook install", timeout=180) == "the hook is installed"
    for guest in (BRIDGED, TAGGED, SECOND, FROM_BOOT):
        guests.define(machine, guest, "/root/cluster.yaml")
    assert vlans(machine) == ["peth0.3"]


@pytest.mark.make_test("trixie", "bookworm")
def test_the_pictures_of_the_manual(machine: Machine) -> None:
    """vnet0 of the untagged guest is a port of eth0. The tagged guest has macvtap0 on peth0.2, which exists while it
    runs."""
    with guests.running(machine, BRIDGED, TAGGED):
        found = links(machine)
        assert found["vnet0"]["master"] == "eth0" and "UP" in found["vnet0"]["flags"]
        vlan = found["peth0.2"]
        assert (vlan["linkinfo"]["info_data"]["id"], vlan["link"], vlan.get("master")) == (2, "peth0", None)
        assert {"UP", "NOARP"} <= set(vlan["flags"])
        assert json.loads(machine.out("ip -j address show dev peth0.2"))[0]["addr_info"] == []
        assert macvtaps_over(machine, "peth0.2") == [("macvtap0", "36:77:6e:c0:00:02", True)]
        states = managed(machine)
        assert (states["peth0.2"], states["macvtap0"], states["vnet0"]) == ("unmanaged",) * 3
        machine.run(f"virsh dumpxml {TAGGED} > /root/{TAGGED}.live.xml")
        listed = json.loads(machine.out("kvmnet guest list /root/cluster.yaml --json"))["guests"]
        assert [g["guest"] for g in listed if g["running_here"]] == [BRIDGED, TAGGED]
    until_vlans(machine, "peth0.3")
    assert macvtaps_over(machine, "peth0.2") == []


def test_a_guest_receives_frames_of_its_own_vlan_only(machines: tuple[Machine, Machine]) -> None:
    """Over the wire and without an operating system in the guest: the boot ROM of its first NIC (VLAN 2, on demand)
    gets an address from VLAN 2 of the other machine, that of its second (VLAN 3, permanent) one from VLAN 3."""
    host, peer = machines
    peer.run(SERVERS)
    guests.define(host, BOOTING, "/root/cluster.yaml", guests.booting(BOOTING, ON_2, ON_3))
    with guests.running(host, BOOTING):
        peer.until("[ -s /run/leases-2 ] && [ -s /run/leases-3 ]", timeout=240, every=2)
    for tag, mac, other in ((2, ON_2, ON_3), (3, ON_3, ON_2)):
        leases = peer.out(f"cat /run/leases-{tag}")
        assert f" {mac} 10.{tag}.0." in leases and other not in leases
    until_vlans(host, "peth0.3")


@pytest.mark.make_test("trixie", "bookworm")
@pytest.mark.guarantee("G71")
def test_two_guests_on_one_tag(machine: Machine) -> None:
    """The VLAN device is created for the first guest and removed after the last. Neither `nmstatectl apply` nor a
    restart of NetworkManager changes it while its three guest NICs exist."""
    with guests.running(machine, SECOND):
        with guests.running(machine, TAGGED):
            index = links(machine)["peth0.2"]["ifindex"]
            macs = sorted(mac for _, mac, up in macvtaps_over(machine, "peth0.2") if up)
            assert macs == [f"36:77:6e:c0:00:0{n}" for n in (2, 3, 4)]
        machine.run("systemctl restart NetworkManager && nm-online -s -q -t 60", timeout=90)
        machine.run("nmstatectl apply /var/lib/kvmnet/applied/nmstate.yml", timeout=120)
        assert links(machine)["peth0.2"]["ifindex"] == index
        assert len(macvtaps_over(machine, "peth0.2")) == 2
        assert managed(machine)["peth0.2"] == "unmanaged"
        assert json.loads(machine.out("ip -j address show dev peth0.2"))[0]["addr_info"] == []
        status = json.loads(machine.out("kvmnet hook status --json"))
        assert status["installed"] and status["devices"]["peth0.2"]["guests"] == [SECOND]
    until_vlans(machine, "peth0.3")


def test_a_device_in_use_by_a_guest_does_not_become_a_permanent_vlan(machine: Machine) -> None:
    """The refusal names the guest. Its macvtap and everything else are unchanged."""
    machine.put("/root/always.yaml", DEFINITION.replace("{vlan: 2, over: private}", ALWAYS))
    with guests.running(machine, TAGGED):
        ((tap, _, _),) = macvtaps_over(machine, "peth0.2")
        before, over, history = picture.whole(machine), links(machine)[tap], machine.out("kvmnet history")
        result = apply(machine, definition="always.yaml")
        refused(result, "KVN526", f"peth0.2 would become a permanent VLAN, but running guests use it: {tap} ({TAGGED})")
        assert picture.whole(machine) == before
        assert (links(machine)[tap], machine.out("kvmnet history")) == (over, history)
    until_vlans(machine, "peth0.3")


def planned(machine: Machine, definition: str) -> dict[str, Any]:
    machine.put("/root/other.yaml", definition)
    found: dict[str, Any] = json.loads(machine.out("kvmnet plan --json /root/other.yaml", timeout=120))
    return found


def test_a_plan_lists_the_affected_guests(machine: Machine) -> None:
    """By the names of their domains, also while libvirt hangs: kvmnet does not wait for it."""
    smaller = DEFINITION.replace("subnets: [10.1.0.0/16]", "subnets: [10.1.0.0/16], mtu: 1400")
    with guests.running(machine, BRIDGED, TAGGED):
        told = planned(machine, smaller)
        taps = {row["guest"]: row.pop("device") for row in told["guests"]}
        assert [(row["guest"], row["over"], row["mac"], row["how"]) for row in told["guests"]] == [
            (BRIDGED, "eth0", "36:77:6e:c0:00:01", "interrupted briefly"),
            (TAGGED, "peth0.2", "36:77:6e:c0:00:02", "interrupted briefly"),
        ]
        assert "mtu" in told["guests"][0]["why"] and told["guests_unknown"] is None
        down = DEFINITION[: DEFINITION.index("guests:")].replace(
            "{network: private, mac", "{network: private, state: down, mac"
        )
        machine.put("/root/other.yaml", down)
        result = machine.run("kvmnet apply --yes /root/other.yaml", check=False, timeout=120)
        assert result.code == 5, result
        for guest, why in (
            (BRIDGED, "eth0: eth0 is removed"),
            (TAGGED, "peth0.2: peth0.2 loses its last uplink (eth0 is taken down)"),
        ):
            lost = f"guest {guest} would be disconnected permanently ({taps[guest]} on {why})"
            assert f"KVN527: {lost}" in result.stderr and f"--allow-guest-loss {guest}\n" in result.stderr, result
        machine.run("systemctl kill -s STOP libvirtd")
        try:
            told = planned(machine, smaller)
        finally:
            machine.run("systemctl kill -s CONT libvirtd")
        assert told["guests_unknown"] == "no answer within 8 s"
        assert {row["guest"]: row["device"] for row in told["guests"]} == taps, "from libvirt's files"
    until_vlans(machine, "peth0.3")


@pytest.mark.make_test("trixie", "bookworm")
@pytest.mark.guarantee("G72")
def test_virsh_reports_a_device_that_is_not_in_the_definition(machine: Machine) -> None:
    xml = machine.out(f"cat /root/{TAGGED}.merged.xml").replace("peth0.2", "peth0.7").replace(TAGGED, "stray")
    machine.put("/root/stray.xml", xml)
    machine.run("virsh --quiet define /root/stray.xml")
    result = guests.start(machine, "stray")
    assert result.code != 0
    assert (
        "kvmnet: peth0.7 is not in the definition of host vm-container-0-0 (VLAN devices for guests: peth0.2)"
        in result.stderr
    )
    until_vlans(machine, "peth0.3")


@pytest.mark.guarantee("G71")
def test_libvirt_killed(machine: Machine) -> None:
    """If a guest ends while libvirt is stopped, its device is removed when libvirt starts again. A running guest
    keeps its device."""
    with guests.running(machine, TAGGED):
        index = links(machine)["peth0.2"]["ifindex"]
        machine.run("systemctl kill -s KILL libvirtd; sleep 1")
        machine.until("virsh list", timeout=60)
        assert f"{TAGGED}\n" in machine.out("virsh list --name") + "\n"
        assert links(machine)["peth0.2"]["ifindex"] == index
        machine.run("systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd.service")
        machine.run(f"kill -KILL $(cat /run/libvirt/qemu/{TAGGED}.pid)")
        assert vlans(machine) == ["peth0.2", "peth0.3"]
        machine.run("systemctl start libvirtd.service", timeout=120)
        until_vlans(machine, "peth0.3")


@pytest.mark.make_test()
def test_the_hook_takes_at_most_three_times_the_processor_time_of_python(machine: Machine) -> None:
    machine.put("/root/times.py", TIMES)
    took: dict[str, float] = json.loads(machine.out("python3 /root/times.py", timeout=180))
    until_vlans(machine, "peth0.3")
    ratios = {name: round(seconds / took["bare"], 2) for name, seconds in took.items()}
    print(ratios)
    assert max(ratios.values()) <= 3, ratios


def test_from_boot(machine: Machine) -> None:
    """attach: always: VLAN and macvtap are up from boot, and stay when a guest starts and stops. A guest with
    autostart gets its device on demand at boot."""
    machine.run(f"virsh --quiet autostart {TAGGED}")
    machine.reboot()
    machine.run("nm-online -s -q -t 60", timeout=90)
    before = links(machine)
    assert macvtaps_over(machine, "peth0.3") == [("mvt-c00005", "36:77:6e:c0:00:05", True), ("mvt-c00013", ON_3, True)]
    assert before["peth0.3"]["linkinfo"]["info_data"]["id"] == 3 and "UP" in before["peth0.3"]["flags"]
    machine.until("virsh list", timeout=120)
    until = f"virsh list --name | grep -x {TAGGED} && ip link show dev peth0.2"
    machine.until(until, timeout=60)
    with guests.running(machine, FROM_BOOT):
        xml = machine.out(f"virsh dumpxml {FROM_BOOT}")
        assert "<interface type='ethernet'>" in xml and "<target dev='mvt-c00005' managed='no'/>" in xml
        opened = machine.out(f"ls -l /proc/$(cat /run/libvirt/qemu/{FROM_BOOT}.pid)/fd")
        assert f"/dev/tap{before['mvt-c00005']['ifindex']}\n" in opened + "\n"
    after = links(machine)
    for name in ("peth0.3", "mvt-c00005"):
        assert after[name]["ifindex"] == before[name]["ifindex"] and "UP" in after[name]["flags"]
    guests.destroy(machine, TAGGED)
    until_vlans(machine, "peth0.3")


def test_remove(machine: Machine) -> None:
    with guests.running(machine, TAGGED):
        said = machine.out("kvmnet hook remove", timeout=60)
        assert f"removed {HOOK}\n" in said and f"peth0.2 is kept ({TAGGED}); remove it when" in said
        assert picture.link(machine, "peth0.2")["link"] == "peth0"
    assert machine.run("kvmnet hook status", check=False).code == 1
