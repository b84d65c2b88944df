"""Reads the files of /etc/sysconfig/network-scripts: assignments of a shell, and lines of routes and rules.

The format is that of the initscripts (sysconfig.txt of Fedora's initscripts, nm-settings-ifcfg-rh(5)).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kvmnet.core.definition.document import Source
from kvmnet.importers._draft import Origin
from kvmnet.importers._report import Report

#: Files that editors, packages and people leave behind; the initscripts ignore them too.
_LEFTOVER = re.compile(r"(~|\.bak|\.orig|\.old|\.save|\.swp|\.rpmnew|\.rpmorig|\.rpmsave|\.augnew|\.augtmp)\Z", re.I)
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z")
_NAME = re.compile(r"(ifcfg|route6?|rule6?)-(.+)\Z")


@dataclass
class Settings:
    """The assignments of a file by key, and the line of each."""

    file: str
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def get(self, *keys: str) -> str:
        """Return the value of the first key that has one, or an empty string."""
        return next((self.values[key] for key in keys if self.values.get(key)), "")

    def is_yes(self, *keys: str) -> bool:
        """Whether a switch is on."""
        return self.get(*keys).lower() in ("yes", "true", "1", "on", "y")

    def is_no(self, *keys: str) -> bool:
        """Whether a switch is off."""
        return self.get(*keys).lower() in ("no", "false", "0", "off", "n")

    def origin(self, *keys: str) -> Origin:
        """Return the line of the first key that the file has, or that of its beginning."""
        return Origin(self.file, next((self.lines[key] for key in keys if key in self.lines), 1))


@dataclass
class TextLine:
    """A line of a file of routes or rules, without comments."""

    text: str
    origin: Origin


@dataclass
class Folder:
    """The files of one host: settings by interface, lines of routes and of rules by interface, and the global ones."""

    interfaces: dict[str, Settings] = field(default_factory=dict)
    routes: dict[str, list[TextLine]] = field(default_factory=dict)
    rules: dict[str, list[TextLine]] = field(default_factory=dict)
    static_routes: list[TextLine] = field(default_factory=list)
    network: Settings = field(default_factory=lambda: Settings("network"))


def is_leftover(name: str) -> bool:
    """Whether a file is a copy that nothing reads."""
    return bool(_LEFTOVER.search(name))


def read_folder(sources: Iterable[Source], report: Report) -> Folder:
    """Return the files of one host by what they are. Other files are reported as not about the network."""
    folder = Folder()
    for source in sources:
        base = source.name.rpartition("/")[2]
        match = _NAME.match(base)
        if is_leftover(base):
            report.skip("a copy, which nothing reads", Origin(source.name, 1))
        elif match is None and base == "network":
            folder.network = read_settings(source, report)
        elif match is None and base == "static-routes":
            folder.static_routes += read_text_lines(source)
        elif match is None:
            report.skip("not a file of an interface, its routes or its rules", Origin(source.name, 1))
        elif match[1] == "ifcfg":
            folder.interfaces[match[2]] = read_settings(source, report)
        else:
            lines = folder.rules if match[1].startswith("rule") else folder.routes
            lines.setdefault(match[2], []).extend(_read_routes(source, report))
    return folder


def read_settings(source: Source, report: Report) -> Settings:
    """Return the assignments of a file. Other lines are reported."""
    settings = Settings(source.name)
    for number, line in enumerate(source.text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.match(line)
        try:
            words = shlex.split(match[2], comments=True) if match else None
        except ValueError:
            words = None
        if match is None or words is None:
            report.lose(f"the line is not an assignment: {line.strip()}", Origin(source.name, number))
            continue
        settings.values[match[1].upper()] = " ".join(words)
        settings.lines[match[1].upper()] = number
    return settings


def read_text_lines(source: Source) -> list[TextLine]:
    """Return the lines of a file that are neither empty nor comments."""
    rows = ((line.partition("#")[0].strip(), number) for number, line in enumerate(source.text.splitlines(), 1))
    return [TextLine(text, Origin(source.name, number)) for text, number in rows if text]


def _read_routes(source: Source, report: Report) -> list[TextLine]:
    """Return the routes of a file as arguments of `ip route`, also those that are written as ADDRESS0=, NETMASK0= and
    GATEWAY0=."""
    if not re.search(r"(?m)^\s*ADDRESS[0-9]+=", source.text):
        return read_text_lines(source)
    settings = read_settings(source, report)
    return [
        TextLine(_join_route(settings.values, key[7:]), settings.origin(key))
        for key in settings.values
        if re.fullmatch(r"ADDRESS[0-9]+", key)
    ]


def _join_route(values: Mapping[str, str], number: str) -> str:
    words = [f"{values[f'ADDRESS{number}']}/{values.get(f'NETMASK{number}') or '32'}"]
    for key, word in (("GATEWAY", "via"), ("METRIC", "metric")):
        if values.get(f"{key}{number}"):
            words += [word, values[f"{key}{number}"]]
    return " ".join(words)
