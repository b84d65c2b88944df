"""What NetworkManager does at a boot with certain files. The unit tests compute it, the lab compares it with what
NetworkManager does (tests/lab/test_boot_outcomes.py).

Each case is one boot of a host with the four NICs of `MACS`, named eth0 to eth3, so several rules are tested at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

MACS = tuple(f"00:14:4f:80:de:0{number}" for number in range(4))
NAMES = ("eth0", "eth1", "eth2", "eth3")
ETC, LIB = "/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections"
CONFIG = "/etc/NetworkManager/conf.d"
#: What an interface gets besides a profile, which is written as its id.
CREATED, NOTHING, UNMANAGED = "(created)", "(nothing)", "(unmanaged)"


@dataclass(frozen=True)
class BootCase:
    """A boot.

    profiles: keyfiles by file name in /etc, or by path. files: other files by path. links: symbolic links by path.
    timestamps: when a profile (id) was active last. expect: the id of the profile, or CREATED, NOTHING, UNMANAGED, by
    interface; after a slash the controller. old: what NetworkManager before 1.46 does otherwise.
    """

    profiles: Mapping[str, str]
    expect: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    timestamps: Mapping[str, int] = field(default_factory=dict)
    old: Mapping[str, str] = field(default_factory=dict)
    insecure: tuple[str, ...] = ()


def uuid_of(name: str) -> str:
    """Return the UUID of the profile with this id. UUIDs sort like the first letters of the ids."""
    return f"{name[:4].encode().hex():0<8}-4444-4444-8444-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def profile(
    name: str, *connection: str, type: str = "ethernet", groups: str = "", uuid: Optional[str] = None, ip: bool = True
) -> str:
    """Return a keyfile with these lines in [connection] and these groups; `ip`: with both families disabled."""
    lines = ["[connection]", f"id={name}", f"uuid={uuid or uuid_of(name)}", f"type={type}", *connection]
    if ip:
        groups += "\n[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod=disabled\n"
    return "\n".join(lines) + "\n\n" + groups


def bridge(name: str, *connection: str) -> str:
    """Return the keyfile of a bridge; its id is its name."""
    return profile(name, f"interface-name={name}", *connection, type="bridge", groups="[bridge]\nstp=false\n")


def port(name: str, nic: str, of: str, *connection: str) -> str:
    """Return the keyfile of a port of a bridge, with the keys that every version knows."""
    lines = (f"interface-name={nic}", f"master={of}", "slave-type=bridge", *connection)
    return profile(name, *lines, groups="[bridge-port]\n", ip=False)


def for_nic(name: str, nic: str, *connection: str) -> str:
    """Return the keyfile of a profile that is bound to an interface name."""
    return profile(name, f"interface-name={nic}", *connection)


CASES: dict[str, BootCase] = {
    "how a profile is bound to a NIC": BootCase(
        {
            "name": for_nic("by-name", "eth0"),
            "mac": profile("by-mac", groups=f"[ethernet]\nmac-address={MACS[1].upper()}\n"),
            "pattern": profile("by-pattern", groups="[match]\ninterface-name=eth[0-2];!eth3;!eth0;!eth1;\n"),
        },
        {"eth0": "by-name", "eth1": "by-mac", "eth2": "by-pattern", "eth3": CREATED},
    ),
    "patterns and conditions": BootCase(
        {
            "a": profile("optional", groups="[match]\ninterface-name=ens*;eth0;\n"),
            "b": profile("mandatory", groups="[match]\ninterface-name=&eth?;!eth0;!eth2;!eth3;\n"),
            "c": profile("no-option", "interface-name=eth2", groups="[match]\nkernel-command-line=!kvmnet.nosuch;\n"),
            "d": profile("with-option", "interface-name=eth3", groups="[match]\nkernel-command-line=kvmnet.nosuch;\n"),
        },
        {"eth0": "optional", "eth1": "mandatory", "eth2": "no-option", "eth3": CREATED},
    ),
    "NICs without a profile": BootCase(
        {"off": for_nic("switched-off", "eth0", "autoconnect=false")},
        {"eth0": NOTHING, "eth1": NOTHING, "eth2": CREATED, "eth3": NOTHING},
        files={
            f"{CONFIG}/10-first.conf": "[main]\nno-auto-default=interface-name:eth9\n",
            f"{CONFIG}/20-second.conf": "[main]\nno-auto-default+=interface-name:eth1\n",
            "/var/lib/NetworkManager/no-auto-default.state": f"{MACS[3].upper()}\n",
        },
    ),
    "the order of profiles": BootCase(
        {
            "a": for_nic("priority-1", "eth0", "autoconnect-priority=1"),
            "b": for_nic("priority-5", "eth0", "autoconnect-priority=5"),
            "c": for_nic("active-earlier", "eth1"),
            "d": for_nic("active-later", "eth1"),
            "e": for_nic("ever-active", "eth2"),
            "f": for_nic("a-never-active", "eth2"),
            "g": for_nic("a-first-uuid", "eth3"),
            "h": for_nic("b-second-uuid", "eth3"),
        },
        {"eth0": "priority-5", "eth1": "active-later", "eth2": "ever-active", "eth3": "a-first-uuid"},
        timestamps={
            "priority-1": 1700000900,
            "active-earlier": 1700000000,
            "active-later": 1700000500,
            "ever-active": 1,
        },
    ),
    "one profile for several NICs": BootCase(
        {
            "all": profile("for-all", "multi-connect=3", groups=f"[ethernet]\nmac-address-blacklist={MACS[3]};\n"),
            "own": for_nic("own", "eth1", "autoconnect-priority=1"),
        },
        {"eth0": "for-all", "eth1": "own", "eth2": "for-all", "eth3": CREATED},
    ),
    "ports and their controllers": BootCase(
        {
            "br0": bridge("br0", "autoconnect=false"),
            "p0": port("port0", "eth0", "br0"),
            "br1": bridge("br1", "autoconnect-slaves=1"),
            "p1": port("port1", "eth1", "br1", "autoconnect=false"),
            "n1": for_nic("plain1", "eth1"),
            "br2": bridge("br2"),
            "p2": port("port2", "eth2", "br2", "autoconnect=false"),
            "n2": for_nic("plain2", "eth2"),
            "p3": port("port3", "eth3", "br9", "autoconnect-priority=9"),
            "n3": for_nic("plain3", "eth3"),
        },
        {
            "br0": "br0",
            "eth0": "port0/br0",
            "br1": "br1",
            "eth1": "port1/br1",
            "br2": "br2",
            "eth2": "plain2",
            "eth3": "plain3",
        },
    ),
    "a port by the UUID of its controller, and rivals for one NIC": BootCase(
        {
            "br0": bridge("br0"),
            "br1": bridge("br1", "autoconnect=false"),
            "p0": port("port0", "eth0", uuid_of("br0")),
            "p1": port("port1", "eth1", "br1", "autoconnect=false"),
            "n2": for_nic("plain2", "eth2", "autoconnect-priority=-1"),
            "p2": port("port2", "eth2", "br0"),
        },
        {"br0": "br0", "eth0": "port0/br0", "br1": NOTHING, "eth1": NOTHING, "eth2": "port2/br0", "eth3": CREATED},
    ),
    "virtual interfaces": BootCase(
        {
            "nic": for_nic("nic", "eth0"),
            "v5": profile("vlan5", "interface-name=eth0.5", type="vlan", groups="[vlan]\nid=5\nparent=eth0\nflags=1\n"),
            "v6": profile("vlan6", type="vlan", groups="[vlan]\nid=6\nparent=eth0\nflags=1\n"),
            "v7": profile("vlan7", "interface-name=lost", type="vlan", groups="[vlan]\nid=7\nparent=eth9\nflags=1\n"),
            "v8": profile(
                "vlan8",
                "interface-name=off8",
                "autoconnect=false",
                type="vlan",
                groups="[vlan]\nid=8\nparent=eth0\nflags=1\n",
            ),
            "b0": bridge("br0"),
            "v9": profile(
                "vlan9", "interface-name=br0.9", type="vlan", groups=f"[vlan]\nid=9\nparent={uuid_of('br0')}\nflags=1\n"
            ),
        },
        {
            "eth0": "nic",
            "eth0.5": "vlan5",
            "eth0.6": "vlan6",
            "lost": NOTHING,
            "off8": NOTHING,
            "br0": "br0",
            "br0.9": "vlan9",
            "eth1": CREATED,
        },
    ),
    "what NetworkManager does not manage": BootCase(
        {
            "a": for_nic("a", "eth0"),
            "b": for_nic("b", "eth1"),
            "c": for_nic("for-a-user", "eth2", "permissions=user:nobody:;"),
            "d": for_nic("d", "eth3"),
        },
        {"eth0": UNMANAGED, "eth1": UNMANAGED, "eth2": NOTHING, "eth3": "d"},
        files={
            f"{CONFIG}/10-keyfile.conf": "[keyfile]\nunmanaged-devices=interface-name:ens*;interface-name:eth0\n",
            f"{CONFIG}/20-device.conf": (
                f"[device-first]\nmatch-device=mac:{MACS[1]}\nmanaged=0\n\n"
                f"[device-second]\nmatch-device=mac:{MACS[1]},interface-name:eth3\nmanaged=1\n"
            ),
        },
    ),
    "folders of profiles": BootCase(
        {
            "both.nmconnection": for_nic("in-etc", "eth0").replace(uuid_of("in-etc"), uuid_of("twice")),
            f"{LIB}/both.nmconnection": for_nic("in-lib", "eth0").replace(uuid_of("in-lib"), uuid_of("twice")),
            f"{LIB}/only.nmconnection": for_nic("only-in-lib", "eth1"),
            f"{LIB}/hidden.nmconnection": for_nic("hidden", "eth2"),
            "open.nmconnection": for_nic("open", "eth3"),
            ".dot.nmconnection": for_nic("dot", "eth3"),
            "backup.nmconnection~": for_nic("backup", "eth3"),
        },
        {"eth0": "in-etc", "eth1": "only-in-lib", "eth2": CREATED, "eth3": CREATED},
        links={f"{ETC}/{uuid_of('hidden')}.nmmeta": "/dev/null"},
        insecure=("open.nmconnection",),
    ),
    "keys of NetworkManager 1.46": BootCase(
        {
            "br0": bridge("br0", "autoconnect=false"),
            "p0": profile(
                "new-keys",
                "interface-name=eth0",
                "controller=br0",
                "port-type=bridge",
                ip=False,
            ),
            "n0": for_nic("plain0", "eth0", "autoconnect-priority=-5"),
        },
        {"eth0": "new-keys/br0", "br0": "br0", "eth1": CREATED},
        old={"eth0": "new-keys", "br0": NOTHING},
    ),
    "a configuration that activates ports": BootCase(
        {
            "br0": bridge("br0"),
            "p0": port("port0", "eth0", "br0", "autoconnect=false"),
            "n1": for_nic("plain1", "eth1"),
        },
        {"br0": "br0", "eth0": "port0/br0", "eth1": "plain1", "eth2": CREATED},
        files={f"{CONFIG}/10-ports.conf": "[connection]\nconnection.autoconnect-slaves=1\n"},
    ),
    "values that NetworkManager does not understand": BootCase(
        {
            "a": for_nic("autoconnect-no", "eth0", "autoconnect=no"),
            "b": profile("no-uuid", "interface-name=eth1").replace(f"uuid={uuid_of('no-uuid')}\n", ""),
            "c": "[connection]\nid=broken\ninterface-name=eth2\nthis is no key\n",
            "d": profile("manual-without-address", "interface-name=eth3", groups="[ipv4]\nmethod=manual\n", ip=False),
        },
        {"eth0": "autoconnect-no", "eth1": "no-uuid", "eth2": CREATED, "eth3": CREATED},
    ),
}
