"""Builds the guests of a definition from its tree."""

from __future__ import annotations

from typing import Optional

from kvmnet.core.definition.document import Map, Seq
from kvmnet.core.definition.model import Guest, GuestNic, Place
from kvmnet.core.definition.tree_values import boolean_at, leaves_at, text_at


def read_guest(name: str, place: Place) -> Guest:
    """Return a guest, without the NICs that lack a key."""
    nics = place.tree.get("nics")
    items = nics.items if isinstance(nics, Seq) else ()
    return Guest(
        name=name,
        host=text_at(place.tree, "host"),
        group=text_at(place.tree, "group"),
        nics=tuple(nic for item in items if isinstance(item, Map) and (nic := _guest_nic(item)) is not None),
        place=place,
    )


def _guest_nic(item: Map) -> Optional[GuestNic]:
    """Return a NIC of a guest, or None if it has no network or MAC address: the schema or the checks report it."""
    mac, native = text_at(item, "mac"), text_at(item, "native")
    trunk = tuple(dict.fromkeys(str(leaf.value) for leaf in leaves_at(item, "networks") if leaf.value != native))
    of_trunk = (native if item.has("networks") else None) or next(iter(trunk), None)
    network = text_at(item, "network") or of_trunk
    if mac is None or network is None:
        return None
    return GuestNic(
        network=network,
        mac=mac.lower(),
        attach=text_at(item, "attach"),
        trusts_guest=boolean_at(item, "trust_guest_rx_filters"),
        trunk=trunk,
        native=native,
        place=Place(item.mark, item),
    )
