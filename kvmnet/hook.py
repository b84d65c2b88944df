#!/usr/bin/python3 -I
"""libvirt's hook: a VLAN device is there while a guest needs it.

`kvmnet hook install` puts this one file to /etc/libvirt/hooks/qemu.d/kvmnet. Standard library only, the system's
Python. libvirt calls it with the guest's name, what happens to it, and its XML on stdin (libvirt.org/hooks.html):

    kvmnet GUEST prepare begin -     it is about to start, or to arrive by migration
    kvmnet GUEST migrate begin -     the same, a little earlier: asked, nothing made
    kvmnet GUEST reconnect begin -   libvirt has found it running
    kvmnet GUEST release end -       it is gone, also when it did not start

It calls neither libvirt (documented to hang) nor the network nor NetworkManager. What it may make is in
/var/lib/kvmnet/applied/hook.json, which `kvmnet apply` writes. What it knows is in /run/kvmnet/guests: an entry in
users/ for each guest that has devices, one in vlans/ for each device that it made. A udev rule looks at vlans/ and
tells NetworkManager to leave those alone. What it did not make it never removes.

    kvmnet --reconcile               make the devices those that running guests need; a unit does it whenever
                                     libvirt starts
    kvmnet --status                  say which devices there are, and for whom, as JSON

Exit codes: 0; 1 the guest must not start: the reason is on stderr, which libvirt shows to whoever starts it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any, Optional

RECORD = "/var/lib/kvmnet/applied/hook.json"
RUN_DIR = "/run/kvmnet/guests"
#: libvirt's own notes of what runs, the same for libvirtd and virtqemud: the guest's XML and its process
STATUS_DIR = "/run/libvirt/qemu"
NET = "/sys/class/net"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
#: Seconds between the call for a guest that starts and libvirt's note that it runs.
STARTING = 60.0
#: Seconds between two looks at a macvtap that nobody holds.
LOOK_AGAIN = 0.2

Json = dict[str, Any]


class Refused(Exception):
    """The guest must not start; the text says why and what to do."""


# --- what is there ------------------------------------------------------------------------------------


def exists(device: str) -> bool:
    """Whether the kernel has a device of this name."""
    return os.path.exists(f"{NET}/{device}")


def vlan_of(device: str) -> Optional[tuple[str, int]]:
    """The base and tag of a VLAN device; None when it is none."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError), open(f"/proc/net/vlan/{device}", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[1:2] == ["VID:"]:
                found["tag"] = words[2]
            elif words[:1] == ["Device:"]:
                found["base"] = words[1]
    return (found["base"], int(found["tag"])) if len(found) == 2 else None


