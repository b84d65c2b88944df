"""kvmnet hook: libvirt's hook, which makes and removes the VLAN devices of guests."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kvmnet.cli.common import err, out
from kvmnet.core.base.errors import Refused

_RESTART_HELP = "Restart libvirt's daemon where a file changed: it sees a new hook only when it starts."

group = typer.Typer(
    no_args_is_help=True, help="libvirt's hook: VLAN devices come with the first guest, go with the last."
)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    if not group.registered_commands:
        group.command("install")(install)
        group.command("remove")(remove)
        group.command("status")(status)
        group.command("reconcile")(reconcile)
    app.add_typer(group, name="hook")


def install(restart: Annotated[bool, typer.Option("--restart/--no-restart", help=_RESTART_HELP)] = True) -> None:
    """Put the hook to /etc/libvirt/hooks/qemu.d, with a udev rule and a unit that belong to it."""
    from kvmnet.host import hook_installation

    with _as_root():
        hook_installation.install(_line, restart)
    _line("the hook is installed")
    _warn_confined()


def remove() -> None:
    """Take the hook, its rule and its unit away. Guests and their devices stay as they are."""
    from kvmnet.host import hook_installation

    with _as_root():
        hook_installation.remove(_line)
    _line("the hook is removed")


def status(as_json: Annotated[bool, typer.Option("--json", help="For machines: one JSON document.")] = False) -> None:
    """Say whether the hook is here, which devices it has made and for whom. Exit 1: not in working order."""
    from kvmnet.host import hook_installation

    found = hook_installation.status()
    if as_json:
        about = {
            "installed": found.installed,
            "missing": list(found.missing),
            "other_version": list(found.other),
            "enabled": found.enabled,
        }
        out(json.dumps({**about, **(found.says or {})}, indent=2) + "\n")
    else:
        _line(
            "the hook is installed" if found.installed else "the hook is not as this kvmnet has it: kvmnet hook install"
        )
        for path in found.missing:
            _line(f"  missing: {path}")
        for path in found.other:
            _line(f"  not as this version installs it: {path}")
        if not found.enabled:
            _line("  its unit does not run when libvirt starts")
        _tell(found.says or {})
        _warn_confined()
    if not found.installed or "damaged" in (found.says or {}):
        raise typer.Exit(1)


def reconcile() -> None:
    """Make the devices those that running guests need (a unit does this whenever libvirt starts)."""
    from kvmnet.host import hook_installation

    with _as_root():
        for line in hook_installation.reconcile():
            _line(line)


def _tell(says: dict[str, Any]) -> None:
    if not says:
        return
    if says["host"] is not None:
        _line(f"may come with guests of this host: {', '.join(sorted(says['allowed'])) or 'none'}")
    elif "damaged" in says:
        _line(f"{says['damaged']}: `kvmnet apply` writes it anew; until then no guest on our VLAN devices starts")
    elif "unreadable" in says:  # /var/lib/kvmnet is root's
        _line("which devices may come with guests only root sees")
    else:
        _line("nothing was applied here: the hook leaves every guest alone")
    for device, about in says["devices"].items():
        words = ", ".join(about["guests"]) or "no known guest"
        _line(f"  {device}{'' if about['there'] else ' (gone)'}: {words}")


def _warn_confined() -> None:
    from kvmnet.host import hook_installation

    if hook_installation.confined():
        err("kvmnet: SELinux lets the hook make no device: setsebool -P virt_hooks_unconfined on\n")


def _line(text: str) -> None:
    out(text + "\n")


@contextmanager
def _as_root() -> Iterator[None]:
    """What changes the host, with a failing program as a message."""
    from kvmnet.core.base.errors import KvmnetError
    from kvmnet.system.errors import HostError

    if os.geteuid() != 0:
        raise Refused("only root can change libvirt's hooks", "run it with sudo")
    try:
        yield
    except (HostError, OSError) as error:
        raise KvmnetError(str(error)) from error
