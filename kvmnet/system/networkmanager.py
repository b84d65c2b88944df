"""NetworkManager by nmcli and busctl: profiles, keyfiles, checkpoints, name servers.

kvmnet/host/networkmanager_dbus changes profiles in memory over D-Bus; the rescue program cannot, as
it has no D-Bus library.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from kvmnet.system import nmcli, programs
from kvmnet.system.errors import HostError
from kvmnet.system.types import Json

PROFILE_FOLDERS = ("/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections")

BUS_NAME = "org.freedesktop.NetworkManager"

#: The path of its object on the bus.
OBJECT_PATH = "/org/freedesktop/NetworkManager"

#: NetworkManager's property for name servers that are no interface's, and the file that it keeps them in.
GLOBAL_DNS_PROPERTY = "GlobalDnsConfiguration"

INTERN_FILE = "/var/lib/NetworkManager/NetworkManager-intern.conf"


def list_checkpoints() -> list[str]:
    """The object paths of NetworkManager's checkpoints."""
    return [
        w.strip('"')
        for w in programs.run("busctl", "get-property", BUS_NAME, OBJECT_PATH, BUS_NAME, "Checkpoints").split()[2:]
    ]


def reload_settings() -> None:
    """Have NetworkManager read its own settings again (flag 1: those alone, not the profiles)."""
    programs.run("busctl", "call", BUS_NAME, OBJECT_PATH, BUS_NAME, "Reload", "u", "1")


_UUID = re.compile("[0-9a-fA-F-]{36,40}")


def list_profiles() -> list[Json]:
    """NetworkManager's connection profiles: uuid, id, device (None when not active), file."""
    found = []
    for record in nmcli.show_profiles(("UUID", "DEVICE", "FILENAME", "NAME")):
        if _UUID.fullmatch(record["UUID"]):
            uuid, device, file, name = (record.get(field, "") for field in ("UUID", "DEVICE", "FILENAME", "NAME"))
            found.append({"uuid": uuid, "device": device or None, "file": file, "id": name})
    return sorted(found, key=lambda p: str(p["uuid"]))


def find_keyfiles(uuids: list[str]) -> list[str]:
    """The keyfiles, on disk and in memory, that say that they hold one of these profiles."""
    found = []
    for path in list_keyfiles(*PROFILE_FOLDERS):
        with contextlib.suppress(OSError):
            if has_uuid(Path(path).read_bytes(), uuids):
                found.append(path)
    return found


def list_keyfiles(*folders: str) -> list[str]:
    """What NetworkManager takes for keyfiles: none whose name begins with a dot, no folder (a backup, mostly)."""
    found = [p for folder in folders if Path(folder).is_dir() for p in sorted(Path(folder).glob("[!.]*"))]
    return [str(p) for p in found if not p.is_dir()]


def has_uuid(keyfile: bytes, uuids: list[str]) -> bool:
    """Whether a keyfile names one of these profiles. A person's may do so in capitals and with blanks; or not at all:
    then NetworkManager derives the UUID from the path, and writes it down when it saves the profile."""
    said = {found.lower() for found in re.findall(rb"^[ \t]*uuid[ \t]*=[ \t]*([^\s]+)", keyfile, re.MULTILINE)}
    return any(uuid.lower().encode() in said for uuid in uuids)


def read_name_servers() -> dict[str, Json]:
    """The name servers and domains that NetworkManager has from each interface."""
    path = f"{OBJECT_PATH}/DnsManager"
    words = ("busctl", "--json=short", "get-property", BUS_NAME, path, f"{BUS_NAME}.DnsManager", "Configuration")
    found: dict[str, Json] = {}
    for row in programs.run_json(*words)["data"]:
        held = {key: row[key]["data"] for key in ("nameservers", "domains") if row.get(key, {}).get("data")}
        if held and "interface" in row:
            found[row["interface"]["data"]] = held
    return found


def read_global_dns() -> Json:
    """NetworkManager's global name servers, which go before those of every interface: as busctl tells them. nmstate
    (2.2.62) makes name servers global where no interface can have them; NetworkManager writes that to INTERN at once,
    and 1.42 does not take it back with a checkpoint."""
    try:
        text = Path(INTERN_FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    if not re.search(r"^\[[^\]\n]*global-dns", text, re.MULTILINE):  # a person's, in NetworkManager.conf: not settable
        return {}
    held: Json = programs.run_json(
        "busctl", "--json=short", "get-property", BUS_NAME, OBJECT_PATH, BUS_NAME, GLOBAL_DNS_PROPERTY
    )["data"]
    return held


def global_dns_command(wanted: Json) -> list[str]:
    """The command that does it."""
    place = [BUS_NAME, OBJECT_PATH, BUS_NAME, GLOBAL_DNS_PROPERTY]
    return ["busctl", "set-property", *place, "a{sv}", *_busctl_arguments("a{sv}", wanted)]


def _busctl_arguments(kind: str, value: Any) -> list[str]:
    """What busctl tells of a value, as it wants it to be said."""
    if kind == "s":
        return [str(value)]
    if kind == "as":
        return [str(len(value)), *value]
    if kind != "a{sv}":
        raise HostError(f"a value of the type {kind}")
    entries = [[key, held["type"], *_busctl_arguments(held["type"], held["data"])] for key, held in value.items()]
    return [str(len(entries)), *(word for entry in entries for word in entry)]


def is_running() -> bool:
    """Whether systemd has NetworkManager running."""
    with contextlib.suppress(HostError):
        return programs.run("systemctl", "is-active", "NetworkManager").strip() == "active"
    return False


def make_responsive() -> bool:
    """Start NetworkManager when it does not run, and anew when it does not answer: without it no profile can
    be given back. It leaves the links as they are when it goes. Says whether it was killed, with what else it kept up
    (a VPN)."""
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
