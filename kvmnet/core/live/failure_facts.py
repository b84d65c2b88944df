"""The host at the moment of a failure: read by host/failure_facts, judged by core/effects/likely_reasons."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class FailureFacts:
    """The host at the moment of a failure. It is filled while it is read; a part that was not read is empty.

    addresses: by interface, with prefix. without_carrier: the NICs without carrier. silent_bonds: bonds with LACP whose
    ports have no partner. routes: the interface by which each target is reached; "" where there is no route.
    neighbours: the neighbour to which packets to each target are sent, and its state. unmanaged: interfaces that
    NetworkManager does not manage, with the entry that is the reason and its file, and what to do; or empty texts.
    """

    addresses: dict[str, list[str]] = field(default_factory=dict)
    without_carrier: list[str] = field(default_factory=list)
    silent_bonds: list[str] = field(default_factory=list)
    routes: dict[str, str] = field(default_factory=dict)
    neighbours: dict[str, tuple[str, str]] = field(default_factory=dict)
    unmanaged: dict[str, tuple[str, str]] = field(default_factory=dict)
