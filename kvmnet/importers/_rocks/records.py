"""Records: what the formats of Rocks have in common. A record is a row of a table, a command or an object of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from kvmnet.importers._draft import Origin

NETWORK, HOST, INTERFACE, ROUTE, GUEST, CLUSTER_MEMBER, ATTRIBUTE = (
    "network",
    "host",
    "interface",
    "route",
    "guest",
    "cluster member",
    "attribute",
)


@dataclass(frozen=True)
class Column:
    """A column of a table: the key of its values in a record. `may_have_blanks`: a cell may contain blanks."""

    key: str
    may_have_blanks: bool = False


@dataclass(frozen=True)
class TableKind:
    """A kind of table: its records, its columns by their headers (of all versions of Rocks), the headers that it must
    have, and those that it must not have."""

    record: str
    columns: Mapping[str, Column]
    required: frozenset[str]
    excluded: frozenset[str] = frozenset()


#: The tables of Rocks 4.3 to 7. GATEWAY of interfaces is in 4.3 to 5.1, VLANID in 5.1 and 5.2, VLAN, OPTIONS and
#: CHANNEL came later; networks have three to six columns.
TABLE_KINDS = (
    TableKind(
        INTERFACE,
        {
            "HOST": Column("host"),
            "SUBNET": Column("network"),
            "IFACE": Column("device"),
            "MAC": Column("mac"),
            "IP": Column("ip"),
            "NETMASK": Column("netmask"),
            "GATEWAY": Column("gateway"),
            "MODULE": Column("module"),
            "NAME": Column("name"),
            "VLANID": Column("vlan"),
            "VLAN": Column("vlan"),
            "OPTIONS": Column("options", may_have_blanks=True),
            "CHANNEL": Column("channel"),
        },
        frozenset({"IFACE", "MAC"}),
    ),
    TableKind(
        NETWORK,
        {
            "NETWORK": Column("name"),
            "SUBNET": Column("subnet"),
            "NETMASK": Column("netmask"),
            "MTU": Column("mtu"),
            "DNSZONE": Column("dnszone"),
            "SERVEDNS": Column("servedns"),
        },
        frozenset({"NETWORK", "SUBNET"}),
        frozenset({"IFACE"}),
    ),
    TableKind(
        ROUTE,
        {
            "HOST": Column("host"),
            "APPLIANCE": Column("appliance"),
            "OS": Column("os"),
            "NETWORK": Column("subnet"),
            "NETMASK": Column("netmask"),
            "GATEWAY": Column("gateway"),
            "SOURCE": Column("source"),
        },
        frozenset({"NETWORK", "GATEWAY"}),
        frozenset({"IFACE", "SUBNET"}),
    ),
    TableKind(
        GUEST,
        {
            "VM-HOST": Column("guest"),
            "SLICE": Column("slice"),
            "MEM": Column("memory"),
            "CPUS": Column("cpus"),
            "MAC": Column("mac"),
            "HOST": Column("host"),
            "VIRT-TYPE": Column("virt-type"),
            "STATUS": Column("status"),
            "DISK": Column("disk"),
        },
        frozenset({"VM-HOST", "HOST"}),
    ),
    TableKind(
        CLUSTER_MEMBER,
        {
            "FRONTEND": Column("frontend"),
            "CLIENT NODES": Column("host"),
            "TYPE": Column("type"),
        },
        frozenset({"FRONTEND", "CLIENT NODES"}),
    ),
    TableKind(
        ATTRIBUTE,
        {
            "HOST": Column("host"),
            "APPLIANCE": Column("appliance"),
            "ATTR": Column("attribute"),
            "VALUE": Column("value", may_have_blanks=True),
            "SOURCE": Column("source"),
        },
        frozenset({"ATTR", "VALUE"}),
    ),
    TableKind(
        HOST,
        {
            "HOST": Column("host"),
            "MEMBERSHIP": Column("membership", may_have_blanks=True),
            "APPLIANCE": Column("membership", may_have_blanks=True),
            "DISTRIBUTION": Column("distribution"),
            "OS": Column("os"),
            "CPUS": Column("cpus"),
            "RACK": Column("rack"),
            "RANK": Column("rank"),
            "COMMENT": Column("comment", may_have_blanks=True),
            "RUNACTION": Column("runaction", may_have_blanks=True),
            "INSTALLACTION": Column("installaction", may_have_blanks=True),
        },
        frozenset({"HOST", "CPUS", "RANK"}),
        frozenset({"VM-HOST"}),
    ),
)


@dataclass(frozen=True)
class Record:
    """The values of one row, command or object, without the empty ones; and where it is.

    `is_command`: it was typed as a command, so a table that is printed later knows better.
    """

    kind: str
    values: Mapping[str, str]
    origin: Origin
    is_command: bool = False

    def get(self, key: str) -> Optional[str]:
        """Return a value, or None if it is empty."""
        return self.values.get(key) or None
