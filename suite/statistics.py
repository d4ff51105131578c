"""Medians with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2_000


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median with the low and high end of its 95% percentile-bootstrap interval.

    Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. The resampling is
    seeded, so the same values give the same interval. ValueError for no values.
    """
    if not values:
        raise ValueError("no values to take the median of")
    data = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(0).integers(0, len(data), (RESAMPLES, len(data)))
    low, high = np.quantile(np.median(data[picks], axis=1), [0.025, 0.975])
    return float(np.median(data)), float(low), float(high)