def mtu_of(device: str) -> int:
    """A device's MTU in bytes; 0 when it is not there."""
    try:
        with open(f"{NET}/{device}/mtu", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def vlan_named_otherwise(base: str, tag: int) -> Optional[str]:
    """The device that is this VLAN already, whatever its name."""
    with contextlib.suppress(OSError), open("/proc/net/vlan/config", encoding="ascii") as file:
        for line in file:
            words = [word.strip() for word in line.split("|")]
            if words[1:] == [str(tag), base]:
                return words[0]
    return None


def uppers(device: str) -> list[str]:
    """What lies over a device, such as the macvtap of a guest that nobody told us of."""
    try:
        return [name[len("upper_") :] for name in os.listdir(f"{NET}/{device}") if name.startswith("upper_")]
    except OSError:
        return []


def tap_of(macvtap: str) -> Optional[int]:
    """The number of the character device by which a process holds a macvtap; None when it is no macvtap."""
    folder = f"{NET}/{macvtap}/macvtap"
    try:
        with open(f"{folder}/{os.listdir(folder)[0]}/dev", encoding="ascii") as file:
            major, _, minor = file.read().strip().partition(":")
        return os.makedev(int(major), int(minor))
    except (OSError, IndexError, ValueError):
        return None


def held(number: int) -> bool:
    """Whether a process has this character device open."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # the process went
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.stat(f"/proc/{pid}/fd/{descriptor}").st_rdev == number:
                        return True
    return False


def left_behind(upper: str) -> bool:
    """Whether this is a macvtap of libvirt's that no process holds: a libvirt that was killed while a guest started
    leaves one, and no later one knows of it."""
    number = tap_of(upper) if upper.startswith("macvtap") else None
    return number is not None and not held(number)


def abandoned(device: str) -> bool:
    """Whether all that lies over a device was left behind. Looked at twice: one that is plugged into a running guest
    (virsh attach-interface) is there for a moment before somebody holds it."""
    for look in range(2):
        over = uppers(device)
        if not over:
            return True
        if look:
            time.sleep(LOOK_AGAIN)
        if not all(left_behind(upper) for upper in over):
            return False
    return True


def spawn(program: str, arguments: list[str], actions: list[tuple[Any, ...]]) -> int:
    """Start a program of the system; its process number. Raises Refused when it is not there."""
    for folder in PATH.split(":"):
        path = f"{folder}/{program}"
        if os.access(path, os.X_OK):
            return os.posix_spawn(path, [program, *arguments], {"PATH": PATH, "LC_ALL": "C"}, file_actions=actions)
    raise Refused(f"the program {program} is not there")


def ip(*commands: str) -> None:
    """Do some commands of iproute2 by one process. Raises Refused with its error text."""
    error_read, error_write = os.pipe()
    input_read, input_write = os.pipe()
    os.write(input_write, "".join(f"{command}\n" for command in commands).encode())
    os.close(input_write)
    actions = [
        (os.POSIX_SPAWN_DUP2, input_read, 0),
        (os.POSIX_SPAWN_DUP2, error_write, 2),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ]
    try:
        child = spawn("ip", ["-batch", "-"], actions)
    finally:
        os.close(input_read)
        os.close(error_write)
    with os.fdopen(error_read, "rb") as stream:
        said = stream.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if status != 0:
        lines = [line for line in said.splitlines() if not line.startswith("Command failed")]
        raise Refused(" ".join(lines) or f"ip ended with {os.WEXITSTATUS(status)}")


# --- what is known ------------------------------------------------------------------------------------


def read_json(path: str) -> Json:
    """The object in a file; empty when the file is absent or torn."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_record() -> Json:
    """What this host allows, from RECORD; empty where nothing was applied. `damaged` says what is wrong with it,
    `unreadable` that only root may look."""
    try:
        with open(RECORD, encoding="utf-8") as file:
            record = json.load(file)
    except PermissionError:
        return {"unreadable": True}
    except FileNotFoundError:
        # beside the bundle that is applied it always is
        return {"damaged": f"{RECORD} is gone"} if os.path.exists(f"{os.path.dirname(RECORD)}/bundle.json") else {}
    except (OSError, ValueError):
        return {"damaged": f"{RECORD} is damaged"}
    return record if _whole(record) else {"damaged": f"{RECORD} is damaged"}


def _whole(record: Any) -> bool:
    """Whether a record has what is asked of it."""
    try:
        vlans = all(
            isinstance(v["base"], str) and isinstance(v["tag"], int) and isinstance(v.get("mtu") or 0, int)
            for v in record["vlans"].values()
        )
        return vlans and all(isinstance(name, str) for name in record["own"] + record["bases"])
    except (LookupError, TypeError, AttributeError):
        return False


def write_json(path: str, data: Json) -> None:
    """Replace a file whole."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(data, file)
    os.replace(path + ".new", path)


def entries(folder: str) -> list[str]:
    """The names in users/ or vlans/."""
    try:
        return sorted(name for name in os.listdir(f"{RUN_DIR}/{folder}") if not name.endswith(".new"))
    except OSError:
        return []


def forget(folder: str, name: str) -> None:
    """Take an entry out."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{RUN_DIR}/{folder}/{name}")


