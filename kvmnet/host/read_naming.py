"""Reads what names NICs besides kvmnet: .link files and udev rules. core/refusals/udev_naming evaluates it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from kvmnet.core.live.surroundings import LinkFile, NamingRule
from kvmnet.host.text_files import parse_sections, read_text

OURS = "# Written by kvmnet"
_NAMING = ("Name", "NamePolicy", "AlternativeName", "AlternativeNamesPolicy", "Description", "Alias")
VENDOR_RULES = Path("/usr/lib/udev/rules.d")
#: Kernel command line options for which a vendor's udev rule names NICs before any .link file does (EL 9).
_RULE_OF_OPTION = {"biosdevname=1": "71-biosdevname.rules", "net.ifnames.prefix=": "71-prefixdevname.rules"}


def read_link_files(folders: Iterable[Path]) -> Iterator[LinkFile]:
    """Yield the .link files that kvmnet did not write, in the order in which udev uses them."""
    paths: dict[str, Path] = {}
    folders = list(folders)
    for folder in folders:
        for path in sorted(folder.glob("*.link")) if folder.is_dir() else []:
            paths.setdefault(path.name, path)
    for name in sorted(paths):
        text = read_text(paths[name])
        # an empty file, or a link to /dev/null, only disables files of the same name
        if not text.strip() or (name.startswith("00-kvmnet-") and text.startswith(OURS)):
            continue
        drop_ins = {p.name: p for folder in reversed(folders) for p in folder.glob(f"{name}.d/*.conf")}
        sections = parse_sections("\n".join([text, *(read_text(drop_ins[n]) for n in sorted(drop_ins))]))
        yield LinkFile(str(paths[name]), sections.pop("Match", {}), tuple(_list_other_settings(sections)))


def _list_other_settings(sections: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield the keys of a .link file that do more than name the NIC, and its other sections."""
    for section, keys in sections.items():
        if section == "Link":
            for key, value in keys.items():
                # these two keep the MAC address of a NIC
                if key not in _NAMING and not (key == "MACAddressPolicy" and value in ("persistent", "none")):
                    yield key
        elif keys:
            yield f"[{section}]"


def find_naming_rules(
    folders: Iterable[Path],
    ifcfg: Path = Path("/etc/sysconfig/network-scripts"),
    cmdline: Path = Path("/proc/cmdline"),
) -> Iterator[NamingRule]:
    """Yield the udev rules that assign NAME=.

    Of the vendor's rules only two kinds matter: 60-net.rules of the initscripts, if an ifcfg file has HWADDR=, and
    those that an option on the kernel command line enables.
    """
    names: set[str] = set()
    files = []
    for folder in folders:
        files += [p for p in sorted(folder.glob("*.rules")) if p.name not in names]
        names |= {p.name for p in files}
    vendor = VENDOR_RULES / "60-net.rules"
    if vendor.name not in names and vendor.exists() and any("HWADDR=" in read_text(p) for p in ifcfg.glob("ifcfg-*")):
        files.append(vendor)
    for option, name in _RULE_OF_OPTION.items():
        path = VENDOR_RULES / name
        if path.exists() and re.search(rf"(?m)(^|\s){option}", read_text(cmdline)):
            yield NamingRule(str(path), f'NAME="%c" ({option} in {cmdline})')
    for path in files:
        for line in read_text(path).replace("\\\n", " ").splitlines():
            rule = line.strip()
            assigned = re.search(r'(?<![A-Z_])NAME\s*:?=\s*"([^"]*)"', rule)
            if assigned and not rule.startswith("#") and assigned[1] != "$env{ID_NET_NAME}":
                yield NamingRule(str(path), rule)
