#!/usr/bin/python3 -I
"""libvirt's hook for qemu: creates the VLAN devices that a starting guest needs, removes them after the last guest.

`kvmnet hook install` copies this one file to /etc/libvirt/hooks/qemu.d/kvmnet. It needs only the standard library of
the system's Python. libvirt calls it with the guest's name, an operation, and the domain XML on stdin
(libvirt.org/hooks.html):

    kvmnet GUEST prepare begin -     the guest is about to start, or to arrive by migration
    kvmnet GUEST migrate begin -     an incoming migration: only checked, nothing is created
    kvmnet GUEST reconnect begin -   libvirt was started and found the guest running
    kvmnet GUEST release end -       the guest has ended, or failed to start

Two more calls are for the systemd unit and for `kvmnet hook status`:

    kvmnet --reconcile               create missing and remove unused VLAN devices of running guests; the unit does
                                     this whenever libvirt starts
    kvmnet --status                  print the VLAN devices and their guests as JSON

The hook calls neither libvirt (which would deadlock) nor NetworkManager, and sends nothing over the network. Which
devices it may create is in /var/lib/kvmnet/applied/hook.json, which `kvmnet apply` writes. Its state is in
/run/kvmnet/guests: a file in users/ for each guest with such devices, and a file in vlans/ for each device that it
created. A udev rule looks at vlans/ and makes NetworkManager ignore these devices. The hook never removes a device
that it did not create.

Exit codes: 0; 1 the guest must not start. libvirt shows stderr to the administrator who starts the guest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any, Optional

RECORD = "/var/lib/kvmnet/applied/hook.json"
RUN_DIR = "/run/kvmnet/guests"
#: libvirtd and virtqemud keep a file NAME.xml here for each running guest: the domain XML and the process ID.
STATUS_DIR = "/run/libvirt/qemu"
NET = "/sys/class/net"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
#: The names that kvmnet gives to interfaces.
INTERFACE_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,14}"
#: Seconds between libvirt's call for a starting guest and its file in STATUS_DIR.
START_TIMEOUT = 60.0
#: Seconds between the two checks of a macvtap that no process has open.
RECHECK_DELAY = 0.2

#: More than libvirt's largest domain XML. Expat reads so much in a fraction of a second.
MAX_XML = 4 << 20
#: The path of the character device of a macvtap.
TAP_PATH = re.compile(r"/dev/tap[0-9]+( \(deleted\))?")

Json = dict[str, Any]


class Refused(Exception):
    """The guest must not start. The message has the reason and the resolution."""


# --- devices of the kernel ----------------------------------------------------------------------------


def device_exists(device: str) -> bool:
    """Whether the kernel has a device of this name."""
    return os.path.exists(f"{NET}/{device}")


def read_vlan(device: str) -> Optional[tuple[str, int]]:
    """Return the base interface and the VLAN ID of a VLAN device, or None if the device is not a VLAN."""
    values: dict[str, str] = {}
    with contextlib.suppress(OSError), open(f"/proc/net/vlan/{device}", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if fields[1:2] == ["VID:"]:
                values["tag"] = fields[2]
            elif fields[:1] == ["Device:"]:
                values["base"] = fields[1]
    return (values["base"], int(values["tag"])) if len(values) == 2 else None


def read_mtu(device: str) -> int:
    """Return the MTU of a device in bytes, or 0 if the device does not exist."""
    try:
        with open(f"{NET}/{device}/mtu", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def read_mac(device: str) -> str:
    """Return the MAC address of a device in lower case, or "" if the device does not exist."""
    try:
        with open(f"{NET}/{device}/address", encoding="ascii") as file:
            return file.read().strip().lower()
    except OSError:
        return ""


def find_vlan_device(base: str, tag: int) -> Optional[str]:
    """Return the name of the device that already is VLAN `tag` over `base`, or None."""
    with contextlib.suppress(OSError), open("/proc/net/vlan/config", encoding="ascii") as file:
        for line in file:
            fields = [field.strip() for field in line.split("|")]
            if fields[1:] == [str(tag), base]:
                return fields[0]
    return None


def list_upper_devices(device: str) -> list[str]:
    """Return the devices over a device, such as the macvtap of a guest."""
    try:
        return [name[len("upper_") :] for name in os.listdir(f"{NET}/{device}") if name.startswith("upper_")]
    except OSError:
        return []


def tap_device_number(macvtap: str) -> Optional[int]:
    """Return the device number of a macvtap's character device (/dev/tapN), or None if the device is no macvtap."""
    folder = f"{NET}/{macvtap}/macvtap"
    try:
        with open(f"{folder}/{os.listdir(folder)[0]}/dev", encoding="ascii") as file:
            major, _, minor = file.read().strip().partition(":")
        return os.makedev(int(major), int(minor))
    except (OSError, IndexError, ValueError):
        return None


