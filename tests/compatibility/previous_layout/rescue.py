#!/usr/bin/python3 -I
"""Undo an open kvmnet transaction: the one file that works when all else is gone.

Standard library only; the system's Python; no kvmnet, no venv. It reads the open transaction
(/var/lib/kvmnet/open), undoes what the journal says was begun, last step first, then reads the machine
back and compares it with the snapshot from before. It may be run again at any time: every undo looks at
what is there before it acts.

    /usr/bin/python3 -I /var/lib/kvmnet/rescue.py            undo what is open
    /usr/bin/python3 -I /var/lib/kvmnet/rescue.py --status   say what is open
    /usr/bin/python3 -I /var/lib/kvmnet/rescue.py --accept   undone but not verified: the machine is right as it is

Exit codes: 0 nothing was open; 3 undone and verified; 4 undone, not verified: a person is needed.

Who calls it: the worker, when a step fails; systemd, when the worker was killed (ExecStopPost=); a timer,
which keeps one running while a transaction is open (--watchdog); a unit before NetworkManager at boot (--boot), and
one after it; a person.

The transaction itself uses the functions here for files, links and snapshots, so that what was written
and what is undone, what was seen before and what is compared after, come from the same code.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import errno
import fcntl
import io
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

STATE_DIR = "/var/lib/kvmnet"
PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROFILE_DIRS = ("/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections")
NM = "org.freedesktop.NetworkManager"
#: The path of its object on the bus.
NM_PATH = "/org/freedesktop/NetworkManager"
FIREWALLD = "org.fedoraproject.FirewallD1"
LABEL = "security.selinux"
#: The kernel's settings of each link.
SYSCTL = "/proc/sys/net"
#: The name that the kernel goes by (proc_sys_kernel(5)).
HOSTNAME = "/proc/sys/kernel/hostname"
#: A file beside the journal whose room the undo has when the disk is full: files are given back whole, by a new
#: one in the old one's place.
BALLAST = "ballast"
BALLAST_SIZE = 1 << 20
#: The folder beside the journal for what an undo takes away without knowing whose it is.
ASIDE = "aside"
#: How the copies of keyfiles that wait beside the journal for the keeping end.
REBOUND = ".rebound"
#: NetworkManager's property for name servers that are no interface's, and the file that it keeps them in.
GLOBAL_DNS = "GlobalDnsConfiguration"
INTERN = "/var/lib/NetworkManager/NetworkManager-intern.conf"
#: A file beside the journal with the keyfiles that are not the transaction's, while NetworkManager rolls back.
OTHERS = "others.json"
#: How often an undo that could not be verified is tried before a person is needed.
TRIES = 3
#: Seconds between two looks of the watchdog.
LOOK = 2
#: Seconds after which an undo that says nothing is taken for stopped; a second more for each profile that it may have
#: to delete, half a minute for each that it may have to activate. What it waits for longest else is NetworkManager's
#: rollback (60 s) and the machine's settling (PATIENCE).
STANDSTILL = 300
#: Seconds after which, at the latest, an undo that broke off is begun anew.
LONGEST_REST = 600
#: Seconds that a machine may need to be as before once all is undone: a bond, a DHCP lease, a busy machine.
PATIENCE = 60
#: How many ended transactions are remembered, besides those that first took a NIC over.
HISTORY = 50

#: An undo may be run over the very NIC that it takes down; and Ctrl-Z, or a question or a word of a program in the
#: background to the terminal, would stop it for ever, with the lock held.
IGNORED = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)

Json = dict[str, Any]


class Failed(Exception):
    """A program or a file did not do what was asked; the text says which and why."""


#: What a part of an undo may fail with (what programs and files say may be other than ever seen): the other parts are
#: done all the same.
ERRORS = (Failed, OSError, ValueError, LookupError, TypeError, AttributeError)


# --- programs ---------------------------------------------------------------------------------------


def run(*argv: str, timeout: float = 30.0) -> str:
    """What `argv` prints; raises Failed with its error text when it fails or takes over `timeout` seconds.

    A link's alias or a second name may be any bytes: those that are no UTF-8 come as surrogates, and go back to
    programs as they were. The locale is one in which nmcli prints every letter of a file's name.
    """
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": PROGRAMS, "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise Failed(f"{argv[0]}: not found") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(argv)}: no answer within {timeout:.0f} s") from error
    except (OSError, ValueError) as error:  # no memory for a process; a word that is none
        raise Failed(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def run_json(*argv: str) -> Any:
    """The JSON that `argv` prints (an empty list where it prints nothing: `ip -j` does that); raises Failed when it is
    none. iproute2 before 6.1 escapes the apostrophe, which JSON does not know; no version escapes every control
    character.
    """
    text = re.sub(r"\\(.)", lambda pair: "'" if pair[1] == "'" else pair[0], run(*argv).strip() or "[]")
    try:
        return json.loads(text, strict=False)
    except ValueError as error:
        raise Failed(f"{' '.join(argv)}: {error}") from error


# --- files ------------------------------------------------------------------------------------------


def sync_dir(path: Path) -> None:
    """Make a change of names in a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(paths: list[str]) -> None:
    """Make files that another program wrote survive a power cut, with their names and with what the program
    did to their neighbours' names."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    for folder in sorted({Path(path).parent for path in paths}):
        sync_dir(folder)


def make_dir(path: Path) -> None:
    """Make a folder and those above it, for good."""
    if not path.is_dir():
        make_dir(path.parent)
        path.mkdir(exist_ok=True)
        sync_dir(path.parent)


def write_file(
    path: str,
    data: bytes,
    mode: int = 0o644,
    owner: Optional[tuple[int, int]] = None,
    label: Optional[bytes] = None,
) -> None:
    """Replace a file whole: a temporary file in the same folder (so that its SELinux label is the
    folder's, not /tmp's), fsync, rename, fsync of the folder."""
    target = Path(path)
    make_dir(target.parent)
    temporary = target.with_name(f".{target.name}.kvmnet")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            if label is not None:
                with contextlib.suppress(OSError):  # a kernel without SELinux refuses the attribute
                    os.setxattr(temporary, LABEL, label)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_dir(target.parent)


def write_over(path: str, data: bytes, mode: int, owner: tuple[int, int], label: Optional[bytes]) -> None:
    """Write a file anew in its own place: the last resort of a full disk, where no new one can be made beside it. When
    there is no room for this either nothing is altered."""
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "wb") as file:
        held = os.fstat(handle).st_size
        try:
            os.posix_fallocate(handle, 0, max(len(data), 1))
        except OSError:
            os.ftruncate(handle, held)
            raise
        file.write(data)
        file.flush()
        os.ftruncate(handle, len(data))
        os.fchown(handle, *owner)
        os.fchmod(handle, mode)
        if label is not None:
            with contextlib.suppress(OSError):  # a kernel without SELinux refuses the attribute
                os.setxattr(path, LABEL, label)
        os.fsync(handle)


def remove_file(path: str) -> None:
    """Remove a file, if it is there, for good."""
    target = Path(path)
    if target.exists() or target.is_symlink():
        target.unlink()
        sync_dir(target.parent)


def set_aside(path: str, folder: Path) -> str:
    """Move a file, which may be a person's, into this folder (under its whole path, which may be taken); says where it
    is now. That may be another file system, and full: then it stays where it is under a name that NetworkManager does
    not read, since what it would do there must be undone all the same."""
    record = record_file(path)
    try:
        target = _free_place(folder / path.lstrip("/"), record)
        restore_file({**record, "path": str(target)})
        remove_file(path)
    except OSError:
        target = _free_place(Path(path).with_name(f".{Path(path).name}.kvmnet-{ASIDE}"), record)
        Path(path).replace(target)
        sync_dir(target.parent)
    return str(target)


def _free_place(wanted: Path, record: Json) -> Path:
    """`wanted`, or with a number behind it: where nothing is, or what an undo before this one has put there."""

    def taken(place: Path) -> bool:
        there = record_file(str(place))
        return not there.get("absent") and any(there.get(key) != record.get(key) for key in ("data", "link"))

    place, number = wanted, 0
    while taken(place):
        number += 1
        place = wanted.with_name(f"{wanted.name}.{number}")
    return place


def record_file(path: str) -> Json:
    """All of a file that `restore_file` needs to give it back: bytes, mode, owner, label; or its absence."""
    target = Path(path)
    try:
        about = target.lstat()
    except FileNotFoundError:
        return {"path": path, "absent": True}
    if stat.S_ISLNK(about.st_mode):
        return {"path": path, "link": str(target.readlink())}
    label = None
    with contextlib.suppress(OSError):
        label = base64.b64encode(os.getxattr(path, LABEL)).decode()
    return {
        "path": path,
        "data": base64.b64encode(target.read_bytes()).decode(),
        "mode": stat.S_IMODE(about.st_mode),
        "owner": [about.st_uid, about.st_gid],
        "label": label,
    }


def restore_file(record: Json) -> bool:
    """Give a recorded file back; True when something had to change."""
    path = str(record["path"])
    now = record_file(path)
    if now == record:
        return False
    if record.get("absent"):
        remove_file(path)
    elif "link" in record:
        remove_file(path)
        Path(path).symlink_to(record["link"])
    else:
        label = base64.b64decode(record["label"]) if record["label"] else None
        owner = (int(record["owner"][0]), int(record["owner"][1]))
        data = base64.b64decode(record["data"])
        try:
            write_file(path, data, record["mode"], owner, label)
        except OSError as error:
            if "data" not in now or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            write_over(path, data, record["mode"], owner, label)
    return True


def give_file_back(record: Json) -> bool:
    """The same for an undo: a keyfile that a read-only disk does not take is given to NetworkManager for as long as it
    runs, ahead of the one on disk. Raises OSError then all the same."""
    try:
        return restore_file(record)
    except OSError as error:
        path = Path(record["path"])
        if error.errno == errno.EROFS and str(path.parent) == PROFILE_DIRS[0] and "data" in record:
            write_file(f"{PROFILE_DIRS[1]}/{path.name}", base64.b64decode(record["data"]), record["mode"])
        raise


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def stuck_files(before: Json) -> list[str]:
    """The files that are not as the snapshot has them, and on a disk that is read-only."""
    found = []
    for record in before.get("files", []):
        place = next(folder for folder in Path(record["path"]).parents if folder.is_dir())
        with contextlib.suppress(OSError):
            if _is_read_only(place) and record_file(record["path"]) != record:
                found.append(f"file {record['path']}: is not as before, on a read-only file system")
    return found


# --- links ------------------------------------------------------------------------------------------


def shown_links() -> list[Json]:
    """Every link in iproute2's own words."""
    shown: list[Json] = run_json("ip", "-d", "-j", "link", "show")
    return shown


