"""A word from outside that cannot be taken, and a way back that is not there: told by the verbs, not by a plan."""

from __future__ import annotations

from kvmnet.core.refusals import elsewhere

elsewhere(
    "KVN560",
    "no change waits for a word",
    """
    `kvmnet confirm` was called while no transaction waits: none is open, the open one has not come so far, or its
    time was over and it is being undone. `kvmnet status` tells how far an open one is, `kvmnet history` how the last
    one ended.
    """,
)
elsewhere(
    "KVN561",
    "this connection proves nothing",
    """
    A change is kept only by a word over a connection that could not have been made if it had cut the host off: an SSH
    connection that was opened after the change, from another machine, to an address of an interface that the change
    touches, or of one that stands on such (a bridge over the NIC); where no such interface has an address, to any. A
    shell on the host is none, and an older connection goes on by what the firewall and the routers remember of it. Open
    a new one: `ssh HOST kvmnet confirm`, with `-S none` where your ssh shares connections. Who sits at the machine's
    console says so: `kvmnet confirm --at-the-console`.
    """,
)
elsewhere(
    "KVN562",
    "there is nothing to give back",
    """
    `kvmnet remove` and `kvmnet rollback` go back by what was written down when kvmnet took a NIC over: it has
    applied nothing here, has given everything back already, a NIC of then is not in the machine any more, or is a
    port of what a person has made since. The snapshots are in /var/lib/kvmnet/history.
    """,
)
elsewhere(
    "KVN563",
    "what kvmnet wrote of itself is damaged",
    """
    /var/lib/kvmnet/applied says what is applied on this host, and in interfaces.json what of it is kvmnet's. Its files
    are not as kvmnet wrote them: somebody has edited them, or the disk has lost them. The host's network is not touched
    by that. A damaged bundle (nmstate.yml, bundle.json, a .link file): `kvmnet apply` of the definition writes it anew.
    A damaged interfaces.json cannot be found out from the host: its text as it was written is in transaction.json of
    the last kept change, below /var/lib/kvmnet/history (`kvmnet history` lists them); put it back from there.
    """,
)
