"""Sorts records into networks, hosts, interfaces, guests, routes and attributes, as Rocks' database has them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Optional

from kvmnet.importers._draft import Origin
from kvmnet.importers._report import Report
from kvmnet.importers._rocks.records import ATTRIBUTE, CLUSTER_MEMBER, GUEST, HOST, INTERFACE, NETWORK, ROUTE, Record

MAC = re.compile(r"[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){5}(?:(:[0-9A-Fa-f]{1,2}){14})?\Z")
#: Columns that are not about the network.
_IGNORED = {"module", "table", "command", "status", "disk", "slice", "memory", "cpus", "virt-type", "mem", "virt_type"}


@dataclass
class Item:
    """The values of a network, a host or an interface, and where they were read last."""

    values: dict[str, str] = field(default_factory=dict)
    origin: Optional[Origin] = None
    is_changed: bool = False
    """Whether a command has changed it since a table was read."""

    def get(self, key: str) -> Optional[str]:
        """Return a value, or None if it is empty."""
        return self.values.get(key) or None

    @property
    def place(self) -> Origin:
        """Where the item was read last."""
        return self.origin or Origin("", 0)


@dataclass
class Inventory:
    """What Rocks' database contains, as far as the files show it. Interfaces are by host and device."""

    networks: dict[str, Item] = field(default_factory=dict)
    hosts: dict[str, Item] = field(default_factory=dict)
    interfaces: dict[str, dict[str, Item]] = field(default_factory=dict)
    guests: dict[str, Item] = field(default_factory=dict)
    guest_macs: dict[str, list[tuple[str, Origin]]] = field(default_factory=dict)
    routes: list[Record] = field(default_factory=list)
    attributes: list[Record] = field(default_factory=list)

    def attribute(self, name: str, host: str = "") -> Optional[str]:
        """Return the value of an attribute: of the host, or else of its appliance, or else of the cluster."""
        appliance = (self.hosts[host].get("membership") or "") if host in self.hosts else ""
        values: dict[str, str] = {}
        for record in self.attributes:
            if record.get("attribute") != name or record.get("value") is None:
                continue
            scope = "host" if record.get("host") else "appliance" if record.get("appliance") else "cluster"
            matches = {
                "host": record.get("host") == host,
                "appliance": bool(appliance) and _as_appliance(record.get("appliance")) == _as_appliance(appliance),
                "cluster": True,
            }
            if matches[scope]:
                values[scope] = record.values["value"]
        return next((values[scope] for scope in ("host", "appliance", "cluster") if scope in values), None)


def _as_appliance(text: Optional[str]) -> str:
    """Return the name of an appliance: `VM Container` is the membership of the appliance `vm-container`."""
    return "-".join((text or "").lower().split())


def sort_records(records: Iterable[Record], report: Report) -> Inventory:
    """Return the inventory of records in the order of the input: later ones know better."""
    inventory = Inventory()
    all_records = list(records)
    hosts_of_tables = _name_hosts(all_records, report)
    for record in all_records:
        if record.kind == NETWORK:
            if (name := record.get("name")) is not None:
                _update(inventory.networks.setdefault(name, Item()), record, {"name"}, report)
        elif record.kind == HOST:
            if (name := record.get("host")) is not None:
                _update(inventory.hosts.setdefault(name, Item()), record, {"host"}, report)
        elif record.kind == INTERFACE:
            _add_interface(inventory, record, hosts_of_tables, report)
        elif record.kind == GUEST:
            _add_guest(inventory, record, report)
        elif record.kind == CLUSTER_MEMBER:
            if (name := record.get("host")) is not None and (record.get("type") or "").lower() == "vm":
                inventory.guests.setdefault(name, Item(origin=record.origin))
        elif record.kind == ROUTE:
            inventory.routes.append(record)
        elif record.kind == ATTRIBUTE:
            inventory.attributes.append(record)
    _name_localhost(inventory, report)
    return inventory


