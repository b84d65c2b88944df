"""Reads and changes NetworkManager by nmcli and busctl: connection profiles, keyfiles, checkpoints, name servers.

kvmnet/host/networkmanager_dbus changes connection profiles in memory over D-Bus. The rescue program cannot do so,
because it has no D-Bus library.
"""

from __future__ import annotations

import binascii
import contextlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from kvmnet.system import nmcli, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json

#: The folders of keyfiles: on disk, and in memory for as long as the host runs.
PROFILE_FOLDERS = ("/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections")

#: The profile that NetworkManager makes of the loopback interface as long as no other one is for it, with a new UUID at
#: each boot. It states what the interface has, so it is never restored.
LOOPBACK_KEYFILE = f"{PROFILE_FOLDERS[1]}/lo.nmconnection"

BUS_NAME = "org.freedesktop.NetworkManager"

#: The path of NetworkManager's main object on the bus.
OBJECT_PATH = "/org/freedesktop/NetworkManager"

#: NetworkManager's property for name servers that belong to no interface, and the file that it saves them in.
GLOBAL_DNS_PROPERTY = "GlobalDnsConfiguration"
INTERN_FILE = "/var/lib/NetworkManager/NetworkManager-intern.conf"


def list_checkpoints() -> list[str]:
    """Return the object paths of NetworkManager's checkpoints. Raises HostError."""
    return [
        path.strip('"')
        for path in programs.run("busctl", "get-property", BUS_NAME, OBJECT_PATH, BUS_NAME, "Checkpoints").split()[2:]
    ]


def reload_settings() -> None:
    """Make NetworkManager read its configuration files again, without the profiles (flag 1). Raises HostError."""
    programs.run("busctl", "call", BUS_NAME, OBJECT_PATH, BUS_NAME, "Reload", "u", "1")


_UUID = re.compile("[0-9a-fA-F-]{36,40}")


def list_profiles() -> list[Json]:
    """Return the connection profiles by UUID: uuid, id, device (None when not active), file. Raises HostError."""
    profiles = []
    for record in nmcli.show_profiles(("UUID", "DEVICE", "FILENAME", "NAME")):
        if _UUID.fullmatch(record["UUID"]):
            uuid, device, file, name = (record.get(field, "") for field in ("UUID", "DEVICE", "FILENAME", "NAME"))
            profiles.append({"uuid": uuid, "device": device or None, "file": file, "id": name})
    return sorted(profiles, key=lambda p: str(p["uuid"]))


def find_keyfiles(uuids: list[str]) -> list[str]:
    """Return the paths of the keyfiles, on disk and in memory, that name one of these UUIDs. Files that cannot be read
    are skipped."""
    paths = []
    for path in list_keyfiles(*PROFILE_FOLDERS):
        with contextlib.suppress(OSError):
            if has_uuid(Path(path).read_bytes(), uuids):
                paths.append(path)
    return paths


def list_keyfiles(*folders: str) -> list[str]:
    """Return the files that NetworkManager reads as keyfiles: without folders and names that begin with a dot."""
    paths = [p for folder in folders if Path(folder).is_dir() for p in sorted(Path(folder).glob("[!.]*"))]
    return [str(p) for p in paths if not p.is_dir()]


def hash_keyfiles() -> dict[str, str]:
    """Return a digest of each keyfile, on disk and in memory. The time at which NetworkManager last used a profile does
    not count. Files that cannot be read are skipped."""
    digests = {}
    for path in list_keyfiles(*PROFILE_FOLDERS):
        with contextlib.suppress(OSError):
            lines = Path(path).read_bytes().splitlines()
            plain = b"\n".join(line for line in lines if not line.startswith(b"timestamp="))
            digests[path] = f"{binascii.crc32(plain):08x}-{len(plain)}"
    return digests


def concerns_interface(keyfile: bytes, names: Collection[str], macs: Collection[str]) -> bool:
    """Return whether a keyfile is for one of these interfaces or NICs, by name or permanent MAC address."""
    values = re.findall(rb"^[ \t]*(interface-name|mac-address)[ \t]*=[ \t]*([^\s]+)", keyfile, re.MULTILINE)
    wanted = {*(name.encode(errors="surrogateescape") for name in names), *(mac.lower().encode() for mac in macs)}
    return any((value.lower() if key == b"mac-address" else value) in wanted for key, value in values)


def find_uuid(keyfile: bytes) -> str:
    """Return the UUID that a keyfile names, in small letters; empty when it names none."""
    named = re.search(rb"^[ \t]*uuid[ \t]*=[ \t]*([^\s]+)", keyfile, re.MULTILINE)
    return named[1].decode(errors="replace").lower() if named else ""


