"""Medians with intervals, and when a series has settled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.task import Array

RESAMPLES = 2_000
MEANINGLESS = 0.02
"""Relative to the largest of some values, how far apart they may be and fill half an axis at most.
"""


def median_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """The median with the low and high end of its smoothed percentile-bootstrap interval.

    Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. The resampling is
    seeded, so the same values give the same interval. ValueError for no values.
    """
    if not values:
        raise ValueError("no values to take the median of")
    medians = _medians(np.asarray(values, dtype=np.float64), np.random.default_rng(0))
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    middle = float(np.median(values))
    return middle, min(float(low), middle), max(float(high), middle)


def _medians(data: Array, draw: np.random.Generator) -> Array:
    """Medians of resamples (RESAMPLES,), each value moved a little at random.

    Without that, the median of few values is one of them, and the interval too narrow (Silverman &
    Young, "The bootstrap: to smooth or not to smooth?", 1987).
    """
    picks = draw.integers(0, len(data), (RESAMPLES, len(data)))
    quarter, three_quarters = np.quantile(data, [0.25, 0.75])
    deviation = (three_quarters - quarter) / 1.349  # of a normal distribution
    moved = data[picks] + draw.normal(0, deviation / np.sqrt(len(data)), picks.shape)
    found: Array = np.clip(np.median(moved, axis=1), data.min(), data.max())
    return found


def settled(series: Sequence[float]) -> int:
    """Where a series has settled: how many values of its beginning are to be left out.

    The number that makes the standard error of the mean of the rest smallest, at most half of them
    (White, "An effective truncation heuristic for bias reduction in simulation output", 1997).
    """
    data = np.asarray(series, dtype=np.float64)
    starts = range(len(data) // 2 + 1)
    errors = [data[start:].var() / len(data[start:]) for start in starts] if len(data) else [0.0]
    return int(np.argmin(np.round(errors, 12)))  # of equal ones the first, rounding apart


def ratio_interval(values: Sequence[float], base: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of the medians of two independent samples, with its 95% interval as above.

    Values that were measured in pairs want ``median_interval`` of their ratios instead.
    """
    if not values or not base:
        raise ValueError("no values to take the ratio of")
    draw = np.random.default_rng(0)
    medians = [_medians(np.asarray(sample, np.float64), draw) for sample in (values, base)]
    low, high = np.quantile(medians[0] / medians[1], [0.025, 0.975])
    return float(np.median(values) / np.median(base)), float(low), float(high)


def axis_ends(values: Sequence[float]) -> tuple[float, float] | None:
    """The ends of an axis for values (n,) that hardly differ; None where they may set it.

    An axis that ends where they do would fill its height with differences that mean nothing.
    """
    low, high = min(values), max(values)
    size = max(abs(low), abs(high))
    if high - low > MEANINGLESS * size:
        return None
    middle, half = (low + high) / 2, MEANINGLESS * size or 1.0
    return middle - half, middle + half
