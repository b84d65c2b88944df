"""Refusals about the programs that kvmnet needs, programs that interfere, and the state of the host as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from kvmnet.core.base.nmstate import State, interfaces_of
from kvmnet.core.live.live_host import version_of
from kvmnet.core.refusals import ALWAYS, WRITING, Case, Refusal, refusal, register_page

register_page(
    "KVN500",
    "root privileges are required",
    """
    Commands that change the host, and `plan -o`, must run as root: use sudo. `plan` without `-o` works for every user.
    But only root can read the applied bundle. Without it, `plan` does not show which interfaces would be removed
    because the definition no longer contains them. It prints a note about this.
    """,
)
register_page(
    "KVN501",
    "another kvmnet process is running",
    """
    Only one transaction can run at a time, and another process holds the lock of /var/lib/kvmnet. Wait until it has
    finished. The lock ends with the process that holds it, so you never need to delete a stale lock.
    """,
)
register_page(
    "KVN502",
    "a transaction is open",
    """
    An earlier transaction was interrupted, or its rollback could not be verified: /var/lib/kvmnet/open exists.
    `/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz` rolls it back and prints the remaining differences.

    Sometimes the host cannot be restored completely. For example, a NIC has failed, or the DHCP server no longer
    offers the old lease. If the current state of the host is correct, run the same command with --accept: it closes
    the transaction and changes nothing else.
    """,
)
register_page(
    "KVN503",
    "this is not the host of the definition",
    """
    kvmnet identifies a host by the permanent MAC addresses of its NICs. This error has one of three causes: the
    definition, bundle or plan is for another host; a NIC of the definition is missing on this host; or this host has
    NICs of two hosts of the definition. MAC addresses take precedence over hostnames. With `--host`, kvmnet also
    checks the NICs. If a NIC was replaced, write its new MAC address into the definition: `ip -br link` lists the NICs
    of this host.
    """,
)
register_page(
    "KVN504",
    "NetworkManager does not respond",
    """
    kvmnet changes the network through NetworkManager, which must be running: see `systemctl status NetworkManager`.
    kvmnet does not start it, because it may have been stopped on purpose.
    """,
)
register_page(
    "KVN505",
    "nmstate is not available",
    """
    Neither the Python binding libnmstate nor the program nmstatectl is installed, or it cannot show the current state.
    On EL: `dnf install python3-libnmstate nmstate`.
    """,
)
register_page(
    "KVN508",
    "the host has changed since the plan was made",
    """
    kvmnet applies a plan only to the host for which it was made, and only if this host has not changed since. This
    applies to a plan that `plan -o FILE` saved, and to the plan that you see before the question "Apply?". The message
    lists the changes. kvmnet compares only what the plan depends on. It ignores lifetimes, counters, interface
    indexes, and addresses from DHCP. Make the plan again and review it.
    """,
)
register_page(
    "KVN509",
    "rollback cannot be prepared on this host",
    """
    Before kvmnet changes the network, it prepares the rollback. It installs rescue.pyz in /var/lib/kvmnet and runs it
    once with the system's Python. It installs the boot services in /etc/systemd/system. It saves the transaction with
    its snapshot, and systemd starts the worker. One of these steps failed; the message names it. Common causes:
    /usr/bin/python3 is missing or too old, systemd is not PID 1, or a file system is read-only. kvmnet keeps what it
    has already installed for the next attempt. The boot services do nothing while no transaction is open.
    """,
)
register_page(
    "KVN512",
    "the state of the host could not be read",
    """
    kvmnet reads the state of the host with the programs ip, systemctl, udevadm, busctl and nmcli. One of them is
    missing or has failed, or a file could not be read. The message names it. kvmnet makes no plan from incomplete
    data. Run the program yourself (for example `nmcli connection show` or `systemctl is-system-running`), fix the
    error, and try again.
    """,
)


class _Feature(NamedTuple):
    """A feature of a state: whether a state uses it, and the first versions that support it."""

    name: str
    is_used: Callable[[State], bool]
    nmstate: tuple[int, ...]
    networkmanager: Optional[tuple[int, ...]] = None


def _has_bond_option(name: str) -> Callable[[State], bool]:
    """Return a function: whether a bond of a state has an option."""

    def is_used(state: State) -> bool:
        return any(name in i.get("link-aggregation", {}).get("options", {}) for i in interfaces_of(state))

    return is_used


#: From nmstate's sources, and from NetworkManager's documentation of its settings.
_FEATURES = (
    _Feature("connection profiles that are bound to a MAC address", lambda state: True, (2, 2, 9)),
    _Feature("the bond option arp_missed_max", _has_bond_option("arp_missed_max"), (2, 2, 13), (1, 44)),
    _Feature("the bond option balance_slb", _has_bond_option("balance_slb"), (2, 2, 9), (1, 42)),
)


@refusal("KVN506", "nmstate or NetworkManager is too old", when=WRITING)
def too_old(case: Case) -> Iterator[Refusal]:
    """
    The installed nmstate or NetworkManager does not support a feature that the host's state uses. kvmnet needs nmstate
    2.2.9 (EL 9.2) or later. nmstate 2.2.24 and later need NetworkManager 1.40. The bond option arp_missed_max needs
    nmstate 2.2.13 and NetworkManager 1.44, balance_slb needs NetworkManager 1.42. Update the host, or remove the option
    from the definition.
    """
    nmstate, networkmanager = version_of(case.live.nmstate), version_of(case.live.networkmanager)
    needs = [(f.name, f.nmstate, f.networkmanager) for f in _FEATURES if f.is_used(case.bundle.state)]
    if nmstate >= (2, 2, 24):
        needs.append((f"nmstate {case.live.nmstate}", (2, 2, 24), (1, 40)))
    for feature, min_nmstate, min_networkmanager in needs:
        if nmstate and nmstate < min_nmstate:
            message = f"nmstate {case.live.nmstate} is too old for {feature}"
            yield Refusal("KVN506", message, f"update nmstate to {_format_version(min_nmstate)} or later")
        elif networkmanager and min_networkmanager is not None and networkmanager < min_networkmanager:
            message = f"NetworkManager {case.live.networkmanager} is too old for {feature}"
            hint = f"update NetworkManager to {_format_version(min_networkmanager)} or later"
            yield Refusal("KVN506", message, hint)


def _format_version(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)


@refusal("KVN507", "another tool's checkpoint is open", when=WRITING)
def foreign_checkpoint(case: Case) -> Iterator[Refusal]:
    """
    NetworkManager has a checkpoint that kvmnet did not create: another tool (nmstate, Ansible's network role, Cockpit)
    is making a change. If that tool rolls back, it also rolls back kvmnet's change. Wait until it has finished, or end
    the checkpoint: `nmstatectl commit CHECKPOINT` or `nmstatectl rollback CHECKPOINT`.
    """
    if case.live.checkpoints:
        yield Refusal(
            "KVN507",
            "NetworkManager has an open checkpoint of another tool: " + ", ".join(case.live.checkpoints),
            "wait until that tool has finished, or end the checkpoint: "
            "`nmstatectl commit CHECKPOINT` or `nmstatectl rollback CHECKPOINT`",
        )


#: Free space that a change needs. Snapshot, journal, log and bundles are some hundred kB, all other files less.
_MIN_BYTES, _MIN_FILES = 8 << 20, 128


@refusal("KVN510", "not enough free space", when=WRITING)
def disk_full(case: Case) -> Iterator[Refusal]:
    """
    kvmnet writes each step to its journal before it carries it out, and it writes connection profiles and .link files.
    Each of /var/lib/kvmnet, /etc/NetworkManager, /etc/systemd and /run needs 8 MiB and 128 inodes of free space. Free
    some space. kvmnet reports this code also when a file system becomes full while it saves the transaction, before the
    first step.
    """
    for room in case.live.surroundings.room:
        if room.bytes < _MIN_BYTES:
            free = f"{room.bytes / (1 << 20):.1f} MiB"
            message = f"{room.path} has {free} of free space, but kvmnet needs {_MIN_BYTES >> 20} MiB"
            yield Refusal("KVN510", message, f"free some space in {room.path}")
        elif room.files is not None and room.files < _MIN_FILES:
            message = f"{room.path} has {room.files} free inodes, but kvmnet needs {_MIN_FILES}"
            yield Refusal("KVN510", message, f"delete files in {room.path} that are not needed")


@refusal("KVN511", "cluster software may fence this host", allow=True)
def cluster_software(case: Case) -> Iterator[Refusal]:
    """
    Corosync, Pacemaker, sanlock and similar software may power off a node when they receive no messages from it. A
    change interrupts the network briefly; a rollback interrupts it for longer. Put the cluster into maintenance mode
    first (`pcs property set maintenance-mode=true`), or stop it on this host (`pcs cluster stop`). kvmnet looks for
    these active services: corosync, pacemaker, pacemaker_remote, sbd, sanlock, cman, ctdb.
    """
    if case.live.surroundings.cluster:
        names = ", ".join(case.live.surroundings.cluster)
        yield Refusal(
            "KVN511",
            f"cluster software is active and may fence this host: {names}",
            "put the cluster into maintenance mode, or stop it on this host, for the time of the change",
        )


@refusal("KVN566", "VLAN filtering of a bridge cannot be enabled", when=ALWAYS)
def vlan_filtering(case: Case) -> Iterator[Refusal]:
    """
    The definition has `vlan_filtering: true` for a bridge. This version of kvmnet checks and renders the setting, but
    `kvmnet apply` cannot enable it: nmstate has no key for it without VLANs of the ports. Without it the guests of all
    VLANs would reach each other, so kvmnet makes no change. Remove the setting from the definition.
    """
    for interface, settings in case.bundle.profile_settings.items():
        if settings.get("bridge.vlan-filtering"):
            message = f"{interface} has vlan_filtering: true, which this version of kvmnet cannot apply"
            yield Refusal("KVN566", message, f"remove vlan_filtering of {interface} from the definition")
