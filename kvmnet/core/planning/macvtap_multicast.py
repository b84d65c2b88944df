"""Which macvtaps of guests must receive all multicast frames and do not (see core/rendering/macvtap_rule)."""

from __future__ import annotations

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.live.live_host import Live
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.macvtap_rule import macvtap_bases


def find_filtered_macvtaps(bundle: Bundle, live: Live) -> list[str]:
    """Return the macvtaps of the definition's guests that exist and do not receive all multicast frames.

    They are found by their MAC addresses, since libvirt names its macvtaps itself. A macvtap that trusts its guest is
    left out, since libvirt filters it as the guest wants.
    """
    interfaces = [*interfaces_of(bundle.state), *interfaces_of(bundle.guests or {})]
    macs = {i["mac-address"].lower() for i in interfaces if i["type"] == "mac-vtap"} - set(bundle.trusting)
    bases = set(macvtap_bases(bundle))
    return [
        link.name
        for link in live.links.values()
        if link.kind == "macvtap" and link.base in bases and link.address in macs and not link.allmulticast
    ]
