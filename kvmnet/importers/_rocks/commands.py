"""Reads the commands of `rocks dump`, and those that were typed between the tables of a paste."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from kvmnet.importers._draft import Origin
from kvmnet.importers._report import Report
from kvmnet.importers._rocks.records import ATTRIBUTE, GUEST, HOST, INTERFACE, NETWORK, ROUTE, Record


@dataclass(frozen=True)
class Verb:
    """A command: its records, the keys of its positional words, and the keys of its parameters (KEY=VALUE) where they
    have another name in records. `only`: words with other keys are values, such as `mode=4` among options."""

    record: str
    positions: tuple[str, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    only: bool = False


_INTERFACE_PARAMETERS = {
    "iface": "device",
    "subnet": "network",
    "vlanid": "vlan",
}
_PARAMETERS_OF_SET = {"host": "host", **_INTERFACE_PARAMETERS}
_ROUTE_PARAMETERS = {"address": "subnet", "network": "subnet"}
#: `set host interface FIELD HOST IFACE VALUE`: the field's key in records.
_FIELDS = {
    "ip": "ip",
    "name": "name",
    "mac": "mac",
    "module": "module",
    "subnet": "network",
    "vlan": "vlan",
    "options": "options",
    "channel": "channel",
    "gateway": "gateway",
    "netmask": "netmask",
    "iface": "new-device",
}

VERBS = {
    "add network": Verb(NETWORK, ("name", "subnet", "netmask")),
    "set network mtu": Verb(NETWORK, ("name", "mtu")),
    "set network subnet": Verb(NETWORK, ("name", "subnet")),
    "set network netmask": Verb(NETWORK, ("name", "netmask")),
    "set network dnszone": Verb(NETWORK, ("name", "dnszone")),
    "set network servedns": Verb(NETWORK, ("name", "servedns")),
    "add host": Verb(HOST, ("host",)),
    "set host membership": Verb(HOST, ("host", "membership")),
    "add host interface": Verb(INTERFACE, ("host", "device"), _INTERFACE_PARAMETERS),
    **{
        f"set host interface {name}": Verb(
            INTERFACE, ("host", "device", key), {**_PARAMETERS_OF_SET, name: key}, only=True
        )
        for name, key in _FIELDS.items()
    },
    "add host route": Verb(ROUTE, ("host", "subnet", "gateway"), _ROUTE_PARAMETERS),
    "add route": Verb(ROUTE, ("subnet", "gateway"), _ROUTE_PARAMETERS),
    "add appliance route": Verb(ROUTE, ("appliance", "subnet", "gateway"), _ROUTE_PARAMETERS),
    "add os route": Verb(ROUTE, ("os", "subnet", "gateway"), _ROUTE_PARAMETERS),
    "add host vm": Verb(GUEST, ("guest",), {"physnode": "host", "membership": "membership"}),
    "set host vm": Verb(GUEST, ("guest",), {"physnode": "host"}),
    "add attr": Verb(ATTRIBUTE, ("attribute", "value"), {"attr": "attribute"}),
    "set attr": Verb(ATTRIBUTE, ("attribute", "value"), {"attr": "attribute"}),
    "add appliance attr": Verb(ATTRIBUTE, ("appliance", "attribute", "value"), {"attr": "attribute"}),
    "set appliance attr": Verb(ATTRIBUTE, ("appliance", "attribute", "value"), {"attr": "attribute"}),
    "add host attr": Verb(ATTRIBUTE, ("host", "attribute", "value"), {"attr": "attribute"}),
    "set host attr": Verb(ATTRIBUTE, ("host", "attribute", "value"), {"attr": "attribute"}),
}
_BONDED = Verb(INTERFACE, ("host",), {**_INTERFACE_PARAMETERS, "channel": "device", "network": "network"})
#: Commands on hosts that are not about the network.
_SKIPPED = {
    f"add host {noun}" for noun in ("alias", "firewall", "key", "message", "partition", "sec_attr", "bootflags")
}
#: Commands that print, or act on the running machines: they do not define the network.
_WITHOUT_DATA = ("list", "sync", "run", "dump", "report", "help", "create", "start", "stop", "enable", "open", "update")
#: Words in a command that is not supported and that would change the network.
_NETWORK_WORDS = {"network", "interface", "route", "vlan", "bond", "bonded", "subnet", "interfaces"}


def read_command(command: str, origin: Origin, report: Report) -> list[Record]:
    """Return the records of a command (without `rocks`): none if it is not about the network."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        report.lose(f"the command has an open quote: rocks {command}", origin)
        return []
    if words and " " in words[0]:
        words = [*words[0].split(), *words[1:]]  # `rocks dump` quotes "add host"
    if not words or words[0] in _WITHOUT_DATA:
        return []
    if words[:3] == ["add", "host", "bonded"]:
        return _read_bonded(words[3:], origin)
    verb, arguments = _find_verb(words)
    if verb is None:
        message = f"the command is not known to kvmnet: rocks {' '.join(words)}"
        (report.lose if _NETWORK_WORDS & set(words[:3]) else report.skip)(message, origin)
        return []
    return [_make_record(verb, arguments, origin)]


def _read_bonded(arguments: list[str], origin: Origin) -> list[Record]:
    """Return the records of a bond and its ports: `rocks add host bonded HOST channel=bond0 interfaces=eth0,eth1`."""
    bond = _make_record(_BONDED, arguments, origin)
    values = dict(bond.values)
    ports = values.pop("interfaces", "").replace(",", " ").split()
    port = {"host": values.get("host", ""), "channel": values.get("device", "")}
    rows = [values, *({**port, "device": name} for name in ports)]
    return [Record(INTERFACE, row, origin, is_command=True) for row in rows]


def _find_verb(words: list[str]) -> tuple[Optional[Verb], list[str]]:
    """Return the verb that a command begins with (the longest one), and the rest of its words."""
    if " ".join(words[:3]) in _SKIPPED:
        return None, words
    for length in (4, 3, 2):
        verb = VERBS.get(" ".join(words[:length]))
        if verb is not None:
            return verb, words[length:]
    return None, words


def _make_record(verb: Verb, arguments: list[str], origin: Origin) -> Record:
    values: dict[str, str] = {}
    positional: list[str] = []
    for word in arguments:
        key, equals, value = word.partition("=")
        if equals and (key in verb.parameters if verb.only else key.replace("-", "").isalnum()):
            values[verb.parameters.get(key, key)] = value
        else:
            positional.append(word)
    for key, word in zip(verb.positions, positional):
        values.setdefault(key, word)
    empty = ("", "None", "NULL")
    return Record(verb.record, {k: v for k, v in values.items() if v not in empty}, origin, is_command=True)
