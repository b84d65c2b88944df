"""Reads where the configuration of other tools names interfaces: firewall rules, settings, daemons, libvirt networks.

A change of an interface's role makes such places ineffective without an error. core/effects/name_uses evaluates it.
Missing programs, and what the user may not read, are left out.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from kvmnet.core.live.running_guests import bridge_of
from kvmnet.core.live.surroundings import LIBVIRT_NETWORK, NameUse
from kvmnet.host.libvirt import read_defined_xml
from kvmnet.host.text_files import absolute, read_text
from kvmnet.system import programs
from kvmnet.system.errors import HostError

#: How many places of one kind are read at most: a host with containers has thousands of rules.
MOST = 50
#: Seconds for each program.
_PATIENCE = 5
_DIRECT_RULES = "etc/firewalld/direct.xml"
_SAVERS = {"iptables-save": "iptables rule", "ip6tables-save": "ip6tables rule", "ebtables-save": "ebtables rule"}
_INTERFACE_OPTION = re.compile(
    r"(?:^|\s)(?:-[io]|--(?:in|out)-interface|--physdev-(?:in|out)|--logical-(?:in|out))\s+(\S+)"
)
#: The chains in which firewalld names interfaces, if its backend is iptables: its dispatchers, and those of a zone for
#: traffic within it (`FWD_trusted_allow`). They follow the zones that kvmnet sets.
_FIREWALLD_CHAIN = re.compile(
    r"(?:INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)(?:_IN|_OUT)?_(?:ZONES|POLICIES)\b"
    r"|(?:IN|OUT|FWD[IO]?|PRE|POST)_[\w-]+_(?:pre|log|deny|allow|post)\Z"
)
#: The tables of iptables, which nft lists too if iptables uses nf_tables.
_USES_NFTABLES = "(nf_tables) on "
_IPTABLES_TABLES = ("filter", "nat", "mangle", "raw", "security")
_QUOTED = re.compile(r'"([^"\s]{1,15})"')
_NFT_TEXTS = re.compile(r'\b(?:comment|prefix|helper)\s+"[^"]*"')
_SYSCTL = re.compile(r"\s*-?net(?P<separator>[./])ipv[46][./](?:conf|neigh)[./](?P<name>.+)[./]\w+\s*=")
_SYSCTL_FOLDERS = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d")
#: Files of daemons: what they are, the files, and what names interfaces in them (several may be in one value).
_DAEMONS = (
    (
        "setting of dnsmasq",
        ("etc/dnsmasq.conf", "etc/dnsmasq.d/*"),
        r"\s*(?:interface|except-interface|no-dhcp-interface|auth-server)=(.+)",
    ),
    ("setting of radvd", ("etc/radvd.conf",), r"\s*interface\s+(\S+)"),
    (
        "setting of keepalived",
        ("etc/keepalived/*.conf", "etc/keepalived/conf.d/*.conf"),
        r"\s*(?:interface|lvs_sync_daemon|track_interface)\s+(.+)",
    ),
    (
        "setting of dhcpd",
        ("etc/default/isc-dhcp-server", "etc/sysconfig/dhcpd"),
        r"\s*(?:INTERFACES\w*|DHCPDARGS)=(.+)",
    ),
    ("setting of FRRouting", ("etc/frr/*.conf",), r"interface\s+(\S+)"),
)


def find_name_uses(root: Path, names: Collection[str]) -> Iterator[NameUse]:
    """Yield the places that name one of these interfaces, of each kind the first `MOST`."""
    direct = list(itertools.islice(_find_direct_rules(root, names), MOST))
    yield from direct
    saved = {what: _run(program) for program, what in _SAVERS.items()}
    for what, text in saved.items():
        yield from itertools.islice(_find_saved_rules(text, what, names, without_direct=bool(direct)), MOST)
    uses_nftables = any(_USES_NFTABLES in text for text in saved.values())
    yield from itertools.islice(_find_nft_rules(_run("nft", "list", "ruleset"), names, uses_nftables), MOST)
    for finder in (_find_sysctls, _find_settings_of_daemons, _find_networks):
        yield from itertools.islice(finder(root, names), MOST)


def _run(*command: str) -> str:
    """Return what a program prints; nothing if it is missing or fails."""
    with contextlib.suppress(HostError, OSError):
        return programs.run(*command, timeout=_PATIENCE)
    return ""


def _match(patterns: Collection[str], names: Collection[str]) -> tuple[str, ...]:
    """Return the interfaces that one of the patterns matches: `*` or, in iptables, `+` at the end stands for any
    text."""
    globs = [re.sub(r"\+\Z", "*", pattern.strip("\"'")).replace("[", "[[]") for pattern in patterns]
    return tuple(name for name in names if any(fnmatchcase(name, glob) for glob in globs if glob.strip("*")))


def _find_direct_rules(root: Path, names: Collection[str]) -> Iterator[NameUse]:
    """Yield firewalld's permanent direct rules. In the kernel, they are in the chains of iptables called …_direct."""
    try:
        tree = ET.fromstring(read_text(root / _DIRECT_RULES) or "<direct/>")
    except ET.ParseError:
        return
    for rule in tree:
        text = " ".join((rule.text or "").split())
        if found := _match(_INTERFACE_OPTION.findall(text), names):
            place = " ".join(filter(None, (rule.get("ipv"), rule.get("table"), rule.get("chain"))))
            yield NameUse("direct rule of firewalld", f"{place} {text}".strip(), found)