@contextlib.contextmanager
def locked() -> Iterator[int]:
    """One call at a time: guests start side by side. Gives the lock's descriptor: who inherits it holds the lock."""
    for folder in ("users", "vlans"):
        os.makedirs(f"{RUN_DIR}/{folder}", exist_ok=True)
    handle = os.open(f"{RUN_DIR}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def started(pid: int) -> Optional[str]:
    """When a process began, in the kernel's ticks: with its number it is that process and no later one."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def mac_of(device: str) -> str:
    """A device's MAC, in lower case."""
    try:
        with open(f"{NET}/{device}/address", encoding="ascii") as file:
            return file.read().strip().lower()
    except OSError:
        return ""


# --- guests and devices -------------------------------------------------------------------------------


def sources(domain: ET.Element) -> list[str]:
    """The devices that a domain's macvtaps lie over, each once, in order."""
    found = (
        source.get("dev")
        for interface in domain.iterfind("devices/interface[@type='direct']")
        for source in interface.iterfind("source")
    )
    return list(dict.fromkeys(device for device in found if device))


def judge(devices: list[str], record: Json) -> list[str]:
    """Those of a guest's devices that come and go with guests. Raises Refused for one that looks like ours and
    is not in this host's definition; what is none of ours is left to libvirt."""
    allowed = record.get("vlans", {})
    needed = []
    for device in devices:
        if device in allowed:
            needed.append(device)
        elif "damaged" in record and (not exists(device) or device in entries("vlans")):
            raise Refused(f"{record['damaged']}, so nobody knows whether {device} is allowed: `kvmnet apply` mends it")
        elif device in record.get("own", []) or (exists(device) and device not in entries("vlans")):
            continue
        elif _looks_ours(device, record) or device in entries("vlans"):
            has = f"it has {', '.join(sorted(allowed))}" if allowed else "it has none for guests"
            raise Refused(
                f"{device} is not in the definition of host {record.get('host')} ({has}); place the guest on this "
                "host in the definition, `kvmnet apply`, and look at the guest's XML: `kvmnet guest xml`"
            )
    return needed


def _looks_ours(device: str, record: Json) -> bool:
    base, _, tag = device.rpartition(".")
    return base in record.get("bases", []) and tag.isdigit()


def make(device: str, vlan: Json) -> None:
    """Make a VLAN device, or take the one that is there: as it is, when we did not make it. Raises Refused."""
    base, tag = vlan["base"], vlan["tag"]
    if exists(device):
        if vlan_of(device) != (base, tag):
            raise Refused(
                f"{device} is there, but it is not VLAN {tag} over {base}: remove it (ip link delete {device})"
            )
        widen(device, vlan)
        return
    if not exists(base):
        raise Refused(f"{base} is not there, so VLAN {tag} has nothing to lie over: `kvmnet plan` says what differs")
    write_json(f"{RUN_DIR}/vlans/{device}", vlan)  # before the device: udev's rule looks for it
    mtu = f" mtu {vlan['mtu']}" if vlan.get("mtu") else ""
    try:
        ip(
            f"link add link {base} name {device} type vlan id {tag}",
            f"link set dev {device} arp off addrgenmode none{mtu}",
            f"link set dev {device} up",
        )
        with contextlib.suppress(OSError):  # a kernel without IPv6; and no router may give the device an address
            with open(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6", "w", encoding="ascii") as file:
                file.write("1")
    except (Refused, OSError) as error:
        other = vlan_named_otherwise(base, tag)
        remove(device)
        there = f"; it is there as {other} (ip link delete {other})" if other not in (None, device) else ""
        raise Refused(f"VLAN {tag} over {base} could not be made: {error}{there}{_too_small(base, vlan)}") from None


def widen(device: str, vlan: Json) -> None:
    """Give a device that we made for an earlier guest the MTU that the definition has by now (none: that of the base),
    where it is larger: frames of the next guest's that are too large would be dropped without a word. Those of a
    guest that runs on it stay as large as they may be. Raises Refused."""
    if device not in entries("vlans"):
        return
    mtu = vlan.get("mtu") or mtu_of(vlan["base"])
    if mtu > mtu_of(device):
        try:
            ip(f"link set dev {device} mtu {mtu}")
        except Refused as error:
            raise Refused(f"{device} could not get the MTU {mtu}: {error}{_too_small(vlan['base'], vlan)}") from None
    write_json(f"{RUN_DIR}/vlans/{device}", vlan)


def _too_small(base: str, vlan: Json) -> str:
    """The cure where it is the base's MTU that is in the way."""
    has = mtu_of(base)
    return f" ({base} has the MTU {has}: `kvmnet plan` says what differs)" if has < (vlan.get("mtu") or 0) else ""


def remove(device: str) -> None:
    """Remove a device that we made."""
    if exists(device):
        ip(f"link delete dev {device}")
    forget("vlans", device)


def remove_behind(devices: list[str], lock: int) -> None:
    """Remove devices that we made after this call has ended: the kernel takes longer than all the rest. The lock is
    held until then, so that whoever comes next finds them gone."""
    script = f'for d; do ip link delete dev "$d"; [ -e "{NET}/$d" ] || rm -f "{RUN_DIR}/vlans/$d"; done'
    # libvirt waits until nobody holds its pipes
    nowhere: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, n, "/dev/null", os.O_RDWR, 0) for n in (0, 1, 2)]
    spawn("sh", ["-c", script, "sh", *devices], [*nowhere, (os.POSIX_SPAWN_DUP2, lock, 9)])


