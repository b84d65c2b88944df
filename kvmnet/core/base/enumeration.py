"""Lists of names in a sentence."""

from __future__ import annotations

from collections.abc import Sequence


def join_names(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: `eth0`, `eth0 and eth1`, `eth0, eth1 and eth2`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def both_or_all(names: Sequence[str]) -> str:
    """Return the word that stands for all these names, two or more."""
    return "both" if len(names) == 2 else "all"
