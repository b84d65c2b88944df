"""Reads the interfaces that ifupdown (Debian) configures, from /etc/network/interfaces: interfaces(5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kvmnet.host.text_files import absolute, read_text

#: The options that list ports: of bridges (bridge-utils-interfaces(5)) and of bonds (ifenslave). ifupdown accepts `-`
#: and `_` in each.
_BRIDGE_PORTS, _BOND_PORTS = ("bridge-ports",), ("bond-slaves", "slaves")
#: Words among the ports that are no interface.
_NO_PORTS = ("none", "all", "auto")
#: The words that begin another stanza.
_OTHER_STANZAS = ("auto", "mapping", "source", "source-directory", "no-auto-down", "no-scripts", "template", "rename")


@dataclass(frozen=True)
class Stanza:
    """An `iface` stanza: its interface, the file, and the ports of its bridge or bond."""

    name: str
    file: str
    bridge_ports: tuple[str, ...] = ()
    bond_ports: tuple[str, ...] = ()


def read_stanzas(root: Path) -> Iterator[Stanza]:
    """Yield the `iface` stanzas without the loopback interface's."""
    for path in [root / "etc/network/interfaces", *sorted((root / "etc/network/interfaces.d").glob("*"))]:
        lines = [line.split() for line in read_text(path).replace("\\\n", " ").splitlines()]
        for name, options in _split_stanzas(lines):
            if name != "lo":
                bridge_ports = tuple(_find_ports(options, _BRIDGE_PORTS))
                yield Stanza(name, absolute(root, path), bridge_ports, tuple(_find_ports(options, _BOND_PORTS)))


def _split_stanzas(lines: Iterable[list[str]]) -> list[tuple[str, list[list[str]]]]:
    """Return the name of each `iface` stanza and its options, each as words."""
    stanzas: list[tuple[str, list[list[str]]]] = []
    options: list[list[str]] = []
    for words in lines:
        if not words or words[0].startswith("#"):
            continue
        if words[0] in _OTHER_STANZAS or words[0].startswith("allow-"):
            options = []
        elif words[0] == "iface" and len(words) > 1:
            options = []
            stanzas.append((words[1], options))
        else:
            options.append(words)
    return stanzas


def _find_ports(options: Iterable[list[str]], keys: Iterable[str]) -> Iterator[str]:
    """Yield the interfaces that these options list. Between `regex` and `noregex` are patterns."""
    for option, *words in options:
        if option.replace("_", "-") not in keys:
            continue
        is_pattern = False
        for word in words:
            if word in ("regex", "noregex"):
                is_pattern = word == "regex"
            elif not is_pattern and word not in _NO_PORTS:
                yield word
