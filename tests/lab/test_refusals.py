"""Each refusal on a real machine: exit 5, its code and cure told, nothing touched. One machine for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from tests.lab import picture
from tests.lab.machine import Machine, Result
from tests.lab.seed import HOST_MAC

MANAGER = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager"


class Case(NamedTuple):
    """How the machine becomes unfit, how it becomes fit again, and what is told; `prefix` is put before kvmnet."""

    code: str
    words: str
    before: str
    after: str
    prefix: str = ""


def file(path: str, text: str) -> tuple[str, str]:
    return f"mkdir -p $(dirname {path}) && printf '%b' '{text}' > {path}", f"rm {path}"


def bound(path: str, text: str) -> tuple[str, str]:
    """Another content for a file of /proc."""
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
#: What becomes another program keeps its number, and with it the mounts that it is shown.
OTHER_MOUNTS = 'unshare -m bash -c \'mount --bind /root/mounts /proc/$$/mounts && exec "$0" "$@"\' '
EVERY_NIC = "[Match]\\nOriginalName=*\\n[Link]\\nNamePolicy=keep\\n"
RULE = f'SUBSYSTEM=="net", ATTR{{address}}=="{HOST_MAC}", NAME="eth0"\\n'
LINK = "/etc/systemd/network"

CASES = {
    "an open transaction": Case("KVN502", "rescue.py", "mkdir /var/lib/kvmnet/open", "rmdir /var/lib/kvmnet/open"),
    "an old nmstate": Case("KVN506", "nmstate 2.2.8 is too old", *OLD_NMSTATE),
    "a checkpoint": Case(
        "KVN507",
        "/org/freedesktop/NetworkManager/Checkpoint/",
        f"busctl call {MANAGER} CheckpointCreate aouu 0 120 0 | cut -d'\"' -f2 > /root/checkpoint",
        f"busctl call {MANAGER} CheckpointDestroy o $(cat /root/checkpoint)",
    ),
    "a full disk": Case(
        "KVN510", "/var/lib/kvmnet has", "mount -t tmpfs -o size=4M none /var/lib/kvmnet", "umount /var/lib/kvmnet"
    ),
    "cluster software": Case(
        "KVN511", "corosync", "systemd-run --quiet --unit=corosync sleep 600", "systemctl stop corosync"
    ),
    "a name that is taken": Case("KVN522", "peth0 is taken by a dummy", *dummy("peth0")),
    "an altname": Case(
        "KVN522", "alternative name of other", *dummy("other", "ip link property add dev other altname peth0")
    ),
    "an unmanaged NIC": Case(
        "KVN531",
        "does not manage NIC eth0",
        "nmcli device set eth0 managed no",
        "nmcli device set eth0 managed yes && nmcli --wait 30 connection up eth0",
    ),
    "a macvtap": Case(
        "KVN534",
        "carries macvtap tap0",
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
        "/00-a.link would win",
        *file(f"{LINK}/00-a.link", EVERY_NIC),
    ),
    "a .link file with settings": Case(
        "KVN541",
        "sets WakeOnLan for eth0",
        *file(f"{LINK}/10-site.link", f"[Match]\\nMACAddress={HOST_MAC}\\n[Link]\\nWakeOnLan=magic\\n"),
    ),
    "a rule of udev": Case(
        "KVN542", "would name the NIC eth0", *file("/etc/udev/rules.d/70-persistent-net.rules", RULE)
    ),
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
        "/ comes over the network (nfs4 from 10.1.1.1 over eth0)",
        "printf '10.1.1.1:/root / nfs4 rw,addr=10.1.1.1 0 0\\n' > /root/mounts",
        "rm /root/mounts",
        OTHER_MOUNTS,
    ),
    "swap over the network": Case(
        "KVN551", "swap on /dev/nbd0", *bound("/proc/swaps", "Filename\\n/dev/nbd0 partition 1024 0 -2\\n")
    ),
    "not root": Case("KVN500", "only root", "true", "true", "setpriv --reuid=nobody --clear-groups "),
}


def apply(host: Machine, prefix: str = "", *options: str) -> Result:
    command = f"{prefix}kvmnet apply --yes {' '.join(options)} /root/cluster.yaml"
    return host.run(command, check=False, timeout=120)


@pytest.fixture(scope="module")
def fit(host: Machine, definition: str) -> dict[str, Any]:
    host.put("/root/cluster.yaml", definition)
    host.run("chmod 755 /root && install -d -m 700 /var/lib/kvmnet")
    return picture.whole(host)


@contextmanager
def unfit(host: Machine, case: Case) -> Iterator[None]:
    host.run(case.before)
    try:
        yield
    finally:
        host.run(case.after, timeout=90)


def refused(result: Result, code: str, words: str) -> None:
    assert result.code == 5, result
    assert result.stdout == "", result
    assert f"kvmnet: {code}: " in result.stderr, result
    assert words in result.stderr, result
    assert f"  more: kvmnet explain {code}" in result.stderr, result


@pytest.mark.parametrize("name", CASES)
def test_refused(host: Machine, fit: dict[str, Any], name: str) -> None:
    case = CASES[name]
    with unfit(host, case):
        before = picture.whole(host)
        result = apply(host, case.prefix)
        after = picture.whole(host)
        history = host.out("ls -A /var/lib/kvmnet")
    refused(result, case.code, case.words)
    assert after == before
    assert set(history.split()) <= {"lock", "open"}, "something was opened"


def test_another_kvmnet(host: Machine, fit: dict[str, Any]) -> None:
    before = picture.whole(host)
    job = host.start("exec flock /var/lib/kvmnet/lock sleep 600")
    host.until("! flock -n /var/lib/kvmnet/lock true")
    try:
        refused(apply(host), "KVN501", "another kvmnet")
    finally:
        job.stop()
    assert picture.whole(host) == before


def test_networkmanager_does_not_run(host: Machine, fit: dict[str, Any]) -> None:
    """It is not started for the asking, and nothing else is touched."""
    before = picture.whole(host)
    same = ("links", "files", "checkpoints", "addresses", "profiles")
    assert {k: before[k] for k in same} == {k: fit[k] for k in same}, "after all those cases it is as it was"
    files = "cd /etc/NetworkManager/system-connections && sha256sum *; ip -br link; ls -A /etc/systemd/network"
    host.run("systemctl stop NetworkManager")
    try:
        stopped = host.out(files)
        refused(apply(host), "KVN504", "NetworkManager")
        assert host.out(files) == stopped
        assert host.run("systemctl is-active NetworkManager", check=False).stdout == "inactive\n"
    finally:
        host.run("systemctl start NetworkManager && nm-online -s -q -t 60", timeout=90)


def test_all_reasons_at_once_and_what_is_allowed(host: Machine, fit: dict[str, Any]) -> None:
    before = picture.whole(host)
    with unfit(host, CASES["cluster software"]), unfit(host, CASES["cloud-init"]):
        result = apply(host)
        assert (result.code, "KVN511" in result.stderr, "KVN543" in result.stderr) == (5, True, True), result
        assert apply(host, "", "--allow KVN511").code == 5
        assert apply(host, "", "--allow KVN501").code == 2
        planned = host.run("kvmnet plan --allow KVN511 --allow KVN543 /root/cluster.yaml")
        assert "rename eth0: to peth0" in planned.stdout
        assert "note: allowed, KVN511: cluster software is active" in planned.stdout
    assert picture.whole(host) == before
