"""Each refusal on a real machine: exit code 5, its code and hint are printed, nothing is changed. All tests use one
machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from tests.machines import picture
from tests.machines.machine import Machine, Result
from tests.machines.seed import HOST_MAC, PROFILE

pytestmark = pytest.mark.make_test()

MANAGER = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"


class Case(NamedTuple):
    """A condition that is refused: the commands that create it and remove it, and the expected code and text.

    `prefix` is put before kvmnet. `edit` (sed) changes the example's definition. `leaves` are the files that kvmnet has
    written to its folder by then: only for refusals after the plan was printed, because the rollback cannot be
    prepared.
    """

    code: str
    words: str
    before: str
    after: str
    prefix: str = ""
    edit: str = ""
    leaves: frozenset[str] = frozenset()


def file(path: str, text: str) -> tuple[str, str]:
    return f"mkdir -p $(dirname {path}) && printf '%b' '{text}' > {path}", f"rm {path}"


def bound(path: str, text: str) -> tuple[str, str]:
    """Return commands that give a file of /proc another content."""
    return f"printf '%b' '{text}' > /root/fake && mount --bind /root/fake {path}", f"umount {path}"


def dummy(name: str, more: str = "true") -> tuple[str, str]:
    return f"ip link add {name} type dummy && {more}", f"ip link delete {name}"


_PROGRAM = "/usr/local/bin/nmstatectl"
_WRAPPER = f"""#!/bin/sh
[ "$1" = --version ] && echo nmstatectl 2.2.8 && exit
exec {_PROGRAM}.real "$@"
"""
OLD_NMSTATE = (
    f"mv {_PROGRAM} {_PROGRAM}.real && cat > {_PROGRAM} <<'EOF' && chmod 755 {_PROGRAM}\n{_WRAPPER}EOF",
    f"mv {_PROGRAM}.real {_PROGRAM}",
)


def seeing(mount: str) -> str:
    """Return a prefix with which only kvmnet sees this mount. A process that executes another program keeps its PID,
    and with it its view of /proc."""
    return f'unshare -m bash -c \'{mount} && exec "$0" "$@"\' '


def failing(program: str) -> str:
    """Return a prefix with which this program fails for kvmnet only."""
    return seeing(f"mount --bind /bin/false $(command -v {program})")


OTHER_MOUNTS = seeing("mount --bind /root/mounts /proc/$$/mounts")
PLAIN = "s/profile: rocks/profile: plain/"
UNITS = "/etc/systemd/system"
RESCUE_FILE = "/var/lib/kvmnet/rescue.pyz"
DISTRIBUTIONS = "/usr/lib/NetworkManager/system-connections"
EVERY_NIC = "[Match]\\nOriginalName=*\\n[Link]\\nNamePolicy=keep\\n"
RULE = f'SUBSYSTEM=="net", ATTR{{address}}=="{HOST_MAC}", NAME="eth0"\\n'
LINK = "/etc/systemd/network"

CASES = {
    "an open transaction": Case("KVN502", "rescue.pyz", "mkdir /var/lib/kvmnet/open", "rmdir /var/lib/kvmnet/open"),
    "the definition of another host": Case(
        "KVN503",
        "this host is not in the definition: no host has one of its NICs",
        "true",
        "true",
        edit="s/80:de:00/80:de:99/",
    ),
    "no nmstate": Case(
        "KVN505",
        "nmstate is not installed on this host",
        f"mv {_PROGRAM} {_PROGRAM}.real",
        f"mv {_PROGRAM}.real {_PROGRAM}",
    ),
    "a broken nmstate": Case("KVN505", "nmstate: nmstatectl", "true", "true", failing("nmstatectl")),
    "an old nmstate": Case("KVN506", "nmstate 2.2.8 is too old", *OLD_NMSTATE),
    "a checkpoint": Case(
        "KVN507",
        "/org/freedesktop/NetworkManager/Checkpoint/",
        f"busctl call {MANAGER} CheckpointCreate aouu 0 120 0 | cut -d'\"' -f2 > /root/checkpoint",
        f"busctl call {MANAGER} CheckpointDestroy o $(cat /root/checkpoint)",
    ),
    "units that cannot be written": Case(
        "KVN509",
        f"{UNITS} cannot be written: ",
        "true",
        f"rm {RESCUE_FILE}",
        seeing(f"mount --bind -o ro {UNITS} {UNITS}"),
        leaves=frozenset({"rescue.pyz"}),
    ),
    "a systemd that starts nothing": Case(
        "KVN509",
        "systemd cannot start the watchdog",
        "true",
        f"cd {UNITS} && systemctl disable kvmnet-* && rm kvmnet-* {RESCUE_FILE} && systemctl daemon-reload",
        failing("systemd-run"),
        leaves=frozenset({"rescue.pyz"}),
    ),
    "a full disk": Case(
        "KVN510", "/var/lib/kvmnet has", "mount -t tmpfs -o size=4M none /var/lib/kvmnet", "umount /var/lib/kvmnet"
    ),
    "cluster software": Case(
        "KVN511", "corosync", "systemd-run --quiet --unit=corosync sleep 600", "systemctl stop corosync"
    ),
    "a broken nmcli": Case(
        "KVN512", "NetworkManager's profiles cannot be read: nmcli connection show: ", "true", "true", failing("nmcli")
    ),
    "a failing systemctl": Case("KVN512", "systemctl", "true", "true", failing("systemctl")),
    "a file that cannot be read": Case(
        "KVN512",
        "this host could not be read: [Errno 21]",
        "true",
        "true",
        seeing(f"mount -t tmpfs none {LINK} && mkdir {LINK}/00-kvmnet-peth0.link"),
    ),
    "another name than the profile's": Case(
        "KVN521",
        f"NIC lan0 ({HOST_MAC}) is named eth0, and the naming policy does not rename NICs",
        "true",
        "true",
        edit=f"{PLAIN}; s/eth0:/lan0:/",
    ),
    "a name that is taken": Case("KVN522", "peth0 is already used by a dummy", *dummy("peth0")),
    "an altname": Case(
        "KVN522", "alternative name of other", *dummy("other", "ip link property add dev other altname peth0")
    ),
    "another NIC's profile with the name of an interface": Case(
        "KVN523",
        "the connection profile of veth0 has the ID peth0, which is the name of an interface of the definition",
        "ip link add veth0 type veth peer name veth1 && nmcli device set veth0 managed yes && nmcli connection add "
        "type ethernet con-name peth0 ifname '*' connection.autoconnect no ipv4.method disabled ipv6.method disabled "
        "&& ip link set veth1 up && nmcli --wait 30 connection up peth0 ifname veth0",
        "nmcli connection delete peth0; ip link delete veth0",
    ),
    "a VLAN on a NIC to be renamed": Case(
        "KVN528",
        "vlan office is on eth0, which would be renamed to peth0, and is not in the definition",
        "ip link add office link eth0 type vlan id 9",
        "ip link delete office",
    ),
    "a VLAN of this tag": Case(
        "KVN529",
        "office already has VLAN ID 2 on eth0, so eth0.2 cannot be created",
        "ip link add office link eth0 type vlan id 2",
        "ip link delete office",
        edit=PLAIN,
    ),
    "an unmanaged NIC": Case(
        "KVN531",
        "does not manage NIC eth0",
        "nmcli device set eth0 managed no",
        "nmcli device set eth0 managed yes && nmcli --wait 30 connection up eth0",
    ),
    "a profile that is no keyfile of the machine's": Case(
        "KVN532",
        f"the connection profile of eth0 is in {DISTRIBUTIONS}/eth0.nmconnection, which kvmnet could not restore",
        f"mkdir -p {DISTRIBUTIONS} && mv {PROFILE} {DISTRIBUTIONS} && nmcli connection reload",
        f"mv {DISTRIBUTIONS}/eth0.nmconnection {PROFILE} && nmcli connection reload",
    ),
    "a macvtap": Case(
        "KVN534",
        "is the base interface of macvtap tap0",
        "ip link add tap0 link eth0 type macvtap",
        "ip link delete tap0",
    ),
    "a second profile for the NIC": Case(
        "KVN535",
        "the connection profile office (",
        "nmcli connection add type ethernet con-name office ifname '*' 802-3-ethernet.mac-address "
        f"{HOST_MAC} connection.autoconnect-priority 10 ipv4.method disabled ipv6.method disabled",
        "nmcli connection delete office",
    ),
    "a .link file that wins": Case(
        "KVN540",
        "/00-a.link would take precedence",
        *file(f"{LINK}/00-a.link", EVERY_NIC),
    ),
    "a .link file with settings": Case(
        "KVN541",
        "sets WakeOnLan for NIC eth0",
        *file(f"{LINK}/10-site.link", f"[Match]\\nMACAddress={HOST_MAC}\\n[Link]\\nWakeOnLan=magic\\n"),
    ),
    "a rule of udev": Case("KVN542", "would name NIC eth0", *file("/etc/udev/rules.d/70-persistent-net.rules", RULE)),
    "cloud-init": Case("KVN543", "cloud-init configures", *file("/run/cloud-init/enabled", "")),
    "an initramfs with ip=": Case(
        "KVN550", "ip=dhcp in /proc/cmdline", *bound("/proc/cmdline", "root=/dev/sda1 ro ip=dhcp\\n")
    ),
    "an initramfs with NBDE": Case(
        "KVN550",
        "rd.neednet=1 in /etc/dracut.conf.d/nbde.conf",
        *file("/etc/dracut.conf.d/nbde.conf", 'kernel_cmdline="rd.neednet=1"\\n'),
    ),
    "a root over the network": Case(
        "KVN551",
        "/ is on the network (nfs4 from 10.1.1.1 over eth0)",
        "printf '10.1.1.1:/root / nfs4 rw,addr=10.1.1.1 0 0\\n' > /root/mounts",
        "rm /root/mounts",
        OTHER_MOUNTS,
    ),
    "swap over the network": Case(
        "KVN551", "swap on /dev/nbd0", *bound("/proc/swaps", "Filename\\n/dev/nbd0 partition 1024 0 -2\\n")
    ),
    "not root": Case("KVN500", "only root", "true", "true", "setpriv --reuid=nobody --clear-groups "),
}


def apply(host: Machine, prefix: str = "", *options: str, definition: str = "cluster.yaml") -> Result:
    command = f"{prefix}kvmnet apply --yes {' '.join(options)} /root/{definition}"
    return host.run(command, check=False, timeout=120)


@pytest.fixture(scope="module")
def fit(host: Machine, definition: str) -> dict[str, Any]:
    host.put("/root/cluster.yaml", definition)
    host.run("chmod 755 /root && install -d -m 700 /var/lib/kvmnet")
    return picture.whole(host)


@contextmanager
def unfit(host: Machine, case: Case) -> Iterator[None]:
    host.run(f"sed '{case.edit}' /root/cluster.yaml > /root/case.yaml")
    host.run(case.before, timeout=60)
    try:
        yield
    finally:
        host.run(case.after, timeout=90)


def refused(result: Result, code: str, words: str, planned: bool = False) -> None:
    assert result.code == 5, result
    assert ("changes to make" in result.stdout) if planned else (result.stdout == ""), result
    assert f"kvmnet: {code}: " in result.stderr, result
    assert words in result.stderr, result
    assert f"  more: kvmnet explain {code}" in result.stderr, result


@pytest.mark.guarantee("G60")
@pytest.mark.parametrize("name", CASES)
def test_refused(host: Machine, fit: dict[str, Any], name: str) -> None:
    case = CASES[name]
    with unfit(host, case):
        before = picture.whole(host)
        result = apply(host, case.prefix, definition="case.yaml")
        after = picture.whole(host)
        history = host.out("ls -A /var/lib/kvmnet")
    refused(result, case.code, case.words, planned=bool(case.leaves))
    assert after == before
    assert set(history.split()) <= {"lock", "open"} | case.leaves, "something was opened"


@pytest.mark.guarantee("G60")
def test_another_kvmnet(host: Machine, fit: dict[str, Any]) -> None:
    before = picture.whole(host)
    job = host.start("exec flock /var/lib/kvmnet/lock sleep 600")
    host.until("! flock -n /var/lib/kvmnet/lock true")
    try:
        refused(apply(host), "KVN501", "another kvmnet")
    finally:
        job.stop()
    assert picture.whole(host) == before


@pytest.mark.guarantee("G60")
@pytest.mark.parametrize(
    ("verb", "code", "words"),
    [
        ("confirm", "KVN560", "no change is waiting for confirmation"),
        ("remove --yes", "KVN562", "nothing is applied on this host"),
        ("rollback --yes", "KVN562", "nothing is applied on this host"),
    ],
)
def test_commands_that_need_an_earlier_change_are_refused_without_one(
    host: Machine, fit: dict[str, Any], verb: str, code: str, words: str
) -> None:
    before = picture.whole(host)
    refused(host.run(f"kvmnet {verb}", check=False, timeout=60), code, words)
    assert picture.whole(host) == before


@pytest.mark.make_test("trixie")
@pytest.mark.guarantee("G60")
def test_a_stopped_networkmanager_is_refused_and_not_started(host: Machine, fit: dict[str, Any]) -> None:
    """Nothing else is changed either."""
    before = picture.whole(host)
    same = ("links", "files", "checkpoints", "addresses", "profiles")
    assert {k: before[k] for k in same} == {k: fit[k] for k in same}, "the cases before left the host unchanged"
    files = "cd /etc/NetworkManager/system-connections && sha256sum *; ip -br link; ls -A /etc/systemd/network"
    host.run("systemctl stop NetworkManager")
    try:
        stopped = host.out(files)
        refused(apply(host), "KVN504", "NetworkManager")
        assert host.out(files) == stopped
        assert host.run("systemctl is-active NetworkManager", check=False).stdout == "inactive\n"
    finally:
        host.run("systemctl start NetworkManager && nm-online -s -q -t 60", timeout=90)


@pytest.mark.make_test("trixie")
@pytest.mark.guarantee("G60")
def test_all_refusals_are_reported_at_once_and_can_be_overridden(host: Machine, fit: dict[str, Any]) -> None:
    before = picture.whole(host)
    with unfit(host, CASES["cluster software"]), unfit(host, CASES["cloud-init"]):
        result = apply(host)
        assert (result.code, "KVN511" in result.stderr, "KVN543" in result.stderr) == (5, True, True), result
        assert apply(host, "", "--allow KVN511").code == 5
        assert apply(host, "", "--allow KVN501").code == 2
        planned = host.run("kvmnet plan --allow KVN511 --allow KVN543 /root/cluster.yaml")
        assert "rename eth0: to peth0" in planned.stdout
        assert "note: overridden: KVN511 cluster software is active" in planned.stdout
    assert picture.whole(host) == before


def test_refusals_on_a_host_with_an_open_or_kept_change(host: Machine, fit: dict[str, Any]) -> None:
    """A confirmation that is not accepted does not end the wait. A removal is refused while an interface of another
    tool uses the bridge."""
    job = host.start("exec kvmnet apply --yes --confirm-within 120 /root/cluster.yaml")
    host.until("kvmnet status | grep -q 'now: wait for `kvmnet confirm`'", timeout=90)
    waiting = picture.whole(host)
    message = "this is not an SSH connection and cannot confirm the change"
    refused(host.run("kvmnet confirm", check=False), "KVN561", message)
    assert picture.whole(host) == waiting
    assert waiting["open"]
    assert host.at_console("kvmnet confirm --at-the-console").code == 0
    assert job.wait(60).code == 0
    host.run("ip link add other type dummy && ip link set other master eth0")
    try:
        kept = picture.whole(host)
        result = host.run("kvmnet remove --yes", check=False, timeout=90)
        refused(result, "KVN525", "eth0 would be removed but is in use by other")
        assert picture.whole(host) == kept
    finally:
        host.run("ip link delete other")
    assert host.run("kvmnet remove --yes", check=False, timeout=120).code == 0
    given_back = picture.whole(host)
    refused(host.run("kvmnet remove --yes", check=False), "KVN562", "nothing is applied on this host")
    assert picture.whole(host) == given_back
