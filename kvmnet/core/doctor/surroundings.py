"""What the host needs from the network during a change: name servers and the time."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.doctor import NOTE, WARNING, Finding, examination
from kvmnet.core.live.host_facts import HostFacts


@examination("KVN640", "a name server does not reply")
def find_silent_name_servers(facts: HostFacts) -> Iterator[Finding]:
    """
    A name server of /etc/resolv.conf does not reply. kvmnet probes name servers before and after a change: one that
    does not reply before is not required afterwards, so nobody notices a change that cuts the host off from it.
    Programs which look up names wait for it. Remove it, or repair it.
    """
    for server in facts.silent_servers:
        yield Finding("KVN640", WARNING, f"name server {server} does not reply", f"nslookup example.org {server}")


@examination("KVN641", "no name server is configured")
def find_missing_name_servers(facts: HostFacts) -> Iterator[Finding]:
    """
    /etc/resolv.conf names no name server. Probes of host names (`tcp: storage.example.org:3260`), and time servers that
    are configured by name, do not work.
    """
    if not facts.name_servers:
        yield Finding("KVN641", NOTE, "no name server is configured", "add dns to a network of the definition")


@examination("KVN642", "the clock is not synchronized")
def find_unsynchronized_clock(facts: HostFacts) -> Iterator[Finding]:
    """
    No time server has set the clock. Deadlines of a change do not depend on it, but TLS certificates of probes and of
    storage do, and the times in `kvmnet history` are wrong. If the time servers are reached by name, they need the name
    servers too.
    """
    if facts.is_time_synchronized is False:
        known = [name for name in ("chronyd", "chrony", "systemd-timesyncd") if facts.service(name).is_installed]
        service = known[0] if known else "chronyd"
        active = facts.service(service).is_active
        fix = "chronyc sources" if active and service.startswith("chrony") else f"systemctl enable --now {service}"
        yield Finding("KVN642", WARNING, "the clock is not synchronized", fix)