def is_open(number: int) -> bool:
    """Whether a process has the character device of this number open."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # the process has ended
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    path = f"/proc/{pid}/fd/{descriptor}"
                    # first the link: stat of a file on a dead NFS or FUSE file system never returns
                    if TAP_PATH.fullmatch(os.readlink(path)) and os.stat(path).st_rdev == number:
                        return True
    return False


def is_orphaned_macvtap(device: str) -> bool:
    """Whether a device is a macvtap of libvirt that no process has open.

    A libvirt that is killed while a guest starts leaves one behind, and no later libvirt removes it.
    """
    number = tap_device_number(device) if device.startswith("macvtap") else None
    return number is not None and not is_open(number)


def is_unused(device: str) -> bool:
    """Whether there is nothing over a device but orphaned macvtaps.

    Checked twice: a macvtap that libvirt adds to a running guest (virsh attach-interface) exists for a moment before
    a process opens it.
    """
    for is_second_check in (False, True):
        upper_devices = list_upper_devices(device)
        if not upper_devices:
            return True
        if is_second_check:
            time.sleep(RECHECK_DELAY)
        if not all(is_orphaned_macvtap(upper) for upper in upper_devices):
            return False
    return True


# --- programs -----------------------------------------------------------------------------------------


def spawn(program: str, arguments: list[str], actions: list[tuple[Any, ...]]) -> int:
    """Start a program of the system and return its process ID. Raises Refused if the program does not exist."""
    for folder in PATH.split(":"):
        path = f"{folder}/{program}"
        if os.access(path, os.X_OK):
            return os.posix_spawn(path, [program, *arguments], {"PATH": PATH, "LC_ALL": "C"}, file_actions=actions)
    raise Refused(f"program not found: {program}")


def run_ip(*commands: str) -> None:
    """Run commands of iproute2 in one process. Raises Refused with its error text."""
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
        errors = stream.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if status != 0:
        lines = [line for line in errors.splitlines() if not line.startswith("Command failed")]
        raise Refused(" ".join(lines) or f"ip failed with exit code {os.WEXITSTATUS(status)}")


# --- files --------------------------------------------------------------------------------------------


def read_json(path: str) -> Json:
    """Return the JSON object in a file, or an empty one if the file is missing or incomplete."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def read_record() -> Json:
    """Return what RECORD allows on this host; it is empty if nothing is applied.

    The key `damaged` has the reason if the record cannot be used; `unreadable` means that only root may read it.
    """
    try:
        with open(RECORD, encoding="utf-8") as file:
            record = json.load(file)
    except PermissionError:
        return {"unreadable": True}
    except FileNotFoundError:
        # apply writes it together with the bundle
        has_bundle = os.path.exists(f"{os.path.dirname(RECORD)}/bundle.json")
        return {"damaged": f"{RECORD} is missing"} if has_bundle else {}
    except (OSError, ValueError):
        return {"damaged": f"{RECORD} is corrupt"}
    return record if _is_valid_record(record) else {"damaged": f"{RECORD} is corrupt"}