def clear(domain: ET.Element, devices: list[str]) -> None:
    """Remove what an earlier start of this guest left behind over its devices: the kernel lets no second macvtap of a
    MAC on a device be up."""
    macs = {str(mac.get("address")).lower() for mac in domain.iterfind("devices/interface[@type='direct']/mac")}
    for device in devices:
        for upper in uppers(device):
            if mac_of(upper) in macs and left_behind(upper):
                ip(f"link delete dev {upper}")


def unneeded(record: Json) -> list[str]:
    """The devices that we made and nobody needs. What has become the host's own (it is in its state now), or has
    gone, is forgotten. What carries something stays, unless that was left behind. By a damaged record nothing goes:
    it does not say what is the host's own."""
    if "damaged" in record:
        return []
    needed = {device for user in entries("users") for device in read_json(f"{RUN_DIR}/users/{user}").get("devices", [])}
    found = []
    for device in entries("vlans"):
        if not exists(device) or device in record.get("own", []):
            forget("vlans", device)
        elif device not in needed and abandoned(device):
            found.append(device)
    return found


def sweep(record: Json) -> list[str]:
    """Remove the devices that we made and nobody needs; says what it did."""
    gone = unneeded(record)
    for device in gone:
        remove(device)
    return [f"removed {device}" for device in gone]


def note(domain: ET.Element, devices: list[str], **more: Any) -> None:
    """Note that a guest uses devices."""
    write_json(f"{RUN_DIR}/users/{_uuid(domain)}", {"name": domain.findtext("name", "?"), "devices": devices, **more})


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def begin(domain: ET.Element, record: Json) -> None:
    """A guest is about to start: its devices are made, all or none. Raises Refused."""
    needed = judge(sources(domain), record)
    if not needed:
        return
    daemon = os.getppid()
    note(domain, needed, starting={"daemon": daemon, "began": started(daemon), "at": _now()})
    try:
        clear(domain, needed)
        for device in needed:
            make(device, record["vlans"][device])
    except Refused:
        forget("users", _uuid(domain))
        sweep(record)
        raise


def found_running(domain: ET.Element, record: Json) -> list[str]:
    """A guest runs: what it uses is noted, and made if it is missing. What goes wrong is said and no more: libvirt
    would kill a running guest whose hook fails."""
    allowed = record.get("vlans", {})
    devices = [d for d in sources(domain) if d in allowed or d in entries("vlans")]
    done = []
    if devices:
        note(domain, devices)
    for device in devices:
        if not exists(device) and device in allowed:
            try:
                make(device, allowed[device])
                done.append(f"made {device}")
            except Refused as error:
                done.append(f"{domain.findtext('name', '?')}: {error}")
    return done