def _name_localhost(inventory: Inventory, report: Report) -> None:
    """Give the frontend, which `rocks dump` calls localhost, the NAME of its interface on network private."""
    devices = inventory.interfaces.get("localhost", {})
    names = [i.values["name"] for i in devices.values() if i.get("name") and i.get("network") == "private"]
    if not names or names[0] in inventory.interfaces:
        return
    message = f"localhost is the frontend: it is called {names[0]}, as its interface on network private"
    report.note(message, next(iter(devices.values())).place)
    inventory.interfaces = {names[0] if n == "localhost" else n: d for n, d in inventory.interfaces.items()}
    for records in (inventory.routes, inventory.attributes):
        records[:] = [
            dataclasses.replace(r, values={**r.values, "host": names[0]}) if r.get("host") == "localhost" else r
            for r in records
        ]


def _name_hosts(records: list[Record], report: Report) -> dict[str, str]:
    """Return the host of each table without a HOST column: the one that the command above it names, otherwise the NAME
    of an interface of network private, or the only NAME."""
    tables: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == INTERFACE and not record.get("host") and record.get("table"):
            tables.setdefault(record.values["table"], []).append(record)
    hosts = {}
    for table, rows in tables.items():
        named = rows[0].get("command")
        if named and named != "localhost":
            hosts[table] = named
            continue
        names = [r.values["name"] for r in rows if r.get("name") and r.get("network") == "private"]
        names = names or list(dict.fromkeys(r.values["name"] for r in rows if r.get("name")))
        if names:
            hosts[table] = names[0]
            report.note(f"no command above the table names its host: {names[0]} is assumed from NAME", rows[0].origin)
        else:
            hosts[table] = named or f"host-{len(hosts) + 1}"
            report.lose(f"nothing names the host of the table: it is called {hosts[table]} here", rows[0].origin)
    return hosts


def _update(item: Item, record: Record, keys: set[str], report: Report) -> None:
    """Take over the values of a record. Two tables that differ are reported, unless a command was in between."""
    values = {k: v for k, v in record.values.items() if k not in keys and k not in _IGNORED}
    if not record.is_command and not item.is_changed and item.values:
        for key, value in values.items():
            before = item.values.get(key)
            if before is not None and before.lower() != value.lower():
                report.note(
                    f"{key} was {before} at {item.place.text} and is {value} here: the later value is used",
                    record.origin,
                )
    item.values.update(values)
    item.origin, item.is_changed = record.origin, record.is_command


def _add_interface(inventory: Inventory, record: Record, hosts_of_tables: Mapping[str, str], report: Report) -> None:
    host = record.get("host") or hosts_of_tables.get(record.get("table") or "")
    device, mac = record.get("device"), record.get("mac")
    if host is None:
        report.lose("nothing names the host of this interface", record.origin)
        return
    if device is None and mac is None:
        report.lose(f"an interface of {host} has neither a name nor a MAC address", record.origin)
        return
    values = dict(record.values)
    if device is None or MAC.match(device):
        device = device or str(mac)
        values["mac"] = device
        values["device"] = device = device.lower()
    interfaces = inventory.interfaces.setdefault(host, {})
    known = next(
        (n for n, i in interfaces.items() if MAC.match(n) and (i.get("mac") or "").lower() == (mac or "").lower()), None
    )
    if known is not None and known != device:
        interfaces[device] = interfaces.pop(known)
    if not record.is_command and device in interfaces:
        interfaces[device] = interfaces.pop(device)  # the order of the last table
    new = values.pop("new-device", None)
    _update(
        interfaces.setdefault(device, Item()),
        Record(INTERFACE, values, record.origin, record.is_command),
        {"host", "device"},
        report,
    )
    if new is not None:
        interfaces[new] = interfaces.pop(device)


def _add_guest(inventory: Inventory, record: Record, report: Report) -> None:
    name = record.get("guest")
    if name is None:
        report.lose("a row of virtual machines names none", record.origin)
        return
    if (mac := record.get("mac")) is not None:
        inventory.guest_macs.setdefault(name, []).append((mac, record.origin))
    values = {k: v for k, v in record.values.items() if k != "mac"}
    _update(
        inventory.guests.setdefault(name, Item()),
        Record(GUEST, values, record.origin, record.is_command),
        {"guest"},
        report,
    )