def _is_valid_record(record: Any) -> bool:
    """Whether a record has every key that the hook uses and no other, with values of the right types. The names become
    lines for iproute2."""
    try:
        if not set(record) <= {"format", "host", "digest", "vlans", "own", "bases"}:
            return False
        vlans = all(is_name(name) and _is_valid_vlan(vlan) for name, vlan in record["vlans"].items())
        return vlans and all(is_name(name) for name in [*record["own"], *record["bases"]])
    except (LookupError, TypeError, AttributeError):
        return False


def _is_valid_vlan(vlan: Json) -> bool:
    mtu = vlan.get("mtu")
    is_valid_mtu = mtu is None or (type(mtu) is int and 68 <= mtu <= 65535)
    return is_name(vlan["base"]) and type(vlan["tag"]) is int and 1 <= vlan["tag"] <= 4094 and is_valid_mtu


def is_name(text: Any) -> bool:
    """Whether a value is the name of an interface of the definition."""
    return isinstance(text, str) and re.fullmatch(INTERFACE_NAME, text) is not None


def write_json(path: str, data: Json) -> None:
    """Replace a file in users/ or vlans/ in one step. The caller holds the lock, so one temporary file is enough."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{RUN_DIR}/new")
    descriptor = os.open(f"{RUN_DIR}/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file)
    os.replace(f"{RUN_DIR}/new", path)


def list_entries(folder: str) -> list[str]:
    """Return the names of the files in users/ or vlans/."""
    try:
        return sorted(os.listdir(f"{RUN_DIR}/{folder}"))
    except OSError:
        return []


def remove_entry(folder: str, name: str) -> None:
    """Remove a file from users/ or vlans/, if it exists."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{RUN_DIR}/{folder}/{name}")


def make_own_folder(folder: str) -> None:
    """Create a folder that only its owner can write. An existing one must be such a folder: its entries decide which
    devices the hook removes. Raises Refused."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o755)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise Refused(f"{folder} must be a folder that only root can write: remove it, then start the guest again")


@contextlib.contextmanager
def hold_lock() -> Iterator[int]:
    """Hold the lock, since libvirt starts guests in parallel. Yields its file descriptor: a process that inherits the
    descriptor holds the lock too."""
    for folder in (os.path.dirname(RUN_DIR), RUN_DIR, f"{RUN_DIR}/users", f"{RUN_DIR}/vlans"):
        make_own_folder(folder)
    descriptor = os.open(f"{RUN_DIR}/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def process_start_time(pid: int) -> Optional[str]:
    """Return when a process was started, in clock ticks, or None if there is no such process.

    Process IDs are reused; the ID and the start time together identify a process.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


# --- VLAN devices -------------------------------------------------------------------------------------


def list_source_devices(domain: ET.Element) -> list[str]:
    """Return the devices under the macvtaps of a domain, each once, in the order of its XML."""
    devices = (
        source.get("dev")
        for interface in domain.iterfind("devices/interface[@type='direct']")
        for source in interface.iterfind("source")
    )
    return list(dict.fromkeys(device for device in devices if device))


def select_on_demand(devices: list[str], record: Json) -> list[str]:
    """Return those of a guest's devices that the hook creates and removes.

    Raises Refused for a device that has a name of such a device but is not in this host's definition. Devices that
    kvmnet does not know are left to libvirt.
    """
    allowed = record.get("vlans", {})
    needed = []
    for device in devices:
        if device in allowed:
            needed.append(device)
        elif "damaged" in record and (not device_exists(device) or device in list_entries("vlans")):
            raise Refused(
                f"{record['damaged']}, so it is unknown whether guests may use {device}: run `kvmnet apply`, which "
                "writes the file again"
            )
        elif device in record.get("own", []) or (device_exists(device) and device not in list_entries("vlans")):
            continue
        elif _is_named_as_on_demand(device, record) or device in list_entries("vlans"):
            raise Refused(
                f"{device} is not in the definition of host {record.get('host')} (VLAN devices for guests: "
                f"{', '.join(sorted(allowed)) or 'none'}): place the guest on this host in the definition, run "
                "`kvmnet apply`, and compare the guest's XML with `kvmnet guest xml`"
            )
    return needed


