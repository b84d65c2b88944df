"""The name that udev gives a NIC at boot: that of the first matching `.link` file (systemd.link(5))."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

Sections = Mapping[str, Mapping[str, str]]
"""The values of a `.link` file by section and key; those of a repeated key are separated by blanks."""

_EVALUATED = frozenset({"MACAddress", "PermanentMACAddress", "OriginalName", "Driver", "Path", "Type"})


@dataclass(frozen=True)
class NamedNic:
    """What a `.link` file can match of a NIC: its name now, permanent MAC address, driver and path (empty: unknown)."""

    name: str
    mac: str
    driver: str = ""
    path: str = ""


def parse_link_file(text: str) -> dict[str, dict[str, str]]:
    """Return the `Key=Value` lines of each [Section]. A repeated key adds to its value; an empty value clears it."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in (row.strip() for row in text.replace("\\\n", " ").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], {})
        elif line and line[0] not in "#;" and "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            current[key] = " ".join([*current.get(key, "").split(), *value.split()]) if value else ""
    return sections


def find_boot_name(nic: NamedNic, files: Iterable[Sections]) -> str:
    """Return the name of a NIC at boot. `files` are in the order in which udev reads them. The current name stays when
    the first file that matches gives none, leaves it to a NamePolicy, or has conditions that are not evaluated."""
    for sections in files:
        match = sections.get("Match", {})
        if not match or not all(_condition_matches(key, value.split(), nic) for key, value in match.items()):
            continue
        link = sections.get("Link", {})
        is_certain = not (set(match) - _EVALUATED) and not link.get("NamePolicy")
        return (link.get("Name") or nic.name) if is_certain else nic.name
    return nic.name


def _condition_matches(key: str, items: Sequence[str], nic: NamedNic) -> bool:
    if key in ("MACAddress", "PermanentMACAddress"):
        return nic.mac in [item.lower().replace("-", ":") for item in items]
    if key == "Kind":  # virtual links have a kind
        return False
    texts = {"OriginalName": nic.name, "Driver": nic.driver, "Path": nic.path, "Type": "ether"}
    if key not in texts or not items:
        return True
    is_negated = items[0].startswith("!")
    patterns = [items[0].removeprefix("!"), *items[1:]]
    return any(fnmatchcase(texts[key], pattern) for pattern in patterns) != is_negated
