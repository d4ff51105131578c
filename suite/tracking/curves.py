"""Pictures of a cell's training curves.

Drawn with Pillow: matplotlib took three quarters of all the time that sending a record costs, most
of it for axes and their texts alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from suite.records.record import Record
from suite.records.statistics import axis_ends

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

SIZE = 990, 440
"""Width and height [pixels]."""
FINE = 2
"""Drawn so many times as large, then reduced, which makes edges smooth."""
MARGIN = 0.05
"""The share of the values' range that is free at an axis' ends, unless values hardly differ."""
TOP, BOTTOM, LEFT, RIGHT = 60, 44, 58, 14
"""Around a panel, for titles and figures at its axes [pixels]."""
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2")
GREY, FRAME, INK = "#cccccc", "#999999", "#222222"

Box = tuple[float, float, float, float]
"""Left, top, right, bottom [pixels of the large drawing]."""


@dataclass(frozen=True)
class Line:
    """Values (n,) against steps (n,)."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]
    color: str
    dots: bool = False
    width: int = 2


@dataclass(frozen=True)
class Panel:
    """Lines on axes of their own."""

    title: str
    lines: tuple[Line, ...]
    best: float | None = None
    """The step at which the best epoch ended, if training was stopped early."""

    @property
    def steps(self) -> tuple[float, float]:
        """The ends of the horizontal axis."""
        return _wider([*(s for line in self.lines for s in line.steps), *filter(None, [self.best])])

    @property
    def values(self) -> tuple[float, float]:
        """The ends of the vertical axis."""
        drawn = [value for line in self.lines for value in line.values]
        return (axis_ends(drawn) if drawn else None) or _wider(drawn)


def draw_curves(record: Record, path: Path) -> None:
    """The loss and the test metrics against steps, as a PNG."""
    from PIL import Image, ImageDraw  # slow to import

    image = Image.new("RGB", (SIZE[0] * FINE, SIZE[1] * FINE), "white")
    draw = ImageDraw.Draw(image)
    middle = SIZE[0] * FINE / 2
    draw.text((middle, 14 * FINE), _title(record), INK, _font(14), anchor="mm")
    for number, panel in enumerate(panels(record)):
        edges = (
            number * middle + LEFT * FINE,
            TOP * FINE,
            (number + 1) * middle - RIGHT * FINE,
            (SIZE[1] - BOTTOM) * FINE,
        )
        _draw_panel(draw, panel, edges)
    image.reduce(FINE).save(path, compress_level=3)


def panels(record: Record) -> tuple[Panel, Panel]:
    """The losses, and the other test metrics."""
    losses = np.concatenate([chunk["losses"] for chunk in record.chunks])
    ends = np.cumsum([len(chunk["losses"]) for chunk in record.chunks]).tolist()
    epoch_ends = [
        ends[i]
        for i, chunk in enumerate(record.chunks)
        if i + 1 == len(record.chunks) or record.chunks[i + 1]["epoch"] != chunk["epoch"]
    ]
    means = [float(np.mean(chunk["losses"])) for chunk in record.chunks]
    of_loss = [
        Line("train, every step", range(1, len(losses) + 1), losses.tolist(), GREY, width=1),
        Line("train, mean of a chunk", ends, means, COLORS[0]),
    ]
    others: list[Line] = []
    for name in (name for name in record.metrics if not name.endswith("_ci95")):
        lines = of_loss if name.endswith("loss") else others
        values = [epoch["metrics"][name] for epoch in record.epochs]
        color = COLORS[(len(lines) - (lines is of_loss)) % len(COLORS)]
        lines.append(Line(f"{name}, by epoch", epoch_ends[: len(values)], values, color, dots=True))
    best = float(epoch_ends[record.stopped["best"] - 1]) if record.stopped else None
    return Panel("loss [nats]", tuple(of_loss), best), Panel("metrics", tuple(others), best)


def _title(record: Record) -> str:
    cell = record.cell
    verified = "verified" if record.verified else "NOT VERIFIED"
    data = "" if cell.data == "real" else ", GENERATED DATA"
    return f"{cell.task_label}, {cell.backend_label}, seed {cell.seed}, {verified}{data}"


def _wider(values: Sequence[float]) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    free = MARGIN * (high - low) or 0.5
    return low - free, high + free


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers in [low, high], which differ, at most ``most`` + 1 of them."""
    size = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(n * size for n in (1, 2, 5, 10) if n * size * most >= high - low)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


@functools.cache
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    found = ImageFont.load_default(size * FINE)
    assert isinstance(found, ImageFont.FreeTypeFont)  # for it was asked for by its size
    return found


def _draw_panel(draw: ImageDraw, panel: Panel, box: Box) -> None:
    left, top, right, bottom = box
    (first, last), (low, high) = panel.steps, panel.values

    def place(step: float, value: float) -> tuple[float, float]:
        across, up = (step - first) / (last - first), (value - low) / (high - low)
        return left + across * (right - left), bottom - up * (bottom - top)

    small = _font(11)
    for step in ticks(first, last):
        x, _ = place(step, low)
        draw.line([(x, bottom), (x, bottom + 4 * FINE)], FRAME, FINE)
        draw.text((x, bottom + 6 * FINE), f"{step:.6g}", INK, small, anchor="mt")
    for value in ticks(low, high):
        _, y = place(first, value)
        draw.line([(left - 4 * FINE, y), (left, y)], FRAME, FINE)
        draw.text((left - 7 * FINE, y), f"{value:.4g}", INK, small, anchor="rm")
    if panel.best is not None:
        x, _ = place(panel.best, low)
        draw.line([(x, top), (x, bottom)], FRAME, FINE)
        draw.text((x, top - 2 * FINE), "best epoch", INK, small, anchor="mb")
    for line in panel.lines:
        points = [place(*pair) for pair in zip(line.steps, line.values, strict=False)]
        draw.line(points, line.color, line.width * FINE, joint="curve")
        for x, y in points if line.dots else ():
            draw.circle((x, y), 3.5 * FINE, line.color)
    draw.rectangle(box, outline=FRAME, width=FINE)
    draw.text((left, top - 8 * FINE), panel.title, INK, small, anchor="lb")
    draw.text(((left + right) / 2, bottom + 24 * FINE), "training step", INK, small, anchor="mt")
    _draw_legend(draw, panel, box, [place(s, v) for line in panel.lines for s, v in _points(line)])


def _points(line: Line) -> list[tuple[float, float]]:
    return [*zip(line.steps, line.values, strict=False)]


def _draw_legend(
    draw: ImageDraw, panel: Panel, box: Box, points: Sequence[Sequence[float]]
) -> None:
    """In the upper or the lower corner at the right, where fewer points lie."""
    _, top, right, bottom = box
    row, font = 16 * FINE, _font(11)
    width = max((font.getlength(line.label) for line in panel.lines), default=0) + 34 * FINE
    height = row * len(panel.lines) + 6 * FINE
    edge = right - width - 6 * FINE
    tops = [top + 6 * FINE, bottom - height - 6 * FINE]
    start = min(tops, key=lambda y0: sum(x >= edge and y0 <= y <= y0 + height for x, y in points))
    for number, line in enumerate(panel.lines):
        y = start + 3 * FINE + row * (number + 0.5)
        draw.line([(edge + 6 * FINE, y), (edge + 24 * FINE, y)], line.color, line.width * FINE)
        if line.dots:
            draw.circle((edge + 15 * FINE, y), 3.5 * FINE, line.color)
        draw.text((edge + 30 * FINE, y), line.label, INK, font, anchor="lm")