def _is_named_as_on_demand(device: str, record: Json) -> bool:
    base, _, tag = device.rpartition(".")
    return base in record.get("bases", []) and tag.isdigit()


def create_vlan(device: str, vlan: Json) -> None:
    """Create a VLAN device, or use the existing one; of those, only one that the hook created is changed.

    Raises Refused.
    """
    base, tag = vlan["base"], vlan["tag"]
    if device_exists(device):
        if read_vlan(device) != (base, tag):
            raise Refused(f"{device} exists but is not VLAN {tag} over {base}: remove it (ip link delete {device})")
        raise_mtu(device, vlan)
        return
    if not device_exists(base):
        raise Refused(
            f"VLAN {tag} cannot be created: its base interface {base} does not exist; `kvmnet plan` shows what differs"
        )
    write_json(f"{RUN_DIR}/vlans/{device}", vlan)  # before the device: the udev rule looks for this file
    mtu = f" mtu {vlan['mtu']}" if vlan.get("mtu") else ""
    try:
        run_ip(
            f"link add link {base} name {device} type vlan id {tag}",
            f"link set dev {device} arp off addrgenmode none{mtu}",
            f"link set dev {device} up",
        )
        # No router advertisement may give the device an address. A kernel without IPv6 has no such file.
        with contextlib.suppress(OSError):
            with open(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6", "w", encoding="ascii") as file:
                file.write("1")
    except (Refused, OSError) as error:
        other = find_vlan_device(base, tag)
        remove_vlan(device)
        conflict = f"; this VLAN exists as {other} (ip link delete {other})" if other not in (None, device) else ""
        problem = f"VLAN {tag} over {base} cannot be created: {error}{conflict}{_base_mtu_hint(base, vlan)}"
        raise Refused(problem) from None


def raise_mtu(device: str, vlan: Json) -> None:
    """Give a VLAN device that the hook created earlier the MTU that the definition has now, if that is larger.

    Without an MTU in the definition it is the MTU of the base interface. A smaller one would drop large frames of the
    guest that starts. It is never lowered: guests that run keep sending frames of the old size. Raises Refused.
    """
    if device not in list_entries("vlans"):
        return
    mtu = vlan.get("mtu") or read_mtu(vlan["base"])
    if mtu > read_mtu(device):
        try:
            run_ip(f"link set dev {device} mtu {mtu}")
        except Refused as error:
            problem = f"{device} cannot have MTU {mtu}: {error}{_base_mtu_hint(vlan['base'], vlan)}"
            raise Refused(problem) from None
    write_json(f"{RUN_DIR}/vlans/{device}", vlan)


def _base_mtu_hint(base: str, vlan: Json) -> str:
    """Return what to do if the MTU of the base interface is too small, else ""."""
    mtu = read_mtu(base)
    return f" ({base} has MTU {mtu}; `kvmnet plan` shows what differs)" if mtu < (vlan.get("mtu") or 0) else ""


def remove_vlan(device: str) -> None:
    """Remove a VLAN device that the hook created."""
    if device_exists(device):
        run_ip(f"link delete dev {device}")
    remove_entry("vlans", device)


def remove_vlans_in_background(devices: list[str], lock: int) -> None:
    """Remove VLAN devices that the hook created, after this call has ended: the kernel takes longer for it than the
    whole call. The lock is held until then, so the next call finds the devices removed."""
    script = f'for d; do ip link delete dev "$d"; [ -e "{NET}/$d" ] || rm -f "{RUN_DIR}/vlans/$d"; done'
    # libvirt waits until nothing has the pipes of its hook open
    nowhere: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, n, "/dev/null", os.O_RDWR, 0) for n in (0, 1, 2)]
    spawn("sh", ["-c", script, "sh", *devices], [*nowhere, (os.POSIX_SPAWN_DUP2, lock, 9)])


