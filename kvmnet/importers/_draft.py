"""A definition that an importer puts together, and its text: with comments that show where each part came from, and
with groups for what hosts have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

from kvmnet.core.base.problem import printable
from kvmnet.core.rendering.yaml_writer import format_scalar

#: What differs between the interfaces of similar hosts, so it stays with the host.
_OWN_KEYS = ("mac", "match", "addresses")
#: A mapping longer than this gets one line for each key.
_WIDTH = 110


class Origin(NamedTuple):
    """A line of an imported file. Lines start at 1."""

    file: str
    line: int

    @property
    def text(self) -> str:
        """The place as a comment shows it."""
        return printable(f"{self.file}:{self.line}")


@dataclass
class Part:
    """A network, an interface or a guest: its keys, and where it came from."""

    values: dict[str, Any] = field(default_factory=dict)
    origin: Optional[Origin] = None
    comment: str = ""


@dataclass
class HostPart:
    """A host. `kind` is what the other tool calls this kind of host: it becomes the name of a group."""

    settings: dict[str, Any] = field(default_factory=dict)
    interfaces: dict[str, Part] = field(default_factory=dict)
    kind: str = ""
    origin: Optional[Origin] = None


@dataclass
class Draft:
    """A definition in the making. `title` is a comment at its top."""

    title: str
    cluster: str
    policy: str
    networks: dict[str, Part] = field(default_factory=dict)
    hosts: dict[str, HostPart] = field(default_factory=dict)
    guests: dict[str, Part] = field(default_factory=dict)
    routes: list[Part] = field(default_factory=list)
    remarks: list[Part] = field(default_factory=list)
    """What is known but has no place in the definition yet: comments at its end."""


def write_entries(draft: Draft) -> dict[str, list[str]]:
    """Return the lines of the networks, hosts and guests of a draft without groups, indented by two blanks."""
    return {
        "networks": _section("", draft.networks)[1:],
        "hosts": [line for name, host in draft.hosts.items() for line in _host(name, host)],
        "guests": _section("", draft.guests)[1:],
    }


def write_draft(draft: Draft) -> str:
    """Return the definition as YAML. Equal drafts give equal texts."""
    lines = [f"# {line}" for line in draft.title.splitlines()]
    lines += ["kvmnet: 1", f"cluster: {format_scalar(draft.cluster)}", f"profile: {format_scalar(draft.policy)}"]
    lines += _section("networks", draft.networks)
    if draft.routes:
        lines += ["routes:", *(_with_comment(f"  - {_flow(part.values)}", part) for part in draft.routes)]
    groups = _find_groups(draft.hosts)
    if groups:
        lines.append("groups:")
        for group in groups:
            interfaces = {name: Part(values) for name, values in group.interfaces.items()}
            lines += _host(group.name, HostPart(group.settings, interfaces))
    lines.append("hosts:" if draft.hosts else "hosts: {}")
    if draft.hosts:
        group_of = {name: group for group in groups for name in group.hosts}
        for name, host in draft.hosts.items():
            lines += _host(name, _without_group(host, group_of[name]) if name in group_of else host)
    lines += _section("guests", draft.guests)
    lines += [f"# {printable(_join_comments(part))}" for part in draft.remarks]
    return "".join(line + "\n" for line in lines)


@dataclass
class _Group:
    """A group: its name, the hosts in it, and what they have in common."""

    name: str
    hosts: list[str]
    settings: dict[str, Any]
    interfaces: dict[str, dict[str, Any]]


def _find_groups(hosts: Mapping[str, HostPart]) -> list[_Group]:
    """Return a group for each set of two or more hosts that differ only in MAC addresses and IP addresses."""
    similar: dict[str, list[str]] = {}
    for name, host in hosts.items():
        shared = {key: _shared(part.values) for key, part in host.interfaces.items()}
        similar.setdefault(repr((host.kind, host.settings, shared)), []).append(name)
    groups: list[_Group] = []
    used = set(hosts)
    for names in similar.values():
        first = hosts[names[0]]
        if len(names) < 2 or not (first.settings or first.interfaces):
            continue
        name = _free_name(first.kind or f"like-{names[0]}", used)
        used.add(name)
        interfaces = {key: _shared(part.values) for key, part in first.interfaces.items()}
        groups.append(_Group(name, names, first.settings, interfaces))
    return groups


def _shared(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _OWN_KEYS}


def _free_name(name: str, used: Iterable[str]) -> str:
    taken = set(used)
    return next(n for n in (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))) if n not in taken)


def _without_group(host: HostPart, group: _Group) -> HostPart:
    """Return what a host has besides its group."""
    interfaces = {}
    for name, part in host.interfaces.items():
        own = {key: value for key, value in part.values.items() if key in _OWN_KEYS}
        if own:
            interfaces[name] = Part(own, part.origin, part.comment)
    return HostPart({"group": group.name}, interfaces, origin=host.origin)


def _section(key: str, parts: Mapping[str, Part]) -> list[str]:
    if not parts:
        return []
    return [f"{key}:", *(line for name, part in parts.items() for line in _entry(name, part, "  "))]


def _host(name: str, host: HostPart) -> list[str]:
    comment = f"  # {host.origin.text}" if host.origin else ""
    if not host.settings and not host.interfaces:
        return [f"  {format_scalar(name)}: {{}}{comment}"]
    lines = [f"  {format_scalar(name)}:{comment}"]
    for key, value in host.settings.items():
        if isinstance(value, list) and value and isinstance(value[0], Part):
            lines.append(f"    {key}:")
            lines += [_with_comment(f"      - {_flow(part.values)}", part) for part in value]
        else:
            lines.append(f"    {key}: {_flow(value)}")
    if host.interfaces:
        lines.append("    interfaces:")
        for key, part in host.interfaces.items():
            lines += _entry(key, part, "      ")
    return lines


def _entry(name: str, part: Part, indent: str) -> list[str]:
    """Return the lines of a part: one if it is short enough, otherwise one for each key."""
    line = f"{indent}{format_scalar(name)}: {_flow(part.values)}"
    if len(line) <= _WIDTH:
        return [_with_comment(line, part)]
    keys = [f"{indent}  {format_scalar(key)}: {_flow(value)}" for key, value in part.values.items()]
    return [_with_comment(f"{indent}{format_scalar(name)}:", part), *keys]


def _with_comment(line: str, part: Part) -> str:
    comment = _join_comments(part)
    return f"{line}  # {comment}" if comment else line


def _join_comments(part: Part) -> str:
    return ", ".join(text for text in (printable(part.comment), part.origin.text if part.origin else "") if text)


def _flow(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{format_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return format_scalar(value)
