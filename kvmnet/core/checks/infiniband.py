"""Checks of InfiniBand interfaces (IPoIB), their partitions and bonds."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.base.problem import Problem, Related
from kvmnet.core.checks import Context, check
from kvmnet.core.definition.model import Host, Interface

#: A partition key with full membership has this bit; the kernel's name of a partition always has it.
_FULL_MEMBER = 0x8000


def _interfaces(context: Context) -> Iterator[tuple[Host, Interface]]:
    """Every interface with its host."""
    for host in context.cluster.hosts.values():
        for interface in host.interfaces.values():
            yield host, interface


@check("KVN212", "bond of InfiniBand ports that the kernel does not allow")
def find_impossible_bonds(context: Context) -> Iterator[Problem]:
    """
    IPoIB interfaces can be ports of a bond with `mode: active-backup` only, and with `fail_over_mac: active`, which is
    the default for them. All ports of the bond must be InfiniBand: a bond of InfiniBand and Ethernet ports has no MAC
    address that both can use. Change the mode or the ports.
    """
    for host, bond in _interfaces(context):
        if not bond.is_bond or not host.is_over_infiniband(bond):
            continue
        name = f"{bond.name} on host {host.name}"
        ports = [host.interfaces[port] for port in bond.ports if port in host.interfaces]
        others = [port.name for port in ports if not port.is_infiniband]
        if others:
            message = f"{name} has both InfiniBand and other ports ({', '.join(others)})"
            yield Problem("KVN212", message, bond.place.at("ports"))
        elif bond.mode != "active-backup":
            message = f"{name} has InfiniBand ports, which are possible in mode active-backup only, not {bond.mode}"
            yield Problem("KVN212", message, bond.place.at("mode"), hint="write mode: active-backup")
        elif dict(bond.options).get("fail_over_mac", "active") != "active":
            message = f"{name} has InfiniBand ports, which need fail_over_mac: active"
            yield Problem("KVN212", message, bond.place.at("options", "fail_over_mac"), hint="remove fail_over_mac")


@check("KVN213", "invalid partition of an InfiniBand interface")
def find_invalid_partitions(context: Context) -> Iterator[Problem]:
    """
    ib0.8001 is the partition with key 0x8001 of InfiniBand interface ib0. The host must have ib0 as an interface,
    managed by kvmnet. The key has four hexadecimal digits, from 8001 to fffe: the kernel names a partition with the bit
    of full membership (0x8000), also where the key in the subnet manager is 0x0001.
    """
    for host, interface in _interfaces(context):
        if interface.pkey is None:
            continue
        name, base = f"{interface.name} on host {host.name}", host.interfaces.get(interface.parent or "")
        if not _FULL_MEMBER < interface.pkey < 0xFFFF:
            fix = interface.pkey | _FULL_MEMBER
            hint = f"write {interface.parent}.{fix:04x}" if _FULL_MEMBER < fix < 0xFFFF else None
            message = f"{name}: {interface.pkey:04x} is no partition key from 8001 to fffe"
            yield Problem("KVN213", message, interface.place.mark, hint=hint)
        elif base is None or not base.is_infiniband or base.pkey is not None:
            message = f"{name}: base interface {interface.parent} is not defined"
            yield Problem("KVN213", message, interface.place.mark, hint=f"add {interface.parent}: {{}} to the host")
        elif not base.managed or not base.up:
            state = "has state: down" if not base.up else "is not managed by kvmnet"
            definition = Related(base.place.mark, f"{base.name} is defined here")
            message = f"{name} uses {base.name}, which {state}"
            yield Problem("KVN213", message, interface.place.mark, related=(definition,))
