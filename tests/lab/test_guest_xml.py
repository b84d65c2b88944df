"""What `kvmnet guest xml --domain` writes is valid, and real libvirt defines and starts it: for each setting of a NIC
and each new connection. What it removes, libvirt refuses. It takes some minutes, so it is not in `make test`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.machines import guests
from tests.machines.machine import Machine, Result
from tests.machines.seed import HOST_ADDRESS, HOST_MAC, PEER_ADDRESS, host_and_peer, seed_host
from tests.machines.wire import Wire
from tests.unit.core.guests.samples import DEPENDING, KEPT, REFUSE, SOURCES

pytestmark = pytest.mark.make_test()

NETWORKS = {"bridge": "private", "direct": "tenant-a", "ethernet": "tenant-b"}
#: What libvirt would ignore or cannot have without hardware, but accepts.
_NOT_HERE = ("<of-a-newer-libvirt/>", "<acpi index", "<rom file='/usr/share/rom'/>", "<address type='pci'")
#: qemu gives the boot ROM to one NIC without a BAR only.
_ONCE = "<rom bar='off'/>"
#: What libvirt before 11.0.0 (bookworm) defines on a bridge, and refuses when the guest starts.
_TAGGED = ("bridge", "<vlan><tag id='42'/></vlan>")
CASES = [
    *(
        (old, setting)
        for setting in KEPT
        if not setting.startswith(_NOT_HERE)
        for old in (("bridge",) if setting == _ONCE else ("bridge", "network"))
    ),
    *((old, setting) for old, setting, *_ in DEPENDING),
]


def mac_of(target: str, number: int) -> str:
    return f"36:77:6e:c1:0{list(NETWORKS).index(target)}:{number:02x}"


def definition() -> str:
    """Return a definition with a guest for each kind of connection, which has a NIC for each case, and one more guest
    for each kind, with one NIC."""
    lines = [
        "kvmnet: 1\ncluster: rocks\nprofile: rocks\nnetworks:",
        f"  private: {{subnets: [10.1.0.0/16], gateway: {PEER_ADDRESS}}}",
        "  tenant-a: {vlan: 2, over: private}\n  tenant-b: {vlan: 3, over: private, attach: always}",
        "hosts:\n  vm-container-0-0:\n    kvm: true\n    interfaces:",
        f"      eth0: {{network: private, mac: {HOST_MAC}, addresses: [{HOST_ADDRESS}]}}\nguests:",
    ]
    for target, network in NETWORKS.items():
        for guest, numbers in ((f"all-{target}", range(len(CASES))), (f"one-{target}", range(254, 255))):
            lines.append(f"  {guest}:\n    host: vm-container-0-0\n    nics:")
            lines += [f'    - {{network: {network}, mac: "{mac_of(target, number)}"}}' for number in numbers]
    return "\n".join(lines) + "\n"


def nic(old: str, mac: str, setting: str) -> str:
    return (
        f"    <interface type='{old}'><mac address='{mac}'/>{SOURCES[old]}<model type='virtio'/>{setting}</interface>\n"
    )


def domain(name: str, nics: str) -> str:
    return guests.domain(name).replace("  </devices>", f"{nics}  </devices>")


@pytest.fixture(scope="module")
def host(lab: None, generation: str, wire: Wire) -> Iterator[Machine]:
    """The example host with libvirt, after kvmnet."""
    with host_and_peer(generation, wire, memory="2G", variant="guests") as (host, _):
        seed_host(host)
        guests.start_libvirt(host)
        host.put("/root/cluster.yaml", definition())
        host.run("kvmnet apply --yes /root/cluster.yaml", timeout=240)
        host.run("kvmnet hook install", timeout=180)
        yield host


def validate(host: Machine, path: str) -> Result:
    return host.run(["virt-xml-validate", path, "domain"], check=False, timeout=60)


@pytest.mark.guarantee("G76")
@pytest.mark.parametrize("target", NETWORKS)
def test_the_result_is_defined_and_started(host: Machine, generation: str, target: str) -> None:
    """A lost protection is refused first. The settings that are kept are in libvirt's own XML."""
    guest = f"all-{target}"
    nics = "".join(
        nic(old, mac_of(target, n), setting.replace("ua-web", f"ua-{n}")) for n, (old, setting) in enumerate(CASES)
    ).replace("<boot order='1'/>", "")
    if generation == "bookworm" and target == "bridge":
        nics = nics.replace(nic(_TAGGED[0], mac_of(target, CASES.index(_TAGGED)), _TAGGED[1]), "")
    host.put("/root/old.xml", domain(guest, nics))
    host.put("/root/x.xml", "<filter name='x'><rule action='accept' direction='in'><all/></rule></filter>")
    host.run("virsh nwfilter-dumpxml x || virsh --quiet nwfilter-define /root/x.xml", timeout=60)
    assert validate(host, "/root/old.xml").code == 0, validate(host, "/root/old.xml")
    merge = f"kvmnet guest xml {guest} /root/cluster.yaml --domain /root/old.xml"
    result = host.run(merge, check=False)
    losses = [1 for _, _, *all in DEPENDING if dict(zip(NETWORKS, all))[target] == REFUSE]
    assert (result.code, result.stderr.count("KVN564: NIC")) == ((5, len(losses)) if losses else (0, 0)), result
    host.run(f"{merge} --allow KVN564 > /root/new.xml 2> /root/notes")
    assert validate(host, "/root/new.xml").code == 0, validate(host, "/root/new.xml")
    result = host.run("virsh --quiet define /root/new.xml", check=False, timeout=120)
    assert result.code == 0, result
    result = host.run(["virsh", "--quiet", "start", guest], check=False, timeout=400)  # with 40 NICs
    assert result.code == 0, (result, host.out("cat /root/new.xml"))
    try:
        live = host.out(f"virsh dumpxml {guest}")
        assert live.count(f"<interface type='{target}'") == nics.count("<interface ")
    finally:
        guests.destroy(host, guest)
        host.run(f"virsh --quiet undefine {guest}")


