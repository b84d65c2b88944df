"""`kvmnet hook`: libvirt's hook, which creates VLAN devices when guests need them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvmnet.cli import exit_codes
from kvmnet.cli.console import write_stderr, write_stdout, write_text
from kvmnet.cli.help import GUESTS, CommandGroup, examples
from kvmnet.cli.options import JsonOption
from kvmnet.core.base.errors import Refused

if TYPE_CHECKING:
    from kvmnet.host.hook_installation import HookStatus

_RESTART_HELP = (
    "Restart libvirt's daemon if the hook changed, because libvirt finds a new hook only when it starts. "
    "Guests keep running. Default: --restart."
)

group = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Manage libvirt's hook, which creates VLAN devices when guests need them.\n\n"
    "The hook creates a VLAN device when the first guest that uses it starts, and deletes it when the last one stops.",
)


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    if not group.registered_commands:
        group.command("install")(install)
        group.command("status", epilog=examples("kvmnet hook status"))(status)
        group.command("reconcile")(reconcile)
        group.command("remove")(remove)
    app.add_typer(group, name="hook", rich_help_panel=GUESTS)


def install(
    restart: Annotated[bool, typer.Option("--restart/--no-restart", help=_RESTART_HELP, show_default=False)] = True,
) -> None:
    """Install the hook in /etc/libvirt/hooks/qemu.d, with its udev rule and systemd unit."""
    from kvmnet.host import hook_installation

    with _as_root():
        hook_installation.install(_print_line, restart)
    _print_line("the hook is installed")
    _warn_of_selinux()


def remove() -> None:
    """Remove the hook, its udev rule and its unit.

    Guests keep running. Existing VLAN devices are kept and listed.
    """
    from kvmnet.host import hook_installation

    with _as_root():
        hook_installation.remove(_print_line)
    _print_line("the hook is removed")


def status(as_json: JsonOption = False) -> None:
    """Show the state of the hook, its VLAN devices, and the guests that use them.

    The exit code is 1 if the hook is incomplete or its data is corrupt.
    """
    from kvmnet.host import hook_installation

    hook = hook_installation.read_installation()
    data = hook.report or {}
    if as_json:
        document = {
            "installed": hook.installed,
            "missing": list(hook.missing),
            "other_version": list(hook.differing),
            "enabled": hook.enabled,
        }
        write_stdout(json.dumps({**document, **data}, indent=2) + "\n")
    else:
        _print_installation(hook)
        _print_devices(data)
        _warn_of_selinux()
    if not hook.installed or "damaged" in data:
        raise typer.Exit(exit_codes.PROBLEMS)


def reconcile() -> None:
    """Create missing and delete unused VLAN devices for running guests.

    A systemd unit does this whenever libvirt starts.
    """
    from kvmnet.host import hook_installation

    with _as_root():
        for line in hook_installation.reconcile():
            _print_line(line)


def _print_installation(hook: "HookStatus") -> None:
    if hook.installed:
        _print_line("the hook is installed")
    else:
        _print_line("the hook is not installed completely: run `kvmnet hook install`")
    for path in hook.missing:
        _print_line(f"  missing: {path}")
    for path in hook.differing:
        _print_line(f"  differs from this version of kvmnet: {path}")
    if not hook.enabled:
        _print_line("  the hook's systemd unit is disabled, so it does not run when libvirt starts")


def _print_devices(data: dict[str, Any]) -> None:
    """Print what the hook reports: the devices that it may create, and those that it has created with their guests."""
    if not data:
        return
    if data["host"] is not None:
        _print_line(f"VLAN devices that the hook creates on demand: {', '.join(sorted(data['allowed'])) or 'none'}")
    elif "damaged" in data:
        effect = "until then, guests that need an on-demand VLAN device cannot start"
        _print_line(f"{data['damaged']}: run `kvmnet apply` to write it again; {effect}")
    elif "unreadable" in data:  # only root can read the state folder
        _print_line("run as root to see which VLAN devices the hook creates")
    else:
        _print_line("nothing is applied on this host: the hook ignores all guests")
    for device, state in data["devices"].items():
        guests = ", ".join(state["guests"]) or "no known guest"
        _print_line(f"  {device}{'' if state['there'] else ' (missing)'}: {guests}")


def _warn_of_selinux() -> None:
    from kvmnet.host import hook_installation

    if hook_installation.is_blocked_by_selinux():
        fix = "setsebool -P virt_hooks_unconfined on"
        write_stderr(f"kvmnet: SELinux prevents the hook from creating devices; to allow it: {fix}\n")


def _print_line(text: str) -> None:
    write_text(text + "\n")


@contextmanager
def _as_root() -> Iterator[None]:
    """Raise Refused unless the user is root, and KvmnetError in place of an error of the host."""
    from kvmnet.core.base.errors import KvmnetError
    from kvmnet.system.errors import HostError

    if os.geteuid() != 0:
        raise Refused("only root can change libvirt's hooks", "run it with sudo")
    try:
        yield
    except (HostError, OSError) as error:
        raise KvmnetError(str(error)) from error