def links(shown: Optional[list[Json]] = None) -> dict[str, Json]:
    """Every link by name, as the kernel has it (now, or as it was `shown`), with its permanent MAC as `mac`: iproute2
    prints `permaddr` only where it differs from the address in use."""
    found = {}
    for link in shown_links() if shown is None else shown:
        kind = link.get("linkinfo", {}).get("info_kind")
        found[link["ifname"]] = {
            "name": link["ifname"],
            "mac": None if kind else str(link.get("permaddr") or link.get("address", "")).lower(),
            "address": str(link.get("address", "")).lower(),
            "kind": kind,
            "type": link.get("link_type"),
            "master": link.get("master"),
            "mtu": link.get("mtu"),
            "up": "UP" in link.get("flags", []),
            "promiscuous": "PROMISC" in link.get("flags", []),
            "altnames": sorted(link.get("altnames", [])),
            "over": link.get("link"),
            "options": _options(link.get("linkinfo", {})),
        }
    return found


#: What is set of a link of this kind, of all that `ip -d -j link` shows; of a bond all but what it does.
OPTIONS = {"vlan": ("protocol", "id"), "bridge": ("stp_state", "priority", "vlan_filtering"), "macvtap": ("mode",)}
DOINGS = ("active_slave", "ad_info")


def _options(about: Json) -> Json:
    kind, held = about.get("info_kind"), about.get("info_data", {})
    if kind == "bond":
        # NetworkManager's rollback (1.42 and 1.52) leaves a target, which means nothing without an interval
        idle = () if held.get("arp_interval") else ("arp_ip_target",)
        return {key: value for key, value in held.items() if key not in (*DOINGS, *idle)}
    return {key: held[key] for key in OPTIONS.get(str(kind), ()) if key in held}


def addresses() -> dict[str, list[str]]:
    """The addresses of every link, `address/prefix`, sorted; without temporary ones (RFC 8981)."""
    found: dict[str, list[str]] = {}
    for link in run_json("ip", "-j", "address", "show"):
        if "ifname" in link:
            found[link["ifname"]] = sorted(
                f"{a['local']}/{a['prefixlen']}"
                for a in link.get("addr_info", [])
                if "local" in a and not a.get("temporary")
            )
    return found


def routes() -> list[Json]:
    """The routes of both families and every table but the kernel's own (local, broadcast, multicast)."""
    found = []
    for family in ("-4", "-6"):
        for route in run_json("ip", family, "-j", "route", "show", "table", "all"):
            table = str(route.get("table", "main"))
            if table == "local" or route.get("type", "unicast") in ("local", "broadcast", "anycast", "multicast"):
                continue
            found.append(
                {
                    "family": family[1:],
                    "to": route.get("dst"),
                    "via": route.get("gateway"),
                    "dev": route.get("dev"),
                    "metric": route.get("metric"),
                    "table": table,
                    "source": route.get("prefsrc"),
                }
            )
    return sorted(found, key=lambda r: json.dumps(r, sort_keys=True))


def ranked(found: list[Json]) -> list[Json]:
    """Routes with their rank among those to the same destination in place of their metric.

    Where a profile states no metric NetworkManager gives each device one of its own, counted up in the order
    in which they come up: after an undo the numbers may be others, what is preferred must be the same.
    """
    places: dict[tuple[Any, ...], list[Json]] = {}
    for route in found:
        places.setdefault((route["family"], route["table"], route["to"]), []).append(route)
    for place in places.values():
        place.sort(key=lambda route: (route["metric"] or 0, str(route["dev"])))
    rows = [
        {**{k: v for k, v in route.items() if k != "metric"}, "rank": rank}
        for place in places.values()
        for rank, route in enumerate(place)
    ]
    return sorted(rows, key=lambda r: json.dumps(r, sort_keys=True))


#: What a bridge keeps for each port, in the words of `ip -d -j link` and `ip link set … type bridge_slave`.
PORT_SETTINGS = (
    *("priority", "cost", "hairpin", "guard", "root_block", "fastleave", "learning", "flood", "proxy_arp"),
    *("mcast_flood", "bcast_flood", "mcast_to_unicast", "neigh_suppress", "isolated"),
)


def guest_ports() -> dict[str, Json]:
    """The taps that are a port (of containers: one end of a veth pair), with their bridge's settings for them, and the
    macvtaps, with what they lie over: each with its index, since a moment later the name may be another guest's."""
    rows = {row["ifname"]: row for row in shown_links()}
    found: dict[str, Json] = {}
    for name, row in rows.items():
        kind = row.get("linkinfo", {}).get("info_kind")
        if kind in ("tun", "veth") and row.get("master"):
            found[name] = {"kind": "tap", "index": row["ifindex"], "of": row["master"], "settings": _settings(row)}
        elif kind == "macvtap" and row.get("link") in rows:
            of = row["link"]
            found[name] = {"kind": "macvtap", "index": row["ifindex"], "of": of, "of_index": rows[of]["ifindex"]}
    return found


def _settings(row: Json) -> Json:
    about = row.get("linkinfo", {})
    told = about.get("info_slave_data", {}) if about.get("info_slave_kind") == "bridge" else {}
    return {key: told[key] for key in PORT_SETTINGS if key in told}


def nic_of(mac: str) -> Optional[str]:
    """The name that the NIC of this permanent MAC has now; None when it is not there."""
    for name, link in links().items():
        if link["mac"] == mac.lower() and link["type"] == "ether":
            return name
    return None


def rename(mac: str, to: str, free: tuple[str, ...] = ()) -> str:
    """Give the NIC of this permanent MAC the name `to`; says how: "already", "up" or "down-up".

    The kernel renames a NIC that is up since 6.2 (before: EBUSY, so down, rename, up). An altname of the NIC
    equal to the new name (udev 252 sets the old name as one after a rename) would make it fail, and one equal
    to a name in `free` would be in the way of what comes: they are removed. Raises Failed when there is no
    such NIC or the name is another link's.
    """
    now = links()
    name = nic_of(mac)
    if name is None:
        raise Failed(f"no NIC has the permanent MAC {mac}")
    if name == to:
        return "already"
    if to in now:
        raise Failed(f"the name {to} is taken by a {now[to]['kind'] or 'NIC'}")
    for altname in now[name]["altnames"]:
        if altname == to or altname in free:
            run("ip", "link", "property", "del", "dev", name, "altname", altname)
    if _named(name, to):
        return "up"
    try:
        for last in (False, False, False, False, True):
            run("ip", "link", "set", "dev", name, "down")
            if _named(name, to, strict=last):
                break
            time.sleep(0.1)  # somebody has it up again: NetworkManager, which hears of the way down
    finally:
        run("ip", "link", "set", "dev", nic_of(mac) or name, "up")
    return "down-up"


def _named(name: str, to: str, strict: bool = False) -> bool:
    """Rename a link; False when the kernel says that it is busy, which is raised too where `strict`."""
    try:
        run("ip", "link", "set", "dev", name, "name", to)
    except Failed as error:
        if strict or "busy" not in str(error).lower():
            raise
        return False
    return True


def set_bond_option(name: str, option: str, value: str) -> str:
    """Write an option of a bond that runs; the kernel takes an empty line for none."""
    Path(f"/sys/class/net/{name}/bonding/{option}").write_text(value + "\n", encoding="ascii")
    return value or "none"