#: For each setting that a connection does not have: where libvirt refuses it, when the domain is defined or starts.
REFUSED = [
    ("direct", "<mtu size='1400'/>", "define"),
    ("direct", "<coalesce><rx><frames max='7'/></rx></coalesce>", "define"),
    ("ethernet", "<coalesce><rx><frames max='7'/></rx></coalesce>", "define"),
    ("direct", "<port isolated='yes'/>", "define"),
    ("ethernet", "<port isolated='yes'/>", "define"),
    ("bridge", "<bandwidth><inbound floor='100'/></bandwidth>", "define"),
    ("direct", "<bandwidth><inbound floor='100'/></bandwidth>", "define"),
    ("ethernet", "<virtualport type='openvswitch'/>", "define"),
    ("direct", "<vlan><tag id='42'/></vlan>", "start"),
    ("ethernet", "<vlan><tag id='42'/></vlan>", "start"),
    ("direct", "<backend tap='/dev/net/tun'/>", "start"),
    ("bridge", "<script path='/etc/qemu-ifup'/>", "start"),
    ("direct", "<script path='/etc/qemu-ifup'/>", "start"),
]


@pytest.mark.parametrize(("target", "setting", "when"), REFUSED)
def test_libvirt_refuses_what_is_removed(host: Machine, target: str, setting: str, when: str) -> None:
    guest = f"one-{target}"
    (interface,) = json.loads(host.out(f"kvmnet guest xml {guest} /root/cluster.yaml --json"))["interfaces"]
    text = interface["xml"].replace("</interface>", f"{setting}</interface>")
    host.put("/root/raw.xml", domain(guest, text))
    defined = host.run("virsh --quiet define /root/raw.xml", check=False, timeout=60)
    if when == "define":
        assert defined.code != 0, f"{target} has {setting}"
        return
    assert defined.code == 0, defined
    started = guests.start(host, guest)
    host.run(f"virsh --quiet destroy {guest}; virsh --quiet undefine {guest}", check=False)
    assert started.code != 0, f"{target} has {setting}"


@pytest.mark.parametrize("target", ["direct", "ethernet"])
def test_a_filter_would_have_no_effect_on_a_macvtap(host: Machine, target: str) -> None:
    """libvirt accepts it and starts the guest, without a word. This is why it is refused."""
    guest = f"one-{target}"
    host.put("/root/filter.xml", "<filter name='none-in'><rule action='drop' direction='in'><all/></rule></filter>")
    host.run("virsh --quiet nwfilter-define /root/filter.xml", timeout=60)
    (interface,) = json.loads(host.out(f"kvmnet guest xml {guest} /root/cluster.yaml --json"))["interfaces"]
    text = interface["xml"].replace("</interface>", "<filterref filter='none-in'/></interface>")
    host.put("/root/raw.xml", domain(guest, text))
    host.run("virsh --quiet define /root/raw.xml", timeout=60)
    kept = "<filterref" in host.out(f"virsh dumpxml --inactive {guest}")
    assert kept == (target == "ethernet"), "libvirt drops it for type direct"
    with guests.running(host, guest):
        bindings = host.out("virsh --quiet nwfilter-binding-list")
        assert bool(bindings) == (target == "ethernet")
    host.run(f"virsh --quiet undefine {guest} && virsh --quiet nwfilter-undefine none-in")