def _find_saved_rules(text: str, what: str, names: Collection[str], *, without_direct: bool) -> Iterator[NameUse]:
    for line in text.splitlines():
        chain = line.split(" ", 2)[1] if line.startswith("-A ") else ""
        if not chain or _FIREWALLD_CHAIN.match(chain) or (without_direct and chain.endswith("_direct")):
            continue
        if found := _match(_INTERFACE_OPTION.findall(line), names):
            yield NameUse(what, line.strip(), found)


def _find_nft_rules(text: str, names: Collection[str], without_iptables: bool) -> Iterator[NameUse]:
    """Yield the rules, chains, sets and flow tables of nftables that contain a quoted name. The tables of firewalld
    follow the zones, which kvmnet sets."""
    table, is_skipped = "", False
    for line in text.splitlines():
        words = line.split()
        if line.startswith("table ") and len(words) > 2:
            family, name = words[1:3]
            table = f"{family} {name}"
            is_iptables = family in ("ip", "ip6", "bridge") and name in _IPTABLES_TABLES
            is_skipped = name == "firewalld" or (without_iptables and is_iptables)
        elif not is_skipped and (found := _match(_QUOTED.findall(_NFT_TEXTS.sub("", line)), names)):
            yield NameUse("nftables rule", f"{table}: {line.strip()}", found)


def _find_sysctls(root: Path, names: Collection[str]) -> Iterator[NameUse]:
    """Yield settings like net.ipv4.conf.eth0.rp_filter. In the form with dots, a slash stands for a dot in the name
    (sysctl.d(5))."""
    files: dict[str, Path] = {}
    for folder in _SYSCTL_FOLDERS:
        for path in (root / folder).glob("*.conf"):
            files.setdefault(path.name, path)
    for path in [*(files[name] for name in sorted(files)), root / "etc/sysctl.conf"]:
        for line in read_text(path).splitlines():
            setting = _SYSCTL.match(line)
            if setting is None:
                continue
            name = setting["name"]
            if setting["separator"] == ".":
                name = name.translate(str.maketrans("./", "/."))
            if found := _match([name], names):
                yield NameUse("kernel setting", f"{line.strip()} ({absolute(root, path)})", found)


def _find_settings_of_daemons(root: Path, names: Collection[str]) -> Iterator[NameUse]:
    for what, globs, pattern in _DAEMONS:
        for path in (path for glob in globs for path in sorted(root.glob(glob))):
            for line in read_text(path).splitlines():
                setting = re.match(pattern, line)
                if setting and (found := _match(re.split(r"[\s,\"'{}]+", setting[1]), names)):
                    yield NameUse(what, f"{line.strip()} ({absolute(root, path)})", found)


def _find_networks(root: Path, names: Collection[str]) -> Iterator[NameUse]:
    """Yield the libvirt networks that name a device for their traffic, or a bridge of the host; active or not."""
    for text in read_defined_xml(root).networks:
        with contextlib.suppress(ET.ParseError):
            network = ET.fromstring(text)
            devices = [
                e.get("dev", "")
                for tag in ("forward", "forward/interface", "forward/pf")
                for e in network.iterfind(tag)
            ]
            _, bridge = bridge_of(text) or ("", "")
            if found := _match([device for device in (*devices, bridge) if device], names):
                yield NameUse(LIBVIRT_NETWORK, network.findtext("name", "?"), found)
