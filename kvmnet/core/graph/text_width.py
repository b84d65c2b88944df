"""How wide a text is at most, whatever sans-serif font the viewer has.

The table has at least the advance widths of the widest common fonts (DejaVu Sans, Verdana), in thousandths of the font
size. What is not in it counts as wider than a Chinese character or an emoji.
"""

from __future__ import annotations

_WIDTHS = {
    **dict.fromkeys("ijl'", 346),
    **dict.fromkeys(" .,:;|/\\!()[]fIt-·", 460),
    **dict.fromkeys('rsJ*"?`', 550),
    **dict.fromkeys("abcdeghknopquvxyz0123456789LFT_${}“”", 640),
    **dict.fromkeys("ABCEKPRSVXYZ", 700),
    **dict.fromkeys("DGHNOQUw&", 820),
    **dict.fromkeys("mMW#%@+<>=^~…±→—", 1000),
}
_OTHER = 1400
_BOLD = 1.13


def measure(text: str, size: float, is_bold: bool = False) -> float:
    """Return the width of a text at most, in pixels, at a font size in pixels."""
    thousandths = sum(_WIDTHS.get(character, _OTHER) for character in text)
    return thousandths * size * (_BOLD if is_bold else 1) / 1000


def shorten(text: str, size: float, width: float, is_bold: bool = False) -> str:
    """Return a text that is at most this wide: its end, or for lack of room all but its first letters, is cut."""
    if measure(text, size, is_bold) <= width:
        return text
    room = width - measure("…", size, is_bold)
    end = 0
    while end < len(text) and (room := room - measure(text[end], size, is_bold)) >= 0:
        end += 1
    return text[:end].rstrip() + "…"
