"""Reads which programs configure interfaces, or keep NetworkManager off them: its configuration, udev, systemd-networkd
and ifupdown. core/refusals evaluates it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kvmnet.core.live.surroundings import ConfigFile, UnmanagedRule
from kvmnet.host.ifupdown import read_stanzas
from kvmnet.host.text_files import absolute, read_text

#: NetworkManager reads these in this order. One of the same name in a later folder hides a drop-in (nm-config.c).
_DROP_INS = ("usr/lib/NetworkManager/conf.d", "run/NetworkManager/conf.d", "etc/NetworkManager/conf.d")
_MAIN = "etc/NetworkManager/NetworkManager.conf"
#: A file without any of these words decides nothing that matters here.
_RELEVANT = re.compile(r"unmanaged-devices|managed\s*=|plugins|^\s*path\s*=", re.MULTILINE)
#: udev(7): a file hides those of the same name in later folders.
_RULE_FOLDERS = ("etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d")
_MATCH = re.compile(r'([A-Z]+(?:\{[^}]*\})?)\s*(==|!=)\s*"([^"]*)"')
_UNMANAGED = re.compile(r'ENV\{NM_UNMANAGED\}\s*:?=\s*"(1|true|yes|on)"')
#: What a rule may compare so that it is evaluated: the first ones are the interface's name, the others do not matter.
_NAME_KEYS, _PASSED_KEYS = ("KERNEL", "ENV{INTERFACE}"), ("SUBSYSTEM", "ACTION")
#: States of systemd-networkd's links (networkctl(1)) in which it configures them.
_CONFIGURED = ("configuring", "configured", "failed")


def read_manager_files(root: Path) -> Iterator[ConfigFile]:
    """Yield the files of NetworkManager's configuration that decide what it manages and where it stores profiles, in
    the order in which it reads them."""
    folders = [sorted((root / folder).glob("*.conf")) for folder in _DROP_INS]
    in_lib, in_run, in_etc = folders
    later_names = {path.name for path in in_etc}
    shown_in_run = [path for path in in_run if path.name not in later_names]
    later_names |= {path.name for path in in_run}
    paths = [*(path for path in in_lib if path.name not in later_names), *shown_in_run, root / _MAIN, *in_etc]
    for path in paths:
        text = read_text(path)
        if _RELEVANT.search(text):
            yield ConfigFile(absolute(root, path), text)


def find_unmanaged_rules(root: Path) -> Iterator[UnmanagedRule]:
    """Yield the udev rules that set NM_UNMANAGED and compare nothing but the interface's name and type. A rule with
    other conditions is left out: whether it applies is only known once the interface exists."""
    paths: dict[str, Path] = {}
    for folder in _RULE_FOLDERS:
        for path in (root / folder).glob("*.rules"):
            paths.setdefault(path.name, path)
    for name in sorted(paths):
        for line in read_text(paths[name]).replace("\\\n", " ").splitlines():
            if _UNMANAGED.search(line) and not line.lstrip().startswith("#"):
                rule = _parse_rule(absolute(root, paths[name]), line)
                if rule is not None:
                    yield rule


def _parse_rule(file: str, line: str) -> UnmanagedRule | None:
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    for key, operator, value in _MATCH.findall(line):
        if key in _PASSED_KEYS:
            continue
        if operator != "==" or key not in (*_NAME_KEYS, "ENV{DEVTYPE}"):
            return None
        if key == "ENV{DEVTYPE}":
            types += tuple(value.split("|"))
        else:
            names += tuple(value.split("|"))
    return UnmanagedRule(file, names, types) if names or types else None


def find_links_of_networkd(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the interfaces that systemd-networkd has configured, each with its .network file. It keeps the files after
    it has stopped."""
    for path in sorted((root / "sys/class/net").glob("*/ifindex")):
        rows = read_text(root / "run/systemd/netif/links" / read_text(path).strip()).splitlines()
        values = dict(row.split("=", 1) for row in rows if "=" in row)
        if values.get("ADMIN_STATE") in _CONFIGURED:
            yield path.parent.name, values.get("NETWORK_FILE", "")


def find_interfaces_of_ifupdown(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the interfaces that ifupdown (Debian) configures, each with the file that names it: those of its stanzas,
    and the ports of their bridges and bonds; none without ifup."""
    if not any((root / path).exists() for path in ("usr/sbin/ifup", "sbin/ifup")):
        return
    for stanza in read_stanzas(root):
        for name in (stanza.name, *stanza.bridge_ports, *stanza.bond_ports):
            yield name, stanza.file
