"""The programs that the work needs, those that are in its way, and who asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from kvmnet.core.base.nmstate import State, interfaces_of
from kvmnet.core.live.live_host import version_of
from kvmnet.core.refusals import WRITING, Case, Refusal, elsewhere, refusal

elsewhere(
    "KVN500",
    "only root can change a host's network",
    """
    `apply` and `plan -o` need root: run them with sudo. `plan` alone shows the change to anybody; what only
    root may read (the applied bundle, so what has left the definition since) it leaves out, and says so.
    """,
)
elsewhere(
    "KVN501",
    "another kvmnet is at work on this machine",
    """
    One transaction at a time: the lock of /var/lib/kvmnet is held. Wait until the other one has ended.
    The lock goes with the process that holds it, so there is never a stale one to delete.
    """,
)
elsewhere(
    "KVN502",
    "a transaction is open",
    """
    An earlier transaction was cut off, or its undo could not be verified: /var/lib/kvmnet/open is there.
    `/usr/bin/python3 -I /var/lib/kvmnet/rescue.pyz` undoes it, and says what still differs.
    Where the machine can never be as it was (a lease that nobody gives any more, a NIC that died) and is right as it
    is, the same with --accept closes it.
    """,
)
elsewhere(
    "KVN503",
    "this machine is not that host",
    """
    A machine is known by the permanent MACs of its NICs. The definition, the bundle or the plan is about
    another machine, this machine lacks one of its NICs, or has NICs of two of its hosts. The names of hosts do
    not count against MACs; `--host` chooses between hosts, and is checked all the same. After a NIC was changed in
    the machine, its new MAC goes into the definition: `ip -br link` shows those that are here.
    """,
)
elsewhere(
    "KVN504",
    "NetworkManager does not answer",
    """
    kvmnet works through NetworkManager, which must run: `systemctl status NetworkManager`. It is not started
    for you: whoever stopped it had a reason.
    """,
)
elsewhere(
    "KVN505",
    "nmstate does not answer",
    """
    There is neither the Python binding libnmstate nor the program nmstatectl, or it cannot show the live
    state. On EL: `dnf install python3-libnmstate nmstate`.
    """,
)
elsewhere(
    "KVN508",
    "the machine has changed since the plan was made",
    """
    A plan that was saved by `plan -o FILE`, or that was on the screen at the question "Apply?", is applied only
    to the machine it was made for, in the state that it was made from. What has changed is named. Only what
    the plan depends on is compared: not lifetimes, counters, indices, or addresses that DHCP gave. Make the
    plan again, and read it again.
    """,
)
elsewhere(
    "KVN509",
    "the way back does not work on this machine",
    """
    Before anything is touched rescue.pyz is put into /var/lib/kvmnet and tried with the system's Python, units for
    the boot are put into /etc/systemd/system, the transaction with its snapshot is written down, and the worker is
    started by systemd. One of these failed. The message says how; most often /usr/bin/python3 is not there or too
    old, systemd is not the first process, or a disk can only be read. What of it was in place already stays for the
    next try: the units do nothing where no transaction is open.
    """,
)


elsewhere(
    "KVN512",
    "this host could not be read",
    """
    A program that tells what this host is (ip, systemctl, udevadm, busctl, nmcli) is not there or failed, or a file
    could not be read. The message says which. Without a whole picture nothing is planned. Run that program by hand
    (`nmcli connection show`, `systemctl is-system-running`), mend what it complains of, and try again.
    """,
)


class _Feature(NamedTuple):
    """Something of a state that not every version understands: since when nmstate and NetworkManager do."""

    what: str
    used: Callable[[State], bool]
    nmstate: tuple[int, ...]
    manager: Optional[tuple[int, ...]] = None


def _bond_option(name: str) -> Callable[[State], bool]:
    def used(state: State) -> bool:
        return any(name in i.get("link-aggregation", {}).get("options", {}) for i in interfaces_of(state))

    return used


#: Read in nmstate's sources and NetworkManager's documentation of its settings.
FEATURES = (
    # from 2.2.24 on it uses what NetworkManager has since 1.40
    _Feature("profiles that are bound by MAC", lambda state: True, (2, 2, 9)),
    _Feature("the bond option arp_missed_max", _bond_option("arp_missed_max"), (2, 2, 13), (1, 44)),
    _Feature("the bond option balance_slb", _bond_option("balance_slb"), (2, 2, 9), (1, 42)),
)


@refusal("KVN506", "nmstate or NetworkManager is too old", when=WRITING)
def too_old(case: Case) -> Iterator[Refusal]:
    """
    The host's nmstate or NetworkManager does not know something that the host's state has. kvmnet needs
    nmstate 2.2.9 (EL 9.2) or later; nmstate 2.2.24 and later need NetworkManager 1.40; the bond option
    arp_missed_max needs nmstate 2.2.13 and NetworkManager 1.44, balance_slb NetworkManager 1.42. Update the
    host, or leave the option out.
    """
    nmstate, manager = version_of(case.live.nmstate), version_of(case.live.networkmanager)
    needs = [(f.what, f.nmstate, f.manager) for f in FEATURES if f.used(case.bundle.state)]
    if nmstate >= (2, 2, 24):
        needs.append((f"nmstate {case.live.nmstate}", (2, 2, 24), (1, 40)))
    for what, least, least_manager in needs:
        if nmstate and nmstate < least:
            words = f"nmstate {case.live.nmstate} is too old for {what}"
            yield Refusal("KVN506", words, f"it needs nmstate {_text(least)} or later")
        elif manager and least_manager is not None and manager < least_manager:
            words = f"NetworkManager {case.live.networkmanager} is too old for {what}"
            yield Refusal("KVN506", words, f"it needs NetworkManager {_text(least_manager)} or later")


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)


@refusal("KVN507", "another tool's checkpoint is open", when=WRITING)
def foreign_checkpoint(case: Case) -> Iterator[Refusal]:
    """
    NetworkManager holds a checkpoint that is not kvmnet's: another tool (nmstate, Ansible's network role,
    Cockpit) is in the middle of a change that may be rolled back, over ours. Wait until it has ended, or end it
    by its name: `nmstatectl commit CHECKPOINT`, `nmstatectl rollback CHECKPOINT`.
    """
    if case.live.checkpoints:
        yield Refusal(
            "KVN507",
            "another tool has a NetworkManager checkpoint open: " + ", ".join(case.live.checkpoints),
            "wait until it has ended, or end it: `nmstatectl commit CHECKPOINT` or `nmstatectl rollback CHECKPOINT`",
        )


#: A transaction's snapshot, journal, log and bundles are some hundred kB; profiles and .link files a few.
LEAST_BYTES, LEAST_FILES = 8 << 20, 128


@refusal("KVN510", "too little room for the journal", when=WRITING)
def disk_full(case: Case) -> Iterator[Refusal]:
    """
    Every step is written down before it is done; the profiles and .link files need a place too. 8 MiB and 128
    files must be free in each of /var/lib/kvmnet, /etc/NetworkManager, /etc/systemd and /run. Make room. A disk
    that fills up while the transaction is written down, before its first step, is told by this code too.
    """
    for room in case.live.surroundings.room:
        if room.bytes < LEAST_BYTES:
            words = f"{room.path} has {room.bytes / (1 << 20):.1f} MiB left, too little for the journal"
            yield Refusal("KVN510", words, f"make room: {LEAST_BYTES >> 20} MiB are needed")
        elif room.files is not None and room.files < LEAST_FILES:
            words = f"{room.path} has room for {room.files} more files, too few for the journal"
            yield Refusal("KVN510", words, f"delete what is not needed: {LEAST_FILES} are needed")


@refusal("KVN511", "cluster software would fence this node", allow=True)
def cluster_software(case: Case) -> Iterator[Refusal]:
    """
    Corosync, pacemaker, sanlock and the like take a node that they do not hear for dead, and may power it off:
    a change takes the network away for moments, its undo for longer. Put the cluster into maintenance first
    (`pcs property set maintenance-mode=true`, `pcs cluster stop`). Active services are looked at: corosync,
    pacemaker, pacemaker_remote, sbd, sanlock, cman, ctdb.
    """
    if case.live.surroundings.cluster:
        names = ", ".join(case.live.surroundings.cluster)
        yield Refusal(
            "KVN511",
            f"cluster software is active that may fence this node: {names}",
            "stop it or put the cluster into maintenance mode for the time of the change",
        )
