"""Colours, for light and dark pages.

Every text has a contrast of at least 4.5 to what is below it, and every line that carries a meaning one of at least 3
(WCAG 2, level AA).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kvmnet.core.graph import model


@dataclass(frozen=True)
class Palette:
    """The colours of a page: page, card (below a box), text, faint text, border, connection, focus; those of the kinds
    of boxes, and those of events with the tint of their boxes."""

    page: str
    card: str
    text: str
    faint: str
    border: str
    connection: str
    focus: str
    kinds: Mapping[str, str]
    events: Mapping[str, str]
    tints: Mapping[str, str]


LIGHT = Palette(
    page="#f6f7f9",
    card="#ffffff",
    text="#18212b",
    faint="#4c5867",
    border="#c9d0d9",
    connection="#75828f",
    focus="#0b5cc4",
    kinds={
        model.NIC: "#4c5b6b",
        model.INFINIBAND: "#4c5b6b",
        model.BOND: "#7a3fb0",
        model.VLAN: "#0b6f75",
        model.BRIDGE: "#1d5fb8",
        model.MACVTAP: "#8a4b12",
        model.DUMMY: "#5d6570",
        model.LOOPBACK: "#5d6570",
        model.GUEST: "#9a4a00",
        model.GUESTS: "#9a4a00",
        model.HOST: "#3f4a8a",
        model.HOSTS: "#3f4a8a",
        model.NETWORK: "#0b6f75",
    },
    events={model.ADDED: "#1a6b2d", model.REMOVED: "#b3261e", model.CHANGED: "#7d5200"},
    tints={model.ADDED: "#ecf8ee", model.REMOVED: "#fdf0ef", model.CHANGED: "#fff7e3"},
)
DARK = Palette(
    page="#12161c",
    card="#1b212a",
    text="#e8edf3",
    faint="#aab6c3",
    border="#3b4654",
    connection="#7f8c9a",
    focus="#7db4ff",
    kinds={
        model.NIC: "#a9b7c6",
        model.INFINIBAND: "#a9b7c6",
        model.BOND: "#cba2f2",
        model.VLAN: "#5cc6cc",
        model.BRIDGE: "#84b6ff",
        model.MACVTAP: "#e0a56a",
        model.DUMMY: "#aeb7c2",
        model.LOOPBACK: "#aeb7c2",
        model.GUEST: "#f0aa62",
        model.GUESTS: "#f0aa62",
        model.HOST: "#aab4f5",
        model.HOSTS: "#aab4f5",
        model.NETWORK: "#5cc6cc",
    },
    events={model.ADDED: "#6fd58a", model.REMOVED: "#ff9a91", model.CHANGED: "#f2c25c"},
    tints={model.ADDED: "#15291b", model.REMOVED: "#331b1b", model.CHANGED: "#2e2614"},
)


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, from 1 to 21, by the formula of WCAG 2."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