def wait(what: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Whether `what` came true within so many seconds; asked every `pause` seconds, and less often when the answer
    takes longer: who is waited for may need the processor that the question takes."""
    end = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if what():
            return True
        now = time.monotonic()
        if now > end:
            return False
        time.sleep(max(pause, 2 * (now - asked)))


# --- NetworkManager and firewalld -------------------------------------------------------------------


def checkpoints() -> list[str]:
    """The object paths of NetworkManager's checkpoints."""
    return [w.strip('"') for w in run("busctl", "get-property", NM, NM_PATH, NM, "Checkpoints").split()[2:]]


def reload_networkmanager() -> None:
    """Have NetworkManager read its own settings again (flag 1: those alone, not the profiles)."""
    run("busctl", "call", NM, NM_PATH, NM, "Reload", "u", "1")


#: A row of nmcli's, from its beginning: UUID, device, file, name. Colons and backslashes within a field are escaped.
ROW = re.compile(r"([0-9a-fA-F-]{36,40}):" + r"((?:[^:\\]|\\.)*):" * 2 + r"((?:[^:\\]|\\.)*?)\n?\Z", re.DOTALL)


def profiles() -> list[Json]:
    """NetworkManager's connection profiles: uuid, id, device (None when not active), file."""
    text = run("nmcli", "-t", "-e", "yes", "-f", "UUID,DEVICE,FILENAME,NAME", "connection", "show")
    found = []
    # A row begins with its UUID: a newline in an id is printed as it is.
    for row in re.split(r"^(?=[0-9a-fA-F-]{36,40}:)", text, flags=re.MULTILINE):
        if match := ROW.match(row):
            uuid, device, file, name = (re.sub(r"\\(.)", r"\1", field) for field in match.groups())
            found.append({"uuid": uuid, "device": device or None, "file": file, "id": name})
    return sorted(found, key=lambda p: str(p["uuid"]))


def profile_files(uuids: list[str]) -> list[str]:
    """The keyfiles, on disk and in memory, that say that they hold one of these profiles."""
    found = []
    for path in keyfiles(*PROFILE_DIRS):
        with contextlib.suppress(OSError):
            if says_uuid(Path(path).read_bytes(), uuids):
                found.append(path)
    return found


def keyfiles(*folders: str) -> list[str]:
    """What NetworkManager takes for keyfiles: none whose name begins with a dot, no folder (a backup, mostly)."""
    found = [p for folder in folders if Path(folder).is_dir() for p in sorted(Path(folder).glob("[!.]*"))]
    return [str(p) for p in found if not p.is_dir()]


def says_uuid(keyfile: bytes, uuids: list[str]) -> bool:
    """Whether a keyfile names one of these profiles. A person's may do so in capitals and with blanks; or not at all:
    then NetworkManager derives the UUID from the path, and writes it down when it saves the profile."""
    said = {found.lower() for found in re.findall(rb"^[ \t]*uuid[ \t]*=[ \t]*([^\s]+)", keyfile, re.MULTILINE)}
    return any(uuid.lower().encode() in said for uuid in uuids)


def firewalld(method: str, *arguments: str, interface: str = f"{FIREWALLD}.zone") -> str:
    """Call firewalld by D-Bus (its own command takes a second and more); the one word that it answers."""
    path = "/" + FIREWALLD.replace(".", "/")
    signature = ["s" * len(arguments)] if arguments else []
    answer = run("busctl", "call", FIREWALLD, path, interface, method, *signature, *arguments)
    return answer.strip().partition(" ")[2].strip('"')


def firewalld_runs() -> bool:
    """Whether firewalld answers on the bus (asking must not start it)."""
    with contextlib.suppress(Failed):
        return run("systemctl", "is-active", "firewalld").strip() == "active"
    return False


def zone_of(interface: str) -> Optional[str]:
    """firewalld's zone that this interface is bound to; None when to none (then the default zone counts)."""
    return firewalld("getZoneOfInterface", interface) or None


def zones() -> dict[str, str]:
    """The same for all interfaces that are bound to one, by one call: each is a process."""
    path = "/" + FIREWALLD.replace(".", "/")
    words = ("busctl", "--json=short", "call", FIREWALLD, path, f"{FIREWALLD}.zone", "getActiveZones")
    held = run_json(*words)["data"][0]
    return {name: zone for zone, of in held.items() for name in of.get("interfaces", [])}


# --- the snapshot -----------------------------------------------------------------------------------


def name_servers() -> dict[str, Json]:
    """The name servers and domains that NetworkManager has from each interface."""
    path = f"{NM_PATH}/DnsManager"
    words = ("busctl", "--json=short", "get-property", NM, path, f"{NM}.DnsManager", "Configuration")
    found: dict[str, Json] = {}
    for row in run_json(*words)["data"]:
        held = {key: row[key]["data"] for key in ("nameservers", "domains") if row.get(key, {}).get("data")}
        if held and "interface" in row:
            found[row["interface"]["data"]] = held
    return found


def global_dns() -> Json:
    """NetworkManager's global name servers, which go before those of every interface: as busctl tells them. nmstate
    (2.2.62) makes name servers global where no interface can have them; NetworkManager writes that to INTERN at once,
    and 1.42 does not take it back with a checkpoint."""
    try:
        text = Path(INTERN).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    if not re.search(r"^\[[^\]\n]*global-dns", text, re.MULTILINE):  # a person's, in NetworkManager.conf: not settable
        return {}
    held: Json = run_json("busctl", "--json=short", "get-property", NM, NM_PATH, NM, GLOBAL_DNS)["data"]
    return held


def snapshot(names: list[str], macs: list[str], uuids: list[str], files: list[str], lost: tuple[str, ...] = ()) -> Json:
    """What the machine is before anything is touched, as far as the transaction may touch it.

    `names`: every interface name that is there before or after; `macs`: the permanent MACs of its NICs;
    `uuids`: profiles that may be changed; `files`: further files that may be written; `lost`: the taps and macvtaps
    of guests that may be cut for good.
    """
    seen = observe(sorted(names), sorted(m.lower() for m in macs), sorted(uuids))
    # by NetworkManager's own word too: a keyfile need not say which profile it holds
    held = {p["file"] for p in seen["profiles"] if p["file"].startswith(PROFILE_DIRS)}
    paths = sorted({*files, *held, *profile_files(uuids)})
    return {
        "names": sorted(names),
        "macs": sorted(m.lower() for m in macs),
        "uuids": sorted(uuids),
        "files": [record_file(path) for path in paths],
        "guests": {
            name: port
            for name, port in guest_ports().items()
            if name in lost or (name not in names and port["of"] in names)
        },
        "intern": record_file(INTERN),
        "above": links_above(names),
        **seen,
    }


def links_above(names: list[str]) -> Json:
    """What stands on these links, others' VLANs and guests' macvtaps among it, with its MTU: the kernel lowers that
    with the MTU of what is below (vlan_device_event, macvlan_device_event), and never raises it again."""
    rows = shown_links()
    found: Json = {}
    while new := {
        row["ifname"]: {"index": row["ifindex"], "mtu": row["mtu"]}
        for row in rows
        if row.get("link") in {*names, *found} and row["ifname"] not in {*names, *found}
    }:
        found.update(new)
    return found


def give_mtus_back(before: Json) -> list[str]:
    """Give what stands on our links the MTU that it had; says of which. One that is another by now, or that has a
    greater one, is left alone."""
    if not before.get("above"):
        return []
    rows = {row["ifname"]: row for row in shown_links()}
    given = []
    for name, was in before["above"].items():
        row = rows.get(name, {})
        if row.get("ifindex") == was["index"] and row["mtu"] < was["mtu"]:
            with contextlib.suppress(Failed):  # what is below has a lower one for good
                run("ip", "link", "set", "dev", name, "mtu", str(was["mtu"]))
                given.append(name)
    return given


def observe(names: list[str], macs: list[str], uuids: list[str]) -> Json:
    """The live half of a snapshot, and what is compared with it after an undo."""
    here = {n: link for n, link in links().items() if n in names or link["mac"] in macs}
    bound = zones() if firewalld_runs() else None
    return {
        "links": here,
        "addresses": {n: a for n, a in addresses().items() if n in here},
        "routes": [r for r in ranked(routes()) if r["dev"] in names],
        "zones": {n: bound.get(n) for n in names} if bound is not None else None,
        "profiles": [p for p in profiles() if p["uuid"] in uuids or p["device"] in here],
        "dns": {n: held for n, held in name_servers().items() if n in here},
        "global dns": global_dns(),
    }


def differences(before: Json) -> list[str]:
    """How the machine differs from the snapshot, one line a difference; empty: it is as it was."""
    found: list[str] = []
    try:
        found += file_differences(before)
        after = observe(before["names"], before["macs"], before["uuids"])
        found += guest_differences(before)
        if before.get("on disk"):
            after["profiles"] = [p for p in after["profiles"] if not p["file"].startswith("/run/")]
            found = [line for line in found if not line.startswith("file /run/")]
    except ERRORS as error:
        return [*found, f"the machine cannot be read: {str(error) or repr(error)}"]
    for part in ("links", "addresses", "routes", "zones", "profiles", "dns", "global dns"):
        was, now = before.get(part), after[part]
        if was == now or part not in before:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            for key in sorted({*was, *now}):
                if was.get(key) != now.get(key):
                    found.append(f"{part} {key}: was {_short(was.get(key))}, is {_short(now.get(key))}")
        elif isinstance(was, list) and isinstance(now, list):
            found += [f"{part}: gone {_short(x)}" for x in was if x not in now]
            found += [f"{part}: new {_short(x)}" for x in now if x not in was]
        else:
            found.append(f"{part}: was {_short(was)}, is {_short(now)}")
    return found


def guest_differences(before: Json) -> list[str]:
    """Guests' taps that are no bridge's port any more, and macvtaps that went with their base. What is gone altogether
    libvirt took away with its guest, and what has another controller somebody gave one: no change's doing."""
    if not before.get("guests"):
        return []
    rows = {row["ifname"]: row for row in shown_links()}
    found = []
    for name, was in before["guests"].items():
        now, of = rows.get(name, {}), rows.get(was["of"], {})
        same = now.get("ifindex") == was["index"]
        if was["kind"] == "tap" and same and not now.get("master"):
            found.append(f"guests {name}: was a port of {was['of']}, is of nothing")
        anew = now.get("link") == was["of"]  # its guest was started anew
        if was["kind"] == "macvtap" and not (same or anew) and of.get("ifindex", was["of_index"]) != was["of_index"]:
            found.append(f"guests {name}: went with {was['of']}, which was made anew: start its guest anew")
    return found


def file_differences(before: Json) -> list[str]:
    """How the files differ from the snapshot's, one line a difference."""
    found = []
    for record in before["files"]:
        try:
            now = record_file(record["path"])
        except OSError as error:
            found.append(f"file {record['path']}: cannot be read: {error}")
            continue
        if now != record:
            found.append(f"file {record['path']}: {_file_difference(record, now)}")
    known = {r["path"] for r in before["files"]}
    return found + [f"file {p}: was not there" for p in profile_files(before["uuids"]) if p not in known]


def _file_difference(was: Json, now: Json) -> str:
    if now.get("absent"):
        return "is gone"
    if was.get("absent"):
        return "was not there"
    return "differs in " + ", ".join(k for k in ("data", "mode", "owner", "label", "link") if was.get(k) != now.get(k))


def _short(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if value is not None else "nothing"


def mends(before: Json, state_dir: Path) -> list[str]:
    """Commands that would make the machine as the snapshot has it, for a person, in the order in which they serve: what
    an undo has tried itself, and what it cannot know whether it may."""
    try:
        return _mends(before, state_dir)
    except ERRORS:
        return ["systemctl restart NetworkManager", f"/usr/bin/python3 -I {state_dir}/rescue.py"]


def _mends(before: Json, state_dir: Path) -> list[str]:
    now = observe(before["names"], before["macs"], before["uuids"])
    files = file_differences(before)
    found = [f"/usr/bin/python3 -I {state_dir}/rescue.py"] if files else []  # it gives them back, and reloads them
    names = {link["mac"]: name for name, link in now["links"].items() if link["mac"]}
    for name, was in before["links"].items():
        found += _link_mends(name, was, names.get(was["mac"], name), now["links"])
    for profile in before["profiles"]:
        device = profile["device"]
        if device and _given(before, device) != _given(now, device):
            place = f" ifname {device}" if not before["links"].get(device, {}).get("kind") else ""
            found.append(f"nmcli connection up uuid {profile['uuid']}{place}")
    for name, zone in (before.get("zones") or {}).items():
        bound = (now["zones"] or {}).get(name)
        if zone and bound != zone:
            found.append(f"firewall-cmd --zone={zone} --change-interface={name}")
        elif bound and not zone:
            found.append(f"firewall-cmd --zone={bound} --remove-interface={name}")
    if before.get("global dns", now["global dns"]) != now["global dns"]:
        found.append(shlex.join(set_global_dns(before["global dns"])))
    here = guest_ports()
    for name, port in before.get("guests", {}).items():
        if port["kind"] == "tap" and name not in here and Path(f"/sys/class/net/{name}").exists():
            found.append(f"ip link set dev {name} master {port['of']}")
    return found


def _link_mends(name: str, was: Json, called: str, links_now: Json) -> Iterator[str]:
    """Of one link: `called` is its name now."""
    now = links_now.get(called)
    if now is None:
        return  # a virtual one comes with its profile
    if called != name:
        if name in now["altnames"]:
            yield f"ip link property del dev {called} altname {name}"
        yield f"ip link set dev {called} name {name}"
    for altname in sorted({*was["altnames"], *now["altnames"]} - {name}):
        if (altname in was["altnames"]) != (altname in now["altnames"]):
            yield f"ip link property {'add' if altname in was['altnames'] else 'del'} dev {name} altname {altname}"
    if was["address"] != now["address"]:
        yield f"ip link set dev {name} address {was['address']}"
    if was["mtu"] != now["mtu"]:
        yield f"ip link set dev {name} mtu {was['mtu']}"
    if was["promiscuous"] != now["promiscuous"]:
        yield f"ip link set dev {name} promisc {'on' if was['promiscuous'] else 'off'}"
    if was["up"] and not now["up"]:
        yield f"ip link set dev {name} up"


# --- the journal ------------------------------------------------------------------------------------


class Journal:
    """Lines of JSON, each on disk before the effect that it announces."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"

    def append(self, event: str, **fields: Any) -> None:
        """Write one event with its time, by the date (seconds since the epoch) and by `uptime`, fsynced."""
        stamps = {"at": round(time.time(), 3), "up": uptime()}
        line = json.dumps({**stamps, "event": event, **fields}, sort_keys=False)
        torn = b""
        with contextlib.suppress(OSError), self.path.open("rb") as before:
            before.seek(-1, os.SEEK_END)
            torn = before.read(1)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn not in (b"", b"\n") else "") + line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def try_append(self, event: str, **fields: Any) -> None:
        """The same for the undo, which a full disk must not stop: what it does it may do twice."""
        with contextlib.suppress(OSError):
            self.append(event, **fields)

    def events(self) -> list[Json]:
        """Every whole line; the last may be torn by a power cut, and announces nothing then."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and "event" in event:  # half a line may be JSON too
                        found.append(event)
        return found

    def begun(self) -> list[int]:
        """The numbers of the steps that were announced, in order."""
        return [e["step"] for e in self.events() if e["event"] == "do"]


# --- undo -------------------------------------------------------------------------------------------


#: What uptime() rounds to, in seconds.
CLOCK_STEP = 0.01


def checkpoints_in(log: Path) -> list[str]:
    """The checkpoints that nmstate says it made, in its log (INFO, on stderr, nmstate 2.2)."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    mark = "Created checkpoint "
    return [line.rpartition(mark)[2].strip() for line in text.splitlines() if mark in line]


def checkpoint_note(log: Path) -> Path:
    """Where an apply that has ended notes which checkpoint it left (`path`) and when that was made (`created`)."""
    return log.with_name(log.name + ".checkpoint")


def undo_checkpoint(folder: Path, spec: Json) -> str:
    """Roll back the checkpoint that our apply made, if NetworkManager still has it.

    Its path is in the log of the program that made it, written at once. The library writes none while it works, and
    a full disk takes none: then it is what came since our apply began. Left alone it would be rolled back by
    NetworkManager after everything was given back. A NetworkManager that was started anew has lost it and begins its
    numbers anew: one of the same path that was made at another time is another tool's.
    """
    told = "no checkpoint of ours is left"
    there = [] if rebooted(folder) else checkpoints()  # none outlives a NetworkManager
    ours = checkpoints_in(folder / spec["log"]) or [path for path in there if _came_with_us(path, folder)]
    note = read_json(checkpoint_note(folder / spec["log"]))
    for path in ours:
        if path in there and not (note and _is_anothers(path, note)):
            with contextlib.suppress(*ERRORS):  # a full disk: the machine comes first
                _keep_others(folder)
            words = ("busctl", "--timeout=60", "call", NM, NM_PATH, NM)  # 25 s by its default
            run(*words, "CheckpointRollback", "o", path, timeout=65)
            told = f"rolled back {path}"
            break
    given = _give_others_back(folder)
    return "; ".join([told, *(f"{path}, which is another's, given back" for path in given)])


def _keep_others(folder: Path) -> None:
    """Write down the keyfiles on disk that are not the transaction's: NetworkManager's rollback deletes every profile
    that came since the checkpoint (nmstate asks for that: DELETE_NEW_CONNECTIONS), whoever made it meanwhile."""
    if (folder / OTHERS).exists():  # an undo before this one was cut in between
        return
    steps = read_json(folder / "transaction.json").get("steps", [])
    before = read_json(folder / "snapshot.json")
    ours = [uuid for step in steps for spec in step.get("undo", []) for uuid in spec.get("profiles", [])]
    known = {record["path"] for record in before.get("files", [])}
    known.update(profile_files([*before.get("uuids", []), *ours]))
    records = []
    for path in keyfiles(PROFILE_DIRS[0]):
        with contextlib.suppress(OSError):  # one that cannot be read keeps no other from being kept
            if path not in known:
                records.append(record_file(path))
    if records:
        write_file(str(folder / OTHERS), json.dumps(records).encode(), 0o600)


def _give_others_back(folder: Path) -> list[str]:
    """Give back what of them the rollback took, or altered; raises Failed with all that cannot be."""
    failed: list[str] = []
    given: list[str] = []
    place = folder / OTHERS
    if not place.exists():
        return []
    for record in json.loads(place.read_bytes()):
        with _noted(failed, record["path"]):
            if restore_file(record):
                given.append(record["path"])
    if given and networkmanager_runs():
        with _noted(failed, "keyfiles"):
            run("nmcli", "connection", "reload")
    if failed:
        raise Failed("; ".join(failed))
    remove_file(str(place))
    return given


def _is_anothers(checkpoint: str, note: Json) -> bool:
    """Whether it is not the one that was noted. Where NetworkManager does not say when it was made it is taken for it:
    left alone it would undo what was given back."""
    if checkpoint != note["path"]:
        return True
    with contextlib.suppress(Failed, ValueError, IndexError):
        said = run("busctl", "get-property", NM, checkpoint, f"{NM}.Checkpoint", "Created")
        return int(said.split()[1]) != int(note["created"])
    return False


def _came_with_us(checkpoint: str, folder: Path) -> bool:
    """Whether it was made after the first of our applies was announced (both times are of the same clock), and lasts
    for as long as that asks for or, since nmstate renews it, longer: another tool's has its own time."""
    steps = read_json(folder / "transaction.json").get("steps", [])
    announced = [e for e in Journal(folder).events() if e["event"] == "do" and e.get("op") in ("apply", "clear")]
    lasting = [steps[e["step"]]["timeout"] for e in announced if e["step"] < len(steps)]
    with contextlib.suppress(Failed, ValueError, IndexError):  # it has just ended
        words = ("busctl", "get-property", NM, checkpoint, f"{NM}.Checkpoint", "Created", "RollbackTimeout")
        made, lasts = (int(line.split()[1]) for line in run(*words).splitlines())
        return bool(lasting) and made / 1000 >= announced[0]["up"] - CLOCK_STEP and lasts >= min(lasting)
    return False


def undo_profiles(folder: Path, spec: Json) -> str:
    """Delete profiles that we made (UUID -> interface), and the virtual links that they brought. All at once: a host
    of hundreds of VLANs must be back as soon as one of two."""
    made: dict[str, str] = spec["profiles"]
    held = read_json(folder / "snapshot.json")
    with contextlib.suppress(Failed):  # without NetworkManager the links must go all the same
        here = {p["uuid"] for p in profiles()} - {p["uuid"] for p in held.get("profiles", [])}
        there = [uuid for uuid in reversed(list(made)) if uuid in here]
        if there:
            words = [word for uuid in there for word in ("uuid", uuid)]
            run("nmcli", "-w", f"{15 + len(there)}", "connection", "delete", *words, timeout=30 + len(there))
    before = held.get("links", {})
    brought = [name for name in made.values() if not before.get(name, {}).get("kind")]

    def left() -> list[str]:
        now = links()
        return [name for name in brought if now.get(name, {}).get("kind")]

    if not wait(lambda: not left(), 5):
        for name in reversed(left()):
            with contextlib.suppress(Failed):  # it may go with the one before
                run("ip", "link", "delete", "dev", name)
        if left():
            raise Failed(f"still there: {', '.join(left())}")
    return f"{len(made)} deleted"


def undo_links(folder: Path, spec: Json) -> str:
    """Take virtual links away that came by profiles which were there before, and were not active: the profiles stay."""
    before, gone = read_json(folder / "snapshot.json").get("links", {}), []
    for name in spec["names"]:
        if before.get(name, {}).get("kind") or not links().get(name, {}).get("kind"):
            continue
        with contextlib.suppress(Failed):  # without NetworkManager the link must go all the same
            for uuid in [p["uuid"] for p in profiles() if p["device"] == name]:
                run("nmcli", "-w", "20", "connection", "down", "uuid", uuid)
        if links().get(name, {}).get("kind"):
            run("ip", "link", "delete", "dev", name)
        gone.append(name)
    return f"{', '.join(gone) or 'nothing'} taken away"


def undo_profile(folder: Path, spec: Json) -> str:
    """The same for one."""
    return undo_profiles(folder, {"profiles": {spec["uuid"]: spec["interface"]}})


def undo_rename(folder: Path, spec: Json) -> str:
    """Give the NIC its old name back, and its old altnames. A temporary one only on the way: not to a NIC that has
    the name from before (`unless`) already."""
    if spec.get("unless") and nic_of(spec["mac"]) == spec["unless"]:
        return "already"
    how = rename(spec["mac"], spec["to"])
    was = read_json(folder / "snapshot.json").get("links", {}).get(spec["to"], {})
    if was.get("up") and not links()[spec["to"]]["up"]:  # cut between its down and its up
        run("ip", "link", "set", "dev", spec["to"], "up")
    with contextlib.suppress(Failed):  # udev's own renaming of things must be over before altnames are read
        run("udevadm", "settle", "--timeout=5")
    altnames = spec["altnames"]
    for name in links()[spec["to"]]["altnames"]:
        if name not in altnames:
            run("ip", "link", "property", "del", "dev", spec["to"], "altname", name)
    for name in altnames:
        if name not in links()[spec["to"]]["altnames"]:
            run("ip", "link", "property", "add", "dev", spec["to"], "altname", name)
    return how


def undo_files(folder: Path, spec: Json) -> str:
    """Give recorded files back, set keyfiles of `uuids` aside that were not there, have them read again. What fails,
    on one file system of several, keeps nothing else from it; raises Failed with all of it at the end."""
    before = read_json(folder / "snapshot.json")
    records = {r["path"]: r for r in before["files"]}
    uuids = spec.get("uuids", [])
    changed: list[str] = []
    aside: list[str] = []
    failed: list[str] = []
    for path in profile_files(uuids):
        if path not in records:
            with _noted(failed, path):
                place = set_aside(path, folder / ASIDE)
                aside.append(f"{path} was not there before, and is kept as {place.removeprefix(f'{folder}/')}")
    held = [path for path in records if uuids and path.startswith(PROFILE_DIRS)]  # one that is gone names no uuid
    for path in dict.fromkeys([*spec.get("paths", []), *held]):
        with _noted(failed, path):
            if give_file_back(records[path]):
                changed.append(path)
    _have_read(changed, bool(uuids), failed)
    told = "; ".join([f"{len(changed)} given back", *aside])
    if failed:
        raise Failed("; ".join([*failed, told]))
    return told


@contextlib.contextmanager
def _noted(failed: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        failed.append(f"{what}: {str(error) or repr(error)}")


def _have_read(changed: list[str], keyfiles: bool, failed: list[str]) -> None:
    """Have files read again that were given back: keyfiles in any case, as a try before this one may have given them
    back and got no further."""
    if keyfiles and networkmanager_runs():  # else it reads them when it starts
        with _noted(failed, "keyfiles"):
            run("nmcli", "connection", "reload")
    if any("/systemd/network/" in path for path in changed):
        with _noted(failed, ".link files"):
            run("udevadm", "control", "--reload")
    if any("/NetworkManager/conf.d/" in path for path in changed) and networkmanager_runs():
        with _noted(failed, "NetworkManager's settings"):
            reload_networkmanager()


def undo_unbind_name(folder: Path, spec: Json) -> str:
    """Take the interface's name out of a profile, in memory: the NIC is going to be renamed under it."""
    if spec["uuid"] not in {p["uuid"] for p in profiles()}:
        return "the profile is gone"
    run("nmcli", "connection", "modify", "--temporary", "uuid", spec["uuid"], "connection.interface-name", "")
    return "unbound"


def undo_zone(folder: Path, spec: Json) -> str:
    """Bind an interface to the zone it had, or to none."""
    if not firewalld_runs():
        return "firewalld does not run"
    now, was = zone_of(spec["interface"]), spec["zone"]
    if was and now != was:
        firewalld("changeZoneOfInterface", was, spec["interface"])
    elif now and not was:
        firewalld("removeInterface", now, spec["interface"])
    return was or "none"


def undo_zones(folder: Path, spec: Json) -> str:
    """Bind many interfaces to the zones that they had (name -> zone or nothing), asking firewalld once: a call for each
    of sixty takes half a minute. What is not there, and was in the default zone, NetworkManager binds as it comes."""
    if not firewalld_runs():
        return "firewalld does not run"
    here, default = links(), firewalld("getDefaultZone", interface=FIREWALLD)
    wanted = {name: zone for name, zone in spec["zones"].items() if not zone or zone != default or name in here}
    return ", ".join(bind_zones(wanted)) or "all as before"


def bind_zones(wanted: dict[str, Optional[str]]) -> list[str]:
    """Bind names to firewalld's zones, or to none, where they are not; what was done."""
    now, done = zones(), []
    for name, zone in wanted.items():
        if zone and now.get(name) != zone:
            firewalld("changeZoneOfInterface", zone, name)
            done.append(f"{name} to {zone}")
        elif not zone and name in now:
            firewalld("removeInterface", now[name], name)
            done.append(f"{name} to none")
    return done


def undo_bond_option(folder: Path, spec: Json) -> str:
    """Give a bond an option back."""
    return set_bond_option(spec["interface"], spec["option"], spec["value"])


def undo_hostname(folder: Path, spec: Json) -> str:
    """Give the machine its old static hostname, and see that the kernel has it; the file itself is given back after
    it. One that had none has a name from elsewhere, as from DHCP."""
    running = str(spec["name"] or spec.get("running") or "localhost")
    with contextlib.suppress(Failed):  # early at boot nobody answers it
        run("hostnamectl", "set-hostname", "--static", "--transient", spec["name"])
        if not spec["name"]:
            run("hostnamectl", "set-hostname", "--transient", running)
    kernels = Path(HOSTNAME)
    if kernels.read_text(encoding="utf-8").strip() != running:
        kernels.write_text(running, encoding="utf-8")
    return running


def undo_global_dns(folder: Path, spec: Json) -> str:
    """Give NetworkManager its global name servers back, or take those away that came: while it runs by its property,
    else in its file, before it starts. Raises Failed when it does not take them."""
    return give_global_dns_back(read_json(folder / "snapshot.json"))


def give_global_dns_back(before: Json) -> str:
    """The same, from the snapshot."""
    if "global dns" not in before:  # of an earlier kvmnet
        return "not known"
    if not networkmanager_runs():
        return "given back" if restore_file(before["intern"]) else "as before"
    if global_dns() == before["global dns"]:
        return "as before"
    run(*set_global_dns(before["global dns"]))
    if global_dns() != before["global dns"]:
        raise Failed(f"the global name servers are {global_dns()}, not {before['global dns']}")
    return "given back"


def set_global_dns(wanted: Json) -> list[str]:
    """The command that does it."""
    place = [NM, NM_PATH, NM, GLOBAL_DNS]
    return ["busctl", "set-property", *place, "a{sv}", *_busctl_words("a{sv}", wanted)]


def _busctl_words(kind: str, value: Any) -> list[str]:
    """What busctl tells of a value, as it wants it to be said."""
    if kind == "s":
        return [str(value)]
    if kind == "as":
        return [str(len(value)), *value]
    if kind != "a{sv}":
        raise Failed(f"a value of the type {kind}")
    entries = [[key, held["type"], *_busctl_words(held["type"], held["data"])] for key, held in value.items()]
    return [str(len(entries)), *(word for entry in entries for word in entry)]


def give_ports_back(before: Json) -> list[str]:
    """Make guests' taps ports of the bridges that they were ports of, with the bridge's settings for them; the names
    of those that were none. A tap that has another controller, or is another one of its name, is left alone."""
    if not before.get("guests"):
        return []
    rows = {row["ifname"]: row for row in shown_links()}
    done = []
    for name, was in before["guests"].items():
        now = rows.get(name, {})
        if was["kind"] != "tap" or now.get("ifindex") != was["index"] or now.get("master") or was["of"] not in rows:
            continue
        with contextlib.suppress(Failed):  # it stopped in this moment; the others are to be put back all the same
            run("ip", "link", "set", "dev", name, "master", was["of"])
            done.append(name)
            _give_settings(name, was["settings"])
    return done


def _give_settings(port: str, wanted: Json) -> None:
    fresh = _settings(run_json("ip", "-d", "-j", "link", "show", "dev", port)[0])
    for key, value in wanted.items():
        if fresh.get(key, value) != value:
            word = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
            run("ip", "link", "set", "dev", port, "type", "bridge_slave", key, word)


def undo_ports(folder: Path, spec: Json) -> str:
    """Give bridges the guests' taps back that lost them in the trial."""
    return ", ".join(give_ports_back(read_json(folder / "snapshot.json"))) or "none was lost"


UNDO: dict[str, Callable[[Path, Json], str]] = {
    "ports": undo_ports,
    "checkpoint": undo_checkpoint,
    "profile": undo_profile,
    "profiles": undo_profiles,
    "links": undo_links,
    "rename": undo_rename,
    "files": undo_files,
    "unbind name": undo_unbind_name,
    "zone": undo_zone,
    "zones": undo_zones,
    "bond option": undo_bond_option,
    "hostname": undo_hostname,
    "global dns": undo_global_dns,
}
#: What is left to undo before NetworkManager starts: what was in memory has gone with the power.
AT_BOOT = ("files", "rename", "hostname", "global dns")


def activate_again(before: Json) -> None:
    """Activate what was active and is not (NetworkManager's own rollback may leave a NIC unconfigured), or
    whose addresses or routes are not what they were (a profile that is read again is not applied again).

    The way to the gateway first: of many profiles the last comes up minutes later.
    """
    for profile in _by_need(before):
        device = profile["device"]
        with contextlib.suppress(*ERRORS):  # the others are to be tried all the same
            if device and not _active_as_before(before, profile["uuid"], device):
                # a virtual link that is gone comes with its profile, and cannot be named before; a NIC that is gone
                # does not, and its profile may be bound to none: NetworkManager would take another NIC for it
                place = ["ifname", device] if device in links() else []
                if not place and device in before["links"] and not before["links"][device]["kind"]:
                    continue
                run("nmcli", "-w", "20", "connection", "up", "uuid", profile["uuid"], *place)


def _by_need(before: Json) -> list[Json]:
    """The profiles in the order in which they are to come up: what the default routes need, what other addresses need,
    the rest; of each, bonds and bridges before their ports: when a bridge goes, a bond that was its port goes with
    its ports."""
    was = before["links"]

    def with_lower(names: set[str]) -> set[str]:
        ports = {name for name, link in was.items() if link["master"] in names}
        lower = {was[name].get("over") for name in names if name in was} - {None}
        return names if ports | lower <= names else with_lower(names | ports | lower)

    gateways = [route for route in before["routes"] if route.get("to") == "default"]
    out = with_lower({route["dev"] for route in gateways if route["dev"]})  # of several next hops none is told
    addressed = out | with_lower({name for name, held in before["addresses"].items() if held})

    def need(profile: Json) -> tuple[bool, bool, bool]:
        device = profile["device"]
        is_port = was.get(device, {}).get("master") is not None
        return device not in out, device not in addressed, is_port

    return sorted(before["profiles"], key=need)


def _active_as_before(before: Json, uuid: str, device: str) -> bool:
    now = observe(before["names"], before["macs"], before["uuids"])
    active = any(p["uuid"] == uuid and p["device"] == device for p in now["profiles"])
    return active and _given(before, device) == _given(now, device)


def _given(seen: Json, device: str) -> Any:
    """What a device has from its profile. Of whom it is a port too: NetworkManager's rollback of a bond (1.52) may
    leave its ports waiting for ever for a bond that is up."""
    link = seen["links"].get(device, {})
    return (
        [link.get(key) for key in ("master", "over", "options")],
        seen["addresses"].get(device),
        [route for route in seen["routes"] if route["dev"] == device],
        seen.get("dns", {}).get(device),
    )


def undo(state_dir: Path, why: str, booting: bool = False) -> int:
    """Undo the open transaction; returns the exit code (0, 3 or 4). The caller holds the lock.

    While the machine boots, before NetworkManager, files and names are given back and nothing is closed:
    the same is done once more, and verified, when NetworkManager runs.
    """
    try:
        return _undo(state_dir, why, booting)
    except Exception as error:  # a bug of ours: told where a person looks
        Journal(state_dir / "open").try_append("undo-broke", error=str(error) or repr(error))
        raise


def _undo(state_dir: Path, why: str, booting: bool) -> int:
    folder = state_dir / "open"
    if not folder.is_dir():
        return 0
    journal = Journal(folder)
    transaction, before = read_json(folder / "transaction.json"), read_json(folder / "snapshot.json")
    if not (transaction and before) and not journal.begun():
        close(state_dir, "nothing was begun", verified=True)
        return 3
    if any(e["event"] == "kept" for e in journal.events()):  # cut between the last step and the closing
        close(state_dir, "kept")
        return 0
    with contextlib.suppress(OSError):
        (folder / BALLAST).unlink(missing_ok=True)
    journal.try_append("undo", why=why, boot=boot_id())
    if rebooted(folder) and (stuck := stuck_files(before)):
        # what is on disk then belongs together, and half of it given back might lead nowhere
        journal.try_append("not-verified", differences=stuck)
        return 4
    if booting:
        _wait_for_nics(before.get("macs", []))
    elif wake_networkmanager():
        journal.try_append("woken")
    came = _guests_since(before)
    _undo_steps(folder, transaction, journal, booting)
    if not before:  # a damaged disk: what needs no snapshot is undone, a person must see to the rest
        journal.try_append("not-verified", differences=["the snapshot cannot be read, so nothing can be compared"])
        return 4
    if booting:
        journal.try_append("restored", differences=file_differences(before))
        return 3
    with contextlib.suppress(*ERRORS):  # the call for the rollback may have failed, and done its work all the same
        _give_others_back(folder)
    left = _settled(state_dir, transaction, before, came)
    if _is_read_only(folder):  # no try can be counted, and none can be closed: it would be undone again and again
        disarm(str(transaction.get("id")))
        return 4
    if left and not (rebooted(folder) and all(_of_the_running(line) for line in left)):
        return 4
    close(state_dir, "rolled back", verified=not left, differences=left)
    return 4 if left else 3


def _settled(state_dir: Path, transaction: Json, before: Json, came: dict[str, Json]) -> list[str]:
    """Wait until the machine is as the snapshot has it, and tell whether it is; what still differs. `came` are the
    guests' devices that the snapshot does not know."""
    journal = Journal(state_dir / "open")
    if rebooted(state_dir / "open"):
        with contextlib.suppress(*ERRORS):  # then all of it is compared
            undone = [spec for number in journal.begun() for spec in transaction["steps"][number]["undo"]]
            before = on_disk(before, {spec["mac"] for spec in undone if spec["op"] == "rename"})
    given_up = macvtaps_of(before, transaction.get("lost", []))
    guests = {name: port for name, port in before.get("guests", {}).items() if name not in given_up}
    left = settle({**before, "guests": guests}, journal, PATIENCE)
    with contextlib.suppress(*ERRORS):
        if raised := give_mtus_back(before):
            journal.try_append("mtus", given_back=raised)
    with contextlib.suppress(*ERRORS):
        here = guest_ports()
        gone = [n for n, port in given_up.items() if here.get(n, {}).get("index") != port["index"]]
        if gone := [*gone, *_cut_off(came)]:
            journal.try_append("lost", devices=gone)
    if left:
        journal.try_append("not-verified", differences=left, mends=mends(before, state_dir))
    else:
        journal.try_append("verified", differences=[])
    return left


def _guests_since(before: Json) -> dict[str, Json]:
    """Guests' devices that the snapshot does not know: started on a bridge or VLAN of the change, which goes now."""
    with contextlib.suppress(*ERRORS):
        return {name: port for name, port in guest_ports().items() if name not in before.get("guests", {})}
    return {}


def _cut_off(ports: dict[str, Json]) -> list[str]:
    """Those of them that have lost their network: a tap stays without its bridge, a macvtap goes with its base."""
    rows = {row["ifname"]: row for row in shown_links()}
    lost = []
    for name, port in ports.items():
        row = rows.get(name, {})
        there = row.get("ifindex") == port["index"]
        if (port["kind"] == "tap" and there and not row.get("master")) or (port["kind"] == "macvtap" and not there):
            lost.append(name)
    return lost


def give_names_back(before: Json) -> list[str]:
    """Give NICs their names that no step has renamed: a removal takes the `.link` files away first, and when the power
    goes then, the boot names the NICs without them. One that has another's name gets one in between; one whose name is
    a stranger's keeps none of the others from theirs. Says which have theirs again."""
    names = {link["mac"]: name for name, link in before.get("links", {}).items() if link.get("mac")}
    wrong = {mac: name for mac, name in names.items() if nic_of(mac) not in (None, name)}
    given = []
    for mac in [mac for mac in wrong if nic_of(mac) in wrong.values()]:
        with contextlib.suppress(Failed):
            rename(mac, "kvmnet" + mac.replace(":", "")[-6:])
    for mac, name in wrong.items():
        with contextlib.suppress(Failed):
            rename(mac, name)
            given.append(name)
    return sorted(given)


def give_macs_back(before: Json) -> None:
    """Give bonds and bridges the MAC that they had: NetworkManager's rollback leaves a bond on the random one that
    it was made with (1.42 and 1.52), and its neighbours have learned that one: the kernel tells them of the other. Some
    NICs change theirs only while they are down, and a bond with such ports refuses (EBUSY): then it is done while it
    has none."""
    for name, link in links().items():
        was = before["links"].get(name, {})
        if (
            link["kind"] not in ("bond", "bridge")
            or link["kind"] != was.get("kind")
            or link["address"] == was["address"]
        ):
            continue
        change = ("ip", "link", "set", "dev", name, "address", was["address"])
        try:
            with _announced(name):
                run(*change)
        except Failed:
            uuids = {p["device"]: p["uuid"] for p in before["profiles"] if p["device"]}
            ports = [n for n, port in before["links"].items() if port["master"] == name and n in uuids]
            for port in ports:
                with contextlib.suppress(Failed):  # it may be down already
                    run("nmcli", "-w", "20", "connection", "down", "uuid", uuids[port])
            try:
                with _announced(name):
                    run(*change)
            finally:
                for port in ports:
                    with contextlib.suppress(Failed):
                        run("nmcli", "-w", "20", "connection", "up", "uuid", uuids[port], "ifname", port)


@contextlib.contextmanager
def _announced(name: str) -> Iterator[None]:
    """A change of this link's MAC is told to the neighbours (ip-sysctl: arp_notify, ndisc_notify): some switches and
    routers believe what they have learned for hours."""
    words = [f"{SYSCTL}/ipv4/conf/{name}/arp_notify", f"{SYSCTL}/ipv6/conf/{name}/ndisc_notify"]
    was: dict[str, str] = {}
    for path in words:
        with contextlib.suppress(OSError):  # a kernel without IPv6
            was[path] = Path(path).read_text(encoding="ascii")
            Path(path).write_text("1", encoding="ascii")
    try:
        yield
    finally:
        for path, text in was.items():
            with contextlib.suppress(OSError):
                Path(path).write_text(text, encoding="ascii")


def give_settings_back(before: Json) -> None:
    """Give links the promiscuous mode and the MTU that they had: a NetworkManager that was started anew does not
    know that it changed them, and keeps what a profile does not state."""
    for name, link in links().items():
        was = before["links"].get(name, {})
        if link["kind"] != was.get("kind", link["kind"]):
            continue
        if was and link["promiscuous"] != was["promiscuous"]:
            run("ip", "link", "set", "dev", name, "promisc", "on" if was["promiscuous"] else "off")
        if was and link["mtu"] != was["mtu"]:
            run("ip", "link", "set", "dev", name, "mtu", str(was["mtu"]))


def give_zones_back(before: Json) -> None:
    """Bind names to firewalld's zones as they were: a NetworkManager that was stopped in between takes a bridge that it
    made out of its zone no more."""
    if before.get("zones") is not None and firewalld_runs():
        bind_zones(before["zones"])


def _undo_steps(folder: Path, transaction: Json, journal: Journal, booting: bool) -> None:
    """Undo what was begun, last first; one that fails does not stop the others."""
    steps = transaction.get("steps", [])
    for number in sorted({n for n in journal.begun() if n < len(steps)}, reverse=True):
        step = steps[number]
        for spec in step["undo"]:
            if booting and spec["op"] not in AT_BOOT:
                continue
            journal.try_append("undoing", step=number, title=step["title"], op=spec["op"])
            try:
                journal.try_append("undone", step=number, result=UNDO[spec["op"]](folder, spec))
            except ERRORS as error:
                journal.try_append("undo-failed", step=number, error=str(error) or repr(error))
    with contextlib.suppress(*ERRORS):  # what is left the comparison finds
        if named := give_names_back(read_json(folder / "snapshot.json")):
            journal.try_append("named", nics=named)


def _of_the_running(difference: str) -> bool:
    """Whether this is of what only a running machine had, an address set by hand: after a boot it cannot come back,
    and is told, no more. A file, a NIC under another name, a profile that is not active are more than that."""
    return not difference.startswith(("file ", "profiles", "the machine")) and not (
        difference.startswith("links") and difference.endswith("is nothing")
    )


def settle(before: Json, journal: Journal, patience: float) -> list[str]:
    """Wait until the machine is as the snapshot has it; what still differs when patience (seconds) ends."""
    start = time.monotonic()
    nudge = start + 3  # most comes back by itself
    told: list[str] = []
    left = differences(before)
    while left and time.monotonic() - start < patience:
        if time.monotonic() > nudge:
            with contextlib.suppress(*ERRORS):
                activate_again(before)
            nudge = time.monotonic() + 15  # what was not heard is said again
        if time.monotonic() > start + 3:
            for give_back in (give_macs_back, give_settings_back, give_zones_back, give_global_dns_back):
                with contextlib.suppress(*ERRORS):
                    give_back(before)
        with contextlib.suppress(*ERRORS):  # at once: a guest is without its network until then
            if ports := give_ports_back(before):
                journal.try_append("ports", given_back=ports)
        if left != told:
            told = left
            journal.try_append("settling", differences=left)
        time.sleep(0.3)
        left = differences(before)
    return left


def on_disk(before: Json, renamed: set[str]) -> Json:
    """The snapshot without what was in memory alone: after a boot it cannot be there. So are altnames: udev gives
    them at boot, by the `.link` files; those of NICs that were `renamed` (MACs) the undo has given back. What somebody
    had taken down (`nmcli connection down`) a boot brings up; profiles in memory are NetworkManager's own, or an undo's
    that gave them back."""
    here = links()
    active = {p["uuid"]: p["device"] for p in profiles()}
    kept = {
        name: link if link["mac"] in renamed else {**link, "altnames": here.get(name, link)["altnames"]}
        for name, link in before["links"].items()
    }
    return {
        **before,
        "on disk": True,
        "guests": {},  # they stopped with the machine
        "links": kept,
        "files": [r for r in before["files"] if not r["path"].startswith("/run/")],
        "profiles": [
            {**p, "device": p["device"] or active.get(p["uuid"])}
            for p in before["profiles"]
            if not p["file"].startswith("/run/")
        ],
    }


def macvtaps_of(before: Json, lost: list[str]) -> Json:
    """The macvtaps whose guests a person gave up: nothing can give a guest back the one that it had open. That it is
    gone is told, and is no reason to keep the transaction open."""
    return {n: port for n, port in before.get("guests", {}).items() if n in lost and port["kind"] == "macvtap"}


def rebooted(folder: Path) -> bool:
    """Whether the machine was started since this transaction was begun."""
    return read_json(folder / "transaction.json").get("boot") not in (None, boot_id())


def boot_id() -> str:
    """The kernel's name of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _wait_for_nics(macs: list[str], seconds: float = 30.0) -> None:
    """At boot: udev must be done with naming, and some NICs come late."""
    with contextlib.suppress(Failed):
        run("udevadm", "settle", f"--timeout={seconds:.0f}", timeout=seconds + 5)
    with contextlib.suppress(*ERRORS):
        wait(lambda: all(nic_of(mac) for mac in macs), seconds, 0.5)


def networkmanager_runs() -> bool:
    """Whether systemd has NetworkManager running."""
    with contextlib.suppress(Failed):
        return run("systemctl", "is-active", "NetworkManager").strip() == "active"
    return False


def wake_networkmanager() -> bool:
    """Start NetworkManager when it does not run, and anew when it does not answer: without it no profile can
    be given back. It leaves the links as they are when it goes. Says whether it was killed, with what else it kept up
    (a VPN)."""
    with contextlib.suppress(Failed):
        run("systemctl", "start", "NetworkManager", timeout=60)
    try:
        run("busctl", "--timeout=10", "get-property", NM, NM_PATH, NM, "Version", timeout=15)
    except Failed:
        with contextlib.suppress(Failed):
            run("systemctl", "kill", "--signal=KILL", "NetworkManager")
        with contextlib.suppress(Failed):
            run("systemctl", "restart", "NetworkManager", timeout=60)
        return True
    return False


# --- the watchdog -----------------------------------------------------------------------------------


def uptime() -> float:
    """Seconds since the machine started, asleep or not: no change of the date alters it, and every process's
    start is told in it (proc(5))."""
    return round(time.clock_gettime(time.CLOCK_BOOTTIME), 2)


def deadline(events: list[Json]) -> float:
    """Until when (see `uptime`) the step that was begun last may take."""
    return next((float(e["until"]) for e in reversed(events) if "until" in e), 0.0)


def watchdog_unit(identity: str) -> str:
    """The timer, and the service that it starts, without their suffixes."""
    return f"kvmnet-watchdog-{identity}"


def watch(state_dir: Path, identity: str) -> int:
    """What the timer starts, and again whenever it has ended: is the transaction `identity` still in good hands?

    It undoes it when nobody works on it (the worker and what systemd starts after it are gone), and when a step takes
    longer than it may: then the worker is killed first. It stays until the transaction is closed: a process every few
    seconds would take the processor from NetworkManager where many interfaces come up. Whoever works has the lock, so
    that a look is a few system calls.
    """
    folder = state_dir / "open"
    while True:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a shutdown: the worker undoes it then
        transaction = read_json(folder / "transaction.json")
        if transaction.get("id") != identity:
            disarm(identity)
            return 0
        events = Journal(folder).events()
        told = [e["event"] for e in events]
        if told.count("not-verified") >= TRIES:
            disarm(identity)
            return 4
        late = "undo" not in told and uptime() > deadline(events)
        if stands_still(events, folder) and lock_taken(state_dir):
            late = True
            _kill_holders(state_dir / "lock")
            wait(lambda: not lock_taken(state_dir), 5)  # else its unit may be taken for a living one
        if late or (rested(events) and not (lock_taken(state_dir) or unit_lives(str(transaction["unit"])))):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            code = _take_over(state_dir, transaction, late)
            if code is not None:
                return code
        time.sleep(LOOK)


def rested(events: list[Json]) -> bool:
    """Whether it is time for an undo. One that broke off, by a bug of ours or killed, may do so again; but what it met
    may have gone by the next time. So it is begun anew at growing intervals, and never given up."""
    begun = [e for e in events if e["event"] == "undo"]
    broke_off = len(begun) - sum(e["event"] in ("not-verified", "restored") for e in events)
    if broke_off < 1:
        return True
    since = uptime() - float(begun[-1].get("up", 0))
    return not 0 <= since < min(LOOK * 2 ** min(broke_off, 20), LONGEST_REST)  # less than none: the machine was started


def stands_still(events: list[Json], folder: Path) -> bool:
    """Whether an undo was begun, not ended, and has said nothing for longer than any of its acts may take: it was
    stopped, or frozen with its unit."""
    said = [float(e["up"]) for e in events if "up" in e]
    ended = ("verified", "not-verified", "restored", "undo-broke")
    if not said or not any(e["event"] == "undo" for e in events) or events[-1]["event"] in ended:
        return False
    if uptime() - said[-1] <= STANDSTILL:
        return False
    held = len(read_json(folder / "snapshot.json").get("profiles", []))
    steps = read_json(folder / "transaction.json").get("steps", [])
    made = [len(spec.get("profiles", [])) for step in steps for spec in step.get("undo", [])]
    return uptime() - said[-1] > STANDSTILL + 30 * held + sum(made)


def _kill_holders(lock: Path) -> None:
    """Kill whoever else holds the lock; the kernel tells by inode, and a process's open files which file it is."""
    inode = f":{lock.stat().st_ino}"
    for words in (line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()):
        if words[1] != "FLOCK" or not words[5].endswith(inode) or int(words[4]) in (0, os.getpid()):
            continue
        with contextlib.suppress(OSError):
            if any(fd.samefile(lock) for fd in Path(f"/proc/{words[4]}/fd").iterdir() if fd.exists()):
                os.kill(int(words[4]), signal.SIGKILL)


def lock_taken(state_dir: Path) -> bool:
    """Whether somebody works here: a few system calls, where asking systemd is a process."""
    try:
        with locked(state_dir, wait_for=False):
            return False
    except BlockingIOError:
        return True


def _take_over(state_dir: Path, transaction: Json, late: bool) -> Optional[int]:
    """Undo it; None when it is in other hands after all."""
    unit = str(transaction["unit"])
    if late:
        with contextlib.suppress(Failed):
            run("systemctl", "kill", "--kill-who=all", "--signal=KILL", unit)
    try:
        with locked(state_dir, wait_for=False):
            if read_json(state_dir / "open" / "transaction.json").get("id") != transaction["id"]:
                return None
            if not late and unit_lives(unit):
                return None  # it came between our look and our lock
            told = [e["event"] for e in Journal(state_dir / "open").events()]
            too_long = "the undo stood still" if "undo" in told else "a step took too long"
            why = too_long if late else "nobody worked on it any more"
            return undo(state_dir, f"the watchdog: {why}")
    except BlockingIOError:  # who was killed is not gone yet, or another undoes it: asked again soon
        return None


def unit_lives(unit: str) -> bool:
    """Whether systemd has processes of this unit, or is about to; True as well when it does not answer."""
    try:
        state = run("systemctl", "show", "--property=ActiveState", "--value", unit).strip()
    except Failed:
        return True
    return state in ("active", "activating", "deactivating", "reloading")


def disarm(identity: str) -> None:
    """End the watchdog of a transaction."""
    with contextlib.suppress(Failed):
        run("systemctl", "stop", watchdog_unit(identity) + ".timer")


# --- the end of a transaction -----------------------------------------------------------------------


def read_json(path: Path) -> Json:
    """The object in a file; empty when the file is absent or torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def close(state_dir: Path, outcome: str, **fields: Any) -> None:
    """Write the end into the journal and move the transaction into the history."""
    folder = state_dir / "open"
    for path in (folder / BALLAST, *folder.glob("*" + REBOUND)):  # they have served; a keyfile may have a password
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    Journal(folder).try_append("end", outcome=outcome, **fields)
    (state_dir / "history").mkdir(exist_ok=True)
    name = read_json(folder / "transaction.json").get("id") or f"{time.time():.0f}"
    folder.rename(state_dir / "history" / name)
    sync_dir(state_dir / "history")
    sync_dir(state_dir)
    disarm(name)
    with contextlib.suppress(OSError):
        prune(state_dir / "history")


def prune(history: Path, keep: int = HISTORY) -> None:
    """Forget the oldest ended transactions. Never the last kept one, which `rollback` needs, one that was kept and
    tells of the machine from before kvmnet (it took a NIC over, was the first to write a file, or gave all of it
    back), nor one whose undo set a file of /etc aside."""
    folders = sorted(history.iterdir())
    needed = set(folders[-keep:])
    seen: set[str] = set()
    last_kept = None
    for folder in folders:
        if (folder / ASIDE / "etc").exists():
            needed.add(folder)
        if not any("kept" in (e["event"], e.get("outcome")) for e in Journal(folder).events()):
            continue
        last_kept, transaction = folder, read_json(folder / "transaction.json")
        if transaction.get("removes"):  # what comes after it begins anew
            seen = set()
            needed.add(folder)
            continue
        records = read_json(folder / "snapshot.json").get("files", [])
        paths = {r["path"] for r in records if "/applied/" not in r["path"]}
        if paths - seen or transaction.get("adopts"):
            needed.add(folder)
        seen |= paths
    for folder in folders:
        if folder not in needed and folder != last_kept:
            shutil.rmtree(folder, ignore_errors=True)


def _lock_file(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # enough for flock(2)


@contextlib.contextmanager
def locked(state_dir: Path, wait_for: bool = True) -> Any:
    """Hold the lock of this machine's transactions; raises BlockingIOError when not told to wait."""
    handle = _lock_file(state_dir / "lock")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait_for else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def main() -> int:
    parser = argparse.ArgumentParser(description="Undo an open kvmnet transaction.")
    parser.add_argument("--state", default=STATE_DIR, help="where kvmnet keeps its state (default: %(default)s)")
    parser.add_argument("--status", action="store_true", help="say what is open, change nothing")
    parser.add_argument("--accept", action="store_true", help="close what was undone but not verified")
    parser.add_argument("--after-worker", action="store_true", help="for the unit: leave alone what was tried")
    parser.add_argument("--watchdog", metavar="ID", help="for the timer: undo it once nobody works on it")
    parser.add_argument("--boot", action="store_true", help="for the unit before NetworkManager: files and names")
    parser.add_argument("--booted", action="store_true", help="for the unit after it: not one of this boot")
    parser.add_argument("--why", default="run by hand", help="the reason that the journal shall give")
    options = parser.parse_args()
    state_dir = Path(options.state)
    _print_anything()
    if options.watchdog and not (state_dir / "open").is_dir():
        disarm(options.watchdog)  # it was closed, and the timer could not be stopped then
    if not (state_dir / "open").is_dir():
        print("kvmnet: no transaction is open")
        return 0
    if options.status:
        for event in Journal(state_dir / "open").events():
            print(json.dumps(event))
        return 0
    if os.geteuid() != 0:
        print("kvmnet: only root can undo a transaction", file=sys.stderr)
        return 1
    if options.watchdog:
        _let_nobody_interrupt()
        return watch(state_dir, options.watchdog)
    begun = read_json(state_dir / "open" / "transaction.json")
    if options.booted and begun.get("boot") == boot_id():
        return 0  # begun since the machine is up: in other hands
    return _when_it_is_ours(state_dir, begun, options)


def _when_it_is_ours(state_dir: Path, begun: Json, options: argparse.Namespace) -> int:
    """Undo, or accept, the transaction that `begun` is the beginning of, when nobody else works on it any more."""
    if lock_taken(state_dir):
        with contextlib.suppress(OSError):  # the terminal may be gone
            _say_who_works(state_dir, begun)
    with locked(state_dir):
        if read_json(state_dir / "open" / "transaction.json").get("id") != begun.get("id"):
            print("kvmnet: that transaction has ended meanwhile")
            return 0
        _let_nobody_interrupt()
        tried = any(e["event"] == "not-verified" for e in Journal(state_dir / "open").events())
        if options.accept:
            return accept(state_dir, tried)
        if options.after_worker:
            if tried:
                return 4
            options.why = "the process that did the work was killed"
        code = undo(state_dir, options.why, booting=options.boot)
    if options.boot:
        return 0  # what is left is told by the one that verifies
    with contextlib.suppress(OSError):  # the terminal may be gone
        _tell(state_dir, code)
    return code


def _let_nobody_interrupt() -> None:
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def _say_who_works(state_dir: Path, transaction: Json) -> None:
    """To a person who waits for the lock now, and may be in a hurry."""
    unit, left = transaction.get("unit"), deadline(Journal(state_dir / "open").events()) - uptime()
    print(f"kvmnet: {unit} works on it, and is waited for; its step may take {max(left, 0):.0f} s more.")
    print(f"kvmnet: to have it undone now: kvmnet rollback, or systemctl kill --kill-who=main --signal=INT {unit}")
    sys.stdout.flush()


def _print_anything() -> None:
    """What a name or a profile's id has in it must not end us when it is told."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def accept(state_dir: Path, tried: bool) -> int:
    """A person has looked, and the machine is right as it is."""
    if not tried:
        print("kvmnet: not undone yet: run it without --accept first", file=sys.stderr)
        return 1
    close(state_dir, "rolled back", verified=False, accepted=True)
    print("kvmnet: closed; the machine stays as it is")
    return 0


def _tell(state_dir: Path, code: int) -> None:
    if code == 4:
        print("kvmnet: undone, but the machine is not as it was:", file=sys.stderr)
        before = read_json(state_dir / "open" / "snapshot.json")
        if not before:
            return  # closed: after a boot nothing more can be given back
        print("\n".join("  " + line for line in differences(before)), file=sys.stderr)
        if commands := mends(before, state_dir):
            print("\n".join(["What would mend it:", *("  " + line for line in commands)]), file=sys.stderr)
        print("Mend that, then run this again; or, if it is right as it is, run it with --accept.", file=sys.stderr)
    else:
        print("kvmnet: " + ("undone; the machine is as it was before" if code == 3 else "nothing to undo"))


if __name__ == "__main__":
    sys.exit(main())
