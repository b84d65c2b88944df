"""SSH connections of root from the peer to the host, like those of an operator."""

from __future__ import annotations

from tests.machines.machine import Machine
from tests.machines.seed import HOST_ADDRESS

OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=10"


def way_in(host: Machine, peer: Machine, address: str = HOST_ADDRESS) -> str:
    """Return the command with which root on the peer connects to the host; its connections may be shared (-M, -O
    exit)."""
    host.run("systemctl start ssh")
    peer.run("test -e /root/.ssh/id_ed25519 || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    host.run("mkdir -p -m 700 /root/.ssh")
    host.put("/root/.ssh/authorized_keys", peer.get("/root/.ssh/id_ed25519.pub"), mode=0o600)
    return f"ssh {OPTIONS} -S /run/shared root@{address}"


def anew(command: str) -> str:
    """Return the same command with a new connection."""
    return command.replace("-S /run/shared", "-S none")
