"""Builds the guests of a definition from its tree."""

from __future__ import annotations

from typing import Optional

from kvmnet.core.definition.document import Map, Seq
from kvmnet.core.definition.model import Guest, GuestNic, Place
from kvmnet.core.definition.tree_values import boolean, leaves, text


def read_guest(name: str, place: Place) -> Guest:
    """Return a guest, without the NICs that lack a key."""
    nics = place.tree.get("nics")
    items = nics.items if isinstance(nics, Seq) else ()
    return Guest(
        name=name,
        host=text(place.tree, "host"),
        group=text(place.tree, "group"),
        nics=tuple(nic for item in items if isinstance(item, Map) and (nic := _guest_nic(item)) is not None),
        place=place,
    )


def _guest_nic(item: Map) -> Optional[GuestNic]:
    """Return a NIC of a guest, or None if it has no network or MAC address: the schema or the checks report it."""
    mac, native = text(item, "mac"), text(item, "native")
    trunk = tuple(dict.fromkeys(str(leaf.value) for leaf in leaves(item, "networks") if leaf.value != native))
    of_trunk = (native if item.has("networks") else None) or next(iter(trunk), None)
    network = text(item, "network") or of_trunk
    if mac is None or network is None:
        return None
    return GuestNic(
        network=network,
        mac=mac.lower(),
        attach=text(item, "attach"),
        trusts_guest=boolean(item, "trust_guest_rx_filters"),
        trunk=trunk,
        native=native,
        place=Place(item.mark, item),
    )
