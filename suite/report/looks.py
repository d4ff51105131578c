"""One look for each backend everywhere: a colour, a dash, a marker.

The colours are four of Okabe & Ito, "Color Universal Design", 2008: told apart with every common
kind of colour vision, and at least 3:1 against a white page and a dark one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Look:
    """``dash`` and ``symbol`` in Plotly's words, ``dashes`` in SVG's, ``shape`` an SVG path."""

    color: str
    dash: str
    dashes: str
    symbol: str
    shape: str
    size: int
    """Size of the marker [px]. It shrinks from one to the next, so that none hides another."""
    pattern: str = ""
    """Pattern of bars, in Plotly's words."""


_DIAMOND, _SQUARE = "M14 2.5 19.5 8 14 13.5 8.5 8Z", "M9.5 3.5h9v9h-9Z"
_CIRCLE, _TRIANGLE = "M14 3a5 5 0 1 0 .01 0Z", "M14 2.5 19 12.5H9Z"
_DOT = "M13 8h2"
LOOKS = {
    "numpy": Look("#0072B2", "solid", "", "circle-open", _CIRCLE, 12),
    "torch": Look("#D55E00", "dash", "6 4", "square-open", _SQUARE, 9),
    "tensorflow": Look("#CC79A7", "dot", "2 3", "diamond-open", _DIAMOND, 8),
    "jax": Look("#009E73", "dashdot", "7 3 2 3", "triangle-up-open", _TRIANGLE, 7),
}
OTHER = Look("#808080", "longdash", "9 4", "x-thin-open", "M10 4l8 8M18 4l-8 8", 8)
PHASES = {
    "import": ("#56B4E9", ""),
    "build": ("#F0E442", ""),
    "compile": ("#E69F00", ""),
    "transfer": ("#9A6B3F", "\\"),
    "train": ("#6B7686", ""),
    "evaluate": ("#AEB6C2", ""),
    "other": ("#D5D9DF", "/"),
}
"""Colour and pattern of the phases: none is a backend's colour."""

MODELS = ("#9A6B3F", "#6B7686")
"""Colours of the models of a chart that compares models: none is a backend's colour."""


def look(backend: str, order: int = 0) -> Look:
    """How a backend looks; a further mode of it (``order`` 1 and up) has its colour.

    Its lines have longer dashes, its markers a dot in the middle, its bars stripes.
    """
    found = LOOKS.get(backend, OTHER)
    if not order:
        return found
    return replace(
        found,
        dash=OTHER.dash,
        dashes=OTHER.dashes,
        symbol=f"{found.symbol}-dot",
        shape=f"{found.shape}{_DOT}",
        pattern="/",
    )