def end(uuid: str, record: Json, lock: int) -> None:
    """A guest is gone."""
    forget("users", uuid)
    gone = unneeded(record)
    if gone:
        remove_behind(gone, lock)


def _uuid(domain: ET.Element) -> str:
    uuid = domain.findtext("uuid", "").strip()
    if not uuid or "/" in uuid or uuid.startswith("."):
        raise Refused("the guest's XML has no uuid")
    return uuid


def running() -> dict[str, ET.Element]:
    """The domains that run, by uuid, as libvirt's notes say; a note outlives a process that died while no libvirt
    was there to see it."""
    found = {}
    try:
        names = sorted(os.listdir(STATUS_DIR))
    except OSError:
        return {}
    for name in names:
        if not name.endswith(".xml"):
            continue
        try:
            status = ET.parse(f"{STATUS_DIR}/{name}").getroot()
        except (OSError, ET.ParseError):  # it went, or is being written
            continue
        domain, pid = status.find("domain"), status.get("pid", "")
        if status.tag == "domstatus" and domain is not None and pid.isdigit() and started(int(pid)) is not None:
            found[_uuid(domain)] = domain
    return found


def _starting(told: Optional[Json]) -> bool:
    """Whether a guest that libvirt does not note as running may be about to: told of a moment ago by a libvirt that
    is still there, which will also tell of its end."""
    if not told:
        return False
    alive = started(told["daemon"])
    return alive is not None and alive == told["began"] and _now() - float(told["at"]) < STARTING


def reconcile(record: Json) -> list[str]:
    """Make the devices those that running guests need; what was done, one line each."""
    there = running()
    for user in entries("users"):
        if user not in there and not _starting(read_json(f"{RUN_DIR}/users/{user}").get("starting")):
            forget("users", user)
    done = []
    for domain in there.values():
        done += found_running(domain, record)
    return done + sweep(record)


def status(record: Json) -> Json:
    """The devices that we made with their guests, what is over them, and what the definition allows."""
    users = {user: read_json(f"{RUN_DIR}/users/{user}") for user in entries("users")}
    devices = {
        device: {
            "there": exists(device),
            "guests": sorted(str(u.get("name")) for u in users.values() if device in u.get("devices", [])),
            "uppers": uppers(device),
        }
        for device in entries("vlans")
    }
    known: Json = {key: record[key] for key in ("damaged", "unreadable") if key in record}
    return {"host": record.get("host"), "allowed": record.get("vlans", {}), "devices": devices, **known}


def main(arguments: list[str]) -> int:
    if arguments == ["--status"]:
        print(json.dumps(status(read_record())))
        return 0
    if arguments == ["--reconcile"]:
        try:
            with locked():
                for line in reconcile(read_record()):
                    print(line)
        except (Refused, OSError) as error:
            print(f"kvmnet: {error}", file=sys.stderr)
            return 1
        return 0
    operation = arguments[1] if len(arguments) > 1 else ""
    text = sys.stdin.buffer.read()
    if operation not in ("prepare", "migrate", "reconnect", "attach", "release"):
        return 0
    try:
        domain = ET.fromstring(text)
        record = read_record()
        with locked() as lock:
            if operation == "prepare":
                begin(domain, record)
            elif operation == "migrate":
                judge(sources(domain), record)
            elif operation == "release":
                end(_uuid(domain), record, lock)
            else:
                for line in found_running(domain, record):
                    print(f"kvmnet: {line}", file=sys.stderr)
    except (Refused, ET.ParseError, OSError, LookupError, TypeError, ValueError) as error:
        print(f"kvmnet: {error}", file=sys.stderr)
        return 1 if operation in ("prepare", "migrate") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
