"""Pages of refusals that single commands raise: confirm, remove, rollback, and reading kvmnet's state."""

from __future__ import annotations

from kvmnet.core.refusals import register_page

register_page(
    "KVN560",
    "no change is waiting for a confirmation",
    """
    `kvmnet confirm` was called, but no transaction is waiting for it: none is open, the open one has not reached this
    step, or its time is over and it is being rolled back. `kvmnet status` shows the open transaction, `kvmnet history`
    how the last one ended.
    """,
)
register_page(
    "KVN561",
    "this connection cannot confirm the change",
    """
    A confirmation must come over a connection that shows that the host can still be reached: an SSH connection from
    another machine, opened after the change, to an address of an interface that the change touches, or of a bridge or
    VLAN on it. If no such interface has an address, any address is accepted. A local shell is no such connection, and
    neither is an older SSH connection: firewalls and routers may keep it working.

    Open a new connection: `ssh HOST kvmnet confirm`, with `-S none` if your SSH client shares connections. At the
    console of the host, use `kvmnet confirm --at-the-console`.
    """,
)
register_page(
    "KVN562",
    "there is nothing to restore",
    """
    `kvmnet remove` and `kvmnet rollback` use what kvmnet saved before it changed the host's NICs. This error means that
    kvmnet has applied nothing on this host, or has removed everything already. Or a NIC of that time is no longer in
    the host, or is a port of a bridge or bond that was created later by another tool. The snapshots are in
    /var/lib/kvmnet/history.
    """,
)
register_page(
    "KVN563",
    "kvmnet's state is corrupt",
    """
    /var/lib/kvmnet/applied contains the applied bundle, and in interfaces.json the interfaces that kvmnet has created
    or adopted. A file there is corrupt or missing: it was edited, or the disk has lost it. The network of the host is
    not affected.

    If the bundle is corrupt (nmstate.yml, bundle.json or a .link file), run `kvmnet apply` with the definition: it
    writes the bundle again. kvmnet cannot rebuild interfaces.json from the host. Its original text is in
    transaction.json of the last kept change in /var/lib/kvmnet/history (`kvmnet history` lists the changes): copy it
    from there.
    """,
)
