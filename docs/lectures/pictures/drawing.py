"""Charts as SVG within a page, whose ink is the page's: light, dark and print have their own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from docs.lectures.concept import Picture
from tasks.task import Array

Values = Sequence[float] | Array
Draw = Callable[[list[str]], None]
"""Adds a chart to those that there are."""
SIZE = 4.3, 2.9
"""Width and height of a chart [inches]: it fits on a phone, and several stand beside each other."""
MARGINS = 0.62, 0.1, 0.47, 0.3
"""Left, right, below and above the axes [inches], for what is written there."""
INK, GRID = "#010203", "#040506"
"""Colours that the page's own take the place of."""
LOOKS = (
    ("#8B5CF6", "-"),
    ("#B7791F", "--"),
    ("#D6457A", "-."),
    ("#0E9AA7", (0, (1, 1.2))),
    ("#7A8B1F", (0, (6, 1.5, 1, 1.5, 1, 1.5))),
    ("#6B7686", (0, (8, 3))),
)
"""Colours and dashes of lines. None is a backend's colour; each is 3:1 on light and on dark."""
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tetragrad",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # or it is looked for
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
}


@contextmanager
def chart(charts: list[str], said: str, size: tuple[float, float] = SIZE) -> Iterator[Axes]:
    """Axes to draw on; at the end, the chart is among ``charts``. ``said`` tells what it shows."""
    with mpl.rc_context(STYLE):
        figure = Figure(size)
        axes = figure.add_axes(_inside(size))
        yield axes
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())  # those of logarithms take half of the time
            if axis.get_scale() == "log":  # whose own labels are formulas, which are slow to draw
                axis.set_major_formatter(FuncFormatter(_power))
        made = io.StringIO()
        figure.savefig(made, format="svg", transparent=True, metadata={"Date": None})
    charts.append(_inline(made.getvalue(), said))


def _power(value: float, _: int | None) -> str:
    """A power of ten."""
    return f"10{f'{np.log10(value):.0f}'.translate(RAISED)}"


def _inside(size: tuple[float, float]) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of the axes: a layout that measures texts draws twice."""
    (left, right, bottom, top), (width, height) = MARGINS, size
    return left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height


def picture(caption: str, *draw: Draw) -> Picture:
    """The charts that the functions add, beside each other."""
    charts: list[str] = []
    for function in draw:
        function(charts)
    return Picture(tuple(charts), caption)


def lines(axes: Axes, x: Values, values: Mapping[str, Values], **more: Any) -> None:
    """A line for each name, with its look, and a legend."""
    for (name, y), (color, dash) in zip(values.items(), LOOKS, strict=False):
        axes.plot(x, y, color=color, linestyle=dash, label=name, **more)
    axes.legend()


def heatmap(axes: Axes, values: Any, **more: Any) -> None:
    """A matrix as an image, the first row on top."""
    axes.grid(visible=False)
    shown = axes.imshow(values, cmap="viridis", aspect="auto", interpolation="nearest", **more)
    bar = axes.figure.colorbar(shown, ax=axes)
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_minor_locator(NullLocator())


def _inline(svg: str, said: str) -> str:
    """The ``svg`` element alone, which is as wide as its column lets it be."""
    own = svg[svg.index("<svg") :]
    head, rest = own.split(">", 1)
    box = head[head.index("viewBox") :].split('"')[1]
    width, height = map(float, box.split()[2:])
    shape = f"max-width: {width:.0f}pt; aspect-ratio: {width:g} / {height:g}"
    begin = (
        f'<svg class="chart" viewBox="{box}" style="{shape}" role="img" '
        f'aria-label="{escape(said)}" xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    for color, variable in ((INK, "currentColor"), (GRID, "var(--md-default-fg-color--lighter)")):
        rest = rest.replace(color, variable)
    return begin + rest.replace("'DejaVu Sans', 'Bitstream Vera Sans'", "inherit, 'DejaVu Sans'")
