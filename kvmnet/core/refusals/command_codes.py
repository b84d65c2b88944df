"""Pages of refusals of single commands: confirm, remove, rollback, purge, guest xml, remote, and reading
kvmnet's state."""

from __future__ import annotations

from kvmnet.core.base import codes
from kvmnet.core.refusals import register_page

register_page(
    "KVN560",
    "no change is waiting for a confirmation",
    """
    You ran `kvmnet confirm`, but no transaction is waiting for it. Either no transaction is open, or the open one has
    not reached this step, or the time for confirmation is over and it is being rolled back. `kvmnet status` shows the
    open transaction. `kvmnet history` shows how the last one ended.
    """,
)
register_page(
    "KVN561",
    "this connection cannot confirm the change",
    """
    A confirmation must show that the host can still be reached. It must come over an SSH connection from another
    machine that was opened after the change. The connection must use an address of an interface that the change
    affects, or of a bridge or VLAN on it. If no such interface has an address, kvmnet accepts any address. A local
    shell cannot confirm the change. An SSH connection that was opened before the change cannot confirm it either,
    because firewalls and routers may treat existing connections differently from new ones. A connection from a guest
    or container of the host, or one whose replies leave through an interface that the change does not affect, does
    not show that the host can be reached from outside.

    Open a new connection: `ssh HOST kvmnet confirm`, with `-S none` if your SSH client shares connections. At the
    console of the host, use `kvmnet confirm --at-the-console`: it needs a virtual terminal or a serial line, and no
    SSH session, tmux or web terminal. If all your connections come through a guest or an interface that does not
    change, you cannot confirm: let the change be rolled back, and repeat it with `--no-confirm`.
    """,
)
register_page(
    "KVN562",
    "there is nothing to restore",
    """
    `kvmnet remove` and `kvmnet rollback` use the snapshots that kvmnet saved before its changes. This error has one of
    these causes: kvmnet has applied nothing on this host; everything is already removed; a NIC that existed before
    kvmnet is missing; or another tool has made such a NIC a port of a bridge or bond. The message names it. The
    snapshots are in /var/lib/kvmnet/history.
    """,
)
register_page(
    "KVN563",
    "kvmnet's state is corrupt",
    """
    /var/lib/kvmnet/applied contains the applied bundle. Its file interfaces.json lists the interfaces that kvmnet has
    created or adopted. A file in this folder is corrupt or missing, for example because it was edited or because of a
    disk error. The network of the host is not affected.

    If the bundle is corrupt (nmstate.yml, bundle.json or a .link file), run `kvmnet apply` with the definition: it
    writes the bundle again. kvmnet cannot rebuild interfaces.json from the host. Copy its original text from
    transaction.json of the last kept change in /var/lib/kvmnet/history. `kvmnet history` lists the changes.
    """,
)
register_page(
    "KVN564",
    "a guest's NIC would lose a protection",
    """
    `kvmnet guest xml --domain` would connect a NIC of the guest to a macvtap. The NIC has a setting that protects other
    guests or the network from this guest, and that works only on a port of a bridge: `<filterref>`, for example against
    forged addresses (no-ip-spoofing, clean-traffic), or `<port isolated='yes'>`. On a macvtap, libvirt refuses or
    ignores it, so the guest would run without it.

    Give the VLAN a bridge on the host (`eth0.2: {network: ..., bridge: true}`): its guests are then connected to the
    bridge and keep these settings. Or filter in the network, for example on the switch, and override this refusal: the
    setting is then removed from the XML.
    """,
    allow=True,
    commands="guest xml",
)
register_page(
    "KVN565",
    "libvirt on this host is too old for a guest's VLANs",
    """
    The XML of the guest contains `<vlan>`: a VLAN-aware bridge connects the guest to a tagged network. libvirt on this
    machine, which is a host of the guest, is older than 11.0.0. It accepts the XML, but refuses to start the guest.

    Use one bridge for each VLAN instead (`eth0.20: {network: vlan20, bridge: true}`), or update libvirt. To print the
    XML for a host with a newer libvirt, name it with `--host`.
    """,
    allow=True,
    commands="guest xml",
)
register_page(
    "KVN566",
    "the snapshots are still needed",
    """
    `kvmnet purge --all` deletes all snapshots of closed transactions, also those of the host before kvmnet. A bundle is
    applied on this host, and `kvmnet remove` and `kvmnet rollback` need these snapshots to restore the host.

    Without `--all`, `kvmnet purge` deletes only what nothing needs. To delete everything, run `kvmnet remove` first.
    """,
)
codes.register(
    "KVN580",
    "the host cannot be reached, or has no kvmnet",
    """
    `kvmnet remote` could not open an SSH connection to the host, or found no program kvmnet there. Nothing was changed.
    ssh's own message is above this one. Try `ssh HOST true` with the same options. kvmnet never shares connections, so
    a connection that works only because ssh shares an open one (ControlMaster) fails here.

    If kvmnet is not in the PATH of a shell that is not interactive, name it with `--program`. With `--become sudo` it
    must be in the secure_path of sudo. `--bring` copies it to the host for the duration of the change.

    kvmnet exits with code 1 and changes nothing. This refusal cannot be overridden.
    """,
)
codes.register(
    "KVN581",
    "the outcome of the change of another host is not known",
    """
    A change was started on the host, and no new connection has shown how it ended. The host decides by itself: a change
    that waits for a confirmation and does not get it in time is rolled back, also after a reboot. Run
    `kvmnet remote HOST status` later, or `kvmnet history` at the host's console. If the host is reachable at an address
    that the definition does not give it, name it with `--new-address`.

    kvmnet exits with code 4, or with 130 after Ctrl-C. This refusal cannot be overridden.
    """,
)
codes.register(
    "KVN582",
    "a file with the status of hosts cannot be read",
    """
    `kvmnet fleet` reads files with one JSON object a line for each host. The playbook kvmnet.kvmnet.gather of the
    Ansible collection writes them. An object has the keys host, reachable, error, status (the output of
    `kvmnet status --json`), wanted (the digest of the bundle of the definition) and changes (those of
    `kvmnet plan --json`); host and status are required. The message shows the file and the line.

    kvmnet exits with code 1 and changes nothing. This refusal cannot be overridden.
    """,
)
