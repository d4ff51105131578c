"""Readings of learning curves: how a run went, and whether two backends learn equally well.

A run is read by its losses at the end of every epoch. Two backends are compared over seeds that
both were trained from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

Label = Literal[
    "diverging", "overfitting", "not learning", "still learning", "well fitted", "too short to say"
]
Verdict = Literal["same", "different", "not enough seeds"]

FLAT = 0.02
"""A loss that has changed by less than this share of itself has not changed."""
ASTRAY = 0.1
"""A train loss that has risen by more than this share of itself is not just noise."""
FALLING = 0.01
"""By more than this share of itself a loss falls while there is more to learn."""
WINDOW = 3
"""Epochs of the moving average: a single validation loss is bumpy."""
WAVERING = 1.5
"""How many times a curve's wavering a rise must be. Of curves that waver by 1 to 5% about a level,
this takes at most one in 25 for rising; a factor of 1, one in 12."""
LEAST_EPOCHS = 4
"""With fewer, a curve that has flattened or turned looks like one that wavers."""


@dataclass(frozen=True)
class Reading:
    """How a run went; since which epoch (from 1) it went wrong, if it did; why, in words."""

    label: Label
    since: int | None
    reason: str

    def __str__(self) -> str:
        return self.label if self.since is None else f"{self.label} since epoch {self.since}"


def read_curve(train: Sequence[float], validation: Sequence[float]) -> Reading:
    """Reads the losses (epochs,) of training and of validation: data that are not trained on.

    Of these, the first that is true:

    - *diverging*: a loss is not a finite number; or the train loss has risen above its lowest value
      by more than ASTRAY of it and by more than half of what it had fallen until there.
    - *overfitting*: the validation loss was lowest two epochs ago or earlier, and rose while the
      train loss fell on. It rose if its moving average over WINDOW epochs ends above the lowest it
      had by more than FLAT of that (the generalisation loss of Prechelt, "Early stopping - but
      when?", 1998) and by more than WAVERING times the curve's wavering: its largest step up before
      the lowest value and its largest step down after it.
    - *not learning*: no loss has fallen below its first value by FLAT of it.
    - *still learning*: the mean of the last two validation losses is below the lowest before them
      by more than FALLING of it (of two epochs in all, the second is below the first).
    - *well fitted*: it is not.

    With fewer than LEAST_EPOCHS epochs only "diverging" and "still learning" can be told, else it
    is "too short to say". ValueError unless both curves have the same length, 1 at least.
    """
    if len(train) != len(validation) or not train:
        raise ValueError(f"{len(train)} train and {len(validation)} validation losses: no curve")
    return (
        _diverging(train, validation)
        or _overfitting(train, validation)
        or _flat(train, validation)
        or _falling(validation)
    )


def _diverging(train: Sequence[float], validation: Sequence[float]) -> Reading | None:
    for epoch, losses in enumerate(zip(train, validation, strict=True), 1):
        if not all(map(math.isfinite, losses)):
            reason = f"train loss {losses[0]:.4g}, validation loss {losses[1]:.4g}"
            return Reading("diverging", epoch, reason)
    best = int(np.argmin(train))
    lowest, rise, fall = train[best], train[-1] - train[best], train[0] - train[best]
    if rise <= max(ASTRAY * abs(lowest), fall / 2):
        return None
    reason = f"the train loss rose from {lowest:.4g} (epoch {best + 1}) to {train[-1]:.4g}"
    return Reading("diverging", best + 2, reason)


def _overfitting(train: Sequence[float], validation: Sequence[float]) -> Reading | None:
    best = int(np.argmin(validation))
    if best + 2 >= len(validation) or train[-1] >= train[best]:
        return None
    steps = [after - before for before, after in pairwise(validation)]
    wavering = max([0.0, *steps[:best], *(-step for step in steps[best:])])
    average = np.convolve(validation, np.full(WINDOW, 1 / WINDOW), "valid")
    lowest, end = min(average), average[-1]
    if end - lowest <= max(FLAT * abs(lowest), WAVERING * wavering):
        return None
    reason = (
        f"the validation loss, lowest in epoch {best + 1} with {validation[best]:.4g}, rose to "
        f"{end:.4g} (mean of the last {WINDOW} epochs) while the train loss fell from "
        f"{train[best]:.4g} to {train[-1]:.4g}"
    )
    return Reading("overfitting", best + 2, reason)


def _flat(train: Sequence[float], validation: Sequence[float]) -> Reading | None:
    curves = {"train loss": train, "validation loss": validation}
    if len(train) < LEAST_EPOCHS or any(_fall(c[0], min(c)) >= FLAT for c in curves.values()):
        return None
    said = (f"the {n} was {c[0]:.4g} after epoch 1 and is {c[-1]:.4g}" for n, c in curves.items())
    return Reading("not learning", None, ", ".join(said))


def _falling(validation: Sequence[float]) -> Reading:
    epochs = len(validation)
    if epochs == 1:
        return Reading("too short to say", None, "one epoch is no curve")
    recent = min(2, epochs - 1)
    before, now = min(validation[:-recent]), float(np.mean(validation[-recent:]))
    span = "last epoch" if recent == 1 else f"last {recent} epochs"
    reason = f"the validation loss is {now:.4g} in the {span}, the lowest before was {before:.4g}"
    if _fall(before, now) > FALLING:
        return Reading("still learning", None, reason)
    if epochs < LEAST_EPOCHS:
        return Reading("too short to say", None, f"{reason}, of {epochs}")
    return Reading("well fitted", None, reason)


def _fall(before: float, now: float) -> float:
    """By what share of itself a loss has fallen."""
    return (before - now) / abs(before) if before else 0.0


@dataclass(frozen=True)
class Comparison:
    """Comparison of how well two backends end, from the differences ``a - b`` of paired seeds."""

    verdict: Verdict
    difference: float
    """The mean of the differences."""
    low: float | None
    high: float | None
    """Ends of its 90% interval; None for fewer than two pairs."""
    pairs: int


def compare(a: Sequence[float], b: Sequence[float], margin: float) -> Comparison:
    """Compares a metric (seeds,) of two backends, where a difference of ``margin`` is of no matter.

    *same*: the paired differences' 90% interval lies within the margin, that is, two one-sided
    t-tests at 5% both say so (TOST: Schuirmann 1987, section 3). *different*: their 95% interval
    lies wholly beyond the margin. Else *not enough seeds*. As only one of the three can be so in
    truth, a wrong "same" and a wrong "different" each have a chance of 5% at most (Goeman, Solari &
    Stijnen 2010, "Three-sided hypothesis testing"). A difference that is known to be there, but to
    be smaller than the margin, is "same". ValueError unless there are as many of a as of b.
    """
    from scipy import stats  # slow to import, and every worker imports this module

    differences = np.subtract(a, b) if len(a) == len(b) else None
    if differences is None or not len(differences):
        raise ValueError(f"{len(a)} and {len(b)} values make no pairs")
    pairs, mean = len(differences), float(np.mean(differences))
    if pairs < 2:
        return Comparison("not enough seeds", mean, None, None, pairs)
    error = float(np.std(differences, ddof=1)) / math.sqrt(pairs)
    half90, half95 = (float(stats.t.ppf(p, pairs - 1)) * error for p in (0.95, 0.975))
    verdict: Verdict = "not enough seeds"
    if abs(mean) + half90 <= margin:
        verdict = "same"
    elif abs(mean) - half95 > margin:
        verdict = "different"
    return Comparison(verdict, mean, mean - half90, mean + half90, pairs)


@dataclass(frozen=True)
class Spread:
    """The median of some values, their lowest and their highest."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread | None:
    """The spread of values over seeds; None if there are none."""
    found = list(values)
    return Spread(float(np.median(found)), min(found), max(found)) if found else None


def band(curves: Iterable[Sequence[float]]) -> list[Spread]:
    """The spread over seeds at every epoch that all of the ``curves`` (seeds, epochs) have.

    Against train seconds: the medians of the band of the seeds' seconds are where it lies.
    """
    columns = zip(*curves, strict=False)
    return [s for values in columns if (s := spread(values))]
