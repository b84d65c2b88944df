"""Random clusters as Rocks knows them, printed as `rocks list` prints tables and as `rocks dump` prints commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Optional

_ROCKS = "/opt/rocks/bin/rocks"


@dataclass
class Row:
    """An interface: a row of `rocks list host interface`. Addresses are in `network`; `channel`: the bond of a port."""

    host: str
    name: str
    network: str = ""
    mac: str = ""
    ip: str = ""
    vlan: Optional[int] = None
    options: str = ""
    channel: str = ""


@dataclass
class RocksCluster:
    """Networks (name, subnet, MTU), physical hosts with whether they run guests, interfaces, and guests with their
    physical hosts."""

    networks: list[tuple[str, str, int]] = field(default_factory=list)
    hosts: dict[str, bool] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    guests: dict[str, str] = field(default_factory=dict)


def rocks_cluster(rng: Random) -> RocksCluster:
    """Return a cluster of what both Rocks and a definition can express."""
    cluster, macs = RocksCluster(), iter(range(1, 10_000))

    def mac(prefix: str = "00:14:4f") -> str:
        return prefix + ":" + ":".join(f"{next(macs):06x}"[i : i + 2] for i in (0, 2, 4))

    names = ["private", "public", "storage", "10g"][: rng.randint(2, 4)]
    cluster.networks = [(n, f"10.{i}.0.0", rng.choice([1500, 1500, 9000])) for i, n in enumerate(names, 1)]
    tags = rng.sample(range(2, 4000), 2)
    for number in range(rng.randint(2, 5)):
        runs_guests = rng.random() < 0.6
        host = f"{'vm-container' if runs_guests else 'compute'}-0-{number}"
        cluster.hosts[host] = runs_guests
        cluster.rows.append(Row(host, "eth0", names[0], mac(), f"10.1.255.{254 - number}"))
        if rng.random() < 0.5:
            cluster.rows.append(Row(host, "eth1", names[1], mac(), f"10.2.1.{number + 1}"))
        if len(names) > 2 and rng.random() < 0.6:
            cluster.rows.append(Row(host, "eth0.55", names[2], "", f"10.3.1.{number + 1}", 55))
        if len(names) > 3 and rng.random() < 0.6:
            cluster.rows.append(Row(host, "bond0", names[3], "", f"10.4.1.{number + 1}", options="miimon=100 mode=4"))
            cluster.rows += [Row(host, f"eth{n}", mac=mac(), channel="bond0") for n in (2, 3)]
        if runs_guests:
            cluster.rows += [Row(host, f"vlan{tag}", names[0], vlan=tag) for tag in tags]
            for slot in range(rng.randint(0, 2)):
                guest = f"guest-0-{number}-{slot}"
                cluster.guests[guest] = host
                cluster.rows.append(Row(guest, "eth0", names[0], mac("36:77:6e")))
                if rng.random() < 0.5:
                    cluster.rows.append(Row(guest, "eth1", "", mac("36:77:6e"), vlan=rng.choice(tags)))
    return cluster


def as_tables(cluster: RocksCluster) -> str:
    """Return the output of the commands `rocks list network`, `host`, `host interface` and `host vm`."""
    parts = [
        _table(
            "network",
            ("NETWORK", "SUBNET", "NETMASK", "MTU", "DNSZONE", "SERVEDNS"),
            [(f"{n}:", net, "255.255.0.0", str(mtu), n, "False") for n, net, mtu in cluster.networks],
        ),
        _table(
            "host",
            ("HOST", "MEMBERSHIP", "CPUS", "RACK", "RANK", "RUNACTION", "INSTALLACTION"),
            [(f"{host}:", _membership(cluster, host), "8", "0", "0", "os", "install") for host in _all_hosts(cluster)],
        ),
        _table(
            "host interface",
            ("HOST", "SUBNET", "IFACE", "MAC", "IP", "NETMASK", "MODULE", "NAME", "VLAN", "OPTIONS", "CHANNEL"),
            [_interface_cells(row) for row in cluster.rows],
        ),
    ]
    if cluster.guests:
        header = ("VM-HOST", "SLICE", "MEM", "CPUS", "MAC", "HOST", "VIRT-TYPE")
        parts.append(_table("host vm", header, _guest_rows(cluster)))
    return "".join(parts)


def _interface_cells(row: Row) -> tuple[str, ...]:
    mask, vlan = "255.255.0.0" if row.ip else "", "" if row.vlan is None else str(row.vlan)
    return (f"{row.host}:", row.network, row.name, row.mac, row.ip, mask, "", "", vlan, row.options, row.channel)


def _guest_rows(cluster: RocksCluster) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for guest, host in cluster.guests.items():
        for number, row in enumerate(r for r in cluster.rows if r.host == guest):
            cells = ("0", "1024", "1", row.mac, host, "hvm") if not number else ("", "", "", row.mac, "", "")
            rows.append((f"{guest}:", *cells))
    return rows


def _all_hosts(cluster: RocksCluster) -> list[str]:
    return [*cluster.hosts, *cluster.guests]


def _membership(cluster: RocksCluster, host: str) -> str:
    return "Hosted VM" if host in cluster.guests else "VM Container" if cluster.hosts[host] else "Compute"


def _table(what: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table as Rocks prints it: columns padded, empty cells filled with dashes."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [" ".join(cell.ljust(width) for cell, width in zip(header, widths)).rstrip()]
    for row in rows:
        lines.append(" ".join((cell or "-" * w).ljust(w) for cell, w in zip(row, widths)).rstrip())
    return "\n".join([f"[root@frontend ~]# rocks list {what}", *lines, ""])


def as_dump(cluster: RocksCluster) -> str:
    """Return the output of `rocks dump`."""
    lines = ["#!/bin/bash"]
    for name, subnet, mtu in cluster.networks:
        lines.append(f"{_ROCKS} add network {name} subnet={subnet} netmask=255.255.0.0 mtu={mtu}")
    for host in _all_hosts(cluster):
        membership = _membership(cluster, host)
        lines.append(f"{_ROCKS} \"add host\" {host} cpus=8 rack=0 rank=0 membership='{membership}' os=linux")
    for row in cluster.rows:
        lines.append(f"{_ROCKS} add host interface {row.host} {row.name}")
        values = {"ip": row.ip, "mac": row.mac, "subnet": row.network, "channel": row.channel}
        values["vlan"] = "" if row.vlan is None else str(row.vlan)
        lines += [f"{_ROCKS} set host interface {k} {row.host} {row.name} {v}" for k, v in values.items() if v]
        if row.options:
            lines.append(f'{_ROCKS} set host interface options {row.host} {row.name} options="{row.options}"')
    for guest, host in cluster.guests.items():
        lines.append(
            f"{_ROCKS} set host vm {guest} physnode='{host}' disk='phy:vda' mem='1024' slice='0' virt-type='hvm'"
        )
    return "".join(f"{line}\n" for line in lines)