def remove_orphaned_macvtaps(domain: ET.Element, devices: list[str]) -> None:
    """Remove the macvtaps that a failed start of this guest left over its devices: the kernel refuses a second macvtap
    with the same MAC address over one device."""
    macs = {str(mac.get("address")).lower() for mac in domain.iterfind("devices/interface[@type='direct']/mac")}
    for device in devices:
        for upper in list_upper_devices(device):
            if read_mac(upper) in macs and is_orphaned_macvtap(upper):
                run_ip(f"link delete dev {upper}")


def find_unneeded_vlans(record: Json) -> list[str]:
    """Return the VLAN devices that the hook created and no guest needs.

    The hook forgets a device that now belongs to the host (the applied state has it) or no longer exists. A device
    that something uses is kept. With a corrupt record nothing is removed, since the record has the interfaces of
    the host.
    """
    if "damaged" in record:
        return []
    users = [read_json(f"{RUN_DIR}/users/{user}") for user in list_entries("users")]
    needed = {device for user in users for device in user.get("devices", [])}
    unneeded = []
    for device in list_entries("vlans"):
        if not device_exists(device) or device in record.get("own", []):
            remove_entry("vlans", device)
        elif device not in needed and is_unused(device):
            unneeded.append(device)
    return unneeded


def remove_unneeded_vlans(record: Json) -> list[str]:
    """Remove the VLAN devices that the hook created and no guest needs; return one line for each."""
    devices = find_unneeded_vlans(record)
    for device in devices:
        remove_vlan(device)
    return [f"removed {device}" for device in devices]


# --- guests -------------------------------------------------------------------------------------------


def record_guest(domain: ET.Element, devices: list[str], **facts: Any) -> None:
    """Record which devices a guest uses."""
    data = {"name": domain.findtext("name", "?"), "devices": devices, **facts}
    write_json(f"{RUN_DIR}/users/{_read_uuid(domain)}", data)


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def prepare_guest(domain: ET.Element, record: Json) -> None:
    """Create all devices of a guest that is about to start, or none. Raises Refused."""
    needed = select_on_demand(list_source_devices(domain), record)
    if not needed:
        return
    daemon = os.getppid()
    starting = {"daemon": daemon, "began": process_start_time(daemon), "at": _uptime()}
    record_guest(domain, needed, starting=starting)
    try:
        remove_orphaned_macvtaps(domain, needed)
        for device in needed:
            create_vlan(device, record["vlans"][device])
    except Refused:
        remove_entry("users", _read_uuid(domain))
        remove_unneeded_vlans(record)
        raise


def register_running_guest(domain: ET.Element, record: Json) -> list[str]:
    """Record the devices of a running guest and create missing ones; return one line for each change or failure.

    Never raises Refused: libvirt would kill a running guest whose hook fails.
    """
    allowed = record.get("vlans", {})
    devices = [d for d in list_source_devices(domain) if d in allowed or d in list_entries("vlans")]
    lines = []
    if devices:
        record_guest(domain, devices)
    for device in devices:
        if not device_exists(device) and device in allowed:
            try:
                create_vlan(device, allowed[device])
                lines.append(f"created {device}")
            except Refused as error:
                lines.append(f"{domain.findtext('name', '?')}: {error}")
    return lines


def release_guest(uuid: str, record: Json, lock: int) -> None:
    """Forget a guest that has ended, and remove the devices that no other guest needs."""
    remove_entry("users", uuid)
    devices = find_unneeded_vlans(record)
    if devices:
        remove_vlans_in_background(devices, lock)


def _read_uuid(domain: ET.Element) -> str:
    uuid = domain.findtext("uuid", "").strip()
    if not uuid or "/" in uuid or uuid.startswith("."):
        raise Refused("the guest's XML has no UUID")
    return uuid