def has_uuid(keyfile: bytes, uuids: list[str]) -> bool:
    """Return whether a keyfile names one of these UUIDs.

    A keyfile that was written by hand may have capitals and spaces, or no UUID: NetworkManager then derives one from
    the path, and writes it into the file when it saves the profile.
    """
    named = {uuid.lower() for uuid in re.findall(rb"^[ \t]*uuid[ \t]*=[ \t]*([^\s]+)", keyfile, re.MULTILINE)}
    return any(uuid.lower().encode() in named for uuid in uuids)


#: Flags of NetworkManager's Update2: in memory only (its file is deleted), removed when it is not active any more,
#: and the device is left as it is.
_IN_MEMORY_ONLY, _VOLATILE, _NO_REAPPLY = 0x8, 0x10, 0x40


def move_to_memory(uuid: str) -> None:
    """Make a stored profile one in memory, as NetworkManager makes them of devices of other programs: unchanged, and
    removed with its device. Raises HostError."""
    settings = f"{OBJECT_PATH}/Settings"
    call = ("busctl", "call", BUS_NAME)
    path = programs.run(*call, settings, f"{BUS_NAME}.Settings", "GetConnectionByUuid", "s", uuid).split()[1].strip('"')
    flags = str(_IN_MEMORY_ONLY | _VOLATILE | _NO_REAPPLY)
    no_settings, no_options = "0", "0"  # without settings it keeps those that it has
    update = (f"{BUS_NAME}.Settings.Connection", "Update2", "a{sa{sv}}ua{sv}", no_settings, flags, no_options)
    programs.run(*call, path, *update)


def read_name_servers() -> dict[str, Json]:
    """Return the name servers and domains that NetworkManager got from each interface. Raises HostError."""
    path = f"{OBJECT_PATH}/DnsManager"
    command = ("busctl", "--json=short", "get-property", BUS_NAME, path, f"{BUS_NAME}.DnsManager", "Configuration")
    servers: dict[str, Json] = {}
    for row in programs.run_json(*command)["data"]:
        settings = {key: row[key]["data"] for key in ("nameservers", "domains") if row.get(key, {}).get("data")}
        if settings and "interface" in row:
            servers[row["interface"]["data"]] = settings
    return servers


def read_global_dns() -> Json:
    """Return NetworkManager's global name servers in busctl's form; empty when there are none or they cannot be set.

    Global name servers take precedence over those of the interfaces. nmstate (2.2.62) makes name servers global
    where no interface can have them. NetworkManager saves them to INTERN_FILE at once, and 1.42 does not restore them
    when it rolls a checkpoint back. Raises HostError.
    """
    try:
        text = Path(INTERN_FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    if not re.search(r"^\[[^\]\n]*global-dns", text, re.MULTILINE):  # those of NetworkManager.conf cannot be set
        return {}
    global_dns: Json = programs.run_json(
        "busctl", "--json=short", "get-property", BUS_NAME, OBJECT_PATH, BUS_NAME, GLOBAL_DNS_PROPERTY
    )["data"]
    return global_dns


def global_dns_command(wanted: Json) -> list[str]:
    """Return the command that sets the global name servers to what `read_global_dns` returned."""
    target = [BUS_NAME, OBJECT_PATH, BUS_NAME, GLOBAL_DNS_PROPERTY]
    return ["busctl", "set-property", *target, "a{sv}", *_busctl_arguments("a{sv}", wanted)]


def _busctl_arguments(signature: str, value: Any) -> list[str]:
    """Return the arguments for a value of this D-Bus type, which busctl printed as JSON. Raises HostError for other
    types."""
    if signature == "s":
        return [str(value)]
    if signature == "as":
        return [str(len(value)), *value]
    if signature != "a{sv}":
        raise HostError(f"busctl: no support for a value of type {signature}")
    entries = [[key, item["type"], *_busctl_arguments(item["type"], item["data"])] for key, item in value.items()]
    return [str(len(entries)), *(argument for entry in entries for argument in entry)]


def is_running() -> bool:
    """Return whether NetworkManager is active, as systemd reports it."""
    with contextlib.suppress(HostError):
        return programs.run("systemctl", "is-active", "NetworkManager").strip() == "active"
    return False


def make_responsive() -> bool:
    """Start NetworkManager when it is not active, restart it when it does not answer; return whether it was restarted.

    Without NetworkManager no connection profile can be restored. It leaves the links as they are when it stops, but
    other connections of it, such as a VPN, end.
    """
    with contextlib.suppress(HostError):
        programs.run("systemctl", "start", "NetworkManager", timeout=60)
    try:
        programs.run("busctl", "--timeout=10", "get-property", BUS_NAME, OBJECT_PATH, BUS_NAME, "Version", timeout=15)
    except HostError:
        with contextlib.suppress(HostError):
            programs.run("systemctl", "kill", "--signal=KILL", "NetworkManager")
        with contextlib.suppress(HostError):
            programs.run("systemctl", "restart", "NetworkManager", timeout=60)
        return True
    return False
