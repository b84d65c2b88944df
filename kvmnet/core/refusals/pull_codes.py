"""Pages of the outcomes of `kvmnet pull` that change nothing."""

from __future__ import annotations

from kvmnet.core.base import codes
from kvmnet.core.refusals import register_page

register_page(
    "KVN570",
    "the branch was rewritten",
    """
    `kvmnet pull` accepts only commits that follow the commit that this host accepted last (fast-forwards). The branch
    on the server does not follow it: someone has forced a push, the repository was replaced, or `pull-repository` or
    `pull-branch` was changed. An attacker who can push could restore an old state in this way.

    Find out who rewrote the branch and why. If it was intended, review the states of the commit, then accept it on each
    host: `kvmnet pull --accept COMMIT`, with the whole ID that the message contains. Otherwise restore the branch; the
    next run continues.
    """,
)
register_page(
    "KVN571",
    "the commit is not signed by one of the signers",
    """
    `pull-signers` in /etc/kvmnet/kvmnet.conf requires signed commits. The last commit of the branch is not signed, or
    signed by a key that is not in this file, or its signature is not valid. Only signatures of ssh count
    (gpg.format=ssh). Only root may be able to write the file.

    The last commit of the branch must be signed: its tree is what is applied, and its signature covers this tree and
    all commits before it. Sign it (`git commit -S`), or add a signed commit after it. A platform that merges for you
    creates the merge commit, so its key must be among the signers, or merge and sign on your own machine.
    """,
)
register_page(
    "KVN572",
    "the repository has no bundle for this host",
    """
    No bundle in the folder `pull-path` of the repository has one of this host's NICs, by their permanent MAC addresses,
    and none has the name of this host. The states of this host were not rendered or committed, `pull-path` or
    `pull-branch` names another place, or a NIC was replaced.

    Compare the MAC addresses in the message with the definition. Render the states (`kvmnet render -o states`) and
    commit them.
    """,
)
register_page(
    "KVN573",
    "the bundle was rolled back on this host",
    """
    This bundle was applied on this host and rolled back, or you went back from it with `kvmnet rollback` or `kvmnet
    remove`. `kvmnet pull` does not try it again until the bundle of this host changes, because a change that fails
    interrupts the network each time. `kvmnet history` shows how it failed.

    Commit a correction. If the cause was elsewhere (a switch, the git server) and is fixed, try the same bundle again:
    `kvmnet pull --retry`. After a `kvmnet apply --bundle` that is kept, the bundle is not refused any more either.
    """,
)
register_page(
    "KVN574",
    "pull mode is not configured",
    """
    `kvmnet pull` needs the line `pull-repository = URL` in /etc/kvmnet/kvmnet.conf, and every line of this file must be
    valid. The reference of files lists the settings.
    """,
)
codes.register(
    "KVN575",
    "the repository could not be fetched",
    """
    git could not fetch the branch: the server did not reply, the branch does not exist, or the server does not accept
    this host's key. The message contains git's reason. Nothing was changed. The timer tries again.

    git runs as root, without the configuration of the system and of users, without a proxy, and never asks for a
    password. With ssh, the server's host key must be in /root/.ssh/known_hosts or /etc/ssh/ssh_known_hosts, and this
    host's key in /root/.ssh. Jump hosts (ProxyJump) are not used.

    kvmnet exits with code 1 and changes nothing. This refusal cannot be overridden.
    """,
)
register_page(
    "KVN576",
    "a fetch cannot confirm the change",
    """
    The change affects the path to the git server, so a new fetch after it must confirm it. This fetch would not show
    that the host is reachable: the server is this host itself, or is reached through the port of a guest or container
    on this host. Or the server has several addresses, and the change affects the path to only some of them: it is
    unknown which of them a fetch uses. In this case, use a URL with one of the addresses.

    Apply this bundle by hand (`kvmnet apply --bundle DIR`, then `kvmnet confirm`), or use a server elsewhere.
    """,
)
register_page(
    "KVN577",
    "another commit was fetched than the one to accept",
    """
    `kvmnet pull --accept COMMIT` accepts exactly the commit that you reviewed. The branch is at another commit by now,
    or the ID is incomplete. Review the commit that the message contains, then accept it by its whole ID.
    """,
)
