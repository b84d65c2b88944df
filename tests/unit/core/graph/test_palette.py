"""Contrast by the formula of WCAG 2."""

from __future__ import annotations

import pytest

from kvmnet.core.graph import model
from kvmnet.core.graph.palette import DARK, LIGHT, Palette, contrast


def test_the_formula() -> None:
    assert round(contrast("#000000", "#ffffff"), 2) == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_texts(palette: Palette) -> None:
    below = [palette.page, palette.card, *palette.tints.values()]
    for colour in (palette.text, palette.faint, palette.focus, *palette.kinds.values()):
        assert all(contrast(colour, other) >= 4.5 for other in below), colour
    for event, colour in palette.events.items():
        assert all(contrast(colour, other) >= 4.5 for other in below), (event, colour)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_lines(palette: Palette) -> None:
    for colour in (palette.connection, palette.focus, *palette.events.values()):
        assert contrast(colour, palette.page) >= 3 and contrast(colour, palette.card) >= 3, colour


def test_every_kind_and_event_has_a_colour() -> None:
    kinds = {value for name, value in vars(model).items() if name.isupper() and isinstance(value, str)}
    assert kinds - {model.SAME, model.ADDED, model.REMOVED, model.CHANGED} == set(LIGHT.kinds) == set(DARK.kinds)
    assert {model.ADDED, model.REMOVED, model.CHANGED} == set(LIGHT.events) == set(DARK.tints)