def read_running_domains() -> dict[str, ET.Element]:
    """Return the running domains by UUID, from the files in STATUS_DIR whose process exists.

    A file stays behind when its process ends while no libvirt runs.
    """
    domains: dict[str, ET.Element] = {}
    try:
        names = sorted(os.listdir(STATUS_DIR))
    except OSError:
        return {}
    for name in names:
        if not name.endswith(".xml"):
            continue
        try:
            status = ET.parse(f"{STATUS_DIR}/{name}").getroot()
        except (OSError, ET.ParseError):  # it was removed, or is being written
            continue
        domain, pid = status.find("domain"), status.get("pid", "")
        if (
            status.tag == "domstatus"
            and domain is not None
            and pid.isdigit()
            and process_start_time(int(pid)) is not None
        ):
            domains[_read_uuid(domain)] = domain
    return domains


def _may_be_starting(start: Optional[Json]) -> bool:
    """Whether a guest without a file in STATUS_DIR may still be starting: the libvirt that announced its start shortly
    ago still runs, so it will also report the guest's end."""
    if not start:
        return False
    start_time = process_start_time(start["daemon"])
    if start_time is None or start_time != start["began"]:
        return False
    return _uptime() - float(start["at"]) < START_TIMEOUT


def reconcile(record: Json) -> list[str]:
    """Create missing and remove unneeded VLAN devices of running guests; return one line for each change."""
    domains = read_running_domains()
    for user in list_entries("users"):
        if user not in domains and not _may_be_starting(read_json(f"{RUN_DIR}/users/{user}").get("starting")):
            remove_entry("users", user)
    lines = []
    for domain in domains.values():
        lines += register_running_guest(domain, record)
    return lines + remove_unneeded_vlans(record)


def read_status(record: Json) -> Json:
    """Return the devices that the hook created, with their guests and upper devices, and what the record allows."""
    users = {user: read_json(f"{RUN_DIR}/users/{user}") for user in list_entries("users")}
    devices = {
        device: {
            "there": device_exists(device),
            "guests": sorted(str(u.get("name")) for u in users.values() if device in u.get("devices", [])),
            "uppers": list_upper_devices(device),
        }
        for device in list_entries("vlans")
    }
    problem: Json = {key: record[key] for key in ("damaged", "unreadable") if key in record}
    return {"host": record.get("host"), "allowed": record.get("vlans", {}), "devices": devices, **problem}


def main(arguments: list[str]) -> int:
    """Run the hook and return its exit code."""
    if arguments == ["--status"]:
        print(json.dumps(read_status(read_record())))
        return 0
    if arguments == ["--reconcile"]:
        return _run_reconcile()
    operation = arguments[1] if len(arguments) > 1 else ""
    text = sys.stdin.buffer.read(MAX_XML + 1)
    if operation not in ("prepare", "migrate", "reconnect", "attach", "release"):
        return 0
    try:
        _run_operation(operation, parse_domain(text))
    except (Refused, ET.ParseError, OSError, LookupError, TypeError, ValueError) as error:
        print(f"kvmnet: {error}", file=sys.stderr)
        return 1 if operation in ("prepare", "migrate") else 0
    return 0


def parse_domain(text: bytes) -> ET.Element:
    """Return the domain XML. Raises Refused for what libvirt does not write: too much, or a document type, which could
    define entities; ParseError."""
    if len(text) > MAX_XML:
        raise Refused(f"the guest's XML is larger than {MAX_XML >> 20} MiB")
    if b"<!DOCTYPE" in text:
        raise Refused("the guest's XML has a document type")
    return ET.fromstring(text)


def _run_reconcile() -> int:
    try:
        with hold_lock():
            for line in reconcile(read_record()):
                print(line)
    except (Refused, OSError) as error:
        print(f"kvmnet: {error}", file=sys.stderr)
        return 1
    return 0


def _run_operation(operation: str, domain: ET.Element) -> None:
    record = read_record()
    with hold_lock() as lock:
        if operation == "prepare":
            prepare_guest(domain, record)
        elif operation == "migrate":
            select_on_demand(list_source_devices(domain), record)
        elif operation == "release":
            release_guest(_read_uuid(domain), record, lock)
        else:
            for line in register_running_guest(domain, record):
                print(f"kvmnet: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
